/* SPDX-License-Identifier: Apache-2.0 */
#include "node/witness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void needs_release(struct needs *n)
{
    free(n->all);
    *n = (struct needs){ .all = NULL };
}

/* ---- needs ---- */

static int add_need(struct needs *n, const struct record_key *prefix, uint32_t step,
                    bool is_before)
{
    if (n->n == n->cap) {
        size_t cap = n->cap ? 2 * n->cap : 8;
        struct need *all = realloc(n->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        n->all = all;
        n->cap = cap;
    }
    n->all[n->n++] =
        (struct need){ .prefix = *prefix, .step = step, .is_before = is_before };
    return 0;
}

/* Marks the steps before this one, however far back. A hook is behind all of them. */
static int mark_before(const struct flow *f, uint32_t step, bool *marked)
{
    CLEANUP(freep) uint32_t *stack = calloc((size_t)f->n_all_steps + 1, sizeof(*stack));
    uint32_t n = 0;

    if (!stack)
        return -ENOMEM;
    if (f->steps[step].is_hook) {
        for (uint32_t i = 0; i < f->n_steps; i++)
            marked[i] = true;
        return 0;
    }
    stack[n++] = step;
    while (n) {
        const struct step *s = &f->steps[stack[--n]];

        for (uint32_t i = 0; i < s->n_before; i++) {
            if (!marked[s->before[i]])
                stack[n++] = s->before[i];
            marked[s->before[i]] = true;
        }
    }
    marked[step] = false; /* a switch that returns to itself */
    return 0;
}

/* Whether the scope of `from` is the one of `step` or around it. */
static bool is_around(const struct flow *f, uint32_t from, uint32_t step)
{
    const struct scope *outer = &f->scopes[f->steps[from].scope];
    const struct scope *inner = &f->scopes[f->steps[step].scope];

    while (inner->depth > outer->depth)
        inner = &f->scopes[inner->parent];
    return inner == outer;
}

static bool is_direct(const struct flow *f, uint32_t from, uint32_t step)
{
    for (uint32_t i = 0; i < f->steps[step].n_before; i++)
        if (f->steps[step].before[i] == from)
            return true;
    return false;
}

/* Whether the step joins the split that `from` is in: then it sees all of that split.
 */
static bool joins_scope_of(const struct flow *f, uint32_t from, uint32_t step)
{
    const struct step *s = &f->steps[step];

    for (uint32_t i = 0; i < s->n_before; i++)
        if (flow_edge_kind(f, s->before[i], step) == EDGE_CLOSE
            && f->steps[s->before[i]].scope == f->steps[from].scope)
            return true;
    return false;
}

/* The one task of an enclosing scope, with all its iterations. */
static struct record_key one_task(const struct flow *f, const struct run_id *run,
                                  const struct task_id *task, uint32_t step)
{
    struct task_id before = { .step = step,
                              .depth = f->scopes[f->steps[step].scope].depth };
    struct record_key prefix;

    memcpy(before.path, task->path, before.depth * sizeof(before.path[0]));
    prefix = attempts_of_task(run, &before);
    if (f->steps[step].switch_by)
        prefix.len--; /* iteration 0 is one byte */
    return prefix;
}

/* All indexes of a step below the task's path. */
static struct record_key whole_split(const struct run_id *run,
                                     const struct task_id *task, uint32_t step)
{
    struct task_id first = { .step = step, .depth = task->depth + 1 };
    struct record_key prefix;

    memcpy(first.path, task->path, task->depth * sizeof(first.path[0]));
    prefix = attempts_of_task(run, &first);
    prefix.len -= 2; /* index 0 and iteration 0 are a byte each */
    return prefix;
}

static int add_step(const struct flow *f, const struct run_id *run,
                    const struct task_id *task, uint32_t step, struct needs *n)
{
    struct record_key prefix;

    if (is_around(f, step, task->step))
        prefix = one_task(f, run, task, step);
    else if (task->depth < SCOPE_DEPTH_MAX && joins_scope_of(f, step, task->step))
        prefix = whole_split(run, task, step);
    else
        return 0; /* it cannot be seen from here */
    return add_need(n, &prefix, step, is_direct(f, step, task->step));
}

/* Its own iterations before, each for itself: the next ones are not there yet. */
static int add_iterations(const struct run_id *run, const struct task_id *task,
                          struct needs *n)
{
    struct task_id before = *task;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < task->iteration; i++) {
        struct record_key prefix;

        before.iteration = i;
        prefix = attempts_of_task(run, &before);
        r = add_need(n, &prefix, task->step, true);
    }
    return r;
}

int needs_of(const struct flow *f, const struct run_id *run, const struct task_id *task,
             struct needs *ret)
{
    CLEANUP(freep) bool *marked = calloc((size_t)f->n_all_steps + 1, sizeof(*marked));
    CLEANUP(needs_release) struct needs n = { .all = NULL };
    int r = marked ? mark_before(f, task->step, marked) : -ENOMEM;

    for (uint32_t i = 0; r == 0 && i < f->n_all_steps; i++)
        if (i == task->step)
            r = add_iterations(run, task, &n);
        else if (marked[i])
            r = add_step(f, run, task, i, &n);
    if (r < 0)
        return r;
    *ret = n;
    n = (struct needs){ .all = NULL };
    return 0;
}

/* In the same split, as far as both are in one. */
static bool is_beside(const struct flow *f, const struct task_id *a,
                      const struct task_id *b)
{
    const struct scope *x = &f->scopes[f->steps[a->step].scope];
    const struct scope *y = &f->scopes[f->steps[b->step].scope];

    while (x != y)
        if (x->depth >= y->depth)
            x = &f->scopes[x->parent];
        else
            y = &f->scopes[y->parent];
    return memcmp(a->path, b->path, x->depth * sizeof(a->path[0])) == 0;
}

int witness_is_behind(const struct flow *f, const struct task_id *from,
                      const struct task_id *task)
{
    CLEANUP(freep) bool *marked = NULL;
    int r;

    if (from->step >= f->n_steps || task->step >= f->n_steps || from->step == task->step
        || !is_beside(f, from, task))
        return 0;
    marked = calloc((size_t)f->n_all_steps + 1, sizeof(*marked));
    r = marked ? mark_before(f, task->step, marked) : -ENOMEM;
    return r < 0 ? r : marked[from->step];
}

/* ---- the digest ---- */

/* Two seeds make 256 bits of a hash of 128. */
static struct digest hash(const void *data, size_t len)
{
    struct digest d;

    for (unsigned i = 0; i < 2; i++) {
        XXH128_canonical_t half;

        XXH128_canonicalFromHash(&half, XXH3_128bits_withSeed(data, len, i));
        memcpy(d.bytes + i * sizeof(half), &half, sizeof(half));
    }
    return d;
}

void witness_add(struct digest *witness, const struct digest *part)
{
    uint8_t both[2 * DIGEST_SIZE];

    memcpy(both, witness, DIGEST_SIZE);
    memcpy(both + DIGEST_SIZE, part, DIGEST_SIZE);
    *witness = hash(both, sizeof(both));
}

void witness_sum_release(struct witness_sum *s)
{
    buffer_release(&s->text);
}

static bool counts(enum verdict v)
{
    return v == VERDICT_DONE || v == VERDICT_CAUGHT || v == VERDICT_ADOPTED;
}

static void put_number(struct buffer *b, uint64_t value)
{
    uint8_t bytes[VARINT_SIZE_MAX];

    buffer_append(b, bytes, varint_encode(value, bytes));
}

static void put_text(struct buffer *b, const char *text)
{
    put_number(b, text ? strlen(text) + 1 : 0);
    buffer_puts(b, text ? text : "");
}

static int hash_attempt(struct witness_sum *s, const struct attempt_record *a,
                        struct digest *ret)
{
    uint8_t id[TASK_ID_SIZE_MAX];

    buffer_clear(&s->text);
    buffer_append(&s->text, id, task_id_encode(&a->task, id));
    put_number(&s->text, a->has_width ? a->width + 1 : 0);
    put_text(&s->text, a->choice);
    put_number(&s->text, a->n_outputs);
    for (size_t i = 0; i < a->n_outputs; i++) {
        put_text(&s->text, a->outputs[i].name);
        put_number(&s->text, a->outputs[i].encoding);
        buffer_append(&s->text, a->outputs[i].id.bytes, DIGEST_SIZE);
    }
    if (buffer_failed(&s->text))
        return buffer_failed(&s->text);
    *ret = hash(s->text.data, s->text.len);
    return 0;
}

int witness_of_attempt(const struct attempt_record *attempt, struct digest *ret)
{
    CLEANUP(witness_sum_release) struct witness_sum sum = { .n = 0 };

    return hash_attempt(&sum, attempt, ret);
}

static void end_task(struct witness_sum *s)
{
    if (!s->has_last)
        return;
    witness_add(&s->digest, &s->last);
    s->n++;
    s->has_last = false;
}

/* Another iteration of the task is the same place. */
static bool is_same_place(const struct task_id *a, const struct task_id *b)
{
    return a->step == b->step && a->depth == b->depth
           && memcmp(a->path, b->path, a->depth * sizeof(a->path[0])) == 0;
}

int witness_sum_add(struct witness_sum *s, const void *key, size_t key_len,
                    const void *value, size_t value_len)
{
    struct attempt_record a;
    int r = attempt_record_decode(value, value_len, &a);

    if (r < 0)
        return r;
    r = attempt_key_decode(key, key_len, &a.run, &a.task, &a.attempt);
    if (r == 0 && counts(a.verdict)) {
        if (!is_same_place(&a.task, &s->task))
            end_task(s);
        s->task = a.task;
        r = hash_attempt(s, &a, &s->last);
        s->has_last = r == 0;
    }
    attempt_record_release(&a);
    return r;
}

void witness_sum_end(struct witness_sum *s, struct digest *ret, uint64_t *ret_n)
{
    end_task(s);
    *ret = s->digest;
    *ret_n = s->n;
}

static int each_attempt(void *arg, const void *key, size_t key_len, const void *value,
                        size_t value_len)
{
    return witness_sum_add(arg, key, key_len, value, value_len);
}

static int part_of(const struct witness_reader *reader, const struct record_key *prefix,
                   struct digest *ret, uint64_t *ret_n)
{
    CLEANUP(witness_sum_release) struct witness_sum sum = { .n = 0 };
    int r = reader->scan(reader->arg, prefix, each_attempt, &sum);

    if (r == 0)
        witness_sum_end(&sum, ret, ret_n);
    return r;
}

int witness_of(const struct flow *flow, const struct run_id *run,
               const struct task_id *task, const struct witness_reader *reader,
               struct digest *ret)
{
    CLEANUP(needs_release) struct needs needs = { .all = NULL };
    struct digest witness = { .bytes = { 0 } };
    bool waits = false, is_any = false;
    int r = needs_of(flow, run, task, &needs);

    for (size_t i = 0; r == 0 && i < needs.n; i++) {
        struct digest part;
        uint64_t n;

        r = part_of(reader, &needs.all[i].prefix, &part, &n);
        if (r == 0)
            witness_add(&witness, &part);
        waits = waits || needs.all[i].is_before;
        is_any = is_any || (r == 0 && needs.all[i].is_before && n);
    }
    if (r == 0 && waits && !is_any)
        r = -ENOENT;
    if (r < 0)
        return r;
    *ret = witness;
    return 0;
}
