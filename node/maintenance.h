/* SPDX-License-Identifier: Apache-2.0 */
/* maintenance - is what was kept still what it was, and what can be deleted?
 *
 * Both read the whole store, or much of it: they belong on a thread of their own. A
 * caller that wants to stop them sets *is_stopping; they return -ECANCELED then. */
#pragma once

#include <stdatomic.h>

#include "flow/flow.h"
#include "node/signatures.h"
#include "proto/record.h"
#include "store/blobs.h"
#include "store/gc.h"

struct maintenance {
    struct writer *writer;
    struct blobs *blobs;
    const struct mesh_root *root;   /* of the node's mesh; NULL: it is of none */
    const atomic_bool *is_stopping; /* NULL: never */
};

struct verify_damage {
    const char *what; /* "record", "package", "artifact", "log", "signature" */
    const char *step; /* NULL: it is no task's */
    struct task_id task;
    uint32_t attempt;
    const char *name; /* of the artifact; a path in a folder; NULL */
    bool has_id;
    struct digest id;
    const char *problem; /* a sentence */
    bool is_unsigned;    /* no damage: an attempt that nobody signed */
};

struct verify_report {
    uint64_t n_checked, n_damaged, bytes;
    struct signatures signatures;
};
void verify_report_release(struct verify_report *r);

/* Hash again all that a run has kept: its package, each output, each file in a folder,
 * each log; and check its records and who signed them. `each` is told what is damaged,
 * and what is unsigned; the pointers are valid for the call; a negative result ends the
 * verification. *ret_report is the caller's to release.
 * flow NULL: the one in the run's record, where steps get their names.
 * -ENOENT: no such run. Damage is no error. */
int verify_run(const struct maintenance *m, const struct run_id *run,
               const struct flow *flow,
               int (*each)(void *arg, const struct verify_damage *damage), void *arg,
               struct verify_report *ret_report);

/* Delete each blob that no record names; dry_run only counts.
 * -EALREADY         one is running
 * -EBADMSG, ...     a record or a folder's manifest cannot be read: nothing is deleted,
 *                   because it may name any blob */
int gc_store(const struct maintenance *m, bool dry_run, struct gc_report *ret_report);
/* The same, but only until all blobs together have target_bytes or less, the longest
 * unused first. */
int evict_store(const struct maintenance *m, uint64_t target_bytes,
                uint64_t *ret_freed_bytes);
