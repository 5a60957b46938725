/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/rumours.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 8 };

struct row {
    uint8_t id[TABLE_ID_SIZE];
    uint32_t slot;
};

void rumours_init(struct rumours *r)
{
    *r = (struct rumours){ .rows = { .row_size = sizeof(struct row) } };
}

void rumours_release(struct rumours *r)
{
    node_table_release(&r->rows);
    free(r->slots);
    rumours_init(r);
}

static struct rumour *at(struct rumours *r, uint32_t slot)
{
    return &r->slots[slot - 1];
}

static int grow(struct rumours *r)
{
    uint32_t cap = r->cap ? 2 * r->cap : SLOTS_MIN;
    struct rumour *slots = realloc(r->slots, cap * sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    r->slots = slots;
    for (uint32_t i = cap; i > r->cap; i--) {
        at(r, i)->after = r->free;
        r->free = i;
    }
    r->cap = cap;
    return 0;
}

static void unlink_slot(struct rumours *r, uint32_t slot)
{
    struct rumour *rumour = at(r, slot);

    if (rumour->before)
        at(r, rumour->before)->after = rumour->after;
    else
        r->first[rumour->sends] = rumour->after;
    if (rumour->after)
        at(r, rumour->after)->before = rumour->before;
    else
        r->last[rumour->sends] = rumour->before;
}

static void link_first(struct rumours *r, uint32_t slot, uint32_t sends)
{
    struct rumour *rumour = at(r, slot);

    rumour->sends = sends;
    rumour->before = 0;
    rumour->after = r->first[sends];
    if (rumour->after)
        at(r, rumour->after)->before = slot;
    else
        r->last[sends] = slot;
    r->first[sends] = slot;
}

static void remove_slot(struct rumours *r, uint32_t slot)
{
    unlink_slot(r, slot);
    node_table_remove(&r->rows, at(r, slot)->id);
    at(r, slot)->after = r->free;
    r->free = slot;
}

static void drop_oldest(struct rumours *r)
{
    uint32_t sends = RUMOUR_SENDS - 1;

    while (!r->last[sends])
        sends--;
    remove_slot(r, r->last[sends]);
}

int rumours_add(struct rumours *r, const void *id, uint32_t sends)
{
    struct row *row = node_table_find(&r->rows, id);

    if (row) {
        unlink_slot(r, row->slot);
        link_first(r, row->slot, sends);
        return 0;
    }
    if (r->rows.n == RUMOURS_MAX)
        drop_oldest(r);
    if (!r->free && grow(r) < 0)
        return -ENOMEM;
    row = node_table_add(&r->rows, id);
    if (!row)
        return -ENOMEM;
    row->slot = r->free;
    r->free = at(r, row->slot)->after;
    memcpy(at(r, row->slot)->id, id, TABLE_ID_SIZE);
    link_first(r, row->slot, sends);
    return 0;
}

bool rumours_pop(struct rumours *r, void *ret_id, uint32_t *ret_sends)
{
    for (uint32_t sends = 0; sends < RUMOUR_SENDS; sends++) {
        uint32_t slot = r->first[sends];

        if (!slot)
            continue;
        memcpy(ret_id, at(r, slot)->id, TABLE_ID_SIZE);
        *ret_sends = sends;
        remove_slot(r, slot);
        return true;
    }
    return false;
}

void rumours_remove(struct rumours *r, const void *id)
{
    struct row *row = node_table_find(&r->rows, id);

    if (row)
        remove_slot(r, row->slot);
}
