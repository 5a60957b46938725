/* SPDX-License-Identifier: Apache-2.0 */
/* blobs_internal - what the files blobs*.c share; tests set the clock. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "store/blobs.h"
#include "store/place.h"

enum blob_class { BLOB_CHUNKED = 1, BLOB_FILE };

/* The value of a key in STORE_BLOBS, big-endian:
 *     class u8 | size u64 | used_ms u64 | mtime_ns u64 (0 when chunked) */
struct blob_entry {
    enum blob_class class;
    uint64_t size, used_ms, mtime_ns;
};

enum { BLOB_ENTRY_SIZE = 1 + 3 * 8, CHUNK_KEY_SIZE = DIGEST_SIZE + 4 };

/* Each sync that waits holds a descriptor. */
enum { BLOBS_UNSYNCED_MAX = 64 };

/* Uses are noted when the last note is older. */
enum { BLOB_TOUCH_MS = 3600 * 1000 };

/* Room for the writes that concern one blob: chunks, entry, usage. */
enum {
    CHUNKS_MAX = BLOB_CHUNKED_MAX / STORE_CHUNK_MAX + 1,
    BLOB_WRITES_MAX = CHUNKS_MAX + 2
};

/* What is known of a blob only while the node runs. */
struct blob_note {
    struct digest id;
    uint32_t n_pins;
    uint64_t used;     /* by our clock, while somebody holds; 0: not held for that */
    bool is_linked;    /* a task may have a link to it: ctime_ns counts */
    uint64_t ctime_ns; /* after our last change of it; 0: not known */
    struct blob_note *prev, *next; /* among those with `used`, oldest first */
    UT_hash_handle hh;
};

struct blobs {
    char *dir;
    struct store *store;
    struct writer *writer;
    uint64_t quota_bytes;
    uint64_t (*wall_ms)(void);
    bool (*make_room)(void *arg, uint64_t bytes);
    void *make_room_arg;

    pthread_mutex_t lock; /* of all below, and of reading an entry to change it */
    uint64_t n_blobs, bytes;
    struct blob_note *notes, *used;
    struct blobs_hold *holds; /* oldest first */
    uint64_t clock;           /* of holds and of what is used meanwhile */
    uint64_t n_temporary;
    bool has_root, has_folder[256];      /* known to exist */
    struct blobs_hold watch;             /* of a sweep that marks */
    uint64_t disk_free, disk_checked_ms; /* the last look, less what was kept since */
    uint64_t ticket;                     /* of our last write */
    unsigned n_unsynced;        /* files queued since all were known to be synced */
    atomic_bool has_no_reflink; /* not under the lock */
};

/* -ENOENT; -EIO for an entry that cannot be read. With or without the lock. */
int blob_find(struct blobs *b, const struct digest *id, struct blob_entry *ret_entry);
void blob_chunk_key(const struct digest *id, size_t i, uint8_t key[CHUNK_KEY_SIZE]);
int blob_load_usage(struct blobs *b);
bool blob_is_entry(struct span value, struct blob_entry *ret_entry);

/* With the lock: */
int blob_enter(struct blobs *b, const struct digest *id, const struct blob_entry *entry,
               const void *data);
int blob_delete(struct blobs *b, const struct digest *id,
                const struct blob_entry *entry);
struct blob_note *blob_note_find(struct blobs *b, const struct digest *id);
struct blob_note *blob_note_get(struct blobs *b, const struct digest *id);
void blob_note_drop(struct blobs *b, struct blob_note *note);
bool blob_is_held(struct blobs *b, const struct digest *id);
/* Notes a use: of an entry older than an hour, and while somebody holds. */
void blob_touch(struct blobs *b, const struct digest *id, struct blob_entry *entry);
int blob_has_room(struct blobs *b, uint64_t size, bool takes_disk);
/* Without the lock: whether it did not fit into the quota, and may now. */
bool blob_makes_room(struct blobs *b, uint64_t size);
/* 0 if it is here and whole; -ENOENT if it is to be made (again). */
int blob_find_whole(struct blobs *b, const struct digest *id, uint64_t size);

/* Without it: */
int blob_put_small(struct blobs *b, const struct digest *id, const void *data,
                   size_t len);
int blob_put_large(struct blobs *b, const struct digest *id, const void *data,
                   size_t len);
int blob_path(const struct blobs *b, const struct digest *id,
              char path[PLACE_PATH_MAX]);
/* From now on hold what is kept or used. -EALREADY. */
int blob_watch(struct blobs *b);
void blob_watch_end(struct blobs *b);
/* Empties DIR/blobs/tmp. */
void blob_clean_temporary(struct blobs *b);
int blob_write_all(int fd, const char *data, size_t len);
/* Copy size bytes from one file to another; *ret_id is what was copied. */
int blob_copy_bytes(int from, int to, uint64_t size, struct digest *ret_id);
bool blob_clone_file(struct blobs *b, int from, int to);
enum { BLOB_HASH_THREADS = 2 };
/* Appends the file's `len` bytes from offset; less at its end. */
int blob_read_file(int fd, uint64_t offset, uint64_t len, struct buffer *ret);

static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline uint64_t stat_mtime_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

static inline uint64_t stat_ctime_ns(const struct stat *st)
{
    return (uint64_t)st->st_ctim.tv_sec * 1000000000u + (uint64_t)st->st_ctim.tv_nsec;
}
