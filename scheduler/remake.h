/* SPDX-License-Identifier: Apache-2.0 */
/* remake - tasks that were done, and have to be done again because nobody has what they
 * made any more.
 *
 *     done --- remake_undo() ---> ready -> running -> done
 *
 * Only the task itself goes back: what consumed its outputs and is done stays so. What
 * comes behind it starts nothing until it is done again, by whole steps: that is
 * seldom, and short. An instance that was over is there again while a task of it is not
 * done; all else in it counts as done. How often a task was made again is remembered as
 * long as the run lives, and read back from its records, so that it has a bound. */
#pragma once

#include "scheduler/run.h"

enum { REMAKES_MAX = 5 };

/* A task that was undone at least once. */
struct remake {
    uint32_t times;
    bool is_open; /* it is not done again yet, or */
    bool is_torn; /* what it made now differs, and what is behind it still counts */
    struct task_id task;
    uint32_t attempt;   /* the one that was undone last */
    struct digest made; /* what it had made, before the last loss */
    bool has_made;
    size_t key_len;
    uint8_t key[TASK_ID_SIZE_MAX]; /* of its first iteration */
    UT_hash_handle hh;
};

/* NULL: it never was. */
struct remake *remake_find(const struct run *r, const struct task_id *task);
/* One more time, by the record that says so. -ENOMEM. */
int remake_note(struct run *r, const struct attempt_record *undone,
                struct remake **ret);
/* The task is done, or has failed for good: what waited for it goes on. */
int remake_close(struct run *r, const struct task_id *task);
/* It is done again, and has made something else: what is behind it waits until what was
 * done there counts no more, and the run is read back. */
int remake_tear(struct run *r, struct remake *m);
void remakes_release(struct run *r);

/* The attempt that counted does so no more: its task is ready, or waits for an opener
 * that is itself not done. -ENOENT: the task is not known to be done; -ENOMEM. */
int remake_undo(struct run *r, const struct attempt_record *attempt,
                struct span **ret_span, uint64_t *ret_index);
/* The same for an iteration of a switch that returns to itself, when a later one is
 * due: nobody else has that task now, and it stands where this iteration was. -ENOMEM.
 */
int remake_undo_iteration(struct run *r, const struct attempt_record *attempt,
                          struct span *s, uint64_t index);
/* A done opener's split is over, and its tasks are not to be made anew. */
bool remake_is_split_over(const struct run *r, const struct span *s, uint64_t index);
