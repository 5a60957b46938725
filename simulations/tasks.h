/* SPDX-License-Identifier: Apache-2.0 */
/* tasks - what a simulated task does, drawn from the seed and its own name.
 *
 * An attempt that is made again after a crash does the same again, unless the world is
 * fickle. What a task yields (width, choice) does not depend on the attempt. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"
#include "proto/record.h"

struct tasks_config {
    uint64_t seed;
    unsigned faults;
    uint64_t failure_in; /* one in so many attempts fails */
};

struct task_plan {
    time_us duration_us;
    enum reason reason;
    int exit_code, signal;
    bool has_width;
    uint64_t width;
    const char *choice; /* borrowed from the flow; NULL: none */
    bool ignores_term;
    time_us term_us;   /* from SIGTERM to its end */
    bool exits_itself; /* if SIGTERM comes: by the way it would have, or with this code
                        */
    int term_code;
};

struct task_plan tasks_plan(const struct tasks_config *config, const struct flow *flow,
                            uint64_t run_number, const struct task_id *task,
                            uint32_t attempt, uint64_t life);
