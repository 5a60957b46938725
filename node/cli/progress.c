/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "node/cli/progress.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A rate looks back so many seconds, or over so many tasks if that is longer. */
enum { RATE_S = 10, RATE_TASKS = 4 };

static const time_us SAMPLE_MIN = TIME_MS(50);

static void task_free(struct progress *p, struct progress_task *task)
{
    HASH_DELETE(hh, p->running, task);
    free(task);
}

void progress_forget_tasks(struct progress *p)
{
    struct progress_task *task, *next;

    HASH_ITER (hh, p->running, task, next)
        task_free(p, task);
}

void progress_release(struct progress *p)
{
    progress_forget_tasks(p);
    HASH_CLEAR(hh, p->by_name);
    for (uint32_t i = 0; p->steps && i < p->n_steps; i++) {
        free(p->steps[i].name);
        free(p->steps[i].waits);
    }
    free(p->steps);
    free(p->flow);
    *p = (struct progress){ .flow = NULL };
}

static bool name_step(struct progress *p, struct progress_step *s, const char *name)
{
    s->name = strdup(name);
    if (s->name)
        HASH_ADD_KEYPTR(hh, p->by_name, s->name, strlen(s->name), s);
    return s->name && s->hh.tbl;
}

int progress_begin(struct progress *p, const char *flow, uint64_t number,
                   const char *const *names, uint32_t n_names)
{
    struct progress fresh = { .number = number, .run = p->run, .n_steps = n_names };

    bool is_whole;

    fresh.flow = strdup(flow);
    fresh.steps = calloc((size_t)n_names + 1, sizeof(*fresh.steps));
    is_whole = fresh.flow && fresh.steps;
    for (uint32_t i = 0; is_whole && i < n_names; i++)
        is_whole = name_step(&fresh, &fresh.steps[i], names[i]);
    if (!is_whole) {
        progress_release(&fresh);
        return -ENOMEM;
    }
    progress_release(p);
    *p = fresh;
    return 0;
}

uint32_t progress_find(const struct progress *p, const char *name)
{
    struct progress_step *s = NULL;

    if (p->by_name)
        HASH_FIND_STR(p->by_name, name, s);
    return s ? (uint32_t)(s - p->steps) : UINT32_MAX;
}

/* ---- numbers ---- */

void progress_count(struct progress *p, uint32_t step,
                    const struct progress_counts *counts)
{
    if (step < p->n_steps)
        p->steps[step].n = *counts;
}

void progress_waits(struct progress *p, uint32_t step, const char *waits)
{
    if (step >= p->n_steps)
        return;
    free(p->steps[step].waits);
    p->steps[step].waits = waits ? strdup(waits) : NULL;
}

static void sample(struct progress_step *s, time_us now, double passed_s)
{
    uint64_t done = s->n.done > s->n_sampled ? s->n.done - s->n_sampled : 0;
    double window = RATE_S, fade, age_s;

    s->n_sampled = s->n.done;
    if (!s->began && !s->n.running && !done)
        return;
    if (!s->began)
        s->began = now;
    if (s->n.known && !s->n.running && !s->n.ready && !done)
        return; /* it stands still because others do */
    age_s = (double)(now - s->began) / 1e6;
    if (s->n.done)
        window = fmax(window, RATE_TASKS * age_s / (double)s->n.done);
    fade = exp(-passed_s / window);
    s->faded_tasks = s->faded_tasks * fade + (double)done;
    s->faded_s = s->faded_s * fade + passed_s;
    s->rate = s->faded_s > 0 ? s->faded_tasks / s->faded_s : 0;
}

static void add(struct progress_counts *sum, const struct progress_counts *n)
{
    sum->known += n->known;
    sum->done += n->done;
    sum->running += n->running;
    sum->failed += n->failed;
    sum->ready += n->ready;
    sum->skipped += n->skipped;
}

void progress_sample(struct progress *p, time_us now)
{
    double passed_s =
        p->sampled && now > p->sampled ? (double)(now - p->sampled) / 1e6 : 0;
    bool is_first = !p->sampled;

    p->all.n = (struct progress_counts){ .known = 0 };
    for (uint32_t i = 0; i < p->n_steps; i++)
        add(&p->all.n, &p->steps[i].n);
    if (!is_first && now < p->sampled + SAMPLE_MIN)
        return;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        /* What was done before we looked says nothing about now. */
        if (is_first)
            p->steps[i].n_sampled = p->steps[i].n.done;
        sample(&p->steps[i], now, passed_s);
    }
    if (is_first)
        p->all.n_sampled = p->all.n.done;
    sample(&p->all, now, passed_s);
    p->sampled = now;
}

time_us progress_left(const struct progress_step *s)
{
    uint64_t over = s->n.done + s->n.skipped + s->n.failed;
    double left;

    if (s->n.known <= over || s->rate <= 0)
        return TIME_NEVER;
    left = (double)(s->n.known - over) / s->rate;
    return left < 1e9 ? (time_us)(left * 1e6) : TIME_NEVER;
}

/* ---- tasks ---- */

static struct progress_task *find(const struct progress *p, const char *name)
{
    struct progress_task *task = NULL;

    if (p->running)
        HASH_FIND_STR(p->running, name, task);
    return task;
}

const struct progress_task *progress_task(const struct progress *p, const char *name)
{
    return find(p, name);
}

static void started(struct progress *p, const struct feed_event *e, const char *name)
{
    size_t len = strlen(name);
    struct progress_task *task = find(p, name);

    if (task)
        task_free(p, task);
    task = calloc(1, sizeof(*task) + len + 1);
    if (!task)
        return;
    memcpy(task->name, name, len);
    task->step = progress_find(p, e->step);
    task->pid = e->pid;
    task->attempt = e->attempt;
    task->started = e->wall;
    HASH_ADD_KEYPTR(hh, p->running, task->name, len, task);
    if (!task->hh.tbl)
        free(task);
}

void progress_event(struct progress *p, const struct feed_event *e, const char *task)
{
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    struct progress_task *ended;

    if ((e->type != FEED_TASK_STARTED && e->type != FEED_TASK_ENDED) || !e->step
        || !task)
        return;
    buffer_puts(&name, e->step);
    buffer_putc(&name, '/');
    buffer_puts(&name, task);
    if (buffer_failed(&name))
        return;
    if (e->type == FEED_TASK_STARTED) {
        started(p, e, buffer_text(&name));
        return;
    }
    ended = find(p, buffer_text(&name));
    if (ended)
        task_free(p, ended);
}
