/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of leases.
 *
 *     preparing -- all is here --> waiting -- room --> running -- ended --> kept
 *         '-- cannot be had: dropped      '-- recalled: given back
 *
 * Each has the worker's own number from the first moment: it is the name of the attempt
 * that comes of it, under whichever leader. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

static struct guest *find(const struct mesh *m, uint64_t number)
{
    struct guest *g;

    HASH_FIND(hh, m->guests, &number, sizeof(number), g);
    return g;
}

struct guest *guest_in_slot(const struct mesh *m, uint32_t slot)
{
    return slot < m->slots_max ? m->in_slot[slot] : NULL;
}

void guest_free(struct mesh *m, struct guest *g)
{
    HASH_DEL(m->guests, g);
    DL_DELETE(g->work->guests, g);
    if (guest_in_slot(m, g->slot) == g)
        m->in_slot[g->slot] = NULL;
    free(g);
}

int guest_add(struct mesh *m, struct work *w, uint64_t number, struct guest **ret)
{
    struct guest *g = calloc(1, sizeof(*g));

    if (!g)
        return -ENOMEM;
    g->number = number;
    g->work = w;
    g->slot = NODE_SLOT_NONE;
    g->counter = ++m->last_counter;
    HASH_ADD(hh, m->guests, number, sizeof(g->number), g);
    if (!g->hh.tbl) {
        free(g);
        return -ENOMEM;
    }
    DL_APPEND(w->guests, g);
    *ret = g;
    return 0;
}

static int post_lease(struct mesh *m, const struct work *w, enum post_type type,
                      uint64_t lease)
{
    struct post post = { .type = type, .run = w->run, .u.lease_id = lease };
    struct peer *p = peer_find(m, &w->leader);

    return p && lease ? post_add(m, p, &post) : 0;
}

static int post_refusal(struct mesh *m, const struct work *w, uint64_t lease,
                        enum refusal why)
{
    struct post post = { .type = POST_REFUSED,
                         .run = w->run,
                         .u.refused = { .lease = lease, .why = why } };
    struct peer *p = peer_find(m, &w->leader);

    return p && lease ? post_add(m, p, &post) : 0;
}

/* ---- a lease ---- */

static int prepare(struct mesh *m, const struct guest *g)
{
    struct action a = { .type = ACTION_PREPARE,
                        .run = g->work->run,
                        .task = g->task,
                        .attempt = g->attempt,
                        .slot = NODE_SLOT_NONE };

    a.u.mesh.peer = g->work->leader;
    a.u.mesh.token = g->number;
    return mesh_emit(m, &a);
}

/* One of this task that is prepared or runs already answers for it, if it was asked for
 * by an older leader. */
static struct guest *find_twin(struct work *w, const struct lease *l)
{
    struct guest *g;

    DL_FOREACH(w->guests, g)
    if (!g->is_void && task_id_equal(&g->task, &l->task))
        return g;
    return NULL;
}

static int take(struct mesh *m, struct work *w, const struct lease *l)
{
    struct guest *g = find_twin(w, l);
    int error;

    if (g && g->fence == l->fence) {
        g->lease = l->id;
        return 0;
    }
    /* Whatever it waited for, nobody permits it with a fence of before. */
    error = g ? guest_abandon(m, g) : 0;
    if (error < 0)
        return error;
    if (m->is_draining || HASH_COUNT(m->guests) >= GUESTS_MAX)
        return post_lease(m, w, POST_RECALLED, l->id);
    error = guest_add(m, w, ++m->last_guest, &g);
    if (error < 0)
        return error;
    g->state = GUEST_PREPARING;
    g->lease = l->id;
    g->task = l->task;
    g->attempt = l->attempt;
    g->gpus = l->gpus;
    g->fence = l->fence;
    return prepare(m, g);
}

int guest_on_grant(struct mesh *m, struct peer *p, const struct grant_message *msg)
{
    int error = 0;

    if (msg->boot != m->boot)
        return 0;
    if (msg->report)
        return permit_on_grant(m, p, msg);
    for (size_t i = 0; i < msg->n_leases && error == 0; i++) {
        struct work *w;

        error = work_get(m, &msg->leases[i].run, &w);
        if (error == 0 && w && !w->is_over && work_obeys(m, w, p, &msg->rank))
            error = take(m, w, &msg->leases[i]);
    }
    return error;
}

/* ---- prepared ---- */

static bool is_good(const struct kept *k)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

    return attempt_record_decode(k->record, k->record_len, &r) == 0
           && r.reason == REASON_OK;
}

/* What ended well here before with the same inputs is offered instead of run again. A
 * failure is not: this lease may be the try that follows it. */
static struct kept *find_kept(const struct guest *g)
{
    struct kept *k;

    DL_FOREACH(g->work->kept, k)
    if (task_id_equal(&k->task, &g->task) && digest_equal(&k->witness, &g->witness)
        && is_good(k))
        return k;
    return NULL;
}

static int queue(struct mesh *m, struct guest *g, struct flow *flow)
{
    struct event e = { .type = EVENT_GUEST, .run = g->work->run };

    g->state = GUEST_WAITING;
    e.u.guest.guest = g->number;
    e.u.guest.flow = flow;
    e.u.guest.task = g->task;
    e.u.guest.attempt = g->attempt;
    return engine_step(m, &e);
}

/* An attempt that never came to run, by its own fault. */
static int fail(struct mesh *m, struct guest *g, const struct mesh_event *event)
{
    struct attempt_record r = { .run = g->work->run,
                                .task = g->task,
                                .attempt = g->attempt,
                                .verdict = VERDICT_FAILED,
                                .reason = event->u.prepared.reason,
                                .message = (char *)event->u.prepared.text,
                                .started_wall = m->wall,
                                .ended_wall = m->wall,
                                .node = m->self,
                                .boot = m->boot,
                                .counter = g->counter };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error;

    g->witness = event->u.prepared.witness;
    error = attempt_record_encode(&r, &bytes);
    if (error == 0)
        error = work_keep(m, g, bytes.data, bytes.len);
    if (error == 0)
        guest_free(m, g);
    return error;
}

int guest_on_prepared(struct mesh *m, const struct mesh_event *event)
{
    struct guest *g = find(m, event->token);
    struct work *w;
    struct kept *k;
    int error;

    if (!g || g->state != GUEST_PREPARING)
        return 0;
    w = g->work;
    if (event->status < 0 && event->u.prepared.is_fault)
        return fail(m, g, event);
    if (event->status < 0) {
        error = event->u.prepared.refusal
                    ? post_refusal(m, w, g->lease, event->u.prepared.refusal)
                    : post_lease(m, w, POST_DROPPED, g->lease);
        guest_free(m, g);
        return error ? error : work_collect(m, w);
    }
    g->witness = event->u.prepared.witness;
    g->has_witness = true;
    k = find_kept(g);
    if (!k)
        return queue(m, g, event->u.prepared.flow);
    k->lease = g->lease;
    k->offered = 0; /* at the next tick */
    m->housekeeping_at = m->now;
    guest_free(m, g);
    return 0;
}

/* ---- the engine's answers ---- */

int guest_on_started(struct mesh *m, const struct action *a)
{
    struct guest *g = find(m, a->u.start.guest);

    if (!g)
        return mesh_emit(m, a);
    g->state = GUEST_RUNNING;
    g->slot = a->slot;
    g->started = m->now;
    m->in_slot[a->slot] = g;
    if (g->fence) { /* its leader is asked at once */
        struct action start = *a;

        start.u.start.fence = g->fence;
        m->housekeeping_at = m->now;
        return mesh_emit(m, &start);
    }
    return mesh_emit(m, a);
}

int guest_on_ended(struct mesh *m, const struct action *a)
{
    struct guest *g = find(m, a->u.guest.guest);
    struct work *w;
    int error = 0;

    if (!g)
        return 0;
    w = g->work;
    if (!g->is_void && g->has_witness)
        error = work_keep(m, g, a->u.guest.record, a->u.guest.record_len);
    guest_free(m, g);
    return error ? error : work_collect(m, w);
}

int guest_on_returned(struct mesh *m, const struct action *a)
{
    struct guest *g = find(m, a->u.guest.guest);
    struct work *w;
    int error = 0;

    if (!g)
        return 0;
    w = g->work;
    if (!g->is_void)
        error = post_lease(m, w, POST_RECALLED, g->lease);
    guest_free(m, g);
    return error ? error : work_collect(m, w);
}

/* ---- recalled ---- */

static int unprepare(struct mesh *m, const struct guest *g)
{
    struct action a = { .type = ACTION_UNPREPARE,
                        .run = g->work->run,
                        .task = g->task,
                        .slot = NODE_SLOT_NONE };

    a.u.mesh.token = g->number;
    return mesh_emit(m, &a);
}

static int end(struct mesh *m, struct guest *g, int signal, enum reason why)
{
    struct event e = { .type = EVENT_GUEST_END, .run = g->work->run };
    struct work *w = g->work;
    int error;

    if (g->state == GUEST_PREPARING) {
        error = unprepare(m, g);
        if (error == 0 && !g->is_void)
            error = post_lease(m, w, POST_RECALLED, g->lease);
        guest_free(m, g);
        return error;
    }
    e.u.guest.guest = g->number;
    e.u.guest.task = g->task;
    e.u.guest.attempt = g->attempt;
    e.u.guest.signal = signal;
    e.u.guest.why = why;
    return engine_step(m, &e);
}

int guest_abandon(struct mesh *m, struct guest *g)
{
    g->is_void = true;
    return end(m, g, SIGKILL, REASON_CANCELLED);
}

/* Those that wait the engine gives back itself. */
int guests_on_drain(struct mesh *m)
{
    struct guest *g, *next;
    int error = 0;

    HASH_ITER (hh, m->guests, g, next)
        if (error == 0 && m->is_draining && g->state == GUEST_PREPARING)
            error = end(m, g, 0, REASON_CANCELLED);
    return error;
}

static struct guest *find_lease(const struct mesh *m, const struct peer *p,
                                const struct rank *rank, uint64_t lease)
{
    struct guest *g;

    for (g = m->guests; g; g = g->hh.next)
        if (g->lease == lease && node_id_equal(&g->work->leader, &p->id)
            && rank_compare(rank, &g->work->rank) == 0)
            return g;
    return NULL;
}

int guest_on_recall(struct mesh *m, struct peer *p, const struct recall_message *msg)
{
    int error = 0;

    if (msg->signal && msg->signal != SIGTERM && msg->signal != SIGKILL)
        return 0;

    for (size_t i = 0; i < msg->n_leases && error == 0; i++) {
        struct guest *g = find_lease(m, p, &msg->rank, msg->leases[i]);

        if (!g)
            continue;
        if (msg->why == REASON_LOST)
            g->is_void = true;
        error =
            end(m, g, msg->signal,
                msg->why >= REASON_OK && msg->why <= REASON_LAST ? (enum reason)msg->why
                                                                 : REASON_CANCELLED);
    }
    return error;
}

/* ---- what the engine ran as its own, for a run that is led elsewhere now ---- */

/* What was started from results that are not decided may have consumed what will never
 * count; nobody could tell afterwards. */
int guest_on_local(struct mesh *m, const struct action *a)
{
    const struct group *group = group_find(m, &a->run);
    struct action ask = { .type = ACTION_WITNESS,
                          .run = a->run,
                          .task = a->task,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    struct work *w;
    struct guest *g;
    struct read *r;
    int error = work_get(m, &a->run, &w);

    if (error == 0 && w)
        error = guest_add(m, w, a->u.guest.guest, &g);
    if (error < 0 || !w)
        return error;
    g->state = GUEST_RUNNING;
    g->task = a->task;
    g->attempt = a->attempt;
    g->slot = a->slot;
    g->started = m->now;
    g->lease = LEASE_OF_WORKER | g->counter;
    m->in_slot[a->slot] = g;
    g->fence = a->u.guest.fence;
    /* What it consumed was decided before its fence was. */
    g->is_void = !group || (!g->fence && !group_is_settled(group));
    r = g->is_void ? NULL : read_add(m, READ_LOCAL_WITNESS, &group->id);
    if (!r) {
        g->is_void = true;
        return 0;
    }
    r->guest = g->number;
    ask.u.mesh.token = r->token;
    return mesh_emit(m, &ask);
}

int guest_on_local_witness(struct mesh *m, struct read *r,
                           const struct mesh_event *event)
{
    struct guest *g = find(m, r->guest);

    if (!g)
        return 0;
    g->has_witness = event->status == 0;
    g->witness = event->u.witness;
    g->is_void = g->is_void || !g->has_witness;
    return 0;
}
