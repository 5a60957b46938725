/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tree.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/place.h"
#include "store/tree_internal.h"

static const char heading[] = "mesh-tree 1\n";

void tree_release(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->entries[i].path);
    free(t->entries);
    *t = (struct tree){ .n = 0 };
}

/* ---- rules ---- */

static bool is_part(const char *part, size_t len)
{
    return len > 0 && len <= 255 && !(len == 1 && part[0] == '.')
           && !(len == 2 && part[0] == '.' && part[1] == '.');
}

bool tree_is_path(const char *path)
{
    size_t depth = 0;

    if (strlen(path) > TREE_PATH_MAX)
        return false;
    for (;;) {
        size_t len = strcspn(path, "/");

        if (!is_part(path, len) || ++depth > TREE_DEPTH_MAX)
            return false;
        if (!path[len])
            return true;
        path += len + 1;
    }
}

static size_t count_parents(const char *path)
{
    size_t n = 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

bool tree_is_inside(const char *path, const char *target, size_t target_len)
{
    size_t left = count_parents(path);
    const char *end = target + target_len;
    bool is_front = true;

    if (target_len == 0 || target_len > TREE_PATH_MAX || target[0] == '/'
        || memchr(target, '\0', target_len))
        return false;
    while (target < end) {
        const char *slash = memchr(target, '/', (size_t)(end - target));
        size_t len = (size_t)((slash ? slash : end) - target);
        bool is_up = len == 2 && target[0] == '.' && target[1] == '.';

        if (is_up && (!is_front || left-- == 0))
            return false;
        if (!is_up && !(len == 1 && target[0] == '.') && len > 0)
            is_front = false;
        target += len + (slash != NULL);
    }
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct tree_entry *x = a, *y = b;

    return strcmp(x->path, y->path);
}

void tree_sort(struct tree *t)
{
    if (t->n)
        qsort(t->entries, t->n, sizeof(*t->entries), compare_entries);
}

static int compare_prefix(const char *path, const char *prefix, size_t len)
{
    int order = strncmp(path, prefix, len);

    return order ? order : path[len] != '\0';
}

static bool has_entry(const struct tree *t, const char *path, size_t len)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = compare_prefix(t->entries[mid].path, path, len);

        if (order == 0)
            return true;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* Of the parents of a path only those that the path before does not share are new. */
static size_t shared_len(const char *path, const char *before)
{
    size_t shared = 0;

    for (size_t i = 0; before && path[i] && path[i] == before[i]; i++)
        if (path[i] == '/')
            shared = i + 1;
    return shared;
}

bool tree_is_well_formed(const struct tree *t)
{
    const char *before = NULL;

    for (size_t i = 0; i < t->n; i++) {
        const char *path = t->entries[i].path;

        if (before && strcmp(before, path) >= 0)
            return false;
        for (size_t j = shared_len(path, before); path[j]; j++)
            if (path[j] == '/' && has_entry(t, path, j))
                return false;
        before = path;
    }
    return true;
}

static int grow(struct tree *t)
{
    size_t cap = t->cap ? 2 * t->cap : 64;
    struct tree_entry *entries = realloc(t->entries, cap * sizeof(*entries));

    if (!entries)
        return -ENOMEM;
    t->entries = entries;
    t->cap = cap;
    return 0;
}

int tree_add(struct tree *t, char *take_path, unsigned mode, uint64_t size,
             const struct digest *id)
{
    int r = 0;

    if (!take_path)
        return -ENOMEM;
    if (t->n >= TREE_FILES_MAX || size > UINT64_MAX - t->bytes)
        r = -E2BIG;
    else if (t->n == t->cap)
        r = grow(t);
    if (r < 0) {
        free(take_path);
        return r;
    }
    t->entries[t->n++] =
        (struct tree_entry){ .path = take_path, .mode = mode, .size = size, .id = *id };
    t->bytes += size;
    return 0;
}

/* ---- the manifest ---- */

static void encode_path(const char *path, struct buffer *out)
{
    for (; *path; path++) {
        if (*path == '\n')
            buffer_puts(out, "\\n");
        else if (*path == '\\')
            buffer_puts(out, "\\\\");
        else
            buffer_putc(out, *path);
    }
}

static void encode_entry(const struct tree_entry *e, struct buffer *out)
{
    char hex[DIGEST_TEXT_SIZE];

    digest_text(&e->id, hex);
    if (e->mode)
        buffer_printf(out, "%o %" PRIu64 " %s ", e->mode, e->size, hex);
    else
        buffer_printf(out, "link %" PRIu64 " %s ", e->size, hex);
    encode_path(e->path, out);
    buffer_putc(out, '\n');
}

int tree_encode(const struct tree *t, struct buffer *out)
{
    buffer_puts(out, heading);
    for (size_t i = 0; i < t->n; i++)
        encode_entry(&t->entries[i], out);
    return buffer_failed(out);
}

/* The rest of a line. */
struct text {
    const char *at, *end;
};

/* Up to the next space, which is passed over. */
static bool take_word(struct text *t, struct text *ret_word)
{
    const char *space = memchr(t->at, ' ', (size_t)(t->end - t->at));

    if (!space)
        return false;
    *ret_word = (struct text){ t->at, space };
    t->at = space + 1;
    return true;
}

static bool is_word(const struct text *t, const char *word)
{
    size_t len = strlen(word);

    return (size_t)(t->end - t->at) == len && memcmp(t->at, word, len) == 0;
}

static bool read_mode(const struct text *t, unsigned *ret_mode)
{
    if (is_word(t, "644"))
        *ret_mode = 0644;
    else if (is_word(t, "755"))
        *ret_mode = 0755;
    else if (is_word(t, "link"))
        *ret_mode = 0;
    else
        return false;
    return true;
}

/* As it is written: no sign, no leading zero. */
static bool read_size(const struct text *t, uint64_t *ret_size)
{
    uint64_t size = 0;

    if (t->at == t->end || (*t->at == '0' && t->end - t->at > 1))
        return false;
    for (const char *c = t->at; c < t->end; c++) {
        uint64_t digit = (uint64_t)(unsigned char)*c - '0';

        if (digit > 9 || __builtin_mul_overflow(size, (uint64_t)10, &size)
            || __builtin_add_overflow(size, digit, &size))
            return false;
    }
    *ret_size = size;
    return true;
}

static bool read_id(const struct text *t, struct digest *ret_id)
{
    char hex[DIGEST_TEXT_SIZE];

    if (t->end - t->at != sizeof(hex) - 1)
        return false;
    memcpy(hex, t->at, sizeof(hex) - 1);
    hex[sizeof(hex) - 1] = '\0';
    return digest_parse(hex, ret_id) == 0;
}

/* 0 and a path to free, -EBADMSG, -ENOMEM. */
static int read_path(const struct text *t, char **ret_path)
{
    CLEANUP(freep) char *path = malloc((size_t)(t->end - t->at) + 1);
    size_t n = 0;

    if (!path)
        return -ENOMEM;
    for (const char *c = t->at; c < t->end; c++) {
        if (*c == '\0')
            return -EBADMSG;
        if (*c != '\\') {
            path[n++] = *c;
            continue;
        }
        if (++c == t->end || (*c != 'n' && *c != '\\'))
            return -EBADMSG;
        path[n++] = *c == 'n' ? '\n' : '\\';
    }
    path[n] = '\0';
    if (!tree_is_path(path))
        return -EBADMSG;
    *ret_path = TAKE(path);
    return 0;
}

static int decode_line(struct text line, struct tree *t)
{
    struct text mode_word, size_word, id_word;
    char *path = NULL;
    struct digest id;
    unsigned mode;
    uint64_t size;
    int r;

    if (!take_word(&line, &mode_word) || !take_word(&line, &size_word)
        || !take_word(&line, &id_word) || !read_mode(&mode_word, &mode)
        || !read_size(&size_word, &size) || !read_id(&id_word, &id))
        return -EBADMSG;
    if (mode == 0 && (size == 0 || size > TREE_PATH_MAX))
        return -EBADMSG;
    r = read_path(&line, &path);
    if (r == 0)
        r = tree_add(t, path, mode, size, &id);
    return r == -E2BIG ? -EBADMSG : r;
}

int tree_decode(const char *data, size_t len, struct tree *ret_tree)
{
    CLEANUP(tree_release) struct tree t = { .n = 0 };
    struct text rest = { data, data + len };

    if (len < sizeof(heading) - 1 || memcmp(data, heading, sizeof(heading) - 1) != 0)
        return -EBADMSG;
    rest.at += sizeof(heading) - 1;
    while (rest.at < rest.end) {
        const char *newline = memchr(rest.at, '\n', (size_t)(rest.end - rest.at));
        int r;

        if (!newline)
            return -EBADMSG;
        r = decode_line((struct text){ rest.at, newline }, &t);
        if (r < 0)
            return r;
        rest.at = newline + 1;
    }
    if (!tree_is_well_formed(&t))
        return -EBADMSG;
    *ret_tree = t;
    t = (struct tree){ .n = 0 };
    return 0;
}

int tree_put(struct blobs *b, const struct tree *t, struct digest *ret_id)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int r = tree_encode(t, &text);

    return r < 0 ? r : blobs_put(b, text.data, text.len, ret_id);
}

/* The longest manifest there can be is far below; a larger blob is none. */
enum { MANIFEST_MAX = 1 << 30 };

int tree_get(struct blobs *b, const struct digest *id, struct tree *ret_tree)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t size;
    int r = blobs_stat(b, id, &size);

    if (r == 0 && size > MANIFEST_MAX)
        r = -EBADMSG;
    if (r == 0)
        r = blobs_read(b, id, 0, size, &text);
    return r < 0 ? r : tree_decode(buffer_text(&text), text.len, ret_tree);
}

/* ---- laying out ---- */

static int lay_out_link(struct blobs *b, const struct tree_entry *e, const char *path)
{
    CLEANUP(buffer_release) struct buffer target = BUFFER_INIT;
    int r = blobs_read(b, &e->id, 0, TREE_PATH_MAX + 1, &target);

    if (r < 0)
        return r;
    if (target.len != e->size
        || !tree_is_inside(e->path, buffer_text(&target), target.len))
        return -EBADMSG;
    return symlink(target.data, path) < 0 ? -errno : 0;
}

static int lay_out_entry(struct blobs *b, const struct tree_entry *e, const char *path,
                         bool may_link)
{
    bool is_linked;
    uint64_t size;
    int r = blobs_stat(b, &e->id, &size);

    if (r < 0)
        return r;
    if (size != e->size)
        return -EBADMSG;
    return e->mode ? blobs_lay_out(b, &e->id, path, e->mode, may_link, &is_linked)
                   : lay_out_link(b, e, path);
}

/* The folders above path that `before` did not have. */
static int make_parents(const char *dir, const char *path, const char *before)
{
    char full[PLACE_PATH_MAX];
    size_t base = strlen(dir) + 1;
    int r = place_join(full, dir, path);

    if (r < 0)
        return r;
    for (size_t j = shared_len(path, before); path[j]; j++) {
        if (path[j] != '/')
            continue;
        full[base + j] = '\0';
        if (mkdir(full, 0777) < 0 && errno != EEXIST)
            return -errno;
        full[base + j] = '/';
    }
    return 0;
}

static int make_empty(const char *dir)
{
    struct dirent *entry;
    DIR *d;
    int r = 0;

    if (mkdir(dir, 0777) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    d = opendir(dir);
    if (!d)
        return -errno;
    while (r == 0 && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = -EEXIST;
    closedir(d);
    return r;
}

int tree_lay_out(struct blobs *b, const struct tree *t, const char *dir, bool may_link,
                 struct error *ret_error)
{
    const char *before = NULL;
    int r = make_empty(dir);

    if (r < 0)
        return fail(ret_error, r, "cannot lay out in %s: %s", dir, strerror(-r));
    for (size_t i = 0; i < t->n; i++) {
        const struct tree_entry *e = &t->entries[i];
        char path[PLACE_PATH_MAX];

        r = make_parents(dir, e->path, before);
        if (r == 0)
            r = place_join(path, dir, e->path);
        if (r == 0)
            r = lay_out_entry(b, e, path, may_link);
        if (r < 0)
            return fail(ret_error, r, "cannot lay out %s in %s: %s", e->path, dir,
                        strerror(-r));
        before = e->path;
    }
    return 0;
}
