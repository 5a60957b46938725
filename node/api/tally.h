/* SPDX-License-Identifier: Apache-2.0 */
/* tally - how many tasks of each step an inactive run has done, from its records. */
#pragma once

#include <stdatomic.h>

#include "node/api/encode.h"
#include "store/writer.h"

struct step_tally {
    uint64_t done, failed;
};

struct tally {
    struct step_tally *steps;
    uint32_t n_steps;
    struct task_counts tasks;
    uint64_t n_attempts;
    time_us started_wall; /* of the first attempt */

    /* The task that was read last, which counts by its last attempt. */
    struct task_id task;
    enum verdict verdict;
};

void tally_release(struct tally *t);
/* Any thread. -ECANCELED when is_stopping became true. */
int tally_run(struct writer *w, const struct run_id *run, uint32_t n_steps,
              const atomic_bool *is_stopping, struct tally *ret);
