/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/readiness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "scheduler/stretch.h"

/* ---- switches ---- */

uint32_t switch_case_of(const struct step *s, const char *choice)
{
    for (uint32_t i = 0; choice && i < s->n_cases; i++)
        if (strcmp(s->cases[i].name, choice) == 0)
            return i;
    return s->switch_default == FLOW_NONE ? FLOW_NONE : s->n_cases;
}

uint32_t switch_target(const struct step *s, uint32_t taken)
{
    if (taken == FLOW_NONE)
        return FLOW_NONE;
    return taken < s->n_cases ? s->cases[taken].target : s->switch_default;
}

/* ---- edges ---- */

enum edge_state { EDGE_OPEN = 1, EDGE_ALIVE, EDGE_DEAD };

/* The state of an edge at one index, and up to where it is the same. */
struct facet {
    enum edge_state state;
    uint64_t end;
};

static struct facet facet_of_switch(const struct step *s, const struct span *from,
                                    uint32_t to, uint64_t index, uint64_t end)
{
    struct facet f = { EDGE_DEAD, end };

    for (uint32_t i = 0; from->chosen && i <= s->n_cases; i++) {
        uint64_t until;

        if (switch_target(s, i) != to)
            continue;
        if (iset_stretch(&from->chosen[i], index, &until))
            return (struct facet){ EDGE_ALIVE, until };
        f.end = until < f.end ? until : f.end;
    }
    return f;
}

static struct facet facet_of_task(const struct run *r, const struct span *from,
                                  uint32_t to, uint64_t index)
{
    const struct step *s = r->steps[from->step].step;
    uint64_t end, until;

    if (iset_stretch(&from->done, index, &end))
        return s->switch_by ? facet_of_switch(s, from, to, index, end)
                            : (struct facet){ EDGE_ALIVE, end };
    if (iset_stretch(&from->skipped, index, &until))
        return (struct facet){ EDGE_DEAD, until };
    return (struct facet){ EDGE_OPEN, until < end ? until : end };
}

static struct facet facet_from_above(const struct run *r, const struct instance *in,
                                     uint32_t from, uint32_t to)
{
    uint32_t scope = r->flow->steps[from].scope;
    struct facet f;
    uint64_t index = 0;

    while (in->scope != scope) {
        index = in->index;
        in = in->parent;
    }
    f = facet_of_task(r, run_span(r, in, from), to, index);
    f.end = UINT64_MAX;
    return f;
}

static uint64_t alive_below(const struct run *r, const struct span *from, uint32_t to)
{
    const struct step *s = r->steps[from->step].step;
    uint64_t n = 0;

    if (!s->switch_by)
        return from->done.count;
    for (uint32_t i = 0; from->chosen && i <= s->n_cases; i++)
        if (switch_target(s, i) == to)
            n += from->chosen[i].count;
    return n;
}

static struct facet facet_from_below(const struct run *r, const struct instance *in,
                                     uint32_t from, uint32_t to, uint64_t index)
{
    uint32_t scope = r->flow->steps[to].closes;
    uint32_t opener = r->flow->scopes[scope].opener;
    struct facet f = facet_of_task(r, run_span(r, in, opener), FLOW_NONE, index);
    const struct instance *below;
    const struct span *span;

    if (f.state != EDGE_ALIVE)
        return f;
    f.end = index + 1;
    below = run_child(r, in, index, scope);
    if (!below)
        return f;
    span = run_span(r, below, from);
    if (!below->is_open || span_resolved(span) < below->width)
        f.state = EDGE_OPEN;
    else if (below->width && !alive_below(r, span, to))
        f.state = EDGE_DEAD;
    return f;
}

static struct facet facet_of(const struct run *r, const struct instance *in,
                             const struct edge *before, uint32_t to, uint64_t index)
{
    switch (before->kind) {
    case EDGE_DOWN:
        return facet_from_above(r, in, before->step, to);
    case EDGE_CLOSE:
        return facet_from_below(r, in, before->step, to, index);
    case EDGE_SAME:
        break;
    }
    return facet_of_task(r, run_span(r, in, before->step), to, index);
}

/* All edges together: open if one is, else alive if one is. */
static struct facet facet_of_all(const struct run *r, struct span *s, uint64_t index)
{
    const struct run_step *step = &r->steps[s->step];
    struct facet all = { step->n_before ? EDGE_DEAD : EDGE_ALIVE, UINT64_MAX };

    for (uint32_t i = 0; i < step->n_before; i++) {
        uint32_t k = (s->hint + i) % step->n_before;
        struct facet f = facet_of(r, s->instance, &step->before[k], s->step, index);

        if (f.state == EDGE_OPEN) {
            s->hint = k;
            return f;
        }
        if (f.state == EDGE_ALIVE)
            all.state = EDGE_ALIVE;
        all.end = f.end < all.end ? f.end : all.end;
    }
    return all;
}

/* ---- changes ---- */

static int push_change(struct run *r, struct change change)
{
    if (r->n_changes == r->cap_changes) {
        size_t cap = r->cap_changes ? 2 * r->cap_changes : 16;
        struct change *changes = realloc(r->changes, cap * sizeof(changes[0]));

        if (!changes)
            return -ENOMEM;
        r->changes = changes;
        r->cap_changes = cap;
    }
    r->changes[r->n_changes++] = change;
    return 0;
}

static void note_resolved(struct run *r, struct span *s)
{
    struct instance *in = s->instance;

    if (!in->is_open || r->steps[s->step].step->is_hook
        || span_resolved(s) != in->width)
        return;
    in->n_open--;
    r->n_open--;
}

static int skip(struct run *r, struct span *s, uint64_t lo, uint64_t hi)
{
    if (iset_add_range(&s->skipped, lo, hi) < 0)
        return -ENOMEM;
    r->n_skipped += hi - lo;
    r->steps[s->step].n_skipped += hi - lo;
    note_resolved(r, s);
    return push_change(r, (struct change){
                              .span = s, .lo = lo, .hi = hi, .is_skip = true });
}

/* Release what can be released of these tasks. */
static int look_at(struct run *r, struct span *s, uint64_t lo, uint64_t hi)
{
    while (lo < hi) {
        struct facet f;
        uint64_t end;
        int error = 0;

        if (iset_stretch(&s->released, lo, &end)) {
            lo = end;
            continue;
        }
        f = facet_of_all(r, s, lo);
        end = end < hi ? end : hi;
        end = f.end < end ? f.end : end;
        if (f.state != EDGE_OPEN && iset_add_range(&s->released, lo, end) < 0)
            return -ENOMEM;
        if (f.state == EDGE_ALIVE)
            error = run_make_ready(r, s, lo, end);
        else if (f.state == EDGE_DEAD)
            error = skip(r, s, lo, end);
        if (error < 0)
            return error;
        lo = end;
    }
    return 0;
}

static int look_below(struct run *r, struct instance *in, uint32_t to,
                      const uint32_t *chain, uint32_t n)
{
    struct instance *child;

    if (n == 0)
        return in->is_open ? look_at(r, run_span(r, in, to), 0, in->width) : 0;
    DL_FOREACH(in->children, child)
    {
        int error =
            child->scope == chain[n - 1] ? look_below(r, child, to, chain, n - 1) : 0;

        if (error < 0)
            return error;
    }
    return 0;
}

/* Tasks of an enclosing scope changed: look at a step below them. */
static int look_down(struct run *r, const struct change *c, uint32_t to)
{
    struct instance *in = c->span->instance, *child;
    uint32_t chain[SCOPE_DEPTH_MAX + 1], n = 0;
    int error = 0;

    for (uint32_t scope = r->flow->steps[to].scope; scope != in->scope;
         scope = r->flow->scopes[scope].parent)
        chain[n++] = scope;
    n--;
    if (c->hi - c->lo == 1) {
        child = run_child(r, in, c->lo, chain[n]);
        return child ? look_below(r, child, to, chain, n) : 0;
    }
    DL_FOREACH(in->children, child)
    if (error == 0 && child->scope == chain[n] && child->index >= c->lo
        && child->index < c->hi)
        error = look_below(r, child, to, chain, n);
    return error;
}

static int follow(struct run *r, const struct change *c, const struct edge *after)
{
    struct instance *in = c->span->instance;

    switch (after->kind) {
    case EDGE_DOWN:
        return look_down(r, c, after->step);
    case EDGE_CLOSE:
        if (span_resolved(c->span) < in->width)
            return 0;
        return look_at(r, run_span(r, in->parent, after->step), in->index,
                       in->index + 1);
    case EDGE_SAME:
        break;
    }
    return look_at(r, run_span(r, in, after->step), c->lo, c->hi);
}

/* ---- instances ---- */

static bool is_over(const struct run *r, const struct instance *in)
{
    const struct span *closer;

    if (!in->parent || !in->is_open || in->n_open || in->children || in->is_doomed)
        return false;
    closer = run_span(r, in->parent, r->flow->scopes[in->scope].closer);
    return iset_has(&closer->done, in->index) || iset_has(&closer->skipped, in->index);
}

static int doom_if_over(struct run *r, struct instance *in)
{
    if (!is_over(r, in))
        return 0;
    if (r->n_doomed == r->cap_doomed) {
        size_t cap = r->cap_doomed ? 2 * r->cap_doomed : 16;
        struct instance **doomed = realloc(r->doomed, cap * sizeof(doomed[0]));

        if (!doomed)
            return -ENOMEM;
        r->doomed = doomed;
        r->cap_doomed = cap;
    }
    in->is_doomed = true;
    r->doomed[r->n_doomed++] = in;
    return 0;
}

static int doom_closed(struct run *r, const struct change *c, uint32_t scope)
{
    struct instance *in = c->span->instance, *child;
    int error = 0;

    if (c->hi - c->lo == 1) {
        child = run_child(r, in, c->lo, scope);
        return child ? doom_if_over(r, child) : 0;
    }
    DL_FOREACH(in->children, child)
    if (error == 0 && child->scope == scope && child->index >= c->lo
        && child->index < c->hi)
        error = doom_if_over(r, child);
    return error;
}

static int drop_doomed(struct run *r)
{
    int error = 0;

    for (size_t i = 0; i < r->n_doomed && error == 0; i++) {
        struct instance *parent = r->doomed[i]->parent;

        run_drop_instance(r, r->doomed[i]);
        error = doom_if_over(r, parent);
    }
    r->n_doomed = 0;
    return error;
}

/* What was loaded may go beyond the width, when an opener ran again. */
static void cut(struct run *r, struct span *s, uint64_t width)
{
    struct exception *e, *next;

    iset_cut(&s->released, width);
    iset_cut(&s->done, width);
    iset_cut(&s->skipped, width);
    iset_cut(&s->failed, width);
    for (uint32_t i = 0; s->chosen && i <= r->steps[s->step].step->n_cases; i++)
        iset_cut(&s->chosen[i], width);
    HASH_ITER (hh, s->exceptions, e, next)
        if (e->index >= width)
            run_unexcept(r, s, e->index);
}

static void cut_instance(struct run *r, struct instance *in)
{
    struct instance *child, *next;

    for (uint32_t i = 0; i < in->n_spans; i++)
        cut(r, &in->spans[i], in->width);
    DL_FOREACH_SAFE(in->children, child, next)
    if (child->index >= in->width)
        run_drop_instance(r, child);
}

static void count_instance(struct run *r, struct instance *in)
{
    for (uint32_t i = 0; i < in->n_spans; i++) {
        struct span *s = &in->spans[i];

        if (r->steps[s->step].step->is_hook)
            continue;
        r->steps[s->step].n_known += in->width;
        r->n_known += in->width;
        in->n_open += span_resolved(s) < in->width;
    }
    r->n_open += in->n_open;
}

static int look_at_closer(struct run *r, const struct instance *in)
{
    uint32_t closer = r->flow->scopes[in->scope].closer;

    return look_at(r, run_span(r, in->parent, closer), in->index, in->index + 1);
}

static int open_instance(struct run *r, struct instance *in)
{
    struct instance *child, *next;
    int error = 0;

    if (in->is_open)
        return 0;
    in->is_open = true;
    cut_instance(r, in);
    count_instance(r, in);
    for (uint32_t i = 0; i < in->n_spans && error == 0; i++)
        if (!r->steps[in->spans[i].step].step->is_hook)
            error = look_at(r, &in->spans[i], 0, in->width);
    DL_FOREACH_SAFE(in->children, child, next)
    {
        uint32_t opener = r->flow->scopes[child->scope].opener;

        if (error == 0 && iset_has(&run_span(r, in, opener)->done, child->index))
            error = push_change(r, (struct change){ .instance = child });
    }
    if (error == 0 && in->parent)
        error = look_at_closer(r, in);
    return error ? error : doom_if_over(r, in);
}

/* An opener's tasks are done or skipped. */
static int follow_opener(struct run *r, const struct change *c, uint32_t scope)
{
    struct instance *in = c->span->instance;
    struct instance *child = c->is_skip ? NULL : run_child(r, in, c->lo, scope);

    if (child && child->is_open) /* it was made again; all below may be over by now */
        return look_at_closer(r, child);
    if (child)
        return open_instance(r, child);
    return look_at(r, run_span(r, in, r->flow->scopes[scope].closer), c->lo, c->hi);
}

static int spread(struct run *r, const struct change *c)
{
    const struct run_step *s = &r->steps[c->span->step];
    int error = 0;

    for (uint32_t i = 0; i < s->n_after && error == 0; i++)
        error = follow(r, c, &s->after[i]);
    if (error == 0 && s->step->foreach.kind)
        error = follow_opener(r, c, s->step->foreach.scope);
    if (error == 0 && s->step->closes != FLOW_NONE)
        error = doom_closed(r, c, s->step->closes);
    return error ? error : doom_if_over(r, c->span->instance);
}

static int spread_all(struct run *r)
{
    int error = 0;

    for (r->change_head = 0; r->change_head < r->n_changes && error == 0;) {
        struct change c = r->changes[r->change_head++];

        error = c.span ? spread(r, &c) : open_instance(r, c.instance);
    }
    r->n_changes = 0;
    return error ? error : drop_doomed(r);
}

/* ---- what happened ---- */

int readiness_note_done(struct run *r, struct span *s, uint64_t index, uint32_t taken)
{
    const struct step *step = r->steps[s->step].step;

    if (step->switch_by && taken != FLOW_NONE) {
        if (!s->chosen)
            s->chosen = calloc((size_t)step->n_cases + 1, sizeof(s->chosen[0]));
        if (!s->chosen || iset_add(&s->chosen[taken], index) < 0)
            return -ENOMEM;
    }
    if (iset_add(&s->released, index) < 0 || iset_add(&s->done, index) < 0)
        return -ENOMEM;
    note_resolved(r, s);
    return 0;
}

int readiness_note_width(struct run *r, struct span *s, uint64_t index, uint64_t width)
{
    uint32_t scope = r->steps[s->step].step->foreach.scope;
    struct instance *in = run_child(r, s->instance, index, scope);

    if (!width) {
        if (in)
            run_drop_instance(r, in);
        return 0;
    }
    in = in ? in : run_instance_below(r, s->instance, index, scope);
    if (!in)
        return -ENOMEM;
    in->width = width;
    return 0;
}

int readiness_done(struct run *r, struct span *s, uint64_t index)
{
    struct change c = { .span = s, .lo = index, .hi = index + 1 };
    int error = push_change(r, c);

    return error ? error : spread_all(r);
}

int readiness_open(struct run *r)
{
    int error = push_change(r, (struct change){ .instance = r->root });

    return error ? error : spread_all(r);
}
