/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/world_state.h"

enum {
    EVENTS_MAX = 200000,
    CALM_S = 300,    /* so long faults go on */
    END_S = 1000000, /* by then all must be over */
};

void world_trace(struct world *w, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!w->config->is_traced)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_printf(&w->result->trace, "[%12.6f] %s\n", (double)w->now / 1e6, text);
}

/* ---- what is to happen, in order of time ---- */

static bool is_sooner(const struct happening *a, const struct happening *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void sift_up(struct world *w, size_t i)
{
    while (i && is_sooner(&w->heap[i], &w->heap[(i - 1) / 2])) {
        struct happening h = w->heap[i];

        w->heap[i] = w->heap[(i - 1) / 2];
        w->heap[(i - 1) / 2] = h;
        i = (i - 1) / 2;
    }
}

static void sift_down(struct world *w)
{
    size_t i = 0;

    for (;;) {
        size_t least = i;
        struct happening h = w->heap[i];

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->n_heap; child++)
            if (is_sooner(&w->heap[child], &w->heap[least]))
                least = child;
        if (least == i)
            return;
        w->heap[i] = w->heap[least];
        w->heap[least] = h;
        i = least;
    }
}

void world_later(struct world *w, time_us delay, enum happening_type type,
                 uint32_t index, uint64_t serial)
{
    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? 2 * w->cap_heap : 64;
        struct happening *heap = realloc(w->heap, cap * sizeof(heap[0]));

        if (!heap) {
            w->error = -ENOMEM;
            return;
        }
        w->heap = heap;
        w->cap_heap = cap;
    }
    w->heap[w->n_heap] = (struct happening){ .at = w->now + delay,
                                             .order = w->order++,
                                             .type = type,
                                             .index = index,
                                             .serial = serial };
    sift_up(w, w->n_heap++);
}

static struct happening next_happening(struct world *w)
{
    struct happening h = w->heap[0];

    w->heap[0] = w->heap[--w->n_heap];
    if (w->n_heap)
        sift_down(w);
    return h;
}

/* ---- faults ---- */

/* A run that goes on, to be disturbed; or one that nobody knows. */
static struct run_id some_run(struct world *w)
{
    const struct user *u = &w->users[world_draw(w, w->n_users)];
    struct ledger_run *r = checker_run(&w->checker, &u->run);

    return r && r->is_known && !r->is_held ? u->run : (struct run_id){ .bytes = { 1 } };
}

static struct event stray_event(struct world *w, struct attempt_record *record)
{
    static const enum event_type types[] = {
        EVENT_TASK_ENDED,      EVENT_CANCEL,    EVENT_TICK,    EVENT_RESTORE_LOST,
        EVENT_RESTORE_ATTEMPT, EVENT_ADOPT,     EVENT_RELEASE, EVENT_RESTORE_END,
        EVENT_SUSPEND,         EVENT_UNSUSPEND,
    };
    struct event event = { .type = types[world_draw(w, ARRAY_SIZE(types))],
                           .now = w->now - w->clock_back,
                           .wall = w->now };
    uint32_t slot = (uint32_t)world_draw(w, CHECKER_SLOTS_MAX);

    if (event.type != EVENT_CANCEL && event.type != EVENT_SUSPEND
        && event.type != EVENT_UNSUSPEND)
        event.run = some_run(w);
    record->run = event.run;
    if (event.type == EVENT_TASK_ENDED) {
        event.u.ended.slot = w->slots[slot].is_used ? 1000 : slot;
        event.u.ended.record = record;
    } else if (event.type == EVENT_RESTORE_ATTEMPT || event.type == EVENT_ADOPT) {
        event.u.attempt = record;
    }
    return event;
}

static void send_stray(struct world *w)
{
    struct attempt_record record = { .verdict = VERDICT_DONE, .reason = REASON_OK };
    struct event event = stray_event(w, &record);
    uint64_t before = node_hash(w->node);

    if (event.type == EVENT_TICK && node_deadline(w->node) <= event.now)
        return;
    if (node_step(w->node, &event, &w->outbox) < 0)
        w->error = -ENOMEM;
    if (w->outbox.n || node_hash(w->node) != before)
        checker_violation(&w->checker, "total",
                          "a stray event of type %d had an effect", (int)event.type);
    outbox_clear(&w->outbox);
}

static void disk_is_full(struct world *w)
{
    world_trace(w, "the disk is full");
    disk_set_full(w->disk, true);
    world_later(w, world_draw(w, TIME_S(20)), HAPPENING_DISK_FREE, 0, 0);
}

static void maybe_crash(struct world *w, uint64_t events_before)
{
    uint64_t k = w->config->crash_after;

    if (!w->node || checker_failed(&w->checker))
        return;
    if (k && events_before < k && w->result->n_events >= k)
        world_crash(w, "as asked");
    else if (!k && w->n_crashes_left && world_may(w, FAULT_CRASH)
             && world_draw(w, w->crash_in) == 0) {
        w->n_crashes_left--;
        world_crash(w, "a fault");
    }
}

/* ---- the loop ---- */

static void tick(struct world *w)
{
    struct event event = { .type = EVENT_TICK };

    world_step(w, &event);
}

static void tell_fenced(struct world *w, uint32_t slot, uint64_t fence)
{
    struct event event = { .type = EVENT_FENCED };
    struct task_id task;
    uint32_t attempt;

    if (!node_slot(w->node, slot, &event.run, &task, &attempt))
        return;
    checker_fenced(&w->checker, slot);
    event.u.fenced.slot = slot;
    event.u.fenced.fence = fence;
    world_step(w, &event);
}

static void happen_to_node(struct world *w, const struct happening *h)
{
    switch (h->type) {
    case HAPPENING_TASK_ENDS:
        if (w->slots[h->index].is_used && w->slots[h->index].serial == h->serial)
            world_end_task(w, h->index);
        break;
    case HAPPENING_FENCED:
        tell_fenced(w, h->index, h->serial);
        break;
    case HAPPENING_COMMIT:
        if (h->serial == w->life)
            world_commit(w);
        break;
    case HAPPENING_COMMITTED:
        if (h->serial == w->life)
            world_committed(w);
        break;
    case HAPPENING_TICK:
        if (h->serial == w->tick_serial)
            tick(w);
        break;
    case HAPPENING_RELEASE:
        if (h->serial == w->life)
            world_release(w, &w->users[h->index]);
        break;
    case HAPPENING_STRAY:
        send_stray(w);
        break;
    default:
        break;
    }
}

static void happen(struct world *w, const struct happening *h)
{
    switch (h->type) {
    case HAPPENING_SUBMIT:
        world_submit(w, &w->users[h->index]);
        break;
    case HAPPENING_RESUME:
        world_resume(w, &w->users[h->index]);
        break;
    case HAPPENING_CANCEL:
        world_cancel(w, &w->users[h->index]);
        break;
    case HAPPENING_SUSPEND:
        world_suspend(w, &w->users[h->index]);
        break;
    case HAPPENING_UNSUSPEND:
        world_unsuspend(w, &w->users[h->index]);
        break;
    case HAPPENING_RESTART:
        world_start_node(w);
        break;
    case HAPPENING_DISK_FULL:
        disk_is_full(w);
        break;
    case HAPPENING_DISK_FREE:
        world_trace(w, "the disk has room");
        disk_set_full(w->disk, false);
        break;
    case HAPPENING_FSYNC_FAILS:
        disk_fail_sync(w->disk);
        break;
    default:
        if (w->node)
            happen_to_node(w, h);
        break;
    }
}

static void live(struct world *w)
{
    while (w->n_heap && !w->error && !checker_failed(&w->checker)) {
        struct happening h = next_happening(w);
        uint64_t n_events = w->result->n_events;

        w->now = w->checker.now = h.at;
        happen(w, &h);
        maybe_crash(w, n_events);
        if (w->result->n_events > EVENTS_MAX || w->now > TIME_S(END_S))
            checker_violation(&w->checker, "liveness", "it does not come to an end");
    }
    if (!w->error && !checker_failed(&w->checker))
        checker_finish(&w->checker);
}

static void release_world(struct world *w)
{
    node_free(w->node);
    outbox_release(&w->outbox);
    checker_release(&w->checker);
    world_drop_writes(w);
    free(w->queue);
    free(w->tells);
    free(w->heap);
    disk_free(w->disk);
    for (uint32_t i = 0; i < w->n_users; i++) {
        buffer_release(&w->users[i].text);
        flow_unref(w->users[i].flow);
        flow_unref(w->users[i].node_flow);
    }
    free(w);
}
CLEANUP_POINTER(struct world, release_world);

void world_result_release(struct world_result *r)
{
    buffer_release(&r->trace);
}

int world_run(const struct world_config *config, struct world_result *ret)
{
    CLEANUP(release_worldp) struct world *w = calloc(1, sizeof(*w));
    int r;

    *ret = (struct world_result){ .n_events = 0 };
    if (!w)
        return -ENOMEM;
    w->config = config;
    w->result = ret;
    w->now = w->checker.now = TIME_S(WORLD_START_S);
    w->calm_at = w->now + TIME_S(CALM_S);
    r = world_draw_all(w);
    if (r < 0)
        return r;
    world_start_node(w);
    live(w);
    ret->virtual_us = w->now - TIME_S(WORLD_START_S);
    ret->n_checks = w->checker.n_checks;
    memcpy(ret->violation, w->checker.violation, sizeof(ret->violation));
    if (checker_failed(&w->checker))
        world_trace(w, "VIOLATION %s", ret->violation);
    return w->error;
}
