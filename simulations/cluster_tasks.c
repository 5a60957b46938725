/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster_state.h"

enum { BLOB_SIZE = 100000 };

const char *task_text(const struct cluster *c, const struct run_id *run,
                      const struct task_id *task)
{
    static char text[TASK_TEXT_SIZE + 64];
    char id[TASK_TEXT_SIZE];
    const struct run *r = run_of((struct cluster *)c, run);

    task_id_text(task, id);
    (void)snprintf(text, sizeof(text), "%u:%.32s/%s", (unsigned)(r - c->runs),
                   r->flow->steps[task->step].name, id);
    return text;
}

/* ---- what was made of what ---- */

const struct made *task_made(const struct cluster *c, const struct digest *id)
{
    for (size_t k = 0; k < c->n_made; k++)
        if (digest_equal(&c->made[k].id, id))
            return &c->made[k];
    return NULL;
}

static uint64_t fold(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* An output's name comes from the task, what it consumed and, of a fickle one, its own
 * process: so it tells what it was made of. */
static struct digest output_id(const struct process *p)
{
    uint64_t hash = fold(0xcbf29ce484222325u, p->run.bytes, RUN_ID_SIZE);
    uint8_t task[TASK_ID_SIZE_MAX];
    struct digest id;
    struct prng prng;

    hash = fold(hash, task, task_id_encode(&p->task, task));
    hash = fold(hash, &p->consumed, sizeof(p->consumed));
    if (p->is_fickle)
        hash = fold(hash, &p->serial, sizeof(p->serial));
    prng_init(&prng, hash);
    for (size_t k = 0; k < DIGEST_SIZE; k++)
        id.bytes[k] = (uint8_t)prng_next(&prng);
    return id;
}

static void make_output(struct cluster *c, unsigned i, const struct process *p,
                        struct attempt_record *r)
{
    struct artifact *a = calloc(1, sizeof(*a));
    struct digest id = output_id(p);

    if (!a)
        abort();
    *a = (struct artifact){ .name = strdup("x"),
                            .type = strdup("bytes"),
                            .encoding = ENCODING_BYTES,
                            .id = id,
                            .size = id.bytes[0] % 2 ? BLOB_SIZE : 8 };
    if (a->size == 8)
        a->inline_data = cluster_copy(id.bytes, 8);
    else
        blob_add(c, i, &id);
    r->outputs = a;
    r->n_outputs = 1;
    if (task_made(c, &id))
        return;
    c->made = cluster_grow(c->made, c->n_made, &c->cap_made, sizeof(*c->made));
    c->made[c->n_made++] = (struct made){ id, p->consumed, p->has_consumed };
}

static bool has_run(struct cluster *c, unsigned i, const struct run_id *run)
{
    struct record_key key = run_key(run);

    return c->nodes[i].mesh && read_has(c, i, &key);
}

/* ---- processes ---- */

static void plan_end(struct cluster *c, unsigned i, uint32_t slot, time_us delay)
{
    struct process *p = &c->nodes[i].slots[slot];

    p->serial = ++c->serial;
    p->ends = c->now + delay;
    later(c, delay,
          &(struct incident){ .type = INCIDENT_TASK,
                              .node = i,
                              .boot = c->nodes[i].boot,
                              .value = slot,
                              .serial = p->serial });
}

/* A guest consumes what was prepared for it. */
static bool find_consumed(struct cluster *c, unsigned i, uint64_t guest, uint64_t *ret)
{
    struct cluster_node *n = &c->nodes[i];

    for (size_t k = 0; k < n->n_prepared; k++) {
        if (n->prepared[k].guest != guest)
            continue;
        *ret = n->prepared[k].consumed;
        n->prepared[k] = n->prepared[--n->n_prepared];
        return true;
    }
    return false;
}

void task_start(struct cluster *c, unsigned i, const struct action *a)
{
    struct process *p = &c->nodes[i].slots[a->slot];
    const struct run *r = run_of(c, &a->run);
    time_us longer = 0;

    *p = (struct process){ .is_used = true,
                           .run = a->run,
                           .task = a->task,
                           .attempt = a->attempt,
                           .guest = a->u.start.guest,
                           .fence = a->u.start.fence,
                           .until = TIME_NEVER,
                           .is_fickle = c->faults & CLUSTER_FICKLE };
    p->plan = tasks_plan(&c->tasks, r->flow, (uint64_t)(r - c->runs) + 1, &a->task,
                         a->attempt, 0);
    p->has_consumed = find_consumed(c, i, a->u.start.guest, &p->consumed);
    if (!p->has_consumed && p->guest && !(p->guest & GUEST_DROPPED))
        check_fail(c, "starts", "%u starts %s, for which nothing was prepared", i,
                   task_text(c, &a->run, &a->task));
    if (!p->guest && lost_get_inputs(c, i, i, r, &a->task) < 0) {
        lost_ask(c, i, LOST_START, &a->run, &a->task, a->slot);
        return;
    }
    c->result->n_starts++;
    trace(c, "%u runs %s#%u", i, task_text(c, &a->run, &a->task), a->attempt);
    if (may(c, CLUSTER_DEATHS) && chance(c, 30))
        longer = draw(c, TIME_S(60));
    if (!p->fence)
        plan_end(c, i, a->slot, p->plan.duration_us / 10 + longer);
}

/* What has a fence takes long enough to outlive its leader, while it is stormy. */
static void begin(struct cluster *c, unsigned i, uint32_t slot)
{
    struct process *p = &c->nodes[i].slots[slot];
    uint64_t longest;

    trace(c, "%u begins %s#%u with fence %u", i, task_text(c, &p->run, &p->task),
          p->attempt, (unsigned)p->fence);
    fence_begin(c, i, p);
    p->is_begun = true;
    longest = c->is_calm ? 1 : chance(c, 30) ? 60 : 5;
    plan_end(c, i, slot, p->plan.duration_us / 10 + draw(c, TIME_S(longest)));
}

void task_permit(struct cluster *c, unsigned i, const struct action *a)
{
    struct process *p = &c->nodes[i].slots[a->slot];

    if (!p->is_used || !p->fence || !run_id_equal(&p->run, &a->run)) {
        check_fail(c, "exclusive", "%u permits what was not started", i);
        return;
    }
    if (c->config->mutant != CLUSTER_MUTANT_NO_GUARD && a->u.permit_until != TIME_NEVER)
        p->until = a->u.permit_until - c->nodes[i].skew;
    if (p->signal || p->until <= c->now)
        return;
    if (!p->is_begun)
        begin(c, i, a->slot);
    if (p->until != TIME_NEVER)
        later(c, p->until - c->now,
              &(struct incident){ .type = INCIDENT_GUARD,
                                  .node = i,
                                  .boot = c->nodes[i].boot,
                                  .value = a->slot });
}

/* Its permit ran out; while the node stood still, maybe, or was told of a kill. */
void task_guard(struct cluster *c, unsigned i, uint32_t slot)
{
    struct process *p = &c->nodes[i].slots[slot];

    if (!p->is_used || !p->is_begun || p->until > c->now || p->ends < p->until)
        return;
    p->why = REASON_LOST;
    p->signal = SIGKILL;
    task_end(c, i, slot, p->serial);
}

void task_kill(struct cluster *c, unsigned i, const struct action *a)
{
    struct process *p = &c->nodes[i].slots[a->slot];

    if (!p->is_used || !task_id_equal(&p->task, &a->task)) {
        check_fail(c, "kill", "%u kills what does not run", i);
        return;
    }
    p->why = a->u.kill.why;
    p->signal = a->u.kill.signal;
    plan_end(c, i, a->slot, TIME_MS(1) + p->plan.term_us / 10);
}

static struct attempt_record record_of(const struct cluster *c, const struct process *p)
{
    const struct task_plan *plan = &p->plan;
    struct attempt_record r = { .reason = plan->reason,
                                .exit_code = plan->exit_code,
                                .signal = plan->signal,
                                .started_wall = c->now,
                                .ended_wall = c->now };

    if (p->signal) {
        r.reason = p->why;
        r.exit_code = 0;
        r.signal = p->signal;
    }
    if (r.reason == REASON_OK) {
        r.has_width = plan->has_width;
        r.width = plan->width;
        r.choice = plan->choice ? strdup(plan->choice) : NULL;
    }
    return r;
}

void task_end(struct cluster *c, unsigned i, uint32_t slot, uint64_t serial)
{
    struct process *p = &c->nodes[i].slots[slot];
    struct digest witness;
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct mesh_event e = { .type = MESH_EVENT_NODE,
                            .u.node = { .type = EVENT_TASK_ENDED, .run = p->run } };

    if (!p->is_used || p->serial != serial)
        return;
    if (p->ends > p->until) { /* its guard was first */
        p->why = REASON_LOST;
        p->signal = SIGKILL;
    }
    /* What a task of its own run consumes may be written with the next flush; and what
     * it consumed may be lost meanwhile. */
    if (!p->has_consumed && !p->guest && has_run(c, i, &p->run)
        && lost_get_inputs(c, i, i, run_of(c, &p->run), &p->task) == 0
        && read_witness(c, i, run_of(c, &p->run), &p->task, &witness)) {
        p->has_consumed = true;
        p->consumed = read_consumed(c, i, run_of(c, &p->run), &p->task);
    }
    if (c->config->mutant == CLUSTER_MUTANT_OTHER_INPUT)
        p->consumed++;
    r = record_of(c, p);
    if (r.reason == REASON_OK)
        make_output(c, i, p, &r);
    trace(c, "%u ends %s#%u %s", i, task_text(c, &p->run, &p->task), p->attempt,
          reason_name(r.reason));
    p->is_used = false;
    if (c->config->mutant == CLUSTER_MUTANT_SWALLOW_END && p->task.step == 1)
        return;
    e.u.node.u.ended.slot = slot;
    e.u.node.u.ended.record = &r;
    node_tell(c, i, &e);
}

/* ---- for a lease ---- */

/* From the leader, or whoever has the run. */
static bool prepare_from(struct cluster *c, unsigned i, unsigned from,
                         const struct action *a, struct digest *ret)
{
    return (i == from || (net_passes(c, i, from) && net_passes(c, from, i)))
           && has_run(c, from, &a->run)
           && read_witness(c, from, run_of(c, &a->run), &a->task, ret);
}

void task_prepare(struct cluster *c, unsigned i, const struct action *a)
{
    struct cluster_node *n = &c->nodes[i];
    unsigned from = node_of(c, &a->u.mesh.peer);
    struct incident to = { .type = INCIDENT_EVENT,
                           .node = i,
                           .boot = n->boot,
                           .event = { .type = MESH_EVENT_PREPARED,
                                      .token = a->u.mesh.token,
                                      .status = -EHOSTUNREACH } };

    if (prepare_from(c, i, from, a, &to.event.u.prepared.witness)
        && lost_get_inputs(c, i, from, run_of(c, &a->run), &a->task) == 0) {
        to.event.status = 0;
        to.event.u.prepared.flow = run_of(c, &a->run)->flow;
        n->prepared = cluster_grow(n->prepared, n->n_prepared, &n->cap_prepared,
                                   sizeof(*n->prepared));
        n->prepared[n->n_prepared].guest = a->u.mesh.token;
        n->prepared[n->n_prepared++].consumed =
            read_consumed(c, from, run_of(c, &a->run), &a->task);
    }
    later(c, TIME_MS(1) + draw(c, TIME_MS(5)), &to);
}

void task_keep(struct cluster *c, unsigned i, const struct held *h)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    unsigned from = node_of(c, &h->action.u.mesh.peer);
    struct incident to = { .type = INCIDENT_EVENT,
                           .node = i,
                           .boot = c->nodes[i].boot,
                           .event = { .type = MESH_EVENT_KEPT,
                                      .token = h->action.u.mesh.token } };

    if (attempt_record_decode(h->bytes, h->len, &r) < 0) {
        check_fail(c, "records", "%u is to keep what is no attempt", i);
        return;
    }
    for (size_t k = 0; k < r.n_outputs && to.event.status == 0; k++)
        if (!r.outputs[k].inline_data)
            to.event.status = blob_get(c, i, from, &r.outputs[k].id);
    later(c, TIME_MS(5), &to);
}
