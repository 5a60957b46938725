/* SPDX-License-Identifier: Apache-2.0 */
/* node_internal - the inside of the node, shared by node*.c only.
 *
 *     node.c          events in; scheduling and the end of attempts
 *     node_outbox.c   actions out
 *     node_end.c      stopping and ending a run: failure, cancel, timeout, hook
 *     node_suspend.c  stopping for a while
 *     node_restore.c  reading back and adopting
 *     node_view.c     questions
 *     node_why.c      why a task does not run */
#pragma once

#include "node/node.h"
#include "scheduler/attempts.h"
#include "scheduler/placement.h"
#include "scheduler/readiness.h"
#include "scheduler/run.h"
#include "scheduler/timers.h"

/* A running attempt. */
struct slot {
    struct run *run; /* NULL: free */
    struct span *span;
    uint64_t index;
    struct task_id task;
    uint32_t attempt;
    struct timer timer; /* its timeout; after the first signal, its grace */
    int signal;         /* the last one sent; 0: none */
    enum reason why;
    bool is_ended; /* by its run: no retry, no catch */
    struct gpu_grant gpus;
};

struct lost_task {
    struct run_id run;
    struct task_id task;
};

struct node {
    struct node_config config;
    struct placement placement;
    struct timers timers;
    struct slot *slots;
    struct bitmap free_slots;
    struct run *runs;   /* hash by id */
    struct run *oldest; /* list by age */
    size_t n_runs;
    uint64_t last_ticket;
    bool has_more; /* a step was cut short: go on at once */

    struct lost_task *lost; /* told by EVENT_RESTORE_LOST */
    size_t n_lost, cap_lost;

    struct run **dirty; /* runs that may be over; each once */
    size_t n_dirty, cap_dirty;

    time_us now, wall; /* of the event */
    struct outbox *out;
};

/* ---- node_outbox.c: all return 0 or -ENOMEM ---- */

void outbox_begin(struct outbox *out);
void outbox_end(struct outbox *out);
int node_emit_start(struct node *n, uint32_t slot);
int node_emit_kill(struct node *n, uint32_t slot);
/* *ret_ticket is the ticket. Also what the encoder says: then nothing was emitted. */
int node_emit_run(struct node *n, const struct run_record *record,
                  uint64_t *ret_ticket);
int node_emit_attempt(struct node *n, const struct attempt_record *record,
                      uint64_t *ret_ticket);
int node_emit_run_end(struct node *n, const struct run_end_record *record,
                      uint64_t *ret_ticket);
int node_tell_run(struct node *n, const struct run_id *run, enum tell_type type,
                  enum run_outcome outcome, uint64_t ticket);
int node_tell_started(struct node *n, uint32_t slot);
int node_tell_ended(struct node *n, const struct attempt_record *record, uint32_t slot,
                    bool is_retried, time_us delay, uint64_t ticket);

/* ---- node.c ---- */

struct run *node_find_run(const struct node *n, const struct run_id *id);
int node_add_run(struct node *n, const struct event *event, enum run_phase phase);
/* Look whether it is over, at the end of the step. */
int node_mark(struct node *n, struct run *r);
/* An attempt of a task ended: write it down and go on from there. The record's run,
 * task, attempt, verdict and gpus are filled in. */
int node_conclude(struct node *n, struct run *r, struct span *s, uint64_t index,
                  uint32_t slot, struct attempt_record *record);

/* ---- node_why.c ---- */

/* Why the tasks of a queue that fits never must fail. -ENOMEM. */
int node_describe_unfit(const struct node *n, const struct queue *q,
                        char **ret_message);

/* ---- node_end.c ---- */

int node_kill(struct node *n, uint32_t slot, int signal, enum reason why);
/* Start nothing of it any more, but its hook. */
void node_stop(struct run *r);
/* A task failed for good. */
int node_on_failure(struct node *n, struct run *r);
int node_on_cancel(struct node *n, struct run *r);
/* What a cancel leads to, once all of the run is known. */
int node_cancel(struct node *n, struct run *r);
int node_on_run_timeout(struct node *n, struct run *r);
/* The hook that is next, as nothing else of the run can go on; NULL if there is none.
 */
struct span *node_due_hook(const struct run *r);
/* If nothing of it can go on: start the hook, or write the end and forget the run. */
int node_settle(struct node *n, struct run *r);
void node_forget_run(struct node *n, struct run *r);

/* ---- node_suspend.c ---- */

/* Twice is once. */
void node_on_suspend(struct node *n, struct run *r);
int node_on_unsuspend(struct node *n, struct run *r);

/* ---- node_restore.c ---- */

int node_on_restore_attempt(struct node *n, const struct attempt_record *record);
int node_on_restore_lost(struct node *n, const struct run_id *run,
                         const struct task_id *task);
int node_on_restore_end(struct node *n);
int node_on_adopt(struct node *n, struct run *r, const struct attempt_record *record);
int node_on_release(struct node *n, struct run *r);
