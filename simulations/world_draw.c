/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "flow/read.h"
#include "simulations/flows.h"
#include "simulations/world_state.h"

enum { FLOW_TRIES = 20 };

static const char *const mutant_names[] = {
    [MUTANT_NONE] = "none",
    [MUTANT_TELL_EARLY] = "tell-early",
    [MUTANT_DROP_RECORD] = "drop-record",
    [MUTANT_DISK_FORGETS] = "disk-forgets",
    [MUTANT_DISK_FLIPS] = "disk-flips",
    [MUTANT_SKIP_ATTEMPT] = "skip-attempt",
    [MUTANT_SWALLOW_END] = "swallow-end",
    [MUTANT_NO_TICKS] = "no-ticks",
    [MUTANT_LOOSE_CAPACITY] = "loose-capacity",
    [MUTANT_LOOSE_SLOTS] = "loose-slots",
    [MUTANT_LOOSE_CONCURRENCY] = "loose-concurrency",
    [MUTANT_LOOSE_WORKERS] = "loose-workers",
    [MUTANT_LOOSE_RETRY] = "loose-retry",
    [MUTANT_LOOSE_DELAY] = "loose-delay",
    [MUTANT_LOOSE_TIMEOUT] = "loose-timeout",
    [MUTANT_LOOSE_FAILURE] = "loose-failure",
    [MUTANT_OTHER_EDGES] = "other-edges",
    [MUTANT_OTHER_WIDTH] = "other-width",
    [MUTANT_OTHER_HOOK] = "other-hook",
    [MUTANT_LOOSE_RUN_TIMEOUT] = "loose-run-timeout",
    [MUTANT_SHORT_GRACE] = "short-grace",
    [MUTANT_IGNORE_CANCEL] = "ignore-cancel",
    [MUTANT_FORGET_END] = "forget-end",
    [MUTANT_WRONG_REASON] = "wrong-reason",
    [MUTANT_KEEP_TORN] = "keep-torn",
    [MUTANT_IGNORE_SUSPEND] = "ignore-suspend",
    [MUTANT_IGNORE_UNSUSPEND] = "ignore-unsuspend",
    [MUTANT_WAKE_SUSPENDED] = "wake-suspended",
    [MUTANT_INVENT_LOSS] = "invent-loss",
    [MUTANT_LOOSE_CAPS] = "loose-caps",
    [MUTANT_SAME_GPU] = "same-gpu",
};

const char *mutant_name(enum mutant m)
{
    return mutant_names[m];
}

static int draw_flow(struct world *w, struct user *u)
{
    for (int i = 0; i < FLOW_TRIES; i++) {
        struct diagnostics d = { .n = 0 };
        int r;

        buffer_clear(&u->text);
        r = flows_write(&w->prng, &u->text);
        if (r < 0)
            return r;
        r = flow_read(u->text.data, u->text.len, &u->flow, &d);
        diagnostics_release(&d);
        if (r == 0)
            return flow_read(u->text.data, u->text.len, &u->node_flow, &d);
        if (r != -EINVAL)
            return r;
    }
    return -EINVAL;
}

/* What the node reads differs from what the checkers read. */
static void mutate_flow(struct flow *f, enum mutant m)
{
    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        struct step *s = &f->steps[i];

        if (m == MUTANT_LOOSE_CONCURRENCY)
            s->concurrency = 0;
        else if (m == MUTANT_LOOSE_RETRY)
            s->retry.times += 2;
        else if (m == MUTANT_LOOSE_DELAY)
            s->retry.delay_us = 0;
        else if (m == MUTANT_LOOSE_TIMEOUT)
            s->timeout_us *= 2;
        else if (m == MUTANT_OTHER_EDGES && s->scope == 0)
            s->n_before = s->n_before > 1 ? s->n_before - 1 : s->n_before;
        else if (m == MUTANT_OTHER_WIDTH && s->foreach.kind == FOREACH_RANGE)
            s->foreach.width++;
    }
    if (m == MUTANT_LOOSE_WORKERS)
        f->max_workers = 0;
    else if (m == MUTANT_LOOSE_FAILURE)
        f->on_failure = ON_FAILURE_FINISH;
    else if (m == MUTANT_LOOSE_RUN_TIMEOUT)
        f->timeout_us = 0;
    else if (m == MUTANT_OTHER_HOOK)
        f->on_success = f->on_error = FLOW_NONE;
}

static void draw_faults(struct world *w)
{
    w->faults = (unsigned)prng_next(&w->prng) & w->config->faults;
    if (world_draw(w, 4) == 0)
        w->faults &= (unsigned)prng_next(&w->prng);
    w->result->faults = w->faults;
    w->tasks =
        (struct tasks_config){ .seed = prng_next(&w->prng),
                               .faults = w->faults,
                               .failure_in =
                                   2 + world_draw(w, world_draw(w, 2) ? 20 : 400) };
    w->n_crashes_left = (unsigned)(1 + world_draw(w, 6));
    w->crash_in = 2 + world_draw(w, world_draw(w, 2) ? 10 : 100);
    w->checker.slack = w->faults & FAULT_LATE ? TIME_MS(200) : 0;
}

/* What the owner of the node grants; often nothing in particular. */
static void draw_sharing(struct world *w)
{
    static const char *const names[WORLD_NAMES] = { "ann", "ben" };

    for (uint32_t i = 0; i < WORLD_NAMES; i++)
        w->limits[i] = (struct user_limits){
            .name = names[i],
            .weight = 1 + (uint32_t)world_draw(w, 4),
            .max_tasks = world_draw(w, 3) ? 0 : 1 + (uint32_t)world_draw(w, 3),
            .max_cpu_milli = world_draw(w, 4) ? 0 : 1000 + 500 * world_draw(w, 4),
        };
    w->sharing = (struct sharing){ .users = w->limits, .n_users = WORLD_NAMES };
    w->true_config.sharing = &w->sharing;
}

static void draw_node(struct world *w)
{
    static char licence[] = "licence";
    static char *const custom_names[] = { licence, NULL };

    w->true_config = (struct node_config){
        .capacity = { .cpu_milli = 2000 + 1000 * world_draw(w, 7),
                      .memory_bytes = (400 + 100 * world_draw(w, 8)) << 20,
                      .disk_bytes = 1ULL << 40,
                      .gpu_milli = 1000 * world_draw(w, 3),
                      .custom = { { .name = 0,
                                    .milli = 1000 + 1000 * world_draw(w, 3) } },
                      .n_custom = 1 },
        .custom_names = custom_names,
        .slots_max = 1 + (uint32_t)world_draw(w, 8),
        .grace_us = TIME_S(1 + world_draw(w, 30)),
    };
    draw_sharing(w);
    w->node_config = w->true_config;
    if (w->config->mutant == MUTANT_LOOSE_CAPS)
        w->node_config.sharing = NULL;
    if (w->config->mutant == MUTANT_LOOSE_CAPACITY)
        w->node_config.capacity.cpu_milli *= 2;
    if (w->config->mutant == MUTANT_LOOSE_SLOTS)
        w->node_config.slots_max++;
    if (w->config->mutant == MUTANT_SHORT_GRACE)
        w->node_config.grace_us /= 2;
    w->checker.config = &w->true_config;
}

static void draw_overrides(struct world *w, struct user *u)
{
    static const char *const modes[] = { "stop", "finish", "kill" };

    if (world_draw(w, 6) == 0)
        u->on_failure = modes[world_draw(w, 3)];
    u->name = w->limits[world_draw(w, WORLD_NAMES)].name;
    u->share = (uint32_t)world_draw(w, 4);
    if (world_draw(w, 6) == 0)
        u->max_workers = 1 + (uint32_t)world_draw(w, 3);
}

static int draw_users(struct world *w)
{
    w->n_users = 1U + (world_draw(w, 3) == 0) + (world_draw(w, 6) == 0);
    w->next_number = 1;
    w->result->n_runs = w->n_users;
    for (uint32_t i = 0; i < w->n_users; i++) {
        int r = draw_flow(w, &w->users[i]);

        if (r < 0)
            return r;
        if (w->config->is_traced)
            buffer_printf(&w->result->trace, "--- user %u\n%s", i,
                          buffer_text(&w->users[i].text));
        draw_overrides(w, &w->users[i]);
        mutate_flow(w->users[i].node_flow, w->config->mutant);
        world_later(w, i ? world_draw(w, TIME_S(20)) : 1, HAPPENING_SUBMIT, i, 0);
        if (w->faults & FAULT_CANCEL && world_draw(w, 2))
            world_later(w, world_draw(w, TIME_S(world_draw(w, 2) ? 5 : 100)),
                        HAPPENING_CANCEL, i, 0);
        if (w->faults & FAULT_SUSPEND)
            world_later(w, world_draw(w, TIME_S(world_draw(w, 2) ? 5 : 60)),
                        HAPPENING_SUSPEND, i, 0);
    }
    return 0;
}

static void draw_troubles(struct world *w)
{
    if (w->faults & FAULT_FULL)
        world_later(w, world_draw(w, TIME_S(60)), HAPPENING_DISK_FULL, 0, 0);
    if (w->faults & FAULT_FSYNC)
        world_later(w, world_draw(w, TIME_S(60)), HAPPENING_FSYNC_FAILS, 0, 0);
    for (int i = 0; i < 10 && w->faults & FAULT_STRAY; i++)
        world_later(w, world_draw(w, TIME_S(60)), HAPPENING_STRAY, 0, 0);
}

static int draw_disk(struct world *w)
{
    struct disk_config config = { .seed = prng_next(&w->prng),
                                  .may_tear = w->faults & FAULT_TORN };

    if (w->config->mutant == MUTANT_DISK_FORGETS)
        config.lies = DISK_FORGETS;
    else if (w->config->mutant == MUTANT_DISK_FLIPS)
        config.lies = DISK_FLIPS_SYNCED;
    else if (w->config->mutant == MUTANT_KEEP_TORN)
        config.lies = DISK_KEEPS_TORN;
    w->disk = w->checker.disk = disk_new(&config);
    return w->disk ? 0 : -ENOMEM;
}

int world_draw_all(struct world *w)
{
    int r;

    prng_init(&w->prng, w->config->seed);
    draw_faults(w);
    draw_node(w);
    r = draw_disk(w);
    if (r == 0)
        r = draw_users(w);
    if (r == 0)
        draw_troubles(w);
    return r;
}
