/* SPDX-License-Identifier: Apache-2.0 */
/* Files with the content of blobs, made for tasks, and whether a task wrote to one. */
#include "store/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/blobs_internal.h"

/* ---- laying out ---- */

static int make_file(const char *path, unsigned mode, int *ret_fd)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    if (fchmod(fd, mode & 0777) < 0) {
        int r = -errno;

        close(fd);
        unlink(path);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int write_chunked(struct blobs *b, const struct digest *id, uint64_t size,
                         const char *path, unsigned mode)
{
    CLEANUP(buffer_release) struct buffer data = BUFFER_INIT;
    CLEANUP(closep) int fd = -1;
    int r = blobs_read(b, id, 0, size, &data);

    if (r == 0)
        r = make_file(path, mode, &fd);
    if (r < 0)
        return r;
    r = blob_write_all(fd, data.data, data.len);
    if (r < 0)
        unlink(path);
    return r;
}

/* What the file was when we last touched it, against what it is. */
enum link_state {
    LINK_INTACT = 1,
    LINK_UNSURE, /* only its ctime differs: a link came or went, or worse */
    LINK_CHANGED,
};

static enum link_state compare(const struct blob_entry *entry,
                               const struct blob_note *note, const struct stat *st)
{
    if ((uint64_t)st->st_size != entry->size || stat_mtime_ns(st) != entry->mtime_ns)
        return LINK_CHANGED;
    if (!note || !note->is_linked || note->ctime_ns == stat_ctime_ns(st))
        return LINK_INTACT;
    return LINK_UNSURE;
}

static int add_link(const char *blob, const char *path)
{
    return link(blob, path) < 0 ? -errno : 0;
}

static int drop_link(const char *blob, const char *path)
{
    (void)blob;
    return unlink(path) < 0 ? -errno : 0;
}

/* With the lock: change the number of links of the blob by `change`, which alters its
 * ctime, and keep track of that. */
static int change_links(struct blobs *b, const struct digest *id, const char *blob,
                        const char *path,
                        int (*change)(const char *blob, const char *path))
{
    struct blob_note *note = blob_note_get(b, id);
    enum link_state state = LINK_CHANGED;
    struct blob_entry entry;
    struct stat st;
    int r;

    if (!note)
        return -ENOMEM;
    r = blob_find(b, id, &entry);
    if (r == 0 && lstat(blob, &st) < 0)
        r = -errno;
    if (r == 0)
        state = compare(&entry, note, &st);
    if (r == 0)
        r = state == LINK_CHANGED && change == add_link ? -EIO : change(blob, path);
    if (r < 0) {
        blob_note_drop(b, note);
        return r;
    }
    note->is_linked = true;
    note->ctime_ns =
        state == LINK_INTACT && lstat(blob, &st) == 0 ? stat_ctime_ns(&st) : 0;
    return 0;
}

int blobs_remove_link(struct blobs *b, const struct digest *id, const char *path)
{
    char blob[PLACE_PATH_MAX];
    int r = blob_path(b, id, blob);

    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    r = change_links(b, id, blob, path, drop_link);
    pthread_mutex_unlock(&b->lock);
    /* The blob went meanwhile; the link still has to. */
    return r == -ENOENT ? drop_link(blob, path) : r;
}

static bool reflink_out(struct blobs *b, int from, const char *path, unsigned mode)
{
    CLEANUP(closep) int fd = -1;

    if (atomic_load(&b->has_no_reflink) || make_file(path, mode, &fd) < 0)
        return false;
    if (blob_clone_file(b, from, fd))
        return true;
    unlink(path);
    return false;
}

static int copy_out(int from, uint64_t size, const char *path, unsigned mode)
{
    CLEANUP(closep) int fd = -1;
    struct digest copied;
    int r = make_file(path, mode, &fd);

    if (r < 0)
        return r;
    r = blob_copy_bytes(from, fd, size, &copied);
    if (r < 0)
        unlink(path);
    return r == -ESTALE ? -EIO : r;
}

/* A link shares its mode with the blob, which is 0444: executables are copied. */
static int link_out(struct blobs *b, const struct digest *id, const char *path,
                    unsigned mode)
{
    char blob[PLACE_PATH_MAX];
    int r;

    if (mode & 0111)
        return -EPERM;
    r = blob_path(b, id, blob);
    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    r = change_links(b, id, blob, path, add_link);
    pthread_mutex_unlock(&b->lock);
    return r;
}

static int lay_out_file(struct blobs *b, const struct digest *id, uint64_t size,
                        const char *path, unsigned mode, bool may_link,
                        bool *ret_linked)
{
    CLEANUP(closep) int fd = -1;
    int r = blobs_open_file(b, id, &fd);

    if (r < 0)
        return r;
    if (reflink_out(b, fd, path, mode))
        return 0;
    if (may_link) {
        r = link_out(b, id, path, mode);
        *ret_linked = r == 0;
        if (r != -EXDEV && r != -EPERM && r != -EMLINK && r != -EACCES)
            return r;
    }
    return copy_out(fd, size, path, mode);
}

int blobs_lay_out(struct blobs *b, const struct digest *id, const char *path,
                  unsigned mode, bool may_link, bool *ret_linked)
{
    struct blob_entry entry;
    bool is_linked = false;
    int r = blob_find(b, id, &entry);

    if (r < 0)
        return r;
    if (entry.class == BLOB_CHUNKED)
        r = write_chunked(b, id, entry.size, path, mode);
    else
        r = lay_out_file(b, id, entry.size, path, mode, may_link, &is_linked);
    if (r == 0)
        *ret_linked = is_linked;
    return r;
}

/* ---- checking links ---- */

static int look_at_link(struct blobs *b, const struct digest *id, struct stat *ret_st,
                        enum link_state *ret_state)
{
    char path[PLACE_PATH_MAX];
    struct blob_entry entry;
    int r;

    r = blob_path(b, id, path);
    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    r = blob_find(b, id, &entry);
    *ret_state = LINK_INTACT;
    if (r == 0 && entry.class == BLOB_FILE) {
        if (lstat(path, ret_st) < 0)
            *ret_state = LINK_CHANGED;
        else
            *ret_state = compare(&entry, blob_note_find(b, id), ret_st);
    }
    pthread_mutex_unlock(&b->lock);
    return r;
}

/* The ctime was that of `st` before the blob was hashed and found good. */
static void trust_link(struct blobs *b, const struct digest *id, const struct stat *st)
{
    struct blob_note *note;

    pthread_mutex_lock(&b->lock);
    note = blob_note_find(b, id);
    if (note)
        note->ctime_ns = stat_ctime_ns(st);
    pthread_mutex_unlock(&b->lock);
}

int blobs_is_intact(struct blobs *b, const struct digest *id)
{
    enum link_state state;
    struct stat st;
    int r = look_at_link(b, id, &st, &state);

    if (r < 0)
        return r;
    if (state == LINK_UNSURE) {
        r = blobs_verify(b, id, BLOB_HASH_THREADS);
        if (r < 0 && r != -EBADMSG)
            return r;
        state = r == 0 ? LINK_INTACT : LINK_CHANGED;
        if (r == 0)
            trust_link(b, id, &st);
    }
    if (state == LINK_INTACT)
        return 0;
    r = blobs_quarantine(b, id);
    return r < 0 ? r : -ESTALE;
}

/* ---- quarantine ---- */

static int quarantine_path(struct blobs *b, const struct digest *id,
                           char path[PLACE_PATH_MAX])
{
    char hex[DIGEST_TEXT_SIZE];
    int n;

    n = snprintf(path, PLACE_PATH_MAX, "%s/quarantine", b->dir);
    if (n < 0 || n >= PLACE_PATH_MAX)
        return -ENAMETOOLONG;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    digest_text(id, hex);
    n = snprintf(path, PLACE_PATH_MAX, "%s/quarantine/%s.%" PRIu64, b->dir, hex,
                 b->wall_ms());
    return n < 0 || n >= PLACE_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Whatever can be read, for a person to look at; losing it is no failure. */
static void save_chunks(struct blobs *b, const struct digest *id, uint64_t size,
                        const char *path)
{
    write_chunked(b, id, size, path, 0400);
}

int blobs_quarantine(struct blobs *b, const struct digest *id)
{
    char from[PLACE_PATH_MAX], to[PLACE_PATH_MAX];
    struct blob_entry entry;
    struct blob_note *note;
    int r = blob_find(b, id, &entry);

    if (r == 0)
        r = blob_path(b, id, from);
    if (r == 0)
        r = quarantine_path(b, id, to);
    if (r < 0)
        return r;
    if (entry.class == BLOB_CHUNKED)
        save_chunks(b, id, entry.size, to);
    pthread_mutex_lock(&b->lock);
    r = blob_find(b, id, &entry);
    if (r == 0 && entry.class == BLOB_FILE && rename(from, to) < 0 && errno != ENOENT)
        r = -errno;
    if (r == 0)
        r = blob_delete(b, id, &entry);
    note = blob_note_find(b, id);
    if (r == 0 && note) {
        note->is_linked = false;
        blob_note_drop(b, note);
    }
    pthread_mutex_unlock(&b->lock);
    return r;
}

int blobs_recheck(struct blobs *b, const struct digest *id)
{
    char path[PLACE_PATH_MAX];
    struct blob_entry entry;
    struct stat st;
    int r = blob_find(b, id, &entry);

    if (r < 0 || entry.class != BLOB_FILE)
        return r;
    r = blob_path(b, id, path);
    if (r < 0)
        return r;
    if (stat(path, &st) == 0)
        r = (uint64_t)st.st_size == entry.size ? 0 : -ENOENT;
    else
        r = -errno;
    if (r == -ENOENT && blobs_quarantine(b, id) == -ENOMEM)
        return -ENOMEM;
    return r;
}
