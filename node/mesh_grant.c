/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's side of leases: the engine says who gets what, by slots; a worker knows
 * a lease by its id, which has the slot in it. Leases are memory: who does not report
 * one for a while does not have it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

struct lease_entry *lease_at(const struct mesh *m, uint32_t slot)
{
    uint32_t i = slot - m->slots_max;

    return slot >= m->slots_max && i < m->n_leases && m->leases[i].is_used
               ? &m->leases[i]
               : NULL;
}

static struct adopted *find_adopted(const struct mesh *m, const struct peer *p,
                                    uint64_t id)
{
    struct adopted *a, key = { .key = { .id = id, .peer = p->number } };

    HASH_FIND(hh, m->adopted, &key.key, sizeof(key.key), a);
    return a;
}

/* The slot of a worker's lease; 0 is never one. */
static uint32_t slot_of(const struct mesh *m, const struct peer *p, uint64_t id)
{
    const struct adopted *a = id & LEASE_OF_WORKER ? find_adopted(m, p, id) : NULL;
    uint32_t slot = a ? a->slot : (uint32_t)id;
    const struct lease_entry *l = id ? lease_at(m, slot) : NULL;

    return l && l->id == id && l->peer == p->number ? slot : 0;
}

uint32_t grant_slot_of_worker(const struct mesh *m, const struct peer *p,
                              const struct attempt_name *name)
{
    return name->boot == peer_boot(p) ? slot_of(m, p, LEASE_OF_WORKER | name->counter)
                                      : 0;
}

void lease_free(struct mesh *m, uint32_t slot)
{
    struct lease_entry *l = lease_at(m, slot);
    struct adopted *a;

    if (!l)
        return;
    a = l->is_adopted ? find_adopted(m, peer_at(m, l->peer), l->id) : NULL;
    if (a) {
        HASH_DEL(m->adopted, a);
        free(a);
    }
    l->is_used = false;
}

static int take_slot(struct mesh *m, const struct action *a, struct lease_entry **ret)
{
    size_t i = a->slot - m->slots_max, old = m->cap_leases;

    while (i >= m->cap_leases)
        if (mesh_grow(&m->leases, m->cap_leases, &m->cap_leases, sizeof(m->leases[0]))
            < 0)
            return -ENOMEM;
    if (m->cap_leases > old)
        memset(&m->leases[old], 0, (m->cap_leases - old) * sizeof(m->leases[0]));
    m->n_leases = i < m->n_leases ? m->n_leases : i + 1;
    lease_free(m, a->slot);
    *ret = &m->leases[i];
    **ret = (struct lease_entry){ .is_used = true,
                                  .peer = a->u.lease.worker,
                                  .run = a->run,
                                  .task = a->task,
                                  .attempt = a->attempt,
                                  .fence = a->u.lease.fence,
                                  .seen = m->now };
    return 0;
}

/* ---- what the engine wants ---- */

int grant_on_lease(struct mesh *m, const struct action *a)
{
    struct peer *p = peer_at(m, a->u.lease.worker);
    struct group *g = group_find(m, &a->run);
    struct post post = { .type = POST_GRANT, .run = a->run };
    struct lease_entry *l;
    int error = take_slot(m, a, &l);

    if (error < 0)
        return error;
    l->id = (uint64_t)(++m->last_lease & INT32_MAX) << 32 | a->slot;
    post.u.lease = (struct lease){ .id = l->id,
                                   .run = a->run,
                                   .task = a->task,
                                   .attempt = a->attempt,
                                   .fence = a->u.lease.fence };
    error = g ? lead_add_holder(g, p->number) : 0;
    return error ? error : post_add(m, p, &post);
}

/* What a worker reported while the run was read back. */
int grant_on_leased(struct mesh *m, const struct action *a)
{
    const struct group *g = group_find(m, &a->run);
    bool is_started = m->held && m->held->is_started;
    const struct attempt_name *name =
        m->held ? &m->held->name
        : g     ? lead_reported(g, a->u.lease.worker, &a->task, &is_started)
                : NULL;
    struct lease_entry *l;
    struct adopted *adopted;
    int error = take_slot(m, a, &l);

    if (error < 0 || !name)
        return error;
    adopted = calloc(1, sizeof(*adopted));
    if (!adopted)
        return -ENOMEM;
    l->id = LEASE_OF_WORKER | name->counter;
    l->is_adopted = true;
    l->is_started = is_started;
    adopted->key.id = l->id;
    adopted->key.peer = l->peer;
    adopted->slot = a->slot;
    HASH_ADD(hh, m->adopted, key, sizeof(adopted->key), adopted);
    if (adopted->hh.tbl)
        return 0;
    free(adopted);
    return -ENOMEM;
}

int grant_on_recall(struct mesh *m, const struct action *a)
{
    const struct lease_entry *l = lease_at(m, a->slot);
    struct post post = { .type = POST_RECALL, .run = a->run };
    struct peer *p;

    if (!l)
        return 0;
    p = peer_at(m, l->peer);
    post.u.recall.lease = l->id;
    post.u.recall.signal = a->u.kill.signal;
    post.u.recall.why = a->u.kill.why;
    if (a->u.kill.why == REASON_LOST)
        lease_free(m, a->slot);
    return post_add(m, p, &post);
}

/* ---- what workers say ---- */

static void read_capacity(const struct member_card *card, struct resources *ret,
                          char **names)
{
    size_t n = min_size(card->n_custom, RESOURCES_CUSTOM_MAX);

    *ret = (struct resources){ .cpu_milli = card->cpu_milli,
                               .memory_bytes = card->memory_bytes,
                               .disk_bytes = card->disk_bytes,
                               .gpu_milli = (uint64_t)card->n_gpus * 1000,
                               .n_custom = (uint32_t)n };
    for (size_t i = 0; i < n; i++) {
        names[i] = card->custom[i].name;
        ret->custom[i].name = (uint32_t)i;
        ret->custom[i].milli = card->custom[i].milli;
    }
    names[n] = NULL;
}

int grant_take_want(struct mesh *m, struct peer *p)
{
    struct event e = { .type = EVENT_WORKER };
    const struct want_message *w = &p->wanted;
    char *names[RESOURCES_CUSTOM_MAX + 1];
    struct resources capacity;
    struct member_view view;

    if (!p->has_new_want || !p->is_live || w->boot != peer_boot(p)
        || !gossip_find(m->gossip, &p->id, &view) || !view.note->has_card)
        return 0;
    p->has_new_want = false;
    p->is_worker = true;
    read_capacity(&view.note->card, &capacity, names);
    e.u.worker.worker = p->number;
    e.u.worker.node = p->id;
    e.u.worker.slots = w->slots < GUESTS_PER_PEER_MAX ? w->slots : GUESTS_PER_PEER_MAX;
    e.u.worker.ahead_percent = w->ahead_percent;
    e.u.worker.capacity = &capacity;
    e.u.worker.custom_names = names;
    return engine_step(m, &e);
}

/* Its word may be faster than what gossip tells of it. */
int grant_on_want(struct mesh *m, struct peer *p, const struct want_message *w)
{
    if (w->boot < p->wanted.boot
        || (w->boot == p->wanted.boot && w->seq <= p->wanted.seq))
        return 0;
    p->wanted = *w;
    p->has_new_want = true;
    return grant_take_want(m, p);
}

int grant_give_back(struct mesh *m, uint32_t slot)
{
    struct event e = { .type = EVENT_LEASE_RETURNED, .run = lease_at(m, slot)->run };

    e.u.lease = slot;
    lease_free(m, slot);
    return engine_step(m, &e);
}

static int give_back_all(struct mesh *m, const struct peer *p, const uint64_t *ids,
                         size_t n)
{
    int error = 0;

    for (size_t i = 0; i < n && error == 0; i++) {
        uint32_t slot = slot_of(m, p, ids[i]);

        if (slot)
            error = grant_give_back(m, slot);
    }
    return error;
}

/* First of all the run is not for this worker any more, then its leases come back. */
static int take_refusals(struct mesh *m, const struct peer *p,
                         const struct commit_message *c)
{
    struct event e = { .type = EVENT_REFUSED };
    int error = 0;

    e.u.refused.worker = p->number;
    e.u.refused.why = (enum refusal)c->refusal;
    for (size_t i = 0; i < c->n_refused && error == 0; i++) {
        uint32_t slot = slot_of(m, p, c->refused[i]);

        if (!slot)
            continue;
        e.run = lease_at(m, slot)->run;
        error = engine_step(m, &e);
    }
    return error ? error : give_back_all(m, p, c->refused, c->n_refused);
}

int grant_on_recalled(struct mesh *m, struct peer *p, const struct recalled_message *r)
{
    return give_back_all(m, p, r->leases, r->n_leases);
}

int grant_started(struct mesh *m, uint32_t slot)
{
    struct lease_entry *l = lease_at(m, slot);
    struct event e = { .type = EVENT_LEASE_STARTED, .run = l->run };

    if (l->is_started)
        return 0;
    l->is_started = true;
    e.u.lease = slot;
    return engine_step(m, &e);
}

/* ---- attempts that ended ---- */

int attempt_of_offer(struct mesh *m, const struct peer *p,
                     const struct offered_attempt *offer, struct attempt_record *ret)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    int error = attempt_record_decode(offer->record, offer->record_len, &r);

    if (error < 0)
        return error;
    r.run = offer->run;
    r.task = offer->task;
    r.node = offer->name.node;
    r.boot = offer->name.boot;
    r.counter = offer->name.counter;
    r.witness = offer->witness;
    r.has_witness = true;
    error = sign_check(m, p, &r);
    if (error < 0)
        return error;
    *ret = r;
    r = (struct attempt_record){ .attempt = 0 };
    return 0;
}

int grant_tell_engine(struct mesh *m, struct peer *p, struct event *e,
                      const struct offered_attempt *offer)
{
    int error;

    m->offer = offer;
    m->offerer = p;
    m->is_offer_taken = false;
    error = engine_step(m, e);
    m->offer = NULL;
    return error;
}

int grant_end_lease(struct mesh *m, struct group *g, struct peer *p, uint32_t slot,
                    const struct offered_attempt *offer)
{
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct event e = { .type = EVENT_TASK_ENDED, .run = offer->run };
    int error = attempt_of_offer(m, p, offer, &record);

    if (error == -ENOMEM)
        return error;
    if (error < 0) {
        error = grant_give_back(m, slot);
        return error ? error
                     : late_answer(m, p, &offer->run, &offer->name, OFFER_LOSER, 0);
    }
    error = grant_started(m, slot);
    if (error == 0)
        error = keep_begin(m, g, &offer->task, &record);
    if (error < 0)
        return error;
    lease_free(m, slot);
    e.u.ended.slot = slot;
    e.u.ended.record = &record;
    return grant_tell_engine(m, p, &e, offer);
}

/* One that another leader granted may have consumed what does not count here. */
static bool is_own_lease(const struct mesh *m, uint32_t slot,
                         const struct offered_attempt *offer)
{
    const struct lease_entry *l = lease_at(m, slot);

    return l && !l->is_adopted && is_same_run(&l->run, &offer->run)
           && task_id_equal(&l->task, &offer->task);
}

static int take_offer(struct mesh *m, struct peer *p, const struct rank *rank,
                      const struct offered_attempt *offer)
{
    struct group *g = group_find(m, &offer->run);
    uint32_t slot = slot_of(m, p, offer->lease);
    struct rank mine;

    if (!node_id_equal(&offer->name.node, &p->id))
        return sign_refuse(m, p, &offer->run, &offer->task, -EXDEV);
    if (!g || g->phase != LEAD_FULL)
        return late_offer(m, p, g, offer);
    mine = group_rank(m, g);
    if (slot && rank_compare(rank, &mine) == 0 && is_own_lease(m, slot, offer))
        return grant_end_lease(m, g, p, slot, offer);
    return late_offer(m, p, g, offer);
}

static int correct_rank(struct mesh *m, struct peer *p, const struct run_id *run,
                        const struct rank *rank)
{
    const struct group *g = group_find(m, run);
    struct rank mine;

    if (!g || g->phase != LEAD_FULL)
        return 0;
    mine = group_rank(m, g);
    return rank_compare(rank, &mine) < 0 ? lead_tell(m, g, &p->id) : 0;
}

int grant_on_commit(struct mesh *m, struct peer *p, const struct commit_message *c)
{
    int error = give_back_all(m, p, c->dropped, c->n_dropped);

    if (error == 0)
        error = take_refusals(m, p, c);
    for (size_t i = 0; i < c->n_attempts && error == 0; i++)
        error = take_offer(m, p, &c->rank, &c->attempts[i]);
    if (error == 0 && c->n_attempts)
        error = correct_rank(m, p, &c->attempts[0].run, &c->rank);
    return error;
}

int grant_refuse_held(struct mesh *m, struct group *g, struct peer *p,
                      const struct held_lease *held)
{
    uint64_t id = LEASE_OF_WORKER | held->name.counter;
    struct post post = { .type = POST_RECALL,
                         .run = g->run,
                         .u.recall = { .lease = held->lease ? held->lease : id,
                                       .signal = SIGKILL,
                                       .why = REASON_LOST } };

    return slot_of(m, p, id) ? 0 : post_add(m, p, &post);
}

/* A lease that was given up here, but lives. */
static int adopt(struct mesh *m, struct group *g, struct peer *p,
                 const struct held_lease *held)
{
    struct event e = { .type = EVENT_HELD, .run = g->run };
    int error;

    /* A grant that came late; what has a fence would wait for a permit for ever. */
    if (held->lease != (LEASE_OF_WORKER | held->name.counter))
        return held->fence ? grant_refuse_held(m, g, p, held) : 0;
    e.u.held.worker = p->number;
    e.u.held.task = held->task;
    e.u.held.fence = held->fence;
    e.u.held.is_started = held->is_started;
    m->held = held;
    error = engine_step(m, &e);
    m->held = NULL;
    return error ? error : grant_refuse_held(m, g, p, held);
}

bool grant_is_held(const struct mesh *m, const struct group *g, const struct peer *p,
                   const struct held_lease *held)
{
    uint32_t slot = slot_of(m, p, held->lease);
    const struct lease_entry *l = slot ? lease_at(m, slot) : NULL;

    return l && l->is_started && l->fence == held->fence
           && is_same_run(&l->run, &g->run) && task_id_equal(&l->task, &held->task);
}

int grant_on_report(struct mesh *m, struct group *g, struct peer *p,
                    const struct report_message *r)
{
    int error = lead_add_holder(g, p->number);

    for (size_t i = 0; i < r->n_held && error == 0; i++) {
        uint32_t slot = slot_of(m, p, r->held[i].lease);

        if (!slot) {
            error = adopt(m, g, p, &r->held[i]);
            continue;
        }
        lease_at(m, slot)->seen = m->now;
        if (r->held[i].is_started)
            error = grant_started(m, slot);
    }
    if (error == 0)
        error = permit_answer(m, g, p, r);
    for (size_t i = 0; i < r->n_kept && error == 0; i++)
        error = take_offer(m, p, &r->rank, &r->kept[i]);
    return error;
}

/* ---- leases that end otherwise ---- */

int grant_on_peer_gone(struct mesh *m, struct peer *p)
{
    struct event e = { .type = EVENT_WORKER_GONE };

    p->has_new_want = p->wanted.seq > 0;
    for (size_t i = 0; i < m->n_leases; i++)
        if (m->leases[i].is_used && m->leases[i].peer == p->number)
            lease_free(m, m->slots_max + (uint32_t)i);
    if (!p->is_worker)
        return 0;
    p->is_worker = false;
    e.u.worker.worker = p->number;
    return engine_step(m, &e);
}

/* A message was lost: the worker does not know of the lease. */
int grants_on_tick(struct mesh *m)
{
    int error = 0;

    for (size_t i = 0; i < m->n_leases && error == 0; i++) {
        const struct lease_entry *l = &m->leases[i];

        if (l->is_used && m->now > l->seen + LEASE_TTL)
            error = grant_give_back(m, m->slots_max + (uint32_t)i);
    }
    return error;
}

void grants_drop(struct mesh *m, const struct run_id *run)
{
    for (size_t i = 0; i < m->n_leases; i++)
        if (m->leases[i].is_used && is_same_run(&m->leases[i].run, run))
            lease_free(m, m->slots_max + (uint32_t)i);
}

void grants_release(struct mesh *m)
{
    struct adopted *a, *next;

    HASH_ITER (hh, m->adopted, a, next) {
        HASH_DEL(m->adopted, a);
        free(a);
    }
    free(m->leases);
}
