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

enum { UNFIT_PER_STEP_MAX = 1000 };

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
                          config->sharing)
               < 0) {
        node_free(n);
        return NULL;
    }
    for (uint32_t i = 0; i < config->slots_max; i++) {
        bitmap_set(&n->free_slots, i);
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
    placement_release(&n->placement);
    timers_release(&n->timers);
    bitmap_release(&n->free_slots);
    free(n->slots);
    free(n->lost);
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

/* ---- starting ---- */

static int start(struct node *n, uint32_t slot, struct run *r, struct span *span,
                 uint64_t index)
{
    struct slot *s = &n->slots[slot];
    const struct step *step = r->steps[span->step].step;
    int error;

    s->run = r;
    s->span = span;
    s->index = index;
    s->task = run_task_id(r, span, index);
    attempts_next(span, index, &s->task.iteration, &s->attempt);
    s->signal = 0;
    s->why = 0;
    s->is_ended = false;
    bitmap_clear(&n->free_slots, slot);
    s->gpus = placement_take(r->steps[span->step].queue);
    r->n_running++;
    r->steps[span->step].n_running++;
    error = step->timeout_us
                ? timers_set(&n->timers, &s->timer, n->now + step->timeout_us)
                : 0;
    if (error == 0)
        error = node_emit_start(n, slot);
    return error ? error : node_tell_started(n, slot);
}

static void release_slot(struct node *n, uint32_t slot)
{
    struct slot *s = &n->slots[slot];
    struct run *r = s->run;
    struct run_step *step = &r->steps[s->span->step];

    timers_cancel(&n->timers, &s->timer);
    bitmap_set(&n->free_slots, slot);
    placement_give(step->queue, &s->gpus);
    step->n_running--;
    r->n_running--;
    s->run = NULL;
    run_sync_step(r, s->span->step);
    run_sync_queues(r);
}

static int refuse(struct node *n, struct run *r, struct span *span, uint64_t index)
{
    CLEANUP(attempt_record_release)
    struct attempt_record record = { .reason = REASON_START,
                                     .started_wall = n->wall,
                                     .ended_wall = n->wall };
    int error = node_describe_unfit(n, r->steps[span->step].queue, &record.message);

    return error ? error : node_conclude(n, r, span, index, NODE_SLOT_NONE, &record);
}

static int schedule(struct node *n)
{
    uint32_t slot, n_unfit = 0;
    struct queue *q;
    int error = 0;

    while (error == 0 && bitmap_first(&n->free_slots, &slot)
           && (q = placement_pick(&n->placement))) {
        struct run *r = CONTAINER_OF(q->run, struct run, share);
        uint32_t step = queue_first(q);
        struct span *span;
        uint64_t index;
        bool fits = queue_fits_ever(q);

        if (!run_take_ready(r, step, &span, &index))
            break;
        error = fits ? start(n, slot, r, span, index) : refuse(n, r, span, index);
        n_unfit += !fits;
        run_sync_step(r, step);
        run_sync_queues(r);
        if (n_unfit == UNFIT_PER_STEP_MAX) {
            n->has_more = true;
            break;
        }
    }
    return error;
}

/* ---- the end of an attempt ---- */

/* What the encoder refuses is not kept: the attempt fails and says so. */
static int give_up_outputs(struct attempt_record *record)
{
    struct attempt_record bare = { .run = record->run,
                                   .task = record->task,
                                   .attempt = record->attempt,
                                   .reason = REASON_OUTPUT,
                                   .started_wall = record->started_wall,
                                   .ended_wall = record->ended_wall,
                                   .pid = record->pid };

    bare.message = strdup("its outputs cannot be written down: too many, or one has no "
                          "name");
    if (!bare.message)
        return -ENOMEM;
    attempt_record_release(record);
    *record = bare;
    return 0;
}

static int write_down(struct node *n, const struct run *r, const struct span *s,
                      uint64_t index, bool is_ended, struct attempt_record *record,
                      struct judgement *j, uint64_t *ret_ticket)
{
    int error = attempts_judge(r, s, index, is_ended, record, j);

    if (error == 0)
        error = node_emit_attempt(n, record, ret_ticket);
    if (error == 0 || error == -ENOMEM)
        return error;
    error = give_up_outputs(record);
    if (error == 0)
        error = attempts_judge(r, s, index, is_ended, record, j);
    return error ? error : node_emit_attempt(n, record, ret_ticket);
}

static bool goes_on(const struct run *r, const struct span *s)
{
    return r->steps[s->step].step->is_hook ? r->n_cancels == 0 : !r->is_stopping;
}

static int try_again(struct node *n, struct run *r, struct span *s, uint64_t index,
                     time_us delay)
{
    struct exception *e = span_exception(s, index);

    if (!delay)
        return run_make_ready(r, s, index, index + 1);
    e->is_waiting = true;
    r->n_retrying++;
    r->steps[s->step].n_retrying++;
    return timers_set(&n->timers, &e->timer, n->now + delay);
}

static int follow(struct node *n, struct run *r, struct span *s, uint64_t index,
                  enum verdict verdict, const struct judgement *j)
{
    /* A hook that was lost with the last node is started when the run is settled. */
    if (r->steps[s->step].step->is_hook && r->phase != RUN_HOOK)
        return 0;
    if (verdict == VERDICT_DONE || verdict == VERDICT_CAUGHT)
        return j->is_again ? run_make_ready(r, s, index, index + 1)
                           : readiness_done(r, s, index);
    if (!j->is_final)
        return try_again(n, r, s, index, j->delay);
    return r->steps[s->step].step->is_hook ? 0 : node_on_failure(n, r);
}

int node_conclude(struct node *n, struct run *r, struct span *s, uint64_t index,
                  uint32_t slot, struct attempt_record *record)
{
    bool is_ended = slot != NODE_SLOT_NONE && n->slots[slot].is_ended;
    struct judgement j;
    uint64_t ticket;
    bool is_retried;
    int error;

    record->run = r->id;
    record->task = run_task_id(r, s, index);
    record->gpus = slot == NODE_SLOT_NONE ? 0 : n->slots[slot].gpus.indexes;
    attempts_next(s, index, &record->task.iteration, &record->attempt);
    error = write_down(n, r, s, index, is_ended, record, &j, &ticket);
    if (error < 0)
        return error;
    is_retried = !j.is_final && !j.is_again && goes_on(r, s);
    error =
        node_tell_ended(n, record, slot, is_retried, is_retried ? j.delay : 0, ticket);
    if (error == 0)
        error = attempts_apply(r, s, index, record, &j);
    if (error == 0 && slot != NODE_SLOT_NONE)
        release_slot(n, slot);
    if (error == 0)
        error = follow(n, r, s, index, record->verdict, &j);
    return error ? error : node_mark(n, r);
}

static int on_ended(struct node *n, const struct event *event)
{
    uint32_t slot = event->u.ended.slot;
    struct slot *s;

    if (slot >= n->config.slots_max || !n->slots[slot].run)
        return 0;
    s = &n->slots[slot];
    return node_conclude(n, s->run, s->span, s->index, slot, event->u.ended.record);
}

/* ---- timers ---- */

static int on_attempt_timer(struct node *n, uint32_t slot)
{
    struct slot *s = &n->slots[slot];

    return s->signal ? node_kill(n, slot, SIGKILL, s->why)
                     : node_kill(n, slot, SIGTERM, REASON_TIMEOUT);
}

static int on_retry_timer(struct exception *e)
{
    struct run *r = e->run;

    e->is_waiting = false;
    r->n_retrying--;
    r->steps[e->span->step].n_retrying--;
    return run_make_ready(r, e->span, e->index, e->index + 1);
}

static int on_tick(struct node *n)
{
    struct timer *t;
    int error = 0;

    while (error == 0 && (t = timers_pop(&n->timers, n->now))) {
        switch (t->type) {
        case TIMER_ATTEMPT:
            error = on_attempt_timer(n, (uint32_t)(CONTAINER_OF(t, struct slot, timer)
                                                   - n->slots));
            break;
        case TIMER_RETRY:
            error = on_retry_timer(CONTAINER_OF(t, struct exception, timer));
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
    return n->has_more ? n->now : timers_deadline(&n->timers);
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

static int on_restore_run(struct node *n, const struct event *event)
{
    if (node_find_run(n, &event->u.submit.record->run))
        return 0;
    return node_add_run(n, event, RUN_LOADING);
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
        node_on_suspend(n, r);
        return 0;
    case EVENT_UNSUSPEND:
        return node_on_unsuspend(n, r);
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
        return on_ended(n, event);
    case EVENT_TICK:
        return on_tick(n);
    case EVENT_RESTORE_RUN:
        return on_restore_run(n, event);
    case EVENT_RESTORE_ATTEMPT:
        return node_on_restore_attempt(n, event->u.attempt);
    case EVENT_RESTORE_LOST:
        return node_on_restore_lost(n, &event->run, &event->u.task);
    case EVENT_RESTORE_END:
        return node_on_restore_end(n);
    case EVENT_CANCEL:
    case EVENT_ADOPT:
    case EVENT_RELEASE:
    case EVENT_SUSPEND:
    case EVENT_UNSUSPEND:
        return on_run_event(n, event);
    default:
        return 0;
    }
}

/* Start what can start, end what is over; the end of a run may start its hook. */
static int advance(struct node *n)
{
    int error = 0;

    n->has_more = false;
    for (;;) {
        error = n->config.is_paused ? 0 : schedule(n);
        if (error < 0 || !n->n_dirty)
            return error;
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
