/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/file_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/file_name.h"

/* A name of OBJECT_NAME_MAX bytes has no more slashes. */
enum { DEPTH_MAX = OBJECT_NAME_MAX + 1, CHUNKS_MAX = 8, ENTRIES_MAX = 1 << 26 };

struct entry {
    char *key; /* what it adds to the name; of a folder, a slash comes behind it */
    char
        *path; /* below the folder of its level; mostly the same text, and so the key */
    bool is_folder;
};

/* One folder, its entries in the order of what they add. */
struct level {
    struct entry *entries;
    size_t n, cap, at;
    size_t name_len, path_len; /* of the walk's name and path: what leads here */
};

struct file_walk {
    int root; /* -1: there is no folder */
    char *prefix, *after, *folder;
    char delimiter;
    struct buffer name, path; /* of the level that is read */
    struct level *levels;
    size_t depth, cap;
};

/* ---- one folder ---- */

static void level_release(struct level *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->entries[i].path != l->entries[i].key)
            free(l->entries[i].path);
        free(l->entries[i].key);
    }
    free(l->entries);
}

static int level_add(struct level *l, const char *key, const char *path, bool is_folder)
{
    struct entry *e;

    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;

        e = cap > ENTRIES_MAX ? NULL
                              : reallocarray(l->entries, cap, sizeof(*l->entries));
        if (!e)
            return -ENOMEM;
        l->entries = e;
        l->cap = cap;
    }
    e = &l->entries[l->n];
    *e = (struct entry){ .key = strdup(key), .is_folder = is_folder };
    e->path = e->key && strcmp(key, path) == 0 ? e->key : strdup(path);
    if (!e->key || !e->path) {
        free(e->key);
        return -ENOMEM;
    }
    l->n++;
    return 0;
}

/* As the names with their slashes: `a-b` comes before `a/`. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t i = 0;
    int c, d;

    while (x->key[i] && x->key[i] == y->key[i])
        i++;
    c = x->key[i] || !x->is_folder ? (unsigned char)x->key[i] : '/';
    d = y->key[i] || !y->is_folder ? (unsigned char)y->key[i] : '/';
    return c - d;
}

/* A link to a file is a file; one to a folder is left out: it could lead in a circle.
 */
static int kind_of(int dir, const struct dirent *e, bool *ret_is_folder)
{
    struct stat st;
    bool is_link = e->d_type == DT_LNK;

    *ret_is_folder = e->d_type == DT_DIR;
    if (e->d_type == DT_DIR || e->d_type == DT_REG)
        return 0;
    if (e->d_type == DT_UNKNOWN) {
        if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return -ENOENT;
        is_link = S_ISLNK(st.st_mode);
        *ret_is_folder = S_ISDIR(st.st_mode);
        if (*ret_is_folder || S_ISREG(st.st_mode))
            return 0;
    }
    return is_link && fstatat(dir, e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)
               ? 0
               : -ENOENT;
}

/* What a longer part's begin and its folders add to names and paths. */
struct begin {
    int dir;
    char key[CHUNKS_MAX * FILE_NAME_CHUNK + FILE_NAME_PART_MAX + 1];
    char path[CHUNKS_MAX * (FILE_NAME_PART_MAX + 1) + FILE_NAME_PART_MAX + 1];
    unsigned n_chunks;
};

static int read_folder(struct level *l, const struct begin *b);

static int read_chunk(struct level *l, const struct begin *b, const char *entry,
                      const char *text)
{
    CLEANUP(freep) struct begin *next = malloc(sizeof(*next));
    int r;

    if (!next)
        return -ENOMEM;
    if (b->n_chunks == CHUNKS_MAX || strlen(text) != FILE_NAME_CHUNK)
        return 0;
    next->n_chunks = b->n_chunks + 1;
    if ((size_t)snprintf(next->key, sizeof(next->key), "%s%s", b->key, text)
            >= sizeof(next->key)
        || (size_t)snprintf(next->path, sizeof(next->path), "%s%s/", b->path, entry)
               >= sizeof(next->path))
        return 0;
    next->dir = openat(b->dir, entry, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (next->dir < 0)
        return 0;
    r = read_folder(l, next);
    close(next->dir);
    return r;
}

static int add_entry(struct level *l, const struct begin *b, const struct dirent *e)
{
    char key[sizeof(b->key) + FILE_NAME_PART_MAX];
    char path[sizeof(b->path) + FILE_NAME_PART_MAX];
    enum file_name_part part;
    const char *text;
    bool is_folder;

    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return 0;
    part = file_name_part(e->d_name, &text);
    /* Behind the begin of a part can only be how it goes on. */
    if (part == FILE_NAME_OURS || (part == FILE_NAME_WHOLE && b->n_chunks)
        || kind_of(b->dir, e, &is_folder) < 0)
        return 0;
    if (part == FILE_NAME_BEGUN)
        return is_folder ? read_chunk(l, b, e->d_name, text) : 0;
    snprintf(key, sizeof(key), "%s%s", b->key, text);
    snprintf(path, sizeof(path), "%s%s", b->path, e->d_name);
    return level_add(l, key, path, is_folder);
}

static int read_folder(struct level *l, const struct begin *b)
{
    int copy = openat(b->dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC), r = 0;
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;

    if (!entries) {
        r = -errno;
        if (copy >= 0)
            close(copy);
        return r;
    }
    while (r == 0 && (e = readdir(entries)))
        r = add_entry(l, b, e);
    closedir(entries);
    return r;
}

/* ---- the walk ---- */

/* The folder of walk->path, whose names begin with walk->name. */
static int push_level(struct file_walk *w, struct error *ret_error)
{
    CLEANUP(freep) struct begin *b = calloc(1, sizeof(*b));
    struct level l = { .name_len = w->name.len, .path_len = w->path.len };
    const char *path = w->path.len ? w->path.data : ".";
    int r = b ? 0 : -ENOMEM;

    if (r == 0 && w->depth == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 16;
        struct level *grown = reallocarray(w->levels, cap, sizeof(*grown));

        if (!grown || w->depth >= DEPTH_MAX)
            r = -ENOMEM;
        w->levels = grown ? grown : w->levels;
        w->cap = grown ? cap : w->cap;
    }
    if (r == 0) {
        b->dir = openat(w->root, path, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        r = b->dir < 0 ? -errno : read_folder(&l, b);
        if (b->dir >= 0)
            close(b->dir);
    }
    if (r < 0) {
        level_release(&l);
        if (r == -ENOENT || r == -ENOTDIR)
            return 0; /* gone meanwhile */
        return r == -ENOMEM ? r
                            : fail(ret_error, r == -EACCES ? r : -EIO,
                                   "the folder %.120s/%.300s cannot be read: %s",
                                   w->folder, path, strerror(-r));
    }
    if (l.n)
        qsort(l.entries, l.n, sizeof(*l.entries), compare_entries);
    w->levels[w->depth++] = l;
    return 0;
}

static void truncate_to(struct buffer *b, size_t len)
{
    b->len = len;
    if (b->data)
        b->data[len] = '\0';
}

static void pop_level(struct file_walk *w)
{
    level_release(&w->levels[--w->depth]);
}

int file_walk_new(const struct file_disk *d, const struct object_list *list,
                  struct file_walk **ret_walk, struct error *ret_error)
{
    CLEANUP(file_walk_freep) struct file_walk *w = NULL;
    int r;

    if (list->delimiter && list->delimiter != '/')
        return fail(ret_error, -EINVAL, "folders are told apart by '/' alone");
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->root = -1;
    w->delimiter = list->delimiter;
    w->folder = strdup(d->folder);
    w->prefix = strdup(list->prefix ? list->prefix : "");
    w->after = strdup(list->after ? list->after : "");
    if (!w->folder || !w->prefix || !w->after)
        return -ENOMEM;
    r = file_disk_root(d, false, &w->root, ret_error);
    if (r == 0)
        r = push_level(w, ret_error);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_walk = TAKE(w);
    return 0;
}

void file_walk_free(struct file_walk *w)
{
    if (!w)
        return;
    while (w->depth)
        pop_level(w);
    if (w->root >= 0)
        close(w->root);
    free(w->levels);
    free(w->prefix);
    free(w->after);
    free(w->folder);
    buffer_release(&w->name);
    buffer_release(&w->path);
    free(w);
}

static bool begins_with(const char *text, const char *front)
{
    return strncmp(text, front, strlen(front)) == 0;
}

/* Whether names that are asked for may lie in the folder of this name. */
static bool leads_on(const struct file_walk *w, const char *folder)
{
    if (!begins_with(folder, w->prefix) && !begins_with(w->prefix, folder))
        return false;
    return strcmp(folder, w->after) > 0 || begins_with(w->after, folder);
}

/* *ret_is_found: the name is one that is asked for, and to be told. */
static int go_on(struct file_walk *w, const struct entry *e, bool *ret_is_found,
                 struct error *ret_error)
{
    const char *name = w->name.data;
    bool is_asked = begins_with(name, w->prefix) && strcmp(name, w->after) > 0;

    *ret_is_found = false;
    if (!e->is_folder) {
        *ret_is_found = is_asked;
        return 0;
    }
    if (w->delimiter && begins_with(name, w->prefix) && strcmp(name, w->prefix) != 0) {
        *ret_is_found = is_asked;
        return 0;
    }
    return leads_on(w, name) ? push_level(w, ret_error) : 0;
}

/* False: it is gone, or what lies there is not where a name would be put. */
static bool tell_file(const struct file_walk *w, struct object_entry *ret)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    struct stat st;

    if (file_name_path(w->name.data, &path) < 0 || strcmp(path.data, w->path.data) != 0
        || fstatat(w->root, w->path.data, &st, 0) < 0)
        return false;
    *ret = (struct object_entry){ .name = w->name.data };
    file_disk_tell(&st, &ret->about);
    return true;
}

int file_walk_next(struct file_walk *w, const file_stop *stop,
                   struct object_entry *ret_entry, struct error *ret_error)
{
    while (w->depth) {
        struct level *l = &w->levels[w->depth - 1];
        struct entry *e;
        bool is_found;
        int r;

        if (l->at == l->n) {
            pop_level(w);
            continue;
        }
        if (atomic_load(stop))
            return -ECANCELED;
        e = &l->entries[l->at++];
        truncate_to(&w->name, l->name_len);
        truncate_to(&w->path, l->path_len);
        buffer_printf(&w->name, "%s%s", e->key, e->is_folder ? "/" : "");
        buffer_printf(&w->path, "%s%s", e->path, e->is_folder ? "/" : "");
        if (buffer_failed(&w->name) || buffer_failed(&w->path))
            return -ENOMEM;
        r = go_on(w, e, &is_found, ret_error);
        if (r < 0)
            return r;
        if (is_found && e->is_folder) {
            *ret_entry =
                (struct object_entry){ .name = w->name.data, .is_prefix = true };
            return 1;
        }
        if (is_found && tell_file(w, ret_entry))
            return 1;
    }
    return 0;
}
