/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks go into slots: here, or as leases to workers. */
#include <errno.h>
#include <string.h>

#include "node/node_internal.h"

enum { UNFIT_PER_STEP_MAX = 1000 };

static struct slot *lease_at(const struct node *n, uint32_t number)
{
    uint32_t i = number - n->config.slots_max;

    return i / LEASES_PER_CHUNK < n->n_chunks
               ? &n->chunks[i / LEASES_PER_CHUNK][i % LEASES_PER_CHUNK]
               : NULL;
}

struct slot *node_slot_at(const struct node *n, uint32_t number)
{
    struct slot *s =
        number < n->config.slots_max ? &n->slots[number] : lease_at(n, number);

    return s && (s->run || s->guest) ? s : NULL;
}

struct slot *node_free_slot(const struct node *n)
{
    uint32_t number;

    return !n->is_draining && bitmap_first(&n->free_slots, &number) ? &n->slots[number]
                                                                    : NULL;
}

static void occupy(struct node *n, struct slot *s, struct run *r, struct span *span,
                   uint64_t index)
{
    s->run = r;
    s->span = span;
    s->index = index;
    s->run_id = r->id;
    s->task = run_task_id(r, span, index);
    attempts_next(span, index, &s->task.iteration, &s->attempt);
    s->signal = 0;
    s->why = 0;
    s->is_ended = s->is_void = false;
    s->fence = 0;
    s->is_fencing = false;
    if (is_local(n, s))
        bitmap_clear(&n->free_slots, s->number);
    r->n_running++;
    r->steps[span->step].n_running++;
}

void node_occupy(struct node *n, struct slot *s, struct run *r, struct span *span,
                 uint64_t index, struct bin *bin)
{
    occupy(n, s, r, span, index);
    s->claim = placement_take(r->steps[span->step].queue, bin);
}

void node_reoccupy(struct node *n, struct slot *s, struct run *r, struct span *span,
                   uint64_t index, uint64_t gpus)
{
    occupy(n, s, r, span, index);
    s->claim = placement_retake(r->steps[span->step].queue, gpus);
}

void node_vacate(struct node *n, struct slot *s)
{
    struct run *r = s->run;
    uint32_t step = s->task.step;

    timers_cancel(&n->timers, &s->timer);
    r->steps[step].n_running--;
    r->n_running--;
    placement_give(r->steps[step].queue, &s->claim);
    s->run = NULL;
    if (is_local(n, s))
        bitmap_set(&n->free_slots, s->number);
    else
        node_delist(n, s, r);
    run_sync_step(r, step);
    run_sync_queues(r);
}

int node_begin(struct node *n, struct slot *s)
{
    const struct step *step = s->run->steps[s->task.step].step;
    int error = 0;

    if (step->timeout_us)
        error = timers_set(&n->timers, &s->timer, n->now + step->timeout_us);
    if (error == 0)
        error = node_emit_start(n, s);
    return error ? error : node_tell_started(n, s);
}

static int start(struct node *n, struct run *r, struct span *span, uint64_t index)
{
    struct slot *s = node_free_slot(n);

    node_occupy(n, s, r, span, index, bins_at(&n->placement.bins, 0));
    return node_is_exclusive(r, span) ? node_ask_fence(n, s) : node_begin(n, s);
}

static int grant(struct node *n, struct run *r, struct span *span, uint64_t index,
                 struct bin *bin)
{
    struct slot *s;
    int error = node_new_lease(n, &s);

    if (error < 0)
        return error;
    node_occupy(n, s, r, span, index, bin);
    node_enlist(n, s, n->workers[bin->number], false);
    return node_is_exclusive(r, span) ? node_ask_fence(n, s)
                                      : node_emit_lease(n, s, ACTION_LEASE);
}

static int place(struct node *n, struct run *r, struct span *span, uint64_t index,
                 struct bin *bin)
{
    time_us wait = node_fence_left(n, span, index);

    if (wait)
        return node_try_again(n, r, span, index, wait);
    return bin->number ? grant(n, r, span, index, bin) : start(n, r, span, index);
}

static int refuse(struct node *n, struct run *r, struct span *span, uint64_t index)
{
    CLEANUP(attempt_record_release)
    struct attempt_record record = { .reason = REASON_START,
                                     .started_wall = n->wall,
                                     .ended_wall = n->wall };
    int error = node_describe_unfit(n, r->steps[span->step].queue, &record.message);

    return error ? error : node_conclude(n, r, span, index, NULL, &record);
}

int node_schedule(struct node *n)
{
    uint32_t n_unfit = 0;
    struct queue *q;
    struct bin *bin;
    int error = 0;

    while (error == 0 && (q = placement_pick(&n->placement, &bin))) {
        struct run *r = CONTAINER_OF(q->run, struct run, share);
        uint32_t step = queue_first(q);
        bool is_doomed = queue_is_doomed(q);
        struct span *span;
        uint64_t index;

        if (!is_doomed && bin->number && n->n_leases == LEASES_MAX)
            break;
        if (!run_take_ready(r, step, &span, &index))
            break;
        if (is_doomed)
            error = refuse(n, r, span, index);
        else
            error = place(n, r, span, index, bin);
        run_sync_step(r, step);
        run_sync_queues(r);
        n_unfit += is_doomed;
        if (n_unfit == UNFIT_PER_STEP_MAX) {
            n->has_more = true;
            break;
        }
    }
    return error;
}
