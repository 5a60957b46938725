/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "simulations/gossip_world_state.h"

time_us gossip_world_now(const struct gossip_world *w)
{
    return w->now;
}

const char *gossip_world_violation(const struct gossip_world *w)
{
    return w->violation;
}

const char *gossip_world_trace(const struct gossip_world *w)
{
    return buffer_text(&w->trace);
}

void gossip_world_clear_trace(struct gossip_world *w)
{
    buffer_clear(&w->trace);
}

struct gossip_world_stats gossip_world_stats(const struct gossip_world *w)
{
    return w->stats;
}

const struct gossip *gossip_world_node(const struct gossip_world *w, size_t node)
{
    return w->nodes[node].gossip;
}

struct node_id gossip_world_id(const struct gossip_world *w, size_t node)
{
    return w->nodes[node].id;
}

size_t gossip_world_seeing(const struct gossip_world *w, size_t node,
                           enum member_state state)
{
    struct member_view v;
    size_t n = 0;

    for (size_t i = 0; i < w->n_nodes; i++)
        n += i != node && w->nodes[i].gossip
             && gossip_find(w->nodes[i].gossip, &w->nodes[node].id, &v)
             && v.note->state == state;
    return n;
}

time_us gossip_world_known_after(const struct gossip_world *w, size_t node)
{
    const struct sim_node *n = &w->nodes[node];

    return n->known ? n->known - n->crashed : 0;
}

time_us gossip_world_suspected_after(const struct gossip_world *w, size_t node)
{
    const struct sim_node *n = &w->nodes[node];

    return n->suspected ? n->suspected - n->crashed : 0;
}

bool gossip_world_agrees(const struct gossip_world *w)
{
    uint8_t first[16], other[16];
    bool has_first = false;

    for (size_t i = 0; i < w->n_nodes; i++) {
        if (!w->nodes[i].gossip)
            continue;
        gossip_fingerprint(w->nodes[i].gossip, has_first ? other : first);
        if (has_first && memcmp(first, other, sizeof(first)) != 0)
            return false;
        has_first = true;
    }
    return true;
}

uint64_t gossip_world_hash(const struct gossip_world *w)
{
    uint64_t hash = w->stats.events ^ w->now;

    for (size_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].gossip)
            hash = (hash ^ gossip_hash(w->nodes[i].gossip)) * 0x9e3779b97f4a7c15u;
    return hash;
}
