/* SPDX-License-Identifier: Apache-2.0 */
/* What the tasks that run use, looked at once a second in another thread. Only those
 * that have run for a second: a flow of short ones pays for a timer that finds nobody.
 * How long looking takes decides when it is done again, so that it stays below two per
 * cent of one processor. */
#include <errno.h>
#include <string.h>

#include "node/runtime_internal.h"
#include "node/use.h"

enum {
    LOOK_EVERY_MS = 1000,
    LOOK_AGE_MIN_MS = 900, /* a timer may come a little early */
    LOOK_SHARE = 50,       /* of the time: one part of so many */
};

/* One task that is looked at. Its slot may have another one when the answer is there.
 */
struct look {
    uint32_t slot;
    pid_t pid;
    time_us started, at;
    char *group;
    struct use use;
    int error;
};

struct looking {
    uv_work_t work;
    struct runtime *rt;
    time_us took;
    size_t n;
    struct look looks[];
};

static void on_look_timer(uv_timer_t *timer);

static void look_again(struct runtime *rt, time_us took)
{
    uint64_t pause_ms = took * LOOK_SHARE / 1000;

    uv_timer_start(&rt->looking, on_look_timer,
                   pause_ms > LOOK_EVERY_MS ? pause_ms : LOOK_EVERY_MS, 0);
}

static void looking_free(struct looking *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->looks[i].group);
    free(l);
}

static void look_in_thread(uv_work_t *work)
{
    struct looking *l = work->data;
    time_us began = runtime_now(l->rt);

    for (size_t i = 0; i < l->n; i++) {
        struct look *look = &l->looks[i];

        look->error = use_read(look->pid, look->group, &look->use);
        look->at = runtime_now(l->rt);
    }
    l->took = runtime_now(l->rt) - began;
}

/* Between two looks, or from the start to the first one. */
static uint64_t rate_milli(const struct slot *s, const struct look *look)
{
    time_us since = s->use.at ? s->use.at : s->started;

    if (look->at <= since || look->use.cpu_us <= s->use.cpu_us)
        return 0;
    return (look->use.cpu_us - s->use.cpu_us) * 1000 / (look->at - since);
}

static void take(struct slot *s, const struct look *look)
{
    s->use.cpu_milli = rate_milli(s, look);
    s->use.memory_bytes = look->use.memory_bytes;
    s->use.cpu_us = look->use.cpu_us;
    s->use.at = look->at;
    if (s->use.memory_bytes > s->record.memory_peak_bytes)
        s->record.memory_peak_bytes = s->use.memory_bytes;
    if (s->use.cpu_milli > s->record.cpu_peak_milli)
        s->record.cpu_peak_milli = s->use.cpu_milli;
}

static void after_looking(uv_work_t *work, int status)
{
    struct looking *l = work->data;
    struct runtime *rt = l->rt;

    (void)status;
    for (size_t i = 0; !rt->is_stopping && i < l->n; i++) {
        const struct look *look = &l->looks[i];
        struct slot *s = runtime_slot(rt, look->slot);

        if (look->error == 0 && s && s->state == SLOT_RUNNING && s->pid == look->pid
            && s->started == look->started)
            take(s, look);
    }
    if (!rt->is_stopping)
        look_again(rt, l->took);
    looking_free(l);
}

static bool is_old_enough(const struct slot *s, time_us now)
{
    return s && s->state == SLOT_RUNNING
           && now - s->started >= TIME_MS(LOOK_AGE_MIN_MS);
}

static struct looking *choose(struct runtime *rt, bool *ret_is_any)
{
    struct looking *l = calloc(1, sizeof(*l) + rt->n_slots * sizeof(l->looks[0]));
    time_us now = runtime_now(rt);

    for (uint32_t i = 0; l && i < rt->n_slots; i++) {
        const struct slot *s = rt->slots[i];

        *ret_is_any = *ret_is_any || (s && s->state == SLOT_RUNNING);
        if (!is_old_enough(s, now))
            continue;
        l->looks[l->n++] = (struct look){
            .slot = i,
            .pid = s->pid,
            .started = s->started,
            .group = s->cgroup.v2_path ? strdup(s->cgroup.v2_path) : NULL,
        };
    }
    return l;
}

static void on_look_timer(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;
    bool is_any = false;
    struct looking *l = choose(rt, &is_any);

    if (l && l->n) {
        l->rt = rt;
        l->work.data = l;
        uv_queue_work(&rt->loop, &l->work, look_in_thread, after_looking);
        return;
    }
    free(l);
    rt->is_looking = is_any;
    if (is_any)
        look_again(rt, 0);
}

void runtime_use_open(struct runtime *rt)
{
    uv_timer_init(&rt->loop, &rt->looking);
    rt->looking.data = rt;
}

void runtime_use_watch(struct runtime *rt)
{
    if (rt->is_looking)
        return;
    rt->is_looking = true;
    look_again(rt, 0);
}

bool runtime_use(struct runtime *rt, uint32_t slot, struct task_use *ret)
{
    const struct slot *s = runtime_slot(rt, slot);

    if (!s || s->state != SLOT_RUNNING)
        return false;
    *ret = (struct task_use){ .pid = (uint32_t)s->pid,
                              .started_wall = s->started_wall,
                              .memory_bytes = s->use.memory_bytes,
                              .memory_peak_bytes = s->record.memory_peak_bytes,
                              .cpu_milli = s->use.cpu_milli,
                              .cpu_peak_milli = s->record.cpu_peak_milli };
    return true;
}
