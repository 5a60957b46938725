/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping a folder: look at all of it first, then read it. */
#include "store/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/digest.h"
#include "store/place.h"
#include "store/tree_internal.h"

enum { LARGEST_SHOWN = 3, HASH_THREADS = 2 };

struct keeping {
    struct blobs *blobs;
    const char *dir;
    bool may_take;
    struct tree tree;
    struct error *error;
};

static const char *kind_of(mode_t mode)
{
    if (S_ISSOCK(mode))
        return "a socket";
    if (S_ISFIFO(mode))
        return "a pipe";
    return "a device";
}

static int full_path(const struct keeping *k, const char *path,
                     char full[PLACE_PATH_MAX])
{
    int r = place_join(full, k->dir, path);

    return r < 0 ? fail(k->error, r, "%s/%s: the path is too long", k->dir, path) : r;
}

/* ---- looking ---- */

static int look_at_folder(struct keeping *k, const char *path, unsigned depth);

static int look_at(struct keeping *k, const char *path, unsigned depth)
{
    static const struct digest none;
    char full[PLACE_PATH_MAX];
    struct stat st;
    int r = full_path(k, path, full);

    if (r < 0)
        return r;
    if (lstat(full, &st) < 0)
        return fail(k->error, -errno, "%s: %s", full, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return look_at_folder(k, path, depth + 1);
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
        return fail(k->error, -EINVAL, "%s is %s, which cannot be kept", full,
                    kind_of(st.st_mode));
    if (!tree_is_path(path))
        return fail(k->error, -EINVAL, "%s: the path is too long or too deep", full);
    r = tree_add(&k->tree, strdup(path),
                 S_ISLNK(st.st_mode)    ? 0
                 : st.st_mode & S_IXUSR ? 0755
                                        : 0644,
                 (uint64_t)st.st_size, &none);
    if (r == -E2BIG)
        return fail(k->error, r, "%s has more than %d files", k->dir, TREE_FILES_MAX);
    return r;
}

static int look_at_names(struct keeping *k, const char *path, DIR *d, unsigned depth)
{
    struct dirent *entry;
    int r = 0;

    while (r == 0 && (entry = readdir(d))) {
        CLEANUP(buffer_release) struct buffer below = BUFFER_INIT;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = buffer_printf(&below, "%s%s%s", path, *path ? "/" : "", entry->d_name);
        if (r == 0)
            r = look_at(k, below.data, depth);
    }
    return r;
}

static int look_at_folder(struct keeping *k, const char *path, unsigned depth)
{
    char full[PLACE_PATH_MAX];
    DIR *d;
    int r = full_path(k, *path ? path : ".", full);

    if (r < 0)
        return r;
    if (depth > TREE_DEPTH_MAX)
        return fail(k->error, -EINVAL, "%s: folders are nested too deeply", full);
    d = opendir(full);
    if (!d)
        return fail(k->error, -errno, "%s: %s", full, strerror(errno));
    r = look_at_names(k, path, d, depth);
    closedir(d);
    return r;
}

/* A path that was given must lead through folders, not through links out of here. */
static int check_parents(struct keeping *k, const char *path)
{
    char full[PLACE_PATH_MAX];
    size_t base = strlen(k->dir) + 1;
    struct stat st;
    int r = full_path(k, path, full);

    for (size_t i = 0; r == 0 && path[i]; i++) {
        if (path[i] != '/')
            continue;
        full[base + i] = '\0';
        if (lstat(full, &st) < 0)
            r = fail(k->error, -errno, "%s: %s", full, strerror(errno));
        else if (!S_ISDIR(st.st_mode))
            r = fail(k->error, -EINVAL, "%s: %.*s is a link or a file, not a folder",
                     path, (int)i, path);
        full[base + i] = '/';
    }
    return r;
}

static int look_at_given(struct keeping *k, const char *path)
{
    int r;

    if (!tree_is_path(path))
        return fail(k->error, -EINVAL, "'%s' is no path inside %s", path, k->dir);
    r = check_parents(k, path);
    return r < 0 ? r : look_at(k, path, 0);
}

/* The same file may be given twice, as a file and within a folder. */
static void drop_repeats(struct tree *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (n && strcmp(t->entries[n - 1].path, t->entries[i].path) == 0) {
            t->bytes -= t->entries[i].size;
            free(t->entries[i].path);
        } else {
            t->entries[n++] = t->entries[i];
        }
    }
    t->n = n;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct tree_entry *x = *(struct tree_entry *const *)a;
    const struct tree_entry *y = *(struct tree_entry *const *)b;

    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return strcmp(x->path, y->path);
}

static int fail_too_large(struct keeping *k, uint64_t bytes_max)
{
    CLEANUP(freep) const struct tree_entry **all = calloc(k->tree.n, sizeof(*all));
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < k->tree.n; i++)
        all[i] = &k->tree.entries[i];
    qsort(all, k->tree.n, sizeof(const struct tree_entry *), compare_sizes);
    for (size_t i = 0; i < k->tree.n && i < LARGEST_SHOWN; i++)
        buffer_printf(&text, "%s%.80s (%" PRIu64 " bytes)", i ? ", " : "", all[i]->path,
                      all[i]->size);
    return fail(k->error, -E2BIG,
                "%.120s has %" PRIu64 " bytes, more than %" PRIu64 "; the largest: %s",
                k->dir, k->tree.bytes, bytes_max, buffer_text(&text));
}

static int look(struct keeping *k, char *const *paths, size_t n_paths,
                uint64_t bytes_max)
{
    int r = 0;

    if (!paths)
        r = look_at_folder(k, "", 0);
    for (size_t i = 0; r == 0 && paths && i < n_paths; i++)
        r = look_at_given(k, paths[i]);
    if (r < 0)
        return r;
    tree_sort(&k->tree);
    drop_repeats(&k->tree);
    return bytes_max && k->tree.bytes > bytes_max ? fail_too_large(k, bytes_max) : 0;
}

/* ---- keeping ---- */

static int keep_link(struct keeping *k, struct tree_entry *e, const char *full)
{
    char target[TREE_PATH_MAX + 1];
    ssize_t n;

    place_reader_enter();
    n = readlink(full, target, sizeof(target));
    place_reader_leave();
    if (n < 0)
        return -errno;
    if ((size_t)n == sizeof(target) || !tree_is_inside(e->path, target, (size_t)n))
        return fail(
            k->error, -EINVAL,
            "%s is a link to %.*s: it must be relative, stay inside %s and have "
            "'..' only in front",
            full, (int)(n < 200 ? n : 200), target, k->dir);
    e->size = (uint64_t)n;
    return blobs_put(k->blobs, target, (size_t)n, &e->id);
}

static int open_file(const char *full, int *ret_fd, uint64_t *ret_size)
{
    int fd = place_open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -ESTALE;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int read_small(int fd, uint64_t size, struct buffer *ret)
{
    char *at = buffer_reserve(ret, (size_t)size + 1);

    if (!at)
        return -ENOMEM;
    while (ret->len <= size) {
        ssize_t n = pread(fd, ret->data + ret->len, (size_t)size + 1 - ret->len,
                          (off_t)ret->len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        if (n > 0)
            ret->len += (size_t)n;
    }
    return ret->len == size ? 0 : -ESTALE;
}

static int keep_small(struct keeping *k, struct tree_entry *e, int fd, const char *full)
{
    CLEANUP(buffer_release) struct buffer data = BUFFER_INIT;
    int r = read_small(fd, e->size, &data);

    if (r == 0)
        r = blobs_put(k->blobs, data.data, data.len, &e->id);
    if (r == 0 && k->may_take && unlink(full) < 0)
        r = -errno;
    return r;
}

static int keep_large(struct keeping *k, struct tree_entry *e, int fd, const char *full)
{
    int r = digest_file(fd, e->size, HASH_THREADS, &e->id);

    if (r < 0)
        return r;
    return k->may_take ? blobs_adopt_file(k->blobs, full, e->size, &e->id)
                       : blobs_copy_file(k->blobs, full, e->size, &e->id);
}

static int keep_file(struct keeping *k, struct tree_entry *e, const char *full)
{
    int fd = -1;
    int r = open_file(full, &fd, &e->size);

    if (r < 0)
        return r;
    r = e->size <= BLOB_CHUNKED_MAX ? keep_small(k, e, fd, full)
                                    : keep_large(k, e, fd, full);
    close(fd);
    return r;
}

static int keep_entry(struct keeping *k, struct tree_entry *e)
{
    char full[PLACE_PATH_MAX];
    uint64_t before = e->size;
    int r = full_path(k, e->path, full);

    if (r < 0)
        return r;
    r = e->mode ? keep_file(k, e, full) : keep_link(k, e, full);
    k->tree.bytes += e->size - before;
    if (r == -ESTALE)
        return fail(k->error, r, "%s changed while it was read", full);
    if (r < 0 && r != -EINVAL)
        return fail(k->error, r, "cannot keep %s: %s", full, strerror(-r));
    return r;
}

int tree_keep(struct blobs *b, const char *dir, char *const *paths, size_t n_paths,
              bool may_take, uint64_t bytes_max, struct tree *ret_tree,
              struct error *ret_error)
{
    struct keeping k = {
        .blobs = b, .dir = dir, .may_take = may_take, .error = ret_error
    };
    int r;

    place_reader_enter();
    r = look(&k, paths, n_paths, bytes_max);
    place_reader_leave();
    for (size_t i = 0; r == 0 && i < k.tree.n; i++)
        r = keep_entry(&k, &k.tree.entries[i]);
    if (r < 0) {
        tree_release(&k.tree);
        return r;
    }
    *ret_tree = k.tree;
    return 0;
}
