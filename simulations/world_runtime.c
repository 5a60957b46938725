/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/world_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WALL_START_S = 1700000000 };

static const char *task_name(const struct user *u, const struct task_id *task,
                             uint32_t attempt)
{
    static char name[TASK_TEXT_SIZE + 64];
    char text[TASK_TEXT_SIZE];

    task_id_text(task, text);
    (void)snprintf(name, sizeof(name), "%u/%.32s/%s#%u", (unsigned)u->number,
                   u->flow->steps[task->step].name, text, attempt);
    return name;
}

/* ---- tasks ---- */

static void start_task(struct world *w, const struct action *a)
{
    struct user *u = world_user(w, &a->run);
    struct sim_slot *s = &w->slots[a->slot];

    *s = (struct sim_slot){ .is_used = true,
                            .user = u,
                            .task = a->task,
                            .attempt = a->attempt,
                            .serial = ++w->serial,
                            .started = w->now };
    s->plan = tasks_plan(&w->tasks, u->flow, u->number, &a->task, a->attempt, w->life);
    s->ends = w->now + s->plan.duration_us;
    w->result->n_starts++;
    world_trace(w, "start %s slot %u", task_name(u, &a->task, a->attempt), a->slot);
    world_later(w, s->plan.duration_us, HAPPENING_TASK_ENDS, a->slot, s->serial);
}

static void kill_task(struct world *w, const struct action *a)
{
    struct sim_slot *s = &w->slots[a->slot];
    bool is_final = a->u.kill.signal == SIGKILL;
    time_us delay = is_final ? world_draw(w, TIME_MS(20)) : s->plan.term_us;

    world_trace(w, "kill %s %s, %s", task_name(s->user, &a->task, a->attempt),
                is_final ? "KILL" : "TERM", reason_name(a->u.kill.why));
    s->why = a->u.kill.why;
    s->signal = a->u.kill.signal;
    if (!is_final && s->plan.ignores_term)
        return;
    if (w->now + delay >= s->ends)
        return;
    s->ends = w->now + delay;
    s->serial = ++w->serial;
    world_later(w, delay, HAPPENING_TASK_ENDS, a->slot, s->serial);
}

static void fill_reason(const struct sim_slot *s, struct attempt_record *record)
{
    const struct task_plan *p = &s->plan;

    record->reason = p->reason;
    record->exit_code = p->exit_code;
    record->signal = p->signal;
    if (s->why && !(s->signal == SIGTERM && p->exits_itself)) {
        record->reason = s->why;
        record->exit_code = 0;
        record->signal = s->signal;
    } else if (s->why && p->term_code && p->reason == REASON_OK) {
        record->reason = REASON_EXIT;
        record->exit_code = p->term_code;
    }
}

static void fill_record(const struct world *w, const struct sim_slot *s,
                        struct attempt_record *record)
{
    const struct task_plan *p = &s->plan;

    *record = (struct attempt_record){
        .started_wall = TIME_S(WALL_START_S) + s->started,
        .ended_wall = TIME_S(WALL_START_S) + w->now,
        .pid = (uint32_t)s->serial,
    };
    fill_reason(s, record);
    if (record->reason != REASON_OK)
        return;
    record->has_width = p->has_width;
    record->width = p->width;
    record->choice = p->choice ? strdup(p->choice) : NULL;
}

void world_end_task(struct world *w, uint32_t slot)
{
    struct sim_slot *s = &w->slots[slot];
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct event event = { .type = EVENT_TASK_ENDED, .run = s->user->run };

    fill_record(w, s, &record);
    s->is_used = false;
    w->stale[w->n_stale++ % WORLD_STALE_MAX] =
        (struct lost_task){ s->user->run, s->task };
    world_trace(w, "end %s %s", task_name(s->user, &s->task, s->attempt),
                reason_name(record.reason));
    if (w->config->mutant == MUTANT_SWALLOW_END && s->task.step == 1)
        return;
    checker_ended(&w->checker, slot, record.reason);
    if (w->config->mutant == MUTANT_WRONG_REASON)
        record.reason = REASON_OK;
    event.u.ended.slot = slot;
    event.u.ended.record = &record;
    world_step(w, &event);
}

/* ---- the writer ---- */

static void queue_write(struct world *w, const struct action *a)
{
    struct queued_write *q;

    if (w->config->mutant == MUTANT_DROP_RECORD
        && ((const char *)a->u.persist.key)[0] == 'a') {
        w->written_ticket = a->ticket;
        return;
    }
    if (w->n_queue == w->cap_queue) {
        size_t cap = w->cap_queue ? 2 * w->cap_queue : 64;

        q = realloc(w->queue, cap * sizeof(*q));
        if (!q) {
            w->error = -ENOMEM;
            return;
        }
        w->queue = q;
        w->cap_queue = cap;
    }
    q = &w->queue[w->n_queue++];
    *q = (struct queued_write){ .ticket = a->ticket };
    q->key.len = min_size(a->u.persist.key_len, sizeof(q->key.bytes));
    memcpy(q->key.bytes, a->u.persist.key, q->key.len);
    if (buffer_append(&q->value, a->u.persist.value, a->u.persist.value_len) < 0)
        w->error = -ENOMEM;
}

void world_drop_writes(struct world *w)
{
    for (size_t i = 0; i < w->n_queue; i++)
        buffer_release(&w->queue[i].value);
    w->n_queue = 0;
}

static time_us latency(struct world *w)
{
    return world_may(w, FAULT_SLOW) && world_draw(w, 4) == 0
               ? world_draw(w, TIME_S(30))
               : TIME_MS(1) + world_draw(w, TIME_MS(10));
}

void world_commit(struct world *w)
{
    struct store_write *writes;
    int r;

    w->is_window_open = false;
    if (w->is_committing || !w->n_queue)
        return;
    writes = calloc(w->n_queue, sizeof(writes[0]));
    if (!writes) {
        w->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < w->n_queue; i++) {
        const struct queued_write *q = &w->queue[i];

        writes[i] = (struct store_write){ .table = STORE_RECORDS,
                                          .key = { q->key.bytes, q->key.len },
                                          .value = { q->value.data, q->value.len } };
        w->written_ticket = q->ticket;
    }
    r = disk_write(w->disk, writes, w->n_queue);
    free(writes);
    world_drop_writes(w);
    if (r < 0) {
        world_crash(w, r == -ENOSPC ? "the disk is full" : "the disk fails");
        return;
    }
    w->is_committing = true;
    world_later(w, latency(w), HAPPENING_COMMITTED, 0, w->life);
}

static void hear(struct world *w, struct user *u, const struct action *a)
{
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
        u->is_accepted = true;
        break;
    case TELL_TASK_STARTED:
    case TELL_TASK_TORN:
    case TELL_RUN_TORN:
    case TELL_RUN_NUMBERED:
    case TELL_RUN_REFUSED:
        break;
    case TELL_TASK_ENDED:
        world_trace(w, "told: %s ended", task_name(u, &a->task, a->attempt));
        break;
    case TELL_RUN_ENDED:
        world_trace(w, "told: run %u %s", (unsigned)u->number,
                    run_outcome_name(a->u.tell.outcome));
        if (a->u.tell.outcome != RUN_OK && w->tasks.seed % 2)
            world_later(w, TIME_S(1), HAPPENING_RESUME, (uint32_t)(u - w->users), 0);
        break;
    }
}

static void release_tells(struct world *w)
{
    size_t n = 0;

    while (n < w->n_tells && !checker_failed(&w->checker)
           && (w->tells[n].ticket <= w->durable_ticket
               || w->config->mutant == MUTANT_TELL_EARLY)) {
        const struct action *a = &w->tells[n++];
        struct user *u = world_user(w, &a->run);

        if (a->type == ACTION_FENCED) {
            world_later(w, 0, HAPPENING_FENCED, a->slot, a->u.fence);
            continue;
        }
        checker_told(&w->checker, a);
        if (u)
            hear(w, u, a);
    }
    if (n)
        memmove(w->tells, w->tells + n, (w->n_tells - n) * sizeof(w->tells[0]));
    w->n_tells -= n;
}

void world_committed(struct world *w)
{
    w->is_committing = false;
    if (disk_sync(w->disk) < 0) {
        world_crash(w, "the disk fails");
        return;
    }
    w->durable_ticket = w->written_ticket;
    release_tells(w);
    world_commit(w);
}

static void queue_tell(struct world *w, const struct action *a)
{
    if (w->n_tells == w->cap_tells) {
        size_t cap = w->cap_tells ? 2 * w->cap_tells : 64;
        struct action *tells = realloc(w->tells, cap * sizeof(tells[0]));

        if (!tells) {
            w->error = -ENOMEM;
            return;
        }
        w->tells = tells;
        w->cap_tells = cap;
    }
    w->tells[w->n_tells++] = *a;
}

/* A lone write is committed at once, more wait for each other unless one is urgent. */
static void plan_commit(struct world *w, bool is_urgent)
{
    if (!w->n_queue || w->is_committing || w->is_reading)
        return;
    if (is_urgent || world_draw(w, 2)) {
        world_commit(w);
    } else if (!w->is_window_open) {
        w->is_window_open = true;
        world_later(w, TIME_MS(10), HAPPENING_COMMIT, 0, w->life);
    }
}

/* ---- the step ---- */

static void remember(struct world *w, uint64_t value)
{
    w->result->hash = (w->result->hash ^ value) * 0x100000001b3u;
    w->result->hash ^= w->result->hash >> 29;
}

static void remember_action(struct world *w, const struct action *a)
{
    remember(w, a->type);
    remember(w, a->ticket);
    remember(w, (uint64_t)a->task.step << 32 | a->attempt);
    remember(w, a->slot);
    for (uint32_t i = 0; i < a->task.depth; i++)
        remember(w, a->task.path[i]);
    if (a->type == ACTION_PERSIST)
        for (size_t i = 0; i < a->u.persist.value_len; i++)
            remember(w, ((const uint8_t *)a->u.persist.value)[i]);
}

static void start(struct world *w, const struct action *a)
{
    struct action as_done = *a;

    if (w->config->mutant == MUTANT_SAME_GPU && a->u.start.gpus)
        as_done.u.start.gpus = 1;
    checker_start(&w->checker, &as_done);
    if (!checker_failed(&w->checker))
        start_task(w, a);
}

static void carry_out(struct world *w, const struct action *a)
{
    remember_action(w, a);
    switch (a->type) {
    case ACTION_START:
        start(w, a);
        break;
    case ACTION_KILL:
        checker_kill(&w->checker, a);
        if (!checker_failed(&w->checker))
            kill_task(w, a);
        break;
    case ACTION_PERSIST:
        checker_persist(&w->checker, a);
        queue_write(w, a);
        break;
    case ACTION_TELL:
        checker_tell(&w->checker, a);
        queue_tell(w, a);
        break;
    case ACTION_FENCED:
        checker_start(&w->checker, a);
        queue_tell(w, a);
        break;
    default: /* of a node with others */
        break;
    }
}

static void plan_tick(struct world *w)
{
    time_us deadline = node_deadline(w->node), late = 0, now = w->now - w->clock_back;

    w->tick_serial = ++w->serial;
    if (deadline == TIME_NEVER || w->config->mutant == MUTANT_NO_TICKS)
        return;
    if (w->faults & FAULT_LATE)
        late = world_draw(w, w->checker.slack);
    world_later(w, deadline + late > now ? deadline + late - now : 0, HAPPENING_TICK, 0,
                w->tick_serial);
}

void world_step(struct world *w, struct event *event)
{
    bool is_urgent = false;
    int r;

    event->now = w->now - w->clock_back;
    event->wall = TIME_S(WALL_START_S) + w->now;
    w->result->n_events++;
    r = node_step(w->node, event, &w->outbox);
    if (r < 0) {
        w->error = r;
        return;
    }
    for (size_t i = 0; i < w->outbox.n && !checker_failed(&w->checker); i++) {
        const struct action *a = &w->outbox.actions[i];

        carry_out(w, a);
        is_urgent |= a->type == ACTION_PERSIST && a->u.persist.is_urgent;
    }
    outbox_clear(&w->outbox);
    remember(w, event->type);
    remember(w, w->now);
    remember(w, node_hash(w->node));
    if (checker_failed(&w->checker))
        return;
    checker_stepped(&w->checker, w->node);
    plan_tick(w);
    release_tells(w);
    plan_commit(w, is_urgent);
}
