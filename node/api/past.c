/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/past.h"

#include <errno.h>
#include <stdlib.h>

#include "node/api/tally.h"

void past_fill_end(struct run_about *about, const struct run_end_record *end)
{
    about->end = end;
    about->state = "ended";
    about->is_suspended = false;
    about->started = end->started_wall;
    about->attempts = end->n_attempts;
    about->tasks = (struct task_counts){ .done = end->n_done,
                                         .failed = end->n_failed,
                                         .skipped = end->n_skipped,
                                         .adopted = end->n_adopted };
}

static void name_tasks(const struct flow *flow, struct notable_task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tasks[i].step = flow->steps[tasks[i].task.step].name;
}

static struct step_about *describe_steps(const struct flow *flow, const struct tally *t)
{
    struct step_about *steps = calloc(t->n_steps + 1u, sizeof(*steps));

    for (uint32_t i = 0; steps && i < t->n_steps; i++)
        steps[i] = (struct step_about){ .name = flow->steps[i].name,
                                        .known = t->steps[i].done + t->steps[i].failed,
                                        .done = t->steps[i].done,
                                        .failed = t->steps[i].failed,
                                        .past = &t->steps[i] };
    return steps;
}

int past_state(struct writer *w, const struct run_id *run, struct run_state_record *ret)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_state_key(run);
    int r = writer_get(w, STORE_RECORDS, (struct span){ key.bytes, key.len }, &value);

    return r < 0 ? r : run_state_record_decode(value.data, value.len, ret);
}

int past_encode(struct writer *w, const struct run_record *record,
                const struct flow *flow, const struct run_end_record *end,
                const char *state, const atomic_bool *is_stopping, struct emit *e)
{
    CLEANUP(tally_release) struct tally tally = { .steps = NULL };
    CLEANUP(run_state_record_release) struct run_state_record changed = { .n_tags = 0 };
    CLEANUP(freep) struct step_about *steps = NULL;
    struct run_about about = { .record = record, .state = state };
    int r = tally_run(w, &record->run, flow->n_all_steps, is_stopping, &tally);

    if (r < 0)
        return r;
    steps = describe_steps(flow, &tally);
    if (!steps)
        return -ENOMEM;
    name_tasks(flow, tally.summary.slowest, tally.summary.n_slowest);
    name_tasks(flow, tally.summary.failures, tally.summary.n_failures);
    about.steps = steps;
    about.n_steps = tally.n_steps;
    about.attempts = tally.n_attempts;
    about.started = tally.started_wall;
    about.tasks = tally.tasks;
    about.summary = &tally.summary;
    /* One that cannot be read changes nothing of what is shown. */
    if (past_state(w, &record->run, &changed) == 0) {
        about.changed = &changed;
        about.is_suspended = changed.is_suspended;
    }
    if (end)
        past_fill_end(&about, end);
    encode_run(e, &about);
    return 0;
}
