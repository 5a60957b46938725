/* SPDX-License-Identifier: Apache-2.0 */
/* What was asked for, and what came of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/fetch_internal.h"

enum { UNREACHABLE_MAX = 3 };
#define BUSY_US TIME_MS(100) /* up to three times that */
#define FULL_US TIME_MS(20)
#define UNREACHABLE_US TIME_MS(500) /* twice as long each time */

/* ---- requests ---- */

static struct fetch_request *find_request(struct fetch *f, uint64_t number)
{
    for (size_t i = 0; number && i < FETCH_IN_FLIGHT_MAX; i++)
        if (f->requests[i].number == number)
            return &f->requests[i];
    return NULL;
}

/* It is no longer wanted from this peer. */
void fetch_settle(struct fetch *f, struct fetch_request *r)
{
    if (!r->is_checked)
        r->peer->n_asked--;
    r->blob->n_asked--;
    f->n_requests--;
    r->number = 0;
}

/* And has to be asked for again, unless somebody else was asked too. */
static void give_back(struct fetch *f, struct fetch_request *r)
{
    struct fetch_blob *b = r->blob;
    uint8_t *state = r->part == BLOB_LEAF    ? &b->leaves[r->at]
                     : r->part == BLOB_GROUP ? &b->groups[r->at]
                                             : NULL;

    fetch_settle(f, r);
    if (!state || *state == LEAF_HERE)
        return;
    if (*state == LEAF_TWICE) {
        *state = LEAF_ASKED;
        return;
    }
    *state = LEAF_MISSING;
    if (r->part == BLOB_LEAF)
        b->n_missing++;
    else
        b->n_groups_asked--;
}

static void give_back_of(struct fetch *f, const struct fetch_peer *p)
{
    for (size_t i = 0; i < FETCH_IN_FLIGHT_MAX; i++)
        if (f->requests[i].number && f->requests[i].peer == p
            && !f->requests[i].is_checked)
            give_back(f, &f->requests[i]);
}

void fetch_avoid(struct fetch *f, struct fetch_peer *p, time_us until)
{
    if (p->avoid_until < until)
        p->avoid_until = until;
    p->window = FETCH_OF_SEED_MAX;
    give_back_of(f, p);
}

/* ---- data ---- */

static void on_unreachable(struct fetch *f, struct fetch_blob *b, struct fetch_peer *p,
                           time_us now)
{
    struct fetch_holder *h = fetch_holder_find(b, &p->id);

    fetch_avoid(f, p, now + (UNREACHABLE_US << p->n_strikes));
    if (++p->n_strikes < UNREACHABLE_MAX)
        return;
    p->n_strikes = 0;
    if (h)
        fetch_holder_remove(b, h);
}

int fetch_on_unsent(struct fetch *f, uint64_t request, bool is_full, time_us now,
                    struct fetch_outbox *out)
{
    struct fetch_request *r = find_request(f, request);

    f->out = out;
    if (r && !r->is_checked && is_full) {
        r->peer->full_until = now + FULL_US;
        give_back(f, r);
    } else if (r && !r->is_checked) {
        on_unreachable(f, r->blob, r->peer, now);
    }
    return fetch_finish(f, now);
}

int fetch_on_writable(struct fetch *f, const struct node_id *peer, time_us now,
                      struct fetch_outbox *out)
{
    struct fetch_peer *p = fetch_peer_find(f, peer);

    if (!p || p->full_until <= now)
        return 0;
    p->full_until = 0;
    f->out = out;
    return fetch_finish(f, now);
}

/* Whether it is what was asked for, as far as its outside tells. */
static bool is_of_shape(const struct fetch_request *r,
                        const struct blob_data_message *m)
{
    const struct fetch_blob *b = r->blob;
    uint64_t leaf = r->part == BLOB_GROUP ? r->at * FETCH_GROUP_LEAVES : r->at;

    if (!digest_equal(&m->id, &b->id) || m->offset != leaf * FETCH_LEAF_BYTES)
        return false;
    if (r->part == BLOB_FIRST && m->part == BLOB_FIRST)
        return m->size <= FETCH_LEAF_BYTES && m->data_len == m->size;
    if (r->part == BLOB_FIRST)
        return m->part == BLOB_TOP && m->size > 0
               && fetch_groups(m->size) <= FETCH_GROUPS_MAX
               && m->data_len == fetch_top_digests(m->size) * DIGEST_SIZE;
    if (m->part != r->part || m->size != b->size)
        return false;
    return m->data_len
           == (r->part == BLOB_LEAF ? fetch_leaf_bytes(b->size, r->at)
                                    : fetch_group_leaves(b->size, r->at) * DIGEST_SIZE);
}

static void forget_leaf(const struct fetch_blob *b, struct fetch_holder *h,
                        uint64_t leaf)
{
    uint64_t bit = leaf / b->stretch;

    if (bit / 8 < h->have_len)
        h->have[bit / 8] &= (uint8_t) ~(1U << bit % 8);
}

/* The peer said that it cannot. */
static void on_refusal(struct fetch *f, struct fetch_request *r, int status,
                       time_us now)
{
    struct fetch_blob *b = r->blob;
    struct fetch_peer *p = r->peer;
    struct fetch_holder *h = fetch_holder_find(b, &p->id);

    if (status == -EBUSY) {
        fetch_avoid(f, p, now + BUSY_US + prng_below(&f->prng, 2 * BUSY_US));
        return;
    }
    if (h && h->kind == HOLDER_PART && r->part == BLOB_LEAF)
        forget_leaf(b, h, r->at);
    else if (h && h->kind == HOLDER_PART && r->part == BLOB_GROUP)
        h->dry_until = now + BUSY_US;
    else if (h)
        fetch_holder_strike(b, h);
    give_back(f, r);
}

/* What it sent is not what the name says. */
static void on_lie(struct fetch *f, struct fetch_request *r, time_us now)
{
    struct fetch_holder *h = fetch_holder_find(r->blob, &r->peer->id);

    if (h)
        fetch_holder_strike(r->blob, h);
    fetch_avoid(f, r->peer, now + FETCH_LIE_US);
}

int fetch_on_data(struct fetch *f, const struct node_id *from,
                  const struct blob_data_message *m, time_us now, bool *ret_check,
                  struct fetch_outbox *out)
{
    struct fetch_request *r = find_request(f, m->request);

    f->out = out;
    *ret_check = false;
    if (!r || r->is_checked || !node_id_equal(&r->peer->id, from)) {
        f->out = NULL;
        return 0;
    }
    r->peer->heard = now;
    if (m->status < 0) {
        on_refusal(f, r, m->status, now);
    } else if (!is_of_shape(r, m)) {
        on_lie(f, r, now);
    } else {
        *ret_check = true;
        r->is_checked = true;
        r->peer->n_asked--;
    }
    return fetch_finish(f, now);
}

/* The top is known, so leaves can be asked for. */
static int open_blob(struct fetch *f, struct fetch_blob *b, uint64_t size)
{
    b->n_leaves = b->n_missing = fetch_leaves(size);
    b->n_groups = fetch_groups(size);
    b->stretch = fetch_stretch(size);
    b->leaves = calloc(b->n_leaves, 1);
    b->groups = calloc(b->n_groups, 1);
    if (!b->leaves || !b->groups)
        return -ENOMEM;
    if (b->n_groups == 1)
        b->groups[0] = LEAF_HERE;
    b->size = size;
    b->has_size = true;
    b->cursor = prng_below(&f->prng, b->n_leaves);
    for (size_t i = 0; i < b->n_holders; i++)
        b->holders[i].cursor = prng_below(&f->prng, b->n_leaves);
    return 0;
}

static void on_good(struct fetch *f, struct fetch_request *r, enum blob_part part,
                    uint64_t size, time_us now)
{
    struct fetch_blob *b = r->blob;
    uint64_t at = r->at;

    b->progress = now;
    r->peer->n_strikes = 0;
    r->peer->window += r->peer->window < FETCH_OF_PEER_MAX;
    fetch_settle(f, r);
    if (part == BLOB_FIRST) {
        fetch_end(f, b, 0);
    } else if (part == BLOB_TOP) {
        f->is_out_of_memory |= open_blob(f, b, size) < 0;
        if (!f->is_out_of_memory)
            fetch_look_around(f, b, now);
    } else if (part == BLOB_GROUP) {
        b->n_groups_asked--;
        b->groups[at] = LEAF_HERE;
    } else if (b->leaves[at] != LEAF_HERE) {
        b->leaves[at] = LEAF_HERE;
        if (++b->n_here == b->n_leaves)
            fetch_end(f, b, 0);
        else if (now >= b->refresh_at)
            fetch_look_around(f, b, now);
    }
}

int fetch_on_checked(struct fetch *f, uint64_t request, enum blob_part part,
                     uint64_t size, bool is_good, time_us now, struct fetch_outbox *out)
{
    struct fetch_request *r = find_request(f, request);

    f->out = out;
    if (r && is_good) {
        on_good(f, r, part, size, now);
    } else if (r) {
        on_lie(f, r, now);
        give_back(f, r);
    }
    return fetch_finish(f, now);
}
