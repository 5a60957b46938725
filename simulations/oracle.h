/* SPDX-License-Identifier: Apache-2.0 */
/* oracle - readiness, retries and the outcome of a run, computed again from scratch.
 *
 * Straight from the flow and the ledger by recursion, on every question: slow, short,
 * and with no code of scheduler/, so that the two can only agree by being right. */
#pragma once

#include "simulations/ledger.h"

enum oracle_state {
    ORACLE_WAITING = 1, /* for an upstream task, or behind a failed one */
    ORACLE_READY,       /* may start, or runs */
    ORACLE_DONE,
    ORACLE_FAILED, /* for good */
    ORACLE_SKIPPED,
};
const char *oracle_state_name(enum oracle_state s);

/* Of a step at the indexes of its scope, in its newest iteration. */
enum oracle_state oracle_state(const struct ledger_run *r, uint32_t step,
                               const uint64_t *path, uint32_t *ret_iteration);
/* Of one task: an earlier iteration is done, a later one waits. */
enum oracle_state oracle_task(const struct ledger_run *r, const struct task_id *task);

/* Whether the task's newest ended attempt, not one that counts, is followed by another
 * by the step's retry rules alone. */
bool oracle_retries(const struct step *s, const struct ledger_task *t);
/* The delay before that. */
time_us oracle_delay(const struct step *s, const struct ledger_task *t);

struct oracle_summary {
    /* By the flow, over all tasks that exist: those of a scope that was never opened do
     * not. Iterations count, hooks do not. */
    uint64_t n_done, n_failed, n_skipped, n_ready, n_waiting;
    /* By the records. */
    uint64_t n_made, n_adopted, n_tried_in_vain, n_attempts;
    uint64_t hooks_done, hooks_failed;
};
void oracle_summarise(const struct ledger_run *r, struct oracle_summary *ret);
