/* SPDX-License-Identifier: Apache-2.0 */
/* usage - what the tasks of a step used, and what to ask for then.
 *
 * What is suggested is for the next run of the same work on like data:
 *
 *     memory   what the largest took and a quarter more; twice the limit where the
 *              kernel killed one at it
 *     cpu      what all but one in twenty kept busy, of tasks that ran for a second
 *     timeout  three times the longest; twice the timeout where one ran into it
 *
 * each rounded to what a person would write. Pure. */
#pragma once

#include "flow/flow.h"
#include "node/api/emit.h"
#include "proto/record.h"

enum { USAGE_SAMPLES_MAX = 1 << 20 }; /* of a step; further tasks are not looked at */

struct usage_series {
    uint64_t *values;
    size_t n, cap;
};

struct usage {
    struct usage_series memory, cpu, time; /* bytes, milli, microseconds */
    uint64_t kept_bytes_max;               /* of artifacts, of one task */
    uint64_t n, n_short, n_adopted, n_oom, n_timeout;
};

void usage_release(struct usage *u);
/* Takes an attempt that ran here into account. 0 or -ENOMEM. */
int usage_add(struct usage *u, const struct attempt_record *a);

struct usage_spread {
    uint64_t median, p95, max;
};
/* Sorts the values; all zero when there are none. */
struct usage_spread usage_spread(struct usage_series *s);

/* What to write; 0: nothing to say. */
struct usage_advice {
    uint64_t cpu_milli, memory_bytes;
    time_us timeout_us;
};
struct usage_advice usage_advise(struct usage *u, const struct step *step);

/* {step, tasks, asked, used, suggested, lines} of one step. */
void usage_emit(struct emit *e, struct usage *u, const struct flow *flow,
                const struct step *step);
