/* SPDX-License-Identifier: Apache-2.0 */
/* Joins of static branches, merges, and who may wait for a switch. */
#include "flow/check.h"

#include <errno.h>

/* The steps that every way to a step goes through (Cooper, Harvey and Kennedy 2001). In
 * an acyclic graph one pass in order finds them. The root, n_steps, is before all. */
struct dominators {
    uint32_t *parent, *depth;
};

static void dominators_release(struct dominators *d)
{
    free(d->parent);
    free(d->depth);
}

static uint32_t common(const struct dominators *d, uint32_t a, uint32_t b)
{
    while (a != b) {
        if (d->depth[a] >= d->depth[b])
            a = d->parent[a];
        else
            b = d->parent[b];
    }
    return a;
}

static bool find_dominators(const struct flow *f, const uint32_t *order,
                            struct dominators *d)
{
    d->parent = calloc(f->n_steps + 1, sizeof(uint32_t));
    d->depth = calloc(f->n_steps + 1, sizeof(uint32_t));
    if (!d->parent || !d->depth)
        return false;
    d->parent[f->n_steps] = f->n_steps;
    for (uint32_t k = 0; k < f->n_steps; k++) {
        const struct step *step = &f->steps[order[k]];
        uint32_t at = step->n_before ? step->before[0] : f->n_steps;

        for (uint32_t j = 1; j < step->n_before; j++)
            at = common(d, at, step->before[j]);
        d->parent[order[k]] = at;
        d->depth[order[k]] = d->depth[at] + 1;
    }
    return true;
}

static void check_static_join(struct check *c, const struct dominators *d, uint32_t i)
{
    const struct flow *f = c->flow;
    const struct step *step = &f->steps[i], *split = &f->steps[step->joins];
    const struct value *join = c->sources[i].join;
    uint32_t branch = d->parent[i];
    struct hint h;

    if (split->switch_by)
        complain(c, join,
                 "leave `join` away: one case is chosen, nothing is to be joined",
                 "step '%s' joins '%s', which is a switch", step->name, split->name);
    else if (split->n_after < 2)
        complain(c, join, NULL, "step '%s' joins '%s', which splits nothing",
                 step->name, split->name);
    else if (step->n_before < 2)
        complain(c, join, NULL, "step '%s' joins '%s', but one step leads to it",
                 step->name, split->name);
    else if (branch == f->n_steps)
        complain(
            c, join, NULL,
            "step '%s' joins '%s', but its branches have no common step before them",
            step->name, split->name);
    else if (branch != step->joins)
        complain(c, join,
                 hint_format(&h, "did you mean '%.100s' (line %u)?",
                             f->steps[branch].name, f->steps[branch].line),
                 "step '%s' joins '%s', but its branches part at '%s'", step->name,
                 split->name, f->steps[branch].name);
}

static void check_static_joins(struct check *c, const uint32_t *order)
{
    CLEANUP(dominators_release) struct dominators d = { NULL, NULL };
    const struct flow *f = c->flow;

    for (uint32_t i = 0; i < f->n_steps && !c->error; i++) {
        if (f->steps[i].joins == FLOW_NONE || f->steps[i].closes != FLOW_NONE)
            continue;
        if (!d.parent && !find_dominators(f, order, &d)) {
            c->error = -ENOMEM;
            return;
        }
        check_static_join(c, &d, i);
    }
}

static bool has_case_for(const struct step *step, uint32_t target)
{
    if (step->switch_default == target)
        return true;
    for (uint32_t k = 0; k < step->n_cases; k++)
        if (step->cases[k].target == target)
            return true;
    return false;
}

static void check_behind_switch(struct check *c, uint32_t i)
{
    const struct step *step = &c->flow->steps[i];
    struct hint h;

    for (uint32_t k = 0; k < step->n_after; k++) {
        uint32_t to = step->after[k];
        const struct value *needs = c->sources[to].needs;

        if (needs && !has_case_for(step, to))
            complain(c, needs->key,
                     hint_format(&h,
                                 "add a case for '%.100s', or need a step behind one",
                                 c->flow->steps[to].name),
                     "step '%s' needs '%s', a switch that has no case for it",
                     c->flow->steps[to].name, step->name);
    }
}

/* Behind the cases of one switch a step has one predecessor that was done. */
static bool has_inputs(const struct flow *f, const struct dominators *d, uint32_t i)
{
    const struct step *step = &f->steps[i];
    uint32_t branch = d->parent[i];

    if (f->is_needs)
        return step->n_before > 0;
    return step->closes != FLOW_NONE || step->joins != FLOW_NONE
           || (step->n_before > 1
               && (branch == f->n_steps || !f->steps[branch].switch_by));
}

static void find_inputs(struct check *c, const uint32_t *order)
{
    CLEANUP(dominators_release) struct dominators d = { NULL, NULL };
    const struct flow *f = c->flow;

    if (!find_dominators(f, order, &d)) {
        c->error = -ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < f->n_steps; i++)
        f->steps[i].has_inputs = has_inputs(f, &d, i);
}

void check_joins(struct check *c, const uint32_t *order)
{
    const struct flow *f = c->flow;

    check_static_joins(c, order);
    find_inputs(c, order);
    for (uint32_t i = 0; i < f->n_steps; i++) {
        const struct step *step = &f->steps[i];

        if (step->has_merge && step->closes == FLOW_NONE && step->n_before < 2)
            complain(
                c, c->sources[i].merge->key, NULL,
                "step '%s' has nothing to merge: it is no join, and fewer than two "
                "steps lead to it",
                step->name);
        if (step->switch_by)
            check_behind_switch(c, i);
    }
}
