/* SPDX-License-Identifier: Apache-2.0 */
/* Permits: how long what has a fence may run.
 *
 * A leader may have been replaced and not know it yet. So it permits only as much as
 * follows from its last *proof*: an entry of its log that it proposed and that was
 * decided. When it proposed it nobody led after it, and who leads next waits
 * EXCLUSIVE_WAIT before it starts another attempt. Where nothing else is to be decided
 * an empty entry is the proof.
 *
 *     worker   report 7 ------------.                            until = when it was
 * sent leader   ... proof ... now ----'- grant: report 7, age ->  + PERMIT - age
 *
 * A report is sent before it is answered, so no clock is compared with another's; only
 * that they run about as fast is assumed. What is delayed on its way is worth less. */
#include <errno.h>
#include <stdlib.h>

#include "node/mesh_internal.h"

static const time_us PROOF_AGE = TIME_MS(700); /* an older one is followed by another */
static const time_us PROOF_WAIT = TIME_S(1);   /* for one that is on its way */

/* ---- the leader ---- */

static time_us proof_of(const struct mesh *m, const struct group *g)
{
    return g->replica ? g->proof : m->now;
}

static bool may_permit(const struct mesh *m, const struct group *g)
{
    return g->phase == LEAD_FULL && !g->is_tentative
           && proof_of(m, g) + EXCLUSIVE_PERMIT > m->now + EXCLUSIVE_WARNING;
}

static int want_proof(struct mesh *m, struct group *g)
{
    struct entry e = { .index = 0 };

    if (!g->replica || g->phase != LEAD_FULL || g->is_tentative
        || m->now < g->proof + PROOF_AGE || m->now < g->proof_asked + PROOF_WAIT)
        return 0;
    g->proof_asked = m->now;
    return group_propose(m, g, &e, NULL);
}

static int permit(struct mesh *m, const struct run_id *run, uint32_t slot,
                  time_us until)
{
    return mesh_emit(m, &(struct action){ .type = ACTION_PERMIT,
                                          .run = *run,
                                          .slot = slot,
                                          .u.permit_until = until });
}

int permit_local(struct mesh *m, struct group *g, uint32_t slot)
{
    if (!may_permit(m, g))
        return want_proof(m, g);
    return permit(m, &g->run, slot,
                  g->replica ? proof_of(m, g) + EXCLUSIVE_PERMIT : TIME_NEVER);
}

/* What the engine started here for a run of its own. */
static bool is_own(const struct mesh *m, const struct group *g, uint32_t slot)
{
    struct run_id run;
    struct task_id task;
    uint32_t attempt;

    return node_slot_fence(m->node, slot) && !guest_in_slot(m, slot)
           && node_slot(m->node, slot, &run, &task, &attempt)
           && is_same_run(&run, &g->run);
}

int permits_on_tick(struct mesh *m, struct group *g)
{
    int error = 0;

    if (!g->replica || g->phase != LEAD_FULL || !g->has_fences)
        return 0;
    for (uint32_t i = 0; i < m->slots_max && error == 0; i++)
        if (is_own(m, g, i))
            error = want_proof(m, g);
    return error;
}

int permits_on_proof(struct mesh *m, struct group *g, time_us proposed)
{
    int error = 0;

    if (proposed <= g->proof)
        return 0;
    g->proof = proposed;
    for (uint32_t i = 0; g->has_fences && i < m->slots_max && error == 0; i++)
        if (is_own(m, g, i) && may_permit(m, g))
            error = permit_local(m, g, i);
    return error;
}

int permit_answer(struct mesh *m, struct group *g, struct peer *p,
                  const struct report_message *r)
{
    struct message msg = { .type = MESSAGE_GRANT };
    CLEANUP(freep) struct lease *leases = calloc(r->n_held + 1, sizeof(*leases));
    size_t n = 0;
    int error = 0;

    if (!leases)
        return -ENOMEM;
    for (size_t i = 0; i < r->n_held; i++)
        if (r->held[i].fence && grant_is_held(m, g, p, &r->held[i]))
            leases[n++] = (struct lease){ .id = r->held[i].lease,
                                          .run = g->run,
                                          .task = r->held[i].task,
                                          .attempt = r->held[i].attempt,
                                          .fence = r->held[i].fence };
    if (n)
        error = want_proof(m, g);
    if (error < 0 || !n || !may_permit(m, g))
        return error;
    msg.u.grant = (struct grant_message){ .boot = r->boot,
                                          .rank = group_rank(m, g),
                                          .leases = leases,
                                          .n_leases = n,
                                          .report = r->seq,
                                          .age = m->now - proof_of(m, g) };
    return p == m->me ? permit_on_grant(m, p, &msg.u.grant)
                      : mesh_send(m, &p->id, &msg, 0);
}

/* ---- the worker ---- */

void permit_asked(struct work *w, uint64_t report, time_us now)
{
    w->asked[report % PERMITS_ASKED_MAX] = (struct asked_permit){ report, now };
}

static struct guest *find_guest(struct work *w, const struct lease *l)
{
    struct guest *g;

    for (g = w->guests; g; g = g->next)
        if (!g->is_void && g->state == GUEST_RUNNING && g->lease == l->id
            && g->fence == l->fence && task_id_equal(&g->task, &l->task))
            return g;
    return NULL;
}

static int extend(struct mesh *m, struct work *w, const struct lease *l, time_us until)
{
    struct guest *g = find_guest(w, l);

    if (!g || until <= g->permit_until)
        return 0;
    g->permit_until = until;
    return permit(m, &w->run, g->slot, until);
}

int permit_on_grant(struct mesh *m, struct peer *p, const struct grant_message *msg)
{
    int error = 0;

    for (size_t i = 0; i < msg->n_leases && error == 0; i++) {
        struct work *w = work_find(m, &msg->leases[i].run);
        const struct asked_permit *a =
            w ? &w->asked[msg->report % PERMITS_ASKED_MAX] : NULL;

        if (!w || a->report != msg->report || msg->age >= EXCLUSIVE_PERMIT
            || !work_obeys(m, w, p, &msg->rank))
            continue;
        error = extend(m, w, &msg->leases[i], a->at + EXCLUSIVE_PERMIT - msg->age);
    }
    return error;
}

bool permit_is_due(const struct mesh *m, const struct work *w)
{
    const struct guest *g;

    for (g = w->guests; g; g = g->next)
        if (g->fence && !g->is_void && g->state == GUEST_RUNNING
            && (!g->is_asked || m->now >= w->reported + PERMIT_EVERY))
            return true;
    return false;
}
