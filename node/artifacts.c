/* SPDX-License-Identifier: Apache-2.0 */
#include "node/artifacts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static bool counts(enum verdict v)
{
    return v == VERDICT_DONE || v == VERDICT_CAUGHT || v == VERDICT_ADOPTED;
}

void artifact_release(struct artifact *a)
{
    free(a->name);
    free(a->type);
    free(a->inline_data);
    *a = (struct artifact){ .name = NULL };
}

int artifact_copy(const struct artifact *a, struct artifact *ret)
{
    struct artifact copy = *a;

    copy.name = strdup(a->name);
    copy.type = a->type ? strdup(a->type) : NULL;
    copy.inline_data = NULL;
    if (a->inline_data) {
        copy.inline_data = malloc(a->size + 1);
        if (copy.inline_data)
            memcpy(copy.inline_data, a->inline_data, a->size);
    }
    if (!copy.name || (a->type && !copy.type)
        || (a->inline_data && !copy.inline_data)) {
        artifact_release(&copy);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

/* ---- attempts ---- */

struct last_counted {
    struct attempt_record found;
    bool has_found;
};

static int keep_if_counted(void *arg, struct span key, struct span value)
{
    struct last_counted *last = arg;
    struct attempt_record r;
    int error = attempt_record_decode(value.data, value.len, &r);

    if (error == 0)
        error = attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt);
    if (error < 0)
        return error;
    if (!counts(r.verdict)) {
        attempt_record_release(&r);
        return 0;
    }
    if (last->has_found)
        attempt_record_release(&last->found);
    last->found = r;
    last->has_found = true;
    return 0;
}

/* The last counting attempt whose key begins with `prefix`. */
static int find_last(const struct artifacts *a, const struct record_key *prefix,
                     struct attempt_record *ret)
{
    struct last_counted last = { .has_found = false };
    int r = writer_scan(a->writer, STORE_RECORDS,
                        (struct span){ prefix->bytes, prefix->len },
                        (struct span){ NULL, 0 }, keep_if_counted, &last);

    if (r < 0) {
        if (last.has_found)
            attempt_record_release(&last.found);
        return r;
    }
    if (!last.has_found)
        return -ENOENT;
    *ret = last.found;
    return 0;
}

/* Most tasks are done at their first attempt: one look-up instead of a scan, which
 * would have to wait for what is queued. */
static int get_attempt(const struct artifacts *a, const struct run_id *run,
                       const struct task_id *task, uint32_t attempt,
                       struct attempt_record *ret)
{
    struct record_key key = attempt_key(run, task, attempt);
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct attempt_record r;
    int error = writer_get(a->writer, STORE_RECORDS,
                           (struct span){ key.bytes, key.len }, &value);

    if (error == 0)
        error = attempt_record_decode(value.data, value.len, &r);
    if (error < 0)
        return error;
    r.run = *run;
    r.task = *task;
    r.attempt = attempt;
    if (!counts(r.verdict)) {
        attempt_record_release(&r);
        return -ENOENT;
    }
    *ret = r;
    return 0;
}

int artifacts_attempt(const struct artifacts *a, const struct run_id *run,
                      const struct task_id *task, struct attempt_record *ret)
{
    struct record_key prefix;
    int r = get_attempt(a, run, task, 0, ret);

    if (r != -ENOENT)
        return r;
    prefix = attempts_of_task(run, task);
    return find_last(a, &prefix, ret);
}

/* The last iteration that counts; `task` names any of them. */
static int last_iteration(const struct artifacts *a, const struct flow *flow,
                          const struct run_id *run, const struct task_id *task,
                          struct attempt_record *ret)
{
    struct task_id first = *task;
    struct record_key prefix;

    first.iteration = 0;
    if (!flow->steps[task->step].switch_by)
        return artifacts_attempt(a, run, &first, ret);
    prefix = attempts_of_task(run, &first);
    prefix.len--; /* iteration 0 is one byte */
    return find_last(a, &prefix, ret);
}

/* ---- along the edges ---- */

static struct task_id task_before(const struct flow *f, const struct task_id *task,
                                  uint32_t step)
{
    struct task_id before = { .step = step };

    before.depth = f->scopes[f->steps[step].scope].depth;
    assert(before.depth <= task->depth);
    memcpy(before.path, task->path, before.depth * sizeof(before.path[0]));
    return before;
}

int artifacts_attempt_before(const struct artifacts *a, const struct flow *f,
                             const struct run_id *run, const struct task_id *task,
                             struct attempt_record *ret)
{
    const struct step *s = &f->steps[task->step];
    struct attempt_record found;
    bool has_found = false;
    int r;

    if (f->is_needs)
        return -ENOENT;
    if (task->iteration) {
        struct task_id again = *task;

        again.iteration--;
        return artifacts_attempt(a, run, &again, ret);
    }
    for (uint32_t i = 0; i < s->n_before; i++)
        if (flow_edge_kind(f, s->before[i], task->step) == EDGE_CLOSE)
            return -ENOENT; /* a join, which sees its branches by name only */
    for (uint32_t i = 0; i < s->n_before; i++) {
        struct task_id before;
        struct attempt_record one;

        before = task_before(f, task, s->before[i]);
        r = last_iteration(a, f, run, &before, &one);
        if (r == -ENOENT)
            continue;
        if (r == 0 && has_found) {
            attempt_record_release(&one);
            r = -ENOENT;
        }
        if (r < 0) {
            if (has_found)
                attempt_record_release(&found);
            return r;
        }
        found = one;
        has_found = true;
    }
    if (!has_found)
        return -ENOENT;
    *ret = found;
    return 0;
}

static int take_output(const struct attempt_record *r, const char *name,
                       struct artifact *ret)
{
    for (size_t i = 0; i < r->n_outputs; i++)
        if (strcmp(r->outputs[i].name, name) == 0)
            return artifact_copy(&r->outputs[i], ret);
    return -ENOENT;
}

int artifacts_find(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   const char *name, bool own, struct artifact *ret,
                   struct task_id *ret_maker)
{
    struct task_id at = *task;

    for (bool is_first = true;; is_first = false) {
        CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
        int error;

        if (is_first && own)
            error = artifacts_attempt(a, run, &at, &r);
        else
            error = artifacts_attempt_before(a, flow, run, &at, &r);
        if (error < 0)
            return error;
        error = take_output(&r, name, ret);
        if (error == 0)
            *ret_maker = r.task;
        if (error != -ENOENT)
            return error;
        at = r.task;
    }
}

/* Whether the step's scope, or the one around the scope that it was split into, holds
 * the task's: else their indexes have nothing to do with each other. */
static bool is_around(const struct flow *f, uint32_t from, uint32_t step)
{
    const struct scope *outer = &f->scopes[f->steps[from].scope];
    const struct scope *inner = &f->scopes[f->steps[step].scope];

    if (outer->depth > inner->depth)
        outer = &f->scopes[outer->parent];
    while (inner->depth > outer->depth)
        inner = &f->scopes[inner->parent];
    return inner == outer;
}

/* Whether the step waits for the other one, however far back: what runs beside it may
 * be done or not. */
static bool is_before(const struct flow *f, uint32_t from, uint32_t step)
{
    CLEANUP(freep) bool *seen = calloc(f->n_all_steps, sizeof(*seen));
    CLEANUP(freep) uint32_t *stack = calloc(f->n_all_steps, sizeof(*stack));
    uint32_t n = 0;

    if (f->steps[step].is_hook)
        return true; /* of the run's end: all are before it */
    if (!seen || !stack)
        return false;
    stack[n++] = step;
    while (n) {
        const struct step *s = &f->steps[stack[--n]];

        for (uint32_t i = 0; i < s->n_before; i++) {
            if (s->before[i] == from)
                return true;
            if (!seen[s->before[i]])
                stack[n++] = s->before[i];
            seen[s->before[i]] = true;
        }
    }
    return false;
}

int artifacts_find_from(const struct artifacts *a, const struct flow *flow,
                        const struct run_id *run, const struct task_id *task,
                        uint32_t from_step, const uint64_t *index, const char *name,
                        struct artifact *ret, struct task_id *ret_maker)
{
    const struct scope *from_scope = &flow->scopes[flow->steps[from_step].scope];
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    uint32_t shared = from_scope->depth < task->depth ? from_scope->depth : task->depth;
    struct task_id from = { .step = from_step, .depth = from_scope->depth };
    int error;

    if (from.depth > task->depth + 1
        || (from.depth == task->depth + 1) != (index != NULL)
        || !is_around(flow, from_step, task->step)
        || (!is_before(flow, from_step, task->step)
            && !(from_step == task->step && task->iteration)))
        return -EINVAL;
    memcpy(from.path, task->path, shared * sizeof(from.path[0]));
    if (index)
        from.path[from.depth - 1] = *index;
    error = last_iteration(a, flow, run, &from, &r);
    if (error < 0)
        return error;
    return artifacts_find(a, flow, run, &r.task, name, true, ret, ret_maker);
}

int artifacts_read(const struct artifacts *a, const struct artifact *artifact,
                   uint64_t offset, uint64_t len, struct buffer *ret)
{
    if (!artifact->inline_data && artifact->size)
        return blobs_read(a->blobs, &artifact->id, offset, len, ret);
    if (offset >= artifact->size)
        return 0;
    if (len > artifact->size - offset)
        len = artifact->size - offset;
    return buffer_append(ret, artifact->inline_data + offset, len);
}

/* ---- joins ---- */

/* Records are collected first and handed out after the scan, so that whoever gets them
 * may read the store. */
struct closing {
    struct attempt_record *all;
    size_t n, cap;
    bool has_hole; /* the last one met was done, and is to be done again */
    struct task_id hole;
};

static void closing_release(struct closing *c)
{
    for (size_t i = 0; i < c->n; i++)
        attempt_record_release(&c->all[i]);
    free(c->all);
}

static int closing_add(struct closing *c, struct attempt_record *take)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        struct attempt_record *all = realloc(c->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        c->all = all;
        c->cap = cap;
    }
    c->all[c->n++] = *take;
    return 0;
}

/* Who lists a split must not see one without an item that is being made again. */
static void note_hole(struct closing *c, const struct attempt_record *r)
{
    bool is_undone = r->reason == REASON_OUTPUT_LOST || r->reason == REASON_STALE;

    if (!is_undone && !counts(r->verdict))
        return;
    c->has_hole = is_undone;
    c->hole = r->task;
}

static int each_closing(void *arg, struct span key, struct span value)
{
    struct closing *c = arg;
    struct attempt_record r, *last = c->n ? &c->all[c->n - 1] : NULL;
    int error = attempt_record_decode(value.data, value.len, &r);

    if (error < 0)
        return error;
    error = attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt);
    if (error == 0 && c->has_hole && !task_id_equal(&c->hole, &r.task))
        error = -EAGAIN;
    if (error == 0)
        note_hole(c, &r);
    if (error < 0 || !counts(r.verdict)) {
        attempt_record_release(&r);
        return error;
    }
    if (last && last->task.step == r.task.step
        && memcmp(last->task.path, r.task.path, r.task.depth * sizeof(uint64_t)) == 0) {
        attempt_record_release(last); /* an earlier iteration */
        *last = r;
        return 0;
    }
    error = closing_add(c, &r);
    if (error < 0)
        attempt_record_release(&r);
    return error;
}

/* All indexes of a step below the task's path. */
static int collect_split(const struct artifacts *a, const struct run_id *run,
                         const struct task_id *task, uint32_t step, struct closing *c)
{
    struct task_id first = { .step = step, .depth = task->depth + 1 };
    struct record_key prefix = attempts_of_run(run);
    uint8_t bytes[TASK_ID_SIZE_MAX];
    size_t shared;
    int r;

    memcpy(first.path, task->path, task->depth * sizeof(first.path[0]));
    /* Index 0 and iteration 0 are a byte each: the prefix ends before them. */
    shared = task_id_encode(&first, bytes) - 2;
    memcpy(prefix.bytes + prefix.len, bytes, shared);
    prefix.len += shared;
    r = writer_scan(a->writer, STORE_RECORDS, (struct span){ prefix.bytes, prefix.len },
                    (struct span){ NULL, 0 }, each_closing, c);
    return r == 0 && c->has_hole ? -EAGAIN : r;
}

static int collect_one(const struct artifacts *a, const struct flow *flow,
                       const struct run_id *run, const struct task_id *task,
                       uint32_t step, struct closing *c)
{
    struct task_id before = task_before(flow, task, step);
    struct attempt_record one;
    int r = last_iteration(a, flow, run, &before, &one);

    if (r == -ENOENT)
        return 0; /* a branch that a switch did not take */
    if (r == 0) {
        r = closing_add(c, &one);
        if (r < 0)
            attempt_record_release(&one);
    }
    return r;
}

int artifacts_inputs(const struct artifacts *a, const struct flow *flow,
                     const struct run_id *run, const struct task_id *task,
                     int (*each)(void *arg, const struct attempt_record *attempt),
                     void *arg)
{
    const struct step *s = &flow->steps[task->step];
    CLEANUP(closing_release) struct closing c = { .all = NULL };
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < s->n_before; i++)
        r = flow_edge_kind(flow, s->before[i], task->step) == EDGE_CLOSE
                ? collect_split(a, run, task, s->before[i], &c)
                : collect_one(a, flow, run, task, s->before[i], &c);
    for (size_t i = 0; r == 0 && i < c.n; i++)
        r = each(arg, &c.all[i]);
    return r;
}
