/* SPDX-License-Identifier: Apache-2.0 */
/* histogram - how often something took how long, in a few counters.
 *
 * A duration is counted in the first bucket whose bound it does not exceed; the last
 * bucket has none. Not locked: whoever shares one brings a lock. */
#pragma once

#include <stddef.h>

#include "base/time.h"

enum { HISTOGRAM_BOUNDS_MAX = 12 };

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
    uint64_t sum_us;
};

/* Bounds of what a machine does, from 0.1 ms to 10 s. */
static const time_us histogram_bounds[HISTOGRAM_BOUNDS_MAX] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000, 1000000, 2500000, 10000000,
};
/* Of what people wait for, from 10 ms to a day. */
static const time_us histogram_long_bounds[HISTOGRAM_BOUNDS_MAX] = {
    TIME_MS(10),  TIME_MS(100),  TIME_S(1),     TIME_S(5),
    TIME_S(15),   TIME_S(60),    TIME_S(300),   TIME_S(900),
    TIME_S(3600), TIME_S(14400), TIME_S(43200), TIME_S(86400),
};

static inline void histogram_add(struct histogram *h,
                                 const time_us bounds[HISTOGRAM_BOUNDS_MAX],
                                 time_us took)
{
    size_t i = 0;

    while (i < HISTOGRAM_BOUNDS_MAX && took > bounds[i])
        i++;
    h->counts[i]++;
    h->sum_us += took;
}
