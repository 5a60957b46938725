/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/world_state.h"

#include <errno.h>
#include <string.h>

static void remember_lost(struct world *w)
{
    w->n_lost = 0;
    for (uint32_t i = 0; i < CHECKER_SLOTS_MAX; i++) {
        struct sim_slot *s = &w->slots[i];

        if (!s->is_used)
            continue;
        s->is_used = false;
        w->lost[w->n_lost++] = (struct lost_task){ s->user->run, s->task };
    }
    for (uint32_t i = 0; i < w->n_stale && i < WORLD_STALE_MAX; i++)
        w->lost[w->n_lost++] = w->stale[i];
    w->n_stale = 0;
}

void world_crash(struct world *w, const char *why)
{
    if (!w->node)
        return;
    world_trace(w, "crash: %s", why);
    w->result->n_crashes++;
    node_free(w->node);
    w->node = NULL;
    w->life++;
    remember_lost(w);
    world_drop_writes(w);
    w->n_tells = 0;
    w->is_committing = w->is_window_open = false;
    w->written_ticket = w->durable_ticket = 0;
    if (disk_crash(w->disk) < 0) {
        w->error = -ENOMEM;
        return;
    }
    checker_crash(&w->checker);
    world_later(w, TIME_MS(10) + world_draw(w, TIME_S(5)), HAPPENING_RESTART, 0, 0);
}

/* ---- reading the store ---- */

struct found {
    struct world *world;
    struct run_id runs[WORLD_RUNS_MAX * 64];
    size_t n;
};

static bool is_damaged(struct world *w, struct span key, int r)
{
    if (r == -EBADMSG) {
        if (!disk_is_torn(w->disk, key))
            checker_violation(&w->checker, "lost", "a synced record is damaged");
        return true;
    }
    if (r == 0 && disk_is_torn(w->disk, key))
        checker_violation(&w->checker, "torn", "a torn record was taken for good");
    return r < 0;
}

static bool has_ended(struct world *w, const struct run_id *run)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    CLEANUP(run_end_record_release)
    struct run_end_record end = { .message = NULL };
    struct record_key key = run_end_key(run);
    struct span span = { key.bytes, key.len };
    struct store *store = disk_store(w->disk);

    if (store->ops->get(store, STORE_RECORDS, span, &bytes) < 0
        || w->config->mutant == MUTANT_FORGET_END)
        return false;
    return !is_damaged(w, span, run_end_record_decode(bytes.data, bytes.len, &end));
}

static int find_run(void *arg, struct span key, struct span value)
{
    struct found *found = arg;
    struct world *w = found->world;
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct event event = { .type = EVENT_RESTORE_RUN };
    struct user *u;

    if (is_damaged(w, key, run_record_decode(value.data, value.len, &record)))
        return 0;
    memcpy(record.run.bytes, (const uint8_t *)key.data + 1, RUN_ID_SIZE);
    u = world_user(w, &record.run);
    if (has_ended(w, &record.run)) {
        if (u)
            u->is_accepted = true;
        return 0;
    }
    checker_restore_run(&w->checker, &record);
    if (checker_failed(&w->checker) || !u)
        return 1;
    u->is_accepted = true;
    world_trace(w, "restore run %u", (unsigned)record.number);
    event.run = record.run;
    event.u.submit.record = &record;
    event.u.submit.flow = u->node_flow;
    world_step(w, &event);
    if (found->n < ARRAY_SIZE(found->runs))
        found->runs[found->n++] = record.run;
    return checker_failed(&w->checker);
}

static bool is_skipped(struct world *w, const struct attempt_record *record)
{
    return w->config->mutant == MUTANT_SKIP_ATTEMPT && verdict_counts(record->verdict)
           && w->n_skipped++ == 0;
}

static int find_attempt(void *arg, struct span key, struct span value)
{
    struct world *w = arg;
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct event event = { .type = EVENT_RESTORE_ATTEMPT };

    if (is_damaged(w, key, attempt_record_decode(value.data, value.len, &record)))
        return 0;
    if (attempt_key_decode(key.data, key.len, &record.run, &record.task,
                           &record.attempt)
        < 0) {
        checker_violation(&w->checker, "record", "an attempt's key that is none");
        return 1;
    }
    if (is_skipped(w, &record))
        return 0;
    checker_restore_attempt(&w->checker, &record);
    if (checker_failed(&w->checker))
        return 1;
    event.run = record.run;
    event.u.attempt = &record;
    world_step(w, &event);
    return checker_failed(&w->checker);
}

static int find_fence(void *arg, struct span key, struct span value)
{
    struct world *w = arg;
    struct event event = { .type = EVENT_RESTORE_FENCE };

    if (is_damaged(w, key,
                   fence_record_decode(value.data, value.len, &event.u.fence.fence)))
        return 0;
    if (fence_key_decode(key.data, key.len, &event.run, &event.u.fence.task) < 0) {
        checker_violation(&w->checker, "record", "a fence's key that is none");
        return 1;
    }
    world_step(w, &event);
    return checker_failed(&w->checker);
}

static void restore_lost(struct world *w)
{
    for (uint32_t i = 0; i < w->n_lost; i++) {
        struct event event = { .type = EVENT_RESTORE_LOST,
                               .run = w->lost[i].run,
                               .u.task = w->lost[i].task };
        struct ledger_run *r = checker_run(&w->checker, &event.run);

        if (!r || !r->is_known || world_draw(w, 4) == 0)
            continue;
        if (w->config->mutant != MUTANT_INVENT_LOSS)
            checker_restore_lost(&w->checker, &event.run, &event.u.task);
        world_step(w, &event);
    }
}

/* What users asked for before the crash, as the runtime has kept it. */
static void restore_states(struct world *w, const struct found *found)
{
    for (size_t i = 0; i < found->n && !checker_failed(&w->checker); i++) {
        struct user *u = world_user(w, &found->runs[i]);

        if (u->is_suspended) {
            checker_suspend(&w->checker, &u->run);
            if (w->config->mutant != MUTANT_WAKE_SUSPENDED)
                world_step(w, &(struct event){ .type = EVENT_SUSPEND, .run = u->run });
        }
        if (u->is_cancelled) {
            checker_cancel(&w->checker, &u->run);
            world_step(w, &(struct event){ .type = EVENT_CANCEL, .run = u->run });
        }
    }
}

static int scan(struct world *w, const void *prefix, size_t len,
                int (*each)(void *, struct span, struct span), void *arg)
{
    struct store *store = disk_store(w->disk);

    return store->ops->scan(store, STORE_RECORDS, (struct span){ prefix, len },
                            (struct span){ NULL, 0 }, each, arg);
}

static void restore(struct world *w)
{
    struct found found = { .world = w };
    struct event event = { .type = EVENT_RESTORE_END };

    w->is_reading = true;
    scan(w, "r", 1, find_run, &found);
    for (size_t i = 0; i < found.n && !checker_failed(&w->checker); i++) {
        struct record_key attempts = attempts_of_run(&found.runs[i]);
        struct record_key fences = fences_of_run(&found.runs[i]);

        scan(w, attempts.bytes, attempts.len, find_attempt, w);
        if (!checker_failed(&w->checker))
            scan(w, fences.bytes, fences.len, find_fence, w);
    }
    if (checker_failed(&w->checker))
        return;
    if (w->faults & FAULT_REMEMBERED)
        restore_lost(w);
    restore_states(w, &found);
    w->is_reading = false;
    checker_restore_end(&w->checker);
    if (!checker_failed(&w->checker))
        world_step(w, &event);
}

/* Who got no answer asks again, unless the node has the run after all. */
static void ask_again(struct world *w)
{
    for (uint32_t i = 0; i < w->n_users; i++) {
        struct user *u = &w->users[i];

        if (!u->is_waiting)
            continue;
        u->is_waiting = false;
        if (!u->is_accepted)
            world_later(w, world_draw(w, TIME_S(2)), HAPPENING_SUBMIT, i, 0);
    }
}

void world_start_node(struct world *w)
{
    w->node = node_new(&w->node_config);
    if (!w->node) {
        w->error = -ENOMEM;
        return;
    }
    if (w->faults & FAULT_REBOOT)
        w->clock_back = world_draw(w, w->now);
    world_trace(w, "the node starts");
    restore(w);
    ask_again(w);
}
