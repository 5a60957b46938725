/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "node/witness.h"
#include "simulations/cluster_state.h"
#include "simulations/ledger.h"

/* ---- bytes ---- */

static bool has_blob(const struct cluster *c, unsigned i, const struct digest *id)
{
    for (size_t k = 0; k < c->n_blobs[i]; k++)
        if (digest_equal(&c->blobs[i][k], id))
            return true;
    return false;
}

void blob_add(struct cluster *c, unsigned i, const struct digest *id)
{
    if (has_blob(c, i, id))
        return;
    c->blobs[i] =
        cluster_grow(c->blobs[i], c->n_blobs[i], &c->cap_blobs[i], sizeof(*id));
    c->blobs[i][c->n_blobs[i]++] = *id;
}

static bool can_hear(const struct cluster *c, unsigned i, unsigned from)
{
    return i == from || (net_passes(c, i, from) && net_passes(c, from, i));
}

/* Who is down for a short time may have it. */
int blob_get(struct cluster *c, unsigned i, unsigned holder, const struct digest *id)
{
    for (unsigned k = 0; k < c->n_nodes; k++) {
        unsigned from = (holder + k) % c->n_nodes;

        if (!has_blob(c, from, id) || !c->nodes[from].mesh || !can_hear(c, i, from))
            continue;
        blob_add(c, i, id);
        return 0;
    }
    return can_hear(c, i, holder)
                   || (c->nodes[i].mesh
                       && mesh_is_gone(c->nodes[i].mesh, &c->nodes[holder].id))
               ? -ENOENT
               : -EHOSTUNREACH;
}

/* At one node there is mostly a copy elsewhere. */
void lost_rot(struct cluster *c, unsigned i)
{
    bool is_all = chance(c, 40);

    trace(c, is_all ? "all bytes rot" : "the bytes at %u rot", i);
    for (unsigned k = 0; k < c->n_nodes; k++)
        if (is_all || k == i)
            c->n_blobs[k] = 0;
}

/* ---- records ---- */

typedef int each_fn(void *arg, const struct attempt_record *r);

struct reading {
    struct attempt_record *all;
    size_t n, cap;
};

static int read_one(void *arg, struct span key, struct span value)
{
    struct reading *to = arg;
    struct attempt_record r = { .attempt = 0 };

    if (attempt_record_decode(value.data, value.len, &r) < 0
        || attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt) < 0)
        return -EBADMSG;
    to->all = cluster_grow(to->all, to->n, &to->cap, sizeof(*to->all));
    to->all[to->n++] = r;
    return 0;
}

static int each_under(struct cluster *c, unsigned i, const struct record_key *prefix,
                      each_fn *each, void *arg)
{
    struct reading reading = { .all = NULL };
    int r = 0;

    read_scan(c, i, prefix->bytes, prefix->len, read_one, &reading);
    for (size_t k = 0; k < reading.n; k++) {
        if (r == 0)
            r = each(arg, &reading.all[k]);
        attempt_record_release(&reading.all[k]);
    }
    free(reading.all);
    return r;
}

static bool is_undone(const struct attempt_record *r)
{
    return r->reason == REASON_OUTPUT_LOST || r->reason == REASON_STALE;
}

struct getting {
    struct cluster *c;
    unsigned i;
    bool is_undoing; /* what nobody has is made again */
    unsigned n_undone;
    bool has_hole; /* the last task met is to be done again */
    struct task_id task;
};

static void remember(struct cluster *c, unsigned i, const struct attempt_record *r)
{
    struct undone u = { .run = r->run, .node = i, .n_outputs = r->n_outputs };

    if (witness_of_attempt(r, &u.made) < 0)
        abort();
    u.outputs = calloc(r->n_outputs + 1, sizeof(*u.outputs));
    if (!u.outputs)
        abort();
    for (size_t k = 0; k < r->n_outputs; k++)
        u.outputs[k] = r->outputs[k].id;
    c->undone = cluster_grow(c->undone, c->n_undone, &c->cap_undone, sizeof(u));
    c->undone[c->n_undone++] = u;
}

const struct undone *lost_undone(const struct cluster *c,
                                 const struct attempt_record *r)
{
    for (size_t k = 0; r->has_made && k < c->n_undone; k++)
        if (digest_equal(&c->undone[k].made, &r->made))
            return &c->undone[k];
    return NULL;
}

bool lost_any(const struct cluster *c, unsigned i, const struct run_id *run)
{
    for (size_t k = 0; k < c->n_undone; k++)
        if (c->undone[k].node == i && run_id_equal(&c->undone[k].run, run))
            return true;
    return false;
}

static void tell_record(struct cluster *c, unsigned i, enum event_type type,
                        const struct attempt_record *r)
{
    struct mesh_event e = { .type = MESH_EVENT_NODE,
                            .u.node = { .type = type, .run = r->run } };

    trace(c, "%u says that %s#%u is %s", i, task_text(c, &r->run, &r->task), r->attempt,
          type == EVENT_UNDO ? "lost" : "stale");
    if (type == EVENT_UNDO)
        remember(c, i, r);
    e.u.node.u.undo.record = r;
    e.u.node.u.undo.why = "lost";
    node_tell(c, i, &e);
}

static int get_outputs(void *arg, const struct attempt_record *r)
{
    struct getting *g = arg;
    unsigned holder = node_id_is_none(&r->node) ? g->i : node_of(g->c, &r->node);
    int status = 0;

    if (g->has_hole && !task_id_equal(&g->task, &r->task))
        return -EAGAIN;
    if (is_undone(r) || verdict_counts(r->verdict)) {
        g->has_hole = is_undone(r) && !g->is_undoing;
        g->task = r->task;
    }
    if (!verdict_counts(r->verdict))
        return 0;
    for (size_t k = 0; k < r->n_outputs && status == 0; k++)
        if (!r->outputs[k].inline_data)
            status = blob_get(g->c, g->i, holder, &r->outputs[k].id);
    if (status == -ENOENT && g->is_undoing) {
        g->n_undone++;
        tell_record(g->c, g->i, EVENT_UNDO, r);
        return 0;
    }
    return g->is_undoing ? 0 : status;
}

static int get_needs(struct cluster *c, unsigned from, struct getting *g,
                     const struct run *r, const struct task_id *task)
{
    CLEANUP(needs_release) struct needs needs = { .all = NULL };
    int status = 0;

    if (needs_of(r->flow, &r->id, task, &needs) < 0)
        abort();
    for (size_t k = 0; k < needs.n && status == 0; k++)
        if (needs.all[k].is_before)
            status = each_under(c, from, &needs.all[k].prefix, get_outputs, g);
    return status == 0 && g->has_hole ? -EAGAIN : status;
}

int lost_get_inputs(struct cluster *c, unsigned i, unsigned from, const struct run *r,
                    const struct task_id *task)
{
    struct getting g = { .c = c, .i = i };

    return get_needs(c, from, &g, r, task);
}

static int find_undone(void *arg, const struct attempt_record *r)
{
    *(bool *)arg = *(bool *)arg || is_undone(r);
    return 0;
}

bool lost_is_undone(struct cluster *c, unsigned i, const struct run_id *run,
                    const struct task_id *task, uint32_t attempt)
{
    struct record_key key = attempt_key(run, task, attempt);
    bool is_it = false;

    (void)each_under(c, i, &key, find_undone, &is_it);
    return is_it;
}

/* ---- what was asked for ---- */

struct behind {
    struct cluster *c;
    unsigned i;
    const struct run *run;
    const struct task_id *task;
    struct attempt_record *last;
};

static int tell_behind(void *arg, const struct attempt_record *r)
{
    struct behind *b = arg;

    if (verdict_counts(r->verdict)
        && witness_is_behind(b->run->flow, b->task, &r->task) > 0)
        tell_record(b->c, b->i, EVENT_STALE, r);
    return 0;
}

static int find_last(void *arg, const struct attempt_record *r)
{
    struct behind *b = arg;

    if (r->reason == REASON_OUTPUT_LOST)
        b->last->attempt = r->attempt;
    return 0;
}

static int tell_last(void *arg, const struct attempt_record *r)
{
    struct behind *b = arg;

    if (r->reason == REASON_OUTPUT_LOST && r->attempt == b->last->attempt)
        tell_record(b->c, b->i, EVENT_STALE, r);
    return 0;
}

static void tell_stale(struct cluster *c, unsigned i, const struct run *r,
                       const struct task_id *task)
{
    struct attempt_record last = { .attempt = 0 };
    struct behind b = { .c = c, .i = i, .run = r, .task = task, .last = &last };
    struct record_key all = attempts_of_run(&r->id);
    struct record_key own = attempts_of_task(&r->id, task);

    (void)each_under(c, i, &all, tell_behind, &b);
    (void)each_under(c, i, &own, find_last, &b);
    (void)each_under(c, i, &own, tell_last, &b);
}

void lost_ask(struct cluster *c, unsigned i, enum lost_question what,
              const struct run_id *run, const struct task_id *task, uint64_t value)
{
    struct incident to = { .type = INCIDENT_LOST,
                           .node = i,
                           .boot = c->nodes[i].boot,
                           .value = value,
                           .serial = what,
                           .event.u.node = { .run = *run, .u.task = *task } };

    later(c, TIME_MS(1) + draw(c, TIME_MS(5)), &to);
}

static void give_back(struct cluster *c, unsigned i, uint32_t slot,
                      const struct run_id *run, const struct task_id *task)
{
    struct process *p = &c->nodes[i].slots[slot];
    struct mesh_event e = { .type = MESH_EVENT_NODE,
                            .u.node = { .type = EVENT_INPUT_GONE, .run = *run } };

    if (!p->is_used || !task_id_equal(&p->task, task))
        return;
    trace(c, "%u cannot start %s", i, task_text(c, run, task));
    p->is_used = false;
    e.u.node.u.lease = slot;
    node_tell(c, i, &e);
}

void lost_happen(struct cluster *c, const struct incident *i)
{
    const struct run_id *run = &i->event.u.node.run;
    const struct task_id *task = &i->event.u.node.u.task;
    struct getting g = { .c = c, .i = i->node, .is_undoing = true };
    struct record_key own = attempts_of_task(run, task);

    switch ((enum lost_question)i->serial) {
    case LOST_START:
        (void)get_needs(c, i->node, &g, run_of(c, run), task);
        give_back(c, i->node, (uint32_t)i->value, run, task);
        break;
    case LOST_LOOK:
        (void)get_needs(c, i->node, &g, run_of(c, run), task);
        break;
    case LOST_GONE:
        (void)each_under(c, i->node, &own, get_outputs, &g);
        if (!g.n_undone)
            node_tell(c, i->node,
                      &(struct mesh_event){ .type = MESH_EVENT_KEPT,
                                            .token = i->value,
                                            .status = KEPT_NEEDLESS });
        break;
    case LOST_STALE:
        tell_stale(c, i->node, run_of(c, run), task);
        break;
    case LOST_TORN:
        node_tell(c, i->node,
                  &(struct mesh_event){
                      .type = MESH_EVENT_NODE,
                      .u.node = { .type = EVENT_TORN, .run = *run } });
        break;
    }
}

/* ---- copies ---- */

static bool was_made_before(const struct cluster *c, const struct digest *id)
{
    for (size_t k = 0; k < c->n_made_before; k++)
        if (digest_equal(&c->made[k].id, id))
            return true;
    return false;
}

static unsigned count_copies(const struct cluster *c, const struct digest *id)
{
    unsigned n = 0;

    for (unsigned k = 0; k < c->n_nodes; k++)
        n += !c->nodes[k].is_dead && has_blob(c, k, id);
    return n;
}

static int check_copies(void *arg, const struct attempt_record *r)
{
    struct cluster *c = arg;

    for (size_t k = 0; k < r->n_outputs && r->verdict == VERDICT_DONE; k++) {
        const struct artifact *a = &r->outputs[k];

        if (a->inline_data || !was_made_before(c, &a->id)
            || count_copies(c, &a->id) >= 2)
            continue;
        check_fail(c, "copies", "what %s made is on %u nodes",
                   task_text(c, &r->run, &r->task), count_copies(c, &a->id));
        return 1;
    }
    return 0;
}

void lost_check_copies(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        for (unsigned k = 0; k < c->n_runs && c->nodes[i].mesh && !check_failed(c);
             k++) {
            struct record_key all = attempts_of_run(&c->runs[k].id);
            struct run_where where;

            mesh_where(c->nodes[i].mesh, &c->runs[k].id, &where);
            if (where.place == RUN_PLACE_LEADS && !where.is_tentative
                && !c->runs[k].outcome)
                (void)each_under(c, i, &all, check_copies, c);
        }
}
