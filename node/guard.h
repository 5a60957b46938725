/* SPDX-License-Identifier: Apache-2.0 */
/* guard - the process between a node and a task with `effect: exclusive`.
 *
 *     node --- deadlines, by a pipe ---> guard --- fork ---> task and all it starts
 *
 * It ends the whole tree at its deadline, and at once when the node is gone: also while
 * the node's process stands still, or was killed. When the task's first process ends it
 * ends the rest, and then ends as that one did. */
#pragma once

#include <stdint.h>

/* CLOCK_BOOTTIME, which goes on while the machine sleeps; UINT64_MAX: none. A message
 * on the pipe, which is the guard's standard input. */
struct guard_deadline {
    uint64_t at_ns;
    uint64_t warning_ns; /* so long before, SIGTERM */
};

/* The verb of this program that is the guard, for nobody's use but ours:
 * mesh GUARD_VERB PATH ARGV0 ARGV1... */
#define GUARD_VERB "guard-task"

/* argv: PATH ARGV0 ARGV1... Returns an exit code, or does not return. */
int guard_main(char **argv);
