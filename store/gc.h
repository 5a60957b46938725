/* SPDX-License-Identifier: Apache-2.0 */
/* gc - deletes the blobs that nothing names: mark, then sweep.
 *
 * What names a blob is known above the store: `mark` goes through the records and calls
 * gc_mark() and gc_mark_tree(). What is kept while it does so is held by itself, but a
 * blob that was kept before and is in no record yet must be pinned. */
#pragma once

#include "store/blobs.h"

enum { GC_MARKED_MAX = 32 << 20 }; /* 2 GiB of digests */

struct gc;

/* Returns 0 or a negative errno, which ends the run with nothing deleted. */
typedef int gc_mark_fn(void *arg, struct gc *gc);

/* 0, -ENOMEM, -E2BIG beyond GC_MARKED_MAX. */
int gc_mark(struct gc *gc, const struct digest *id);
/* A tree's manifest and all it names; each tree is read once. A manifest that is not
 * here marks only itself; -EBADMSG, -EIO for one that cannot be read. */
int gc_mark_tree(struct gc *gc, const struct digest *id);

/* The same, but only as many as it takes until all blobs together have target_bytes or
 * less, the longest unused first. */
int gc_evict(struct blobs *b, gc_mark_fn *mark, void *arg, uint64_t target_bytes,
             uint64_t *ret_freed_bytes);

/* -EALREADY: one is running. On failure of `mark` nothing was deleted. */
int gc_run(struct blobs *b, gc_mark_fn *mark, void *arg, bool dry_run,
           struct gc_report *ret_report);
