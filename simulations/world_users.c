/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "simulations/world_state.h"

struct user *world_user(struct world *w, const struct run_id *run)
{
    for (uint32_t i = 0; i < w->n_users; i++)
        if (w->users[i].has_submitted && run_id_equal(&w->users[i].run, run))
            return &w->users[i];
    return NULL;
}

/* A new submission of the user's flow, under a new name. */
static void submit_as(struct world *w, struct user *u, const struct run_id *origin,
                      bool is_held)
{
    struct event event = { .type = EVENT_SUBMIT };
    uint8_t random[10];
    struct run_record record = { .flow_name = u->flow->name,
                                 .flow_path = (char[]){ "flow.mf" },
                                 .flow_text = u->text.data,
                                 .flow_text_len = u->text.len,
                                 .user = (char *)u->name,
                                 .share = u->share,
                                 .max_workers = u->max_workers,
                                 .on_failure = (char *)u->on_failure };

    for (size_t i = 0; i < sizeof(random); i++)
        random[i] = (uint8_t)world_draw(w, 256);
    u->run = run_id_make(w->now / 1000, random);
    u->number = w->next_number++;
    u->has_submitted = true;
    u->is_waiting = true;
    u->is_accepted = u->is_cancelled = u->is_suspended = false;
    record.run = event.run = u->run;
    record.number = u->number;
    if (origin) {
        record.origin = *origin;
        record.has_origin = true;
    }
    event.u.submit.record = &record;
    event.u.submit.flow = u->node_flow;
    event.u.submit.is_held = is_held;
    world_trace(w, "submit run %u%s", (unsigned)u->number, is_held ? ", held" : "");
    if (!checker_submit(&w->checker, &record, u->flow, is_held))
        w->error = -ENOMEM;
    else
        world_step(w, &event);
}

void world_submit(struct world *w, struct user *u)
{
    bool is_held = world_draw(w, 8) == 0;

    if (u->is_accepted || u->is_waiting)
        return;
    if (!w->node) {
        world_later(w, TIME_S(1), HAPPENING_SUBMIT, (uint32_t)(u - w->users), 0);
        return;
    }
    submit_as(w, u, NULL, is_held);
    if (is_held)
        world_later(w, world_draw(w, TIME_S(5)), HAPPENING_RELEASE,
                    (uint32_t)(u - w->users), w->life);
}

void world_release(struct world *w, struct user *u)
{
    struct event event = { .type = EVENT_RELEASE, .run = u->run };
    struct ledger_run *r = checker_run(&w->checker, &u->run);

    world_trace(w, "release run %u", (unsigned)u->number);
    r->is_held = false;
    world_step(w, &event);
}

void world_cancel(struct world *w, struct user *u)
{
    struct event event = { .type = EVENT_CANCEL, .run = u->run };

    if (!w->node || !u->is_accepted)
        return;
    world_trace(w, "cancel run %u", (unsigned)u->number);
    u->is_cancelled = true;
    checker_cancel(&w->checker, &u->run);
    if (w->config->mutant == MUTANT_IGNORE_CANCEL)
        event.type = EVENT_TICK;
    world_step(w, &event);
    if (!u->n_cancels++ && world_draw(w, 2))
        world_later(w, world_draw(w, TIME_S(40)), HAPPENING_CANCEL,
                    (uint32_t)(u - w->users), 0);
}

void world_suspend(struct world *w, struct user *u)
{
    struct event event = { .type = EVENT_SUSPEND, .run = u->run };

    if (!w->node || !u->is_accepted || u->is_suspended)
        return;
    world_trace(w, "suspend run %u", (unsigned)u->number);
    u->is_suspended = true;
    checker_suspend(&w->checker, &u->run);
    world_later(w, world_draw(w, TIME_S(world_draw(w, 2) ? 5 : 100)),
                HAPPENING_UNSUSPEND, (uint32_t)(u - w->users), 0);
    if (w->config->mutant == MUTANT_IGNORE_SUSPEND)
        event.type = EVENT_TICK;
    world_step(w, &event);
    if (world_draw(w, 2))
        world_later(w, world_draw(w, TIME_S(40)), HAPPENING_SUSPEND,
                    (uint32_t)(u - w->users), 0);
}

void world_unsuspend(struct world *w, struct user *u)
{
    struct event event = { .type = EVENT_UNSUSPEND, .run = u->run };

    if (!u->is_suspended)
        return;
    if (!w->node) {
        world_later(w, TIME_S(1), HAPPENING_UNSUSPEND, (uint32_t)(u - w->users), 0);
        return;
    }
    world_trace(w, "unsuspend run %u", (unsigned)u->number);
    u->is_suspended = false;
    checker_unsuspend(&w->checker, &u->run);
    if (w->config->mutant == MUTANT_IGNORE_UNSUSPEND)
        event.type = EVENT_TICK;
    world_step(w, &event);
}

/* ---- resume ---- */

struct adoption {
    struct world *world;
    const struct user *user;
};

static int adopt(void *arg, struct span key, struct span value)
{
    struct adoption *adoption = arg;
    struct world *w = adoption->world;
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct event event = { .type = EVENT_ADOPT, .run = adoption->user->run };

    if (attempt_record_decode(value.data, value.len, &record) < 0
        || attempt_key_decode(key.data, key.len, &record.run, &record.task,
                              &record.attempt)
               < 0
        || (record.verdict != VERDICT_DONE && record.verdict != VERDICT_ADOPTED)
        || adoption->user->flow->steps[record.task.step].is_hook)
        return 0;
    event.u.attempt = &record;
    world_step(w, &event);
    return checker_failed(&w->checker);
}

void world_resume(struct world *w, struct user *u)
{
    struct store *store = disk_store(w->disk);
    struct adoption adoption = { .world = w, .user = u };
    struct run_id origin = u->run;
    struct record_key prefix = attempts_of_run(&origin);

    if (!w->node || u->has_resumed)
        return;
    u->has_resumed = true;
    w->is_reading = true;
    submit_as(w, u, &origin, true);
    store->ops->scan(store, STORE_RECORDS, (struct span){ prefix.bytes, prefix.len },
                     (struct span){ NULL, 0 }, adopt, &adoption);
    w->is_reading = false;
    if (!checker_failed(&w->checker))
        world_release(w, u);
}
