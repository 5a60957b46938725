/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "scheduler/run.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "scheduler/remake.h"
#include "scheduler/run_plan.h"

/* ---- instances ---- */

static void span_release(struct run *r, struct span *s)
{
    struct exception *e, *next;

    HASH_ITER (hh, s->exceptions, e, next) {
        timers_cancel(r->timers, &e->timer);
        HASH_DELETE(hh, s->exceptions, e);
        free(e);
    }
    for (uint32_t i = 0; s->chosen && i <= r->steps[s->step].step->n_cases; i++)
        iset_release(&s->chosen[i]);
    free(s->chosen);
    iset_release(&s->released);
    iset_release(&s->ready);
    iset_release(&s->done);
    iset_release(&s->skipped);
    iset_release(&s->failed);
}

static void instance_free(struct run *r, struct instance *in)
{
    for (uint32_t i = 0; i < in->n_spans; i++)
        span_release(r, &in->spans[i]);
    free(in->spans);
    free(in);
}

static void init_spans(const struct run *r, struct instance *in)
{
    const struct scope *scope = &r->flow->scopes[in->scope];

    for (uint32_t i = 0; i < scope->n_steps; i++)
        run_span(r, in, scope->steps[i])->step = scope->steps[i];
    if (in->scope == 0)
        for (uint32_t i = r->flow->n_steps; i < r->flow->n_all_steps; i++)
            run_span(r, in, i)->step = i;
    for (uint32_t i = 0; i < in->n_spans; i++)
        in->spans[i].instance = in;
}

/* The indexes that name an instance: those of the task that opened it. */
static uint32_t path_len(const struct run *r, uint32_t scope)
{
    uint32_t depth = r->flow->scopes[scope].depth;

    return depth ? depth - 1 : 0;
}

static struct instance *instance_new(const struct run *r, uint32_t scope,
                                     const struct instance *parent, uint64_t index)
{
    uint32_t n = path_len(r, scope);
    struct instance *in = calloc(1, sizeof(*in) + (n + 1) * sizeof(in->key[0]));

    if (!in)
        return NULL;
    in->n_spans = r->scope_spans[scope];
    in->spans = calloc(in->n_spans + 1, sizeof(in->spans[0]));
    if (!in->spans) {
        free(in);
        return NULL;
    }
    in->scope = scope;
    in->index = index;
    in->key_len = (uint32_t)((n + 1) * sizeof(in->key[0]));
    in->key[0] = scope;
    if (n) {
        memcpy(in->key + 1, parent->key + 1, (n - 1) * sizeof(in->key[0]));
        in->key[n] = index;
    }
    init_spans(r, in);
    return in;
}

static int add_instance(struct run *r, struct instance *in, struct instance *parent)
{
    HASH_ADD_KEYPTR(hh, r->instances, in->key, in->key_len, in);
    if (!in->hh.tbl) {
        instance_free(r, in);
        return -ENOMEM;
    }
    in->parent = parent;
    if (parent)
        DL_APPEND(parent->children, in);
    return 0;
}

struct instance *run_find_instance(const struct run *r, uint32_t scope,
                                   const uint64_t *path)
{
    uint64_t key[SCOPE_DEPTH_MAX + 1] = { scope };
    uint32_t n = path_len(r, scope);
    struct instance *in;

    memcpy(key + 1, path, n * sizeof(key[0]));
    HASH_FIND(hh, r->instances, key, (n + 1) * sizeof(key[0]), in);
    return in;
}

struct instance *run_child(const struct run *r, const struct instance *parent,
                           uint64_t index, uint32_t scope)
{
    uint64_t path[SCOPE_DEPTH_MAX];
    uint32_t n = path_len(r, scope);

    if (n) {
        memcpy(path, parent->key + 1, (n - 1) * sizeof(path[0]));
        path[n - 1] = index;
    }
    return run_find_instance(r, scope, path);
}

struct instance *run_instance_below(struct run *r, struct instance *parent,
                                    uint64_t index, uint32_t scope)
{
    struct instance *in = run_child(r, parent, index, scope);

    if (in)
        return in;
    in = instance_new(r, scope, parent, index);
    return in && add_instance(r, in, parent) == 0 ? in : NULL;
}

static void unlink_ready(struct run *r, struct instance *in)
{
    for (uint32_t i = 0; i < in->n_spans; i++) {
        struct span *s = &in->spans[i];

        if (!s->ready.count)
            continue;
        DL_DELETE(r->steps[s->step].ready, s);
        r->steps[s->step].n_ready -= s->ready.count;
        r->n_ready -= s->ready.count;
        run_sync_step(r, s->step);
    }
}

void run_drop_instance(struct run *r, struct instance *in)
{
    while (in->children)
        run_drop_instance(r, in->children);
    unlink_ready(r, in);
    if (in->parent)
        DL_DELETE(in->parent->children, in);
    HASH_DELETE(hh, r->instances, in);
    instance_free(r, in);
}

/* ---- tasks ---- */

/* The instance of a scope that holds a task of this path, made from the root down. */
static struct instance *make_way(struct run *r, uint32_t scope, const uint64_t *path)
{
    uint32_t chain[SCOPE_DEPTH_MAX + 1], depth = r->flow->scopes[scope].depth;
    struct instance *in = r->root;

    for (uint32_t i = depth; i > 0; i--) {
        chain[i] = scope;
        scope = r->flow->scopes[scope].parent;
    }
    for (uint32_t i = 1; in && i <= depth; i++)
        in = run_instance_below(r, in, i > 1 ? path[i - 2] : 0, chain[i]);
    return in;
}

int run_locate(struct run *r, const struct task_id *task, bool is_wanted,
               struct span **ret_span, uint64_t *ret_index)
{
    const struct flow *f = r->flow;
    struct instance *in;
    uint32_t scope;

    if (task->step >= f->n_all_steps)
        return -ENOENT;
    scope = f->steps[task->step].is_hook ? 0 : f->steps[task->step].scope;
    if (task->depth != f->scopes[scope].depth)
        return -ENOENT;
    for (uint32_t i = 0; i < task->depth; i++)
        if (task->path[i] == UINT64_MAX)
            return -ENOENT;
    in = run_find_instance(r, scope, task->path);
    if (!in && is_wanted)
        in = make_way(r, scope, task->path);
    if (!in)
        return is_wanted ? -ENOMEM : -ENOENT;
    *ret_span = run_span(r, in, task->step);
    *ret_index = task->depth ? task->path[task->depth - 1] : 0;
    return 0;
}

struct task_id run_task_id(const struct run *r, const struct span *span, uint64_t index)
{
    const struct instance *in = span->instance;
    uint32_t depth = r->flow->scopes[in->scope].depth;
    struct task_id id = { .step = span->step, .depth = depth };

    if (depth) {
        memcpy(id.path, in->key + 1, (depth - 1) * sizeof(id.path[0]));
        id.path[depth - 1] = index;
    }
    return id;
}

struct exception *span_exception(const struct span *s, uint64_t index)
{
    struct exception *e = NULL;

    if (s->exceptions)
        HASH_FIND(hh, s->exceptions, &index, sizeof(index), e);
    return e;
}

struct exception *run_except(struct run *r, struct span *s, uint64_t index)
{
    struct exception *e = span_exception(s, index);

    if (e)
        return e;
    e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->index = index;
    e->run = r;
    e->span = s;
    e->timer.type = TIMER_RETRY;
    HASH_ADD(hh, s->exceptions, index, sizeof(e->index), e);
    if (!e->hh.tbl) {
        free(e);
        return NULL;
    }
    return e;
}

void run_unexcept(struct run *r, struct span *s, uint64_t index)
{
    struct exception *e = span_exception(s, index);

    if (!e)
        return;
    timers_cancel(r->timers, &e->timer);
    HASH_DELETE(hh, s->exceptions, e);
    free(e);
}

/* ---- what may start ---- */

static bool may_start(const struct run *r, const struct run_step *s)
{
    uint32_t concurrency = s->step->concurrency;

    return s->ready && (!concurrency || s->n_running < concurrency) && !s->is_blocked
           && (s->step->is_hook || !r->is_stopping)
           && !(r->is_tentative && s->step->effect == EFFECT_EXCLUSIVE);
}

void run_sync_step(struct run *r, uint32_t step)
{
    struct run_step *s = &r->steps[step];
    bool is_ready = may_start(r, s);

    if (is_ready == bitmap_has(&s->queue->ready, s->position))
        return;
    if (is_ready)
        bitmap_set(&s->queue->ready, s->position);
    else
        bitmap_clear(&s->queue->ready, s->position);
    queue_sync(s->queue);
}

void run_sync_queues(struct run *r)
{
    bool is_open = r->phase >= RUN_ACTIVE && !r->is_suspended && !r->is_held
                   && (!r->max_workers || r->n_running < r->max_workers);

    for (uint32_t i = 0; i < r->n_queues && r->queues[i].is_open != is_open; i++) {
        r->queues[i].is_open = is_open;
        queue_sync(&r->queues[i]);
    }
}

/* What its tasks ask for is another class now. */
static int plan_anew(struct run *r)
{
    int error = run_plan_queues(r);

    if (error < 0)
        return error;
    for (uint32_t i = 0; i < r->flow->n_all_steps; i++)
        run_sync_step(r, i);
    run_sync_queues(r);
    return 0;
}

int run_refuse(struct run *r, uint32_t bin, enum refusal why)
{
    uint32_t i = r->n_refusals;

    for (uint32_t k = 0; k < r->n_refusals; k++)
        if (r->refusals[k] == bin)
            return 0;
    if (r->n_refusals == DEMAND_REFUSALS_MAX)
        return 0;
    for (; i > 0 && r->refusals[i - 1] > bin; i--)
        r->refusals[i] = r->refusals[i - 1];
    r->refusals[i] = bin;
    r->n_refusals++;
    r->refusal = why;
    return plan_anew(r);
}

int run_allow(struct run *r, uint32_t bin)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->n_refusals; i++)
        if (r->refusals[i] != bin)
            r->refusals[n++] = r->refusals[i];
    if (n == r->n_refusals)
        return 0;
    r->n_refusals = n;
    return plan_anew(r);
}

int run_make_ready(struct run *r, struct span *s, uint64_t lo, uint64_t hi)
{
    struct run_step *step = &r->steps[s->step];
    bool was_empty = s->ready.count == 0;

    if (iset_add_range(&s->ready, lo, hi) < 0)
        return -ENOMEM;
    step->n_ready += hi - lo;
    r->n_ready += hi - lo;
    if (was_empty) {
        DL_APPEND(step->ready, s);
        run_sync_step(r, s->step);
    }
    return 0;
}

static void note_taken(struct run *r, struct span *s)
{
    struct run_step *step = &r->steps[s->step];

    if (!s->ready.count)
        DL_DELETE(step->ready, s);
    step->n_ready--;
    r->n_ready--;
}

int run_unready(struct run *r, struct span *s, uint64_t index)
{
    int error = iset_remove(&s->ready, index);

    if (error < 0)
        return error;
    note_taken(r, s);
    run_sync_step(r, s->step);
    return 0;
}

bool run_take_ready(struct run *r, uint32_t step, struct span **ret_span,
                    uint64_t *ret_index)
{
    struct span *span = r->steps[step].ready;

    if (!span || !iset_pop(&span->ready, ret_index))
        return false;
    note_taken(r, span);
    *ret_span = span;
    return true;
}

/* ---- a run ---- */

static int copy_record(const struct run_record *record, struct run_record *ret)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int r = run_record_encode(record, &bytes);

    if (r == 0)
        r = run_record_decode(bytes.data, bytes.len, ret);
    if (r == 0)
        ret->run = record->run;
    return r;
}

static enum on_failure on_failure_of(const struct run *r)
{
    static const char *const names[] = { [ON_FAILURE_STOP] = "stop",
                                         [ON_FAILURE_FINISH] = "finish",
                                         [ON_FAILURE_KILL] = "kill" };

    for (size_t i = ON_FAILURE_STOP; r->record.on_failure && i < ARRAY_SIZE(names); i++)
        if (strcmp(r->record.on_failure, names[i]) == 0)
            return (enum on_failure)i;
    return r->flow->on_failure;
}

static int add_root(struct run *r)
{
    struct instance *root = instance_new(r, 0, NULL, 0);

    if (!root || add_instance(r, root, NULL) < 0)
        return -ENOMEM;
    root->width = 1;
    r->root = root;
    return 0;
}

struct run *run_new(struct placement *placement, struct timers *timers,
                    struct flow *flow, const struct run_record *record,
                    enum run_phase phase)
{
    struct run *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->id = record->run;
    r->placement = placement;
    r->timers = timers;
    r->phase = phase;
    r->timer.type = TIMER_RUN;
    r->flow = flow_ref(flow);
    r->user = placement_enter(placement, record->user ? record->user : "");
    if (r->user)
        placement_run_init(placement, r->user, record->share, &r->share);
    if (!r->user || copy_record(record, &r->record) < 0 || run_plan(r) < 0
        || add_root(r) < 0) {
        run_free(r);
        return NULL;
    }
    r->max_workers = record->max_workers ? record->max_workers : flow->max_workers;
    r->on_failure = on_failure_of(r);
    return r;
}

void run_free(struct run *r)
{
    if (!r)
        return;
    timers_cancel(r->timers, &r->timer);
    if (r->root)
        run_drop_instance(r, r->root);
    assert(!r->instances);
    remakes_release(r);
    run_plan_release(r);
    placement_leave(r->placement, r->user);
    free(r->changes);
    free(r->doomed);
    free(r->message);
    run_record_release(&r->record);
    flow_unref(r->flow);
    free(r);
}
