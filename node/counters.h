/* SPDX-License-Identifier: Apache-2.0 */
/* counters - what happened since the node began, counted where it happens.
 *
 * Plain numbers of the loop thread: counting takes no lock and no memory. */
#pragma once

#include "base/histogram.h"
#include "proto/record.h"

enum { COUNTED_OUTCOMES = 8, COUNTED_VERDICTS = 8, COUNTED_REASONS = 32 };

struct counters {
    uint64_t runs_started, runs_ended[COUNTED_OUTCOMES];
    uint64_t tasks_started, tasks_retried; /* attempts, as all of these */
    uint64_t tasks_ended[COUNTED_VERDICTS][COUNTED_REASONS];
    uint64_t tasks_executed;    /* processes of tasks that ended here, whose run ever */
    uint64_t log_bytes;         /* that tasks wrote and that were kept */
    struct histogram task_time; /* of attempts that ran, by histogram_long_bounds */
};
