/* SPDX-License-Identifier: Apache-2.0 */
/* artifacts - finds what a task made, and what it sees of those before it.
 *
 * A task's own artifacts are in the record of the attempt that counts. With `next`, an
 * artifact that a task did not make is looked up along its one incoming edge; a step
 * with several predecessors, or a join, sees the parameters and what it made or merged.
 * With `needs` nothing passes implicitly. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "flow/flow.h"
#include "proto/record.h"
#include "store/blobs.h"

struct artifacts {
    struct writer *writer;
    struct blobs *blobs;
};

/* The attempt that counts for a task: the one done, caught or adopted.
 * -ENOENT: the task is not done. */
int artifacts_attempt(const struct artifacts *a, const struct run_id *run,
                      const struct task_id *task, struct attempt_record *ret);

/* The one attempt whose artifacts pass on to the task: of its only predecessor, of the
 * one branch that a switch took, or of its own iteration before. -ENOENT when there is
 * none, or several. */
int artifacts_attempt_before(const struct artifacts *a, const struct flow *flow,
                             const struct run_id *run, const struct task_id *task,
                             struct attempt_record *ret);

/* The artifact `name` as the task sees it: its own when own is set, else along the
 * edge. *ret_maker says which task made it. -ENOENT. */
int artifacts_find(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   const char *name, bool own, struct artifact *ret,
                   struct task_id *ret_maker);
/* The same, of another step as this task sees it: one of its ancestors, or a
 * predecessor at a join (then index picks the split). -EINVAL: not visible from here.
 */
int artifacts_find_from(const struct artifacts *a, const struct flow *flow,
                        const struct run_id *run, const struct task_id *task,
                        uint32_t from_step, const uint64_t *index, const char *name,
                        struct artifact *ret, struct task_id *ret_maker);

/* Append the bytes of an artifact that is no tree. */
int artifacts_read(const struct artifacts *a, const struct artifact *artifact,
                   uint64_t offset, uint64_t len, struct buffer *ret);

void artifact_release(struct artifact *a);
int artifact_copy(const struct artifact *a, struct artifact *ret);

/* `mesh inputs`: call `each` for the attempts that the joins of this task close, in
 * split order (branches by name). */
int artifacts_inputs(const struct artifacts *a, const struct flow *flow,
                     const struct run_id *run, const struct task_id *task,
                     int (*each)(void *arg, const struct attempt_record *attempt),
                     void *arg);
