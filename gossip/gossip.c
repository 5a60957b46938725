/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "gossip/internal.h"

static const time_us late_by = TIME_MS(200);

/* ---- life ---- */

static void set_timing(struct gossip *g, const struct gossip_timing *t)
{
    static const struct gossip_timing usual = { .ping = TIME_S(1),
                                                .ping_timeout = TIME_MS(500),
                                                .suspect_min = TIME_S(2),
                                                .suspect_max = TIME_S(8),
                                                .rumour = TIME_MS(100),
                                                .sync = TIME_S(10),
                                                .redial = TIME_S(30),
                                                .tombstone = TIME_S(86400) };

    g->timing = (struct gossip_timing){
        .ping = t->ping ? t->ping : usual.ping,
        .ping_timeout = t->ping_timeout ? t->ping_timeout : usual.ping_timeout,
        .suspect_min = t->suspect_min ? t->suspect_min : usual.suspect_min,
        .suspect_max = t->suspect_max ? t->suspect_max : usual.suspect_max,
        .rumour = t->rumour ? t->rumour : usual.rumour,
        .sync = t->sync ? t->sync : usual.sync,
        .redial = t->redial ? t->redial : usual.redial,
        .tombstone = t->tombstone ? t->tombstone : usual.tombstone,
    };
    if (g->timing.suspect_max < g->timing.suspect_min)
        g->timing.suspect_max = g->timing.suspect_min;
}

/* The own note is in the map before anything is heard, so no call finds it missing. */
static int add_self(struct gossip *g)
{
    struct gossip_outbox ignored = { .actions = NULL };
    const struct note *self;
    int r;

    g->out = &ignored;
    r = view_say_self(g);
    g->out = NULL;
    gossip_outbox_release(&ignored);
    if (r < 0)
        return r;
    self = members_find(g->members, &g->self);
    rings_init(&g->rings, self->places);
    for (unsigned i = 0; i < GOSSIP_RINGS; i++)
        for (unsigned side = 0; side < RING_SIDES; side++)
            g->rings.sides[i][side].is_all = members_live(g->members) == 1;
    g->is_view_changed = true;
    return 0;
}

struct gossip *gossip_new(const struct gossip_config *config)
{
    CLEANUP(gossip_freep) struct gossip *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->self = config->self;
    g->incarnation = config->incarnation;
    g->state = MEMBER_ALIVE;
    g->ages.row_size = sizeof(struct age);
    g->links.row_size = sizeof(struct link);
    g->is_catching_up = g->is_round_clean = true;
    set_timing(g, &config->timing);
    prng_init(&g->prng, config->seed);
    rumours_init(&g->rumours);
    rumours_init(&g->run_rumours);
    g->pool = config->pool;
    if (g->pool)
        pool_ref(g->pool);
    else
        g->pool = gossip_pool_new();
    g->card = card_new(config->card);
    if (!g->pool || !g->card)
        return NULL;
    if (config->like) {
        assert(config->like->pool == g->pool);
        g->members = twig_ref(config->like->members);
    }
    g->is_full_mesh = members_live(g->members) <= GOSSIP_MESH_MAX;
    return add_self(g) < 0 ? NULL : TAKE(g);
}

void gossip_free(struct gossip *g)
{
    if (!g)
        return;
    gossip_scratch_clear(g);
    if (g->pool)
        twig_unref(g->pool, g->members);
    gossip_pool_unref(g->pool);
    card_unref(g->card);
    node_table_release(&g->ages);
    node_table_release(&g->links);
    free(g->suspicions.heap);
    rumours_release(&g->rumours);
    rumours_release(&g->run_rumours);
    runs_release(&g->runs);
    free(g);
}

/* ---- calls ---- */

static void start(struct gossip *g)
{
    g->has_started = true;
    g->started = g->heard = g->spent = g->now;
    g->round = g->now + prng_below(&g->prng, g->timing.ping);
    g->sync_due = g->now + prng_below(&g->prng, g->timing.sync);
    g->redial_due = g->now + prng_below(&g->prng, g->timing.redial / 6 + 1);
    g->sweep_due = g->now + g->timing.tombstone / 24;
    g->is_view_changed = true;
}

/* A full mesh asked for its links as members came; one that began with a map did not.
 */
static int begin(struct gossip *g, time_us now, struct gossip_outbox *out)
{
    bool is_late = g->has_started && now > g->due + late_by;
    bool is_first = !g->has_started;

    gossip_scratch_clear(g);
    g->now = now;
    g->out = out;
    if (is_first)
        start(g);
    else if (is_late)
        detector_on_late(g);
    return is_first && g->is_full_mesh ? links_refresh(g) : 0;
}

static time_us earlier(time_us a, time_us b)
{
    return a < b ? a : b;
}

/* Every call ends here: neighbours follow the view, rumours leave, the next tick is
 * set. */
static int end(struct gossip *g, int r)
{
    if (r == 0 && g->is_view_changed)
        r = view_refresh(g);
    if (r == 0 && spread_deadline(g) <= g->now)
        r = spread_flush(g, false);
    g->due = earlier(earlier(detector_deadline(g), suspicions_deadline(g)),
                     earlier(spread_deadline(g), sync_deadline(g)));
    /* What is due since long, because all is asked for faster now, is not late. */
    if (g->due < g->now)
        g->due = g->now;
    g->out = NULL;
    return r;
}

int gossip_add(struct gossip *g, const struct member_note *note, time_us now,
               struct gossip_outbox *out)
{
    int r = begin(g, now, out);

    return end(g, r < 0 ? r : view_hear(g, note));
}

static int on_gossip(struct gossip *g, const struct node_id *from,
                     const struct gossip_message *m)
{
    uint64_t incarnation = g->incarnation;
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_members; i++)
        r = view_hear(g, &m->members[i]);
    for (size_t i = 0; r == 0 && i < m->n_runs; i++)
        r = spread_hear_run(g, &m->runs[i]);
    /* Who says such things hears first that they are wrong. */
    if (r == 0 && g->incarnation != incarnation)
        r = spread_tell(g, from, members_find(g->members, &g->self), true);
    return r;
}

static int dispatch(struct gossip *g, const struct node_id *from,
                    const struct message *m)
{
    switch (m->type) {
    case MESSAGE_PING:
        return detector_on_ping(g, from, &m->u.ping);
    case MESSAGE_PONG:
        return detector_on_pong(g, from, &m->u.ping);
    case MESSAGE_GOSSIP:
        return on_gossip(g, from, &m->u.gossip);
    case MESSAGE_SYNC:
        return sync_on_message(g, from, &m->u.sync);
    default:
        return 0;
    }
}

int gossip_on_message(struct gossip *g, const struct node_id *from,
                      const struct message *m, time_us now, struct gossip_outbox *out)
{
    const struct note *note;
    int r = begin(g, now, out);

    if (r == 0 && !node_id_equal(from, &g->self)) {
        r = detector_on_heard(g);
        note = members_find(g->members, from);
        if (r == 0 && note
            && (note->member.state == MEMBER_SUSPECT
                || note->member.state == MEMBER_DEAD))
            r = spread_confront(g, note);
        if (r == 0)
            r = dispatch(g, from, m);
    }
    return end(g, r);
}

int gossip_on_connected(struct gossip *g, const struct node_id *peer, time_us now,
                        struct gossip_outbox *out)
{
    int r = begin(g, now, out);

    return end(g, r < 0 ? r : link_on_connected(g, peer));
}

int gossip_on_disconnected(struct gossip *g, const struct node_id *peer,
                           bool is_refused, time_us now, struct gossip_outbox *out)
{
    int r = begin(g, now, out);

    link_on_disconnected(g, peer);
    if (r == 0 && is_refused)
        r = detector_on_refused(g, peer);
    return end(g, r);
}

int gossip_on_tick(struct gossip *g, time_us now, struct gossip_outbox *out)
{
    int r = begin(g, now, out);

    if (r == 0)
        r = detector_on_tick(g);
    if (r == 0)
        r = suspicions_on_tick(g);
    if (r == 0)
        r = sync_on_tick(g);
    if (r == 0)
        r = spread_on_tick(g);
    return end(g, r);
}

time_us gossip_deadline(const struct gossip *g)
{
    return g->due;
}

int gossip_set_card(struct gossip *g, const struct member_card *card, time_us now,
                    struct gossip_outbox *out)
{
    struct card *copy = card_new(card);
    int r;

    if (!copy)
        return -ENOMEM;
    r = begin(g, now, out);
    card_unref(g->card);
    g->card = copy;
    return end(g, r < 0 ? r : view_rise(g, g->incarnation + 1));
}

int gossip_leave(struct gossip *g, time_us now, struct gossip_outbox *out)
{
    int r = begin(g, now, out);

    g->state = MEMBER_LEFT;
    if (r == 0)
        r = view_say_self(g);
    if (r == 0)
        r = spread_flush(g, true);
    return end(g, r);
}

int gossip_tell_run(struct gossip *g, const struct run_note *note, time_us now,
                    struct gossip_outbox *out)
{
    int r = begin(g, now, out);

    return end(g, r < 0 ? r : spread_tell_run(g, note));
}

/* ---- questions ---- */

size_t gossip_members(const struct gossip *g)
{
    return members_n(g->members);
}

size_t gossip_alive(const struct gossip *g)
{
    return g->is_alone ? 1 : members_live(g->members);
}

static void show(const struct gossip *g, const struct note *n, struct member_view *ret)
{
    const struct age *age = node_table_find(&g->ages, &n->member.id);

    *ret = (struct member_view){ .note = &n->member,
                                 .since = age ? age->since : g->started,
                                 .heard = detector_heard(g, &n->member.id),
                                 .is_self = node_id_equal(&n->member.id, &g->self) };
}

bool gossip_at(const struct gossip *g, size_t i, struct member_view *ret)
{
    if (i >= members_n(g->members))
        return false;
    show(g, members_at(g->members, i), ret);
    return true;
}

bool gossip_find(const struct gossip *g, const struct node_id *id,
                 struct member_view *ret)
{
    const struct note *n = members_find(g->members, id);

    if (n)
        show(g, n, ret);
    return n != NULL;
}

bool gossip_is_live(const struct gossip *g, const struct node_id *id)
{
    const struct note *n = members_find(g->members, id);

    if (!n || !note_is_live(n))
        return false;
    return !g->is_alone || node_id_equal(id, &g->self);
}

bool gossip_is_isolated(const struct gossip *g)
{
    return g->is_isolated;
}

bool gossip_is_alone(const struct gossip *g)
{
    return g->is_alone;
}

uint8_t gossip_health(const struct gossip *g)
{
    return g->health;
}

size_t gossip_runs(const struct gossip *g)
{
    return g->runs.n;
}

const struct run_note *gossip_run_at(const struct gossip *g, size_t i)
{
    return i < g->runs.n ? &g->runs.rows[i]->note : NULL;
}

const struct run_note *gossip_find_run(const struct gossip *g, const struct run_id *run)
{
    const struct run_row *row = runs_find(&g->runs, run);

    return row ? &row->note : NULL;
}

uint64_t gossip_hash(const struct gossip *g)
{
    const uint64_t parts[] = {
        g->members->hash, g->incarnation, g->health,      g->due,
        g->links.n,       g->ages.n,      g->runs.n,      rumours_n(&g->rumours),
        g->prng.s[0],     g->ping_seq,    g->is_isolated, g->n_watches
    };
    uint64_t hash = 1;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        hash = (hash ^ parts[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 31;
    }
    return hash;
}
