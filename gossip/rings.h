/* SPDX-License-Identifier: Apache-2.0 */
/* rings - who is beside us on the eight rings.
 *
 * A ring is the live members in the order of 8 bytes of BLAKE2b(id), others for each
 * ring. We observe the one behind us on each, and are observed by the one before us
 * (Rapid, USENIX ATC'18, section 4: such a graph is an expander, so that it stays
 * connected when many die). Of each side the nearest few are kept, so a member that
 * comes or goes costs a comparison with each; a side that ran out is filled by a walk
 * over all members, once in RING_DEPTH losses of neighbours. */
#pragma once

#include "gossip/members.h"

enum { RING_DEPTH = 4 };

enum ring_side_name { SIDE_AFTER, SIDE_BEFORE, RING_SIDES };

struct neighbour {
    uint64_t distance;
    struct node_id id;
};

struct ring_side {
    struct neighbour near[RING_DEPTH]; /* ascending */
    uint8_t n;
    bool is_all; /* there are no others */
};

struct rings {
    uint64_t places[GOSSIP_RINGS]; /* our own */
    struct ring_side sides[GOSSIP_RINGS][RING_SIDES];
};

void rings_init(struct rings *r, const uint64_t places[GOSSIP_RINGS]);
/* A member that lives, or one that does no more; never our own. */
void rings_add(struct rings *r, const struct note *note);
void rings_remove(struct rings *r, const struct note *note);
/* Fill the sides that ran out. True: something changed. */
bool rings_fill(struct rings *r, const struct twig *root, const struct node_id *self);

/* NULL: nobody else lives. */
const struct node_id *rings_nearest(const struct rings *r, unsigned ring,
                                    enum ring_side_name side);

/* The k-th nearest, from 0, as far as they are kept. */
static inline const struct node_id *rings_near(const struct rings *r, unsigned ring,
                                               enum ring_side_name side, unsigned k)
{
    const struct ring_side *s = &r->sides[ring][side];

    return k < s->n ? &s->near[k].id : NULL;
}

/* By how many different members one is observed; a walk, for small meshes. */
unsigned rings_observers(const struct twig *root, const struct note *subject);
