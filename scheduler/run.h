/* SPDX-License-Identifier: Apache-2.0 */
/* run - what is known of one run: which tasks are done, ready, skipped, failed.
 *
 * A scope instance is a scope at one path of enclosing indexes; the root's is made with
 * the run, the others when the foreach step above is done. Each has a span for each
 * step of its scope, and a span keeps the states of its `width` tasks as sets of
 * intervals, so that a million tasks which finish nearly in order are a few intervals:
 *
 *     (waiting) -> released --> ready -> running -> done
 *                     |           ^        |-----> failed
 *                     |           '- retry-'
 *                     '-------> skipped
 *
 * `released` holds every index that left waiting and is never shrunk. Only a task that
 * deviates (failed before, lost, or returned to itself) has memory of its own, an
 * exception. An instance goes when all of it is resolved and the step that joins it is.
 *
 * A run that is read back from records, or gets tasks adopted, first only collects what
 * is done (run_load()): its instances are not open. readiness_open() then opens them
 * from the root down, which recomputes what is ready. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/iset.h"
#include "flow/flow.h"
#include "proto/record.h"
#include "scheduler/placement.h"
#include "scheduler/timers.h"

struct instance;
struct run;
struct slot;

/* A task that is not done and not at its first attempt and iteration. */
struct exception {
    uint64_t index; /* the key */
    uint32_t iteration;
    uint32_t n_attempts; /* of this iteration: the number of the next one */
    uint32_t n_failed, n_lost;
    uint32_t n_gone;    /* workers that died with it and had not said that it ran */
    uint32_t n_refused; /* workers that gave it back unasked */
    uint32_t n_later;   /* attempts of iterations to come, which are stale */
    bool is_waiting;    /* for its retry */
    /* `effect: exclusive` */
    uint64_t fence;       /* of an attempt that may be alive somewhere; 0: none */
    uint64_t ended_fence; /* of the last attempt that is known to have ended */
    time_us alive_until;  /* until then another one must not start */
    struct timer timer;
    struct run *run;
    struct span *span;
    UT_hash_handle hh;
};

struct span {
    uint32_t step;
    uint32_t hint; /* a predecessor that was not resolved at the last look */
    struct iset released, ready, done, skipped, failed;
    struct iset *chosen; /* by case: the done indexes that took it; NULL: none yet */
    struct exception *exceptions;
    struct span *prev, *next; /* in its step's list while `ready` is not empty */
    struct instance *instance;
};

struct instance {
    uint32_t scope;
    uint64_t index; /* of the task above it, in the parent's spans */
    uint64_t width;
    bool is_open;
    bool is_revived; /* it was over: see scheduler/remake.h */
    bool is_doomed;  /* to be freed when the current step is over */
    uint32_t n_open; /* spans with unresolved tasks; hooks do not count */
    struct instance *parent;
    struct instance *children; /* list */
    struct instance *prev, *next;
    struct span *spans;
    uint32_t n_spans;
    uint32_t key_len;
    UT_hash_handle hh;
    uint64_t key[]; /* the scope, then the path of the task that opened it */
};

struct edge {
    uint32_t step;
    enum edge_kind kind;
};

/* A step of the flow, as this run needs it. */
struct run_step {
    const struct step *step;
    uint32_t local;    /* its span in an instance of its scope */
    uint32_t level;    /* the longest way to it from a source */
    uint32_t position; /* in its queue */
    struct queue *queue;
    struct edge *before, *after;
    uint32_t n_before, n_after;
    struct span *ready; /* list of spans with ready tasks, oldest first */
    uint64_t n_known, n_done, n_running, n_failed, n_ready, n_retrying, n_skipped;
    uint64_t n_leased; /* of those that run: at a worker, and not started there yet */
    uint64_t n_undone; /* that were done, and have to be done again */
    bool is_blocked;   /* a step before it has such: nothing of it starts meanwhile */
};

enum run_phase {
    RUN_LOADING = 1, /* records are being read back */
    RUN_HELD,        /* tasks are being adopted */
    RUN_ACTIVE,
    RUN_HOOK, /* its outcome is decided */
};

/* Tasks of `span` whose state changed, to be told to those behind them; or, without a
 * span, an instance to be opened. */
struct change {
    struct span *span;
    struct instance *instance;
    uint64_t lo, hi;
    bool is_skip;
};

struct run {
    struct run_id id;
    struct flow *flow;
    struct run_record record;
    struct placement *placement;
    struct timers *timers;

    enum run_phase phase;
    enum run_outcome outcome; /* 0: not decided */
    bool is_stopping;         /* starts nothing any more, but the hook */
    bool has_secrets;         /* read back with the values that no record has */
    bool is_timed_out;
    bool is_suspended; /* starts nothing for the time being, not even the hook */
    bool is_held;      /* likewise, while what is said of it cannot be written */
    bool is_tentative; /* starts nothing of steps with `effect: exclusive` */
    uint64_t last_fence;
    uint32_t n_cancels;
    uint32_t max_workers;
    enum on_failure on_failure;
    time_us started_wall;
    struct timer timer;
    time_us timeout_left; /* while it is suspended, at least 1; 0: no timer stands still
                           */
    char *message;        /* of the first failure */
    time_us message_wall;

    struct run_step *steps; /* n_all_steps */
    struct edge *edges;
    struct queue *queues;
    uint32_t n_queues;
    uint32_t
        refusals[DEMAND_REFUSALS_MAX]; /* bins that do not carry it out, ascending */
    uint32_t n_refusals;
    enum refusal refusal; /* why the last of them does not */
    struct user *user;
    struct share share;    /* among its user's runs */
    uint32_t *scope_spans; /* by scope: the spans of an instance */

    struct instance *root, *instances; /* hash by key */
    uint64_t n_open; /* spans with unresolved tasks, over all instances */
    uint64_t n_known, n_done, n_running, n_failed, n_ready, n_retrying, n_skipped;
    uint64_t n_adopted, n_attempts;
    uint64_t n_leased;
    uint64_t n_keeping;  /* outputs that have to be somewhere before it ends well */
    struct slot *leases; /* list; node.c's */
    uint64_t
        n_final; /* tasks done for good; n_done counts iterations, not adopted ones */

    struct change *changes; /* the work list of readiness */
    size_t change_head, n_changes, cap_changes;
    struct remake *remakes; /* hash by task */
    uint64_t n_torn;        /* of them */
    bool has_given_up;      /* one of them has failed for good */
    struct instance **doomed;
    size_t n_doomed, cap_doomed;

    struct run *prev, *next; /* by age */
    UT_hash_handle hh;
};

/* A run in phase RUN_LOADING or RUN_HELD, its root not open. Takes a reference to the
 * flow and a copy of the record. NULL without memory. */
struct run *run_new(struct placement *placement, struct timers *timers,
                    struct flow *flow, const struct run_record *record,
                    enum run_phase phase);
void run_free(struct run *r);

/* The instance of a scope that holds a task of this path, whose last index does not
 * matter; NULL if there is none. */
struct instance *run_find_instance(const struct run *r, uint32_t scope,
                                   const uint64_t *path);
/* Below the task `index` of the parent instance; made, and not open, if there is none.
 * NULL without memory. */
struct instance *run_instance_below(struct run *r, struct instance *parent,
                                    uint64_t index, uint32_t scope);
/* As above, but NULL if there is none. */
struct instance *run_child(const struct run *r, const struct instance *parent,
                           uint64_t index, uint32_t scope);
/* Removes it, and all below it. */
void run_drop_instance(struct run *r, struct instance *in);

static inline struct span *run_span(const struct run *r, const struct instance *in,
                                    uint32_t step)
{
    return &in->spans[r->steps[step].local];
}

/* The span of a task, its instances made on the way if is_wanted. -ENOENT: no such step
 * or a path of another depth, or not there; -ENOMEM. */
int run_locate(struct run *r, const struct task_id *task, bool is_wanted,
               struct span **ret_span, uint64_t *ret_index);
struct task_id run_task_id(const struct run *r, const struct span *span,
                           uint64_t index);

/* NULL if the task has none. */
struct exception *span_exception(const struct span *s, uint64_t index);
/* Made if there is none. NULL without memory. */
struct exception *run_except(struct run *r, struct span *s, uint64_t index);
/* The task is done or will not be tried again. */
void run_unexcept(struct run *r, struct span *s, uint64_t index);

static inline uint64_t span_resolved(const struct span *s)
{
    return s->done.count + s->skipped.count;
}

/* After its list of ready spans, its running tasks or the run's state changed. */
void run_sync_step(struct run *r, uint32_t step);
/* After the run's state or its number of running tasks changed. */
void run_sync_queues(struct run *r);

/* This bin does not carry the run out, or may do again. Of DEMAND_REFUSALS_MAX at most;
 * more are tried again and again. -ENOMEM: the run is of no use any more. */
int run_refuse(struct run *r, uint32_t bin, enum refusal why);
int run_allow(struct run *r, uint32_t bin);

/* Make released tasks ready; ready ones are added as a range. -ENOMEM. */
int run_make_ready(struct run *r, struct span *s, uint64_t lo, uint64_t hi);
/* Take this ready task out. -ENOENT: it is not ready; -ENOMEM. */
int run_unready(struct run *r, struct span *s, uint64_t index);
/* Take the first ready task of a step out. False if there is none. */
bool run_take_ready(struct run *r, uint32_t step, struct span **ret_span,
                    uint64_t *ret_index);
