/* SPDX-License-Identifier: Apache-2.0 */
/* rumours - what is to be passed on: ids, those that were sent least first.
 *
 * Of those that were sent as often the newest is first, so in a flood fresh news is not
 * kept waiting, and what is dropped when RUMOURS_MAX wait is what most have heard. */
#pragma once

#include "gossip/table.h"

enum { RUMOUR_SENDS = 16, RUMOURS_MAX = 16384 };

struct rumour {
    uint8_t id[TABLE_ID_SIZE];
    uint32_t sends;
    uint32_t before, after; /* slots from 1; 0: none */
};

struct rumours {
    struct table rows; /* which slot has an id */
    struct rumour *slots;
    uint32_t cap, free; /* free: the first of a list */
    uint32_t first[RUMOUR_SENDS], last[RUMOUR_SENDS];
};

void rumours_init(struct rumours *r);
void rumours_release(struct rumours *r);
static inline size_t rumours_n(const struct rumours *r)
{
    return r->rows.n;
}

/* Passed on RUMOUR_SENDS times from now, or as often as is left. -ENOMEM */
int rumours_add(struct rumours *r, const void *id, uint32_t sends);
/* The first one, taken out; false if there is none. */
bool rumours_pop(struct rumours *r, void *ret_id, uint32_t *ret_sends);
void rumours_remove(struct rumours *r, const void *id);
