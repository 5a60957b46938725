/* SPDX-License-Identifier: Apache-2.0 */
/* What to ask for next, and whom. */
#include <errno.h>

#include "node/fetch_internal.h"

enum {
    GROUPS_AHEAD = 2, /* of digests that are on their way */
    LOOK_MAX = 8192,  /* leaves that one pick passes over for a rarer one */
    SPREAD_OF_SEED_MAX = 1,
    ENDGAME_LEAVES = 4,
};
#define DRY_US TIME_MS(200)

/* Where others fetch the same, one who has it all is asked for little at a time: what
 * is asked of it today, somebody else may have tomorrow. */
static bool is_usable(const struct fetch_blob *b, const struct fetch_holder *h,
                      time_us now)
{
    unsigned most =
        h->kind == HOLDER_WHOLE && b->has_parts ? FETCH_OF_SEED_MAX : h->peer->window;

    return h->kind != HOLDER_ASKED && h->peer->avoid_until <= now
           && h->peer->full_until <= now && h->peer->n_asked < most
           && h->dry_until <= now;
}

static bool is_source(const struct fetch *f, const struct fetch_blob *b,
                      const struct fetch_peer *p)
{
    for (size_t i = 0; i < FETCH_IN_FLIGHT_MAX; i++)
        if (f->requests[i].number && f->requests[i].blob == b
            && f->requests[i].peer == p)
            return true;
    return false;
}

/* How many are asked for parts of the blob already. */
static size_t count_sources(const struct fetch *f, const struct fetch_blob *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n_holders; i++)
        n += is_source(f, b, b->holders[i].peer);
    return n;
}

/* The usable ones, those of whom less is wanted mostly first: of two that are drawn the
 * better one comes before the other. */
static size_t list_holders(struct fetch *f, struct fetch_blob *b, time_us now,
                           struct fetch_holder *ret[FETCH_HOLDERS_MAX])
{
    bool is_full = count_sources(f, b) >= FETCH_SOURCES_MAX;
    size_t n = 0;

    for (size_t i = 0; i < b->n_holders; i++) {
        struct fetch_holder *h = &b->holders[i];

        if (is_usable(b, h, now) && (!is_full || is_source(f, b, h->peer)))
            ret[n++] = h;
    }
    for (size_t i = 0; i + 1 < n; i++) {
        size_t one = i + prng_below(&f->prng, n - i);
        size_t two = i + prng_below(&f->prng, n - i);
        size_t better = ret[two]->peer->n_asked < ret[one]->peer->n_asked ? two : one;
        struct fetch_holder *h = ret[better];

        ret[better] = ret[i];
        ret[i] = h;
    }
    return n;
}

static void ask(struct fetch *f, struct fetch_blob *b, struct fetch_peer *p,
                enum blob_part part, uint64_t at, time_us now)
{
    uint64_t leaf = part == BLOB_GROUP ? at * FETCH_GROUP_LEAVES : at;
    struct fetch_request *r = f->requests;

    while (r->number)
        r++;
    *r = (struct fetch_request){
        .number = f->next_request++, .blob = b, .peer = p, .part = part, .at = at
    };
    f->n_requests++;
    b->n_asked++;
    if (p->n_asked++ == 0)
        p->heard = now;
    fetch_act(f, &(struct fetch_action){ .type = FETCH_GET,
                                         .peer = p->id,
                                         .request = r->number,
                                         .id = b->id,
                                         .part = part,
                                         .offset = leaf * FETCH_LEAF_BYTES });
}

/* Others who fetch it have it. */
static bool is_spread(const struct fetch_blob *b, uint64_t leaf)
{
    uint64_t bit = leaf / b->stretch;

    return b->has_parts && b->spread[bit / 8] >> bit % 8 & 1;
}

/* The next missing leaf from the cursor on, whose digest is known; n_leaves: none. A
 * whole copy is asked for what no other one has, so that parts spread. *ret_group is
 * set to a group whose digests are to be asked for. */
static uint64_t pick_leaf(const struct fetch_blob *b, const struct fetch_holder *h,
                          uint64_t *cursor, uint64_t *ret_group)
{
    uint64_t first = b->n_leaves, at = *cursor;
    unsigned n_looked = 0;

    for (uint64_t i = 0; i < b->n_leaves; i++, at++) {
        uint64_t group;

        at = at < b->n_leaves ? at : 0;
        group = at / FETCH_GROUP_LEAVES;
        if (b->groups[group] == LEAF_MISSING && *ret_group == b->n_groups)
            *ret_group = group;
        if (b->groups[group] != LEAF_HERE) {
            uint64_t rest = FETCH_GROUP_LEAVES - at % FETCH_GROUP_LEAVES - 1;

            i += rest;
            at += rest;
            continue;
        }
        if (b->leaves[at] != LEAF_MISSING || !fetch_holder_has(b, h, at))
            continue;
        if (first == b->n_leaves)
            first = at;
        if (h->kind == HOLDER_PART || !is_spread(b, at)) {
            first = at;
            break;
        }
        if (++n_looked == LOOK_MAX)
            break;
        /* It is left to the others, who have room for it. */
        if (h->peer->n_asked >= SPREAD_OF_SEED_MAX)
            first = b->n_leaves;
    }
    if (first < b->n_leaves)
        *cursor = first + 1;
    return first;
}

/* One request for a leaf or for a group's digests, to this holder. */
static bool ask_holder(struct fetch *f, struct fetch_blob *b, struct fetch_holder *h,
                       time_us now)
{
    uint64_t group = b->n_groups;
    uint64_t leaf;

    /* In order where one node fetches, for its disk's sake. Where several do and two of
     * them came to one place they would ask for the same from there on. */
    if (b->has_parts)
        b->cursor = prng_below(&f->prng, b->n_leaves);
    leaf = pick_leaf(b, h, h->kind == HOLDER_PART ? &h->cursor : &b->cursor, &group);

    if (group < b->n_groups && b->n_groups_asked < GROUPS_AHEAD) {
        b->groups[group] = LEAF_ASKED;
        b->n_groups_asked++;
        ask(f, b, h->peer, BLOB_GROUP, group, now);
        return true;
    }
    if (leaf < b->n_leaves) {
        b->leaves[leaf] = LEAF_ASKED;
        b->n_missing--;
        ask(f, b, h->peer, BLOB_LEAF, leaf, now);
        return true;
    }
    if (h->kind == HOLDER_PART)
        h->dry_until = now + DRY_US;
    return false;
}

/* When nothing is left but what one slow holder still owes, another one is asked too.
 */
static bool ask_again(struct fetch *f, struct fetch_blob *b, time_us now)
{
    if (b->n_leaves - b->n_here > ENDGAME_LEAVES)
        return false;
    for (size_t i = 0; i < FETCH_IN_FLIGHT_MAX; i++) {
        struct fetch_request *r = &f->requests[i];

        if (!r->number || r->blob != b || r->part != BLOB_LEAF || r->is_checked
            || b->leaves[r->at] != LEAF_ASKED)
            continue;
        for (size_t k = 0; k < b->n_holders; k++) {
            struct fetch_holder *h = &b->holders[k];

            if (h->peer == r->peer || !is_usable(b, h, now)
                || !fetch_holder_has(b, h, r->at)
                || h->peer->n_asked >= r->peer->n_asked)
                continue;
            b->leaves[r->at] = LEAF_TWICE;
            ask(f, b, h->peer, BLOB_LEAF, r->at, now);
            return true;
        }
    }
    return false;
}

static bool ask_for(struct fetch *f, struct fetch_blob *b, time_us now)
{
    struct fetch_holder *holders[FETCH_HOLDERS_MAX];
    size_t n;

    if (!b->has_size && b->n_asked)
        return false;
    if (b->has_size && b->n_missing == 0)
        return ask_again(f, b, now);
    n = list_holders(f, b, now, holders);
    if (!b->has_size && n) {
        /* The first hint that will do: the executor has it in its cache of pages. */
        for (size_t i = 1; i < n; i++)
            if (holders[i] < holders[0])
                holders[0] = holders[i];
        ask(f, b, holders[0]->peer, BLOB_FIRST, 0, now);
        return true;
    }
    for (size_t i = 0; i < n; i++)
        if (ask_holder(f, b, holders[i], now))
            return true;
    return false;
}

/* ---- finding holders ---- */

enum {
    ROUNDS_MAX = 3,
    REFRESHED_LEAVES_MIN = 16,
    ASKED_OF_ALL_MAX = 64,
    FAIR_SHARE = 4,
    FINDS_MAX = 1024, /* questions between two ticks, about */
};
#define FIND_US TIME_S(1)
#define REFRESH_US TIME_MS(50)

static void ask_all(struct fetch *f, struct fetch_blob *b)
{
    size_t n = 0;

    for (struct fetch_peer *p = f->peers; p && n < ASKED_OF_ALL_MAX; p = p->hh.next) {
        if (!p->is_connected)
            continue;
        n++;
        fetch_act(f, &(struct fetch_action){
                         .type = FETCH_FIND, .peer = p->id, .id = b->id });
    }
}

/* False: nobody has it. */
static bool find(struct fetch *f, struct fetch_blob *b, time_us now)
{
    bool is_any = false;

    for (size_t i = 0; i < b->n_holders; i++)
        is_any |= b->holders[i].kind != HOLDER_ASKED
                  && b->holders[i].peer->avoid_until <= now;
    if (is_any) {
        b->n_rounds = 0;
        return true;
    }
    if (now < b->find_at || f->n_finds >= FINDS_MAX)
        return true;
    if (b->n_holders == 0 && b->n_rounds == ROUNDS_MAX)
        return false;
    b->n_rounds += b->n_rounds < ROUNDS_MAX;
    b->find_at = now + FIND_US;
    ask_all(f, b);
    return true;
}

/* What others have changes while they fetch it too, and they are told of us. */
static void refresh(struct fetch *f, struct fetch_blob *b, time_us now)
{
    if (!b->has_size || b->n_leaves < REFRESHED_LEAVES_MIN || b->n_missing == 0
        || now < b->refresh_at || f->n_finds >= FINDS_MAX)
        return;
    b->refresh_at = now + REFRESH_US;
    for (size_t i = 0; i < b->n_holders; i++)
        if (b->holders[i].kind != HOLDER_ASKED
            && b->holders[i].peer->avoid_until <= now)
            fetch_act(f, &(struct fetch_action){ .type = FETCH_FIND,
                                                 .peer = b->holders[i].peer->id,
                                                 .id = b->id });
}

void fetch_look_around(struct fetch *f, struct fetch_blob *b, time_us now)
{
    if (!find(f, b, now))
        fetch_end(f, b, -ENOENT);
    else
        refresh(f, b, now);
}

/* Each gets a few first: a small blob does not wait until a large one is here. */
void fetch_pump(struct fetch *f, time_us now)
{
    struct fetch_blob *b;

    for (b = f->list; b && f->n_requests < FETCH_IN_FLIGHT_MAX; b = b->next)
        while (f->n_requests < FETCH_IN_FLIGHT_MAX && b->n_asked < FAIR_SHARE
               && ask_for(f, b, now))
            ;
    for (b = f->list; b && f->n_requests < FETCH_IN_FLIGHT_MAX; b = b->next)
        while (f->n_requests < FETCH_IN_FLIGHT_MAX && ask_for(f, b, now))
            ;
}
