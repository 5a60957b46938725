/* SPDX-License-Identifier: Apache-2.0 */
/* All that is decided, in parts, for a home that is new or lacks what nobody keeps the
 * log of. While it comes the home takes no part: what it had promised and acknowledged
 * it has no less than before, and what it gets is decided. */
#include <string.h>

#include "scheduler/replica_internal.h"

/* ---- who sends ---- */

void replica_send_part(struct replica *r, struct replica_peer *p,
                       struct replica_outbox *out)
{
    struct replica_action *a = replica_act(out, REPLICA_SEND_INSTALL);
    struct install_message *m = &a->message.u.install;

    p->sent = r->now;
    a->peer = p->id;
    a->lo = p->part;
    a->message.type = MESSAGE_INSTALL;
    m->group = r->group;
    m->generation = r->state.generation;
    m->n_homes = r->state.n_homes;
    memcpy(m->homes, r->state.homes, sizeof(m->homes));
    if (r->role == REPLICA_LEADER)
        m->ballot = r->state.promised;
    m->base = p->base;
    m->part = p->part;
}

void replica_install(struct replica *r, struct replica_peer *p,
                     struct replica_outbox *out)
{
    if (p->is_installing && !p->part && r->now < p->sent + r->timing.heartbeat)
        return;
    p->is_installing = true;
    p->is_ready = p->is_probing = false;
    p->n_unanswered = 0;
    p->base = log_position_at(r, r->state.commit);
    p->part = 0;
    replica_send_part(r, p, out);
}

void replica_on_installed(struct replica *r, const struct node_id *from,
                          const struct installed_message *m, struct replica_outbox *out)
{
    struct replica_peer *p = replica_find(r, from);
    bool is_own = r->role == REPLICA_LEADER
                      ? ballot_equal(&m->ballot, &r->state.promised)
                      : ballot_is_none(&m->ballot);

    if (!p || !p->is_installing || !is_own || m->generation != r->state.generation
        || m->part != p->part)
        return;
    p->part++;
    replica_send_part(r, p, out);
}

/* ---- who gets it ---- */

static bool has_base(const struct replica *r, const struct log_position *base)
{
    struct ballot own;

    return base->index <= r->state.commit
           || (log_ballot_at(r, base->index, &own)
               && ballot_equal(&own, &base->ballot));
}

static bool is_going_on(const struct replica_incoming *in, const struct node_id *from,
                        const struct install_message *m)
{
    return in->is_active && node_id_equal(&in->from, from)
           && in->generation == m->generation && ballot_equal(&in->ballot, &m->ballot)
           && in->base.index == m->base.index
           && ballot_equal(&in->base.ballot, &m->base.ballot);
}

static void answer_part(struct replica *r, struct replica_outbox *out)
{
    const struct replica_incoming *in = &r->incoming;
    struct installed_message *m =
        &replica_send(out, &in->from, MESSAGE_INSTALLED)->u.installed;

    m->group = r->group;
    m->generation = in->generation;
    m->ballot = in->ballot;
    m->part = in->next_part - 1;
}

static void begin(struct replica *r, const struct node_id *from,
                  const struct install_message *m, struct replica_outbox *out)
{
    replica_stand_down(r, out);
    r->owes_vote = false;
    r->state.is_installing = true;
    r->incoming = (struct replica_incoming){ .is_active = true,
                                             .from = *from,
                                             .generation = m->generation,
                                             .ballot = m->ballot,
                                             .base = m->base };
}

static void complete(struct replica *r, const struct install_message *m,
                     struct replica_outbox *out)
{
    struct replica_state *s = &r->state;

    s->generation = m->generation;
    s->n_homes = m->n_homes;
    memcpy(s->homes, m->homes, sizeof(s->homes));
    s->is_installing = false;
    log_replace(r, &m->base);
    if (ballot_compare(&m->ballot, &s->promised) > 0)
        s->promised = m->ballot;
    r->matched = m->base.index;
    r->incoming.is_complete = true;
    replica_gather_peers(r);
    replica_rest(r);
    replica_act(out, REPLICA_HOMES);
}

static void keep_part(struct replica *r, const struct install_message *m,
                      struct replica_outbox *out)
{
    struct replica_action *a = replica_keep(r, REPLICA_KEEP_INSTALL, out);

    a->lo = m->part;
    a->message.type = MESSAGE_INSTALL;
    a->message.u.install = *m;
    r->incoming.next_part++;
    r->incoming.at = r->now;
    r->incoming.ticket = a->ticket;
    if (m->is_last)
        complete(r, m, out);
}

/* Whether it is wanted: not from the past, and not what is here. */
static bool is_wanted(struct replica *r, const struct node_id *from,
                      const struct install_message *m, struct replica_outbox *out)
{
    const struct replica_state *s = &r->state;

    if (m->generation < s->generation) {
        replica_refuse_old(r, from, m->generation, m->base.index, out);
        return false;
    }
    if (!replica_are_homes(m->homes, m->n_homes))
        return false;
    /* In its own generation only a leader installs it: a majority without it has what
     * is decided. Nobody does when it has lost what it had acknowledged, see replica.h.
     */
    if (m->generation == s->generation
        && (ballot_is_none(&m->ballot) || (s->is_installing && !s->n_homes)))
        return false;
    if (ballot_is_none(&m->ballot))
        return true;
    if (!s->generation || s->is_installing || m->generation > s->generation) {
        if (ballot_compare(&m->ballot, &s->promised) >= 0)
            return node_id_equal(&m->ballot.node, from);
        replica_answer(r, from, m->generation, &s->promised, out)->is_refused = true;
        return false;
    }
    if (!replica_follow(r, from, m->generation, &m->ballot, out))
        return false;
    if (!has_base(r, &m->base))
        return true;
    if (m->base.index > r->matched)
        r->matched = m->base.index;
    replica_acknowledge(r, out);
    replica_commit(r, m->base.index, out);
    return false;
}

/* Several may help, and each would begin anew what another one has begun. */
static bool must_wait(const struct replica *r, const struct node_id *from,
                      const struct install_message *m)
{
    const struct replica_incoming *in = &r->incoming;

    if (!in->is_active || node_id_equal(&in->from, from)
        || r->now >= in->at + STALL_BEATS * r->timing.heartbeat)
        return false;
    return m->generation < in->generation
           || (m->generation == in->generation
               && ballot_compare(&m->ballot, &in->ballot) <= 0);
}

void replica_on_install(struct replica *r, const struct node_id *from,
                        const struct install_message *m, struct replica_outbox *out)
{
    struct replica_incoming *in = &r->incoming;

    if (in->is_complete || must_wait(r, from, m) || !is_wanted(r, from, m, out))
        return;
    if (!m->part && (!is_going_on(in, from, m) || in->next_part > 1))
        begin(r, from, m, out);
    if (is_going_on(in, from, m) && m->part == in->next_part)
        keep_part(r, m, out);
    else if (!is_going_on(in, from, m) || m->part + 1 != in->next_part)
        replica_answer(r, from, 0, &m->ballot, out)->is_gap = true; /* from the start */
    else if (!in->ticket)
        answer_part(r, out);
}

void replica_install_durable(struct replica *r, struct replica_outbox *out)
{
    struct replica_incoming *in = &r->incoming;

    if (!in->is_active || !in->ticket || r->done < in->ticket)
        return;
    in->ticket = 0;
    if (!in->is_complete) {
        answer_part(r, out);
        return;
    }
    if (ballot_equal(&in->ballot, &r->state.promised)) {
        replica_set_leader(r, &in->from, out);
        r->heard_leader = r->now;
        replica_acknowledge(r, out);
    }
    *in = (struct replica_incoming){ .is_active = false };
}
