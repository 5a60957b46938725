/* SPDX-License-Identifier: Apache-2.0 */
/* `inputs`: what a task finds in $MESH_IN, and whether it can be there. */
#include "flow/check.h"

#include <errno.h>
#include <string.h>

/* ---- reading ---- */

struct input_source {
    const struct value *from, *as, *url;
};

/* `x`, or `step.x`, cut at the first dot. */
static void read_from(struct check *c, const struct value *v, struct step_input *input)
{
    const char *dot = strchr(v->text, '.');
    const char *artifact = dot ? dot + 1 : v->text;
    struct hint h;
    char *step;

    if (!is_artifact_name(artifact)) {
        complain(c, v, "write `x`, or `step.x`", "'%.130s' in %s names no artifact",
                 v->text, c->where);
        return;
    }
    input->artifact = check_copy(c, artifact, strlen(artifact));
    if (!dot)
        return;
    input->step = names_find_span(c->flow->names, v->text, (size_t)(dot - v->text));
    if (input->step != NAME_NONE)
        return;
    step = check_copy(c, v->text, (size_t)(dot - v->text));
    if (step)
        complain(c, v, hint_step(c, &h, step),
                 "%s wants '%.130s' of step '%.130s', which does not exist", c->where,
                 artifact, step);
    input->artifact = NULL;
}

static void read_url(struct check *c, const struct value *v, struct step_input *input)
{
    static const char file[] = "file:///";
    const char *colon = strstr(v->text, "://");

    check_template_none(c, v);
    if (!strncmp(v->text, file, sizeof(file) - 1) && v->text[sizeof(file) - 1])
        input->url = check_copy(c, v->text, v->n);
    else if (colon && strncmp(v->text, "file:", 5))
        complain(c, v, "file: is what there is so far",
                 "inputs from %.*s: are not supported yet",
                 (int)(colon - v->text < 20 ? colon - v->text : 20), v->text);
    else
        complain(c, v, "write file:///path/of/the/file", "'%.130s' is no URL of a file",
                 v->text);
}

static bool is_file_name(const char *text)
{
    return *text && !strchr(text, '/') && strcmp(text, ".") && strcmp(text, "..");
}

static void read_as(struct check *c, const struct value *v, struct step_input *input)
{
    if (!expect_text(c, v))
        return;
    if (is_file_name(v->text))
        input->as = check_copy(c, v->text, v->n);
    else
        complain(c, v, NULL, "'%.130s' is no file name: it will be in $MESH_IN",
                 v->text);
}

static void read_long_input(struct check *c, const struct value *v,
                            struct step_input *input)
{
    static const struct key keys[] = {
        { "from", read_value, offsetof(struct input_source, from), NULL },
        { "as", read_value, offsetof(struct input_source, as), NULL },
        { "url", read_value, offsetof(struct input_source, url), NULL },
        { "identity", NULL, 0, "how a change of a URL is seen" },
    };
    struct input_source source = { .from = NULL };

    READ_MAPPING(c, v, keys, &source);
    if (!source.from == !source.url)
        complain(c, v->key,
                 "write {from: step.x, as: FILE} or {url: file:///..., as: FILE}",
                 "input '%.130s' of %s has one of 'from' and 'url'", v->key->text,
                 c->where);
    else if (source.from && expect_text(c, source.from))
        read_from(c, source.from, input);
    else if (source.url && expect_text(c, source.url))
        read_url(c, source.url, input);
    if (source.as)
        read_as(c, source.as, input);
}

static void read_input(struct check *c, const struct value *v, struct step_input *input)
{
    *input = (struct step_input){ .step = FLOW_NONE };
    input->name = check_copy(c, v->key->text, v->key->n);
    input->as = input->name;
    if (!is_file_name(v->key->text))
        complain(c, v->key, NULL, "'%.130s' is no file name: it will be in $MESH_IN",
                 v->key->text);
    if (v->type == VALUE_MAPPING)
        read_long_input(c, v, input);
    else if (expect_text(c, v))
        read_from(c, v, input);
}

static void check_places(struct check *c, const struct value *v,
                         const struct step *step)
{
    CLEANUP(names_release) struct names places = { NULL };
    size_t i = 0;

    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next) {
        const char *as = step->inputs[i++].as;
        int r = as ? names_add(&places, as, 0) : -ENOMEM;

        if (r == -EEXIST)
            complain(c, child->key, "give one of them another `as`",
                     "two inputs of %s are '%.130s'", c->where, as);
        else if (r < 0)
            c->error = r;
    }
}

void read_inputs(struct check *c, const struct value *v, void *field)
{
    struct step *step = field;

    if (!expect(c, v, VALUE_MAPPING))
        return;
    step->inputs = check_alloc(c, v->n, sizeof(*step->inputs));
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next)
        read_input(c, child, &step->inputs[step->n_inputs++]);
    if (!c->error)
        check_places(c, v, step);
}

/* ---- resolving ---- */

enum { BATCH = 64 }; /* sources asked for at once, a bit each */

struct query {
    uint32_t step, source;
    const struct value *value;
};

struct queries {
    struct query *all;
    size_t n;
};

static void queries_release(struct queries *q)
{
    free(q->all);
}

static bool is_visible_scope(const struct flow *f, uint32_t from, uint32_t to)
{
    uint32_t outer = f->steps[from].scope, inner = f->steps[to].scope;

    while (f->scopes[inner].depth > f->scopes[outer].depth)
        inner = f->scopes[inner].parent;
    return inner == outer;
}

static bool is_parameter(const struct check *c, const char *name)
{
    return names_find(&c->parameters, name) != NAME_NONE;
}

/* A name without a step: what comes along the one edge, or a parameter. */
static void check_unnamed(struct check *c, uint32_t i, struct step_input *input,
                          const struct value *v)
{
    const struct flow *f = c->flow;
    const struct step *step = &f->steps[i];
    bool comes = step->n_before == 1 && step->closes == FLOW_NONE;
    struct hint h;

    if (is_parameter(c, input->artifact))
        return;
    if (f->is_needs && comes && is_visible_scope(f, step->before[0], i)) {
        input->step = step->before[0];
        return;
    }
    if (!f->is_needs && (comes || step->has_merge))
        return;
    complain(c, v,
             step->n_before
                 ? hint_format(&h, "say whose: %.100s.%.100s",
                               f->steps[step->before[0]].name, input->artifact)
                 : NULL,
             step->n_before ? "nothing passes to step '%s' unnamed, '%.130s' neither"
                            : "nothing comes before step '%s', so there is no '%.130s'",
             step->name, input->artifact);
}

static void check_source(struct check *c, uint32_t i, const struct step_input *input,
                         const struct value *v, struct queries *q)
{
    const struct flow *f = c->flow;

    if (is_visible_scope(f, input->step, i))
        q->all[q->n++] = (struct query){ i, input->step, v };
    else
        complain(
            c, v, "at its join, `mesh inputs` has it of every task",
            "step '%s' is in a foreach of its own: '%s' cannot see one task's '%.130s'",
            f->steps[input->step].name, f->steps[i].name, input->artifact);
}

static void collect(struct check *c, struct queries *q)
{
    struct flow *f = c->flow;
    size_t n = 0;

    for (uint32_t i = 0; i < f->n_steps; i++)
        n += f->steps[i].n_inputs;
    q->all = calloc(n + 1, sizeof(*q->all));
    if (!q->all) {
        c->error = -ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < f->n_steps; i++) {
        const struct value *v = c->sources[i].inputs;
        size_t k = 0;

        if (!f->steps[i].n_inputs)
            continue;
        for (v = v->u.first; v; v = v->next, k++) {
            struct step_input *input = &f->steps[i].inputs[k];

            if (input->step != FLOW_NONE)
                check_source(c, i, input, v, q);
            else if (input->artifact)
                check_unnamed(c, i, input, v);
        }
    }
}

static int by_source(const void *a, const void *b)
{
    const struct query *x = a, *y = b;

    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

/* Which of the batch's sources are before each step: one pass in order. */
static void spread(const struct flow *f, const uint32_t *order, uint64_t *above)
{
    for (uint32_t k = 0; k < f->n_steps; k++) {
        const struct step *step = &f->steps[order[k]];

        for (uint32_t j = 0; j < step->n_after; j++)
            above[step->after[j]] |= above[order[k]];
    }
}

/* From the i-th query on, as many as BATCH sources allow; returns the next one. */
static size_t check_batch(struct check *c, const struct queries *q, size_t i,
                          const uint32_t *order, uint64_t *above)
{
    const struct flow *f = c->flow;
    size_t end = i, n = 0;

    memset(above, 0, f->n_steps * sizeof(*above));
    for (; end < q->n; end++) {
        if (end == i || q->all[end].source != q->all[end - 1].source)
            if (n++ == BATCH)
                break;
        above[q->all[end].source] = UINT64_C(1) << (n - 1);
    }
    spread(f, order, above);
    n = 0;
    for (size_t k = i; k < end; k++) {
        const struct query *query = &q->all[k];

        if (k == i || query->source != q->all[k - 1].source)
            n++;
        if (query->step == query->source || !(above[query->step] >> (n - 1) & 1))
            complain(c, query->value, NULL,
                     "step '%s' does not come before '%s', which wants something of it",
                     f->steps[query->source].name, f->steps[query->step].name);
    }
    return end;
}

void check_inputs(struct check *c, const uint32_t *order)
{
    CLEANUP(queries_release) struct queries q = { .all = NULL };
    CLEANUP(freep) uint64_t *above = calloc(c->flow->n_steps, sizeof(*above));

    if (!above) {
        c->error = -ENOMEM;
        return;
    }
    collect(c, &q);
    if (q.n && !c->error)
        qsort(q.all, q.n, sizeof(*q.all), by_source);
    for (size_t i = 0; i < q.n && !c->error;)
        i = check_batch(c, &q, i, order, above);
}
