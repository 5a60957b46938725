/* SPDX-License-Identifier: Apache-2.0 */
/* A planned restart. For the others the node is silent for a moment: it keeps its boot,
 * so what runs here stays leased to it. It leads nothing while it is away: what it ran
 * as a leader are guests, of whoever leads then, itself too. */
#include <errno.h>

#include "node/mesh_internal.h"

enum { REFUTED_MAX_BITS = 16 };

uint64_t mesh_incarnation(uint32_t boot, uint32_t term)
{
    return ((uint64_t)boot << 32) + ((uint64_t)(term - boot) << REFUTED_MAX_BITS);
}

/* ---- before ---- */

static int lead_what_is_ours(struct mesh *m)
{
    struct group *g, *next;
    int error = 0;

    HASH_ITER (hh, m->groups, g, next)
        if (error == 0 && g->phase == LEAD_NONE && !group_is_mesh(g)
            && (!g->replica || replica_leads(g->replica)))
            error = lead_begin(m, g);
    return error;
}

int pause_on(struct mesh *m, bool is_on)
{
    struct event pause = { .type = EVENT_PAUSE, .u.is_paused = is_on };
    struct event drain = { .type = EVENT_DRAIN };
    int error;

    if (is_on == m->is_paused)
        return 0;
    m->is_paused = is_on;
    if (is_on)
        m->was_draining = m->is_draining;
    m->is_draining = is_on || m->was_draining;
    drain.u.is_draining = m->is_draining;
    error = engine_step(m, &pause);
    if (error == 0)
        error = engine_step(m, &drain);
    if (error == 0)
        error = guests_on_drain(m);
    if (error == 0 && !is_on)
        error = lead_what_is_ours(m);
    return error ? error : want_update(m);
}

static bool is_leading(const struct group *g)
{
    return g->phase == LEAD_LOADING || g->phase == LEAD_FULL;
}

/* What started from results that are not decided may have consumed what will never
 * count, so a log is left when it is settled, if it ever is. */
int pause_step_down(struct mesh *m, bool is_forced)
{
    struct group *g, *next;
    int error = 0;

    HASH_ITER (hh, m->groups, g, next)
        if (error == 0 && m->is_paused && is_leading(g)
            && (is_forced || group_is_settled(g)))
            error = lead_end(m, g);
    return error;
}

bool mesh_leads_nothing(const struct mesh *m)
{
    const struct group *g;

    for (g = m->groups; g; g = g->hh.next)
        if (is_leading(g))
            return false;
    return true;
}

bool mesh_guest_in(const struct mesh *m, uint32_t slot, struct mesh_guest *ret)
{
    const struct guest *g = guest_in_slot(m, slot);

    if (!g)
        return false;
    *ret = (struct mesh_guest){ .run = g->work->run,
                                .task = g->task,
                                .attempt = g->attempt,
                                .slot = slot,
                                .gpus = g->gpus,
                                .fence = g->fence,
                                .lease = g->lease,
                                .counter = g->counter,
                                .started = g->started,
                                .witness = g->witness,
                                .has_witness = g->has_witness,
                                .is_void = g->is_void,
                                .rank = g->work->rank,
                                .leader = g->work->leader };
    return true;
}

/* ---- after ---- */

static int take_in(struct mesh *m, struct work *w, const struct mesh_guest *from,
                   struct flow *flow)
{
    struct event e = { .type = EVENT_GUEST_RUNNING, .run = from->run };
    struct guest *g;
    int error = guest_add(m, w, ++m->last_guest, &g);

    if (error < 0)
        return error;
    g->counter = from->counter;
    g->state = GUEST_RUNNING;
    g->lease = from->lease;
    g->task = from->task;
    g->attempt = from->attempt;
    g->slot = from->slot;
    g->gpus = from->gpus;
    g->fence = from->fence;
    g->witness = from->witness;
    g->has_witness = from->has_witness;
    g->is_void = from->is_void;
    g->started = from->started;
    m->in_slot[g->slot] = g;
    e.u.running.task = from->task;
    e.u.running.slot = from->slot;
    e.u.running.attempt = from->attempt;
    e.u.running.gpus = from->gpus;
    e.u.running.started = from->started;
    e.u.running.guest = g->number;
    e.u.running.flow = flow;
    return engine_step(m, &e);
}

int pause_on_restored(struct mesh *m, const struct mesh_event *event)
{
    const struct mesh_guest *from = event->u.restored.guest;
    struct work *w;
    int error;

    if (from->slot >= m->slots_max || m->in_slot[from->slot])
        return 0;
    error = work_get(m, &from->run, &w);
    if (error < 0 || !w)
        return error;
    w->rank = from->rank;
    w->leader = from->leader;
    return take_in(m, w, from, event->u.restored.flow);
}
