/* SPDX-License-Identifier: Apache-2.0 */
/* witness - what a task may consume, and a digest of it.
 *
 * A task sees the attempts that count of the steps before it: those around it, one task
 * of each, and where it joins a split all tasks of the steps in that split. needs_of()
 * names them as prefixes of keys, so that a node that keeps other nodes' records for a
 * while knows which to get. The witness is a digest over what is kept under them: task
 * ids, names and ids of outputs, widths, choices. An attempt consumed what counts now
 * if its witness is the one of now (node/mesh.h).
 *
 *     witness = H(part | part | ...)    in the order of the needs
 *     part    = H(... H(H(0 | task) | task))   of the tasks of one need that are done
 *
 * A part can be kept and used again for other tasks with the same need.
 *
 * Pure: the records come from a function of the caller. The digest is no proof against
 * somebody who chooses the ids of outputs; it tells histories of one run apart. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "flow/flow.h"
#include "proto/record.h"

/* All attempts whose keys begin with the prefix: of one task, of all iterations of one,
 * or of all tasks of a step in a split. */
struct need {
    struct record_key prefix;
    uint32_t step;
    bool is_before; /* the task waits for it directly */
};

struct needs {
    struct need *all;
    size_t n, cap;
};
void needs_release(struct needs *n);

/* In the order of steps; 0 or -ENOMEM. */
int needs_of(const struct flow *flow, const struct run_id *run,
             const struct task_id *task, struct needs *ret);

/* Whether `task` comes behind `from`, however far, in the same split as far as both are
 * in one: then it may have consumed what that made. 1, 0 or -ENOMEM. */
int witness_is_behind(const struct flow *flow, const struct task_id *from,
                      const struct task_id *task);

/* One part, of records that come one by one, in the order of their keys. */
struct witness_sum {
    struct digest digest;
    uint64_t n;          /* tasks that are done, so far */
    struct task_id task; /* whose digest `last` is: known when the next task is met */
    struct digest last;
    bool has_last;
    struct buffer text;
};
void witness_sum_release(struct witness_sum *s);
/* -EBADMSG, -EPROTONOSUPPORT: no attempt; -ENOMEM. */
int witness_sum_add(struct witness_sum *s, const void *key, size_t key_len,
                    const void *value, size_t value_len);
/* No more of them. */
void witness_sum_end(struct witness_sum *s, struct digest *ret, uint64_t *ret_n);

/* Calls `each` for what is kept under the prefix in the order of keys; stops when it
 * returns non-zero, and returns that. */
typedef int witness_each_fn(void *arg, const void *key, size_t key_len,
                            const void *value, size_t value_len);
struct witness_reader {
    int (*scan)(void *arg, const struct record_key *prefix, witness_each_fn *each,
                void *each_arg);
    void *arg;
};

/* Of what one attempt made. -ENOMEM. */
int witness_of_attempt(const struct attempt_record *attempt, struct digest *ret);

/* For whoever has the parts: from all zero, each in the order of the needs. */
void witness_add(struct digest *witness, const struct digest *part);

/* -ENOENT: nothing that the task waits for is done; -EBADMSG, -ENOMEM, or what the
 * reader returned. */
int witness_of(const struct flow *flow, const struct run_id *run,
               const struct task_id *task, const struct witness_reader *reader,
               struct digest *ret);
