/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/blobs_internal.h"
#include "store/digest.h"

enum {
    DISK_LOOK_MS = 1000,
    DISK_LOW_BYTES = 256 << 20, /* look each time below this */
    /* Left to the records: a commit that finds no room ends the node, a blob that finds
     * none fails its task. */
    DISK_RESERVE_BYTES = 8 << 20,
};

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- room ---- */

static int look_at_disk(struct blobs *b)
{
    uint64_t now = b->wall_ms(), used;

    if (b->disk_free > DISK_LOW_BYTES && now < b->disk_checked_ms + DISK_LOOK_MS)
        return 0;
    b->disk_checked_ms = now;
    return b->store->ops->usage(b->store, &used, &b->disk_free);
}

static bool exceeds_quota(const struct blobs *b, uint64_t size)
{
    return b->quota_bytes
           && (size > b->quota_bytes || b->bytes > b->quota_bytes - size);
}

void blobs_on_full(struct blobs *b, bool (*make_room)(void *arg, uint64_t bytes),
                   void *arg)
{
    b->make_room = make_room;
    b->make_room_arg = arg;
}

bool blob_makes_room(struct blobs *b, uint64_t size)
{
    bool exceeds;

    pthread_mutex_lock(&b->lock);
    exceeds = exceeds_quota(b, size);
    pthread_mutex_unlock(&b->lock);
    return exceeds && b->make_room && size <= b->quota_bytes
           && b->make_room(b->make_room_arg, size);
}

int blob_has_room(struct blobs *b, uint64_t size, bool takes_disk)
{
    int r, error;

    writer_durable(b->writer, &error);
    if (error)
        return -EIO;
    if (exceeds_quota(b, size))
        return -ENOSPC;
    if (!takes_disk)
        return 0;
    r = look_at_disk(b);
    if (r < 0)
        return r;
    if (b->disk_free < DISK_RESERVE_BYTES || size > b->disk_free - DISK_RESERVE_BYTES)
        return -ENOSPC;
    b->disk_free -= size;
    return 0;
}

/* The queue is bounded: who keeps blobs faster than the disk takes them waits here. */
static int wait_for_queue(struct blobs *b)
{
    uint64_t ticket;

    if (!writer_is_full(b->writer))
        return 0;
    pthread_mutex_lock(&b->lock);
    ticket = b->ticket;
    pthread_mutex_unlock(&b->lock);
    return writer_wait(b->writer, ticket);
}

/* ---- keeping and reading ---- */

/* For who has found an entry without the lock. */
static void touch_unlocked(struct blobs *b, const struct digest *id,
                           const struct blob_entry *seen)
{
    struct blob_entry entry;

    if (b->wall_ms() < seen->used_ms + BLOB_TOUCH_MS)
        return;
    pthread_mutex_lock(&b->lock);
    if (blob_find(b, id, &entry) == 0)
        blob_touch(b, id, &entry);
    pthread_mutex_unlock(&b->lock);
}

static int put_chunks(struct blobs *b, const struct digest *id, const void *data,
                      size_t len)
{
    struct blob_entry entry = { .class = BLOB_CHUNKED,
                                .size = len,
                                .used_ms = b->wall_ms() };
    int r = blob_has_room(b, len, true);

    if (r == 0)
        r = blob_enter(b, id, &entry, data);
    if (r == 0)
        blob_touch(b, id, &entry);
    return r;
}

int blob_put_small(struct blobs *b, const struct digest *id, const void *data,
                   size_t len)
{
    int r = wait_for_queue(b);

    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    r = blob_find_whole(b, id, len);
    if (r == -ENOENT)
        r = put_chunks(b, id, data, len);
    pthread_mutex_unlock(&b->lock);
    return r;
}

static int put(struct blobs *b, const struct digest *id, const void *data, size_t len)
{
    return len <= BLOB_CHUNKED_MAX ? blob_put_small(b, id, data, len)
                                   : blob_put_large(b, id, data, len);
}

int blobs_put(struct blobs *b, const void *data, size_t len, struct digest *ret_id)
{
    struct digest id = digest_memory(data, len);
    int r = put(b, &id, data, len);

    if (r == -ENOSPC && blob_makes_room(b, len))
        r = put(b, &id, data, len);
    if (r == 0)
        *ret_id = id;
    return r;
}

int blobs_stat(struct blobs *b, const struct digest *id, uint64_t *ret_size)
{
    struct blob_entry entry;
    int r = blob_find(b, id, &entry);

    if (r == 0)
        *ret_size = entry.size;
    return r;
}

/* Append [from, to) of chunk i, which must have `size` bytes. */
static int read_chunk(struct blobs *b, const struct digest *id, size_t i, size_t size,
                      size_t from, size_t to, struct buffer *ret)
{
    size_t before = ret->len;
    uint8_t key[CHUNK_KEY_SIZE];
    int r;

    blob_chunk_key(id, i, key);
    r = writer_get(b->writer, STORE_CHUNKS, (struct span){ key, sizeof(key) }, ret);
    if (r == 0 && ret->len - before != size)
        r = -EIO;
    if (r < 0) {
        ret->len = before;
        return r == -ENOENT ? -EIO : r;
    }
    if (from)
        memmove(ret->data + before, ret->data + before + from, to - from);
    ret->len = before + (to - from);
    ret->data[ret->len] = '\0';
    return 0;
}

static int read_chunks(struct blobs *b, const struct digest *id, uint64_t size,
                       uint64_t offset, uint64_t len, struct buffer *ret)
{
    size_t before = ret->len;
    uint64_t end = offset + len;

    for (size_t i = (size_t)(offset / STORE_CHUNK_MAX); offset < end; i++) {
        uint64_t base = (uint64_t)i * STORE_CHUNK_MAX;
        size_t chunk =
            (size_t)(size - base < STORE_CHUNK_MAX ? size - base : STORE_CHUNK_MAX);
        size_t to = min_size(chunk, (size_t)(end - base));
        int r = read_chunk(b, id, i, chunk, (size_t)(offset - base), to, ret);

        if (r < 0) {
            ret->len = before;
            return r;
        }
        offset = base + to;
    }
    return 0;
}

int blobs_read(struct blobs *b, const struct digest *id, uint64_t offset, uint64_t len,
               struct buffer *ret)
{
    CLEANUP(closep) int fd = -1;
    struct blob_entry entry;
    int r = blob_find(b, id, &entry);

    if (r < 0)
        return r;
    touch_unlocked(b, id, &entry);
    if (offset >= entry.size)
        return buffer_append(ret, "", 0);
    if (len > entry.size - offset)
        len = entry.size - offset;
    if (entry.class == BLOB_CHUNKED)
        return read_chunks(b, id, entry.size, offset, len, ret);
    r = blobs_open_file(b, id, &fd);
    return r < 0 ? r : blob_read_file(fd, offset, len, ret);
}

int blobs_open_file(struct blobs *b, const struct digest *id, int *ret_fd)
{
    CLEANUP(closep) int fd = -1;
    char path[PLACE_PATH_MAX];
    struct blob_entry entry;
    struct stat st;
    int r = blob_find(b, id, &entry);

    if (r == 0 && entry.class != BLOB_FILE)
        r = -ENOTSUP;
    if (r == 0)
        r = blob_path(b, id, path);
    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? -EIO : -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size != entry.size)
        return -EIO;
    touch_unlocked(b, id, &entry);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int verify_file(struct blobs *b, const struct digest *id, uint64_t size,
                       unsigned threads)
{
    CLEANUP(closep) int fd = -1;
    struct digest found;
    int r = blobs_open_file(b, id, &fd);

    if (r == 0)
        r = digest_file(fd, size, threads, &found);
    if (r == 0 && !digest_equal(&found, id))
        r = -EBADMSG;
    return r == -EIO || r == -ESTALE ? -EBADMSG : r;
}

static int verify_chunks(struct blobs *b, const struct digest *id, uint64_t size)
{
    CLEANUP(buffer_release) struct buffer data = BUFFER_INIT;
    int r = read_chunks(b, id, size, 0, size, &data);
    struct digest found;

    if (r < 0)
        return r == -EIO ? -EBADMSG : r;
    found = digest_memory(data.data, data.len);
    return digest_equal(&found, id) ? 0 : -EBADMSG;
}

int blobs_verify(struct blobs *b, const struct digest *id, unsigned threads)
{
    struct blob_entry entry;
    int r = blob_find(b, id, &entry);

    if (r < 0)
        return r == -EIO ? -EBADMSG : r;
    return entry.class == BLOB_FILE ? verify_file(b, id, entry.size, threads)
                                    : verify_chunks(b, id, entry.size);
}

int blobs_usage(struct blobs *b, struct blobs_usage *ret_usage)
{
    uint64_t used, free_bytes;
    int r = b->store->ops->usage(b->store, &used, &free_bytes);

    if (r < 0)
        return r;
    pthread_mutex_lock(&b->lock);
    *ret_usage = (struct blobs_usage){
        .n_blobs = b->n_blobs,
        .bytes = b->bytes,
        .quota_bytes = b->quota_bytes,
        .disk_free_bytes = free_bytes,
    };
    pthread_mutex_unlock(&b->lock);
    return 0;
}

/* ---- opening ---- */

int blobs_open(const char *dir, struct store *store, struct writer *writer,
               uint64_t quota_bytes, struct blobs **ret_blobs, struct error *ret_error)
{
    struct blobs *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return -ENOMEM;
    pthread_mutex_init(&b->lock, NULL);
    b->store = store;
    b->writer = writer;
    b->quota_bytes = quota_bytes;
    b->wall_ms = wall_ms;
    b->dir = strdup(dir);
    r = b->dir ? place_make(dir) : -ENOMEM;
    if (r == 0)
        r = blob_load_usage(b);
    if (r < 0) {
        blobs_close(b);
        return fail(ret_error, r, "cannot open the blobs in %s: %s", dir, strerror(-r));
    }
    blob_clean_temporary(b);
    *ret_blobs = b;
    return 0;
}

void blobs_close(struct blobs *b)
{
    struct blob_note *note, *next;

    if (!b)
        return;
    HASH_ITER (hh, b->notes, note, next) {
        HASH_DEL(b->notes, note);
        free(note);
    }
    pthread_mutex_destroy(&b->lock);
    free(b->dir);
    free(b);
}
