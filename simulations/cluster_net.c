/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster_state.h"

static bool is_up(const struct cluster *c, unsigned i)
{
    return c->nodes[i].mesh;
}

bool net_passes(const struct cluster *c, unsigned from, unsigned to)
{
    return is_up(c, from) && is_up(c, to) && !c->is_cut[from][to];
}

/* ---- frames ---- */

time_us net_delay(struct cluster *c)
{
    time_us delay = 150 + draw(c, c->is_calm ? 300 : c->delay_max);

    if (may(c, CLUSTER_REORDER) && chance(c, 10))
        delay += draw(c, TIME_MS(200));
    if (may(c, CLUSTER_SPIKE) && chance(c, 1))
        delay += draw(c, TIME_S(10));
    return delay;
}

static void send_once(struct cluster *c, unsigned from, unsigned to, const void *bytes,
                      size_t len)
{
    later(c, net_delay(c),
          &(struct incident){ .type = INCIDENT_FRAME,
                              .node = to,
                              .from = from,
                              .bytes = cluster_copy(bytes, len),
                              .len = len });
}

void net_send(struct cluster *c, unsigned from, unsigned to, const void *bytes,
              size_t len)
{
    c->result->n_frames++;
    if (!c->nodes[from].is_connected[to]
        || (may(c, CLUSTER_LOSS) && chance(c, c->loss)))
        return;
    send_once(c, from, to, bytes, len);
    if (may(c, CLUSTER_TWICE) && chance(c, c->twice))
        send_once(c, from, to, bytes, len);
}

void net_deliver(struct cluster *c, const struct incident *i)
{
    CLEANUP(message_release) struct message m = { .type = 0 };
    struct mesh_event e = { .type = MESH_EVENT_MESSAGE,
                            .peer = c->nodes[i->from].id,
                            .u.message = &m };
    int r;

    if (!is_up(c, i->node) || c->is_cut[i->from][i->node]
        || (c->config->mutant == CLUSTER_MUTANT_NO_VOTES
            && message_peek(i->bytes, i->len) == MESSAGE_VOTED))
        return;
    r = message_decode(i->bytes, i->len, &m);
    if (r < 0) {
        check_fail(c, "frames", "%u sends what %u cannot read: %d", i->from, i->node,
                   r);
        return;
    }
    if (c->config->is_verbose)
        trace(c, "%u > %u %s, %zu bytes", i->from, i->node, message_name(m.type),
              i->len);
    node_tell(c, i->node, &e);
}

/* ---- connections ---- */

static void tell(struct cluster *c, unsigned node, unsigned peer, time_us delay,
                 enum mesh_event_type type, bool is_refused)
{
    struct incident i = { .type = INCIDENT_EVENT,
                          .node = node,
                          .boot = c->nodes[node].boot,
                          .event = { .type = type, .peer = c->nodes[peer].id } };

    if (type == MESH_EVENT_DISCONNECTED)
        i.event.u.is_refused = is_refused;
    later(c, delay, &i);
}

/* A connection is one for both. */
void net_connect(struct cluster *c, unsigned from, unsigned to)
{
    if (!net_passes(c, from, to) || c->is_cut[to][from]) {
        bool is_refused = !is_up(c, to) && !c->is_cut[from][to] && !c->is_cut[to][from];

        tell(c, from, to, TIME_MS(200), MESH_EVENT_DISCONNECTED, is_refused);
        return;
    }
    tell(c, from, to, TIME_MS(1), MESH_EVENT_CONNECTED, false);
    if (!c->nodes[to].is_connected[from])
        tell(c, to, from, TIME_MS(1), MESH_EVENT_CONNECTED, false);
}

void net_gone(struct cluster *c, unsigned node)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (i != node && is_up(c, i) && c->nodes[i].is_connected[node]
            && !c->is_cut[node][i])
            tell(c, i, node, TIME_MS(1), MESH_EVENT_DISCONNECTED, false);
}

/* ---- cuts ---- */

static void cut_parts(struct cluster *c)
{
    unsigned part[NODES], n = 2 + (unsigned)(chance(c, 20) ? draw(c, 2) : 0);

    for (unsigned i = 0; i < c->n_nodes; i++)
        part[i] = (unsigned)draw(c, n);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        trace(c, "%u is in part %u", i, part[i]);
        for (unsigned k = 0; k < c->n_nodes; k++)
            c->is_cut[i][k] = part[i] != part[k];
    }
}

static void cut_one_way(struct cluster *c)
{
    unsigned from = (unsigned)draw(c, c->n_nodes), to = (unsigned)draw(c, c->n_nodes);

    trace(c, "%u does not hear %u", to, from);
    c->is_cut[from][to] = from != to;
}

void net_heal(struct cluster *c)
{
    memset(c->is_cut, 0, sizeof(c->is_cut));
}

void net_strike(struct cluster *c)
{
    if (may(c, CLUSTER_CUT) && chance(c, 25))
        cut_parts(c);
    if (may(c, CLUSTER_ONE_WAY) && chance(c, 30))
        cut_one_way(c);
    if (chance(c, may(c, CLUSTER_FLAP) ? 60 : 20)) {
        trace(c, "nothing is cut");
        net_heal(c);
    }
    /* What is cut for long is found out. */
    for (unsigned i = 0; i < c->n_nodes; i++)
        for (unsigned k = 0; k < c->n_nodes; k++)
            if (c->is_cut[i][k] && is_up(c, k) && c->nodes[k].is_connected[i]
                && chance(c, 10))
                tell(c, k, i, TIME_MS(1), MESH_EVENT_DISCONNECTED, false);
}
