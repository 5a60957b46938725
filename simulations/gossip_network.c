/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/gossip_world_state.h"

/* Retransmissions of TCP double from the least time of Linux; ends that hear nothing
 * give the connection up as ZeroMQ's heartbeats do. */
static const time_us retransmit_first = TIME_MS(200), silence = TIME_S(6),
                     refuse_after = TIME_MS(400);
enum { RETRANSMITS_MAX = 8, PING_BYTES = 60, NOTE_BYTES = 40, CARD_BYTES = 200 };

/* ---- the way ---- */

static time_us draw_latency(struct gossip_world *w)
{
    double sum =
        0; /* of 12 uniform draws: nearly normal, and the same on any machine */

    for (int i = 0; i < 3; i++) {
        uint64_t bits = prng_next(&w->prng);

        for (int k = 0; k < 4; k++, bits >>= 16)
            sum += (double)(bits & 0xffff) / 65536;
    }
    return (time_us)((double)w->config.latency * exp(0.5 * (sum - 6)));
}

static time_us draw_loss(struct gossip_world *w)
{
    time_us delay = 0, retransmit = retransmit_first;

    for (int i = 0; i < RETRANSMITS_MAX && w->config.loss; i++) {
        if (prng_below(&w->prng, 10000) >= w->config.loss)
            break;
        delay += retransmit;
        retransmit *= 2;
    }
    return delay;
}

static bool is_cut(const struct gossip_world *w, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < w->n_cuts; i++)
        if (w->cuts[i].from == from && w->cuts[i].to == to)
            return true;
    return false;
}

static bool is_frayed(const struct gossip_world *w, uint32_t from, uint32_t to)
{
    uint64_t pair = w->config.seed ^ ((uint64_t)from << 32 | to);

    if (!w->frayed)
        return false;
    pair = (pair ^ (pair >> 30)) * 0xbf58476d1ce4e5b9u;
    pair = (pair ^ (pair >> 27)) * 0x94d049bb133111ebu;
    return (pair >> 20) % 10000 < w->frayed;
}

bool gossip_network_reaches(const struct gossip_world *w, uint32_t from, uint32_t to)
{
    return w->nodes[from].side == w->nodes[to].side && !is_cut(w, from, to)
           && !is_frayed(w, from, to);
}

/* ---- links ---- */

static struct sim_link *find_link(struct sim_node *n, uint32_t peer)
{
    for (uint32_t i = 0; i < n->n_links; i++)
        if (n->links[i].peer == peer)
            return &n->links[i];
    return NULL;
}

struct sim_link *gossip_network_link(struct gossip_world *w, uint32_t node,
                                     uint32_t peer)
{
    struct sim_node *n = &w->nodes[node];
    struct sim_link *l = find_link(n, peer);

    if (l)
        return l;
    if (n->n_links == n->cap_links) {
        uint32_t cap = n->cap_links ? 2 * n->cap_links : 8;

        l = realloc(n->links, cap * sizeof(*l));
        if (!l) {
            w->error = -ENOMEM;
            return NULL;
        }
        n->links = l;
        n->cap_links = cap;
    }
    l = &n->links[n->n_links++];
    *l = (struct sim_link){ .peer = peer };
    return l;
}

static void remove_link(struct sim_node *n, uint32_t peer)
{
    struct sim_link *l = find_link(n, peer);

    if (l)
        *l = n->links[--n->n_links];
}

static bool is_up(struct gossip_world *w, uint32_t node, uint32_t peer)
{
    const struct sim_link *l = find_link(&w->nodes[node], peer);

    return l && l->is_up;
}

void gossip_network_dial(struct gossip_world *w, uint32_t node, uint32_t peer)
{
    const struct sim_node *to = &w->nodes[peer];
    bool is_there = is_up(w, node, peer);
    struct sim_link *l = gossip_network_link(w, node, peer);
    struct happening *h;

    if (!l)
        return;
    l->is_dialled = true;
    if (!is_there
        && (!to->gossip || !gossip_network_reaches(w, node, peer)
            || !gossip_network_reaches(w, peer, node)))
        return;
    h = gossip_world_later(w, w->now + (is_there ? 0 : 3 * draw_latency(w)),
                           GOSSIP_EVENT_CONNECTED, node);
    if (h)
        h->peer = peer;
}

static void broken_end(struct gossip_world *w, uint32_t node, uint32_t peer,
                       bool is_refused)
{
    struct sim_node *n = &w->nodes[node];
    const struct node_id id = w->nodes[peer].id;

    remove_link(n, peer);
    if (!n->gossip || w->error)
        return;
    w->error = gossip_on_disconnected(n->gossip, &id, is_refused, w->now, &w->out);
    gossip_world_act(w, node);
}

/* life 0: it is connected already. */
static void connected_end(struct gossip_world *w, uint32_t node, uint32_t peer,
                          uint32_t life)
{
    const struct sim_link *old = find_link(&w->nodes[node], peer);
    struct sim_node *n = &w->nodes[node];
    const struct node_id id = w->nodes[peer].id;
    struct sim_link *l;

    /* The peer went and came back before this end noticed. */
    if (life && old && old->is_up)
        broken_end(w, node, peer, false);
    l = gossip_network_link(w, node, peer);
    if (!l || w->error)
        return;
    if (life)
        *l = (struct sim_link){ peer, life, true, l->is_dialled, 0 };
    w->error = gossip_on_connected(n->gossip, &id, w->now, &w->out);
    gossip_world_act(w, node);
}

void gossip_network_connected(struct gossip_world *w, const struct happening *h)
{
    bool is_there = is_up(w, h->node, h->peer);
    uint32_t life = is_there ? 0 : (uint32_t)w->order + 1;

    if (!w->nodes[h->peer].gossip)
        return;
    if (!is_there
        && (!gossip_network_reaches(w, h->node, h->peer)
            || !gossip_network_reaches(w, h->peer, h->node)))
        return;
    connected_end(w, h->node, h->peer, life);
    if (!is_there && !w->error)
        connected_end(w, h->peer, h->node, life);
}

void gossip_network_drop(struct gossip_world *w, uint32_t node, uint32_t peer)
{
    struct sim_link *l = find_link(&w->nodes[node], peer);
    const struct sim_link *other = find_link(&w->nodes[peer], node);
    struct happening *h;

    if (!l)
        return;
    l->is_dialled = false;
    if (other && other->is_up && other->is_dialled)
        return;
    remove_link(&w->nodes[node], peer);
    if (!other || !other->is_up)
        return;
    h = gossip_world_later(w, w->now + draw_latency(w), GOSSIP_EVENT_BROKEN, peer);
    if (h) {
        h->peer = node;
        h->life = other->life;
    }
}

void gossip_network_doubt(struct gossip_world *w, uint32_t node, time_us after)
{
    const struct sim_node *n = &w->nodes[node];

    for (uint32_t i = 0; i < n->n_links; i++) {
        struct happening *h;

        if (!n->links[i].is_up)
            continue;
        h = gossip_world_later(w, w->now + after, GOSSIP_EVENT_BROKEN,
                               n->links[i].peer);
        if (!h)
            return;
        h->peer = node;
        h->life = n->links[i].life;
    }
}

void gossip_network_end(struct gossip_world *w, uint32_t node, bool is_refused)
{
    struct sim_node *n = &w->nodes[node];

    for (uint32_t i = 0; i < n->n_links; i++) {
        struct happening *h;

        if (!n->links[i].is_up)
            continue;
        h = gossip_world_later(w, w->now + (is_refused ? refuse_after : silence),
                               is_refused ? GOSSIP_EVENT_REFUSED : GOSSIP_EVENT_BROKEN,
                               n->links[i].peer);
        if (!h)
            return;
        h->peer = node;
        h->life = n->links[i].life;
    }
    n->n_links = 0;
}

/* Of this end, if it is still the same connection and its other end cannot be reached.
 */
void gossip_network_broken(struct gossip_world *w, const struct happening *h)
{
    const struct sim_link *l = find_link(&w->nodes[h->node], h->peer);
    const struct sim_link *other = find_link(&w->nodes[h->peer], h->node);
    bool is_whole = other && other->is_up && l && other->life == l->life
                    && gossip_network_reaches(w, h->node, h->peer)
                    && gossip_network_reaches(w, h->peer, h->node);

    if (!l || !l->is_up || l->life != h->life || is_whole)
        return;
    broken_end(w, h->node, h->peer, h->type == GOSSIP_EVENT_REFUSED);
    if (other && other->is_up && other->life == h->life)
        broken_end(w, h->peer, h->node, false);
}

/* ---- messages ---- */

void payload_unref(struct payload *p)
{
    if (!p || --p->refs > 0)
        return;
    free(p->notes);
    if (p->message.type == MESSAGE_GOSSIP) {
        free(p->message.u.gossip.runs);
    } else {
        free(p->message.u.sync.entries);
        free(p->message.u.sync.sums);
    }
    free(p);
}

static void *copy_of(struct gossip_world *w, const void *from, size_t size)
{
    void *copy = size ? malloc(size) : NULL;

    if (copy)
        memcpy(copy, from, size);
    else if (size)
        w->error = -ENOMEM;
    return copy;
}

static void copy_notes(struct gossip_world *w, struct payload *p,
                       const struct gossip_message *m)
{
    p->notes = calloc(m->n_members + 1, sizeof(p->notes[0]));
    if (!p->notes) {
        w->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < m->n_members; i++)
        p->notes[p->n_notes++] =
            (struct payload_note){ .node = gossip_world_index(w, &m->members[i].id),
                                   .state = (uint8_t)m->members[i].state,
                                   .observers = m->members[i].observers,
                                   .has_card = m->members[i].has_card,
                                   .incarnation = m->members[i].incarnation };
    p->message.u.gossip.n_runs = m->n_runs;
    p->message.u.gossip.runs = copy_of(w, m->runs, m->n_runs * sizeof(m->runs[0]));
    for (size_t i = 0; p->message.u.gossip.runs && i < m->n_runs; i++)
        p->message.u.gossip.runs[i].user = NULL;
}

static struct payload *payload_new(struct gossip_world *w, const struct message *m)
{
    struct payload *p = calloc(1, sizeof(*p));

    if (!p) {
        w->error = -ENOMEM;
        return NULL;
    }
    p->refs = 1;
    p->message.type = m->type;
    if (m->type == MESSAGE_GOSSIP) {
        p->source = m->u.gossip.n_members ? (const void *)m->u.gossip.members
                                          : m->u.gossip.runs;
        copy_notes(w, p, &m->u.gossip);
    } else {
        p->message.u.sync = m->u.sync;
        p->message.u.sync.entries =
            copy_of(w, m->u.sync.entries,
                    m->u.sync.n_entries * sizeof(m->u.sync.entries[0]));
        p->message.u.sync.sums =
            copy_of(w, m->u.sync.sums, m->u.sync.n_sums * sizeof(m->u.sync.sums[0]));
    }
    return p;
}

/* One of several that get the same has it already. */
static struct payload *payload_of(struct gossip_world *w, const struct message *m)
{
    const void *source = m->type != MESSAGE_GOSSIP ? NULL
                         : m->u.gossip.n_members   ? (const void *)m->u.gossip.members
                                                   : m->u.gossip.runs;

    if (w->last && source && w->last->source == source) {
        w->last->refs++;
        return w->last;
    }
    payload_unref(w->last);
    w->last = payload_new(w, m);
    if (w->last)
        w->last->refs++;
    return w->last;
}

static void count(struct gossip_world *w, const struct message *m)
{
    w->stats.messages++;
    if (m->type == MESSAGE_PING || m->type == MESSAGE_PONG) {
        w->stats.bytes += PING_BYTES;
        return;
    }
    w->stats.frames++;
    if (m->type == MESSAGE_SYNC) {
        w->stats.bytes += m->u.sync.n_entries * 30 + m->u.sync.n_sums * 9;
        return;
    }
    w->stats.notes += m->u.gossip.n_members;
    for (size_t i = 0; i < m->u.gossip.n_members; i++)
        w->stats.bytes +=
            m->u.gossip.members[i].has_card ? NOTE_BYTES + CARD_BYTES : NOTE_BYTES;
}

static void check_sent(struct gossip_world *w, uint32_t node, const struct message *m)
{
    const struct sim_node *n = &w->nodes[node];
    uint64_t sent = 0;

    if (m->type == MESSAGE_PING || m->type == MESSAGE_PONG)
        sent = m->u.ping.incarnation;
    for (size_t i = 0; m->type == MESSAGE_GOSSIP && i < m->u.gossip.n_members; i++)
        if (node_id_equal(&m->u.gossip.members[i].id, &n->id))
            sent = m->u.gossip.members[i].incarnation;
    if (sent > n->persisted)
        gossip_world_blame(w, "node %u sent an incarnation before it was persisted",
                           node);
}

void gossip_network_send(struct gossip_world *w, uint32_t node, uint32_t peer,
                         const struct message *m)
{
    struct sim_link *l = find_link(&w->nodes[node], peer);
    struct happening *h;
    time_us at;

    check_sent(w, node, m);
    count(w, m);
    if (!l || !l->is_up)
        return;
    at = w->now + draw_latency(w) + draw_loss(w);
    if (at < l->last)
        at = l->last;
    l->last = at;
    h = gossip_world_later(w, at, GOSSIP_EVENT_MESSAGE, peer);
    if (!h)
        return;
    h->peer = node;
    h->life = l->life;
    h->message = m->type;
    if (m->type == MESSAGE_PING || m->type == MESSAGE_PONG)
        h->ping = m->u.ping;
    else
        h->payload = payload_of(w, m);
}

static bool unpack(struct gossip_world *w, const struct payload *p, struct message *ret)
{
    *ret = p->message;
    if (p->message.type != MESSAGE_GOSSIP)
        return true;
    if (p->n_notes > w->cap_notes) {
        struct member_note *notes = realloc(w->notes, p->n_notes * sizeof(*notes));

        if (!notes) {
            w->error = -ENOMEM;
            return false;
        }
        w->notes = notes;
        w->cap_notes = p->n_notes;
    }
    for (size_t i = 0; i < p->n_notes; i++) {
        const struct payload_note *from = &p->notes[i];
        const struct sim_node *of = &w->nodes[from->node];

        w->notes[i] = (struct member_note){ .id = of->id,
                                            .incarnation = from->incarnation,
                                            .state = from->state,
                                            .observers = from->observers,
                                            .has_card = from->has_card };
        if (from->has_card)
            w->notes[i].card = of->card;
    }
    ret->u.gossip.members = w->notes;
    ret->u.gossip.n_members = p->n_notes;
    return true;
}

void gossip_network_deliver(struct gossip_world *w, struct happening *h)
{
    struct sim_node *n = &w->nodes[h->node];
    const struct sim_link *l = find_link(n, h->peer);
    struct message m = { .type = h->message };

    if (!n->gossip || !l || !l->is_up || l->life != h->life
        || !gossip_network_reaches(w, h->peer, h->node))
        return;
    if (!h->payload)
        m.u.ping = h->ping;
    else if (!unpack(w, h->payload, &m))
        return;
    w->error = gossip_on_message(n->gossip, &w->nodes[h->peer].id, &m, w->now, &w->out);
    gossip_world_act(w, h->node);
}
