/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/replica.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/replica_internal.h"

/* ---- the outbox ---- */

void replica_outbox_clear(struct replica_outbox *out)
{
    out->n = 0;
    out->error = 0;
}

void replica_outbox_release(struct replica_outbox *out)
{
    free(out->actions);
    *out = (struct replica_outbox){ .actions = NULL };
}

struct replica_action *replica_act(struct replica_outbox *out,
                                   enum replica_action_type type)
{
    struct replica_action *a = &out->spare;

    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 8;
        struct replica_action *actions = realloc(out->actions, cap * sizeof(*actions));

        if (actions) {
            out->actions = actions;
            out->cap = cap;
        } else {
            out->error = -ENOMEM;
        }
    }
    if (!out->error)
        a = &out->actions[out->n++];
    memset(a, 0, sizeof(*a));
    a->type = type;
    return a;
}

struct message *replica_send(struct replica_outbox *out, const struct node_id *to,
                             enum message_type type)
{
    struct replica_action *a = replica_act(out, REPLICA_SEND);

    a->peer = *to;
    a->message.type = type;
    return &a->message;
}

/* ---- the state ---- */

static struct replica_timing timing_or_default(const struct replica_timing *t)
{
    return (struct replica_timing){
        .heartbeat = t->heartbeat ? t->heartbeat : TIME_MS(250),
        .election_min = t->election_min ? t->election_min : TIME_S(1),
        .election_max = t->election_max ? t->election_max : TIME_S(2),
    };
}

struct replica *replica_new(const struct replica_config *config, time_us now)
{
    struct replica *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->group = config->group;
    r->self = config->self;
    r->timing = timing_or_default(&config->timing);
    r->is_founder = config->is_founder;
    r->role = REPLICA_FOLLOWER;
    r->has_majority = true;
    r->now = r->heard_leader = now;
    prng_init(&r->prng, config->seed);
    if (config->state && replica_state_copy(config->state, &r->state) < 0) {
        free(r);
        return NULL;
    }
    r->cap_stretches = r->state.n_stretches;
    r->durable = r->state.last.index;
    r->durable_promise = r->state.promised;
    replica_gather_peers(r);
    replica_rest(r);
    if (r->is_founder || r->state.n_homes == 1)
        r->elect_at = now;
    r->is_handing =
        r->state.generation && !r->state.is_installing && !replica_is_home(r, &r->self);
    r->hand_at = now;
    return r;
}

void replica_free(struct replica *r)
{
    if (!r)
        return;
    replica_state_release(&r->state);
    free(r);
}

/* ---- homes ---- */

struct replica_peer *replica_find(struct replica *r, const struct node_id *id)
{
    for (size_t i = 0; i < r->n_peers; i++)
        if (node_id_equal(&r->peers[i].id, id))
            return &r->peers[i];
    return NULL;
}

static bool is_listed(const struct node_id *homes, size_t n, const struct node_id *id)
{
    for (size_t i = 0; i < n; i++)
        if (node_id_equal(&homes[i], id))
            return true;
    return false;
}

bool replica_is_home(const struct replica *r, const struct node_id *id)
{
    return is_listed(r->state.homes, r->state.n_homes, id);
}

bool replica_are_homes(const struct node_id *homes, size_t n)
{
    if (n % 2 == 0 || n > HOMES_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (node_id_is_none(&homes[i]) || is_listed(homes, i, &homes[i]))
            return false;
    return true;
}

size_t replica_majority(const struct replica *r)
{
    return r->state.n_homes / 2 + 1;
}

static void gather(struct replica *r, struct replica_peer *peers, size_t *n,
                   const struct node_id *id, bool is_home)
{
    const struct replica_peer *known = replica_find(r, id);

    if (node_id_equal(id, &r->self))
        return;
    for (size_t i = 0; i < *n; i++)
        if (node_id_equal(&peers[i].id, id))
            return;
    peers[*n] = (struct replica_peer){ .id = *id, .is_live = true, .heard = r->now };
    if (known)
        peers[*n] = *known;
    peers[(*n)++].is_home = is_home;
}

void replica_gather_peers(struct replica *r)
{
    struct replica_peer peers[PEERS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < r->state.n_homes; i++)
        gather(r, peers, &n, &r->state.homes[i], true);
    for (size_t i = 0; i < r->n_target; i++)
        gather(r, peers, &n, &r->target[i], false);
    memcpy(r->peers, peers, n * sizeof(peers[0]));
    r->n_peers = n;
}

void replica_set_leader(struct replica *r, const struct node_id *id,
                        struct replica_outbox *out)
{
    if (node_id_equal(&r->leader, id))
        return;
    r->leader = *id;
    replica_act(out, REPLICA_FOLLOW)->peer = *id;
}

void replica_stand_down(struct replica *r, struct replica_outbox *out)
{
    struct node_id nobody = { .bytes = { 0 } };

    if (r->n_target) {
        r->n_target = 0;
        replica_gather_peers(r);
    }
    r->role = REPLICA_FOLLOWER;
    r->is_leading = r->owes_asking = r->owes_ack = false;
    replica_set_leader(r, &nobody, out);
}

/* ---- what it is told ---- */

static bool is_ours(const struct replica *r, const struct group_id *g)
{
    return memcmp(g->bytes, r->group.bytes, sizeof(g->bytes)) == 0;
}

/* All of them begin with their group. */
static void dispatch(struct replica *r, const struct node_id *from,
                     const struct message *m, struct replica_outbox *out)
{
    switch (m->type) {
    case MESSAGE_VOTE:
        if (is_ours(r, &m->u.vote.group))
            replica_on_vote(r, from, &m->u.vote, out);
        break;
    case MESSAGE_VOTED:
        if (is_ours(r, &m->u.voted.group))
            replica_on_voted(r, from, &m->u.voted, out);
        break;
    case MESSAGE_APPEND:
        if (is_ours(r, &m->u.append.group))
            replica_on_append(r, from, &m->u.append, out);
        break;
    case MESSAGE_APPENDED:
        if (is_ours(r, &m->u.appended.group))
            replica_on_appended(r, from, &m->u.appended, out);
        break;
    case MESSAGE_INSTALL:
        if (is_ours(r, &m->u.install.group))
            replica_on_install(r, from, &m->u.install, out);
        break;
    case MESSAGE_INSTALLED:
        if (is_ours(r, &m->u.installed.group))
            replica_on_installed(r, from, &m->u.installed, out);
        break;
    default:
        break;
    }
}

int replica_on_message(struct replica *r, const struct node_id *from,
                       const struct message *m, time_us now, struct replica_outbox *out)
{
    struct replica_peer *p = replica_find(r, from);

    r->now = now;
    if (p)
        p->heard = now;
    if (!node_id_equal(from, &r->self))
        dispatch(r, from, m, out);
    return replica_finish(r, out);
}

int replica_on_tick(struct replica *r, time_us now, struct replica_outbox *out)
{
    r->now = now;
    if (r->role == REPLICA_LEADER)
        replica_lead_tick(r, out);
    else
        replica_elect_tick(r, out);
    return replica_finish(r, out);
}

int replica_on_members(struct replica *r,
                       bool (*is_live)(void *, const struct node_id *), void *arg,
                       bool is_isolated, time_us now, struct replica_outbox *out)
{
    size_t n_live = 1;

    r->now = now;
    for (size_t i = 0; i < r->n_peers; i++) {
        r->peers[i].is_live = is_live(arg, &r->peers[i].id);
        n_live += r->peers[i].is_live && r->peers[i].is_home;
    }
    r->is_isolated = is_isolated;
    r->has_majority = n_live >= replica_majority(r);
    /* Its island may help itself only when nobody leads (run rules, flaw 10). */
    if (r->role == REPLICA_LEADER && !r->has_majority)
        replica_resign(r, out);
    return replica_finish(r, out);
}

int replica_on_durable(struct replica *r, uint64_t ticket, time_us now,
                       struct replica_outbox *out)
{
    size_t n = 0;

    r->now = now;
    if (ticket > r->done && ticket <= r->ticket)
        r->done = ticket;
    for (; n < r->n_kept && r->kept[n].ticket <= r->done; n++) {
        r->durable = r->kept[n].last;
        r->durable_promise = r->kept[n].promised;
    }
    memmove(r->kept, r->kept + n, (r->n_kept - n) * sizeof(r->kept[0]));
    r->n_kept -= n;
    if (n) {
        replica_install_durable(r, out);
        replica_elect_durable(r, out);
        replica_follow_durable(r, out);
        replica_lead_durable(r, out);
    }
    return replica_finish(r, out);
}

int replica_on_missing(struct replica *r, const struct node_id *peer, time_us now,
                       struct replica_outbox *out)
{
    struct replica_peer *p = replica_find(r, peer);

    r->now = now;
    if (p && !r->state.is_installing)
        replica_install(r, p, out);
    return replica_finish(r, out);
}

int replica_give_up(struct replica *r, time_us now, struct replica_outbox *out)
{
    r->now = now;
    r->is_dirty = !r->state.is_installing;
    r->state.is_installing = true;
    r->incoming = (struct replica_incoming){ .is_active = false };
    r->is_handing = false;
    return replica_finish(r, out);
}

/* ---- questions ---- */

/* A leader cuts nothing, and what is decided is never cut. */
bool replica_may_send(const struct replica *r, const struct append_message *header)
{
    if (ballot_is_none(&header->ballot))
        return !r->state.is_installing;
    return r->role == REPLICA_LEADER && header->generation == r->state.generation
           && ballot_equal(&header->ballot, &r->state.promised);
}

/* Whoever has no say waits to be told. */
static bool is_voter(const struct replica *r)
{
    return !r->state.is_installing && replica_is_home(r, &r->self);
}

time_us replica_deadline(const struct replica *r)
{
    if (r->role == REPLICA_LEADER)
        return replica_lead_deadline(r);
    if (r->is_handing)
        return r->hand_at;
    if (!is_voter(r))
        return TIME_NEVER;
    if (r->role != REPLICA_FOLLOWER && r->ask_at < r->elect_at)
        return r->ask_at;
    return r->elect_at;
}

bool replica_leads(const struct replica *r)
{
    return r->is_leading;
}

struct node_id replica_leader(const struct replica *r)
{
    return r->leader;
}

const struct replica_state *replica_state(const struct replica *r)
{
    return &r->state;
}

bool replica_is_over(const struct replica *r)
{
    return r->state.generation && !replica_is_home(r, &r->self) && !r->is_handing
           && !r->incoming.is_active;
}

uint64_t replica_decided(const struct replica *r)
{
    return r->state.commit;
}

bool replica_needs_rows(const struct replica *r)
{
    return r->state.n_homes != 1 || !replica_is_home(r, &r->self) || r->n_target
           || r->state.closing;
}

static int compare_times(const void *a, const void *b)
{
    const time_us *x = a, *y = b;

    return *x < *y ? 1 : *x > *y ? -1 : 0; /* the latest first */
}

time_us replica_without_majority(const struct replica *r, time_us now)
{
    time_us heard[HOMES_MAX] = { now }, last;
    size_t n = 1;

    if (r->state.n_homes <= 1)
        return 0;
    for (size_t i = 0; i < r->n_peers; i++)
        if (r->peers[i].is_home && n < HOMES_MAX)
            heard[n++] = r->peers[i].heard;
    qsort(heard, n, sizeof(heard[0]), compare_times);
    last = n >= replica_majority(r) ? heard[replica_majority(r) - 1] : 0;
    if (r->role == REPLICA_FOLLOWER && r->heard_leader > last)
        last = r->heard_leader; /* who would not lead without one */
    return now > last + r->timing.election_max ? now - last : 0;
}

uint64_t replica_everywhere(const struct replica *r)
{
    const struct replica_state *s = &r->state;
    uint64_t least = 0;
    uint64_t old =
        s->commit > REPLICA_ROWS_KEPT_MAX ? s->commit - REPLICA_ROWS_KEPT_MAX : 0;

    if (r->is_leading) {
        least = s->commit;
        for (size_t i = 0; i < r->n_peers; i++)
            if (r->peers[i].match < least)
                least = r->peers[i].match;
    }
    return least > old ? least : old;
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15u;
}

static uint64_t mix_ballot(uint64_t hash, const struct ballot *b)
{
    return mix(mix_number(hash, b->counter), b->node.bytes, sizeof(b->node.bytes));
}

static uint64_t mix_peer(uint64_t hash, const struct replica_peer *p)
{
    hash = mix(hash, p->id.bytes, sizeof(p->id.bytes));
    hash = mix_number(hash, p->match);
    hash = mix_number(hash, p->next);
    hash = mix_number(hash, p->part);
    return mix_number(hash, 0u + p->is_home + 2u * p->has_voted + 4u * p->is_installing
                                + 8u * p->is_live + 16u * p->is_ready);
}

uint64_t replica_hash(const struct replica *r)
{
    const struct replica_state *s = &r->state;
    uint64_t hash = 0xcbf29ce484222325u;

    hash = mix(hash, s->homes, s->n_homes * sizeof(s->homes[0]));
    hash = mix_ballot(hash, &s->promised);
    hash = mix_ballot(hash, &s->last.ballot);
    for (size_t i = 0; i < s->n_stretches; i++)
        hash = mix_number(mix_ballot(hash, &s->stretches[i].ballot),
                          s->stretches[i].first);
    for (size_t i = 0; i < r->n_peers; i++)
        hash = mix_peer(hash, &r->peers[i]);
    for (size_t i = 0; i < 4; i++)
        hash = mix_number(hash, r->prng.s[i]);
    const uint64_t numbers[] = { s->generation,     s->base.index, s->last.index,
                                 s->commit,         s->closing,    s->is_installing,
                                 (uint64_t)r->role, r->is_leading, r->durable,
                                 r->done,           r->ticket,     r->matched,
                                 r->elect_at,       r->lead_from };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        hash = mix_number(hash, numbers[i]);
    return hash;
}
