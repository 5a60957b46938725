/* SPDX-License-Identifier: Apache-2.0 */
/* demand - an amount of each thing that tasks ask for and nodes have. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

enum { DEMAND_REFUSALS_MAX = 7 };

enum {
    DEMAND_CPU,
    DEMAND_MEMORY,
    DEMAND_DISK,
    DEMAND_GPU,
    DEMAND_CUSTOM,
    DEMAND_ENTRIES = DEMAND_CUSTOM + RESOURCES_CUSTOM_MAX,
};

struct demand {
    uint64_t amount[DEMAND_ENTRIES];
    uint32_t n;       /* entries behind these are 0 */
    uint32_t unknown; /* 1: asks for a resource that no node is known to have */
    /* Bins that do not carry it out, ascending; no gaps are in here, for it is a key.
     */
    uint32_t n_refusals;
    uint32_t refusals[DEMAND_REFUSALS_MAX];
};

static inline bool demand_is_refused(const struct demand *d, uint32_t bin)
{
    for (uint32_t i = 0; i < d->n_refusals; i++)
        if (d->refusals[i] == bin)
            return true;
    return false;
}

/* The first entry of the demand that `of` lacks; DEMAND_ENTRIES if it fits. */
static inline uint32_t demand_lacks(const struct demand *demand,
                                    const struct demand *of)
{
    uint32_t i = 0;

    while (i < demand->n && demand->amount[i] <= of->amount[i])
        i++;
    return i < demand->n ? i : DEMAND_ENTRIES;
}

/* `to` has all entries. */
static inline void demand_add(struct demand *to, const struct demand *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        to->amount[i] += d->amount[i];
}

static inline void demand_subtract(struct demand *from, const struct demand *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        from->amount[i] -= d->amount[i];
}
