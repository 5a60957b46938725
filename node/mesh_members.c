/* SPDX-License-Identifier: Apache-2.0 */
/* Peers: who was ever a member, under the numbers by which the engine knows them. */
#include <errno.h>
#include <stdlib.h>

#include "node/mesh_internal.h"

int members_init(struct mesh *m, const struct mesh_config *config, time_us now)
{
    struct gossip_config c = { .self = config->self,
                               .card = config->card,
                               .incarnation = mesh_incarnation(m->boot, m->term),
                               .timing = config->gossip,
                               .seed = prng_next(&m->prng) };

    m->gossip = gossip_new(&c);
    if (!m->gossip || peer_get(m, &config->self, &m->me) < 0)
        return -ENOMEM;
    m->me->is_live = m->me->is_connected = true;
    m->me->incarnation = c.incarnation;
    m->me->gone_since = now;
    return 0;
}

void members_release(struct mesh *m)
{
    HASH_CLEAR(hh, m->peers);
    for (uint32_t i = 1; i <= m->n_peers; i++) {
        free(m->by_number[i]->posts);
        free(m->by_number[i]);
    }
    free(m->by_number);
    gossip_free(m->gossip);
    gossip_outbox_release(&m->gossip_out);
    free(m->changed);
}

struct peer *peer_find(const struct mesh *m, const struct node_id *id)
{
    struct peer *p;

    HASH_FIND(hh, m->peers, id, sizeof(*id), p);
    return p;
}

struct peer *peer_at(const struct mesh *m, uint32_t number)
{
    return number && number <= m->n_peers ? m->by_number[number] : NULL;
}

int peer_get(struct mesh *m, const struct node_id *id, struct peer **ret_peer)
{
    struct peer *p = peer_find(m, id);
    size_t cap = m->cap_peers;

    *ret_peer = p;
    if (p || m->n_peers == WORKERS_MAX)
        return 0;
    if (mesh_grow(&m->by_number, m->n_peers + 1, &cap, sizeof(*m->by_number)) < 0)
        return -ENOMEM;
    m->cap_peers = (uint32_t)cap;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->id = *id;
    p->told.seq = (uint64_t)(m->term - m->boot) << 32;
    HASH_ADD(hh, m->peers, id, sizeof(p->id), p);
    if (!p->hh.tbl) {
        free(p);
        return -ENOMEM;
    }
    p->number = ++m->n_peers;
    m->by_number[p->number] = p;
    *ret_peer = p;
    return 0;
}

uint32_t peer_boot(const struct peer *p)
{
    return (uint32_t)(p->incarnation >> 32);
}

bool members_has_others(const struct mesh *m)
{
    return gossip_alive(m->gossip) > 1;
}

/* ---- what gossip answers ---- */

static int on_gone(struct mesh *m, struct peer *p)
{
    int error = grant_on_peer_gone(m, p);

    return error ? error : lead_on_peer_gone(m, p);
}

static int tell_engine(struct mesh *m)
{
    struct event e = { .type = EVENT_MEMBERS, .u.has_others = true };

    if (m->has_told_members)
        return 0;
    m->has_told_members = true;
    return engine_step(m, &e);
}

static int on_changed(struct mesh *m, const struct node_id *id)
{
    struct action tell = { .type = ACTION_MEMBER, .slot = NODE_SLOT_NONE };
    struct member_view view;
    struct peer *p;
    bool is_live, is_reborn, is_back;
    int error;

    tell.u.mesh.peer = *id;
    error = mesh_emit(m, &tell);
    if (error < 0 || node_id_equal(id, &m->self) || !gossip_find(m->gossip, id, &view))
        return error;
    error = peer_get(m, id, &p);
    if (error < 0 || !p)
        return error;
    is_live = gossip_is_live(m->gossip, id);
    is_reborn = p->is_live && p->incarnation >> 32 != view.note->incarnation >> 32;
    if (p->is_live && (!is_live || is_reborn))
        error = on_gone(m, p);
    if (p->is_live && !is_live)
        p->gone_since = m->now;
    is_back = is_live && (!p->is_live || is_reborn);
    p->is_live = is_live;
    p->incarnation = view.note->incarnation;
    if (error == 0 && is_back)
        error = lead_on_peer_live(m, p);
    if (error == 0)
        error = tell_engine(m);
    if (error == 0)
        error = grant_take_want(m, p);
    return error ? error : groups_on_members(m);
}

static int connect(struct mesh *m, enum action_type type, const struct node_id *peer)
{
    struct action a = { .type = type, .slot = NODE_SLOT_NONE };
    struct member_view view;

    a.u.mesh.peer = *peer;
    if (type == ACTION_CONNECT) {
        if (!gossip_find(m->gossip, peer, &view) || !view.note->has_card)
            return 0;
        a.u.mesh.card = &view.note->card;
    }
    return mesh_emit(m, &a);
}

static int carry_one(struct mesh *m, const struct gossip_action *a)
{
    switch (a->type) {
    case GOSSIP_SEND:
        return mesh_send(m, &a->peer, &a->message, 0);
    case GOSSIP_CONNECT:
        return connect(m, ACTION_CONNECT, &a->peer);
    case GOSSIP_DISCONNECT:
        return connect(m, ACTION_DISCONNECT, &a->peer);
    case GOSSIP_CHANGED:
    case GOSSIP_RUN:
    case GOSSIP_TWIN:
    case GOSSIP_INCARNATION: /* the boot counter in it is on disk: enough, because no
                                boot lives for 2^32 refutations */
        return 0;
    }
    return 0;
}

int members_emit(struct mesh *m)
{
    int error = 0;

    for (size_t i = 0; i < m->gossip_out.n && error == 0; i++) {
        const struct gossip_action *a = &m->gossip_out.actions[i];

        error = carry_one(m, a);
        if (error < 0 || a->type != GOSSIP_CHANGED)
            continue;
        error = mesh_grow(&m->changed, m->n_changed, &m->cap_changed,
                          sizeof(m->changed[0]));
        if (error == 0)
            m->changed[m->n_changed++] = a->peer;
    }
    gossip_outbox_clear(&m->gossip_out);
    return error;
}

/* What follows from a change may bring more of them. */
int members_carry(struct mesh *m)
{
    int error = members_emit(m);

    for (size_t i = 0; i < m->n_changed && error == 0; i++) {
        struct node_id id = m->changed[i];

        error = on_changed(m, &id);
    }
    m->n_changed = 0;
    return error;
}
