/* SPDX-License-Identifier: Apache-2.0 */
/* Who is watched is asked once a round. Who owes a pong is asked again after each
 * timeout; after three it is blamed, if others answered meanwhile: when nobody does the
 * fault is more likely here.
 *
 * Who was blamed and refuted it, and still cannot be heard from here, is behind a link
 * that carries one way only or not at all. It would refute for ever, so the blame
 * waits: 10 s, then twice as long each time. Meanwhile we agree with others who find it
 * missing, so that a real death is told as early as before. */
#include "gossip/internal.h"

#include <errno.h>
#include <string.h>

static const time_us isolated_after = TIME_S(2), alone_after = TIME_S(15),
                     quiet_first = TIME_S(30), calm = TIME_S(60);
enum { QUIET_DOUBLINGS = 7, ISOLATED_MEMBERS = 3 };

static time_us timeout(const struct gossip *g)
{
    return g->timing.ping_timeout * gossip_slowness(g);
}

struct watch *detector_find(struct gossip *g, const struct node_id *id)
{
    for (unsigned i = 0; i < g->n_watches; i++)
        if (node_id_equal(&g->watches[i].id, id))
            return &g->watches[i];
    return NULL;
}

time_us detector_heard(const struct gossip *g, const struct node_id *id)
{
    for (unsigned i = 0; i < g->n_watches; i++)
        if (node_id_equal(&g->watches[i].id, id))
            return g->watches[i].heard;
    return 0;
}

/* ---- whom to watch ---- */

/* False: it is among them already. */
static bool keep_or_begin(struct gossip *g, const struct node_id *id, uint8_t ring,
                          struct watch *watches, unsigned *n)
{
    const struct watch *before = detector_find(g, id);

    for (unsigned i = 0; i < *n; i++)
        if (node_id_equal(&watches[i].id, id))
            return false;
    watches[*n] = before ? *before : (struct watch){ .id = *id };
    watches[*n].ring = ring;
    (*n)++;
    return true;
}

/* When there are no more than rings, all watch all; then the ring of a blame is only a
 * number for the observer: its place among the others, by id. */
static void watch_all(struct gossip *g, struct watch *watches, unsigned *n)
{
    unsigned n_live = (unsigned)members_live(g->members), own = 0;

    while (!node_id_equal(&members_live_at(g->members, own)->member.id, &g->self))
        own++;
    for (unsigned i = 0; i < n_live; i++)
        if (i != own)
            keep_or_begin(g, &members_live_at(g->members, i)->member.id,
                          (uint8_t)(i < own ? own - 1 : own), watches, n);
}

/* One behind us on each ring; where that is one we watch already, the one behind it. */
static void watch_rings(struct gossip *g, struct watch *watches, unsigned *n)
{
    for (uint8_t i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned k = 0; k < RING_DEPTH; k++) {
            const struct node_id *id = rings_near(&g->rings, i, SIDE_AFTER, k);

            if (id && keep_or_begin(g, id, i, watches, n))
                break;
        }
}

void detector_refresh(struct gossip *g)
{
    struct watch watches[WATCHES_MAX];
    unsigned n = 0;

    if (members_live(g->members) <= WATCHES_MAX + 1 && g->state == MEMBER_ALIVE)
        watch_all(g, watches, &n);
    else
        watch_rings(g, watches, &n);
    memcpy(g->watches, watches, n * sizeof(watches[0]));
    g->n_watches = n;
}

/* ---- blame ---- */

/* Whether another one answered since this one owes a pong. */
static bool others_answer(const struct gossip *g, const struct watch *w)
{
    for (unsigned i = 0; i < g->n_watches; i++)
        if (g->watches[i].heard > w->asked)
            return true;
    return g->n_watches < 2;
}

static int blame(struct gossip *g, struct watch *w)
{
    const struct note *note = members_find(g->members, &w->id);
    struct fact f = { .id = w->id, .state = MEMBER_SUSPECT };

    if (!note || !note_is_live(note))
        return 0;
    if (w->quiet > g->now && note->member.state != MEMBER_SUSPECT)
        return 0;
    f.incarnation = note->member.incarnation;
    if (w->blamed_incarnation != f.incarnation)
        w->blamed_as = w->ring;
    w->blamed_incarnation = f.incarnation;
    f.observers = (uint8_t)(1u << w->blamed_as);
    return view_learn(g, &f, SOURCE_SELF);
}

static int blame_if_well(struct gossip *g, struct watch *w)
{
    if (g->is_isolated || g->now < g->judges)
        return 0;
    if (!others_answer(g, w)) {
        gossip_ail(g);
        return 0;
    }
    return blame(g, w);
}

int detector_on_refused(struct gossip *g, const struct node_id *peer)
{
    struct watch *w = detector_find(g, peer);

    if (!w)
        return 0;
    if (!w->asked)
        w->asked = g->now;
    w->strikes = STRIKES;
    w->struck = g->now;
    return blame(g, w);
}

int detector_on_suspect(struct gossip *g, const struct note *note, bool was_suspect)
{
    /* Whoever can still reach it brings it the chance to refute. */
    return was_suspect || !detector_find(g, &note->member.id)
               ? 0
               : spread_confront(g, note);
}

void detector_on_refuted(struct gossip *g, const struct note *note)
{
    struct watch *w = detector_find(g, &note->member.id);
    unsigned doublings;

    if (!w || w->strikes < STRIKES || !w->blamed_incarnation
        || note->member.incarnation <= w->blamed_incarnation)
        return;
    doublings = w->refuted < QUIET_DOUBLINGS ? w->refuted : QUIET_DOUBLINGS;
    if (w->refuted < UINT8_MAX)
        w->refuted++;
    w->quiet = g->now + (quiet_first << doublings);
    /* It was alive a moment ago. */
    w->asked = 0;
    w->strikes = 0;
}

/* ---- asking ---- */

int detector_ping(struct gossip *g, const struct node_id *peer)
{
    struct message m = { .type = MESSAGE_PING };

    m.u.ping = (struct ping){ .seq = ++g->ping_seq,
                              .incarnation = g->incarnation,
                              .health = g->health };
    gossip_fingerprint(g, m.u.ping.fingerprint);
    return gossip_send(g, peer, &m);
}

static int ask(struct gossip *g, const struct watch *w)
{
    return link_is_up(g, &w->id) ? detector_ping(g, &w->id) : 0;
}

static int strike(struct gossip *g, struct watch *w)
{
    w->strikes++;
    if (w->strikes < STRIKES)
        return ask(g, w);
    w->struck = g->now;
    return blame_if_well(g, w);
}

static int say_all_changed(struct gossip *g)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < members_live(g->members); i++)
        r = gossip_say(g, GOSSIP_CHANGED, &members_live_at(g->members, i)->member.id);
    return r;
}

static time_us isolation_at(const struct gossip *g)
{
    if (g->is_alone || members_live(g->members) < ISOLATED_MEMBERS)
        return TIME_NEVER;
    return g->heard + (g->is_isolated ? alone_after : isolated_after);
}

static int look_around(struct gossip *g)
{
    if (isolation_at(g) > g->now)
        return 0;
    if (!g->is_isolated) {
        g->is_isolated = true;
        gossip_ail(g);
        return 0;
    }
    g->is_alone = true;
    return say_all_changed(g);
}

static int round_of(struct gossip *g, struct watch *w)
{
    int r = 0;

    if (!w->asked) {
        w->asked = g->now;
        w->strikes = 0;
        return ask(g, w);
    }
    if (w->strikes < STRIKES)
        return 0;
    r = ask(g, w);
    return r < 0 ? r : blame_if_well(g, w);
}

static int begin_round(struct gossip *g)
{
    time_us period = g->timing.ping;
    int r = links_round(g);

    if (g->is_round_clean && g->health > 0)
        g->health--;
    g->is_round_clean = true;
    for (unsigned i = 0; r == 0 && i < g->n_watches; i++)
        r = round_of(g, &g->watches[i]);
    /* A little early, so that it is not in step with others for ever. */
    g->round =
        g->now + period * gossip_slowness(g) - prng_below(&g->prng, period / 8 + 1);
    return r;
}

static time_us strike_at(const struct gossip *g, const struct watch *w)
{
    time_us at = w->asked + timeout(g) * (w->strikes + 1u);

    if (!w->asked || w->strikes >= STRIKES)
        return TIME_NEVER;
    return at > g->judges ? at : g->judges;
}

int detector_on_tick(struct gossip *g)
{
    int r = look_around(g);

    for (unsigned i = 0; r == 0 && i < g->n_watches; i++)
        if (strike_at(g, &g->watches[i]) <= g->now)
            r = strike(g, &g->watches[i]);
    return r == 0 && g->round <= g->now ? begin_round(g) : r;
}

time_us detector_deadline(const struct gossip *g)
{
    time_us at = g->round < isolation_at(g) ? g->round : isolation_at(g);

    for (unsigned i = 0; i < g->n_watches; i++) {
        time_us strike_time = strike_at(g, &g->watches[i]);

        if (strike_time < at)
            at = strike_time;
    }
    return at;
}

/* ---- hearing ---- */

int detector_on_heard(struct gossip *g)
{
    bool was_alone = g->is_alone;

    g->heard = g->now;
    if (g->is_isolated)
        g->judges = g->now + STRIKES * timeout(g);
    g->is_isolated = g->is_alone = false;
    return was_alone ? say_all_changed(g) : 0;
}

void detector_on_late(struct gossip *g)
{
    gossip_ail(g);
    g->judges = g->now + timeout(g);
    g->heard = g->now;
    for (unsigned i = 0; i < g->n_watches; i++) {
        struct watch *w = &g->watches[i];

        if (w->asked && w->strikes < STRIKES) {
            w->asked = g->now;
            w->strikes = 0;
        }
    }
}

int detector_on_ping(struct gossip *g, const struct node_id *from, const struct ping *p)
{
    struct message m = { .type = MESSAGE_PONG };
    int r;

    m.u.ping = (struct ping){ .seq = p->seq,
                              .incarnation = g->incarnation,
                              .health = g->health };
    gossip_fingerprint(g, m.u.ping.fingerprint);
    r = gossip_send(g, from, &m);
    return r < 0 ? r : sync_on_fingerprint(g, from, p->fingerprint);
}

int detector_on_pong(struct gossip *g, const struct node_id *from, const struct ping *p)
{
    struct watch *w = detector_find(g, from);

    if (w) {
        w->heard = g->now;
        w->asked = 0;
        w->strikes = 0;
        if (g->now - w->struck > calm)
            w->refuted = 0;
    }
    return sync_on_fingerprint(g, from, p->fingerprint);
}
