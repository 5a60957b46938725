/* SPDX-License-Identifier: Apache-2.0 */
/* Who has what. */
#include <stdlib.h>
#include <string.h>

#include "node/fetch_internal.h"

/* ---- how a blob is cut ---- */

static uint64_t divide_up(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

uint64_t fetch_leaves(uint64_t size)
{
    return size ? divide_up(size, FETCH_LEAF_BYTES) : 1;
}

uint64_t fetch_groups(uint64_t size)
{
    return divide_up(fetch_leaves(size), FETCH_GROUP_LEAVES);
}

size_t fetch_leaf_bytes(uint64_t size, uint64_t leaf)
{
    uint64_t offset = leaf * FETCH_LEAF_BYTES;

    return size - offset < FETCH_LEAF_BYTES ? (size_t)(size - offset)
                                            : FETCH_LEAF_BYTES;
}

size_t fetch_group_leaves(uint64_t size, uint64_t group)
{
    uint64_t rest = fetch_leaves(size) - group * FETCH_GROUP_LEAVES;

    return rest < FETCH_GROUP_LEAVES ? (size_t)rest : FETCH_GROUP_LEAVES;
}

uint64_t fetch_top_digests(uint64_t size)
{
    return fetch_groups(size) > 1 ? fetch_groups(size) : fetch_leaves(size);
}

uint64_t fetch_stretch(uint64_t size)
{
    uint64_t stretch = 1;

    while (divide_up(fetch_leaves(size), stretch) > BLOB_HAVE_MAX * 8)
        stretch *= 2;
    return stretch;
}

size_t fetch_have_bytes(uint64_t size)
{
    return (size_t)divide_up(divide_up(fetch_leaves(size), fetch_stretch(size)), 8);
}

/* ---- peers ---- */

struct fetch_peer *fetch_peer_find(const struct fetch *f, const struct node_id *id)
{
    struct fetch_peer *p;

    HASH_FIND(hh, f->peers, id->bytes, NODE_ID_SIZE, p);
    return p;
}

static bool is_idle(const struct fetch *f, const struct fetch_peer *p)
{
    if (p->is_connected || p->n_asked)
        return false;
    for (const struct fetch_blob *b = f->list; b; b = b->next)
        for (size_t i = 0; i < b->n_holders; i++)
            if (b->holders[i].peer == p)
                return false;
    return true;
}

/* Room for another one. */
static void forget_idle_peers(struct fetch *f)
{
    struct fetch_peer *p, *next;

    HASH_ITER (hh, f->peers, p, next) {
        if (!is_idle(f, p))
            continue;
        HASH_DELETE(hh, f->peers, p);
        free(p);
    }
}

struct fetch_peer *fetch_peer_get(struct fetch *f, const struct node_id *id)
{
    struct fetch_peer *p = fetch_peer_find(f, id);

    if (p)
        return p;
    if (HASH_COUNT(f->peers) >= FETCH_PEERS_MAX)
        forget_idle_peers(f);
    if (HASH_COUNT(f->peers) >= FETCH_PEERS_MAX)
        return NULL;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->id = *id;
    p->window = FETCH_OF_SEED_MAX;
    HASH_ADD(hh, f->peers, id.bytes, NODE_ID_SIZE, p);
    if (!p->hh.tbl) {
        free(p);
        return NULL;
    }
    return p;
}

/* ---- holders ---- */

struct fetch_holder *fetch_holder_find(struct fetch_blob *b, const struct node_id *id)
{
    for (size_t i = 0; i < b->n_holders; i++)
        if (node_id_equal(&b->holders[i].peer->id, id))
            return &b->holders[i];
    return NULL;
}

static bool is_denied(const struct fetch_blob *b, const struct node_id *id)
{
    for (size_t i = 0; i < b->n_denied; i++)
        if (node_id_equal(&b->denied[i], id))
            return true;
    return false;
}

struct fetch_holder *fetch_holder_add(struct fetch *f, struct fetch_blob *b,
                                      const struct node_id *id, enum holder_kind kind)
{
    struct fetch_holder *h = fetch_holder_find(b, id);
    struct fetch_peer *p;

    if (h || b->n_holders == FETCH_HOLDERS_MAX || node_id_equal(id, &f->self)
        || node_id_is_none(id) || is_denied(b, id))
        return h;
    p = fetch_peer_get(f, id);
    if (!p)
        return NULL;
    h = &b->holders[b->n_holders++];
    *h = (struct fetch_holder){ .kind = kind, .peer = p };
    if (b->has_size)
        h->cursor = prng_below(&f->prng, b->n_leaves);
    return h;
}

/* The order stays: hints come first. */
void fetch_holder_remove(struct fetch_blob *b, struct fetch_holder *h)
{
    size_t i = (size_t)(h - b->holders);

    free(h->have);
    b->n_holders--;
    memmove(h, h + 1, (b->n_holders - i) * sizeof(*h));
}

void fetch_holder_strike(struct fetch_blob *b, struct fetch_holder *h)
{
    if (b->n_denied < FETCH_DENIED_MAX)
        b->denied[b->n_denied++] = h->peer->id;
    fetch_holder_remove(b, h);
}

void fetch_ask_holder(struct fetch *f, struct fetch_blob *b, struct fetch_holder *h,
                      time_us now)
{
    h->asked = now;
    fetch_act(f, &(struct fetch_action){
                     .type = FETCH_FIND, .peer = h->peer->id, .id = b->id });
}

bool fetch_holder_has(const struct fetch_blob *b, const struct fetch_holder *h,
                      uint64_t leaf)
{
    uint64_t bit = leaf / b->stretch;

    return h->kind == HOLDER_WHOLE
           || (h->kind == HOLDER_PART && bit / 8 < h->have_len
               && h->have[bit / 8] >> bit % 8 & 1);
}
