/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "scheduler/remake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- how often ---- */

static size_t key_of(const struct task_id *task, uint8_t key[TASK_ID_SIZE_MAX])
{
    struct task_id first = *task;

    first.iteration = 0;
    return task_id_encode(&first, key);
}

struct remake *remake_find(const struct run *r, const struct task_id *task)
{
    uint8_t key[TASK_ID_SIZE_MAX];
    size_t len = key_of(task, key);
    struct remake *m;

    HASH_FIND(hh, r->remakes, key, len, m);
    return m;
}

static struct remake *add(struct run *r, const struct task_id *task)
{
    struct remake *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->key_len = key_of(task, m->key);
    HASH_ADD_KEYPTR(hh, r->remakes, m->key, m->key_len, m);
    if (m->hh.tbl)
        return m;
    free(m);
    return NULL;
}

/* Marks what comes behind a step, however far. */
static int block_behind(struct run *r, uint32_t step)
{
    CLEANUP(freep)
    uint32_t *stack = calloc((size_t)r->flow->n_all_steps + 1, sizeof(*stack));
    uint32_t n = 0;

    if (!stack)
        return -ENOMEM;
    stack[n++] = step;
    while (n) {
        const struct run_step *s = &r->steps[stack[--n]];

        for (uint32_t i = 0; i < s->n_after; i++) {
            uint32_t to = s->after[i].step;

            if (to == step || r->steps[to].is_blocked)
                continue;
            r->steps[to].is_blocked = true;
            stack[n++] = to;
        }
    }
    return 0;
}

/* Behind one that failed for good some may never be done again: then nothing waits for
 * them, and fails by itself. What is torn is mended soon, and whatever starts behind it
 * before would count for what it is not. */
static int block(struct run *r)
{
    int error = 0;

    for (uint32_t i = 0; i < r->flow->n_all_steps; i++)
        r->steps[i].is_blocked = false;
    for (uint32_t i = 0; i < r->flow->n_all_steps && error == 0; i++)
        if (r->steps[i].n_undone && (!r->n_failed || r->n_torn))
            error = block_behind(r, i);
    for (uint32_t i = 0; i < r->flow->n_all_steps; i++)
        run_sync_step(r, i);
    return error;
}

static int count_undone(struct run *r, struct remake *m, uint32_t step, bool is_open)
{
    struct run_step *s = &r->steps[step];
    bool was_any = s->n_undone > 0;

    if (m->is_open == is_open)
        return 0;
    m->is_open = is_open;
    s->n_undone += is_open ? 1 : UINT64_MAX;
    return was_any == (s->n_undone > 0) ? 0 : block(r);
}

int remake_close(struct run *r, const struct task_id *task)
{
    struct remake *m = r->remakes ? remake_find(r, task) : NULL;
    int error = m ? count_undone(r, m, task->step, false) : 0;

    return error || !r->remakes || !r->n_failed ? error : block(r);
}

int remake_tear(struct run *r, struct remake *m)
{
    int error;

    if (m->is_torn)
        return 0;
    m->is_torn = true;
    r->n_torn++;
    error = count_undone(r, m, m->task.step, true);
    return error ? error : block(r);
}

int remake_note(struct run *r, const struct attempt_record *undone, struct remake **ret)
{
    struct remake *m = remake_find(r, &undone->task);

    if (!m)
        m = add(r, &undone->task);
    if (!m)
        return -ENOMEM;
    m->times++;
    m->task = undone->task;
    m->attempt = undone->attempt;
    m->has_made = undone->has_made;
    m->made = undone->made;
    *ret = m;
    return count_undone(r, m, undone->task.step, true);
}

void remakes_release(struct run *r)
{
    struct remake *m, *next;

    HASH_ITER (hh, r->remakes, m, next) {
        HASH_DELETE(hh, r->remakes, m);
        free(m);
    }
}

/* ---- instances that were over ---- */

/* Of those that are in it nothing is known but that they are done. */
static int widen(struct run *r, struct instance *in, uint64_t width)
{
    for (uint32_t i = 0; i < in->n_spans && in->width < width; i++) {
        struct span *s = &in->spans[i];

        if (r->steps[s->step].step->is_hook)
            continue;
        if (iset_add_range(&s->released, in->width, width) < 0
            || iset_add_range(&s->done, in->width, width) < 0)
            return -ENOMEM;
    }
    in->width = in->width < width ? width : in->width;
    return 0;
}

static int revive_child(struct run *r, struct instance *parent, uint64_t index,
                        uint32_t scope, uint64_t width, struct instance **ret)
{
    const struct span *opener = run_span(r, parent, r->flow->scopes[scope].opener);
    struct instance *in = run_child(r, parent, index, scope);

    if (!in && !iset_has(&opener->done, index))
        return -ENOENT;
    *ret = in;
    if (in)
        return in->is_revived ? widen(r, in, width) : 0;
    in = run_instance_below(r, parent, index, scope);
    if (!in)
        return -ENOMEM;
    in->is_open = in->is_revived = true;
    *ret = in;
    return widen(r, in, width);
}

/* The instance of a task that was done, from the root down. */
static int find_instance(struct run *r, const struct task_id *task,
                         struct instance **ret)
{
    uint32_t chain[SCOPE_DEPTH_MAX + 1], scope = r->flow->steps[task->step].scope;
    struct instance *in = r->root;
    int error = 0;

    for (uint32_t i = task->depth; i > 0; i--) {
        chain[i] = scope;
        scope = r->flow->scopes[scope].parent;
    }
    for (uint32_t i = 1; error == 0 && i <= task->depth; i++)
        error = revive_child(r, in, i > 1 ? task->path[i - 2] : 0, chain[i],
                             task->path[i - 1] + 1, &in);
    *ret = in;
    return error;
}

/* ---- going back ---- */

static int unchoose(const struct run *r, struct span *s, uint64_t index)
{
    for (uint32_t i = 0; s->chosen && i <= r->steps[s->step].step->n_cases; i++)
        if (iset_remove(&s->chosen[i], index) == -ENOMEM)
            return -ENOMEM;
    return 0;
}

static int take_back(struct run *r, struct span *s, uint64_t index,
                     const struct attempt_record *attempt)
{
    struct exception *e = run_except(r, s, index);
    bool was_resolved = span_resolved(s) == s->instance->width;

    if (!e || iset_remove(&s->done, index) < 0 || unchoose(r, s, index) < 0)
        return -ENOMEM;
    e->iteration = attempt->task.iteration;
    e->n_attempts = attempt->attempt + 1;
    r->steps[s->step].n_done--;
    r->n_final--;
    if (attempt->verdict == VERDICT_ADOPTED)
        r->n_adopted--;
    else
        r->n_done--;
    if (!s->instance->is_open)
        return iset_remove(&s->released, index);
    if (was_resolved) {
        s->instance->n_open++;
        r->n_open++;
    }
    return run_make_ready(r, s, index, index + 1);
}

int remake_undo(struct run *r, const struct attempt_record *attempt,
                struct span **ret_span, uint64_t *ret_index)
{
    const struct task_id *task = &attempt->task;
    struct instance *in;
    struct span *s;
    uint64_t index = task->depth ? task->path[task->depth - 1] : 0;
    int error;

    if (task->step >= r->flow->n_steps
        || task->depth != r->flow->scopes[r->flow->steps[task->step].scope].depth)
        return -ENOENT;
    for (uint32_t i = 0; i < task->depth; i++)
        if (task->path[i] == UINT64_MAX)
            return -ENOENT;
    error = find_instance(r, task, &in);
    if (error < 0)
        return error;
    s = run_span(r, in, task->step);
    if (!iset_has(&s->done, index))
        return -ENOENT;
    *ret_span = s;
    *ret_index = index;
    return take_back(r, s, index, attempt);
}

int remake_undo_iteration(struct run *r, const struct attempt_record *attempt,
                          struct span *s, uint64_t index)
{
    struct exception *e = run_except(r, s, index);

    if (!e)
        return -ENOMEM;
    e->iteration = attempt->task.iteration;
    e->n_attempts = attempt->attempt + 1;
    if (attempt->verdict == VERDICT_ADOPTED)
        r->n_adopted--;
    else
        r->n_done--;
    return run_make_ready(r, s, index, index + 1);
}

bool remake_is_split_over(const struct run *r, const struct span *s, uint64_t index)
{
    uint32_t scope = r->steps[s->step].step->foreach.scope;
    const struct instance *in = run_child(r, s->instance, index, scope);
    const struct span *closer = run_span(r, s->instance, r->flow->scopes[scope].closer);
    struct task_id task = run_task_id(r, s, index);

    if (in)
        return in->is_revived;
    /* Of one that is taken over the end may be done, and the opener not. */
    return remake_find(r, &task) && iset_has(&closer->released, index);
}
