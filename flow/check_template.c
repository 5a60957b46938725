/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/check.h"

#include "flow/parameters.h"
#include "flow/template.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* The nth ${{ in a text, and where it stands; looked for only to complain. */
struct spot {
    const struct value *value;
    size_t n;
    uint32_t width;
};

static struct place place_of(const struct check *c, const struct spot *spot)
{
    struct place at;

    if (is_enough(c))
        return spot->value->at;
    at = document_find(&c->doc, spot->value, "${{", spot->n);
    at.width = spot->width;
    return at;
}

static void complain_shell(struct check *c, const struct spot *spot,
                           const struct template *t)
{
    CLEANUP(buffer_release) struct buffer variable = BUFFER_INIT;
    CLEANUP(freep) char *name = NULL;
    struct hint h;

    if (t->parameter)
        name = strndup(t->parameter, t->parameter_len);
    if (name && is_step_name(name)) {
        parameter_variable(name, &variable);
        hint_format(&h, "write \"$%.150s\", quotes included", buffer_text(&variable));
    } else {
        hint_format(&h, "write \"$MESH_PARAM_NAME\", quotes included");
    }
    complain_at(
        c, place_of(c, spot), h.text,
        "${{ }} is not substituted in a string `run`, as in %s: no quoting could "
        "make it safe",
        c->where);
}

static uint32_t width_of(const struct template *t)
{
    return t->end ? (uint32_t)(t->end - t->begin) : 3;
}

void check_template_shell(struct check *c, const struct value *v)
{
    struct spot spot = { .value = v };
    const char *at = v->text;
    struct template t;

    for (; template_next(at, &t); spot.n++) {
        spot.width = width_of(&t);
        complain_shell(c, &spot, &t);
        at = t.begin + 3;
    }
}

static void check_parameter(struct check *c, const struct spot *spot,
                            const struct template *t, bool is_visible)
{
    uint32_t i = names_find_span(&c->parameters, t->parameter, t->parameter_len);
    CLEANUP(freep) char *name = strndup(t->parameter, t->parameter_len);
    struct hint h;

    if (!name)
        c->error = -ENOMEM;
    else if (i == NAME_NONE)
        complain_at(c, place_of(c, spot), hint_parameter(c, &h, name),
                    "there is no parameter '%.130s'", name);
    else if (is_visible && c->flow->parameters[i].is_secret)
        complain_at(c, place_of(c, spot),
                    "the task finds it in its environment, as MESH_PARAM_*",
                    "'%.130s' is secret, and anybody can read a command line", name);
}

static void check_template(struct check *c, const struct value *v, bool is_visible)
{
    struct spot spot = { .value = v };
    const char *at = v->text;
    struct template t;

    for (; template_next(at, &t); spot.n++) {
        spot.width = width_of(&t);
        if (!t.end) {
            complain_at(c, place_of(c, &spot), "close it with }}", "${{ is not closed");
            return;
        }
        if (t.parameter)
            check_parameter(c, &spot, &t, is_visible);
        else if (t.len >= 8 && !strncmp(t.expression, "secrets.", 8))
            complain_at(c, place_of(c, &spot), NULL,
                        "${{ secrets... }} is not supported yet");
        else
            complain_at(c, place_of(c, &spot), "write ${{ params.NAME }}",
                        "'%.*s' is nothing that can be substituted",
                        (int)(t.len < 100 ? t.len : 100), t.expression);
        at = t.end;
    }
}

void check_template_environment(struct check *c, const struct value *v)
{
    check_template(c, v, false);
}

static bool is_variable_at(const char *dollar)
{
    const char *at = dollar + (dollar[1] == '{' ? 2 : 1);

    return isalpha((unsigned char)*at) || *at == '_';
}

static void check_no_variable(struct check *c, const struct value *v)
{
    for (const char *at = strchr(v->text, '$'); at; at = strchr(at + 1, '$'))
        if (is_variable_at(at)) {
            complain(c, v,
                     "write a string `run`, which a shell reads, or ${{ params.NAME }}",
                     "a list `run` has no shell: '%.40s' in %s stays as it is", at,
                     c->where);
            return;
        }
}

void check_template_argument(struct check *c, const struct value *v)
{
    check_template(c, v, true);
    check_no_variable(c, v);
}

void check_template_none(struct check *c, const struct value *v)
{
    struct spot spot = { .value = v, .width = 3 };
    struct hint name;

    if (strstr(v->text, "${{"))
        complain_at(
            c, place_of(c, &spot), NULL,
            "${{ }} is substituted only in a list `run` and in `environment`, not "
            "in %s",
            value_name(v, &name));
}
