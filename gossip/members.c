/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/members.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gossip/pool.h"

enum { NIBBLES = 2 * NODE_ID_SIZE };

static unsigned way_of(const struct node_id *id, unsigned depth)
{
    uint8_t byte = id->bytes[depth / 2];

    return depth % 2 ? byte & 15u : byte >> 4;
}

static struct note *note_in(const struct twig *t, uint32_t i)
{
    return t->below[i];
}

static struct twig *twig_in(const struct twig *t, uint32_t i)
{
    return t->below[i];
}

/* Which of the twigs there are is the one of a way. */
static uint32_t index_of(const struct twig *t, unsigned way)
{
    return (uint32_t)__builtin_popcount(t->ways & ((1u << way) - 1));
}

/* ---- making twigs ---- */

/* A twig that is wanted: it is looked for before it is made. */
struct draft {
    bool is_leaf;
    uint16_t ways;
    uint32_t n;
    void *below[TWIG_NOTES + 1];
};

static uint64_t draft_hash(const struct draft *d)
{
    uint64_t hash = d->is_leaf ? 3 : 5;

    for (uint32_t i = 0; i < d->n; i++) {
        uint64_t of = d->is_leaf ? ((struct note *)d->below[i])->hash
                                 : ((struct twig *)d->below[i])->hash;

        hash = (hash ^ of) * 0x9e3779b97f4a7c15u + i;
        hash ^= hash >> 31;
    }
    return (hash ^ d->ways) * 0xbf58476d1ce4e5b9u;
}

static bool is_drafted(const struct twig *t, const struct draft *d, uint64_t hash)
{
    return t->hash == hash && t->is_leaf == d->is_leaf && t->ways == d->ways
           && t->n_below == d->n
           && memcmp(t->below, d->below, d->n * sizeof(void *)) == 0;
}

static void count_note(struct twig *t, struct note *note)
{
    note_ref(note);
    t->n++;
    if (!note_is_live(note))
        return;
    t->n_live++;
    t->sum[0] += note->sum[0];
    t->sum[1] += note->sum[1];
}

static void count_twig(struct twig *t, struct twig *below)
{
    twig_ref(below);
    t->n += below->n;
    t->n_live += below->n_live;
    t->sum[0] += below->sum[0];
    t->sum[1] += below->sum[1];
}

/* Counted; NULL without memory. */
static struct twig *twig_get(struct gossip_pool *p, const struct draft *d)
{
    uint64_t hash = draft_hash(d);
    struct twig *t;

    if (!pool_reserve_twig(p))
        return NULL;
    for (t = *pool_twigs(p, hash); t; t = t->next)
        if (is_drafted(t, d, hash))
            return twig_ref(t);
    t = calloc(1, sizeof(*t) + d->n * sizeof(void *));
    if (!t)
        return NULL;
    t->refs = 1;
    t->is_leaf = d->is_leaf;
    t->ways = d->ways;
    t->hash = hash;
    t->n_below = d->n;
    memcpy(t->below, d->below, d->n * sizeof(void *));
    for (uint32_t i = 0; i < d->n; i++)
        d->is_leaf ? count_note(t, d->below[i]) : count_twig(t, d->below[i]);
    pool_add_twig(p, t);
    return t;
}

void twig_unref(struct gossip_pool *p, struct twig *t)
{
    if (!t || --t->refs > 0)
        return;
    pool_remove_twig(p, t);
    for (uint32_t i = 0; i < t->n_below; i++)
        t->is_leaf ? note_unref(p, t->below[i]) : twig_unref(p, t->below[i]);
    free(t);
}

static void draft_of(const struct twig *t, struct draft *ret)
{
    ret->is_leaf = t->is_leaf;
    ret->ways = t->ways;
    ret->n = t->n_below;
    memcpy(ret->below, t->below, t->n_below * sizeof(void *));
}

static void draft_insert(struct draft *d, uint32_t i, void *below)
{
    memmove(&d->below[i + 1], &d->below[i], (d->n - i) * sizeof(void *));
    d->below[i] = below;
    d->n++;
}

static void draft_remove(struct draft *d, uint32_t i)
{
    d->n--;
    memmove(&d->below[i], &d->below[i + 1], (d->n - i) * sizeof(void *));
}

/* ---- change ---- */

/* Where the id is in a leaf, or would be. */
static uint32_t place_in(const struct twig *t, const struct node_id *id,
                         bool *ret_is_there)
{
    uint32_t i = 0;
    int order = 1;

    while (i < t->n_below
           && (order = node_id_compare(&note_in(t, i)->member.id, id)) < 0)
        i++;
    *ret_is_there = i < t->n_below && order == 0;
    return i;
}

/* Notes ascending, one more than a leaf has room for, as a branch of leaves. */
static struct twig *branch_from(struct gossip_pool *p, const struct draft *full,
                                unsigned depth)
{
    struct draft branch = { .is_leaf = false };
    struct twig *made = NULL;

    assert(depth < NIBBLES);
    for (uint32_t i = 0, end; i < full->n; i = end) {
        unsigned way = way_of(&((struct note *)full->below[i])->member.id, depth);
        struct draft part = { .is_leaf = true };

        for (end = i;
             end < full->n
             && way_of(&((struct note *)full->below[end])->member.id, depth) == way;
             end++)
            part.below[part.n++] = full->below[end];
        made =
            part.n > TWIG_NOTES ? branch_from(p, &part, depth + 1) : twig_get(p, &part);
        if (!made)
            break;
        branch.below[branch.n++] = made;
        branch.ways = (uint16_t)(branch.ways | 1u << way);
    }
    if (made)
        made = twig_get(p, &branch);
    for (uint32_t i = 0; i < branch.n; i++)
        twig_unref(p, branch.below[i]);
    return made;
}

static struct twig *leaf_set(struct gossip_pool *p, const struct twig *t,
                             struct note *note, unsigned depth)
{
    struct draft d = { .is_leaf = true };
    bool is_there = false;
    uint32_t i = 0;

    if (t) {
        draft_of(t, &d);
        i = place_in(t, &note->member.id, &is_there);
    }
    if (is_there)
        d.below[i] = note;
    else
        draft_insert(&d, i, note);
    return d.n > TWIG_NOTES ? branch_from(p, &d, depth) : twig_get(p, &d);
}

static struct twig *twig_set(struct gossip_pool *p, const struct twig *t,
                             struct note *note, unsigned depth)
{
    unsigned way = way_of(&note->member.id, depth);
    struct twig *below, *made;
    struct draft d;
    bool is_there;
    uint32_t i;

    if (!t || t->is_leaf)
        return leaf_set(p, t, note, depth);
    is_there = t->ways & 1u << way;
    i = index_of(t, way);
    below = twig_set(p, is_there ? twig_in(t, i) : NULL, note, depth + 1);
    if (!below)
        return NULL;
    draft_of(t, &d);
    d.ways = (uint16_t)(d.ways | 1u << way);
    if (is_there)
        d.below[i] = below;
    else
        draft_insert(&d, i, below);
    made = twig_get(p, &d);
    twig_unref(p, below);
    return made;
}

int members_set(struct gossip_pool *p, struct twig *root, struct note *note,
                struct twig **ret_root)
{
    struct twig *made = twig_set(p, root, note, 0);

    if (!made)
        return -ENOMEM;
    *ret_root = made;
    return 0;
}

static void gather(const struct twig *t, struct draft *d)
{
    for (uint32_t i = 0; i < t->n_below; i++) {
        if (t->is_leaf)
            d->below[d->n++] = t->below[i];
        else
            gather(twig_in(t, i), d);
    }
}

/* A branch whose notes have room in a leaf becomes one: the shape follows from what is
 * in it. */
static int branch_get(struct gossip_pool *p, const struct draft *d, struct twig **ret)
{
    struct draft leaf = { .is_leaf = true };
    size_t n = 0;

    for (uint32_t i = 0; i < d->n; i++)
        n += ((struct twig *)d->below[i])->n;
    if (n <= TWIG_NOTES) {
        for (uint32_t i = 0; i < d->n; i++)
            gather(d->below[i], &leaf);
        d = &leaf;
    }
    *ret = twig_get(p, d);
    return *ret ? 0 : -ENOMEM;
}

static int twig_drop(struct gossip_pool *p, const struct twig *t,
                     const struct node_id *id, unsigned depth, struct twig **ret)
{
    unsigned way = way_of(id, depth);
    struct twig *below = NULL;
    struct draft d;
    uint32_t i = t->is_leaf ? 0 : index_of(t, way);
    int r = 0;

    draft_of(t, &d);
    if (t->is_leaf) {
        bool is_there;

        draft_remove(&d, place_in(t, id, &is_there));
        *ret = d.n ? twig_get(p, &d) : NULL;
        return d.n && !*ret ? -ENOMEM : 0;
    }
    r = twig_drop(p, twig_in(t, i), id, depth + 1, &below);
    if (r < 0)
        return r;
    d.below[i] = below;
    if (!below) {
        draft_remove(&d, i);
        d.ways = (uint16_t)(d.ways & ~(1u << way));
    }
    r = branch_get(p, &d, ret);
    twig_unref(p, below);
    return r;
}

int members_drop(struct gossip_pool *p, struct twig *root, const struct node_id *id,
                 struct twig **ret_root)
{
    if (!members_find(root, id))
        return -ENOENT;
    return twig_drop(p, root, id, 0, ret_root);
}

/* ---- questions ---- */

struct note *members_find(const struct twig *root, const struct node_id *id)
{
    const struct twig *t = root;
    bool is_there;
    uint32_t i;

    for (unsigned depth = 0; t && !t->is_leaf; depth++) {
        unsigned way = way_of(id, depth);

        t = t->ways & 1u << way ? twig_in(t, index_of(t, way)) : NULL;
    }
    if (!t)
        return NULL;
    i = place_in(t, id, &is_there);
    return is_there ? note_in(t, i) : NULL;
}

enum which { WHICH_ALL = 1, WHICH_LIVE, WHICH_DEAD };

static size_t twig_count(const struct twig *t, enum which which)
{
    switch (which) {
    case WHICH_LIVE:
        return t->n_live;
    case WHICH_DEAD:
        return t->n - t->n_live;
    case WHICH_ALL:
        break;
    }
    return t->n;
}

static bool is_one_of(const struct note *n, enum which which)
{
    return which == WHICH_ALL || note_is_live(n) == (which == WHICH_LIVE);
}

static struct note *pick(const struct twig *t, size_t i, enum which which)
{
    assert(t && i < twig_count(t, which));
    while (!t->is_leaf) {
        uint32_t k = 0;

        for (; i >= twig_count(twig_in(t, k), which); k++)
            i -= twig_count(twig_in(t, k), which);
        t = twig_in(t, k);
    }
    for (uint32_t k = 0; k < t->n_below; k++)
        if (is_one_of(note_in(t, k), which) && i-- == 0)
            return note_in(t, k);
    assert(false);
    return NULL;
}

struct note *members_at(const struct twig *root, size_t i)
{
    return pick(root, i, WHICH_ALL);
}

struct note *members_live_at(const struct twig *root, size_t i)
{
    return pick(root, i, WHICH_LIVE);
}

struct note *members_dead_at(const struct twig *root, size_t i)
{
    return pick(root, i, WHICH_DEAD);
}

size_t members_rank(const struct twig *root, const struct node_id *id)
{
    const struct twig *t = root;
    size_t rank = 0;
    bool is_there;

    for (unsigned depth = 0; t && !t->is_leaf; depth++) {
        unsigned way = way_of(id, depth);
        uint32_t i = index_of(t, way);

        for (uint32_t k = 0; k < i; k++)
            rank += twig_in(t, k)->n;
        t = t->ways & 1u << way ? twig_in(t, i) : NULL;
    }
    return t ? rank + place_in(t, id, &is_there) : rank;
}

static void add_sums(const struct twig *t, unsigned depth, unsigned part,
                     uint64_t sums[MEMBERS_PARTS])
{
    unsigned way = 0;

    if (depth == 2) {
        sums[part] += t->sum[0];
        return;
    }
    for (uint32_t i = 0; i < t->n_below; i++) {
        if (t->is_leaf) {
            if (note_is_live(note_in(t, i)))
                sums[note_in(t, i)->member.id.bytes[0]] += note_in(t, i)->sum[0];
            continue;
        }
        while (!(t->ways & 1u << way))
            way++;
        add_sums(twig_in(t, i), depth + 1, part << 4 | way++, sums);
    }
}

void members_sums(const struct twig *root, uint64_t ret[MEMBERS_PARTS])
{
    memset(ret, 0, MEMBERS_PARTS * sizeof(ret[0]));
    if (root)
        add_sums(root, 0, 0, ret);
}
