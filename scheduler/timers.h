/* SPDX-License-Identifier: Apache-2.0 */
/* timers - deadlines, the nearest first.
 *
 * A timer is part of what waits for it, so setting one allocates only when the heap
 * grows. Those of one moment go off in the order in which they were set. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

enum timer_type {
    TIMER_ATTEMPT = 1, /* of a slot: the attempt's timeout, then its grace */
    TIMER_RETRY,       /* of an exception: the next attempt may start */
    TIMER_RUN,         /* of a run: its timeout */
};

struct timer {
    time_us at;
    uint64_t order;
    size_t position; /* in the heap, from 1; 0: not set */
    enum timer_type type;
};

struct timers {
    struct timer **heap;
    size_t n, cap;
    uint64_t order;
};

void timers_release(struct timers *t);

/* Set it, or move it. -ENOMEM: as before. */
int timers_set(struct timers *t, struct timer *timer, time_us at);
/* One that is not set is fine. */
void timers_cancel(struct timers *t, struct timer *timer);

/* One whose time has come, no longer set; NULL if there is none. */
struct timer *timers_pop(struct timers *t, time_us now);
/* TIME_NEVER if none is set. */
time_us timers_deadline(const struct timers *t);
