/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/run_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- spans: a number for each step within its scope ---- */

static int plan_spans(struct run *r)
{
    const struct flow *f = r->flow;

    r->scope_spans = calloc(f->n_scopes, sizeof(r->scope_spans[0]));
    if (!r->scope_spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        uint32_t scope = f->steps[i].is_hook ? 0 : f->steps[i].scope;

        r->steps[i].step = &f->steps[i];
        r->steps[i].local = r->scope_spans[scope]++;
    }
    return 0;
}

/* ---- edges ---- */

/* By where the two steps stand alone: an opener stands in the scope around the one it
 * opens, also when the step that joins that scope waits for the opener itself. */
static enum edge_kind kind_of(const struct flow *f, uint32_t from, uint32_t to)
{
    const struct step *a = &f->steps[from], *b = &f->steps[to];

    if (b->closes != FLOW_NONE && a->scope == b->closes)
        return EDGE_CLOSE;
    return a->scope == b->scope ? EDGE_SAME : EDGE_DOWN;
}

/* A switch that returns to itself waits for nothing by that. */
static uint32_t add_edges(const struct flow *f, uint32_t step, bool is_before,
                          struct edge *edges)
{
    const struct step *s = &f->steps[step];
    const uint32_t *others = is_before ? s->before : s->after;
    uint32_t n = is_before ? s->n_before : s->n_after, n_edges = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (others[i] == step)
            continue;
        edges[n_edges++] =
            (struct edge){ .step = others[i],
                           .kind = is_before ? kind_of(f, others[i], step)
                                             : kind_of(f, step, others[i]) };
    }
    return n_edges;
}

static int plan_edges(struct run *r)
{
    const struct flow *f = r->flow;
    size_t n = 1;
    struct edge *next;

    for (uint32_t i = 0; i < f->n_steps; i++)
        n += (size_t)f->steps[i].n_before + f->steps[i].n_after;
    next = r->edges = calloc(n, sizeof(r->edges[0]));
    if (!next)
        return -ENOMEM;
    for (uint32_t i = 0; i < f->n_steps; i++) {
        struct run_step *s = &r->steps[i];

        s->before = next;
        s->n_before = add_edges(f, i, true, next);
        next += s->n_before;
        s->after = next;
        s->n_after = add_edges(f, i, false, next);
        next += s->n_after;
    }
    return 0;
}

/* ---- levels ---- */

static int plan_levels(struct run *r)
{
    uint32_t n = r->flow->n_steps, n_todo = 0;
    CLEANUP(freep) uint32_t *todo = calloc((size_t)n + 1, sizeof(*todo));
    CLEANUP(freep) uint32_t *pending = calloc((size_t)n + 1, sizeof(*pending));

    if (!todo || !pending)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        pending[i] = r->steps[i].n_before;
        if (!pending[i])
            todo[n_todo++] = i;
    }
    for (uint32_t i = 0; i < n_todo; i++) {
        const struct run_step *s = &r->steps[todo[i]];

        for (uint32_t j = 0; j < s->n_after; j++) {
            struct run_step *next = &r->steps[s->after[j].step];

            if (next->level <= s->level)
                next->level = s->level + 1;
            if (--pending[s->after[j].step] == 0)
                todo[n_todo++] = s->after[j].step;
        }
    }
    return 0;
}

/* ---- queues ---- */

struct ranked {
    uint32_t step, depth, level;
    uint8_t importance; /* placement_level() */
    struct class *class;
};

/* Higher priority, then deeper, then further behind: what was begun is finished first,
 * so that few instances are alive. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->importance != y->importance)
        return x->importance < y->importance ? -1 : 1;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    if (x->level != y->level)
        return x->level > y->level ? -1 : 1;
    return x->step < y->step ? -1 : 1;
}

static void rank_steps(const struct run *r, struct ranked *ranked)
{
    const struct flow *f = r->flow;

    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        const struct step *s = &f->steps[i];

        ranked[i] =
            (struct ranked){ .step = i,
                             .depth = s->is_hook ? 0 : f->scopes[s->scope].depth,
                             .level = r->steps[i].level };
        ranked[i].importance = placement_level(f->priority, s->priority);
    }
    qsort(ranked, f->n_all_steps, sizeof(ranked[0]), compare_ranked);
}

/* Each step holds its class; queue_release() lets go of it. */
static int hold_classes(struct run *r, struct ranked *ranked)
{
    for (uint32_t i = 0; i < r->flow->n_all_steps; i++) {
        const struct step *s = &r->flow->steps[ranked[i].step];
        struct demand d;

        if (placement_demand(r->placement, r->flow, &s->resources, &d) < 0)
            return -ENOMEM;
        d.n_refusals = r->n_refusals;
        memcpy(d.refusals, r->refusals, r->n_refusals * sizeof(d.refusals[0]));
        ranked[i].class = placement_hold(r->placement, &d);
        if (!ranked[i].class)
            return -ENOMEM;
        if (ranked[i].class->n_planned++ == 0)
            r->n_queues++;
    }
    return 0;
}

static int make_queues(struct run *r, const struct ranked *ranked)
{
    uint32_t n = 0;

    r->queues = calloc((size_t)r->n_queues + 1, sizeof(r->queues[0]));
    if (!r->queues)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->flow->n_all_steps; i++) {
        struct class *c = ranked[i].class;

        if (c->planned)
            continue;
        c->planned = &r->queues[n++];
        if (queue_init(c->planned, c, r->user, &r->share, c->n_planned) < 0)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++)
        r->queues[i].next_of_run = &r->queues[(i + 1) % n];
    return 0;
}

static void fill_queue(struct run *r, const struct ranked *ranked, uint32_t rank)
{
    struct queue *q = ranked->class->planned;
    struct run_step *s = &r->steps[ranked->step];

    s->queue = q;
    s->position = q->n_filled++;
    q->steps[s->position] = ranked->step;
    q->ranks[s->position] = rank;
    q->levels[s->position] = ranked->importance;
}

static int plan_queues(struct run *r)
{
    uint32_t n = r->flow->n_all_steps;
    CLEANUP(freep) struct ranked *ranked = calloc((size_t)n + 1, sizeof(*ranked));

    if (!ranked)
        return -ENOMEM;
    rank_steps(r, ranked);
    if (hold_classes(r, ranked) < 0 || make_queues(r, ranked) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        fill_queue(r, &ranked[i], i);
    for (uint32_t i = 0; i < r->n_queues; i++) {
        r->queues[i].class->planned = NULL;
        r->queues[i].class->n_planned = 0;
    }
    return 0;
}

/* ---- all ---- */

int run_plan(struct run *r)
{
    int error = 0;

    r->steps = calloc((size_t)r->flow->n_all_steps + 1, sizeof(r->steps[0]));
    if (!r->steps)
        return -ENOMEM;
    error = plan_spans(r);
    if (error == 0)
        error = plan_edges(r);
    if (error == 0)
        error = plan_levels(r);
    return error ? error : plan_queues(r);
}

static void release_queues(struct run *r)
{
    for (uint32_t i = 0; r->queues && i < r->n_queues; i++)
        queue_release(&r->queues[i]);
    free(TAKE(r->queues));
    r->n_queues = 0;
}

int run_plan_queues(struct run *r)
{
    release_queues(r);
    return plan_queues(r);
}

void run_plan_release(struct run *r)
{
    release_queues(r);
    free(r->scope_spans);
    free(r->edges);
    free(r->steps);
}
