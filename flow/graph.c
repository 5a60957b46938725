/* SPDX-License-Identifier: Apache-2.0 */
/* From what steps say of each other to edges in both directions and an order. */
#include "flow/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_SHOWN_MAX = 8 };

struct edge {
    uint32_t from, to;
};

struct graph {
    struct check *c;
    struct edge *edges;
    size_t n, cap;
    bool is_broken; /* an edge is wrong: more findings would only be its echo */
    const struct value *first_next, *first_needs;
};

static void add_edge(struct graph *g, uint32_t from, uint32_t to)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        struct edge *edges = realloc(g->edges, cap * sizeof(*edges));

        if (!edges) {
            g->c->error = -ENOMEM;
            return;
        }
        g->edges = edges;
        g->cap = cap;
    }
    g->edges[g->n++] = (struct edge){ from, to };
}

/* The step that v names; FLOW_NONE after a complaint. */
static uint32_t find_step(struct graph *g, uint32_t i, const struct value *v,
                          const char *verb)
{
    const struct flow *f = g->c->flow;
    uint32_t found = names_find(f->names, v->text);
    struct hint h;

    if (found != NAME_NONE)
        return found;
    complain(g->c, v, hint_step(g->c, &h, v->text),
             "step '%s' %s '%.130s', which does not exist", f->steps[i].name, verb,
             v->text);
    g->is_broken = true;
    return FLOW_NONE;
}

bool expect_name(struct check *c, uint32_t i, const struct value *v)
{
    const char *outer = c->where;
    char where[160];
    bool is_name;

    snprintf(where, sizeof(where), "step '%.130s'", c->flow->steps[i].name);
    c->where = where;
    is_name = expect_text(c, v);
    c->where = outer;
    return is_name;
}

static void read_edge(struct graph *g, uint32_t i, const struct value *v, bool is_needs)
{
    struct check *c = g->c;
    uint32_t other;

    if (!expect_name(c, i, v)) {
        g->is_broken = true;
        return;
    }
    other = find_step(g, i, v, is_needs ? "needs" : "goes to");
    if (other == FLOW_NONE)
        return;
    if (other == i) {
        complain(c, v, "a step with a `switch` may have a case that returns to it",
                 "step '%s' %s itself", v->text, is_needs ? "needs" : "goes to");
        g->is_broken = true;
    } else if (is_needs) {
        add_edge(g, other, i);
    } else {
        add_edge(g, i, other);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp((*(const struct value *const *)a)->text,
                  (*(const struct value *const *)b)->text);
}

static void check_twice(struct graph *g, uint32_t i, const struct value *list)
{
    CLEANUP(freep) const struct value **items = NULL;
    size_t n = 0;

    if (list->n < 2)
        return;
    items = calloc(list->n, sizeof(const struct value *));
    if (!items) {
        g->c->error = -ENOMEM;
        return;
    }
    for (const struct value *v = list->u.first; v; v = v->next)
        if (v->type == VALUE_STRING)
            items[n++] = v;
    qsort(items, n, sizeof(const struct value *), by_text);
    for (size_t k = 1; k < n; k++)
        if (!strcmp(items[k - 1]->text, items[k]->text))
            complain(g->c, items[k], NULL, "step '%s' names '%.130s' twice",
                     g->c->flow->steps[i].name, items[k]->text);
}

/* A name or a list of names. */
static void read_edges(struct graph *g, uint32_t i, const struct value *v,
                       bool is_needs)
{
    struct check *c = g->c;

    if (v->type != VALUE_SEQUENCE) {
        read_edge(g, i, v, is_needs);
        return;
    }
    if (!v->n && !is_needs)
        complain(c, v, "leave 'next' away at the end", "'next' in step '%s' is empty",
                 c->flow->steps[i].name);
    for (const struct value *item = v->u.first; item && !c->error; item = item->next)
        read_edge(g, i, item, is_needs);
    check_twice(g, i, v);
}

static uint32_t read_target(struct graph *g, uint32_t i, const struct value *v)
{
    uint32_t target;

    if (v->type != VALUE_STRING || !v->n) { /* complained about already */
        g->is_broken = true;
        return FLOW_NONE;
    }
    target = find_step(g, i, v, "switches to");
    if (target != FLOW_NONE && target != i)
        add_edge(g, i, target);
    return target;
}

static void check_switch_alone(struct graph *g, uint32_t i)
{
    const struct step_source *source = &g->c->sources[i];
    const char *name = g->c->flow->steps[i].name;
    struct check *c = g->c;

    if (source->next)
        complain(c, source->next->key, "add a case for it",
                 "step '%s' has a switch: its cases are where it goes", name);
    if (source->foreach)
        complain(c, source->foreach->key, "put a step between them",
                 "step '%s' has a switch and cannot open a foreach", name);
    if (source->catch && g->c->flow->steps[i].catch_var)
        complain(c, source->catch->key, NULL,
                 "step '%s' has a switch and cannot catch: it would choose nothing",
                 name);
}

static void check_returns(struct graph *g, uint32_t i)
{
    const struct value *v = g->c->sources[i].switches;
    const struct step *step = &g->c->flow->steps[i];
    const struct value *max = value_get(v, "max_iterations");
    bool returns = step->switch_default == i, leaves = false;

    leaves = step->switch_default != FLOW_NONE && !returns;
    for (uint32_t k = 0; k < step->n_cases; k++) {
        returns = returns || step->cases[k].target == i;
        leaves = leaves || step->cases[k].target != i;
    }
    if (max && !returns)
        complain(g->c, max->key, NULL,
                 "step '%s' has 'max_iterations', but no case returns to it",
                 step->name);
    if (returns && !leaves)
        complain(g->c, v->key, "add a case that goes on",
                 "every case of step '%s' returns to it", step->name);
}

static void read_switch(struct graph *g, uint32_t i)
{
    const struct value *v = g->c->sources[i].switches;
    const struct value *cases = value_get(v, "cases");
    const struct value *fallback = value_get(v, "default");
    struct step *step = &g->c->flow->steps[i];
    uint32_t k = 0;

    if (!cases || cases->type != VALUE_MAPPING || cases->n != step->n_cases
        || !cases->n) {
        g->is_broken = true;
        return;
    }
    check_switch_alone(g, i);
    for (const struct value *child = cases->u.first; child; child = child->next)
        step->cases[k++].target = read_target(g, i, child);
    if (fallback)
        step->switch_default = read_target(g, i, fallback);
    check_returns(g, i);
}

static void read_all_edges(struct graph *g)
{
    struct check *c = g->c;

    for (uint32_t i = 0; i < c->flow->n_steps && !c->error; i++) {
        const struct step_source *source = &c->sources[i];

        if (source->next && !g->first_next)
            g->first_next = source->next;
        if (source->needs && !g->first_needs)
            g->first_needs = source->needs;
        if (source->next)
            read_edges(g, i, source->next, false);
        if (source->needs)
            read_edges(g, i, source->needs, true);
        if (source->switches)
            read_switch(g, i);
    }
}

static void check_one_way(struct graph *g)
{
    const struct value *a = g->first_next, *b = g->first_needs;
    struct check *c = g->c;

    c->flow->is_needs = b != NULL;
    if (!a || !b)
        return;
    if (a->at.line > b->at.line) {
        const struct value *swap = a;

        a = b;
        b = swap;
    }
    complain(c, b->key, "write all edges from the same end",
             "a flow has `next` or `needs`, not both: line %u has '%s'",
             a->key->at.line, a->key->text);
    g->is_broken = true;
}

/* Fill in `after`, as written, and from it `before`, ascending, without doubles. */
static void link_steps(struct graph *g)
{
    struct flow *f = g->c->flow;
    CLEANUP(freep) uint32_t *seen = calloc(f->n_steps, sizeof(*seen));

    if (!seen) {
        g->c->error = -ENOMEM;
        return;
    }
    for (size_t k = 0; k < g->n; k++) {
        f->steps[g->edges[k].from].n_after++;
        f->steps[g->edges[k].to].n_before++;
    }
    for (uint32_t i = 0; i < f->n_steps; i++) {
        struct step *step = &f->steps[i];

        step->after = check_alloc(g->c, step->n_after, sizeof(uint32_t));
        step->before = check_alloc(g->c, step->n_before, sizeof(uint32_t));
        step->n_after = step->n_before = 0;
    }
    if (g->c->error)
        return;
    for (size_t k = 0; k < g->n; k++) {
        struct step *step = &f->steps[g->edges[k].from];

        step->after[step->n_after++] = g->edges[k].to;
    }
    for (uint32_t i = 0; i < f->n_steps; i++) {
        struct step *step = &f->steps[i];
        uint32_t n = 0;

        for (uint32_t k = 0; k < step->n_after; k++) {
            uint32_t to = step->after[k];

            if (seen[to] == i + 1)
                continue;
            seen[to] = i + 1;
            step->after[n++] = to;
            f->steps[to].before[f->steps[to].n_before++] = i;
        }
        step->n_after = n;
    }
}

/* ---- cycles ---- */

/* Kahn's algorithm. Returns how many steps are in order; those in or behind a cycle
 * keep a count in n_waiting. */
static uint32_t sort(const struct flow *f, uint32_t *order, uint32_t *n_waiting)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->n_steps; i++) {
        n_waiting[i] = f->steps[i].n_before;
        if (!n_waiting[i])
            order[n++] = i;
    }
    for (uint32_t k = 0; k < n; k++) {
        const struct step *step = &f->steps[order[k]];

        for (uint32_t j = 0; j < step->n_after; j++)
            if (!--n_waiting[step->after[j]])
                order[n++] = step->after[j];
    }
    return n;
}

struct walk {
    const struct flow *f;
    const uint32_t *n_waiting;
    uint32_t *round; /* in which a step was visited; 0: not yet */
    uint32_t *waits; /* for which step, on that visit */
};

static void walk_release(struct walk *w)
{
    free(w->round);
    free(w->waits);
}

/* A step in or behind a cycle waits for another such one; rather for one that no
 * earlier round visited, because there a cycle was reported already. */
static uint32_t waits_for(const struct walk *w, uint32_t i, uint32_t round)
{
    const struct step *step = &w->f->steps[i];
    uint32_t found = FLOW_NONE;

    for (uint32_t k = 0; k < step->n_before; k++) {
        uint32_t before = step->before[k];

        if (!w->n_waiting[before])
            continue;
        found = before;
        if (!w->round[before] || w->round[before] == round)
            break;
    }
    return found;
}

/* The cycle that `at` is on; shown along the edges, which is against the walk. */
static void complain_cycle(struct check *c, const struct walk *w, uint32_t at)
{
    CLEANUP(buffer_release) struct buffer names = BUFFER_INIT;
    const struct step *steps = c->flow->steps;
    uint32_t shown[NAMES_SHOWN_MAX], first = at, i = at;
    size_t n, len = 0;

    do { /* begin with the step that is written first */
        first = i < first ? i : first;
        i = w->waits[i];
    } while (i != at);
    i = first;
    do {
        shown[len++ % NAMES_SHOWN_MAX] = i = w->waits[i];
    } while (i != first);
    n = min_size(len, NAMES_SHOWN_MAX);
    for (size_t k = 1; k <= n; k++)
        buffer_printf(&names, "%s -> ", steps[shown[(len - k) % NAMES_SHOWN_MAX]].name);
    buffer_printf(&names, "%s%s", len > n ? "... -> " : "", steps[first].name);
    complain(c, c->sources[first].value->key,
             "only a step with a `switch` may return, and only to itself",
             "these steps wait for each other: %s", buffer_text(&names));
}

static void complain_cycles(struct check *c, const uint32_t *n_waiting)
{
    uint32_t n = c->flow->n_steps;
    CLEANUP(walk_release)
    struct walk w = { .f = c->flow,
                      .n_waiting = n_waiting,
                      .round = calloc(n, sizeof(uint32_t)),
                      .waits = calloc(n, sizeof(uint32_t)) };

    if (!w.round || !w.waits) {
        c->error = -ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;

        if (!n_waiting[i] || w.round[i])
            continue;
        while (!w.round[at]) {
            w.round[at] = i + 1;
            w.waits[at] = waits_for(&w, at, i + 1);
            at = w.waits[at];
        }
        if (w.round[at] == i + 1)
            complain_cycle(c, &w, at);
    }
}

static void check_ordered(struct check *c, const struct value *start,
                          const struct value *end, const uint32_t *order)
{
    check_scopes(c, order);
    if (c->error)
        return;
    check_ends(c, start, end, order);
    check_joins(c, order);
    if (!c->error)
        check_inputs(c, order);
}

static void graph_release(struct graph *g)
{
    free(g->edges);
}

void check_graph(struct check *c, const struct value *start, const struct value *end)
{
    CLEANUP(graph_release) struct graph g = { .c = c, .is_broken = c->has_twins };
    CLEANUP(freep) uint32_t *order = calloc(c->flow->n_steps, sizeof(*order));
    CLEANUP(freep) uint32_t *n_waiting = calloc(c->flow->n_steps, sizeof(*n_waiting));

    c->where = "the flow";
    if (!order || !n_waiting) {
        c->error = -ENOMEM;
        return;
    }
    read_all_edges(&g);
    check_one_way(&g);
    if (!c->error)
        link_steps(&g);
    if (c->error)
        return;
    if (sort(c->flow, order, n_waiting) < c->flow->n_steps)
        complain_cycles(c, n_waiting);
    else if (!g.is_broken)
        check_ordered(c, start, end, order);
}
