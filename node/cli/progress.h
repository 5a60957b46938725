/* SPDX-License-Identifier: Apache-2.0 */
/* progress - what a follower knows of a run: its steps in numbers, and who runs.
 *
 * Counts come as they are now, from the node or its interface; starts and ends of tasks
 * come as events. Rates are means over the past that forget it by and by: over ten
 * seconds, or over a few tasks where those take longer.
 *
 * Pure: told the time, which is the wall's, because all of it is only shown. */
#pragma once

#include <uthash.h>

#include "base/buffer.h"
#include "base/time.h"
#include "node/feed.h"

struct progress_counts {
    uint64_t known, done, running, failed, ready, skipped;
};

struct progress_step {
    UT_hash_handle hh; /* by name */
    char *name;
    struct progress_counts n;
    char *waits; /* why it does not start: a sentence; NULL: it does */
    double rate; /* tasks done a second, of late; 0: not known */
    /* Of the rate: tasks and seconds, both fading, and what was seen last. */
    double faded_tasks, faded_s;
    uint64_t n_sampled;
    time_us began; /* its first task, as seen here; 0: none yet */
};

struct progress_task {
    UT_hash_handle hh; /* in the order they started */
    uint32_t step;     /* index; UINT32_MAX: of a step we do not know */
    uint32_t pid, attempt;
    time_us started;
    char name[]; /* `fit/3`, the key */
};

struct progress {
    char *flow;
    uint64_t number; /* 0: none yet */
    struct run_id run;
    time_us started, sampled;
    bool is_stopping, is_suspended;
    struct progress_step *steps; /* as in the flow; hooks behind the others */
    uint32_t n_steps;
    struct progress_step *by_name;
    struct progress_task *running;
    uint64_t n_adopted;
    struct progress_step all; /* the sums */
};

void progress_release(struct progress *p);

/* Names the steps, once. 0 or -ENOMEM. */
int progress_begin(struct progress *p, const char *flow, uint64_t number,
                   const char *const *names, uint32_t n_names);
/* UINT32_MAX: none of that name. */
uint32_t progress_find(const struct progress *p, const char *name);

/* The numbers of a step as they are now. Does not look at rates. */
void progress_count(struct progress *p, uint32_t step,
                    const struct progress_counts *counts);
/* waits is copied; NULL: it does not wait. */
void progress_waits(struct progress *p, uint32_t step, const char *waits);
/* All steps were counted: adds them up and takes a sample for the rates. */
void progress_sample(struct progress *p, time_us now);

/* The start or end of a task, by its text; other events say nothing here. */
void progress_event(struct progress *p, const struct feed_event *event,
                    const char *task);
/* Who runs is not known any more, because events were lost. */
void progress_forget_tasks(struct progress *p);
/* The task of that name that runs; NULL: it does not. */
const struct progress_task *progress_task(const struct progress *p, const char *name);

/* How long a step has still to go, by its rate; TIME_NEVER: nobody knows. */
time_us progress_left(const struct progress_step *s);
