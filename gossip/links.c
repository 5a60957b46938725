/* SPDX-License-Identifier: Apache-2.0 */
/* In a small mesh all are connected with all; in a large one each with those whom it
 * observes and those who observe it. A link for a while is there to compare with a
 * random member, another one to try a dead one again. */
#include "gossip/internal.h"

#include <errno.h>

static const time_us dial_again = TIME_S(1), young = TIME_S(30);

struct link *link_find(const struct gossip *g, const struct node_id *id)
{
    return node_table_find(&g->links, id);
}

bool link_is_up(const struct gossip *g, const struct node_id *id)
{
    const struct link *l = link_find(g, id);

    return l && l->is_connected;
}

static int dial(struct gossip *g, struct link *l)
{
    l->dialled = g->now;
    return gossip_say(g, GOSSIP_CONNECT, &l->id);
}

/* Made when there is none; with too many, *ret_link is NULL. */
static int link_get(struct gossip *g, const struct node_id *id, struct link **ret_link)
{
    struct link *l = link_find(g, id);

    if (!l && g->links.n < LINKS_MAX) {
        l = node_table_add(&g->links, id);
        if (!l)
            return -ENOMEM;
    }
    *ret_link = l;
    return 0;
}

int link_want(struct gossip *g, const struct node_id *id)
{
    struct link *l = NULL;
    int r = link_get(g, id, &l);

    if (r < 0 || !l || l->is_wanted)
        return r;
    l->is_wanted = true;
    return l->is_connected ? 0 : dial(g, l);
}

static void forget(struct gossip *g, const struct link *l)
{
    struct node_id id = l->id;

    g->n_connected -= l->is_connected;
    node_table_remove(&g->links, &id);
}

int link_drop(struct gossip *g, const struct node_id *id)
{
    struct link *l = link_find(g, id);
    struct node_id peer = *id;

    if (!l)
        return 0;
    forget(g, l);
    return gossip_say(g, GOSSIP_DISCONNECT, &peer);
}

int link_invite(struct gossip *g, struct node_id *guest, const struct node_id *peer)
{
    const struct link *last = link_find(g, guest);
    struct link *l = NULL;
    int r = 0;

    if (last && !last->is_wanted && !node_id_equal(guest, peer))
        r = link_drop(g, guest);
    *guest = *peer;
    if (r == 0)
        r = link_get(g, peer, &l);
    if (r < 0 || !l)
        return r;
    return l->is_connected ? detector_ping(g, peer) : dial(g, l);
}

/* ---- whom to be connected with ---- */

static bool is_beside(struct gossip *g, const struct node_id *id)
{
    if (detector_find(g, id))
        return true;
    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; side < RING_SIDES; side++) {
            const struct node_id *other = rings_nearest(&g->rings, i, side);

            if (other && node_id_equal(other, id))
                return true;
        }
    return false;
}

static int want_beside(struct gossip *g)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < g->n_watches; i++)
        r = link_want(g, &g->watches[i].id);
    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; r == 0 && side < RING_SIDES; side++) {
            const struct node_id *id = rings_nearest(&g->rings, i, side);

            if (id)
                r = link_want(g, id);
        }
    return r;
}

static int drop_others(struct gossip *g)
{
    struct node_id *ids = gossip_scratch(g, g->links.n * sizeof(*ids) + 1);
    size_t n = 0;
    int r = 0;

    if (!ids)
        return -ENOMEM;
    for (const struct link *l = NULL; (l = node_table_next(&g->links, l));)
        if (l->is_wanted && !is_beside(g, &l->id))
            ids[n++] = l->id;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = link_drop(g, &ids[i]);
    return r;
}

static int want_all(struct gossip *g)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < members_live(g->members); i++) {
        const struct node_id *id = &members_live_at(g->members, i)->member.id;

        if (!node_id_equal(id, &g->self))
            r = link_want(g, id);
    }
    return r;
}

int links_refresh(struct gossip *g)
{
    int r;

    if (g->is_full_mesh)
        return want_all(g);
    r = drop_others(g);
    return r < 0 ? r : want_beside(g);
}

int links_round(struct gossip *g)
{
    int r = 0;

    for (struct link *l = NULL; r == 0 && (l = node_table_next(&g->links, l));) {
        l->syncs = 0;
        if (l->is_wanted && !l->is_connected && g->now - l->dialled >= dial_again)
            r = dial(g, l);
    }
    return r;
}

/* ---- what the transport says ---- */

/* Who is new here does not know the runs; who observes it tells. */
static bool is_new_here(struct gossip *g, const struct note *note)
{
    const struct age *age = node_table_find(&g->ages, &note->member.id);

    return age && note->member.state == MEMBER_ALIVE && g->now - age->since < young
           && detector_find(g, &note->member.id);
}

int link_on_connected(struct gossip *g, const struct node_id *peer)
{
    const struct note *note = members_find(g->members, peer);
    const struct note *self = members_find(g->members, &g->self);
    struct link *l = NULL;
    int r = link_get(g, peer, &l);

    if (r < 0 || !l || l->is_connected)
        return r;
    l->is_connected = true;
    g->n_connected++;
    r = spread_tell(g, peer, self, true);
    if (r == 0 && note && note->member.state != MEMBER_ALIVE)
        r = spread_confront(g, note);
    if (r == 0 && note && g->runs.n && is_new_here(g, note))
        r = spread_runs(g, peer);
    return r < 0 ? r : detector_ping(g, peer);
}

void link_on_disconnected(struct gossip *g, const struct node_id *peer)
{
    struct link *l = link_find(g, peer);

    if (!l)
        return;
    g->n_connected -= l->is_connected;
    l->is_connected = false;
    if (!l->is_wanted)
        forget(g, l);
}
