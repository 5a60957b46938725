/* SPDX-License-Identifier: Apache-2.0 */
/* Where a flow starts and ends, and whether all of it lies between. */
#include "flow/check.h"

#include <errno.h>

static uint32_t find_named(struct check *c, const struct value *v)
{
    const struct flow *f = c->flow;
    struct hint h;
    uint32_t i;

    if (!expect_text(c, v))
        return FLOW_NONE;
    i = names_find(f->names, v->text);
    if (i != NAME_NONE)
        return i;
    complain(c, v, hint_step(c, &h, v->text), "the %s, '%.130s', is no step",
             v->key->text, v->text);
    return FLOW_NONE;
}

static bool is_edge_of_flow(const struct step *step, bool is_start)
{
    return is_start ? !step->n_before : !step->n_after && !step->scope;
}

/* The only source or sink, or the one that is called like it; else FLOW_NONE. */
static uint32_t usual(const struct flow *f, bool is_start, uint32_t *ret_n,
                      uint32_t *ret_second)
{
    uint32_t named = names_find(f->names, is_start ? "start" : "end");
    uint32_t first = FLOW_NONE;

    *ret_n = 0;
    for (uint32_t i = 0; i < f->n_steps; i++) {
        if (!is_edge_of_flow(&f->steps[i], is_start))
            continue;
        if (++*ret_n == 1)
            first = i;
        else if (*ret_n == 2)
            *ret_second = i;
    }
    if (*ret_n <= 1)
        return first;
    if (!f->is_needs && named != NAME_NONE
        && is_edge_of_flow(&f->steps[named], is_start))
        return named;
    return FLOW_NONE;
}

static void complain_several(struct check *c, bool is_start, uint32_t second)
{
    const struct flow *f = c->flow;
    uint32_t first = 0;
    struct hint h;

    while (!is_edge_of_flow(&f->steps[first], is_start))
        first++;
    if (is_start)
        complain(c, c->sources[second].value->key,
                 hint_format(
                     &h, "add `next: %.100s` to a step, or write the flow with `needs`",
                     f->steps[second].name),
                 "nothing leads to '%.130s' nor to '%.130s': a flow has one start",
                 f->steps[first].name, f->steps[second].name);
    else
        complain(c, c->sources[second].value->key,
                 "add `next` to all but one, or write the flow with `needs`",
                 "'%.130s' and '%.130s' lead nowhere: a flow has one end",
                 f->steps[first].name, f->steps[second].name);
}

static void check_reachable(struct check *c, uint32_t start, const uint32_t *order)
{
    const struct flow *f = c->flow;
    CLEANUP(freep) bool *is_reached = calloc(f->n_steps, sizeof(bool));
    struct hint h;

    if (!is_reached) {
        c->error = -ENOMEM;
        return;
    }
    is_reached[start] = true;
    for (uint32_t k = 0; k < f->n_steps; k++) {
        const struct step *step = &f->steps[order[k]];

        for (uint32_t j = 0; j < step->n_after && is_reached[order[k]]; j++)
            is_reached[step->after[j]] = true;
    }
    for (uint32_t i = 0; i < f->n_steps; i++)
        if (!is_reached[i])
            complain(c, c->sources[i].value->key,
                     hint_format(&h,
                                 f->is_needs ? "`start` is for a flow with one start"
                                             : "add `next: %.100s` to a step before it",
                                 f->steps[i].name),
                     "step '%s' cannot be reached from the start, '%s'",
                     f->steps[i].name, f->steps[start].name);
}

static void check_start(struct check *c, const struct value *v, const uint32_t *order)
{
    struct flow *f = c->flow;
    uint32_t n, second = FLOW_NONE;
    uint32_t start = usual(f, true, &n, &second);

    if (v) {
        start = find_named(c, v);
        if (start == FLOW_NONE)
            return;
        if (f->steps[start].n_before) {
            complain(c, v, NULL, "the start, '%s', comes after '%s'", v->text,
                     f->steps[f->steps[start].before[0]].name);
            return;
        }
    }
    f->start = start;
    if (start != FLOW_NONE)
        check_reachable(c, start, order);
    else if (!f->is_needs)
        complain_several(c, true, second);
}

static void complain_no_next(struct check *c, uint32_t end)
{
    const struct flow *f = c->flow;
    struct hint h;

    for (uint32_t i = 0; i < f->n_steps; i++)
        if (i != end && is_edge_of_flow(&f->steps[i], false))
            complain(c, c->sources[i].value->key,
                     f->is_needs
                         ? "`end` is for a flow with one end"
                         : hint_format(&h, "add `next: %.100s`", f->steps[end].name),
                     "step '%s' leads nowhere and is not the end, '%s'",
                     f->steps[i].name, f->steps[end].name);
}

static void check_end(struct check *c, const struct value *v)
{
    struct flow *f = c->flow;
    uint32_t n, second = FLOW_NONE;
    uint32_t end = usual(f, false, &n, &second);

    if (v) {
        end = find_named(c, v);
        if (end == FLOW_NONE)
            return;
        if (f->steps[end].n_after) {
            complain(c, v, NULL, "the end, '%s', goes on to '%s'", v->text,
                     f->steps[f->steps[end].after[0]].name);
            return;
        }
    }
    f->end = end;
    if (end != FLOW_NONE)
        complain_no_next(c, end);
    else if (!f->is_needs && n)
        complain_several(c, false, second);
}

void check_ends(struct check *c, const struct value *start, const struct value *end,
                const uint32_t *order)
{
    check_start(c, start, order);
    check_end(c, end);
}
