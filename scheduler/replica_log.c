/* SPDX-License-Identifier: Apache-2.0 */
/* The log as far as a replica knows it: where ballots change, what of it is durable,
 * what is decided, where a generation ends. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/replica_internal.h"

enum { STRETCHES_USUAL = 16 };

int position_compare(const struct log_position *a, const struct log_position *b)
{
    int order = ballot_compare(&a->ballot, &b->ballot);

    if (order)
        return order;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* The stretch in which index is, or n_stretches. */
static size_t stretch_of(const struct replica_state *s, uint64_t index)
{
    size_t i = s->n_stretches;

    while (i && s->stretches[i - 1].first > index)
        i--;
    return i ? i - 1 : s->n_stretches;
}

bool log_ballot_at(const struct replica *r, uint64_t index, struct ballot *ret)
{
    const struct replica_state *s = &r->state;
    size_t i;

    if (index < s->base.index || index > s->last.index)
        return false;
    if (index == s->base.index) {
        *ret = s->base.ballot;
        return true;
    }
    i = stretch_of(s, index);
    assert(i < s->n_stretches);
    *ret = s->stretches[i].ballot;
    return true;
}

struct log_position log_position_at(const struct replica *r, uint64_t index)
{
    struct log_position p = { .index = index };

    (void)log_ballot_at(r, index, &p.ballot);
    return p;
}

/* What was to be kept and is cut, or written anew, is not durable any more. */
static void forget_durable(struct replica *r, uint64_t last)
{
    if (r->durable > last)
        r->durable = last;
    for (size_t i = 0; i < r->n_kept; i++)
        if (r->kept[i].last > last)
            r->kept[i].last = last;
}

void log_cut(struct replica *r, uint64_t last)
{
    struct replica_state *s = &r->state;

    if (last >= s->last.index)
        return;
    assert(last >= s->commit && last >= s->base.index);
    while (s->n_stretches && s->stretches[s->n_stretches - 1].first > last)
        s->n_stretches--;
    if (s->closing > last)
        s->closing = s->n_next_homes = 0;
    s->last = (struct log_position){ .index = last };
    if (last == s->base.index)
        s->last = s->base;
    else
        s->last.ballot = s->stretches[s->n_stretches - 1].ballot;
    forget_durable(r, last);
    r->is_dirty = true;
}

/* What is decided needs no ballots, but for who lags behind a little. */
static void drop_stretches(struct replica *r)
{
    struct replica_state *s = &r->state;
    struct log_position base = log_position_at(r, s->commit);
    size_t n = 0;

    while (n < s->n_stretches
           && (n + 1 < s->n_stretches ? s->stretches[n + 1].first : s->last.index + 1)
                  <= s->commit + 1)
        n++;
    memmove(s->stretches, s->stretches + n,
            (s->n_stretches - n) * sizeof(s->stretches[0]));
    s->n_stretches -= n;
    s->base = base;
}

static bool reserve_stretch(struct replica *r)
{
    size_t cap = r->cap_stretches ? 2 * r->cap_stretches : 4;
    struct replica_stretch *all;

    if (r->state.n_stretches >= STRETCHES_USUAL
        && r->state.commit > r->state.base.index)
        drop_stretches(r);
    if (r->state.n_stretches < r->cap_stretches)
        return true;
    all = realloc(r->state.stretches, cap * sizeof(*all));
    if (!all)
        return false;
    r->state.stretches = all;
    r->cap_stretches = cap;
    return true;
}

void log_push(struct replica *r, const struct ballot *ballot,
              const struct node_id *homes, uint32_t n_homes, struct replica_outbox *out)
{
    struct replica_state *s = &r->state;
    bool is_same =
        s->last.index > s->base.index && ballot_equal(&s->last.ballot, ballot);

    assert(!s->closing);
    if (!is_same && !reserve_stretch(r)) {
        out->error = -ENOMEM;
        return;
    }
    s->last = (struct log_position){ .index = s->last.index + 1, .ballot = *ballot };
    if (!is_same)
        s->stretches[s->n_stretches++] =
            (struct replica_stretch){ .first = s->last.index, .ballot = *ballot };
    if (n_homes) {
        s->closing = s->last.index;
        s->n_next_homes = n_homes;
        memcpy(s->next_homes, homes, n_homes * sizeof(homes[0]));
    }
    r->is_dirty = true;
}

void log_replace(struct replica *r, const struct log_position *base)
{
    struct replica_state *s = &r->state;

    s->base = s->last = *base;
    s->commit = base->index;
    s->n_stretches = 0;
    s->closing = s->n_next_homes = 0;
    forget_durable(r, 0);
    r->is_dirty = true;
}

struct replica_action *replica_keep(struct replica *r, enum replica_action_type type,
                                    struct replica_outbox *out)
{
    struct replica_action *a = replica_act(out, type);

    assert(!r->open_ticket);
    a->ticket = r->open_ticket = ++r->ticket;
    return a;
}

int replica_finish(struct replica *r, struct replica_outbox *out)
{
    struct replica_kept *k;

    if (r->is_dirty && !r->open_ticket)
        (void)replica_keep(r, REPLICA_SAVE, out);
    r->is_dirty = false;
    if (r->open_ticket) {
        /* When many are under way the last two are waited for together. */
        if (r->n_kept == TICKETS_MAX)
            r->n_kept--;
        k = &r->kept[r->n_kept++];
        *k = (struct replica_kept){ .ticket = r->open_ticket,
                                    .last = r->state.last.index,
                                    .promised = r->state.promised };
        r->open_ticket = 0;
    }
    return out->error;
}

bool replica_is_promise_durable(const struct replica *r)
{
    return ballot_equal(&r->state.promised, &r->durable_promise);
}

/* The homes that the last entry of the old generation names take over. Who led stands
 * at once; where it is no home any more the first of the new ones does. */
static void begin_generation(struct replica *r, struct replica_outbox *out)
{
    struct replica_state *s = &r->state;
    bool has_led = r->role == REPLICA_LEADER;
    struct node_id leader = r->leader;
    bool is_heir;

    assert(s->closing == s->last.index && s->closing == s->commit);
    if (has_led)
        for (size_t i = 0; i < r->n_peers; i++)
            replica_beat(r, &r->peers[i], out);
    replica_stand_down(r, out);
    s->generation++;
    s->n_homes = s->n_next_homes;
    memcpy(s->homes, s->next_homes, sizeof(s->homes));
    s->closing = s->n_next_homes = 0;
    s->last.ballot = (struct ballot){ .counter = 0 };
    s->base = s->last;
    s->n_stretches = 0;
    r->is_dirty = true;
    r->matched = s->commit;
    replica_gather_peers(r);
    replica_act(out, REPLICA_HOMES);
    is_heir = !replica_is_home(r, &leader) && node_id_equal(&s->homes[0], &r->self);
    replica_rest(r);
    r->is_heir = replica_is_home(r, &r->self) && (has_led || is_heir);
    if (r->is_heir)
        r->elect_at = r->now;
    for (size_t i = 0; i < r->n_peers; i++)
        r->peers[i].is_ready = false;
    r->is_handing = !replica_is_home(r, &r->self);
    r->hand_at = r->now;
}

void replica_commit(struct replica *r, uint64_t index, struct replica_outbox *out)
{
    struct replica_state *s = &r->state;
    struct replica_action *a;

    if (index <= s->commit)
        return;
    assert(index <= s->last.index);
    a = replica_act(out, REPLICA_DECIDED);
    a->lo = s->commit + 1;
    a->hi = s->commit = index;
    if (s->closing && s->closing <= index)
        begin_generation(r, out);
}
