/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier leader's time left behind: attempts that ended without a lease of
 * this node, and tasks that run at workers. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "node/node_internal.h"

/* ---- attempts ---- */

static bool is_task(const struct slot *s, const struct run *r, const struct span *span,
                    uint64_t index)
{
    return s->run == r && !s->is_void && s->span == span && s->index == index;
}

static struct slot *find_slot(const struct node *n, const struct run *r,
                              const struct span *span, uint64_t index)
{
    struct slot *s;

    for (uint32_t i = 0; i < n->config.slots_max; i++)
        if (is_task(&n->slots[i], r, span, index))
            return &n->slots[i];
    for (s = r->leases; s; s = s->next_of_run)
        if (is_task(s, r, span, index))
            return s;
    return NULL;
}

int node_void_slot(struct node *n, struct slot *s)
{
    int error = 0;

    if (is_local(n, s)) {
        s->is_void = true;
        s->span = NULL;
        return node_kill(n, s, SIGTERM, REASON_LOST);
    }
    s->signal = SIGTERM;
    s->why = REASON_LOST;
    error = node_emit_kill(n, s);
    if (error == 0)
        node_vacate(n, s);
    return error;
}

int node_claim_task(struct node *n, struct run *r, struct span *s, uint64_t index,
                    bool is_good, uint64_t fence)
{
    struct exception *e = span_exception(s, index);
    int error = run_unready(r, s, index);
    struct slot *slot;

    if (error != -ENOENT)
        return error;
    /* A failure is no reason to give up an attempt that may still do well. */
    if (!is_good)
        return -ENOENT;
    if (e && e->is_waiting) {
        node_stop_retry(n, e);
        return 0;
    }
    slot = find_slot(n, r, s, index);
    /* One with an older fence must not have two of them do something. */
    if (!slot
        || (fence != FENCE_ANY && slot->fence && !slot->is_fencing
            && slot->fence != fence))
        return -ENOENT;
    return node_void_slot(n, slot);
}

static bool is_open(const struct span *s, uint64_t index, uint32_t iteration)
{
    uint32_t next, attempt;

    attempts_next(s, index, &next, &attempt);
    return iteration == next && iset_has(&s->released, index)
           && !iset_has(&s->done, index) && !iset_has(&s->skipped, index)
           && !iset_has(&s->failed, index);
}

bool node_awaits(const struct node *n, const struct run_id *run,
                 const struct task_id *task)
{
    struct run *r = node_find_run(n, run);
    struct span *s;
    uint64_t index;

    return r && r->phase >= RUN_ACTIVE && run_locate(r, task, false, &s, &index) == 0
           && is_open(s, index, task->iteration);
}

/* What was ended from outside says nothing of the task. */
static bool says_something(const struct attempt_record *record)
{
    return record->reason && record->reason != REASON_LOST
           && record->reason != REASON_CANCELLED;
}

int node_on_late(struct node *n, struct attempt_record *record)
{
    struct run *r = node_find_run(n, &record->run);
    struct span *s;
    uint64_t index;
    int error;

    /* While it is torn, records that count no more are read as if they did. */
    if (!r || r->phase < RUN_ACTIVE || r->n_torn || !says_something(record)
        || run_locate(r, &record->task, false, &s, &index) < 0
        || !is_open(s, index, record->task.iteration))
        return 0;
    error = node_claim_task(n, r, s, index, record->reason == REASON_OK, record->fence);
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    return node_conclude(n, r, s, index, NULL, record);
}

/* ---- leases ---- */

/* It is ready, or waits until the one that is found here were dead. */
static int take_task(struct node *n, struct run *r, struct span *span, uint64_t index,
                     uint64_t fence)
{
    struct exception *e = fence ? span_exception(span, index) : NULL;

    if (!e || !e->is_waiting)
        return run_unready(r, span, index);
    node_stop_retry(n, e);
    return 0;
}

/* Only the last that was granted a fence counts. */
static bool is_last(const struct run *r, const struct span *span, uint64_t index,
                    uint64_t fence)
{
    const struct exception *e = span_exception(span, index);

    return node_is_exclusive(r, span) ? fence && e && e->fence == fence : !fence;
}

static int hold(struct node *n, struct run *r, struct span *span, uint64_t index,
                const struct held_task *held)
{
    struct worker *w = node_make_worker(n, held->worker);
    struct slot *s;
    int error = w ? node_new_lease(n, &s) : -ENOMEM;

    if (error < 0)
        return error == -ENOSPC ? 0 : error;
    error = take_task(n, r, span, index, held->fence);
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    node_occupy(n, s, r, span, index, w->bin);
    s->fence = held->fence;
    node_enlist(n, s, w, false);
    error = node_emit_lease(n, s, ACTION_LEASED);
    if (error == 0 && held->is_started)
        error = node_note_started(n, s);
    else if (error == 0 && (r->is_stopping || r->is_suspended))
        error = node_recall_waiting(n, r);
    return error;
}

/* It has run in this slot all along. */
static int go_on(struct node *n, struct run *r, struct span *span, uint64_t index,
                 const struct held_task *held)
{
    time_us timeout = r->steps[span->step].step->timeout_us;
    struct slot *s = &n->slots[held->slot];
    int error = s->run || s->guest ? -ENOENT : run_unready(r, span, index);

    if (error < 0)
        return error == -ENOENT ? 0 : error;
    node_reoccupy(n, s, r, span, index, held->gpus);
    s->attempt = held->attempt;
    return timeout ? timers_set(&n->timers, &s->timer, held->started + timeout) : 0;
}

static int adopt(struct node *n, struct run *r, const struct held_task *held)
{
    struct span *s;
    uint64_t index;
    int error = 0;

    if (run_locate(r, &held->task, false, &s, &index) < 0)
        return 0;
    /* A hook that is under way: all before it is over. */
    if (s == node_due_hook(r))
        error = node_settle(n, r);
    if (error < 0 || !is_open(s, index, held->task.iteration)
        || !is_last(r, s, index, held->fence))
        return error;
    return held->worker ? hold(n, r, s, index, held) : go_on(n, r, s, index, held);
}

static int remember(struct node *n, const struct held_task *held)
{
    if (n->n_held == n->cap_held) {
        size_t cap = n->cap_held ? 2 * n->cap_held : 16;
        struct held_task *all = realloc(n->held, cap * sizeof(all[0]));

        if (!all)
            return -ENOMEM;
        n->held = all;
        n->cap_held = cap;
    }
    n->held[n->n_held++] = *held;
    return 0;
}

int node_on_held(struct node *n, const struct event *event)
{
    struct held_task held = { .run = event->run,
                              .task = event->u.held.task,
                              .worker = event->u.held.worker,
                              .fence = event->u.held.fence,
                              .is_started = event->u.held.is_started };
    struct run *r = node_find_run(n, &event->run);

    if (!r || held.worker < 1 || held.worker > WORKERS_MAX || n->n_held == LEASES_MAX)
        return 0;
    return r->phase == RUN_LOADING ? remember(n, &held) : adopt(n, r, &held);
}

int node_on_restore_running(struct node *n, const struct event *event)
{
    struct held_task held = { .run = event->run,
                              .task = event->u.running.task,
                              .slot = event->u.running.slot,
                              .attempt = event->u.running.attempt,
                              .gpus = event->u.running.gpus,
                              .started = event->u.running.started };
    struct run *r = node_find_run(n, &event->run);

    if (!r || r->phase != RUN_LOADING || held.slot >= n->config.slots_max
        || n->n_held == LEASES_MAX)
        return 0;
    return remember(n, &held);
}

int node_adopt_held(struct node *n, struct run *r, bool is_hook)
{
    int error = 0;

    for (size_t i = 0; i < n->n_held && error == 0; i++) {
        const struct held_task *held = &n->held[i];

        if (run_id_equal(&held->run, &r->id) && held->task.step < r->flow->n_all_steps
            && r->flow->steps[held->task.step].is_hook == is_hook)
            error = adopt(n, r, held);
    }
    return error;
}

void node_forget_told(struct node *n, const struct run *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->n_held; i++)
        if (!run_id_equal(&n->held[i].run, &r->id))
            n->held[kept++] = n->held[i];
    n->n_held = kept;
    kept = 0;
    for (size_t i = 0; i < n->n_lost; i++)
        if (!run_id_equal(&n->lost[i].run, &r->id))
            n->lost[kept++] = n->lost[i];
    n->n_lost = kept;
}
