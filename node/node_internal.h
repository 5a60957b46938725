/* SPDX-License-Identifier: Apache-2.0 */
/* node_internal - the inside of the node, shared by node*.c only.
 *
 *     node.c          events in
 *     node_start.c    tasks into slots, here and at workers
 *     node_fence.c    steps with `effect: exclusive`
 *     node_attempt.c  the end of attempts
 *     node_outbox.c   actions out
 *     node_end.c      stopping and ending a run: failure, cancel, timeout, hook
 *     node_suspend.c  stopping for a while
 *     node_restore.c  reading back and adopting
 *     node_lease.c    what workers carry out
 *     node_recall.c   asking leases back
 *     node_remake.c   doing again what is lost
 *     node_late.c     attempts without a lease, and leases of an earlier leader
 *     node_guest.c    what is carried out for other leaders
 *     node_view.c     questions
 *     node_why.c      why a task does not run */
#pragma once

#include "node/node.h"
#include "scheduler/attempts.h"
#include "scheduler/placement.h"
#include "scheduler/readiness.h"
#include "scheduler/remake.h"
#include "scheduler/run.h"
#include "scheduler/timers.h"

/* An attempt that runs here, or a lease. */
struct slot {
    uint32_t number;
    struct run *run;     /* NULL: free, or a guest's */
    struct guest *guest; /* NULL: of a run */
    struct span *span;
    uint64_t index;
    struct run_id run_id;
    struct task_id task;
    uint32_t attempt;
    struct timer timer; /* its timeout; after the first signal, its grace */
    int signal;         /* the last one sent; 0: none */
    enum reason why;
    bool is_ended;   /* by its run: no retry, no catch */
    bool is_void;    /* another attempt counts: its end is not written down */
    uint64_t fence;  /* `effect: exclusive`; 0: none */
    bool is_fencing; /* it is not decided yet: nothing was started, or granted */
    struct claim claim;

    /* Of a lease. */
    struct worker *worker;
    bool is_started, is_recalled;
    struct bin *heading;      /* where it shall go when it was recalled; or NULL */
    struct slot *prev, *next; /* of the worker; or free */
    struct slot *prev_of_run, *next_of_run;
};

/* What a member has of this node's leases. */
struct worker {
    struct bin *bin;
    struct node_id node;
    struct slot *waiting, *started; /* lists, oldest first */
    uint32_t n_waiting, n_started;
    struct heap_item item; /* among those that have more than they can run */
};

/* A lease of another leader. */
struct guest {
    uint64_t id; /* the key */
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    struct flow *flow;
    struct class *class;
    struct slot *slot; /* NULL: it waits for one */
    uint64_t order;
    struct guest *prev, *next; /* in its line while it waits */
    UT_hash_handle hh;
};

/* Guests of one class, as they came. */
struct guest_line {
    struct class *class;
    struct guest *first;
    struct guest_line *prev, *next;
};

struct lost_task {
    struct run_id run;
    struct task_id task;
};

struct held_task {
    struct run_id run;
    struct task_id task;
    uint32_t worker; /* 0: it runs here, in `slot`, with `gpus`, since `started` */
    uint64_t fence;
    bool is_started;
    uint32_t slot, attempt;
    uint64_t gpus;
    time_us started;
};

struct node {
    struct node_config config;
    struct placement placement;
    struct timers timers;
    struct slot *slots; /* of this node; those behind them are leases */
    struct bitmap free_slots;
    struct slot **chunks; /* of leases */
    uint32_t n_chunks, n_leases;
    struct slot *free_leases; /* list */
    struct worker **workers;  /* by number */
    uint32_t n_workers;
    struct heap loaded; /* workers that have more than they can run */
    uint32_t glance;    /* the bin that node_balance() looked at last */
    struct run *runs;   /* hash by id */
    struct run *oldest; /* list by age */
    size_t n_runs;
    uint64_t last_ticket;
    bool has_more; /* a step was cut short: go on at once */
    bool is_draining, is_paused;

    struct lost_task *lost; /* told by EVENT_RESTORE_LOST */
    size_t n_lost, cap_lost;
    struct held_task *held; /* told by EVENT_HELD */
    size_t n_held, cap_held;

    struct guest *guests; /* hash by id */
    struct guest_line *lines;
    uint32_t n_guests_waiting;
    uint64_t n_guest_orders, n_dropped;

    struct run **dirty; /* runs that may be over; each once */
    size_t n_dirty, cap_dirty;

    time_us now, wall; /* of the event */
    struct outbox *out;
};

enum { LEASES_PER_CHUNK = 256 };
/* How long a worker may take to say that it ended what it had to end. */
#define LEASE_ANSWER_MAX TIME_S(60)

static inline bool is_local(const struct node *n, const struct slot *s)
{
    return s->number < n->config.slots_max;
}

/* ---- node_outbox.c: all return 0 or -ENOMEM ---- */

void outbox_begin(struct outbox *out);
void outbox_end(struct outbox *out);
int node_emit_start(struct node *n, const struct slot *s);
/* ACTION_LEASE or ACTION_LEASED. */
int node_emit_lease(struct node *n, const struct slot *s, enum action_type type);
/* The record, and the question when it is kept. */
int node_emit_fence(struct node *n, const struct slot *s);
int node_emit_kill(struct node *n, const struct slot *s);
/* Of one that was not started. */
int node_emit_recall(struct node *n, const struct slot *s);
int node_emit_guest(struct node *n, enum action_type type, const struct guest *g);
/* Also what the encoder says: then nothing was emitted. */
int node_emit_guest_ended(struct node *n, const struct guest *g,
                          const struct attempt_record *record);
/* *ret_ticket is the ticket. Also what the encoder says: then nothing was emitted. */
int node_emit_run(struct node *n, const struct run_record *record,
                  uint64_t *ret_ticket);
int node_emit_attempt(struct node *n, const struct attempt_record *record,
                      uint64_t *ret_ticket);
int node_emit_look(struct node *n, const struct slot *s);
int node_tell_torn(struct node *n, const struct run_id *run, const struct task_id *task,
                   uint64_t ticket);
/* Of one that was written before. */
int node_emit_again(struct node *n, const struct attempt_record *record,
                    uint64_t *ret_ticket);
int node_emit_run_end(struct node *n, const struct run_end_record *record,
                      uint64_t *ret_ticket);
int node_tell_run(struct node *n, const struct run_id *run, enum tell_type type,
                  enum run_outcome outcome, uint64_t ticket);
int node_tell_started(struct node *n, const struct slot *s);
int node_tell_ended(struct node *n, const struct attempt_record *record, uint32_t slot,
                    bool is_retried, time_us delay, uint64_t ticket);

/* ---- node.c ---- */

struct run *node_find_run(const struct node *n, const struct run_id *id);
int node_add_run(struct node *n, const struct event *event, enum run_phase phase);
/* Look whether it is over, at the end of the step. */
int node_mark(struct node *n, struct run *r);

/* ---- node_start.c ---- */

/* Start what can start, here and at workers. */
int node_schedule(struct node *n);
/* NULL: there is none of this number, or it is free. */
struct slot *node_slot_at(const struct node *n, uint32_t number);
/* The lowest that is free here. NULL: none is, or the node drains. */
struct slot *node_free_slot(const struct node *n);
/* The task, which is not ready any more, goes into the slot. */
void node_occupy(struct node *n, struct slot *s, struct run *r, struct span *span,
                 uint64_t index, struct bin *bin);
/* The same for one of these slots that has run all along. */
void node_reoccupy(struct node *n, struct slot *s, struct run *r, struct span *span,
                   uint64_t index, uint64_t gpus);
void node_vacate(struct node *n, struct slot *s);

/* It starts here. */
int node_begin(struct node *n, struct slot *s);

/* ---- node_fence.c ---- */

bool node_is_exclusive(const struct run *r, const struct span *s);
/* Of a slot that was just occupied: it starts when its fence is decided. */
int node_ask_fence(struct node *n, struct slot *s);
int node_on_fenced(struct node *n, const struct event *event);
int node_on_restore_fence(struct node *n, const struct event *event);
/* It had started, and nobody knows whether it has ended. */
int node_may_live(struct node *n, const struct slot *s);
/* For how long the task must not start yet. */
time_us node_fence_left(const struct node *n, const struct span *s, uint64_t index);

/* ---- node_attempt.c ---- */

/* An attempt of a task ended: write it down and go on from there. The record's run,
 * task, attempt, verdict and gpus are filled in; of a lease, the record brings those.
 * slot: NULL if it had none. */
int node_conclude(struct node *n, struct run *r, struct span *s, uint64_t index,
                  struct slot *slot, struct attempt_record *record);
int node_on_ended(struct node *n, uint32_t slot, struct attempt_record *record);
/* It is ready again, after a delay. */
int node_try_again(struct node *n, struct run *r, struct span *s, uint64_t index,
                   time_us delay);
/* It waits for its retry no more. */
void node_stop_retry(struct node *n, struct exception *e);
/* What the encoder refuses is not kept: the attempt fails and says so. */
int node_give_up_outputs(struct attempt_record *record);

/* ---- node_lease.c ---- */

void node_release_leases(struct node *n);
int node_on_worker(struct node *n, const struct event *event);
int node_on_worker_gone(struct node *n, uint32_t number);
int node_on_lease_started(struct node *n, uint32_t slot);
int node_on_lease_returned(struct node *n, uint32_t slot);
/* The worker's leases changed. */
void node_weigh(struct node *n, struct worker *w);
static inline struct worker *node_worker_at(const struct node *n, uint32_t number)
{
    return number < n->n_workers ? n->workers[number] : NULL;
}
/* NULL without memory, or too many. */
struct worker *node_make_worker(struct node *n, uint32_t number);
/* *ret is for one more lease. -ENOMEM, -ENOSPC. */
int node_new_lease(struct node *n, struct slot **ret);
/* It has a slot now, of this worker, and is counted. */
void node_enlist(struct node *n, struct slot *s, struct worker *w, bool is_started);
/* Before its slot is freed. */
void node_delist(struct node *n, struct slot *s, struct run *r);
int node_note_started(struct node *n, struct slot *s);
/* The worker does not answer for it. */
int node_lose_lease(struct node *n, struct slot *s, const char *message);
/* Ready again after a while, as if it had never been granted. */
int node_take_back(struct node *n, struct slot *s, time_us delay);
/* It could not be carried out, though nobody asked it back: *ret is the pause before it
 * is tried again, longer each time. -ENOMEM. */
int node_refuse(struct slot *s, time_us *ret);
/* Its worker should have said long ago that it is over. */
int node_on_lease_timeout(struct node *n, struct slot *s);

/* ---- node_remake.c ---- */

int node_on_undo(struct node *n, const struct event *event);
int node_on_input_gone(struct node *n, uint32_t slot);
int node_on_stale(struct node *n, const struct event *event);
/* A task is done, or read back as done: NULL, or how it was undone, if what it made now
 * is something else. -ENOMEM. */
int node_find_torn(const struct run *r, const struct attempt_record *record,
                   struct remake **ret);
/* What is behind it and under way is ended, and asked for what is done there, when the
 * ticket of its record is decided: until then the one before may be read. */
int node_tear(struct node *n, struct run *r, struct remake *remake, uint64_t ticket);
/* What is behind one that failed for good, after its outputs were lost, may be ready,
 * or lost itself: who reads the run back knows that it waits for nothing. */
int node_give_up_behind(struct node *n, const struct run *r, uint64_t ticket);
/* A task is done; if it was undone before, who waited for that goes on. */
int node_on_remade(struct node *n, struct run *r, const struct task_id *task);

/* ---- node_recall.c ---- */

/* Ask back all leases of the run that have not started. */
int node_recall_waiting(struct node *n, struct run *r);
/* Those of steps that are blocked. */
int node_recall_blocked(struct node *n, struct run *r);
/* If a bin has room and nothing is ready, ask back what waits elsewhere. */
int node_balance(struct node *n);
/* The lease started, or is gone: it is not on its way any more. */
void node_unrecall(struct node *n, struct slot *s);

/* ---- node_late.c ---- */

int node_on_late(struct node *n, struct attempt_record *record);
int node_on_held(struct node *n, const struct event *event);
/* Nobody has the task any more but the attempt that is taken, which has this fence.
 * 0; -ENOENT: it is not to be taken; -ENOMEM. */
#define FENCE_ANY UINT64_MAX
int node_claim_task(struct node *n, struct run *r, struct span *s, uint64_t index,
                    bool is_good, uint64_t fence);
/* What is under way there counts no more: a lease is forgotten at once; what runs here
 * keeps its slot, and its run, until it is gone. */
int node_void_slot(struct node *n, struct slot *s);
int node_on_restore_running(struct node *n, const struct event *event);
/* Those of a run that is open again; first all but its hook, then that. */
int node_adopt_held(struct node *n, struct run *r, bool is_hook);
/* Nothing that was told of this run while it was read back is needed any more. */
void node_forget_told(struct node *n, const struct run *r);

/* ---- node_guest.c ---- */

void node_release_guests(struct node *n);
int node_on_guest(struct node *n, const struct event *event);
int node_on_guest_running(struct node *n, const struct event *event);
int node_on_guest_end(struct node *n, const struct event *event);
int node_guest_ended(struct node *n, struct slot *s, struct attempt_record *record);
/* It runs no more, and never ran: given back. */
int node_guest_returned(struct node *n, struct slot *s);
int node_start_guests(struct node *n);
int node_on_drain(struct node *n, bool is_draining);
int node_on_drop(struct node *n, struct run *r);

/* ---- node_why.c ---- */

/* Why the tasks of a queue that fits never must fail. -ENOMEM. */
int node_describe_unfit(const struct node *n, const struct queue *q,
                        char **ret_message);

/* ---- node_end.c ---- */

int node_kill(struct node *n, struct slot *s, int signal, enum reason why);
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
int node_on_suspend(struct node *n, struct run *r);
int node_on_unsuspend(struct node *n, struct run *r);

/* ---- node_restore.c ---- */

int node_on_restore_attempt(struct node *n, const struct attempt_record *record);
int node_on_restore_lost(struct node *n, const struct run_id *run,
                         const struct task_id *task);
/* Of one run; all zero: of all. */
int node_on_restore_end(struct node *n, const struct run_id *run);
int node_on_adopt(struct node *n, struct run *r, const struct attempt_record *record);
int node_on_release(struct node *n, struct run *r);
