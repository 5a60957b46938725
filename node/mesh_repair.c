/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of what a run keeps, made anew when a member that may have had one is gone.
 *
 * Nobody keeps a list of who holds what: a copy is at who ran the task, and at the
 * leader or, where that is the same node, at another home. So when a member is gone for
 * good the leader goes once through the run's attempts, a part of its records at a
 * time, and has what it finds kept again (mesh_keep.c): for most of it that is a look
 * at its own store. A new leader, which may have none of it, does the same if any
 * member is gone. Meanwhile the run does not end well. */
#include <errno.h>
#include <string.h>

#include "node/mesh_internal.h"

void repair_note_losses(struct mesh *m)
{
    for (uint32_t i = 1; i <= m->n_peers; i++) {
        struct peer *p = peer_at(m, i);
        bool is_gone = p != m->me && mesh_is_gone(m, &p->id);

        m->n_losses += is_gone && !p->is_given_up;
        p->is_given_up = is_gone;
    }
}

static int read_on(struct mesh *m, struct group *g)
{
    struct action ask = { .type = ACTION_READ_RECORDS,
                          .run = g->run,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    struct read *r = read_add(m, READ_REPAIR, &g->id);

    if (!r) /* the table is full for a moment */
        return 0;
    g->repair.read = ask.u.mesh.token = r->token;
    ask.u.mesh.group = g->id;
    ask.u.mesh.from = g->repair.behind.bytes;
    ask.u.mesh.from_len = g->repair.behind.len;
    return mesh_emit(m, &ask);
}

static int begin(struct mesh *m, struct group *g)
{
    g->repair = (struct repair){ .is_on = true, .goal = m->n_losses };
    return keep_count(m, g, 1);
}

static int end(struct mesh *m, struct group *g)
{
    g->repair = (struct repair){ .seen = g->repair.goal };
    return keep_count(m, g, -1);
}

static bool is_due(const struct mesh *m, const struct group *g)
{
    return g->phase == LEAD_FULL && !g->is_tentative && m->level >= 2
           && g->repair.seen < m->n_losses && gossip_alive(m->gossip) >= 2;
}

int repair_on_tick(struct mesh *m, struct group *g)
{
    int error = 0;

    if (!g->repair.is_on && is_due(m, g))
        error = begin(m, g);
    if (error || !g->repair.is_on || read_find(m, g->repair.read) || !keep_has_room(g))
        return error;
    return read_on(m, g);
}

static int look_at(struct mesh *m, struct group *g, const struct log_entry *e)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    int error;

    if (attempt_key_decode(e->key, e->key_len, &run, &task, &attempt) < 0)
        return 0;
    error = attempt_record_decode(e->value, e->value_len, &r);
    if (error < 0)
        return error == -ENOMEM ? error : 0;
    r.run = run;
    r.task = task;
    r.attempt = attempt;
    return r.verdict == VERDICT_DONE ? keep_again(m, g, &task, &r) : 0;
}

/* One that could not be read is read again by the next tick. */
int repair_on_records(struct mesh *m, struct group *g, const struct mesh_event *event)
{
    const struct log_entry *all = event->u.entries.entries;
    size_t n = event->u.entries.n;
    int error = 0;

    if (!g->repair.is_on || event->token != g->repair.read)
        return 0;
    g->repair.read = 0;
    if (event->status < 0)
        return 0;
    for (size_t i = 0; i < n && error == 0; i++)
        error = look_at(m, g, &all[i]);
    if (n && all[n - 1].key_len <= RECORD_KEY_MAX) {
        g->repair.behind.len = all[n - 1].key_len;
        memcpy(g->repair.behind.bytes, all[n - 1].key, all[n - 1].key_len);
    }
    if (error == 0)
        error = keep_on_tick(m, g);
    return error || !(event->u.entries.is_last || !n) ? error : end(m, g);
}
