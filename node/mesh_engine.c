/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's events, and what becomes of its answers: a record goes into the log of
 * its run, and who waits for it waits until it is decided. A run with one home has its
 * disk for that, as a node alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

/* What became of a ticket of the engine's. */
struct written {
    uint64_t ticket;     /* ours; 0: it is an entry */
    struct group *group; /* of the entry, which is its last but `behind` */
    size_t position;
};

struct translation {
    struct written *all;
    size_t n, cap;
    uint64_t first; /* the engine's ticket of all[0] */
    struct group *group;
    struct run_id run;     /* of the group */
    struct action *starts; /* and kills of these */
    size_t n_starts, cap_starts;
};

static struct group *find(struct mesh *m, struct translation *t,
                          const struct run_id *run)
{
    if (!t->group || !is_same_run(&t->run, run)) {
        t->group = group_find(m, run);
        t->run = *run;
    }
    if (t->group)
        group_mark(m, t->group);
    return t->group;
}

static bool is_offers(const struct mesh *m, const struct action *a)
{
    const uint8_t *key = a->u.persist.key;

    return m->offer && !m->is_offer_taken && key[0] == 'a'
           && is_same_run(&m->offer->run, &a->run);
}

/* Into the log. */
static int propose(struct mesh *m, struct group *g, const struct action *a,
                   struct written *w)
{
    struct log_entry log = { .key = (uint8_t *)a->u.persist.key,
                             .key_len = a->u.persist.key_len,
                             .value = (uint8_t *)a->u.persist.value,
                             .value_len = a->u.persist.value_len,
                             .is_delete = a->u.persist.is_delete,
                             .is_again = a->u.persist.is_again };
    struct entry e = { .index = 0 };
    int error = log_entry_copy(&log, &e.log);

    if (error < 0)
        return error;
    if (is_offers(m, a)) {
        e.offerer = m->offerer->number;
        e.name = m->offer->name;
        m->is_offer_taken = true;
    }
    *w = (struct written){ .group = g, .position = g->entries.n + g->entries.n_new };
    return group_propose(m, g, &e, NULL);
}

/* Of a run with one home. */
static int write(struct mesh *m, struct group *g, const struct action *a,
                 struct written *w)
{
    bool is_tentative = g && g->is_tentative;
    const struct mesh_write out = { .key = a->u.persist.key,
                                    .key_len = a->u.persist.key_len,
                                    .value = a->u.persist.value,
                                    .value_len = a->u.persist.value_len,
                                    .is_urgent = a->u.persist.is_urgent,
                                    .is_delete = a->u.persist.is_delete,
                                    .is_range = a->u.persist.is_range,
                                    .with_next = a->u.persist.with_next };
    int error = is_tentative ? tentative_write(m, g, a, &w->ticket)
                             : mesh_persist(m, &a->run, &out, &w->ticket);

    if (error == 0 && is_offers(m, a)) {
        m->is_offer_taken = true;
        error = late_answer(m, m->offerer, &a->run, &m->offer->name,
                            is_tentative ? OFFER_TENTATIVE : OFFER_DECIDED, w->ticket);
    }
    return error;
}

static int on_persist(struct mesh *m, struct translation *t, const struct action *a)
{
    struct group *g = find(m, t, &a->run);
    struct written *w;

    if (t->n == 0)
        t->first = a->ticket;
    if (mesh_grow(&t->all, t->n, &t->cap, sizeof(t->all[0])) < 0)
        return -ENOMEM;
    w = &t->all[t->n++];
    *w = (struct written){ .ticket = 0 };
    if (g && g->replica && !g->is_tentative)
        return propose(m, g, a, w);
    return write(m, g, a, w);
}

static int on_tell(struct mesh *m, struct translation *t, const struct action *a)
{
    const struct written *w;
    struct action copy = *a;
    struct group *g = find(m, t, &a->run);
    bool is_end = a->u.tell.type == TELL_RUN_ENDED;
    int error;

    if (!a->ticket && g && group_undecided_run(g))
        return entries_add_tell(group_undecided_run(g), a);
    if (!a->ticket) {
        copy.ticket = g ? g->told : 0;
        return mesh_emit(m, &copy);
    }
    w = &t->all[a->ticket - t->first];
    if (w->group && a->u.tell.type == TELL_RUN_ACCEPTED) {
        w->group->owes_answer = true;
        return 0;
    }
    if (w->group)
        return entries_add_tell(&w->group->entries.all[w->position], a);
    copy.ticket = w->ticket;
    if (g && a->u.tell.type == TELL_RUN_ACCEPTED)
        g->told = w->ticket;
    copy.u.tell.is_tentative = g && g->is_tentative;
    error = mesh_emit(m, &copy);
    if (error < 0 || !is_end || !g)
        return error;
    return g->is_tentative ? tentative_on_end(m, g) : lead_on_end(m, g);
}

/* The caller answers it, and so tells by the order of tickets. */
static int on_fenced(struct mesh *m, struct translation *t, const struct action *a)
{
    const struct written *w = &t->all[a->ticket - t->first];
    struct group *g = find(m, t, &a->run);
    struct action copy = *a;

    if (g)
        g->has_fences = true;
    if (w->group)
        return entries_add_tell(&w->group->entries.all[w->position], a);
    copy.ticket = w->ticket;
    return mesh_emit(m, &copy);
}

static int put_off(struct translation *t, const struct action *a)
{
    if (mesh_grow(&t->starts, t->n_starts, &t->cap_starts, sizeof(t->starts[0])) < 0)
        return -ENOMEM;
    t->starts[t->n_starts++] = *a;
    return 0;
}

/* A task that starts here reads what those before it made: the start waits for the end
 * of the translation, when their records are written, as at a node alone. */
static int on_start(struct mesh *m, struct translation *t, const struct action *a)
{
    if (a->u.start.guest)
        return guest_on_started(m, a);
    if (!find(m, t, &a->run) || (!t->group->replica && !a->u.start.fence))
        return mesh_emit(m, a);
    return put_off(t, a);
}

/* What starts and is killed by one event is killed behind its start. */
static int on_kill(struct mesh *m, struct translation *t, const struct action *a)
{
    for (size_t i = 0; i < t->n_starts; i++)
        if (t->starts[i].slot == a->slot)
            return put_off(t, a);
    return mesh_emit(m, a);
}

static int emit_starts(struct mesh *m, const struct translation *t)
{
    int error = 0;

    for (size_t i = 0; i < t->n_starts && error == 0; i++) {
        struct group *g = group_find(m, &t->starts[i].run);

        error = g ? group_append(m, g) : 0;
        if (error == 0)
            error = mesh_emit(m, &t->starts[i]);
        if (error == 0 && g && t->starts[i].type == ACTION_START
            && t->starts[i].u.start.fence)
            error = permit_local(m, g, t->starts[i].slot);
    }
    return error;
}

static int carry(struct mesh *m, struct translation *t, const struct action *a)
{
    switch (a->type) {
    case ACTION_PERSIST:
        return on_persist(m, t, a);
    case ACTION_TELL:
        return on_tell(m, t, a);
    case ACTION_FENCED:
        return on_fenced(m, t, a);
    case ACTION_START:
        return on_start(m, t, a);
    case ACTION_KILL:
        return on_kill(m, t, a);
    case ACTION_LEASE:
        (void)find(m, t, &a->run);
        return grant_on_lease(m, a);
    case ACTION_LEASED:
        return grant_on_leased(m, a);
    case ACTION_RECALL:
        return grant_on_recall(m, a);
    case ACTION_GUEST_STARTED:
        return 0;
    case ACTION_GUEST_ENDED:
        return guest_on_ended(m, a);
    case ACTION_GUEST_RETURNED:
        return guest_on_returned(m, a);
    case ACTION_TO_GUEST:
        return guest_on_local(m, a);
    default:
        return mesh_emit(m, a);
    }
}

/* What is carried out here never steps the engine again. */
int engine_step(struct mesh *m, struct event *e)
{
    struct translation t = { .all = NULL };
    int error;

    e->now = m->now;
    e->wall = m->wall;
    error = node_step(m->node, e, &m->inner);
    for (size_t i = 0; i < m->inner.n && error == 0; i++)
        error = carry(m, &t, &m->inner.actions[i]);
    outbox_clear(&m->inner);
    if (error == 0)
        error = emit_starts(m, &t);
    free(t.all);
    free(t.starts);
    return error;
}

uint64_t engine_ready(const struct mesh *m, const struct run_id *run)
{
    struct run_view view;
    struct step_view step;
    uint64_t n = 0;

    if (!node_run(m->node, run, &view) || view.state != RUN_STATE_RUNNING)
        return 0;
    for (uint32_t i = 0; i < view.flow->n_all_steps; i++)
        if (node_step_of(m->node, run, i, &step))
            n += step.n_ready;
    return n;
}

/* ---- what the caller tells the engine ---- */

static int keep_own(struct mesh *m, uint32_t slot, const struct attempt_record *r)
{
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    struct group *g;

    if (m->n_peers == 1 || !node_slot(m->node, slot, &run, &task, &attempt))
        return 0;
    g = group_find(m, &run);
    if (g && g->is_tentative && tentative_keep_own(m, g, &task, r) < 0)
        return -ENOMEM;
    return g ? keep_begin(m, g, &task, r) : 0;
}

static int on_ended(struct mesh *m, struct event *e)
{
    struct attempt_record *r = e->u.ended.record;
    struct guest *g;
    int error;

    if (e->u.ended.slot >= m->slots_max)
        return 0; /* the ends of leases come from workers */
    g = guest_in_slot(m, e->u.ended.slot);
    if (g || m->has_signer || m->n_peers > 1) {
        r->node = m->self;
        r->boot = m->boot;
        r->counter = g ? g->counter : ++m->last_counter;
    }
    if (g) {
        r->has_witness = g->has_witness;
        r->witness = g->witness;
        r->gpus = g->gpus;
        r->fence = g->fence;
        want_on_duration(m, m->now - g->started);
    }
    error = g ? 0 : sign_own(m, e->u.ended.slot, r);
    if (error == 0 && !g)
        error = keep_own(m, e->u.ended.slot, r);
    return error ? error : engine_step(m, e);
}

static int on_undo(struct mesh *m, struct event *e)
{
    const struct task_id *task = &e->u.undo.record->task;
    struct group *g = group_find(m, &e->run);
    int error = engine_step(m, e);

    return error || !g ? error : keep_forget(m, g, task);
}

int engine_on_event(struct mesh *m, const struct event *from)
{
    struct event e = *from;

    switch (e.type) {
    case EVENT_SUBMIT:
        return lead_found(m, &e);
    case EVENT_TASK_ENDED:
        return on_ended(m, &e);
    case EVENT_CANCEL:
    case EVENT_SUSPEND:
    case EVENT_UNSUSPEND:
    case EVENT_ADOPT:
    case EVENT_RELEASE:
    case EVENT_RESTORE_RUN:
    case EVENT_RESTORE_ATTEMPT:
    case EVENT_RESTORE_FENCE:
    case EVENT_RESTORE_LOST:
    case EVENT_FENCED:
    case EVENT_INPUT_GONE:
    case EVENT_STALE:
    case EVENT_REFUSED:
        return engine_step(m, &e);
    case EVENT_TORN:
        return lead_again(m, group_find(m, &e.run));
    case EVENT_UNDO:
        return on_undo(m, &e);
    default:
        return 0;
    }
}
