/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/internal.h"

#include <errno.h>

enum { TWINS = 5 };

static const time_us twin_window = TIME_S(60);
/* Above it nobody could refute any more. */
static const uint64_t incarnation_max = UINT64_MAX / 2;

struct age *view_age(struct gossip *g, const struct node_id *id)
{
    struct age *age = node_table_find(&g->ages, id);

    if (age)
        return age;
    age = node_table_add(&g->ages, id);
    if (age)
        age->since = g->started;
    return age;
}

/* ---- what follows from a change ---- */

static int on_live(struct gossip *g, const struct note *note)
{
    rings_add(&g->rings, note);
    return g->is_full_mesh ? link_want(g, &note->member.id) : 0;
}

static int on_gone(struct gossip *g, const struct note *note)
{
    rings_remove(&g->rings, note);
    return link_drop(g, &note->member.id);
}

static int on_suspect(struct gossip *g, const struct note *old, const struct note *note,
                      struct age *age)
{
    bool was_suspect = old && old->member.state == MEMBER_SUSPECT
                       && old->member.incarnation == note->member.incarnation;
    int r;

    if (!was_suspect)
        age->since = g->now;
    r = suspicion_arm(g, note, age);
    return r < 0 ? r : detector_on_suspect(g, note, was_suspect);
}

static int on_state(struct gossip *g, const struct note *old, const struct note *note)
{
    enum member_state was = old ? old->member.state : 0, is = note->member.state;
    struct age *age = view_age(g, &note->member.id);
    int r = 0;

    if (!age)
        return -ENOMEM;
    if (was != is) {
        age->since = g->now;
        age->due = 0;
    }
    if (node_id_equal(&note->member.id, &g->self))
        return 0;
    if (state_is_live(was) != state_is_live(is)) {
        g->is_view_changed = true;
        r = state_is_live(is) ? on_live(g, note) : on_gone(g, note);
    }
    if (r == 0 && is == MEMBER_SUSPECT)
        return on_suspect(g, old, note, age);
    if (r == 0 && was == MEMBER_DEAD && is == MEMBER_ALIVE)
        r = sync_on_return(g, &note->member.id);
    return r;
}

static bool is_worth_telling(const struct note *old, const struct note *note)
{
    return !old || old->member.state != note->member.state
           || old->card_incarnation != note->card_incarnation;
}

static int on_change(struct gossip *g, const struct note *old, const struct note *note,
                     enum source source)
{
    int r = 0;

    if (!old || old->member.state != note->member.state
        || note->member.state == MEMBER_SUSPECT)
        r = on_state(g, old, note);
    if (r == 0 && is_worth_telling(old, note))
        r = gossip_say(g, GOSSIP_CHANGED, &note->member.id);
    if (r == 0 && (source == SOURCE_SELF || !g->is_catching_up))
        r = rumours_add(&g->rumours, &note->member.id, 0);
    if (old && note->member.incarnation > old->member.incarnation
        && note->member.state == MEMBER_ALIVE)
        detector_on_refuted(g, note);
    return r;
}

/* ---- learning ---- */

/* The note is counted. */
static int view_set(struct gossip *g, const struct fact *f, struct note **ret_note)
{
    struct note *note = note_get(g->pool, f);
    struct twig *root;
    int r;

    if (!note)
        return -ENOMEM;
    r = members_set(g->pool, g->members, note, &root);
    if (r < 0) {
        note_unref(g->pool, note);
        return r;
    }
    twig_unref(g->pool, g->members);
    g->members = root;
    *ret_note = note;
    return 0;
}

int view_learn(struct gossip *g, const struct fact *theirs, enum source source)
{
    struct note *old = members_find(g->members, &theirs->id), *note = NULL;
    struct fact mine = { .id = theirs->id };
    int r;

    if (old)
        mine = note_fact(old);
    else if (members_n(g->members) >= MEMBERS_MAX)
        return 0;
    if (!fact_join(&mine, theirs))
        return 0;
    /* What follows may replace it once more. */
    if (old)
        note_ref(old);
    r = view_set(g, &mine, &note);
    if (r == 0)
        r = on_change(g, old, note, source);
    note_unref(g->pool, old);
    note_unref(g->pool, note);
    return r;
}

static int hear_of_self(struct gossip *g, const struct member_note *note)
{
    if (note->incarnation < g->incarnation || g->state == MEMBER_LEFT
        || (note->incarnation == g->incarnation && note->state == MEMBER_ALIVE))
        return 0;
    if (note->state == MEMBER_SUSPECT || note->state == MEMBER_DEAD)
        gossip_ail(g);
    if (g->now - g->twin_since > twin_window) {
        g->twin_since = g->now;
        g->n_twins = 0;
    }
    /* Once, a store may have lost our incarnation. Who goes on is somebody else. */
    if (note->state == MEMBER_ALIVE && ++g->n_twins >= TWINS)
        return g->n_twins == TWINS ? gossip_say(g, GOSSIP_TWIN, &g->self) : 0;
    return view_rise(g, note->incarnation + 1);
}

int view_hear(struct gossip *g, const struct member_note *note)
{
    const struct note *known = members_find(g->members, &note->id);
    CLEANUP(card_unrefp) struct card *card = NULL;
    struct fact f = { .id = note->id,
                      .incarnation = note->incarnation,
                      .state = note->state,
                      .observers =
                          note->state == MEMBER_SUSPECT ? note->observers : 0 };

    if (node_id_is_none(&note->id) || note->state < MEMBER_ALIVE
        || note->state > MEMBER_LEFT || note->incarnation > incarnation_max)
        return 0;
    if (node_id_equal(&note->id, &g->self))
        return hear_of_self(g, note);
    if (note->has_card && (!known || known->card_incarnation < note->incarnation)) {
        f.card = card = card_new(&note->card);
        if (!card)
            return -ENOMEM;
        f.card_incarnation = note->incarnation;
    }
    return view_learn(g, &f, SOURCE_HEARSAY);
}

int view_say_self(struct gossip *g)
{
    struct fact f = { .id = g->self,
                      .incarnation = g->incarnation,
                      .state = g->state,
                      .card_incarnation = g->incarnation,
                      .card = g->card };

    return view_learn(g, &f, SOURCE_SELF);
}

int view_rise(struct gossip *g, uint64_t incarnation)
{
    struct gossip_action *a = gossip_act(g, GOSSIP_INCARNATION, &g->self);

    if (!a)
        return -ENOMEM;
    a->value = g->incarnation = incarnation;
    return view_say_self(g);
}

/* ---- neighbours ---- */

static bool wants_full_mesh(const struct gossip *g)
{
    size_t n = members_live(g->members);

    return n <= (g->is_full_mesh ? GOSSIP_MESH_MAX : MESH_AGAIN);
}

int view_refresh(struct gossip *g)
{
    bool was_full_mesh = g->is_full_mesh;
    int r = 0;

    g->is_view_changed = false;
    rings_fill(&g->rings, g->members, &g->self);
    g->is_full_mesh = wants_full_mesh(g);
    detector_refresh(g);
    if (!g->is_full_mesh || !was_full_mesh)
        r = links_refresh(g);
    if (r == 0 && g->is_full_mesh)
        r = suspicions_arm_all(g);
    return r;
}
