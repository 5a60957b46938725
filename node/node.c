/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "node/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/node_internal.h"

struct node *node_new(const struct node_config *config)
{
    struct node *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->config = *config;
    n->config.custom_names = NULL; /* placement keeps its own of both */
    n->config.sharing = NULL;
    n->slots = calloc((size_t)config->slots_max + 1, sizeof(n->slots[0]));
    if (!n->slots || bitmap_init(&n->free_slots, config->slots_max) < 0
        || placement_init(&n->placement, &config->capacity, config->custom_names,
                          config->is_paused ? 0 : config->slots_max, config->sharing)
               < 0) {
        node_free(n);
        return NULL;
    }
    for (uint32_t i = 0; i < config->slots_max; i++) {
        bitmap_set(&n->free_slots, i);
        n->slots[i].number = i;
        n->slots[i].timer.type = TIMER_ATTEMPT;
    }
    return n;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    while (n->oldest)
        node_forget_run(n, n->oldest);
    node_release_guests(n);
    node_release_leases(n);
    placement_release(&n->placement);
    timers_release(&n->timers);
    bitmap_release(&n->free_slots);
    free(n->slots);
    free(n->lost);
    free(n->held);
    free(n->dirty);
    free(n);
}

struct run *node_find_run(const struct node *n, const struct run_id *id)
{
    struct run *r;

    HASH_FIND(hh, n->runs, id, sizeof(*id), r);
    return r;
}

int node_mark(struct node *n, struct run *r)
{
    for (size_t i = 0; i < n->n_dirty; i++)
        if (n->dirty[i] == r)
            return 0;
    if (n->n_dirty == n->cap_dirty) {
        size_t cap = n->cap_dirty ? 2 * n->cap_dirty : 4;
        struct run **dirty = realloc(n->dirty, cap * sizeof(dirty[0]));

        if (!dirty)
            return -ENOMEM;
        n->dirty = dirty;
        n->cap_dirty = cap;
    }
    n->dirty[n->n_dirty++] = r;
    return 0;
}

int node_add_run(struct node *n, const struct event *event, enum run_phase phase)
{
    const struct run_record *record = event->u.submit.record;
    struct run *r =
        run_new(&n->placement, &n->timers, event->u.submit.flow, record, phase);

    if (!r)
        return -ENOMEM;
    r->has_secrets = event->u.submit.has_secrets;
    r->started_wall = record->submitted_wall ? record->submitted_wall : event->wall;
    HASH_ADD(hh, n->runs, id, sizeof(r->id), r);
    if (!r->hh.tbl) {
        run_free(r);
        return -ENOMEM;
    }
    DL_APPEND(n->oldest, r);
    n->n_runs++;
    if (r->flow->timeout_us)
        return timers_set(&n->timers, &r->timer, n->now + r->flow->timeout_us);
    return 0;
}

/* ---- timers ---- */

static int on_attempt_timer(struct node *n, struct slot *s)
{
    if (!is_local(n, s) && (!s->signal || s->signal == SIGKILL))
        return node_on_lease_timeout(n, s);
    return s->signal ? node_kill(n, s, SIGKILL, s->why)
                     : node_kill(n, s, SIGTERM, REASON_TIMEOUT);
}

static int on_retry_timer(struct node *n, struct exception *e)
{
    struct run *r = e->run;

    node_stop_retry(n, e);
    return run_make_ready(r, e->span, e->index, e->index + 1);
}

static int on_tick(struct node *n)
{
    struct timer *t;
    int error = 0;

    placement_on_tick(&n->placement);
    while (error == 0 && (t = timers_pop(&n->timers, n->now))) {
        switch (t->type) {
        case TIMER_ATTEMPT:
            error = on_attempt_timer(n, CONTAINER_OF(t, struct slot, timer));
            break;
        case TIMER_RETRY:
            error = on_retry_timer(n, CONTAINER_OF(t, struct exception, timer));
            break;
        case TIMER_RUN:
            error = node_on_run_timeout(n, CONTAINER_OF(t, struct run, timer));
            break;
        }
    }
    return error;
}

time_us node_deadline(const struct node *n)
{
    time_us timer = timers_deadline(&n->timers);
    time_us doom = n->config.is_paused ? TIME_NEVER : placement_deadline(&n->placement);

    if (n->has_more)
        return n->now;
    return timer < doom ? timer : doom;
}

/* ---- events ---- */

static int on_submit(struct node *n, const struct event *event)
{
    const struct run_record *record = event->u.submit.record;
    uint64_t ticket;
    int error;

    if (node_find_run(n, &record->run))
        return 0;
    error = node_emit_run(n, record, &ticket);
    if (error < 0)
        return error == -ENOMEM ? error : 0;
    error = node_add_run(n, event, RUN_HELD);
    if (error == 0)
        error = node_tell_run(n, &record->run, TELL_RUN_ACCEPTED, 0, ticket);
    if (error < 0 || event->u.submit.is_held)
        return error;
    return node_on_release(n, node_find_run(n, &record->run));
}

void node_number_run(struct node *n, const struct run_id *run, uint64_t number)
{
    struct run *r = node_find_run(n, run);

    if (r)
        r->record.number = number;
}

void node_lead_tentatively(struct node *n, const struct run_id *run)
{
    struct run *r = node_find_run(n, run);

    if (r)
        r->is_tentative = true;
}

static int on_restore_run(struct node *n, const struct event *event)
{
    if (node_find_run(n, &event->u.submit.record->run))
        return 0;
    return node_add_run(n, event, RUN_LOADING);
}

static int on_keeping(struct node *n, struct run *r, int32_t change)
{
    int64_t left = (int64_t)r->n_keeping + change;

    r->n_keeping = left > 0 ? (uint64_t)left : 0;
    return node_mark(n, r);
}

static int on_run_event(struct node *n, const struct event *event)
{
    struct run *r = node_find_run(n, &event->run);

    if (!r)
        return 0;
    switch (event->type) {
    case EVENT_CANCEL:
        return node_on_cancel(n, r);
    case EVENT_ADOPT:
        return node_on_adopt(n, r, event->u.attempt);
    case EVENT_RELEASE:
        return node_on_release(n, r);
    case EVENT_SUSPEND:
        return node_on_suspend(n, r);
    case EVENT_UNSUSPEND:
        return node_on_unsuspend(n, r);
    case EVENT_KEEPING:
        return on_keeping(n, r, event->u.keeping);
    case EVENT_HOLD:
        r->is_held = event->u.is_held;
        run_sync_queues(r);
        return 0;
    case EVENT_DROP:
        return node_on_drop(n, r);
    case EVENT_REFUSED:
        return run_refuse(r, event->u.refused.worker, event->u.refused.why);
    default:
        return 0;
    }
}

/* Of members, and of what they carry out for each other. */
static int on_mesh_event(struct node *n, const struct event *event)
{
    switch (event->type) {
    case EVENT_WORKER:
        return node_on_worker(n, event);
    case EVENT_WORKER_GONE:
        return node_on_worker_gone(n, event->u.worker.worker);
    case EVENT_MEMBERS:
        placement_set_others(&n->placement, event->u.has_others);
        return 0;
    case EVENT_INPUT_GONE:
        return node_on_input_gone(n, event->u.lease);
    case EVENT_UNDO:
        return node_on_undo(n, event);
    case EVENT_STALE:
        return node_on_stale(n, event);
    case EVENT_LEASE_STARTED:
        return node_on_lease_started(n, event->u.lease);
    case EVENT_LEASE_RETURNED:
        return node_on_lease_returned(n, event->u.lease);
    case EVENT_LATE:
        return node_on_late(n, event->u.late);
    case EVENT_HELD:
        return node_on_held(n, event);
    case EVENT_FENCED:
        return node_on_fenced(n, event);
    case EVENT_RESTORE_FENCE:
        return node_on_restore_fence(n, event);
    case EVENT_GUEST:
        return node_on_guest(n, event);
    case EVENT_GUEST_RUNNING:
        return node_on_guest_running(n, event);
    case EVENT_GUEST_END:
        return node_on_guest_end(n, event);
    case EVENT_DRAIN:
        return node_on_drain(n, event->u.is_draining);
    default:
        return 0;
    }
}

static int dispatch(struct node *n, const struct event *event)
{
    switch (event->type) {
    case EVENT_SUBMIT:
        return on_submit(n, event);
    case EVENT_TASK_ENDED:
        return node_on_ended(n, event->u.ended.slot, event->u.ended.record);
    case EVENT_TICK:
        return on_tick(n);
    case EVENT_RESTORE_RUN:
        return on_restore_run(n, event);
    case EVENT_RESTORE_ATTEMPT:
        return node_on_restore_attempt(n, event->u.attempt);
    case EVENT_RESTORE_LOST:
        return node_on_restore_lost(n, &event->run, &event->u.task);
    case EVENT_RESTORE_RUNNING:
        return node_on_restore_running(n, event);
    case EVENT_RESTORE_END:
        return node_on_restore_end(n, &event->run);
    case EVENT_PAUSE:
        n->is_paused = event->u.is_paused;
        return 0;
    case EVENT_CANCEL:
    case EVENT_ADOPT:
    case EVENT_RELEASE:
    case EVENT_SUSPEND:
    case EVENT_UNSUSPEND:
    case EVENT_KEEPING:
    case EVENT_HOLD:
    case EVENT_DROP:
    case EVENT_REFUSED:
        return on_run_event(n, event);
    default:
        return on_mesh_event(n, event);
    }
}

/* Start what can start, end what is over; the end of a run may start its hook. */
static int advance(struct node *n)
{
    int error = 0;

    n->has_more = false;
    for (;;) {
        if (!n->config.is_paused && !n->is_paused) {
            error = node_start_guests(n);
            if (error == 0)
                error = node_schedule(n);
        }
        if (error < 0 || !n->n_dirty)
            return error ? error : node_balance(n);
        while (error == 0 && n->n_dirty)
            error = node_settle(n, n->dirty[--n->n_dirty]);
        if (error < 0)
            return error;
    }
}

int node_step(struct node *n, const struct event *event, struct outbox *out)
{
    int error;

    n->now = n->placement.now = event->now;
    n->wall = event->wall;
    n->out = out;
    outbox_begin(out);
    error = dispatch(n, event);
    if (error == 0)
        error = advance(n);
    outbox_end(out);
    n->out = NULL;
    return error;
}
