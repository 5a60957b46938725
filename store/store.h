/* SPDX-License-Identifier: Apache-2.0 */
/* store - tables of keys and values that survive a crash.
 *
 * Three implementations: lmdb.c on disk, memory.c for tests, and simulations/disk.c,
 * which loses and tears what was not synced. Only lmdb.c knows MDB_*. Above it stand
 * writer.h (the one thread that writes), blobs.h (content) and the records of proto/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum store_table {
    STORE_META = 1, /* version, next run number, quota, node identity */
    STORE_RECORDS,  /* proto/record.h */
    STORE_BLOBS,    /* digest -> where its bytes are; store/blobs.h */
    STORE_CHUNKS,   /* digest, chunk number -> up to STORE_CHUNK_MAX bytes */
    STORE_TABLES_END,
};

/* 64 pages less LMDB's page header: such values take runs of equal size, which the
 * free list can reuse exactly. */
enum { STORE_CHUNK_MAX = 64 * 4096 - 16, STORE_VERSION = 1 };

struct span {
    const void *data;
    size_t len;
};

struct store_write {
    enum store_table table;
    struct span key, value;
    bool is_delete;
};

struct store;

struct store_ops {
    /* All of the writes or none; durable when it returns 0. Called by one thread.
     * -ENOSPC  the disk or the quota is full; nothing was written
     * -EIO     the disk failed: the store refuses all later commits */
    int (*commit)(struct store *s, const struct store_write *writes, size_t n);
    /* Appends the value to *ret. -ENOENT. Any thread. */
    int (*get)(struct store *s, enum store_table table, struct span key,
               struct buffer *ret);
    /* Calls `each` in key order for the keys with this prefix, from the first one that
     * is >= from (or the prefix itself when from is empty); stops when it returns
     * non-zero, and returns that. Spans are valid during the call only; each must not
     * call back into the store for longer than it takes to copy. Any thread. */
    int (*scan)(struct store *s, enum store_table table, struct span prefix,
                struct span from,
                int (*each)(void *arg, struct span key, struct span value), void *arg);
    /* Bytes the store takes on disk, and what is free around it. */
    int (*usage)(struct store *s, uint64_t *ret_used, uint64_t *ret_free);
    void (*close)(struct store *s);
};

struct store {
    const struct store_ops *ops;
};

/* Opens or makes the store in DIR/store (mode 0700) and takes its lock.
 * -EBUSY            another process holds it; *ret_pid (if not NULL) tells which
 * -EPROTONOSUPPORT  of a newer version
 * -EREMOTE          on a network file system; the text names the way out
 * -EBADMSG          damaged
 * other             as the system says */
int store_open_lmdb(const char *dir, struct store **ret_store, int *ret_pid,
                    struct error *ret_error);
int store_open_memory(struct store **ret_store);
void store_close(struct store *s); /* NULL is fine */
CLEANUP_POINTER(struct store, store_close);
