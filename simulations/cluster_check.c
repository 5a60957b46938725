/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster_state.h"
#include "simulations/oracle.h"

void check_fail(struct cluster *c, const char *rule, const char *format, ...)
{
    struct cluster_result *r = c->result;
    char text[400];
    va_list args;

    if (check_failed(c))
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(r->violation, sizeof(r->violation), "%s: %s", rule, text);
    trace(c, "VIOLATION %s", r->violation);
}

/* ---- what is on disks ---- */

static bool is_durable(const struct cluster *c, unsigned i,
                       const struct record_key *key, struct buffer *ret)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    return disk_durable(c->nodes[i].disk, STORE_RECORDS,
                        (struct span){ key->bytes, key->len }, ret ? ret : &b)
           == 0;
}

static struct group_id group_of(const struct run_id *run)
{
    struct group_id group;

    memcpy(group.bytes, run->bytes, RUN_ID_SIZE);
    return group;
}

/* The newest homes that any disk knows of; none: whoever has the run has it alone. */
static uint64_t newest_homes(const struct cluster *c, const struct group_id *group,
                             struct replica_state *ret)
{
    struct record_key key = replica_state_key(group);
    uint64_t newest = 0;

    for (unsigned i = 0; i < c->n_nodes; i++) {
        CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
        struct replica_state state;

        if (!is_durable(c, i, &key, &b)
            || replica_state_decode(b.data, b.len, &state) < 0)
            continue;
        if (state.generation > newest) {
            newest = state.generation;
            *ret = state;
        }
        replica_state_release(&state);
    }
    ret->stretches = NULL;
    return newest;
}

/* Of runs the homes that have the record, of the mesh group all. */
static bool group_may_lose(const struct cluster *c, unsigned node,
                           const struct replica_state *s,
                           const struct record_key *record)
{
    uint32_t n_lost = 0;

    if (s->closing || s->is_installing || s->n_homes == 1)
        return false;
    for (uint32_t h = 0; h < s->n_homes; h++) {
        unsigned i = node_of(c, &s->homes[h]);

        n_lost += i == node || !c->nodes[i].mesh
                  || (record && !is_durable(c, i, record, NULL));
    }
    return 2 * n_lost < s->n_homes;
}

static bool mesh_group_may_lose(const struct cluster *c, unsigned node)
{
    static const struct group_id mesh;
    struct replica_state s = { .n_homes = 0 };

    return !c->has_registers
           || (newest_homes(c, &mesh, &s) && group_may_lose(c, node, &s, NULL));
}

bool check_homes(const struct cluster *c, const struct run_id *run,
                 struct replica_state *ret)
{
    struct group_id group = group_of(run);

    return newest_homes(c, &group, ret) > 0;
}

bool check_may_die(struct cluster *c, unsigned node)
{
    if (!mesh_group_may_lose(c, node))
        return false;
    for (unsigned k = 0; k < c->n_runs; k++) {
        const struct run *r = &c->runs[k];
        struct group_id group = group_of(&r->id);
        struct replica_state s = { .n_homes = 0 };
        struct record_key key = run_key(&r->id);

        if (!r->is_submitted)
            continue;
        if (!newest_homes(c, &group, &s)) {
            if (is_durable(c, node, &key, NULL))
                return false;
            continue;
        }
        if (!group_may_lose(c, node, &s, &key))
            return false;
    }
    return true;
}

/* ---- what is told ---- */

/* Under its key, or, of a run, still in the first row of its log. */
static bool is_kept(const struct cluster *c, unsigned i, const struct run_id *run,
                    const struct record_key *key)
{
    struct group_id group = group_of(run);
    struct record_key row = log_row_key(&group, 1);

    return is_durable(c, i, key, NULL)
           || (key->bytes[0] == 'r' && is_durable(c, i, &row, NULL));
}

/* A home that takes part in this generation. */
static bool is_in(const struct cluster *c, unsigned i, const struct group_id *group,
                  uint64_t generation)
{
    CLEANUP(replica_state_release) struct replica_state s = { .generation = 0 };
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct record_key key = replica_state_key(group);

    return is_durable(c, i, &key, &b) && replica_state_decode(b.data, b.len, &s) == 0
           && s.generation == generation && !s.is_installing;
}

/* No majority could go on without it: a home that lacks it, but has not got to the
 * newest generation, gets it on the way. Who had it on disk and died since counts: it
 * was there when it was decided. */
static void check_majority(struct cluster *c, unsigned node, const struct action *a,
                           const struct record_key *key, const char *what)
{
    struct group_id group = group_of(&a->run);
    struct replica_state s = { .n_homes = 1 };
    uint64_t generation = newest_homes(c, &group, &s);
    unsigned n = 0, n_lacking = 0;

    if (a->u.tell.is_tentative)
        return;
    for (unsigned i = 0; i < c->n_nodes; i++)
        n += is_kept(c, i, &a->run, key);
    for (uint32_t h = 0; generation && h < s.n_homes; h++) {
        unsigned i = node_of(c, &s.homes[h]);

        n_lacking += !is_kept(c, i, &a->run, key) && is_in(c, i, &group, generation);
    }
    if (!n || 2 * n_lacking > s.n_homes)
        check_fail(c, "durable", "%u tells %s, which is on %u disks, not on %u of %u",
                   node, what, n, n_lacking, s.n_homes);
}

static void told_done(struct cluster *c, unsigned node, const struct action *a)
{
    unsigned run = (unsigned)(run_of(c, &a->run) - c->runs);

    if (a->u.tell.is_tentative)
        return;
    for (size_t k = 0; k < c->n_told; k++)
        if (c->told[k].run == run && task_id_equal(&c->told[k].task, &a->task)) {
            if (lost_is_undone(c, node, &a->run, &a->task, c->told[k].attempt)) {
                c->told[k].attempt = a->attempt;
                return;
            }
            check_fail(c, "once", "%s#%u is told done, and was #%u before",
                       task_text(c, &a->run, &a->task), a->attempt, c->told[k].attempt);
            return;
        }
    c->told = cluster_grow(c->told, c->n_told, &c->cap_told, sizeof(*c->told));
    c->told[c->n_told++] = (struct told){ run, a->task, a->attempt };
}

/* ---- what is started ---- */

static uint64_t cpu_of(struct cluster *c, const struct run_id *run,
                       const struct task_id *task)
{
    return run_of(c, run)->flow->steps[task->step].resources.cpu_milli;
}

void check_start(struct cluster *c, unsigned node, const struct action *a)
{
    struct cluster_node *n = &c->nodes[node];
    uint64_t cpu = cpu_of(c, &a->run, &a->task);

    if (a->slot >= SLOTS || n->slots[a->slot].is_used) {
        check_fail(c, "capacity", "%u starts in the slot %u, which is not free", node,
                   a->slot);
        return;
    }
    for (unsigned k = 0; k < SLOTS; k++)
        if (n->slots[k].is_used)
            cpu += cpu_of(c, &n->slots[k].run, &n->slots[k].task);
    if (cpu > n->card.cpu_milli)
        check_fail(c, "capacity", "%u runs tasks of %" PRIu64 " milli-CPUs of %" PRIu64,
                   node, cpu, n->card.cpu_milli);
}

/* ---- the end ---- */

static bool has_ended(struct cluster *c, unsigned run, unsigned node)
{
    struct record_key key = run_end_key(&c->runs[run].id);

    return c->nodes[node].mesh && is_durable(c, node, &key, NULL);
}

static bool is_running(const struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        for (unsigned k = 0; c->nodes[i].mesh && k < SLOTS; k++)
            if (c->nodes[i].slots[k].is_used)
                return true;
    return false;
}

/* What a home that was replaced remembers may stay for as long as it has not heard of
 * the run's end. */
static bool is_memory(struct span key, struct span value)
{
    CLEANUP(replica_state_release) struct replica_state s = { .generation = 0 };

    return *(const char *)key.data == 'q'
           && replica_state_decode(value.data, value.len, &s) == 0 && s.is_installing;
}

/* The mesh group stays. */
static bool is_of_mesh(struct span key)
{
    static const struct group_id mesh;

    return key.len > RUN_ID_SIZE && *(const char *)key.data != 'o'
           && memcmp((const char *)key.data + 1, mesh.bytes, RUN_ID_SIZE) == 0;
}

static int count_row(void *arg, struct span key, struct span value)
{
    *(size_t *)arg += !is_memory(key, value) && !is_of_mesh(key);
    return 0;
}

/* Rows of logs, groups, kept attempts: they go when a run is over. */
static size_t count_rows(struct cluster *c)
{
    size_t n = 0;

    for (unsigned i = 0; i < c->n_nodes; i++)
        for (const char *kind = "lqo"; c->nodes[i].mesh && *kind; kind++)
            read_scan(c, i, kind, 1, count_row, &n);
    return n;
}

static void trace_rows(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        for (const char *kind = "lqo"; c->nodes[i].mesh && *kind; kind++) {
            size_t n = 0;

            read_scan(c, i, kind, 1, count_row, &n);
            if (n)
                trace(c, "%u still has %zu rows of kind %c", i, n, *kind);
        }
}

/* By the node that was asked, if it has not been started again since. */
static bool is_asked(const struct cluster *c, unsigned node, const struct run *r)
{
    return r->at == node && c->nodes[node].mesh && c->nodes[node].boot == r->boot;
}

static bool is_unanswered(const struct cluster *c, const struct run *r)
{
    return r->is_submitted && !r->is_accepted && !r->is_refused
           && is_asked(c, r->at, r);
}

/* A leader that crashes when the end is decided tells nobody: who asks finds it in the
 * records. */
static void find_end(struct cluster *c, unsigned run)
{
    struct record_key key = run_end_key(&c->runs[run].id);

    for (unsigned i = 0; i < c->n_nodes; i++) {
        CLEANUP(run_end_record_release) struct run_end_record end = { .outcome = 0 };
        CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
        struct run *r = &c->runs[run];

        if ((r->outcome && !r->is_tentative) || !c->nodes[i].mesh
            || !is_durable(c, i, &key, &b)
            || run_end_record_decode(b.data, b.len, &end) < 0)
            continue;
        r->outcome = end.outcome;
        r->is_tentative = false;
    }
}

bool check_is_over(struct cluster *c)
{
    for (unsigned k = 0; k < c->n_runs; k++)
        find_end(c, k);
    for (unsigned k = 0; k < c->n_runs; k++)
        if (is_unanswered(c, &c->runs[k])
            || (!c->runs[k].is_abandoned
                && (!c->runs[k].outcome || c->runs[k].is_tentative)))
            return false;
    return !is_running(c) && count_rows(c) == 0 && clients_are_idle(c);
}

struct judge { /* one home's records of one run */
    struct cluster *c;
    unsigned run, node;
    bool is_tentative;
    struct ledger_run ledger;
    uint64_t hash;
};

static const struct told *find_told(const struct cluster *c, unsigned run,
                                    const struct task_id *task)
{
    for (size_t k = 0; k < c->n_told; k++)
        if (c->told[k].run == run && task_id_equal(&c->told[k].task, task))
            return &c->told[k];
    return NULL;
}

static void judge_counted(struct judge *j, const struct attempt_record *r)
{
    struct cluster *c = j->c;
    const struct told *t = find_told(c, j->run, &r->task);
    const struct made *m = r->n_outputs ? task_made(c, &r->outputs[0].id) : NULL;
    const char *name = task_text(c, &r->run, &r->task);

    if (t && t->attempt != r->attempt && !j->is_tentative
        && !lost_is_undone(c, j->node, &r->run, &r->task, t->attempt))
        check_fail(c, "once", "%u has %s#%u, told was #%u", j->node, name, r->attempt,
                   t->attempt);
    if (r->verdict != VERDICT_DONE)
        return;
    if (!m)
        check_fail(c, "history", "%u has %s#%u, made by nobody", j->node, name,
                   r->attempt);
    else if (m->has_consumed && !r->task.iteration
             && m->consumed != read_consumed(c, j->node, &c->runs[j->run], &r->task))
        check_fail(c, "history", "%s#%u consumed what does not count at %u", name,
                   r->attempt, j->node);
}

static int judge_attempt(void *arg, struct span key, struct span value)
{
    struct judge *j = arg;
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

    if (attempt_record_decode(value.data, value.len, &r) < 0
        || attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt) < 0) {
        check_fail(j->c, "records", "%u cannot read an attempt", j->node);
        return 1;
    }
    for (size_t k = 0; k < key.len; k++)
        j->hash = (j->hash ^ ((const uint8_t *)key.data)[k]) * 0x100000001b3u;
    for (size_t k = 0; k < value.len; k++)
        j->hash = (j->hash ^ ((const uint8_t *)value.data)[k]) * 0x100000001b3u;
    if (!ledger_add(&j->ledger, &r))
        abort();
    if (verdict_counts(r.verdict))
        judge_counted(j, &r);
    return check_failed(j->c);
}

/* That something is lost is written nowhere while there is no majority. */
static bool has_hidden_failure(const struct judge *j)
{
    return j->is_tentative && lost_any(j->c, j->node, &j->c->runs[j->run].id);
}

static void judge_outcome(struct judge *j, enum run_outcome outcome,
                          const struct oracle_summary *s)
{
    if (outcome == RUN_OK && (s->n_failed || s->n_ready || s->n_waiting))
        check_fail(j->c, "counts",
                   "run %u is well with %" PRIu64 " failed, %" PRIu64 " ready, %" PRIu64
                   " waiting",
                   j->run, s->n_failed, s->n_ready, s->n_waiting);
    if (outcome == RUN_FAILED && !s->n_failed && !s->hooks_failed
        && !j->ledger.flow->timeout_us && !has_hidden_failure(j))
        check_fail(j->c, "counts", "run %u failed and no task did", j->run);
}

static bool judge_end(struct cluster *c, unsigned run, unsigned node,
                      struct run_end_record *ret)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    const struct run *r = &c->runs[run];
    struct record_key key = run_end_key(&r->id);

    (void)is_durable(c, node, &key, &b);
    if (run_end_record_decode(b.data, b.len, ret) < 0) {
        check_fail(c, "records", "%u cannot read the end of a run", node);
        return false;
    }
    if (ret->outcome != r->outcome)
        check_fail(c, "same", "%u has that run %u ended %s, told was %s", node, run,
                   run_outcome_name(ret->outcome), run_outcome_name(r->outcome));
    return true;
}

static void judge_begin(struct judge *j)
{
    struct run *r = &j->c->runs[j->run];
    struct record_key prefix = attempts_of_run(&r->id);

    j->hash = 0xcbf29ce484222325u;
    j->ledger.id = r->id;
    j->ledger.flow = flow_ref(r->flow);
    j->ledger.on_failure = r->flow->on_failure;
    read_scan(j->c, j->node, prefix.bytes, prefix.len, judge_attempt, j);
}

static uint64_t judge_home(struct cluster *c, unsigned run, unsigned node,
                           const struct run_end_record *end)
{
    struct judge j = { .c = c, .run = run, .node = node };
    struct oracle_summary s;

    judge_begin(&j);
    oracle_summarise(&j.ledger, &s);
    if (end->n_attempts != s.n_attempts)
        check_fail(c, "counts",
                   "the end of run %u counts %" PRIu64 " attempts, %u has %" PRIu64,
                   run, end->n_attempts, node, s.n_attempts);
    judge_outcome(&j, end->outcome, &s);
    ledger_run_release(&j.ledger);
    return j.hash;
}

/* What a side without a majority was told is one history, of what its leader knew. It
 * may have gone before it was told: then a majority was back. */
static void judge_tentative(struct cluster *c, unsigned run, unsigned node,
                            enum run_outcome outcome)
{
    struct judge j = { .c = c, .run = run, .node = node, .is_tentative = true };
    struct run_where where;
    struct oracle_summary s;

    mesh_where(c->nodes[node].mesh, &c->runs[run].id, &where);
    if (!where.is_tentative)
        return;
    judge_begin(&j);
    oracle_summarise(&j.ledger, &s);
    judge_outcome(&j, outcome, &s);
    ledger_run_release(&j.ledger);
}

/* A home that was replaced, and heard of the end when its copy was old, keeps the end
 * alone. */
static bool has_records(struct cluster *c, unsigned run, unsigned node)
{
    struct record_key key = run_key(&c->runs[run].id);

    return is_durable(c, node, &key, NULL);
}

static void judge_run(struct cluster *c, unsigned run)
{
    uint64_t first = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < c->n_nodes && !check_failed(c); i++) {
        CLEANUP(run_end_record_release)
        struct run_end_record end = { .message = NULL };
        uint64_t hash;

        if (!has_ended(c, run, i) || !judge_end(c, run, i, &end)
            || !has_records(c, run, i))
            continue;
        hash = judge_home(c, run, i, &end);
        if (n++ && hash != first)
            check_fail(c, "same", "%u has other records of run %u", i, run);
        first = hash;
    }
    if (!n)
        check_fail(c, "durable", "the end of run %u is nowhere", run);
}

static void check_order(struct cluster *c, unsigned node, const struct action *a)
{
    const struct run *r = run_of(c, &a->run);
    enum tell_type type = a->u.tell.type;

    if (r->is_refused && !a->u.tell.is_tentative)
        check_fail(c, "answer", "more is told of run %u, which was refused",
                   (unsigned)(r - c->runs));
    if (!r->is_accepted && type != TELL_RUN_ACCEPTED && type != TELL_RUN_REFUSED
        && is_asked(c, node, r))
        check_fail(c, "answer", "%u tells of run %u before it is accepted", node,
                   (unsigned)(r - c->runs));
    if (r->is_accepted && type == TELL_RUN_REFUSED)
        check_fail(c, "answer", "run %u was accepted, and is refused",
                   (unsigned)(r - c->runs));
}

static void told_ended(struct cluster *c, unsigned node, const struct action *a)
{
    struct run *r = run_of(c, &a->run);
    enum run_outcome outcome = a->u.tell.outcome;
    unsigned run = (unsigned)(r - c->runs);

    if (a->u.tell.is_tentative)
        judge_tentative(c, run, node, outcome);
    if (r->outcome && !r->is_tentative) {
        if (!a->u.tell.is_tentative && r->outcome != outcome)
            check_fail(c, "once", "run %u ended %s, and is told %s", run,
                       run_outcome_name(r->outcome), run_outcome_name(outcome));
        return;
    }
    r->outcome = outcome;
    r->is_tentative = a->u.tell.is_tentative;
}

void check_told(struct cluster *c, unsigned node, const struct action *a)
{
    struct record_key key;

    c->result->n_told++;
    check_order(c, node, a);
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
        key = run_key(&a->run);
        check_majority(c, node, a, &key, "that a run is accepted");
        break;
    case TELL_TASK_ENDED:
        key = attempt_key(&a->run, &a->task, a->attempt);
        check_majority(c, node, a, &key, task_text(c, &a->run, &a->task));
        if (verdict_counts(a->u.tell.verdict))
            told_done(c, node, a);
        break;
    case TELL_RUN_ENDED:
        told_ended(c, node, a);
        break;
    case TELL_TASK_TORN:
    case TELL_RUN_TORN:
    case TELL_RUN_NUMBERED:
    case TELL_RUN_REFUSED:
    case TELL_TASK_STARTED:
        break;
    }
}

void check_end(struct cluster *c)
{
    for (unsigned k = 0; k < c->n_runs && !check_failed(c); k++) {
        const struct run *r = &c->runs[k];

        if (is_unanswered(c, r))
            check_fail(c, "answer", "who submitted run %u hears nothing", k);
        if (r->is_abandoned && !r->is_accepted)
            continue;
        if (!r->outcome)
            check_fail(c, "liveness", "run %u does not end", k);
        else if (r->is_tentative)
            check_fail(c, "liveness", "the end of run %u stays tentative", k);
        else
            judge_run(c, k);
    }
    if (!check_failed(c) && count_rows(c))
        trace_rows(c);
    if (!check_failed(c) && count_rows(c))
        check_fail(c, "bounded", "%zu rows stay when all runs are over", count_rows(c));
    if (!check_failed(c) && is_running(c))
        check_fail(c, "liveness", "tasks run when all runs are over");
    if (!check_failed(c))
        registers_check(c);
}
