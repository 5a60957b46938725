/* SPDX-License-Identifier: Apache-2.0 */
/* Questions. None changes anything. */
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

const struct gossip *mesh_members(const struct mesh *m)
{
    return m->gossip;
}

const struct node *mesh_node(const struct mesh *m)
{
    return m->node;
}

bool mesh_is_gone(const struct mesh *m, const struct node_id *id)
{
    const struct peer *p = peer_find(m, id);
    struct member_view v;

    if (!p || !gossip_find(m->gossip, id, &v) || v.note->state == MEMBER_LEFT)
        return true;
    return p != m->me && !p->is_live && m->now >= p->gone_since + REPAIR_AFTER;
}

static void where_noted(const struct mesh *m, const struct run_id *run,
                        struct run_where *ret)
{
    const struct run_note *n = gossip_find_run(m->gossip, run);

    if (!n)
        return;
    ret->place = RUN_PLACE_ELSEWHERE;
    ret->leader = n->leader;
    ret->is_tentative = n->is_tentative;
    memcpy(ret->homes, n->homes, sizeof(ret->homes));
    ret->n_homes = n->n_homes;
}

void mesh_where(const struct mesh *m, const struct run_id *run, struct run_where *ret)
{
    const struct group *g = group_find(m, run);

    *ret = (struct run_where){ .place = RUN_PLACE_UNKNOWN };
    if (!g) {
        where_noted(m, run, ret);
        return;
    }
    ret->place = g->phase == LEAD_FULL || g->phase == LEAD_ENDED ? RUN_PLACE_LEADS
                                                                 : RUN_PLACE_HOME;
    ret->leader = g->leader;
    ret->is_tentative = g->is_tentative;
    ret->n_homes = group_homes(m, g, ret->homes);
    ret->decided = group_decided(g);
    ret->last = g->replica ? replica_state(g->replica)->last.index : 0;
}

bool mesh_lease_node(const struct mesh *m, uint32_t slot, struct node_id *ret)
{
    const struct lease_entry *l = lease_at(m, slot);

    if (!l)
        return false;
    *ret = peer_at(m, l->peer)->id;
    return true;
}

struct guest_counts mesh_guests(const struct mesh *m)
{
    struct guest_counts n = { .n_preparing = 0 };

    for (const struct guest *g = m->guests; g; g = g->hh.next) {
        n.n_preparing += g->state == GUEST_PREPARING;
        n.n_waiting += g->state == GUEST_WAITING;
        n.n_running += g->state == GUEST_RUNNING;
    }
    return n;
}

/* Nothing runs, nothing is offered, and of no run it is a home that must be replaced.
 */
bool mesh_may_leave(const struct mesh *m)
{
    struct node_id homes[HOMES_MAX];

    if (!m->is_draining || m->guests || m->kept || node_claims(m->node).n_slots)
        return false;
    for (const struct group *g = m->groups; g; g = g->hh.next) {
        uint32_t n = group_homes(m, g, homes);

        if (g->phase == LEAD_FULL || g->phase == LEAD_LOADING)
            return false;
        if (group_is_mesh(g) && !home_has_any(m))
            continue; /* nobody could take it */
        for (uint32_t i = 0; i < n && !g->has_end && !g->is_void; i++)
            if (node_id_equal(&homes[i], &m->self))
                return false;
    }
    return true;
}

/* ---- a digest of all that decides ---- */

static void mix(uint64_t *hash, uint64_t value)
{
    *hash = (*hash ^ value) * 0x100000001b3u;
    *hash ^= *hash >> 29;
}

static void mix_bytes(uint64_t *hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        mix(hash, bytes[i]);
}

static void mix_groups(uint64_t *hash, const struct mesh *m)
{
    for (const struct group *g = m->groups; g; g = g->hh.next) {
        mix_bytes(hash, g->id.bytes, sizeof(g->id.bytes));
        mix(hash, g->phase);
        mix(hash, g->applied);
        mix(hash, g->entries.n + g->entries.n_new);
        mix(hash, g->n_asked);
        mix(hash, g->n_keeping);
        mix(hash, g->repair.is_on);
        mix(hash, g->replica ? replica_hash(g->replica) : 0);
    }
}

static void mix_works(uint64_t *hash, const struct mesh *m)
{
    for (const struct work *w = m->works; w; w = w->hh.next) {
        mix_bytes(hash, w->run.bytes, sizeof(w->run.bytes));
        mix_bytes(hash, w->leader.bytes, sizeof(w->leader.bytes));
        mix(hash, w->rank.ballot.counter);
    }
    for (const struct guest *g = m->guests; g; g = g->hh.next) {
        mix(hash, g->number);
        mix(hash, g->lease);
        mix(hash, g->state);
    }
    for (const struct kept *k = m->kept; k; k = k->hh.next) {
        mix(hash, k->key.counter);
        mix(hash, k->lease);
    }
}

static void mix_leases(uint64_t *hash, const struct mesh *m)
{
    for (size_t i = 0; i < m->n_leases; i++)
        if (m->leases[i].is_used) {
            mix(hash, i);
            mix(hash, m->leases[i].id);
            mix(hash, m->leases[i].peer);
        }
}

static void mix_registers(uint64_t *hash, const struct mesh *m)
{
    for (const struct reg *r = m->registers.all; r; r = r->hh.next)
        mix_bytes(hash, r->value, r->value ? r->value_len : 0);
    mix(hash, m->registers.n_asked);
    mix(hash, m->proposal.request);
    mix(hash, m->n_unnumbered);
}

uint64_t mesh_hash(const struct mesh *m)
{
    uint64_t hash = 0xcbf29ce484222325u;

    mix(&hash, node_hash(m->node));
    mix(&hash, gossip_hash(m->gossip));
    mix(&hash, m->last_ticket);
    mix(&hash, m->last_counter);
    mix(&hash, m->n_peers);
    mix_groups(&hash, m);
    mix_works(&hash, m);
    mix_leases(&hash, m);
    mix_registers(&hash, m);
    return hash;
}
