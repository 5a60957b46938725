/* SPDX-License-Identifier: Apache-2.0 */
/* A follower: takes the leader's entries where its log equals the leader's, and says up
 * to where that is so and durable. */
#include <string.h>

#include "scheduler/replica_internal.h"

struct appended_message *replica_answer(struct replica *r, const struct node_id *to,
                                        uint64_t generation,
                                        const struct ballot *ballot,
                                        struct replica_outbox *out)
{
    struct appended_message *m = &replica_send(out, to, MESSAGE_APPENDED)->u.appended;

    m->group = r->group;
    m->generation = generation;
    m->ballot = *ballot;
    return m;
}

bool replica_follow(struct replica *r, const struct node_id *from, uint64_t generation,
                    const struct ballot *ballot, struct replica_outbox *out)
{
    int order = ballot_compare(ballot, &r->state.promised);

    if (!node_id_equal(&ballot->node, from))
        return false;
    if (order < 0) {
        replica_answer(r, from, generation, &r->state.promised, out)->is_refused = true;
        return false;
    }
    if (r->role != REPLICA_FOLLOWER)
        replica_stand_down(r, out);
    if (order > 0) {
        r->state.promised = *ballot;
        r->is_dirty = true;
        r->owes_vote = false;
    }
    if (order > 0 || !node_id_equal(&r->leader, from))
        r->matched = r->state.commit;
    replica_set_leader(r, from, out);
    r->heard_leader = r->now;
    r->n_tries = 0;
    r->is_heir = false;
    replica_rest(r);
    return true;
}

void replica_acknowledge(struct replica *r, struct replica_outbox *out)
{
    uint64_t last = r->matched < r->durable ? r->matched : r->durable;

    r->owes_ack = last < r->matched || !replica_is_promise_durable(r);
    if (!replica_is_promise_durable(r))
        return;
    replica_answer(r, &r->leader, r->state.generation, &r->state.promised, out)->last =
        last;
}

void replica_follow_durable(struct replica *r, struct replica_outbox *out)
{
    if (r->owes_ack && r->role == REPLICA_FOLLOWER && !node_id_is_none(&r->leader)
        && !r->state.is_installing)
        replica_acknowledge(r, out);
}

static void answer_gap(struct replica *r, const struct node_id *to,
                       const struct append_message *m, uint64_t last,
                       struct replica_outbox *out)
{
    struct appended_message *a = replica_answer(r, to, m->generation, &m->ballot, out);

    a->is_gap = true;
    a->last = last;
}

/* What is decided is the same everywhere; else the ballot tells whether all up to here
 * is. If not, *ret_guess may be. */
static bool is_matching(const struct replica *r, const struct log_position *before,
                        uint64_t *ret_guess)
{
    const struct replica_state *s = &r->state;
    struct ballot own;

    if (before->index <= s->commit)
        return true;
    *ret_guess = s->last.index;
    if (!log_ballot_at(r, before->index, &own))
        return false;
    *ret_guess = s->commit;
    return ballot_equal(&own, &before->ballot);
}

/* How many of the first n entries are here already. */
static size_t count_known(const struct replica *r, const struct append_message *m,
                          size_t n)
{
    size_t i = 0;

    for (; i < n; i++) {
        uint64_t index = m->before.index + 1 + i;
        struct ballot own;

        if (index <= r->state.commit)
            continue;
        if (!log_ballot_at(r, index, &own)
            || !ballot_equal(&own, &m->entries[i].ballot))
            break;
    }
    return i;
}

/* How many of the n entries may be taken: nothing stands behind the end of a
 * generation, unless all that is decided. */
static size_t count_fitting(const struct replica *r, const struct append_message *m,
                            size_t first, size_t n, bool is_decided)
{
    size_t room = REPLICA_STRETCHES_MAX - r->state.n_stretches;
    size_t i = first;

    if (!is_decided && r->state.closing && r->state.closing <= m->before.index + first)
        return first;
    for (; i < n; i++) {
        const struct log_entry *e = &m->entries[i];

        if (e->n_homes && !replica_are_homes(e->homes, e->n_homes))
            break;
        if ((i == first || !ballot_equal(&e->ballot, &e[-1].ballot)) && room-- == 0)
            break;
        if (e->n_homes && !is_decided)
            return i + 1;
    }
    return i;
}

/* Of the first n entries those that are new; returns the index up to which the log
 * equals the sender's. */
static uint64_t take(struct replica *r, const struct append_message *m, size_t n,
                     bool is_decided, struct replica_outbox *out)
{
    size_t first = count_known(r, m, n);
    uint64_t before = m->before.index;
    struct replica_action *a;

    n = count_fitting(r, m, first, n, is_decided);
    if (is_decided)
        replica_commit(r, before + first, out);
    if (first == n)
        return before + n;
    a = replica_keep(r, REPLICA_APPEND, out);
    a->lo = before + first + 1;
    a->hi = before + n;
    a->message.type = MESSAGE_APPEND;
    a->message.u.append = *m;
    a->message.u.append.entries = m->entries + first;
    a->message.u.append.n_entries = n - first;
    log_cut(r, before + first);
    for (size_t i = first; i < n; i++) {
        const struct log_entry *e = &m->entries[i];

        log_push(r, &e->ballot, e->homes, e->n_homes, out);
        if (is_decided)
            replica_commit(r, before + i + 1, out);
    }
    return before + n;
}

/* From a later generation, or one of its homes that helps: what is decided is decided
 * whoever says it, so no ballot is asked for. With it this home gets there. */
static void learn(struct replica *r, const struct node_id *from,
                  const struct append_message *m, struct replica_outbox *out)
{
    size_t n = m->n_entries;
    uint64_t guess;

    if (m->commit < m->before.index + n)
        n = m->commit > m->before.index ? m->commit - m->before.index : 0;
    if (is_matching(r, &m->before, &guess) && m->before.index <= m->commit)
        (void)take(r, m, n, true, out);
    answer_gap(r, from, m, r->state.commit, out);
}

void replica_on_append(struct replica *r, const struct node_id *from,
                       const struct append_message *m, struct replica_outbox *out)
{
    uint64_t guess, matched;

    if (m->generation < r->state.generation) {
        replica_refuse_old(r, from, m->generation, m->before.index, out);
        return;
    }
    if (!r->state.generation || r->state.is_installing) {
        replica_answer(r, from, 0, &m->ballot, out)->is_gap = true;
        return;
    }
    if (m->generation > r->state.generation) {
        learn(r, from, m, out);
        return;
    }
    if (ballot_is_none(&m->ballot)) /* we know already */
        replica_answer(r, from, m->generation, &m->ballot, out);
    if (ballot_is_none(&m->ballot) || !replica_is_home(r, from)
        || !replica_follow(r, from, m->generation, &m->ballot, out))
        return;
    if (!is_matching(r, &m->before, &guess)) {
        answer_gap(r, from, m, guess, out);
        return;
    }
    matched = take(r, m, m->n_entries, false, out);
    if (matched > r->matched)
        r->matched = matched;
    replica_acknowledge(r, out);
    replica_commit(r, m->commit < matched ? m->commit : matched, out);
}
