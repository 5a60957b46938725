/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/oracle.h"

#include <string.h>

enum edge { EDGE_OPEN, EDGE_ALIVE, EDGE_DEAD };

const char *oracle_state_name(enum oracle_state s)
{
    static const char *const names[] = { [ORACLE_WAITING] = "waiting",
                                         [ORACLE_READY] = "ready",
                                         [ORACLE_DONE] = "done",
                                         [ORACLE_FAILED] = "failed",
                                         [ORACLE_SKIPPED] = "skipped" };

    return names[s];
}

static struct ledger_task *find(const struct ledger_run *r, uint32_t step,
                                const uint64_t *path, uint32_t iteration)
{
    const struct flow *f = r->flow;
    struct task_id id = { .step = step,
                          .depth = f->scopes[f->steps[step].scope].depth,
                          .iteration = iteration };

    for (uint32_t i = 0; i < id.depth; i++)
        id.path[i] = path[i];
    return ledger_find(r, &id);
}

/* FLOW_NONE: it chose nothing. */
static uint32_t chosen(const struct step *s, const struct ledger_task *t)
{
    for (uint32_t i = 0; t->choice && i < s->n_cases; i++)
        if (strcmp(s->cases[i].name, t->choice) == 0)
            return s->cases[i].target;
    return s->switch_default;
}

static struct ledger_task *newest(const struct ledger_run *r, uint32_t step,
                                  const uint64_t *path, uint32_t *ret_iteration)
{
    const struct step *s = &r->flow->steps[step];
    struct ledger_task *t = find(r, step, path, 0);
    uint32_t iteration = 0;

    while (t && t->counted && s->switch_by && chosen(s, t) == step)
        t = find(r, step, path, ++iteration);
    *ret_iteration = iteration;
    return t;
}

static uint64_t width_of(const struct ledger_run *r, uint32_t opener,
                         const struct ledger_task *t)
{
    const struct foreach *each = &r->flow->steps[opener].foreach;

    return each->kind != FOREACH_ARTIFACT ? each->width : t->has_width ? t->width : 0;
}

static enum edge edge_of_task(const struct ledger_run *r, uint32_t from, uint32_t to,
                              const uint64_t *path)
{
    const struct step *s = &r->flow->steps[from];
    uint32_t iteration;

    switch (oracle_state(r, from, path, &iteration)) {
    case ORACLE_DONE:
        if (s->switch_by && chosen(s, find(r, from, path, iteration)) != to)
            return EDGE_DEAD;
        return EDGE_ALIVE;
    case ORACLE_SKIPPED:
        return EDGE_DEAD;
    case ORACLE_WAITING:
    case ORACLE_READY:
    case ORACLE_FAILED:
        break;
    }
    return EDGE_OPEN;
}

/* All the tasks below must be resolved; an empty scope is as good as done. */
static enum edge edge_of_scope(const struct ledger_run *r, uint32_t from, uint32_t to,
                               const uint64_t *path)
{
    const struct flow *f = r->flow;
    const struct scope *scope = &f->scopes[f->steps[to].closes];
    uint64_t below[SCOPE_DEPTH_MAX] = { 0 }, width;
    uint32_t iteration;
    bool is_alive = false;
    enum oracle_state opener = oracle_state(r, scope->opener, path, &iteration);

    if (opener != ORACLE_DONE)
        return opener == ORACLE_SKIPPED ? EDGE_DEAD : EDGE_OPEN;
    width = width_of(r, scope->opener, find(r, scope->opener, path, iteration));
    memcpy(below, path, (scope->depth - 1) * sizeof(below[0]));
    for (uint64_t i = 0; i < width; i++) {
        enum edge e;

        below[scope->depth - 1] = i;
        e = edge_of_task(r, from, to, below);
        if (e == EDGE_OPEN)
            return EDGE_OPEN;
        is_alive |= e == EDGE_ALIVE;
    }
    return is_alive || width == 0 ? EDGE_ALIVE : EDGE_DEAD;
}

static enum oracle_state by_upstream(const struct ledger_run *r, uint32_t step,
                                     const uint64_t *path)
{
    const struct step *s = &r->flow->steps[step];
    bool is_alive = s->n_before == 0;

    for (uint32_t i = 0; i < s->n_before; i++) {
        uint32_t from = s->before[i];
        enum edge e = flow_edge_kind(r->flow, from, step) == EDGE_CLOSE
                          ? edge_of_scope(r, from, step, path)
                          : edge_of_task(r, from, step, path);

        if (e == EDGE_OPEN)
            return ORACLE_WAITING;
        is_alive |= e == EDGE_ALIVE;
    }
    return is_alive ? ORACLE_READY : ORACLE_SKIPPED;
}

enum oracle_state oracle_state(const struct ledger_run *r, uint32_t step,
                               const uint64_t *path, uint32_t *ret_iteration)
{
    const struct step *s = &r->flow->steps[step];
    const struct ledger_task *t = newest(r, step, path, ret_iteration);

    if (t && t->counted)
        return ORACLE_DONE;
    if (t && t->n_attempts && !oracle_retries(s, t))
        return ORACLE_FAILED;
    return *ret_iteration ? ORACLE_READY : by_upstream(r, step, path);
}

/* Whether every foreach around the task is done and that wide. */
static bool exists(const struct ledger_run *r, const struct task_id *task)
{
    const struct flow *f = r->flow;
    uint32_t scope = f->steps[task->step].scope, iteration;

    for (; f->scopes[scope].depth; scope = f->scopes[scope].parent) {
        uint32_t opener = f->scopes[scope].opener;
        const struct ledger_task *t;

        if (oracle_state(r, opener, task->path, &iteration) != ORACLE_DONE)
            return false;
        t = find(r, opener, task->path, iteration);
        if (task->path[f->scopes[scope].depth - 1] >= width_of(r, opener, t))
            return false;
    }
    return true;
}

enum oracle_state oracle_task(const struct ledger_run *r, const struct task_id *task)
{
    uint32_t iteration;
    enum oracle_state state = oracle_state(r, task->step, task->path, &iteration);

    if (!exists(r, task))
        return ORACLE_WAITING;
    if (task->iteration < iteration)
        return ORACLE_DONE;
    return task->iteration > iteration ? ORACLE_WAITING : state;
}

static bool has_code(const struct step *s, int code)
{
    if (!s->retry.exit_codes)
        return true;
    for (size_t i = 0; i < s->retry.n_exit_codes; i++)
        if (s->retry.exit_codes[i] == code)
            return true;
    return false;
}

static bool may_follow(const struct step *s, const struct ledger_attempt *a)
{
    switch (a->reason) {
    case REASON_CANCELLED:
    case REASON_OUTPUT_LOST: /* once too often */
        return false;
    case REASON_TIMEOUT:
        return s->retry.when & RETRY_TIMEOUT;
    case REASON_OOM:
        return s->retry.when & RETRY_OOM;
    case REASON_LOST:
        return s->retry.when & RETRY_LOST;
    case REASON_EXIT:
        return s->retry.when & RETRY_ERROR && a->exit_code != 202
               && has_code(s, a->exit_code);
    default:
        return s->retry.when & RETRY_ERROR;
    }
}

bool oracle_retries(const struct step *s, const struct ledger_task *t)
{
    const struct ledger_attempt *last = ledger_last(t);

    if (last->verdict == VERDICT_LOST)
        return true;
    return ledger_count(t, VERDICT_FAILED) <= s->retry.times && may_follow(s, last);
}

time_us oracle_delay(const struct step *s, const struct ledger_task *t)
{
    uint32_t n = ledger_count(t, VERDICT_FAILED);
    double delay = (double)s->retry.delay_us;

    if (ledger_last(t)->verdict == VERDICT_LOST || n == 0)
        return 0;
    while (--n)
        delay *= s->retry.backoff;
    return (time_us)delay;
}

struct walk {
    const struct ledger_run *run;
    struct oracle_summary *summary;
    uint64_t path[SCOPE_DEPTH_MAX];
};

static void walk_scope(struct walk *w, uint32_t scope);

static void walk_below(struct walk *w, uint32_t opener, const struct ledger_task *t)
{
    const struct flow *f = w->run->flow;
    uint32_t scope = f->steps[opener].foreach.scope;
    uint64_t width = width_of(w->run, opener, t);

    for (uint64_t i = 0; i < width; i++) {
        w->path[f->scopes[scope].depth - 1] = i;
        walk_scope(w, scope);
    }
}

static void walk_scope(struct walk *w, uint32_t scope)
{
    const struct flow *f = w->run->flow;

    for (uint32_t i = 0; i < f->scopes[scope].n_steps; i++) {
        uint32_t step = f->scopes[scope].steps[i], iteration;
        struct ledger_task *t;

        if (f->steps[step].is_hook)
            continue;
        switch (oracle_state(w->run, step, w->path, &iteration)) {
        case ORACLE_DONE:
            t = find(w->run, step, w->path, iteration);
            w->summary->n_done += iteration + 1;
            if (f->steps[step].foreach.kind)
                walk_below(w, step, t);
            break;
        case ORACLE_FAILED:
            w->summary->n_done += iteration;
            w->summary->n_failed++;
            break;
        case ORACLE_SKIPPED:
            w->summary->n_skipped++;
            break;
        case ORACLE_READY:
            w->summary->n_done += iteration;
            w->summary->n_ready++;
            break;
        case ORACLE_WAITING:
            w->summary->n_waiting++;
            break;
        }
    }
}

static void count_records(const struct ledger_run *r, struct oracle_summary *s)
{
    for (const struct ledger_task *t = r->tasks; t; t = t->hh.next) {
        bool is_hook = r->flow->steps[t->id.step].is_hook;

        s->n_attempts += t->n_attempts;
        s->hooks_done += is_hook && t->counted;
        s->hooks_failed += is_hook && !t->counted && t->n_attempts;
        s->n_made += !is_hook && t->counted && t->counted != VERDICT_ADOPTED;
        s->n_adopted += t->counted == VERDICT_ADOPTED;
        s->n_tried_in_vain += !is_hook && !t->counted && t->n_attempts;
    }
}

void oracle_summarise(const struct ledger_run *r, struct oracle_summary *ret)
{
    struct walk w = { .run = r, .summary = ret };

    *ret = (struct oracle_summary){ .n_done = 0 };
    count_records(r, ret);
    walk_scope(&w, 0);
}
