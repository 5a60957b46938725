/* SPDX-License-Identifier: Apache-2.0 */
/* Which foreach each step is in, and where it is joined. */
#include "flow/check.h"

#include <errno.h>
#include <string.h>

/* The scope in which the steps behind this one are. */
static uint32_t scope_behind(const struct flow *f, uint32_t i)
{
    const struct step *step = &f->steps[i];

    return step->foreach.kind ? step->foreach.scope : step->scope;
}

static bool encloses(const struct flow *f, uint32_t outer, uint32_t inner)
{
    while (f->scopes[inner].depth > f->scopes[outer].depth)
        inner = f->scopes[inner].parent;
    return inner == outer;
}

static const char *opener_name(const struct flow *f, uint32_t scope)
{
    return f->steps[f->scopes[scope].opener].name;
}

static const struct value *place_of(const struct check *c, uint32_t i)
{
    const struct step_source *source = &c->sources[i];

    if (source->needs)
        return source->needs->key;
    return source->value->key;
}

/* The innermost scope that a step before this one leads to. */
static uint32_t deepest_before(const struct flow *f, const struct step *step)
{
    uint32_t deepest = 0;

    for (uint32_t k = 0; k < step->n_before; k++) {
        uint32_t scope = scope_behind(f, step->before[k]);

        if (f->scopes[scope].depth > f->scopes[deepest].depth)
            deepest = scope;
    }
    return deepest;
}

/* ---- a step without a join, or that joins a static branch ---- */

static void check_edge_in(struct check *c, uint32_t i, uint32_t before,
                          uint32_t deepest)
{
    const struct flow *f = c->flow;
    uint32_t scope = scope_behind(f, before);
    struct hint h;

    if (scope == deepest)
        return;
    if (!encloses(f, scope, deepest))
        complain(
            c, place_of(c, i),
            hint_format(&h, "join '%.100s' first", opener_name(f, scope)),
            "step '%s' is in the foreach of '%s' and cannot wait for '%s' in that of "
            "'%s'",
            f->steps[i].name, opener_name(f, deepest), f->steps[before].name,
            opener_name(f, scope));
    else if (!f->is_needs)
        complain(c, c->sources[before].value->key,
                 "only a flow with `needs` can say so",
                 "step '%s' goes to '%s' in the foreach of '%s' from outside",
                 f->steps[before].name, f->steps[i].name, opener_name(f, deepest));
}

static void place_step(struct check *c, uint32_t i)
{
    struct step *step = &c->flow->steps[i];

    step->scope = deepest_before(c->flow, step);
    for (uint32_t k = 0; k < step->n_before; k++)
        check_edge_in(c, i, step->before[k], step->scope);
}

/* ---- a step that closes a scope ---- */

static void check_edge_closing(struct check *c, uint32_t i, uint32_t before)
{
    const struct flow *f = c->flow;
    const struct step *step = &f->steps[i];
    uint32_t scope = scope_behind(f, before);
    struct hint h;

    if (before == step->joins)
        complain(c, c->sources[i].join, "put a step between them",
                 "the foreach of '%s' goes straight into its join '%s'",
                 f->steps[before].name, step->name);
    else if (scope != step->closes && scope != step->scope
             && !encloses(f, scope, step->scope))
        complain(c, place_of(c, i),
                 hint_format(&h, "join '%.100s' first", opener_name(f, scope)),
                 "step '%s' cannot wait for '%s' in the foreach of '%s'", step->name,
                 f->steps[before].name, opener_name(f, scope));
    else if (scope != step->closes && scope != step->scope && !f->is_needs)
        complain(c, c->sources[before].value->key,
                 "only a flow with `needs` can say so",
                 "step '%s' goes to '%s' in the foreach of '%s' from outside",
                 f->steps[before].name, step->name, opener_name(f, step->scope));
}

static void close_scope(struct check *c, uint32_t i, uint32_t closes)
{
    struct flow *f = c->flow;
    struct scope *scope = &f->scopes[closes];
    struct step *step = &f->steps[i];

    step->scope = scope->parent;
    step->closes = closes;
    step->joins = scope->opener;
    for (uint32_t k = 0; k < step->n_before; k++)
        check_edge_closing(c, i, step->before[k]);
    if (scope->closer != FLOW_NONE)
        complain(c, c->sources[i].join, NULL,
                 "the foreach of '%s' is joined by '%s' already",
                 f->steps[scope->opener].name, f->steps[scope->closer].name);
    else
        scope->closer = i;
}

static bool leads_to(const struct flow *f, const struct step *step, uint32_t scope)
{
    for (uint32_t k = 0; k < step->n_before; k++)
        if (scope_behind(f, step->before[k]) == scope)
            return true;
    return false;
}

/* A wrong name was complained about; go on as if the innermost one had been meant, so
 * that this is not reported again by every join around it. */
static void recover(struct check *c, uint32_t i)
{
    uint32_t deepest = deepest_before(c->flow, &c->flow->steps[i]);

    if (deepest && c->flow->scopes[deepest].closer == FLOW_NONE)
        close_scope(c, i, deepest);
    else
        place_step(c, i);
}

static void complain_wrong_join(struct check *c, uint32_t i, uint32_t named)
{
    const struct flow *f = c->flow;
    uint32_t deepest = deepest_before(f, &f->steps[i]);
    struct hint h;

    if (deepest)
        complain(c, c->sources[i].join,
                 hint_format(&h, "did you mean '%.100s' (line %u)?",
                             opener_name(f, deepest),
                             f->steps[f->scopes[deepest].opener].line),
                 "step '%s' joins '%s', but it is in the foreach of '%s'",
                 f->steps[i].name, f->steps[named].name, opener_name(f, deepest));
    else
        complain(c, c->sources[i].join, NULL,
                 "step '%s' joins '%s', but it is in no foreach", f->steps[i].name,
                 f->steps[named].name);
}

static void place_join(struct check *c, uint32_t i)
{
    struct flow *f = c->flow;
    const struct value *join = c->sources[i].join;
    const struct foreach *foreach;
    uint32_t named;
    struct hint h;

    if (!expect_name(c, i, join)) {
        recover(c, i);
        return;
    }
    named = names_find(f->names, join->text);
    if (named == NAME_NONE) {
        complain(c, join, hint_step(c, &h, join->text),
                 "step '%s' joins '%.130s', which does not exist", f->steps[i].name,
                 join->text);
        recover(c, i);
        return;
    }
    foreach = &f->steps[named].foreach;
    if (!foreach->kind) {
        f->steps[i].joins = named; /* a static branch: check_joins() */
        place_step(c, i);
    } else if (foreach->scope && leads_to(f, &f->steps[i], foreach->scope)) {
        close_scope(c, i, foreach->scope);
    } else {
        complain_wrong_join(c, i, named);
        recover(c, i);
    }
}

/* ---- scopes ---- */

static void open_scope(struct check *c, uint32_t i)
{
    struct flow *f = c->flow;
    struct step *step = &f->steps[i];
    struct scope *scope = &f->scopes[f->n_scopes];

    *scope = (struct scope){ .parent = step->scope,
                             .depth = f->scopes[step->scope].depth + 1,
                             .opener = i,
                             .closer = FLOW_NONE };
    if (scope->depth == SCOPE_DEPTH_MAX + 1)
        complain(c, c->sources[i].foreach->key, NULL,
                 "foreachs nest at most %d levels deep", SCOPE_DEPTH_MAX);
    step->foreach.scope = f->n_scopes++;
}

static void check_closed(struct check *c)
{
    const struct flow *f = c->flow;
    struct hint h;

    for (uint32_t i = 1; i < f->n_scopes; i++) {
        uint32_t opener = f->scopes[i].opener;

        if (f->scopes[i].closer == FLOW_NONE)
            complain(c, c->sources[opener].foreach->key,
                     hint_format(&h, "end it with a step that has `join: %.100s`",
                                 f->steps[opener].name),
                     "the foreach of step '%s' is never joined", f->steps[opener].name);
    }
    for (uint32_t i = 0; i < f->n_steps; i++) {
        const struct step *step = &f->steps[i];

        if (step->scope && !step->n_after && !step->foreach.kind
            && f->scopes[step->scope].closer != FLOW_NONE)
            complain(c, c->sources[i].value->key, NULL,
                     "step '%s' is in the foreach of '%s' and leads to no join of it",
                     step->name, opener_name(f, step->scope));
    }
}

static void list_steps(struct check *c)
{
    struct flow *f = c->flow;

    for (uint32_t i = 0; i < f->n_steps; i++)
        f->scopes[f->steps[i].scope].n_steps++;
    for (uint32_t s = 0; s < f->n_scopes; s++) {
        f->scopes[s].steps = check_alloc(c, f->scopes[s].n_steps, sizeof(uint32_t));
        f->scopes[s].n_steps = 0;
    }
    for (uint32_t i = 0; i < f->n_steps && !c->error; i++) {
        struct scope *scope = &f->scopes[f->steps[i].scope];

        scope->steps[scope->n_steps++] = i;
    }
}

void check_scopes(struct check *c, const uint32_t *order)
{
    struct flow *f = c->flow;
    uint32_t n = 1;

    for (uint32_t i = 0; i < f->n_steps; i++)
        n += f->steps[i].foreach.kind != FOREACH_NONE;
    f->scopes = check_alloc(c, n, sizeof(*f->scopes));
    if (!f->scopes)
        return;
    f->scopes[0] =
        (struct scope){ .parent = FLOW_NONE, .opener = FLOW_NONE, .closer = FLOW_NONE };
    f->n_scopes = 1;
    for (uint32_t k = 0; k < f->n_steps && !c->error; k++) {
        if (c->sources[order[k]].join)
            place_join(c, order[k]);
        else
            place_step(c, order[k]);
        if (f->steps[order[k]].foreach.kind)
            open_scope(c, order[k]);
    }
    check_closed(c);
    list_steps(c);
}
