/* SPDX-License-Identifier: Apache-2.0 */
/* attempts - what becomes of a task when an attempt ended.
 *
 *     ok      --> done; or, of a switch that chose itself, again as iteration + 1
 *     lost    --> again at once, uncharged; the retry.lost-th loss is a failure, but
 * see attempts_forgive_losses() failed  --> again after a delay while retry allows;
 * then caught, or failed
 *
 * The same functions judge an attempt that just ended and take in one that is read back
 * from its record, so that both lead to the same state. */
#pragma once

#include "scheduler/run.h"

struct judgement {
    enum verdict verdict;
    bool is_final;  /* done, or failed for good: the task has no further attempt */
    bool is_again;  /* a switch goes on with the next iteration */
    uint32_t taken; /* of a switch that is done: see switch_case_of() */
    time_us delay;  /* before the next attempt */
};

/* How wide a foreach over a range or a list in the flow is: the flow says it, not the
 * task. */
void attempts_set_width(const struct step *s, struct attempt_record *record);

/* Decide on an ended attempt whose run, task, attempt and reason are set. A record that
 * says ok but lacks a valid choice or width is turned into a failure. With is_ended the
 * run ended it: then there is no retry and no catch. -ENOMEM. */
int attempts_judge(const struct run *r, const struct span *s, uint64_t index,
                   bool is_ended, struct attempt_record *record, struct judgement *ret);

/* Carry the judgement into the run's state; what waits for the task is not told yet,
 * and the task is not made ready again. -ENOMEM. */
int attempts_apply(struct run *r, struct span *s, uint64_t index,
                   const struct attempt_record *record, const struct judgement *j);

/* retry.lost counts losses on different nodes. Those by this node's own deaths, which a
 * restart finds, are all of one node: they are not added up, so a task goes on however
 * often its node is killed. */
void attempts_forgive_losses(struct span *s, uint64_t index);

/* Take in a record of a run whose root is not open. Records that fit nothing are
 * passed over: *ret_is_taken. -ENOMEM. */
int attempts_load(struct run *r, const struct attempt_record *record,
                  bool *ret_is_taken);

/* Likewise the fence of a task that was granted last: unless an attempt of it was taken
 * in that has ended, one may be alive until then. After the run's records. -ENOMEM. */
int attempts_load_fence(struct run *r, const struct task_id *task, uint64_t fence,
                        time_us alive_until);

/* Which iteration and attempt of the task is next. */
void attempts_next(const struct span *s, uint64_t index, uint32_t *ret_iteration,
                   uint32_t *ret_attempt);
