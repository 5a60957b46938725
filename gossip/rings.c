/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/rings.h"

#include <string.h>

void rings_init(struct rings *r, const uint64_t places[GOSSIP_RINGS])
{
    struct rings fresh = { .places = { 0 } };

    memcpy(fresh.places, places, sizeof(fresh.places));
    *r = fresh;
    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; side < RING_SIDES; side++)
            r->sides[i][side].is_all = true;
}

static uint64_t distance(const struct rings *r, unsigned ring, unsigned side,
                         const struct note *note)
{
    uint64_t way = note->places[ring] - r->places[ring];

    return side == SIDE_AFTER ? way : 0 - way;
}

static bool is_nearer(uint64_t far, const struct node_id *id,
                      const struct neighbour *than)
{
    if (far != than->distance)
        return far < than->distance;
    return node_id_compare(id, &than->id) < 0;
}

/* Behind the last one that is known there may be others that are not. */
static void side_add(struct ring_side *s, uint64_t far, const struct node_id *id)
{
    unsigned i = s->n;

    while (i > 0 && is_nearer(far, id, &s->near[i - 1]))
        i--;
    if (i == s->n && !s->is_all)
        return;
    if (i == RING_DEPTH) {
        s->is_all = false;
        return;
    }
    if (s->n == RING_DEPTH) {
        s->is_all = false;
        s->n--;
    }
    memmove(&s->near[i + 1], &s->near[i], (s->n - i) * sizeof(s->near[0]));
    s->near[i] = (struct neighbour){ .distance = far, .id = *id };
    s->n++;
}

void rings_add(struct rings *r, const struct note *note)
{
    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; side < RING_SIDES; side++)
            side_add(&r->sides[i][side], distance(r, i, side, note), &note->member.id);
}

static void side_remove(struct ring_side *s, uint64_t far, const struct node_id *id)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->near[i].distance != far || !node_id_equal(&s->near[i].id, id))
            continue;
        s->n--;
        memmove(&s->near[i], &s->near[i + 1], (s->n - i) * sizeof(s->near[0]));
        return;
    }
}

void rings_remove(struct rings *r, const struct note *note)
{
    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; side < RING_SIDES; side++)
            side_remove(&r->sides[i][side], distance(r, i, side, note),
                        &note->member.id);
}

static bool is_out(const struct ring_side *s)
{
    return s->n == 0 && !s->is_all;
}

static void fill_from(struct rings *r, const struct twig *t, const struct node_id *self)
{
    if (t->n_live == 0)
        return;
    for (uint32_t i = 0; i < t->n_below; i++) {
        const struct note *note = t->below[i];

        if (!t->is_leaf)
            fill_from(r, t->below[i], self);
        else if (note_is_live(note) && !node_id_equal(&note->member.id, self))
            rings_add(r, note);
    }
}

bool rings_fill(struct rings *r, const struct twig *root, const struct node_id *self)
{
    bool is_needed = false;

    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; side < RING_SIDES; side++)
            is_needed |= is_out(&r->sides[i][side]);
    if (!is_needed || !root)
        return false;
    rings_init(r, r->places);
    fill_from(r, root, self);
    return true;
}

const struct node_id *rings_nearest(const struct rings *r, unsigned ring,
                                    enum ring_side_name side)
{
    const struct ring_side *s = &r->sides[ring][side];

    return s->n ? &s->near[0].id : NULL;
}

unsigned rings_observers(const struct twig *root, const struct note *subject)
{
    struct rings around;
    unsigned n = 0;

    rings_init(&around, subject->places);
    fill_from(&around, root, &subject->member.id);
    for (unsigned i = 0; i < GOSSIP_RINGS; i++) {
        const struct node_id *id = rings_nearest(&around, i, SIDE_BEFORE);
        bool is_new = id != NULL;

        for (unsigned k = 0; k < i && is_new; k++)
            is_new = !node_id_equal(id, rings_nearest(&around, k, SIDE_BEFORE));
        n += is_new;
    }
    return n;
}
