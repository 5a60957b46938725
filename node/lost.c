/* SPDX-License-Identifier: Apache-2.0 */
#include "node/lost.h"

#include <errno.h>
#include <string.h>

#include "node/witness.h"
#include "store/tree.h"

void lost_release(struct lost *l)
{
    for (size_t i = 0; i < l->n; i++) {
        attempt_record_release(&l->all[i].attempt);
        free(l->all[i].name);
    }
    free(l->all);
    *l = (struct lost){ .all = NULL };
}

struct search {
    const struct artifacts *artifacts;
    struct missing wanted; /* whose maker is not known yet */
    struct lost *lost;
};

static bool counts(enum verdict v)
{
    return v == VERDICT_DONE || v == VERDICT_CAUGHT || v == VERDICT_ADOPTED;
}

static bool take(struct missing *m, const struct digest *id)
{
    for (size_t i = 0; i < m->n; i++)
        if (digest_equal(&m->ids[i], id)) {
            m->ids[i] = m->ids[--m->n];
            return true;
        }
    return false;
}

/* What passed on from another task that one has to make. */
static int find_in(struct search *s, const struct attempt_record *attempt,
                   const char **ret_name)
{
    *ret_name = NULL;
    for (size_t i = 0; i < attempt->n_outputs; i++) {
        CLEANUP(missing_release) struct missing m = { .ids = NULL };
        const struct attempt_record one = { .outputs = &attempt->outputs[i],
                                            .n_outputs = 1 };
        int r = attempt->outputs[i].is_inherited
                    ? 0
                    : missing_of_attempt(s->artifacts->blobs, &one, &m);

        if (r < 0)
            return r;
        for (size_t k = 0; k < m.n; k++)
            if (take(&s->wanted, &m.ids[k]))
                *ret_name = attempt->outputs[i].name;
    }
    return 0;
}

static int add(struct lost *l, struct attempt_record *attempt, const char *name)
{
    char *copy = strdup(name);

    if (copy && l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        struct lost_output *all = realloc(l->all, cap * sizeof(*all));

        if (!all) {
            free(copy);
            return -ENOMEM;
        }
        l->all = all;
        l->cap = cap;
    }
    if (!copy)
        return -ENOMEM;
    l->all[l->n++] = (struct lost_output){ .attempt = *attempt, .name = copy };
    *attempt = (struct attempt_record){ .attempt = 0 };
    return 0;
}

/* The store is not to be read while it is scanned: attempts are collected first. */
struct found {
    struct attempt_record *all;
    size_t n, cap;
};

static void found_release(struct found *f)
{
    for (size_t i = 0; i < f->n; i++)
        attempt_record_release(&f->all[i]);
    free(f->all);
}

static bool has_blobs(const struct attempt_record *r)
{
    for (size_t i = 0; i < r->n_outputs; i++)
        if (!r->outputs[i].inline_data && r->outputs[i].size)
            return true;
    return false;
}

static int keep(struct found *f, struct attempt_record *r)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 16;
        struct attempt_record *all = realloc(f->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        f->all = all;
        f->cap = cap;
    }
    f->all[f->n++] = *r;
    *r = (struct attempt_record){ .attempt = 0 };
    return 0;
}

static int each_attempt(void *arg, struct span key, struct span value)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    int error = attempt_record_decode(value.data, value.len, &r);

    if (error == 0)
        error = attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt);
    return error || !counts(r.verdict) || !has_blobs(&r) ? error : keep(arg, &r);
}

static int collect(const struct artifacts *a, const struct record_key *prefix,
                   struct found *ret)
{
    return writer_scan(a->writer, STORE_RECORDS,
                       (struct span){ prefix->bytes, prefix->len },
                       (struct span){ NULL, 0 }, each_attempt, ret);
}

static int search_in(struct search *s, const struct record_key *prefix)
{
    CLEANUP(found_release) struct found f = { .all = NULL };
    int r = collect(s->artifacts, prefix, &f);

    for (size_t i = 0; r == 0 && s->wanted.n && i < f.n; i++) {
        const char *name;

        r = find_in(s, &f.all[i], &name);
        if (r == 0 && name)
            r = add(s->lost, &f.all[i], name);
    }
    return r;
}

static int search_run(struct search *s, const struct run_id *run)
{
    struct record_key all = attempts_of_run(run);

    return s->wanted.n ? search_in(s, &all) : 0;
}

/* First among those that it can see, which are few. */
static int search_task(struct search *s, const struct flow *flow,
                       const struct run_id *run, const struct task_id *task)
{
    CLEANUP(needs_release) struct needs needs = { .all = NULL };
    int r = needs_of(flow, run, task, &needs);

    for (size_t i = needs.n; r == 0 && s->wanted.n && i-- > 0;)
        r = search_in(s, &needs.all[i].prefix);
    return r < 0 ? r : search_run(s, run);
}

static void recheck(struct blobs *b, const struct artifact *a)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };

    if (a->inline_data || !a->size)
        return;
    (void)blobs_recheck(b, &a->id);
    if (a->encoding == ENCODING_TREE && tree_get(b, &a->id, &t) == 0)
        for (size_t i = 0; i < t.n; i++)
            (void)blobs_recheck(b, &t.entries[i].id);
}

/* A file may be gone from the store's folder, and its entry not know it. */
static int recheck_task(const struct artifacts *a, const struct flow *flow,
                        const struct run_id *run, const struct task_id *task)
{
    CLEANUP(needs_release) struct needs needs = { .all = NULL };
    CLEANUP(found_release) struct found f = { .all = NULL };
    int r = needs_of(flow, run, task, &needs);

    for (size_t i = 0; r == 0 && i < needs.n; i++)
        r = collect(a, &needs.all[i].prefix, &f);
    for (size_t i = 0; r == 0 && i < f.n; i++)
        for (size_t k = 0; k < f.all[i].n_outputs; k++)
            recheck(a->blobs, &f.all[i].outputs[k]);
    return r;
}

int lost_of_task(const struct artifacts *a, const struct flow *flow,
                 const struct run_id *run, const struct task_id *task, struct lost *l)
{
    struct search s = { .artifacts = a, .lost = l };
    int r = recheck_task(a, flow, run, task);

    if (r == 0)
        r = missing_of_task(a, flow, run, task, &s.wanted);
    if (r == 0 && s.wanted.n)
        r = search_task(&s, flow, run, task);
    missing_release(&s.wanted);
    return r;
}

int lost_of_maker(const struct artifacts *a, const struct run_id *run,
                  const struct task_id *task, struct lost *l)
{
    CLEANUP(attempt_record_release) struct attempt_record made = { .attempt = 0 };
    int r = artifacts_attempt(a, run, task, &made);

    for (size_t i = 0; r == 0 && i < made.n_outputs; i++) {
        CLEANUP(missing_release) struct missing m = { .ids = NULL };
        const struct attempt_record one = { .outputs = &made.outputs[i],
                                            .n_outputs = 1 };

        recheck(a->blobs, &made.outputs[i]);
        r = missing_of_attempt(a->blobs, &one, &m);
        if (r == 0 && m.n)
            return add(l, &made, made.outputs[i].name);
    }
    return r == -ENOENT ? 0 : r;
}

int lost_of_blobs(const struct artifacts *a, const struct run_id *run,
                  const struct missing *m, struct lost *l)
{
    struct search s = { .artifacts = a, .lost = l };
    int r = 0;

    s.wanted.ids = calloc(m->n + 1, sizeof(*s.wanted.ids));
    if (!s.wanted.ids)
        return -ENOMEM;
    memcpy(s.wanted.ids, m->ids, m->n * sizeof(*m->ids));
    s.wanted.n = m->n;
    r = search_run(&s, run);
    missing_release(&s.wanted);
    return r;
}

/* ---- what is stale ---- */

struct behind {
    const struct flow *flow;
    const struct task_id *task;
    struct lost *stale;
    struct attempt_record undone; /* the last one of the task's own */
};

static int each_behind(void *arg, struct span key, struct span value)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct behind *b = arg;
    int error = attempt_record_decode(value.data, value.len, &r);

    if (error == 0)
        error = attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt);
    if (error < 0)
        return error;
    if (task_id_equal(&r.task, b->task) && r.reason == REASON_OUTPUT_LOST) {
        attempt_record_release(&b->undone);
        b->undone = r;
        r = (struct attempt_record){ .attempt = 0 };
        return 0;
    }
    if (!counts(r.verdict))
        return 0;
    error = witness_is_behind(b->flow, b->task, &r.task);
    return error > 0 ? add(b->stale, &r, "") : error;
}

int lost_behind(const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *task, struct lost *l)
{
    struct behind b = { .flow = flow, .task = task, .stale = l };
    struct record_key all = attempts_of_run(run);
    int r = writer_scan(a->writer, STORE_RECORDS, (struct span){ all.bytes, all.len },
                        (struct span){ NULL, 0 }, each_behind, &b);

    if (r == 0 && b.undone.reason)
        r = add(l, &b.undone, "");
    attempt_record_release(&b.undone);
    return r;
}
