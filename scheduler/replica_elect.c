/* SPDX-License-Identifier: Apache-2.0 */
/* Elections: a trial, which promises nothing, so that a home that cannot win disturbs
 * nobody (Ongaro 2014, section 9.6); then votes, each promised on disk before it is
 * given. */
#include <string.h>

#include "scheduler/replica_internal.h"

static uint32_t own_place(const struct replica *r)
{
    for (uint32_t i = 0; i < r->state.n_homes; i++)
        if (node_id_equal(&r->state.homes[i], &r->self))
            return i;
    return r->state.n_homes;
}

/* The first of the homes stands first; who failed stands whenever it likes, so that
 * those who cannot win do not stay ahead for ever. */
void replica_rest(struct replica *r)
{
    time_us span = r->timing.election_max - r->timing.election_min;
    uint32_t n = r->state.n_homes ? r->state.n_homes : 1;
    time_us delay = r->timing.election_min;

    if (r->n_tries > 1)
        delay += prng_below(&r->prng, span + 1);
    else
        delay += span / n * own_place(r) + prng_below(&r->prng, span / n + 1);
    r->elect_at = r->now + delay;
}

static struct ballot next_ballot(const struct replica *r)
{
    uint64_t counter = r->state.promised.counter;

    if (r->state.last.ballot.counter > counter)
        counter = r->state.last.ballot.counter;
    if (r->seen > counter)
        counter = r->seen;
    return (struct ballot){ .counter = counter + 1, .node = r->self };
}

static void forget_votes(struct replica *r)
{
    for (size_t i = 0; i < r->n_peers; i++)
        r->peers[i].has_voted = r->peers[i].has_refused = false;
}

void replica_ask(struct replica *r, struct replica_peer *p, struct replica_outbox *out)
{
    bool is_trial = r->role == REPLICA_TRIAL;
    struct vote_message *m;

    if (!p->is_home || p->has_voted || p->has_refused || r->owes_asking)
        return;
    m = &replica_send(out, &p->id, MESSAGE_VOTE)->u.vote;
    m->group = r->group;
    m->generation = r->state.generation;
    m->ballot = is_trial ? r->standing : r->state.promised;
    m->last = r->state.last;
    m->is_trial = is_trial;
}

static void ask_all(struct replica *r, struct replica_outbox *out)
{
    r->ask_at = r->now + r->timing.heartbeat;
    for (size_t i = 0; i < r->n_peers; i++)
        replica_ask(r, &r->peers[i], out);
}

void replica_stand(struct replica *r, struct replica_outbox *out)
{
    struct ballot ballot = next_ballot(r);

    replica_stand_down(r, out);
    replica_rest(r);
    r->role = REPLICA_CANDIDATE;
    r->state.promised = ballot;
    r->is_heir = r->owes_vote = false;
    r->owes_asking = r->is_dirty = true;
    forget_votes(r);
    ask_all(r, out);
}

static void begin_trial(struct replica *r, struct replica_outbox *out)
{
    struct ballot ballot = next_ballot(r);

    replica_stand_down(r, out);
    r->n_tries++;
    replica_rest(r);
    r->role = REPLICA_TRIAL;
    r->standing = ballot;
    forget_votes(r);
    ask_all(r, out);
}

/* Leads at once: nobody else can have promised anything. */
static void found(struct replica *r, struct replica_outbox *out)
{
    r->is_founder = false;
    r->state.promised = (struct ballot){ .counter = 1, .node = r->self };
    r->is_dirty = true;
    replica_lead(r, out);
}

static bool may_stand(const struct replica *r)
{
    return replica_is_home(r, &r->self) && !r->state.is_installing
           && r->state.n_stretches < REPLICA_STRETCHES_MAX;
}

void replica_elect_tick(struct replica *r, struct replica_outbox *out)
{
    if (r->is_handing)
        replica_hand_over(r, out);
    if (!may_stand(r))
        return;
    if (r->now < r->elect_at) {
        if (r->role != REPLICA_FOLLOWER && r->now >= r->ask_at)
            ask_all(r, out);
        return;
    }
    if (r->is_founder)
        found(r, out);
    else if (r->is_heir || r->state.n_homes == 1)
        replica_stand(r, out);
    else if (r->is_isolated || !r->has_majority)
        replica_rest(r);
    else
        begin_trial(r, out);
}

/* ---- who is asked ---- */

static void answer_vote(struct replica *r, const struct node_id *to,
                        const struct ballot *ballot, bool is_trial, bool is_granted,
                        struct replica_outbox *out)
{
    struct voted_message *m = &replica_send(out, to, MESSAGE_VOTED)->u.voted;

    m->group = r->group;
    m->generation = is_granted || !r->state.is_installing ? r->state.generation : 0;
    m->ballot = *ballot;
    m->is_trial = is_trial;
    m->is_granted = is_granted;
    m->promised = r->state.promised;
    m->commit = r->state.commit;
}

void replica_refuse_old(struct replica *r, const struct node_id *from,
                        uint64_t generation, uint64_t index, struct replica_outbox *out)
{
    struct voted_message *m = &replica_send(out, from, MESSAGE_VOTED)->u.voted;

    m->group = r->group;
    m->generation = generation;
    m->promised = r->state.promised;
    m->commit = r->state.commit;
    m->n_homes = r->state.n_homes;
    m->homes_generation = r->state.generation;
    memcpy(m->homes, r->state.homes, sizeof(m->homes));
    if (replica_is_home(r, from))
        replica_help(r, from, index + 1, out);
}

static bool is_served(const struct replica *r)
{
    if (r->role == REPLICA_LEADER)
        return true;
    return !node_id_is_none(&r->leader)
           && r->now < r->heard_leader + r->timing.election_min;
}

/* The promise is on disk before it is told; until then it is owed. */
static bool promise(struct replica *r, const struct ballot *ballot,
                    struct replica_outbox *out)
{
    int order = ballot_compare(ballot, &r->state.promised);

    if (order < 0)
        return false;
    if (order > 0) {
        replica_stand_down(r, out);
        r->state.promised = *ballot;
        r->is_dirty = true;
        replica_rest(r);
    } else if (r->role != REPLICA_FOLLOWER || !node_id_is_none(&r->leader)) {
        return false; /* it has won already */
    }
    r->owes_vote = !replica_is_promise_durable(r);
    return !r->owes_vote;
}

void replica_on_vote(struct replica *r, const struct node_id *from,
                     const struct vote_message *m, struct replica_outbox *out)
{
    bool is_newer = position_compare(&m->last, &r->state.last) >= 0;
    bool is_granted = false;

    if (!node_id_equal(&m->ballot.node, from))
        return;
    if (m->generation < r->state.generation) {
        replica_refuse_old(r, from, m->generation, m->last.index, out);
        return;
    }
    /* While it is installed its position is what it was, and so is what it may vote
     * for. */
    if (m->generation == r->state.generation && replica_is_home(r, &r->self)
        && replica_is_home(r, from) && is_newer) {
        if (m->is_trial)
            is_granted =
                !is_served(r) && ballot_compare(&m->ballot, &r->state.promised) > 0;
        else
            is_granted = promise(r, &m->ballot, out);
        if (r->owes_vote && !m->is_trial
            && ballot_equal(&m->ballot, &r->state.promised))
            return;
    }
    answer_vote(r, from, &m->ballot, m->is_trial, is_granted, out);
}

/* ---- who asked ---- */

static bool has_votes(const struct replica *r)
{
    size_t n = 1;

    for (size_t i = 0; i < r->n_peers; i++)
        n += r->peers[i].is_home && r->peers[i].has_voted;
    return n >= replica_majority(r);
}

static bool is_refused(const struct replica *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_peers; i++)
        n += r->peers[i].is_home && r->peers[i].has_refused;
    return n >= replica_majority(r);
}

void replica_elect_durable(struct replica *r, struct replica_outbox *out)
{
    if (!replica_is_promise_durable(r))
        return;
    if (r->owes_vote) {
        r->owes_vote = false;
        answer_vote(r, &r->state.promised.node, &r->state.promised, false, true, out);
    }
    if (r->role == REPLICA_CANDIDATE && r->owes_asking) {
        r->owes_asking = false;
        if (has_votes(r))
            replica_lead(r, out);
        else
            ask_all(r, out);
    }
}

/* Other homes have taken over. Whoever is among them is helped to get there; who is not
 * is out, and what it holds may lack the end, so that it would have to be installed. */
static void on_newer_homes(struct replica *r, const struct voted_message *m,
                           struct replica_outbox *out)
{
    struct replica_state *s = &r->state;
    bool is_out = true;

    if (!replica_are_homes(m->homes, m->n_homes))
        return;
    for (uint32_t i = 0; i < m->n_homes; i++)
        if (node_id_equal(&m->homes[i], &r->self))
            is_out = false;
    replica_stand_down(r, out);
    replica_rest(r);
    if (!is_out)
        return;
    s->generation = m->homes_generation;
    s->n_homes = m->n_homes;
    memcpy(s->homes, m->homes, sizeof(s->homes));
    s->closing = s->n_next_homes = 0;
    s->is_installing = r->is_dirty = true;
    r->is_handing = false; /* to homes of a time that is over */
    replica_gather_peers(r);
    replica_act(out, REPLICA_HOMES);
}

static void on_granted(struct replica *r, struct replica_outbox *out)
{
    if (!has_votes(r))
        return;
    if (r->role == REPLICA_TRIAL)
        replica_stand(r, out);
    else
        replica_lead(r, out);
}

static void on_refused(struct replica *r, const struct voted_message *m,
                       struct replica_outbox *out)
{
    if (ballot_compare(&m->promised, &m->ballot) > 0 && m->promised.counter > r->seen)
        r->seen = m->promised.counter;
    if (!is_refused(r))
        return;
    r->n_tries++;
    replica_stand_down(r, out);
    replica_rest(r);
}

void replica_on_voted(struct replica *r, const struct node_id *from,
                      const struct voted_message *m, struct replica_outbox *out)
{
    struct replica_peer *p = replica_find(r, from);
    const struct ballot *asked =
        r->role == REPLICA_TRIAL ? &r->standing : &r->state.promised;

    if (r->state.is_installing)
        return;
    if (m->homes_generation > r->state.generation) {
        on_newer_homes(r, m, out);
        return;
    }
    if (!p || !p->is_home)
        return;
    if (m->generation < r->state.generation) {
        if (!m->homes_generation)
            replica_help(r, from, m->commit + 1, out);
        return;
    }
    if (r->role != (m->is_trial ? REPLICA_TRIAL : REPLICA_CANDIDATE)
        || m->generation > r->state.generation || r->owes_asking
        || !ballot_equal(&m->ballot, asked))
        return;
    if (m->is_granted)
        p->has_voted = true;
    else
        p->has_refused = !p->has_voted;
    if (m->is_granted)
        on_granted(r, out);
    else
        on_refused(r, m, out);
}
