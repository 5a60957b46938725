/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tallying {
    struct tally *tally;
    const atomic_bool *is_stopping;
};

static void notable_release(struct notable_task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(tasks[i].message);
}

void tally_release(struct tally *t)
{
    struct run_summary *s = &t->summary;

    notable_release(s->slowest, s->n_slowest);
    notable_release(s->failures, s->n_failures);
    attempt_record_release(&t->last);
    free(t->steps);
    free(t->spans);
    t->steps = NULL;
    t->spans = NULL;
}

/* ---- how long ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Keys are in the order of steps: behind the last task of one its spans are known. */
static void end_step(struct tally *t)
{
    struct step_tally *s = &t->steps[t->last.task.step];

    if (!t->n_spans)
        return;
    qsort(t->spans, t->n_spans, sizeof(*t->spans), by_size);
    s->median_us = t->spans[t->n_spans / 2];
    s->max_us = t->spans[t->n_spans - 1];
    t->n_spans = 0;
}

static int add_span(struct tally *t, uint64_t span_us)
{
    if (t->n_spans == t->spans_cap) {
        size_t cap = t->spans_cap ? 2 * t->spans_cap : 256;
        uint64_t *spans = reallocarray(t->spans, cap, sizeof(*spans));

        if (!spans)
            return -ENOMEM;
        t->spans = spans;
        t->spans_cap = cap;
    }
    t->spans[t->n_spans++] = span_us;
    return 0;
}

/* ---- the few that are named ---- */

/* Whether a stands before b: those that took longest, or that failed first. */
typedef bool notable_order(const struct notable_task *a, const struct notable_task *b);

static bool took_longer(const struct notable_task *a, const struct notable_task *b)
{
    return a->span_us > b->span_us;
}

static bool failed_earlier(const struct notable_task *a, const struct notable_task *b)
{
    return a->ended_wall < b->ended_wall;
}

static int offer(struct notable_task *tasks, size_t *n, notable_order *is_before,
                 const struct attempt_record *a, uint64_t span_us)
{
    struct notable_task task = { .task = a->task,
                                 .attempt = a->attempt,
                                 .reason = a->reason,
                                 .exit_code = a->exit_code,
                                 .signal = a->signal,
                                 .span_us = span_us,
                                 .ended_wall = a->ended_wall };
    size_t at = *n;

    while (at && is_before(&task, &tasks[at - 1]))
        at--;
    if (at == SUMMARY_TASKS_MAX)
        return 0;
    task.message = a->message && *a->message ? strdup(a->message) : NULL;
    if (a->message && *a->message && !task.message)
        return -ENOMEM;
    if (*n == SUMMARY_TASKS_MAX)
        free(tasks[--*n].message);
    memmove(&tasks[at + 1], &tasks[at], (*n - at) * sizeof(*tasks));
    tasks[at] = task;
    (*n)++;
    return 0;
}

/* ---- counting ---- */

static bool count_verdict(struct tally *t, struct step_tally *s)
{
    switch (t->last.verdict) {
    case VERDICT_DONE:
    case VERDICT_CAUGHT:
        s->done++;
        t->tasks.done++;
        return true;
    case VERDICT_ADOPTED:
        s->done++;
        t->tasks.adopted++;
        return false; /* its time was another run's */
    case VERDICT_FAILED:
        s->failed++;
        t->tasks.failed++;
        return true;
    case VERDICT_LOST:
        break;
    }
    return false;
}

/* The last attempt of a task tells what became of it. */
static int count_task(struct tally *t)
{
    const struct attempt_record *a = &t->last;
    struct run_summary *s = &t->summary;
    uint64_t span_us = a->ended_wall > a->started_wall && a->started_wall
                           ? a->ended_wall - a->started_wall
                           : 0;
    int r = 0;

    if (a->task.step >= t->n_steps || !count_verdict(t, &t->steps[a->task.step]))
        return 0;
    if (a->verdict == VERDICT_FAILED && a->reason != REASON_CANCELLED)
        r = offer(s->failures, &s->n_failures, failed_earlier, a, span_us);
    if (r == 0 && span_us)
        r = offer(s->slowest, &s->n_slowest, took_longer, a, span_us);
    return r == 0 && span_us ? add_span(t, span_us) : r;
}

/* Each attempt used and kept something, whatever became of it. */
static void count_use(struct tally *t, const struct attempt_record *a)
{
    struct run_summary *s = &t->summary;

    if (a->verdict == VERDICT_ADOPTED)
        return;
    s->cpu_us += a->cpu_us;
    s->log_bytes += a->log.size;
    if (a->task.step < t->n_steps)
        t->steps[a->task.step].cpu_us += a->cpu_us;
    for (size_t i = 0; i < a->n_outputs; i++)
        if (!a->outputs[i].is_inherited) {
            s->n_artifacts++;
            s->artifact_bytes += a->outputs[i].size;
        }
}

static int take(struct tally *t, struct attempt_record *take_attempt)
{
    struct attempt_record *a = take_attempt;
    int r = 0;

    if (t->n_attempts && !task_id_equal(&t->last.task, &a->task))
        r = count_task(t);
    if (t->n_attempts && t->last.task.step != a->task.step
        && t->last.task.step < t->n_steps)
        end_step(t);
    count_use(t, a);
    t->n_attempts++;
    if (a->verdict != VERDICT_ADOPTED
        && (!t->started_wall || a->started_wall < t->started_wall))
        t->started_wall = a->started_wall; /* the others ran in another run */
    attempt_record_release(&t->last);
    t->last = *a;
    *a = (struct attempt_record){ .attempt = 0 };
    return r;
}

static int each_attempt(void *arg, struct span key, struct span value)
{
    struct tallying *tallying = arg;
    CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };
    int r = attempt_record_decode(value.data, value.len, &a);

    if (r == 0)
        r = attempt_key_decode(key.data, key.len, &a.run, &a.task, &a.attempt);
    if (r < 0)
        return r;
    if (tallying->is_stopping && atomic_load(tallying->is_stopping))
        return -ECANCELED;
    return take(tallying->tally, &a);
}

int tally_run(struct writer *w, const struct run_id *run, uint32_t n_steps,
              const atomic_bool *is_stopping, struct tally *ret)
{
    struct record_key prefix = attempts_of_run(run);
    struct tally t = { .n_steps = n_steps };
    struct tallying tallying = { .tally = &t, .is_stopping = is_stopping };
    int r;

    t.steps = calloc(n_steps + 1u, sizeof(*t.steps));
    if (!t.steps)
        return -ENOMEM;
    r = writer_scan(w, STORE_RECORDS, (struct span){ prefix.bytes, prefix.len },
                    (struct span){ NULL, 0 }, each_attempt, &tallying);
    if (r == 0 && t.n_attempts)
        r = count_task(&t);
    if (r < 0) {
        tally_release(&t);
        return r;
    }
    if (t.n_attempts && t.last.task.step < n_steps)
        end_step(&t);
    *ret = t;
    return 0;
}
