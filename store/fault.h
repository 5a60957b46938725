/* SPDX-License-Identifier: Apache-2.0 */
/* fault - makes the store fail where a disk would, for tests.
 *
 * A fault is armed with a countdown: the countdown-th time its place is passed it hits,
 * once. Nothing armed costs one load of a variable nobody writes. A program built with
 * -DMESH_FAULTS reads MESH_FAULT=name:countdown,... when it opens a store; others
 * ignore the variable. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

enum fault {
    FAULT_COMMIT_ENOSPC = 1, /* commit-enospc: the disk is full at a commit */
    FAULT_COMMIT_EIO,        /* commit-eio: the sync of a commit fails */
    FAULT_SYNC_EIO,          /* sync-eio: the sync of a blob's file fails */
    FAULT_WRITE_SHORT,       /* write-short: a write to a file takes half */
    FAULT_FILE_ENOSPC,       /* file-enospc: the disk is full at a blob's file */
    FAULT_END,
};

/* Countdown 0 disarms. */
void fault_set(enum fault fault, int countdown);
void fault_clear(void);
/* Reads MESH_FAULT, in a program built with -DMESH_FAULTS; else does nothing. */
void fault_from_environment(void);

extern atomic_int fault_n_armed;
bool fault_count(enum fault fault);

static inline bool fault_hits(enum fault fault)
{
    return atomic_load_explicit(&fault_n_armed, memory_order_relaxed)
           && fault_count(fault);
}
