/* SPDX-License-Identifier: Apache-2.0 */
/* tally - what the tasks of an inactive run came to, from their records: how many of
 * each step, how long they took, what they used, which failed. */
#pragma once

#include <stdatomic.h>

#include "node/api/encode.h"
#include "store/writer.h"

struct tally {
    struct step_tally *steps;
    uint32_t n_steps;
    struct task_counts tasks;
    uint64_t n_attempts;
    time_us started_wall; /* of the first attempt */
    struct run_summary summary;

    /* The task that was read last, which counts by its last attempt. */
    struct attempt_record last;
    /* What the tasks of its step took, until all of them are known. */
    uint64_t *spans;
    size_t n_spans, spans_cap;
};

void tally_release(struct tally *t);
/* Any thread. is_stopping NULL: nobody stops it; -ECANCELED when it became true. */
int tally_run(struct writer *w, const struct run_id *run, uint32_t n_steps,
              const atomic_bool *is_stopping, struct tally *ret);
