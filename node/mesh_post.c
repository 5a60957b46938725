/* SPDX-License-Identifier: Apache-2.0 */
/* What one turn of the caller's loop has for a peer becomes one message a run and type,
 * in the order in which it came. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

enum { POST_BYTES = 128 }; /* what one takes in a message, about, without a record */

int post_add(struct mesh *m, struct peer *p, const struct post *post)
{
    if (mesh_grow(&p->posts, p->n_posts, &p->cap_posts, sizeof(p->posts[0])) < 0)
        return -ENOMEM;
    p->posts[p->n_posts] = *post;
    p->posts[p->n_posts].order = (uint32_t)p->n_posts;
    p->n_posts++;
    m->has_posts = true;
    return 0;
}

bool post_has_any(const struct mesh *m)
{
    return m->has_posts;
}

static bool is_together(const struct post *a, const struct post *b)
{
    return a->type == b->type && is_same_run(&a->run, &b->run)
           && (a->type != POST_RECALL
               || (a->u.recall.signal == b->u.recall.signal
                   && a->u.recall.why == b->u.recall.why))
           && (a->type != POST_REFUSED || a->u.refused.why == b->u.refused.why);
}

static int compare(const void *a, const void *b)
{
    const struct post *x = a, *y = b;
    int order = (x->type > y->type) - (x->type < y->type);

    if (order == 0)
        order = memcmp(&x->run, &y->run, sizeof(x->run));
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* ---- one message ---- */

struct batch {
    struct peer *peer;
    const struct post *posts;
    size_t n;
    uint64_t ticket;
};

static int deliver(struct mesh *m, const struct batch *b, const struct message *msg)
{
    if (b->peer != m->me)
        return mesh_send(m, &b->peer->id, msg, b->ticket);
    switch (msg->type) {
    case MESSAGE_RECALL:
        return guest_on_recall(m, m->me, &msg->u.recall);
    case MESSAGE_RECALLED:
        return grant_on_recalled(m, m->me, &msg->u.recalled);
    case MESSAGE_COMMIT:
        return grant_on_commit(m, m->me, &msg->u.commit);
    case MESSAGE_COMMITTED:
        return work_on_committed(m, &msg->u.committed);
    default:
        return 0;
    }
}

static int send_grants(struct mesh *m, const struct batch *b)
{
    CLEANUP(freep) struct lease *leases = calloc(b->n, sizeof(*leases));
    struct message msg = { .type = MESSAGE_GRANT };
    const struct group *g = group_find(m, &b->posts[0].run);

    if (!leases)
        return -ENOMEM;
    if (!g || g->phase != LEAD_FULL)
        return 0;
    for (size_t i = 0; i < b->n; i++)
        leases[i] = b->posts[i].u.lease;
    msg.u.grant = (struct grant_message){ .boot = peer_boot(b->peer),
                                          .rank = group_rank(m, g),
                                          .leases = leases,
                                          .n_leases = b->n };
    return deliver(m, b, &msg);
}

static int send_recall(struct mesh *m, const struct batch *b)
{
    CLEANUP(freep) uint64_t *ids = calloc(b->n, sizeof(*ids));
    struct message msg = { .type = MESSAGE_RECALL };
    const struct group *g = group_find(m, &b->posts[0].run);

    if (!ids)
        return -ENOMEM;
    if (!g)
        return 0;
    for (size_t i = 0; i < b->n; i++)
        ids[i] = b->posts[i].u.recall.lease;
    msg.u.recall = (struct recall_message){ .rank = group_rank(m, g),
                                            .signal = b->posts[0].u.recall.signal,
                                            .why = b->posts[0].u.recall.why,
                                            .leases = ids,
                                            .n_leases = b->n };
    return deliver(m, b, &msg);
}

static int send_ids(struct mesh *m, const struct batch *b)
{
    CLEANUP(freep) uint64_t *ids = calloc(b->n, sizeof(*ids));
    const struct work *w = work_find(m, &b->posts[0].run);
    struct message msg = { .type = MESSAGE_RECALLED };

    if (!ids)
        return -ENOMEM;
    if (!w)
        return 0;
    for (size_t i = 0; i < b->n; i++)
        ids[i] = b->posts[i].u.lease_id;
    if (b->posts[0].type == POST_RECALLED) {
        msg.u.recalled.rank = w->rank;
        msg.u.recalled.leases = ids;
        msg.u.recalled.n_leases = b->n;
    } else {
        msg.type = MESSAGE_COMMIT;
        msg.u.commit = (struct commit_message){ .rank = w->rank,
                                                .dropped = ids,
                                                .n_dropped = b->n };
    }
    return deliver(m, b, &msg);
}

static int send_refused(struct mesh *m, const struct batch *b)
{
    CLEANUP(freep) uint64_t *ids = calloc(b->n, sizeof(*ids));
    const struct work *w = work_find(m, &b->posts[0].run);
    struct message msg = { .type = MESSAGE_COMMIT };

    if (!ids)
        return -ENOMEM;
    if (!w)
        return 0;
    for (size_t i = 0; i < b->n; i++)
        ids[i] = b->posts[i].u.refused.lease;
    msg.u.commit = (struct commit_message){ .rank = w->rank,
                                            .refused = ids,
                                            .n_refused = b->n,
                                            .refusal = b->posts[0].u.refused.why };
    return deliver(m, b, &msg);
}

static struct offered_attempt offer_of(const struct mesh *m, const struct kept *k)
{
    return (struct offered_attempt){ .name = kept_name(m, k),
                                     .lease = k->lease,
                                     .run = k->work->run,
                                     .task = k->task,
                                     .witness = k->witness,
                                     .record = k->record,
                                     .record_len = k->record_len };
}

/* What was answered meanwhile is not offered. */
static int send_offers(struct mesh *m, const struct batch *b)
{
    CLEANUP(freep) struct offered_attempt *offers = calloc(b->n, sizeof(*offers));
    const struct work *w = work_find(m, &b->posts[0].run);
    struct message msg = { .type = MESSAGE_COMMIT };
    size_t n = 0;

    if (!offers)
        return -ENOMEM;
    for (size_t i = 0; i < b->n && w; i++) {
        struct kept *k = kept_find(m, &b->posts[i].u.name);

        if (!k)
            continue;
        k->offered = m->now;
        offers[n++] = offer_of(m, k);
    }
    if (n == 0)
        return 0;
    msg.u.commit =
        (struct commit_message){ .rank = w->rank, .attempts = offers, .n_attempts = n };
    return deliver(m, b, &msg);
}

static int send_answers(struct mesh *m, const struct batch *b)
{
    CLEANUP(freep) struct offer_answer *answers = calloc(b->n, sizeof(*answers));
    const struct group *g = group_find(m, &b->posts[0].run);
    struct message msg = { .type = MESSAGE_COMMITTED };

    if (!answers)
        return -ENOMEM;
    for (size_t i = 0; i < b->n; i++)
        answers[i] = b->posts[i].u.answer;
    msg.u.committed = (struct committed_message){ .run = b->posts[0].run,
                                                  .answers = answers,
                                                  .n_answers = b->n };
    if (g)
        msg.u.committed.rank = group_rank(m, g);
    else
        msg.u.committed.rank.is_sealed = true;
    return deliver(m, b, &msg);
}

static int send_batch(struct mesh *m, const struct batch *b)
{
    switch (b->posts[0].type) {
    case POST_GRANT:
        return send_grants(m, b);
    case POST_RECALL:
        return send_recall(m, b);
    case POST_RECALLED:
    case POST_DROPPED:
        return send_ids(m, b);
    case POST_REFUSED:
        return send_refused(m, b);
    case POST_OFFER:
        return send_offers(m, b);
    case POST_ANSWER:
        return send_answers(m, b);
    }
    return 0;
}

/* ---- all ---- */

static size_t size_of(const struct mesh *m, const struct post *p)
{
    const struct kept *k = p->type == POST_OFFER ? kept_find(m, &p->u.name) : NULL;

    return POST_BYTES + (k ? k->record_len : 0);
}

static int flush_peer(struct mesh *m, struct peer *p)
{
    CLEANUP(freep) struct post *posts = TAKE(p->posts);
    size_t n = p->n_posts;
    int error = 0;

    p->n_posts = p->cap_posts = 0;
    if (n > 1)
        qsort(posts, n, sizeof(posts[0]), compare);
    for (size_t from = 0, to; from < n && error == 0; from = to) {
        struct batch b = { .peer = p, .posts = &posts[from] };
        size_t bytes = 0;

        for (to = from; to < n && is_together(&posts[from], &posts[to]); to++) {
            bytes += size_of(m, &posts[to]);
            if (to > from && bytes > MESSAGE_BATCH_BYTES)
                break;
            b.ticket = posts[to].ticket > b.ticket ? posts[to].ticket : b.ticket;
        }
        b.n = to - from;
        error = send_batch(m, &b);
    }
    return error;
}

/* What goes to this node itself may add more. */
int post_flush(struct mesh *m)
{
    int error = 0;

    while (m->has_posts && error == 0) {
        m->has_posts = false;
        for (uint32_t i = 1; i <= m->n_peers && error == 0; i++)
            if (m->by_number[i]->n_posts)
                error = flush_peer(m, m->by_number[i]);
    }
    return error;
}
