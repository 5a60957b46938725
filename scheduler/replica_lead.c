/* SPDX-License-Identifier: Apache-2.0 */
/* A leader: its entries go to the other homes, what a majority has on disk is decided.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/replica_internal.h"

/* ---- to others ---- */

void replica_send_header(struct replica *r, struct message *m, uint64_t before,
                         bool is_leader)
{
    struct append_message *a = &m->u.append;

    m->type = MESSAGE_APPEND;
    a->group = r->group;
    a->generation = r->state.generation;
    if (is_leader)
        a->ballot = r->state.promised;
    a->before = log_position_at(r, before);
    a->commit = r->state.commit;
}

/* Before those that join hear anything of a group of one home, its disk has the log
 * that it did without until now. */
static bool must_wait(const struct replica *r, const struct replica_peer *p)
{
    return !p->is_home && r->done < r->move_ticket;
}

static bool may_hear(const struct replica *r, const struct replica_peer *p)
{
    return !p->is_installing && !must_wait(r, p);
}

void replica_beat(struct replica *r, struct replica_peer *p, struct replica_outbox *out)
{
    if (!may_hear(r, p))
        return;
    p->sent = r->now;
    replica_send_header(r, replica_send(out, &p->id, MESSAGE_APPEND), p->next - 1,
                        true);
}

static void send_entries(struct replica *r, const struct node_id *to, uint64_t lo,
                         uint64_t hi, bool is_leader, struct replica_outbox *out)
{
    struct replica_action *a = replica_act(out, REPLICA_SEND_ENTRIES);

    a->peer = *to;
    a->lo = lo;
    a->hi = hi - lo < REPLICA_ENTRIES_MAX ? hi : lo + REPLICA_ENTRIES_MAX - 1;
    replica_send_header(r, &a->message, lo - 1, is_leader);
}

static void send_new(struct replica *r, struct replica_peer *p,
                     struct replica_outbox *out)
{
    uint64_t last = r->state.last.index;

    if (!may_hear(r, p))
        return;
    for (; p->next <= last && p->n_unanswered < (p->is_probing ? 1 : PIPELINE_MAX);
         p->n_unanswered++) {
        send_entries(r, &p->id, p->next, last, true, out);
        p->next = last - p->next < REPLICA_ENTRIES_MAX ? last + 1
                                                       : p->next + REPLICA_ENTRIES_MAX;
        p->sent = r->now;
    }
}

void replica_send_all(struct replica *r, struct replica_outbox *out)
{
    for (size_t i = 0; i < r->n_peers; i++)
        send_new(r, &r->peers[i], out);
}

void replica_help(struct replica *r, const struct node_id *peer, uint64_t index,
                  struct replica_outbox *out)
{
    uint64_t commit = r->state.commit;

    if (r->state.is_installing)
        return;
    if (index && index <= commit)
        send_entries(r, peer, index, commit, false, out);
    else
        replica_send_header(r, replica_send(out, peer, MESSAGE_APPEND), commit, false);
}

/* ---- to lead ---- */

/* An entry of an older ballot that a majority has may still go (Ongaro and Ousterhout
 * 2014, figure 8): an own entry behind it decides it. Behind the end of a generation
 * there is none, so that one is proposed anew. */
static void begin_ballot(struct replica *r, struct replica_outbox *out)
{
    struct replica_state *s = &r->state;
    struct replica_action *a;

    r->closing_entry = (struct log_entry){ .ballot = s->promised };
    if (s->closing) {
        r->closing_entry.n_homes = s->n_next_homes;
        memcpy(r->closing_entry.homes, s->next_homes, sizeof(s->next_homes));
        log_cut(r, s->closing - 1);
    }
    log_push(r, &s->promised, r->closing_entry.homes, r->closing_entry.n_homes, out);
    r->lead_from = s->last.index;
    a = replica_keep(r, REPLICA_APPEND, out);
    a->lo = a->hi = s->last.index;
    a->message.type = MESSAGE_APPEND;
    a->message.u.append.entries = &r->closing_entry;
    a->message.u.append.n_entries = 1;
}

static void tell_leads(struct replica *r, struct replica_outbox *out)
{
    if (r->role != REPLICA_LEADER || r->is_leading
        || r->state.commit + 1 < r->lead_from)
        return;
    r->is_leading = true;
    replica_act(out, REPLICA_LEAD);
}

void replica_lead(struct replica *r, struct replica_outbox *out)
{
    bool is_new = !r->state.last.index && r->state.promised.counter == 1;

    r->role = REPLICA_LEADER;
    r->leader = r->self;
    r->n_tries = 0;
    for (size_t i = 0; i < r->n_peers; i++) {
        struct replica_peer *p = &r->peers[i];

        p->next = r->state.last.index + 1;
        p->match = p->n_unanswered = 0;
        p->is_installing = p->is_ready = p->is_probing = false;
        p->heard = r->now;
    }
    r->lead_from = r->state.last.index + 1;
    if (r->state.n_homes == 1)
        replica_commit(r, r->durable, out);
    else if (!is_new)
        begin_ballot(r, out);
    if (r->role != REPLICA_LEADER)
        return;
    if (r->state.n_homes == 1 || is_new)
        tell_leads(r, out);
    for (size_t i = 0; i < r->n_peers; i++)
        replica_beat(r, &r->peers[i], out);
    replica_send_all(r, out);
}

void replica_resign(struct replica *r, struct replica_outbox *out)
{
    replica_stand_down(r, out);
    replica_rest(r);
}

/* ---- what is decided ---- */

static int compare_indexes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? 1 : *x > *y ? -1 : 0; /* the greatest first */
}

/* The greatest index that a majority has on disk. */
static uint64_t majority_index(const struct replica *r)
{
    uint64_t all[HOMES_MAX] = { r->durable };
    size_t n = 1;

    for (size_t i = 0; i < r->n_peers; i++)
        if (r->peers[i].is_home && n < HOMES_MAX)
            all[n++] = r->peers[i].match;
    qsort(all, n, sizeof(all[0]), compare_indexes);
    return all[replica_majority(r) - 1];
}

static void decide(struct replica *r, struct replica_outbox *out)
{
    uint64_t index = majority_index(r);

    if (!replica_is_promise_durable(r) || index < r->lead_from)
        return;
    replica_commit(r, index, out);
    if (r->state.commit >= r->lead_from)
        tell_leads(r, out);
}

static bool is_target_ready(const struct replica *r)
{
    if (!r->n_target || r->state.closing || !r->is_leading || r->done < r->move_ticket)
        return false;
    for (size_t i = 0; i < r->n_peers; i++)
        if (!r->peers[i].is_home && !r->peers[i].is_ready)
            return false;
    return true;
}

/* The new homes are there: the last entry of this generation names them. */
static void close_generation(struct replica *r, struct replica_outbox *out)
{
    struct replica_action *a;

    if (!is_target_ready(r) || r->open_ticket)
        return;
    r->closing_entry =
        (struct log_entry){ .ballot = r->state.promised, .n_homes = r->n_target };
    memcpy(r->closing_entry.homes, r->target, sizeof(r->target));
    log_push(r, &r->state.promised, r->target, r->n_target, out);
    a = replica_keep(r, REPLICA_APPEND, out);
    a->lo = a->hi = r->state.last.index;
    a->message.type = MESSAGE_APPEND;
    a->message.u.append.entries = &r->closing_entry;
    a->message.u.append.n_entries = 1;
    replica_send_all(r, out);
}

void replica_lead_durable(struct replica *r, struct replica_outbox *out)
{
    if (r->role != REPLICA_LEADER)
        return;
    decide(r, out);
    if (r->role != REPLICA_LEADER)
        return;
    for (size_t i = 0; i < r->n_peers; i++)
        if (!r->peers[i].is_home && !r->peers[i].match && !r->peers[i].sent)
            replica_beat(r, &r->peers[i], out);
    close_generation(r, out);
}

/* It lags, or what was sent before is lost. One message finds out from where to go on;
 * what else is on its way would each say so again. */
static void on_gap(struct replica *r, struct replica_peer *p, uint64_t last,
                   struct replica_outbox *out)
{
    if (last < p->match)
        last = p->match;
    if (last > r->state.last.index)
        last = r->state.last.index;
    if (p->is_probing && last + 1 >= p->probe
        && r->now < p->probed + r->timing.heartbeat)
        return;
    p->is_probing = true;
    p->probe = p->next = last + 1;
    p->probed = r->now;
    p->n_unanswered = 0;
    if (p->next <= r->state.last.index)
        send_new(r, p, out);
    else
        replica_beat(r, p, out);
}

static void on_acknowledged(struct replica *r, struct replica_peer *p, uint64_t last,
                            struct replica_outbox *out)
{
    if (last > r->state.last.index)
        return;
    if (last > p->match) {
        p->match = last;
        p->is_probing = false;
        p->n_unanswered -= p->n_unanswered > 0;
        /* Fewer may have been sent than were asked for. */
        if (!p->n_unanswered)
            p->next = last + 1;
    }
    if (p->next <= p->match)
        p->next = p->match + 1;
    if (p->match == r->state.last.index)
        p->n_unanswered = 0;
    p->is_ready |= p->match >= r->state.commit;
    decide(r, out);
    if (r->role != REPLICA_LEADER)
        return;
    send_new(r, p, out);
    close_generation(r, out);
}

/* A leader that is no home any more may be the only one that knows. */
void replica_hand_over(struct replica *r, struct replica_outbox *out)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_peers; i++)
        n += r->peers[i].is_ready;
    r->is_handing = n < replica_majority(r);
    if (!r->is_handing || r->now < r->hand_at)
        return;
    r->hand_at = r->now + STALL_BEATS * r->timing.heartbeat;
    for (size_t i = 0; i < r->n_peers; i++)
        if (!r->peers[i].is_ready)
            replica_help(r, &r->peers[i].id, r->state.commit, out);
}

/* It does not lead, but what it is asked for is decided. */
static void on_helped(struct replica *r, struct replica_peer *p,
                      const struct appended_message *m, struct replica_outbox *out)
{
    if (r->role != REPLICA_FOLLOWER && m->generation && m->last >= r->state.commit)
        replica_ask(r, p, out);
    if (!ballot_is_none(&m->ballot))
        return;
    p->is_ready |= m->generation == r->state.generation && !m->is_gap;
    if (!m->generation)
        replica_install(r, p, out);
    else if (m->is_gap && m->last < r->state.commit)
        replica_help(r, &p->id, m->last + 1, out);
}

void replica_on_appended(struct replica *r, const struct node_id *from,
                         const struct appended_message *m, struct replica_outbox *out)
{
    struct replica_peer *p = replica_find(r, from);

    if (!p || r->state.is_installing)
        return;
    if (r->role != REPLICA_LEADER) {
        on_helped(r, p, m, out);
        return;
    }
    if (m->is_refused && m->generation == r->state.generation
        && ballot_compare(&m->ballot, &r->state.promised) > 0) {
        if (m->ballot.counter > r->seen)
            r->seen = m->ballot.counter;
        replica_resign(r, out);
        return;
    }
    if (m->is_refused || !ballot_equal(&m->ballot, &r->state.promised))
        return;
    if (!m->generation) {
        p->match = 0;
        replica_install(r, p, out);
        return;
    }
    if (m->generation != r->state.generation)
        return;
    p->is_installing = false;
    if (m->is_gap)
        on_gap(r, p, m->last, out);
    else
        on_acknowledged(r, p, m->last, out);
}

/* ---- time ---- */

static time_us beat_at(const struct replica *r, const struct replica_peer *p)
{
    if (must_wait(r, p))
        return TIME_NEVER;
    return p->sent + r->timing.heartbeat * (p->is_installing ? STALL_BEATS : 1);
}

static size_t count_heard(const struct replica *r)
{
    size_t n = 1;

    for (size_t i = 0; i < r->n_peers; i++)
        n += r->peers[i].is_home && r->now < r->peers[i].heard + r->timing.election_max;
    return n;
}

static void beat_peer(struct replica *r, struct replica_peer *p,
                      struct replica_outbox *out)
{
    if (r->now < beat_at(r, p))
        return;
    if (p->is_installing) {
        replica_send_part(r, p, out);
        return;
    }
    if (r->now >= p->heard + STALL_BEATS * r->timing.heartbeat) {
        p->n_unanswered = 0;
        p->is_probing = false;
    }
    replica_beat(r, p, out);
    send_new(r, p, out);
}

void replica_lead_tick(struct replica *r, struct replica_outbox *out)
{
    if (r->state.n_homes > 1 && count_heard(r) < replica_majority(r)) {
        replica_resign(r, out);
        return;
    }
    for (size_t i = 0; i < r->n_peers; i++)
        beat_peer(r, &r->peers[i], out);
}

time_us replica_lead_deadline(const struct replica *r)
{
    time_us at = TIME_NEVER;

    for (size_t i = 0; i < r->n_peers; i++)
        if (beat_at(r, &r->peers[i]) < at)
            at = beat_at(r, &r->peers[i]);
    return at;
}

/* ---- what the caller asks of a leader ---- */

int replica_append(struct replica *r, size_t n, time_us now, uint64_t *ret_first,
                   struct replica_outbox *out)
{
    struct replica_action *a;
    uint64_t first = r->state.last.index + 1;

    r->now = now;
    if (!r->is_leading)
        return -EPERM;
    if (r->state.closing)
        return -EBUSY;
    if (!n)
        return -EINVAL;
    log_push(r, &r->state.promised, NULL, 0, out);
    r->state.last.index += n - 1;
    a = replica_keep(r, REPLICA_APPEND, out);
    a->lo = first;
    a->hi = r->state.last.index;
    *ret_first = first;
    return replica_finish(r, out);
}

int replica_flush(struct replica *r, time_us now, struct replica_outbox *out)
{
    r->now = now;
    if (r->role == REPLICA_LEADER)
        replica_send_all(r, out);
    return replica_finish(r, out);
}

static bool is_new_list(const struct replica *r, const struct node_id *homes,
                        uint32_t n)
{
    if (n != r->state.n_homes)
        return true;
    for (uint32_t i = 0; i < n; i++)
        if (!replica_is_home(r, &homes[i]))
            return true;
    return false;
}

int replica_move(struct replica *r, const struct node_id *homes, uint32_t n,
                 time_us now, struct replica_outbox *out)
{
    r->now = now;
    if (!r->is_leading)
        return -EPERM;
    if (r->state.closing)
        return -EBUSY;
    if (!replica_are_homes(homes, n) || !is_new_list(r, homes, n))
        return -EINVAL;
    r->n_target = n;
    memcpy(r->target, homes, n * sizeof(homes[0]));
    replica_gather_peers(r);
    for (size_t i = 0; i < r->n_peers; i++)
        if (!r->peers[i].next)
            r->peers[i].next = r->state.last.index + 1;
    r->is_dirty = true;
    if (r->state.n_homes == 1)
        r->move_ticket = r->ticket + 1; /* replica_finish() gives it out */
    else
        for (size_t i = 0; i < r->n_peers; i++)
            if (!r->peers[i].is_home && !r->peers[i].sent)
                replica_beat(r, &r->peers[i], out);
    close_generation(r, out);
    return replica_finish(r, out);
}
