/* SPDX-License-Identifier: Apache-2.0 */
/* disk - a store whose crash loses and tears what was not synced.
 *
 *     disk_write() --> visible --- disk_sync() ---> durable
 *                         |
 *                    disk_crash(): of what was written and not synced a prefix
 *                    survives, and the write behind it may survive torn
 *
 * This is harsher than LMDB, which keeps a group or nothing: what the records' own
 * checksums can find, nobody has to promise. As a `struct store` it commits (write and
 * sync) and reads what is visible. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "proto/record.h"
#include "store/store.h"

enum disk_lie {
    DISK_FORGETS = 1,      /* a crash loses a synced record too */
    DISK_FLIPS_SYNCED = 2, /* a crash flips a byte of a synced record */
    DISK_KEEPS_TORN = 4,   /* a record that is said to be torn is whole */
};

struct disk_config {
    uint64_t seed;
    bool may_tear;
    bool keeps_groups; /* a crash keeps what one disk_write() wrote, or nothing of it */
    unsigned lies;     /* enum disk_lie, or-ed: for tests of the checkers */
};

struct disk;

/* NULL without memory. */
struct disk *disk_new(const struct disk_config *config);
void disk_free(struct disk *d);
CLEANUP_POINTER(struct disk, disk_free);

struct store *disk_store(struct disk *d);

/* Hand a group over, in order. -ENOSPC: full, nothing was written; -EIO; -ENOMEM. */
int disk_write(struct disk *d, const struct store_write *writes, size_t n);
/* All that was written is durable from now on. -EIO: it failed, and the disk refuses
 * everything until the next disk_crash(). */
int disk_sync(struct disk *d);
/* 0 or -ENOMEM. */
int disk_crash(struct disk *d);

void disk_set_full(struct disk *d, bool is_full);
void disk_fail_sync(struct disk *d); /* the next one */

/* As store get, of what is durable. */
int disk_durable(struct disk *d, enum store_table table, struct span key,
                 struct buffer *ret);
/* Whether this record was torn by a crash and not written since. */
bool disk_is_torn(const struct disk *d, struct span key);
