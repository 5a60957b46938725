/* SPDX-License-Identifier: Apache-2.0 */
/* pending - writes on their way to the store, and what they make of it meanwhile.
 *
 * The writer fills one while it commits the other. A write to a key that is there
 * already takes its place: a group is committed whole, so only the last one counts. */
#pragma once

#include "store/store.h"

struct file_sync {
    struct file_sync *next;
    int fd;
    char *old_path, *new_path; /* NULL: no rename; no folder to sync */
};

struct pending_slot {
    uint32_t hash, index; /* index + 1 in writes; 0: free */
};

struct pending_block;

struct pending {
    struct store_write *writes; /* spans point into blocks */
    size_t n, cap;
    struct pending_slot *slots; /* open addressing by (table, key) */
    size_t n_slots;             /* a power of two, at least twice n */
    struct pending_block *blocks, *spares;
    struct file_sync *syncs, *last_sync;
    size_t bytes;
    uint64_t last_ticket; /* 0: empty */
};

void pending_release(struct pending *p);
/* Empty again; some memory is kept for the next ones, and a burst's is given back. */
void pending_clear(struct pending *p);

static inline bool pending_is_empty(const struct pending *p)
{
    return p->last_ticket == 0;
}

/* Copy writes with many bytes ahead, outside of any lock; *ret_packed is left alone
 * when they have few. Free it. -ENOMEM. */
int pending_pack(const struct store_write *writes, size_t n,
                 struct pending_block **ret_packed);
/* All of the writes, copied, or -ENOMEM. *packed is what pending_pack() made of them,
 * or NULL; it is taken on success. */
int pending_add(struct pending *p, const struct store_write *writes, size_t n,
                struct pending_block **packed);
/* Takes the sync and closes its descriptor when done. */
void pending_add_sync(struct pending *p, struct file_sync *take_sync);
void file_sync_free(struct file_sync *s);

/* NULL if nothing is written to the key. */
const struct store_write *pending_find(const struct pending *p, enum store_table table,
                                       struct span key);
bool pending_has_prefix(const struct pending *p, enum store_table table,
                        struct span prefix);
