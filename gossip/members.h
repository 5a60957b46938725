/* SPDX-License-Identifier: Apache-2.0 */
/* members - the map of all members: persistent, ordered by id, summed up as it changes.
 *
 *     twig ------ 16 twigs by the next four bits of the id
 *       '-------- or up to TWIG_NOTES notes
 *
 * A map is its root; NULL is the empty one. A change makes the twigs on its way anew
 * and shares the rest. The shape follows from what is in it and equal twigs of a pool
 * are one, so nodes that know the same have the same map, whatever the order in which
 * they heard.
 *
 * Each twig has the number of its members and the sum over its live ones, so the
 * fingerprint, the i-th member and the difference of two maps cost no walk over all. */
#pragma once

#include "gossip/note.h"

enum { TWIG_WAYS = 16, TWIG_NOTES = 16, MEMBERS_PARTS = 256 };

struct twig {
    uint32_t refs;
    bool is_leaf;
    uint16_t ways; /* of a branch: which of its twigs there are, a bit for each */
    uint32_t n, n_live;
    struct twig *next; /* in the pool */
    uint64_t hash, sum[2];
    uint32_t n_below;
    void *below[]; /* notes ascending by id, or twigs */
};

void twig_unref(struct gossip_pool *p, struct twig *t);
static inline struct twig *twig_ref(struct twig *t)
{
    if (t)
        t->refs++;
    return t;
}

/* The map with this note in place of what it had of the member; the old map stays. Both
 * are counted. -ENOMEM */
int members_set(struct gossip_pool *p, struct twig *root, struct note *note,
                struct twig **ret_root);
/* The map without a member. -ENOENT, -ENOMEM */
int members_drop(struct gossip_pool *p, struct twig *root, const struct node_id *id,
                 struct twig **ret_root);

/* NULL if there is none. */
struct note *members_find(const struct twig *root, const struct node_id *id);

static inline size_t members_n(const struct twig *root)
{
    return root ? root->n : 0;
}
static inline size_t members_live(const struct twig *root)
{
    return root ? root->n_live : 0;
}
/* In the order of ids: of all, of those that live, of those that do not. */
struct note *members_at(const struct twig *root, size_t i);
struct note *members_live_at(const struct twig *root, size_t i);
struct note *members_dead_at(const struct twig *root, size_t i);
/* How many have a lower id. */
size_t members_rank(const struct twig *root, const struct node_id *id);

/* The sum over the live members of each part; a part is the first byte of the id. */
void members_sums(const struct twig *root, uint64_t ret[MEMBERS_PARTS]);
