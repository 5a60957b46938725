/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/run_about.h"

#include "node/api/source.h"

static const char *state_name(enum run_state s)
{
    static const char *const names[] = {
        [RUN_STATE_HELD] = "running",
        [RUN_STATE_RUNNING] = "running",
        [RUN_STATE_STOPPING] = "stopping",
        [RUN_STATE_SUSPENDED] = "suspended",
    };

    return names[s];
}

void run_about_view(struct run_about *about, const struct run_view *view)
{
    about->record = view->record;
    about->state = state_name(view->state);
    about->is_suspended = view->is_suspended;
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

void run_about_changed(struct request *r, const struct run_id *run,
                       struct run_about *about, struct run_state_record *state)
{
    if (source_state(r, run, state) < 0)
        return;
    about->changed = state;
    about->is_suspended = state->is_suspended;
}
