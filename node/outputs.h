/* SPDX-License-Identifier: Apache-2.0 */
/* outputs - keeps what a task left behind, as artifacts.
 *
 * Each file or folder at $MESH_OUT/<name>, each path that `outputs` maps to a name, and
 * what $MESH_OUT/.mesh declares (declared.h).
 * Runs when the whole process tree is dead. Touches files and blobs only, so a large
 * job can run in another thread: see outputs_are_small(). */
#pragma once

#include "base/error.h"
#include "node/account.h"
#include "flow/flow.h"
#include "node/slot.h"
#include "store/blobs.h"

enum {
    OUTPUTS_MAX = 4096,            /* artifacts of one task */
    OUTPUTS_SMALL_BYTES = 1 << 18, /* up to here the loop does it itself */
    OUTPUTS_SMALL_N = 32,
};

struct outputs_job {
    struct blobs *blobs;
    const struct step *step;
    const char *out_path, *work_path; /* of $MESH_OUT; the task's working folder */
    const struct output_type *types;  /* what `mesh artifact put` said */
    unsigned threads;                 /* for hashing */
    const struct account *as; /* whose rights paths are followed with; NULL: ours */
};

/* Whether keeping them takes so little that it may be done on the loop. */
bool outputs_are_small(const struct outputs_job *job);

/* On success the array is the caller's, sorted by name, and files of $MESH_OUT may have
 * been moved into the store; mapped paths elsewhere are copied and stay. *ret_choice is
 * the case that the task declared, NULL if none, and the caller's. -ENOENT: a mapped
 * output is missing; -EINVAL: something that cannot be kept; -EEXIST: two of one name;
 * -ENOSPC; -EIO. The text names the output. */
int outputs_keep(const struct outputs_job *job, struct artifact **ret_outputs,
                 size_t *ret_n, char **ret_choice, struct error *ret_error);
/* The one artifact of an attempt that failed where the step has `catch`: what went
 * wrong, as JSON. It replaces whatever the attempt made. */
int outputs_of_failure(struct attempt_record *attempt, const char *name);
/* No output of a failed attempt is kept. */
void outputs_forget(struct attempt_record *attempt);
void outputs_free(struct artifact *outputs, size_t n);
