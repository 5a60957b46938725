/* SPDX-License-Identifier: Apache-2.0 */
/* meter - how often each route was asked, with what result, and how soon it answered.
 *
 * Counted on the loop, when the answer's first line is known. */
#pragma once

#include "base/histogram.h"
#include "node/api/router.h"

enum { METER_STATUSES_MAX = 24 };

/* What was asked of one route; of those that no route took, route is NULL. */
struct meter_row {
    const struct route *route;
    unsigned statuses[METER_STATUSES_MAX]; /* 0 behind the last */
    uint64_t counts[METER_STATUSES_MAX];
    struct histogram time; /* by histogram_bounds */
};

struct meter {
    struct meter_row *rows;
    size_t n_rows, cap_rows;
};

void meter_release(struct meter *m);
/* What finds no memory, or a 25th status of a route, is not counted. */
void meter_count(struct meter *m, const struct route *route, unsigned status,
                 time_us took);
