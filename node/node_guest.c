/* SPDX-License-Identifier: Apache-2.0 */
/* What is carried out here for other leaders.
 *
 *     EVENT_GUEST --> waiting -- a slot and room --> running -- its end --> ended
 *                        '--- EVENT_GUEST_END, EVENT_DRAIN --> returned
 *     EVENT_GUEST_RUNNING, after a planned restart -----> running
 *
 * A guest takes a slot and its share of what this node has, as a task of its own runs
 * does, but nobody's share: who is next was decided where it was granted. Guests wait
 * in a line for each class, so one that needs much does not keep back those that do
 * not. */
#define HASH_NONFATAL_OOM 1
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <utlist.h>

#include "node/node_internal.h"

static struct guest *find_guest(const struct node *n, uint64_t id)
{
    struct guest *g;

    HASH_FIND(hh, n->guests, &id, sizeof(id), g);
    return g;
}

static void guest_free(struct guest *g)
{
    if (g->class)
        placement_drop(g->class);
    flow_unref(g->flow);
    free(g);
}

static struct guest *guest_new(struct node *n, uint64_t id, struct flow *flow,
                               const struct demand *demand)
{
    struct guest *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->id = id;
    g->flow = flow_ref(flow);
    g->class = placement_hold(&n->placement, demand);
    if (g->class)
        HASH_ADD(hh, n->guests, id, sizeof(g->id), g);
    if (g->class && g->hh.tbl)
        return g;
    guest_free(g);
    return NULL;
}

/* ---- lines ---- */

static struct guest_line *find_line(const struct node *n, const struct class *c)
{
    struct guest_line *line;

    DL_FOREACH(n->lines, line)
    if (line->class == c)
        return line;
    return NULL;
}

static int queue_up(struct node *n, struct guest *g)
{
    struct guest_line *line = find_line(n, g->class);

    if (!line) {
        line = calloc(1, sizeof(*line));
        if (!line)
            return -ENOMEM;
        line->class = g->class;
        DL_APPEND(n->lines, line);
    }
    g->order = n->n_guest_orders++;
    DL_APPEND(line->first, g);
    n->n_guests_waiting++;
    return 0;
}

static void leave_line(struct node *n, struct guest *g)
{
    struct guest_line *line = find_line(n, g->class);

    DL_DELETE(line->first, g);
    n->n_guests_waiting--;
    if (line->first)
        return;
    DL_DELETE(n->lines, line);
    free(line);
}

static void forget(struct node *n, struct guest *g)
{
    if (!g->slot)
        leave_line(n, g);
    HASH_DELETE(hh, n->guests, g);
    guest_free(g);
}

void node_release_guests(struct node *n)
{
    struct guest *g, *next;

    HASH_ITER (hh, n->guests, g, next)
        forget(n, g);
}

/* ---- it comes, starts, is given back ---- */

static int give_back(struct node *n, struct guest *g)
{
    int error = node_emit_guest(n, ACTION_GUEST_RETURNED, g);

    if (error == 0)
        forget(n, g);
    return error;
}

/* It was never taken in. */
static int refuse(struct node *n, const struct event *event)
{
    struct guest g = { .id = event->u.guest.guest,
                       .run = event->run,
                       .task = event->u.guest.task,
                       .attempt = event->u.guest.attempt };

    return node_emit_guest(n, ACTION_GUEST_RETURNED, &g);
}

static bool is_task_of(const struct flow *f, const struct task_id *task)
{
    const struct step *s;

    if (task->step >= f->n_all_steps)
        return false;
    s = &f->steps[task->step];
    return task->depth == f->scopes[s->is_hook ? 0 : s->scope].depth;
}

int node_on_guest(struct node *n, const struct event *event)
{
    struct flow *flow = event->u.guest.flow;
    const struct task_id *task = &event->u.guest.task;
    struct demand demand;
    struct guest *g;

    if (find_guest(n, event->u.guest.guest))
        return 0;
    if (n->is_draining || HASH_COUNT(n->guests) >= GUESTS_MAX
        || !is_task_of(flow, task))
        return refuse(n, event);
    if (placement_demand(&n->placement, flow, &flow->steps[task->step].resources,
                         &demand)
        < 0)
        return -ENOMEM;
    if (!n->config.slots_max || !bin_fits_ever(bins_at(&n->placement.bins, 0), &demand))
        return refuse(n, event);
    g = guest_new(n, event->u.guest.guest, flow, &demand);
    if (!g)
        return -ENOMEM;
    g->run = event->run;
    g->task = *task;
    g->attempt = event->u.guest.attempt;
    return queue_up(n, g);
}

static void enter(struct node *n, struct guest *g, struct slot *s)
{
    g->slot = s;
    s->guest = g;
    s->run_id = g->run;
    s->task = g->task;
    s->attempt = g->attempt;
    s->signal = 0;
    s->why = 0;
    s->is_ended = s->is_void = s->is_fencing = false;
    s->fence = 0;
    bitmap_clear(&n->free_slots, s->number);
}

static int set_timeout(struct node *n, const struct guest *g, time_us started)
{
    time_us timeout = g->flow->steps[g->task.step].timeout_us;

    return timeout ? timers_set(&n->timers, &g->slot->timer, started + timeout) : 0;
}

static int start(struct node *n, struct guest *g, struct slot *s)
{
    struct bins *bins = &n->placement.bins;
    int error;

    leave_line(n, g);
    enter(n, g, s);
    s->claim = bins_take(bins, bins_at(bins, 0), &g->class->demand);
    error = set_timeout(n, g, n->now);
    if (error == 0)
        error = node_emit_start(n, s);
    return error ? error : node_emit_guest(n, ACTION_GUEST_STARTED, g);
}

int node_on_guest_running(struct node *n, const struct event *event)
{
    struct flow *flow = event->u.running.flow;
    const struct task_id *task = &event->u.running.task;
    uint32_t number = event->u.running.slot;
    struct demand demand;
    struct guest *g;

    if (number >= n->config.slots_max || n->slots[number].run || n->slots[number].guest
        || find_guest(n, event->u.running.guest) || !is_task_of(flow, task))
        return 0;
    if (placement_demand(&n->placement, flow, &flow->steps[task->step].resources,
                         &demand)
        < 0)
        return -ENOMEM;
    g = guest_new(n, event->u.running.guest, flow, &demand);
    if (!g)
        return -ENOMEM;
    g->run = event->run;
    g->task = *task;
    g->attempt = event->u.running.attempt;
    enter(n, g, &n->slots[number]);
    g->slot->claim = bins_retake(&n->placement.bins, &demand, event->u.running.gpus);
    return set_timeout(n, g, event->u.running.started);
}

/* The one that waits longest of those that fit. */
static struct guest *find_next(const struct node *n)
{
    const struct bin *bin = bins_at(&n->placement.bins, 0);
    const struct guest_line *line;
    struct guest *next = NULL;

    DL_FOREACH(n->lines, line)
    if ((!next || line->first->order < next->order)
        && bin_fits(bin, &line->class->demand))
        next = line->first;
    return next;
}

int node_start_guests(struct node *n)
{
    int error = 0;

    while (error == 0 && n->lines) {
        struct slot *s = node_free_slot(n);
        struct guest *g = s ? find_next(n) : NULL;

        if (!g)
            break;
        error = start(n, g, s);
    }
    return error;
}

int node_on_guest_end(struct node *n, const struct event *event)
{
    struct guest *g = find_guest(n, event->u.guest.guest);

    if (!g)
        return 0;
    if (!g->slot)
        return give_back(n, g);
    return event->u.guest.signal
               ? node_kill(n, g->slot, event->u.guest.signal, event->u.guest.why)
               : 0;
}

/* ---- it ended ---- */

static void free_slot(struct node *n, struct slot *s, const struct class *c)
{
    timers_cancel(&n->timers, &s->timer);
    bins_give(&n->placement.bins, &s->claim, &c->demand);
    bitmap_set(&n->free_slots, s->number);
    s->guest = NULL;
}

int node_guest_ended(struct node *n, struct slot *s, struct attempt_record *record)
{
    struct guest *g = s->guest;
    int error;

    record->run = g->run;
    record->task = g->task;
    record->attempt = g->attempt;
    record->gpus = s->claim.gpus.indexes;
    record->verdict = record->reason == REASON_OK ? VERDICT_DONE : VERDICT_FAILED;
    node_complete_result(g->flow, record);
    error = node_emit_guest_ended(n, g, record);
    if (error < 0 && error != -ENOMEM) {
        error = node_give_up_outputs(record);
        record->verdict = VERDICT_FAILED;
        if (error == 0)
            error = node_emit_guest_ended(n, g, record);
    }
    free_slot(n, s, g->class);
    forget(n, g);
    return error;
}

int node_guest_returned(struct node *n, struct slot *s)
{
    struct guest *g = s->guest;
    int error = node_emit_guest(n, ACTION_GUEST_RETURNED, g);

    free_slot(n, s, g->class);
    forget(n, g);
    return error;
}

/* ---- the node drains; a run is led elsewhere ---- */

int node_on_drain(struct node *n, bool is_draining)
{
    struct bin *bin = bins_at(&n->placement.bins, 0);
    struct guest *g, *next;
    int error = 0;

    if (n->config.is_paused)
        return 0;
    n->is_draining = is_draining;
    bins_set(&n->placement.bins, bin, &bin->capacity,
             is_draining ? 0 : n->config.slots_max, 100);
    HASH_ITER (hh, n->guests, g, next)
        if (error == 0 && is_draining && !g->slot)
            error = give_back(n, g);
    return error;
}

static int make_guest(struct node *n, struct slot *s)
{
    struct queue *q = s->run->steps[s->task.step].queue;
    struct guest *g =
        guest_new(n, GUEST_DROPPED | ++n->n_dropped, s->run->flow, &q->class->demand);

    if (!g)
        return -ENOMEM;
    g->run = s->run_id;
    g->task = s->task;
    g->attempt = s->attempt;
    g->slot = s;
    placement_disown(q, &s->claim);
    s->guest = g;
    s->run = NULL;
    return s->is_void ? 0 : node_emit_guest(n, ACTION_TO_GUEST, g);
}

int node_on_drop(struct node *n, struct run *r)
{
    int error = 0;

    for (uint32_t i = 0; i < n->config.slots_max && error == 0; i++)
        if (n->slots[i].run == r && n->slots[i].is_fencing)
            node_vacate(n, &n->slots[i]);
        else if (n->slots[i].run == r)
            error = make_guest(n, &n->slots[i]);
    while (r->leases)
        node_vacate(n, r->leases);
    if (error == 0)
        node_forget_run(n, r);
    return error;
}
