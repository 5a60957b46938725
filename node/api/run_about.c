/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/run_about.h"

static const char *state_name(enum run_state s)
{
    return s == RUN_STATE_STOPPING ? "stopping" : "running";
}

void run_about_view(struct run_about *about, const struct run_view *view)
{
    about->record = view->record;
    about->state = state_name(view->state);
    about->started = view->started_wall;
    about->attempts = view->n_attempts;
    about->tasks = (struct task_counts){
        .done = view->n_done,
        .running = view->n_running,
        .failed = view->n_failed,
        .waiting = view->n_waiting,
        .skipped = view->n_skipped,
        .adopted = view->n_adopted,
    };
}

void run_about_end(struct run_about *about, const struct run_end_record *end)
{
    about->end = end;
    about->state = "ended";
    about->started = end->started_wall;
    about->attempts = end->n_attempts;
    about->tasks = (struct task_counts){ .done = end->n_done,
                                         .failed = end->n_failed,
                                         .skipped = end->n_skipped,
                                         .adopted = end->n_adopted };
}
