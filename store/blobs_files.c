/* SPDX-License-Identifier: Apache-2.0 */
/* The file class: blobs that are files of their own. */
#include "store/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "store/blobs_internal.h"
#include "store/digest.h"
#include "store/fault.h"

enum { COPY_SIZE = 1 << 20 };

int blob_path(const struct blobs *b, const struct digest *id, char path[PLACE_PATH_MAX])
{
    char hex[DIGEST_TEXT_SIZE];
    int n;

    digest_text(id, hex);
    n = snprintf(path, PLACE_PATH_MAX, "%s/blobs/%.2s/%s", b->dir, hex, hex);
    return n < 0 || n >= PLACE_PATH_MAX ? -ENAMETOOLONG : 0;
}

int blob_write_all(int fd, const char *data, size_t len)
{
    if (fault_hits(FAULT_FILE_ENOSPC))
        return -ENOSPC;
    while (len) {
        size_t part = len > 1 && fault_hits(FAULT_WRITE_SHORT) ? len / 2 : len;
        ssize_t n = write(fd, data, part);

        if (n < 0 && errno != EINTR)
            return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int blob_read_file(int fd, uint64_t offset, uint64_t len, struct buffer *ret)
{
    size_t before = ret->len;

    while (len) {
        size_t part = len < COPY_SIZE ? (size_t)len : COPY_SIZE;
        char *at = buffer_reserve(ret, part);
        ssize_t n = at ? pread(fd, at, part, (off_t)offset) : 0;
        int error = errno;

        if (n < 0 && error == EINTR)
            continue;
        if (!at || n < 0) {
            ret->len = before;
            return at ? -error : -ENOMEM;
        }
        if (n == 0)
            break;
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

/* ---- folders ---- */

/* A new folder's own name is durable before an entry relies on it. */
static int sync_later(struct blobs *b, const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return writer_sync_file(b->writer, fd, NULL, NULL) ? 0 : -ENOMEM;
}

static int make_folder(struct blobs *b, const char *path, const char *parent)
{
    if (mkdir(path, 0700) == 0)
        return sync_later(b, parent);
    return errno == EEXIST ? 0 : -errno;
}

static int make_root(struct blobs *b)
{
    char root[PLACE_PATH_MAX], temporary[PLACE_PATH_MAX];
    int r;

    if (b->has_root)
        return 0;
    r = place_join(root, b->dir, "blobs");
    if (r == 0)
        r = place_join(temporary, root, "tmp");
    if (r == 0)
        r = make_folder(b, root, b->dir);
    if (r == 0 && mkdir(temporary, 0700) < 0 && errno != EEXIST)
        r = -errno;
    b->has_root = r == 0;
    return r;
}

static int make_folder_of(struct blobs *b, const struct digest *id)
{
    char root[PLACE_PATH_MAX], folder[PLACE_PATH_MAX], name[3];
    int r = make_root(b);

    if (r < 0 || b->has_folder[id->bytes[0]])
        return r;
    snprintf(name, sizeof(name), "%02x", id->bytes[0]);
    r = place_join(root, b->dir, "blobs");
    if (r == 0)
        r = place_join(folder, root, name);
    if (r == 0)
        r = make_folder(b, folder, root);
    b->has_folder[id->bytes[0]] = r == 0;
    return r;
}

void blob_clean_temporary(struct blobs *b)
{
    char path[PLACE_PATH_MAX];
    struct dirent *entry;
    DIR *dir;

    if (place_join(path, b->dir, "blobs/tmp") < 0)
        return;
    dir = opendir(path);
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

/* ---- placing ---- */

int blob_find_whole(struct blobs *b, const struct digest *id, uint64_t size)
{
    char path[PLACE_PATH_MAX];
    struct blob_entry entry;
    struct stat st;
    int r = blob_find(b, id, &entry);

    if (r < 0)
        return r;
    if (entry.class == BLOB_CHUNKED) {
        blob_touch(b, id, &entry);
        return 0;
    }
    r = blob_path(b, id, path);
    if (r < 0)
        return r;
    if (entry.size == size && lstat(path, &st) == 0 && S_ISREG(st.st_mode)
        && (uint64_t)st.st_size == size) {
        blob_touch(b, id, &entry);
        return 0;
    }
    /* Its file is gone or cut. The entry goes first, and durably, or else a crash might
     * leave it in charge of the new file before that is synced. */
    r = blob_delete(b, id, &entry);
    if (r == 0)
        r = writer_wait(b->writer, b->ticket);
    return r < 0 ? r : -ENOENT;
}

/* The file's bytes, and the folder's list, are synced before the entry that is queued
 * behind them. */
static int queue_file(struct blobs *b, int take_fd, const char *path,
                      const struct digest *id, uint64_t size)
{
    struct blob_entry entry = { .class = BLOB_FILE,
                                .size = size,
                                .used_ms = b->wall_ms() };
    struct stat st;
    int r;

    if (fstat(take_fd, &st) < 0) {
        r = -errno;
        close(take_fd);
        return r;
    }
    entry.mtime_ns = stat_mtime_ns(&st);
    if (!writer_sync_file(b->writer, take_fd, NULL, path))
        return -ENOMEM;
    b->n_unsynced++;
    r = blob_enter(b, id, &entry, NULL);
    if (r == 0)
        blob_touch(b, id, &entry);
    return r;
}

/* Who makes files faster than the disk syncs them waits here, without the lock. */
static int wait_for_syncs(struct blobs *b)
{
    uint64_t ticket = 0;

    pthread_mutex_lock(&b->lock);
    if (b->n_unsynced >= BLOBS_UNSYNCED_MAX) {
        ticket = b->ticket;
        b->n_unsynced = 0;
    }
    pthread_mutex_unlock(&b->lock);
    return ticket ? writer_wait(b->writer, ticket) : 0;
}

static int place(struct blobs *b, const char *path, const struct digest *id,
                 uint64_t size)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char final[PLACE_PATH_MAX];
    int take_fd, r;

    if (fd < 0)
        return -errno;
    r = blob_has_room(b, size, false);
    if (r == 0)
        r = make_folder_of(b, id);
    if (r == 0)
        r = blob_path(b, id, final);
    if (r < 0)
        return r;
    if (fchmod(fd, 0444) < 0 || rename(path, final) < 0)
        return -errno;
    take_fd = fd;
    fd = -1;
    return queue_file(b, take_fd, final, id, size);
}

/* ---- temporary files ---- */

struct temporary {
    char path[PLACE_PATH_MAX]; /* "": none to remove */
    int fd;
};

static void temporary_release(struct temporary *t)
{
    closep(&t->fd);
    if (t->path[0])
        unlink(t->path);
}

static int temporary_make(struct blobs *b, uint64_t size, struct temporary *t)
{
    char name[64];
    int r;

    pthread_mutex_lock(&b->lock);
    r = blob_has_room(b, size, true);
    if (r == 0)
        r = make_root(b);
    snprintf(name, sizeof(name), "blobs/tmp/%" PRIu64, ++b->n_temporary);
    pthread_mutex_unlock(&b->lock);
    if (r == 0)
        r = place_join(t->path, b->dir, name);
    if (r < 0) {
        t->path[0] = '\0';
        return r;
    }
    t->fd = open(t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return t->fd < 0 ? -errno : 0;
}

int blobs_make_file(struct blobs *b, uint64_t size, char ret_path[BLOB_FILE_PATH_MAX],
                    int *ret_fd)
{
    CLEANUP(temporary_release) struct temporary t = { .fd = -1 };
    int r = temporary_make(b, size, &t);

    if (r == -ENOSPC && blob_makes_room(b, size))
        r = temporary_make(b, size, &t);
    if (r < 0)
        return r;
    memcpy(ret_path, t.path, sizeof(t.path));
    *ret_fd = t.fd;
    t.fd = -1;
    t.path[0] = '\0';
    return 0;
}

static int place_temporary(struct blobs *b, struct temporary *t,
                           const struct digest *id, uint64_t size)
{
    int r = wait_for_syncs(b);

    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    r = blob_find_whole(b, id, size);
    if (r == -ENOENT) {
        r = place(b, t->path, id, size);
        if (r == 0)
            t->path[0] = '\0';
    }
    pthread_mutex_unlock(&b->lock);
    return r;
}

int blob_put_large(struct blobs *b, const struct digest *id, const void *data,
                   size_t len)
{
    CLEANUP(temporary_release) struct temporary t = { .fd = -1 };
    int r;

    pthread_mutex_lock(&b->lock);
    r = blob_find_whole(b, id, len);
    pthread_mutex_unlock(&b->lock);
    if (r != -ENOENT)
        return r;
    r = temporary_make(b, len, &t);
    if (r == 0)
        r = blob_write_all(t.fd, data, len);
    return r < 0 ? r : place_temporary(b, &t, id, len);
}

int blob_copy_bytes(int from, int to, uint64_t size, struct digest *ret_id)
{
    CLEANUP(digest_stream_freep) struct digest_stream *stream = digest_stream_new();
    CLEANUP(freep) char *data = malloc(COPY_SIZE);
    uint64_t offset = 0;

    if (!stream || !data)
        return -ENOMEM;
    while (offset < size) {
        ssize_t n = pread(from, data, COPY_SIZE, (off_t)offset);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ESTALE;
        r = blob_write_all(to, data, (size_t)n);
        if (r == 0)
            r = digest_stream_add(stream, data, (size_t)n);
        if (r < 0)
            return r;
        offset += (uint64_t)n;
    }
    *ret_id = digest_stream_end(stream);
    return offset == size ? 0 : -ESTALE;
}

bool blob_clone_file(struct blobs *b, int from, int to)
{
    if (atomic_load(&b->has_no_reflink))
        return false;
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    /* The file system will never do it; other errors are about these two files. */
    if (errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS)
        atomic_store(&b->has_no_reflink, true);
    return false;
}

static int copy_large(struct blobs *b, int from, uint64_t size, const struct digest *id)
{
    CLEANUP(temporary_release) struct temporary t = { .fd = -1 };
    struct digest copied;
    int r = temporary_make(b, size, &t);

    if (r < 0)
        return r;
    if (blob_clone_file(b, from, t.fd))
        r = digest_file(t.fd, size, BLOB_HASH_THREADS, &copied);
    else
        r = blob_copy_bytes(from, t.fd, size, &copied);
    if (r < 0)
        return r;
    return digest_equal(&copied, id) ? place_temporary(b, &t, id, size) : -ESTALE;
}

static int copy_small(struct blobs *b, int from, uint64_t size, const struct digest *id)
{
    CLEANUP(buffer_release) struct buffer data = BUFFER_INIT;
    int r = blob_read_file(from, 0, size + 1, &data);
    struct digest found;

    if (r < 0)
        return r;
    found = digest_memory(data.data, data.len);
    if (data.len != size || !digest_equal(&found, id))
        return -ESTALE;
    return blob_put_small(b, id, data.data, data.len);
}

static int open_regular(const char *path, uint64_t size, int *ret_fd,
                        struct stat *ret_st)
{
    int fd = place_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int r = 0;

    if (fd < 0)
        return fd;
    if (fstat(fd, ret_st) < 0)
        r = -errno;
    else if (!S_ISREG(ret_st->st_mode))
        r = -EINVAL;
    else if ((uint64_t)ret_st->st_size != size)
        r = -ESTALE;
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

static int find_whole_unlocked(struct blobs *b, const struct digest *id, uint64_t size)
{
    int r;

    pthread_mutex_lock(&b->lock);
    r = blob_find_whole(b, id, size);
    pthread_mutex_unlock(&b->lock);
    return r;
}

static int copy_any(struct blobs *b, int fd, uint64_t size, const struct digest *id)
{
    int r = find_whole_unlocked(b, id, size);

    if (r != -ENOENT)
        return r;
    return size <= BLOB_CHUNKED_MAX ? copy_small(b, fd, size, id)
                                    : copy_large(b, fd, size, id);
}

static int copy_file(struct blobs *b, const char *path, uint64_t size,
                     const struct digest *id)
{
    CLEANUP(closep) int fd = -1;
    struct stat st;
    int r = open_regular(path, size, &fd, &st);

    return r < 0 ? r : copy_any(b, fd, size, id);
}

static int rename_large(struct blobs *b, const char *path, uint64_t size,
                        const struct digest *id)
{
    int r = wait_for_syncs(b);

    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    r = blob_find_whole(b, id, size);
    if (r == -ENOENT)
        r = place(b, path, id, size);
    pthread_mutex_unlock(&b->lock);
    return r;
}

static int adopt_file(struct blobs *b, const char *path, uint64_t size,
                      const struct digest *id)
{
    CLEANUP(closep) int fd = -1;
    struct stat st;
    int r = open_regular(path, size, &fd, &st);

    if (r < 0)
        return r;
    if (fault_hits(FAULT_FILE_ENOSPC))
        return -ENOSPC;
    r = size > BLOB_CHUNKED_MAX && st.st_nlink == 1 ? rename_large(b, path, size, id)
                                                    : -EXDEV;
    /* It lies elsewhere, is not ours to change, or has other names. */
    if (r == -EXDEV || r == -EPERM || r == -EACCES)
        r = copy_any(b, fd, size, id);
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = -errno;
    return r;
}

int blobs_copy_file(struct blobs *b, const char *path, uint64_t size,
                    const struct digest *id)
{
    int r = copy_file(b, path, size, id);

    return r == -ENOSPC && blob_makes_room(b, size) ? copy_file(b, path, size, id) : r;
}

int blobs_adopt_file(struct blobs *b, const char *path, uint64_t size,
                     const struct digest *id)
{
    int r = adopt_file(b, path, size, id);

    return r == -ENOSPC && blob_makes_room(b, size) ? adopt_file(b, path, size, id) : r;
}
