/* SPDX-License-Identifier: Apache-2.0 */
/* What others ask for: what is here, who else may have it, and the bytes, in turn. */
#include <errno.h>
#include <string.h>

#include "node/exchange_internal.h"

enum {
    ANSWERED_MAX = 512, /* of the blobs of one question */
    LARGE_LEAVES_MIN = 16,
    GIVE_PEERS_MAX = 4096,
};
#define ASKER_US TIME_S(30)
#define BLOCKED_US TIME_MS(20)
#define BLOCKED_MAX_US TIME_S(10) /* of a peer that takes nothing */

/* ---- who asked for large blobs ---- */

static struct asked_blob *get_asked(struct exchange *x, const struct digest *id)
{
    struct asked_blob *a;

    HASH_FIND(hh, x->asked, id->bytes, DIGEST_SIZE, a);
    if (a) {
        HASH_DELETE(hh, x->asked, a);
    } else if (HASH_COUNT(x->asked) >= ASKED_BLOBS_MAX) {
        a = x->asked;
        HASH_DELETE(hh, x->asked, a);
        memset(a, 0, sizeof(*a));
    } else {
        a = calloc(1, sizeof(*a));
    }
    if (!a)
        return NULL;
    a->id = *id;
    HASH_ADD(hh, x->asked, id.bytes, DIGEST_SIZE, a);
    if (a->hh.tbl)
        return a;
    free(a);
    return NULL;
}

static void note_asker(struct exchange *x, const struct digest *id, uint64_t size,
                       const struct node_id *from)
{
    struct asked_blob *a =
        fetch_leaves(size) >= LARGE_LEAVES_MIN ? get_asked(x, id) : NULL;
    size_t oldest = 0;

    for (size_t i = 0; a && i < ASKERS_MAX; i++) {
        if (node_id_equal(&a->askers[i].node, from)) {
            oldest = i;
            break;
        }
        if (a->askers[i].at < a->askers[oldest].at)
            oldest = i;
    }
    if (!a)
        return;
    a->askers[oldest].node = *from;
    a->askers[oldest].at = exchange_now(x);
}

static size_t list_askers(const struct exchange *x, const struct digest *id,
                          const struct node_id *but, struct node_id ret[ASKERS_MAX])
{
    const struct asked_blob *a;
    size_t n = 0;

    HASH_FIND(hh, x->asked, id->bytes, DIGEST_SIZE, a);
    for (size_t i = 0; a && i < ASKERS_MAX; i++)
        if (!node_id_is_none(&a->askers[i].node)
            && a->askers[i].at + ASKER_US > exchange_now(x)
            && !node_id_equal(&a->askers[i].node, but))
            ret[n++] = a->askers[i].node;
    return n;
}

/* ---- what is here ---- */

struct found {
    uint8_t have[BLOB_HAVE_MAX];
    struct node_id others[ASKERS_MAX];
};

/* False: nothing is known of it. */
static bool look_up(struct exchange *x, const struct digest *id,
                    const struct node_id *from, struct found *f,
                    struct blob_holder *ret)
{
    *ret = (struct blob_holder){ .id = *id, .have = f->have, .others = f->others };
    ret->is_whole = blobs_stat(x->config.blobs, id, &ret->size) == 0;
    if (!ret->is_whole
        && !fetch_have(x->fetch, id, &ret->size, f->have, &ret->have_len))
        ret->size = 0;
    ret->n_others = list_askers(x, id, from, f->others);
    if (ret->is_whole || ret->have_len)
        note_asker(x, id, ret->size, from);
    return ret->is_whole || ret->have_len || ret->n_others;
}

void give_on_find(struct exchange *x, const struct node_id *from,
                  const struct blob_find_message *m)
{
    size_t n = min_size(m->n_ids, ANSWERED_MAX);
    CLEANUP(freep) struct found *found = malloc((n + 1) * sizeof(*found));
    CLEANUP(freep) struct blob_holder *holders = malloc((n + 1) * sizeof(*holders));
    struct message answer = { .type = MESSAGE_BLOB_HOLDERS };
    struct blob_holders_message *a = &answer.u.blob_holders;

    if (!found || !holders)
        return;
    a->request = m->request;
    a->holders = holders;
    for (size_t i = 0; i < n; i++)
        a->n_holders +=
            look_up(x, &m->ids[i], from, &found[a->n_holders], &holders[a->n_holders]);
    if (a->n_holders)
        (void)exchange_send(x, from, &answer, false);
}

/* ---- the queue ---- */

static struct give_peer *find_giver(const struct exchange *x, const struct node_id *id)
{
    struct give_peer *p;

    HASH_FIND(hh, x->givers, id->bytes, NODE_ID_SIZE, p);
    return p;
}

static struct give_peer *get_giver(struct exchange *x, const struct node_id *id)
{
    struct give_peer *p = find_giver(x, id);

    if (p || HASH_COUNT(x->givers) >= GIVE_PEERS_MAX)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->id = *id;
    p->last = &p->first;
    HASH_ADD(hh, x->givers, id.bytes, NODE_ID_SIZE, p);
    if (p->hh.tbl)
        return p;
    free(p);
    return NULL;
}

static struct give *take_first(struct exchange *x, struct give_peer *p)
{
    struct give *g = p->first;

    p->first = g->next;
    if (!p->first)
        p->last = &p->first;
    p->n--;
    p->n_leaves -= g->part == BLOB_LEAF;
    x->n_queued--;
    return g;
}

static void put_first(struct exchange *x, struct give_peer *p, struct give *g)
{
    g->next = p->first;
    p->first = g;
    if (!g->next)
        p->last = &g->next;
    p->n++;
    p->n_leaves += g->part == BLOB_LEAF;
    x->n_queued++;
}

static void drop_giver(struct exchange *x, struct give_peer *p)
{
    while (p->first)
        free(take_first(x, p));
    HASH_DELETE(hh, x->givers, p);
    free(p);
}

static size_t count_streams(const struct exchange *x)
{
    size_t n = 0;

    for (const struct give_peer *p = x->givers; p; p = p->hh.next)
        n += p->n_leaves > 0;
    return n;
}

static int answer(struct exchange *x, const struct node_id *to, const struct give *g,
                  const struct give_answer *a)
{
    struct message m = { .type = MESSAGE_BLOB_DATA };

    m.u.blob_data = (struct blob_data_message){
        .request = g->request,
        .status = a->status,
        .id = g->id,
        .part = a->status < 0 ? g->part : a->part,
        .offset = g->offset,
        .size = a->size,
        .data = (uint8_t *)a->data.data,
        .data_len = a->data.len,
    };
    return exchange_send(x, to, &m, true);
}

static int enqueue(struct exchange *x, const struct node_id *from,
                   const struct blob_get_message *m)
{
    struct give_peer *p = get_giver(x, from);
    struct give *g;

    if (!p || p->n >= GIVE_OF_PEER_MAX || x->n_queued >= GIVE_QUEUE_MAX)
        return -EBUSY;
    if (m->part == BLOB_LEAF && p->n_leaves == 0
        && count_streams(x) >= GIVE_STREAMS_MAX)
        return -EBUSY;
    g = calloc(1, sizeof(*g));
    if (!g)
        return -EBUSY;
    *g = (struct give){
        .request = m->request, .id = m->id, .part = m->part, .offset = m->offset
    };
    *p->last = g;
    p->last = &g->next;
    p->n++;
    p->n_leaves += m->part == BLOB_LEAF;
    x->n_queued++;
    return 0;
}

void give_on_get(struct exchange *x, const struct node_id *from,
                 const struct blob_get_message *m)
{
    int r = enqueue(x, from, m);

    if (r < 0) {
        struct give g = {
            .request = m->request, .id = m->id, .part = m->part, .offset = m->offset
        };
        struct give_answer refusal = { .status = r };
        struct give_peer *p = find_giver(x, from);

        (void)answer(x, from, &g, &refusal);
        if (p && p->n == 0 && !p->blocked_since)
            drop_giver(x, p);
        return;
    }
    give_next(x);
}

/* ---- in turn ---- */

static bool is_measured(const struct exchange *x, const struct give *g)
{
    for (size_t i = 0; g->part != BLOB_LEAF && i < x->n_measured; i++)
        if (digest_equal(&x->measured[i], &g->id))
            return true;
    return false;
}

static bool is_ready(const struct exchange *x, const struct give_peer *p)
{
    return p->first && p->blocked_until <= exchange_now(x) && !is_measured(x, p->first);
}

/* The first behind the one who was answered last. */
static struct give_peer *next_peer(const struct exchange *x)
{
    struct give_peer *last = find_giver(x, &x->turn);
    struct give_peer *p = last ? last->hh.next : NULL;

    for (size_t i = 0; i < HASH_COUNT(x->givers); i++) {
        p = p ? p : x->givers;
        if (is_ready(x, p))
            return p;
        p = p->hh.next;
    }
    return NULL;
}

void give_next(struct exchange *x)
{
    while (x->n_giving < GIVE_JOBS_MAX) {
        struct give_peer *p = next_peer(x);
        struct give *g;

        if (!p)
            return;
        g = take_first(x, p);
        x->turn = p->id;
        if (give_start(x, &p->id, g) < 0) {
            put_first(x, p, g);
            return;
        }
    }
}

/* It could not be sent: the question waits, the bytes are read once more. */
static void block(struct exchange *x, const struct node_id *to, struct give *g)
{
    struct give_peer *p = get_giver(x, to);
    time_us now = exchange_now(x);

    if (!p) {
        free(g);
        return;
    }
    put_first(x, p, g);
    p->blocked_until = now + BLOCKED_US;
    if (!p->blocked_since)
        p->blocked_since = now;
    else if (now - p->blocked_since > BLOCKED_MAX_US)
        drop_giver(x, p);
}

void give_on_read(struct exchange *x, const struct node_id *to, struct give *g,
                  const struct give_answer *a)
{
    int r = answer(x, to, g, a);
    struct give_peer *p;

    if (r == -EAGAIN) {
        block(x, to, g);
        return;
    }
    free(g);
    p = find_giver(x, to);
    if (r == 0 && a->part != BLOB_TOP && a->part != BLOB_GROUP)
        x->counts.given_bytes += a->data.len;
    if (p && r == 0)
        p->blocked_since = p->blocked_until = 0;
    if (p && (r < 0 || p->n == 0))
        drop_giver(x, p);
}

void give_on_disconnected(struct exchange *x, const struct node_id *peer)
{
    struct give_peer *p = find_giver(x, peer);

    if (p)
        drop_giver(x, p);
}

void give_on_writable(struct exchange *x, const struct node_id *peer)
{
    struct give_peer *p = find_giver(x, peer);

    if (!p)
        return;
    p->blocked_until = 0;
    give_next(x);
}

void give_release(struct exchange *x)
{
    struct asked_blob *a, *next;

    while (x->givers)
        drop_giver(x, x->givers);
    HASH_ITER (hh, x->asked, a, next) {
        HASH_DELETE(hh, x->asked, a);
        free(a);
    }
    leaf_cache_release(x);
}
