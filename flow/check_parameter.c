/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/check.h"

#include "flow/parameters.h"
#include "flow/values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* `mesh run FLOW --NAME VALUE`: a parameter of one of these names could not be given.
 */
static const char *const options[] = {
    "data",   "socket",      "json",     "plain",   "help",       "quiet", "follow",
    "tag",    "max-workers", "set",      "run",     "timestamps", "from",  "index",
    "code",   "on-failure",  "version",  "workers", "as",         "cpu",   "gpus",
    "memory", "quota",       "resource", "share",   "slots",      "tags",
};

static const char *const type_words[] = {
    "string", "int", "float", "bool", "json", "file", "datetime",
};

static void read_type(struct check *c, const struct value *v, void *field)
{
    static const enum parameter_type types[] = {
        PARAMETER_STRING, PARAMETER_INT,  PARAMETER_FLOAT,    PARAMETER_BOOL,
        PARAMETER_JSON,   PARAMETER_FILE, PARAMETER_DATETIME,
    };
    size_t which;

    if (expect_word(c, v, type_words, ARRAY_SIZE(type_words), &which))
        *(enum parameter_type *)field = types[which];
}

static void read_min(struct check *c, const struct value *v, void *field)
{
    struct parameter *p = field;

    p->has_min = expect_number(c, v, &p->min);
}

static void read_max(struct check *c, const struct value *v, void *field)
{
    struct parameter *p = field;

    p->has_max = expect_number(c, v, &p->max);
}

/* These need the type, which may be written behind them. */
struct parameter_source {
    struct parameter parameter;
    const struct value *type, *fallback, *choices;
};

static const struct key keys[] = {
    { "type", read_value, offsetof(struct parameter_source, type), NULL },
    { "default", read_value, offsetof(struct parameter_source, fallback), NULL },
    { "choices", read_value, offsetof(struct parameter_source, choices), NULL },
    { "help", read_any, offsetof(struct parameter_source, parameter.help), NULL },
    { "required", read_bool, offsetof(struct parameter_source, parameter.is_required),
      NULL },
    { "min", read_min, 0, NULL },
    { "max", read_max, 0, NULL },
    { "secret", read_bool, offsetof(struct parameter_source, parameter.is_secret),
      NULL },
    { "separator", read_text, offsetof(struct parameter_source, parameter.separator),
      NULL },
    { "env", NULL, 0, "a value from a variable" },
};

static enum parameter_type type_of_default(const struct value *v)
{
    switch (v->type) {
    case VALUE_BOOL:
        return PARAMETER_BOOL;
    case VALUE_INT:
        return PARAMETER_INT;
    case VALUE_FLOAT:
        return PARAMETER_FLOAT;
    case VALUE_SEQUENCE:
    case VALUE_MAPPING:
        return PARAMETER_JSON;
    default:
        return PARAMETER_STRING;
    }
}

static bool fits(enum parameter_type type, const struct value *v)
{
    switch (type) {
    case PARAMETER_INT:
        return v->type == VALUE_INT;
    case PARAMETER_FLOAT:
        return v->type == VALUE_INT || v->type == VALUE_FLOAT;
    case PARAMETER_BOOL:
        return v->type == VALUE_BOOL;
    case PARAMETER_JSON:
        return true;
    default:
        return v->type == VALUE_STRING;
    }
}

/* A value of the file as the command line would give it; NULL after a complaint. */
static char *as_given(struct check *c, const struct parameter *p, const struct value *v)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct hint name, h;
    const char *hint = NULL;

    if (!fits(p->type, v)) {
        if (v->type < VALUE_STRING && v->n)
            hint = hint_format(&h, "write it in quotes to make it a text: '%.100s'",
                               v->text);
        complain(c, v,
                 p->type == PARAMETER_INT || p->type == PARAMETER_FLOAT ? NULL : hint,
                 "%s of %s must fit its type, %s", value_name(v, &name), c->where,
                 type_words[p->type - 1]);
        return NULL;
    }
    if (p->type == PARAMETER_JSON || v->type < VALUE_STRING)
        value_write_json(v, &text);
    else
        buffer_append(&text, v->text, v->n);
    if (buffer_failed(&text)) {
        c->error = -ENOMEM;
        return NULL;
    }
    return check_copy(c, buffer_text(&text), text.len);
}

static void check_choices(struct check *c, struct parameter *p, const struct value *v)
{
    char **choices;
    size_t n = 0;

    if (!expect(c, v, VALUE_SEQUENCE))
        return;
    if (!v->n)
        complain(c, v, NULL, "'choices' of %s is empty", c->where);
    if (p->type == PARAMETER_FILE || p->type == PARAMETER_JSON) {
        complain(c, v->key, NULL, "%s has the type %s, which has no choices", c->where,
                 type_words[p->type - 1]);
        return;
    }
    choices = check_alloc(c, v->n + 1, sizeof(*choices));
    for (const struct value *item = v->u.first; item && !c->error; item = item->next) {
        char *choice = as_given(c, p, item);

        if (choice)
            choices[n++] = choice;
    }
    p->choices = choices;
}

static void check_default(struct check *c, struct parameter *p, const struct value *v)
{
    CLEANUP(buffer_release) struct buffer problem = BUFFER_INIT;
    CLEANUP(freep) char *checked = NULL;
    int r;

    if (v->type == VALUE_NULL)
        return;
    if (p->is_secret) {
        complain(c, v, "give it when the run starts",
                 "%s is secret: its value has no place in the file", c->where);
        return;
    }
    if (p->type == PARAMETER_FILE) {
        complain(c, v->key, NULL,
                 "'default' of a parameter of type file is not supported yet");
        return;
    }
    p->default_text = as_given(c, p, v);
    if (!p->default_text)
        return;
    r = parameter_check(p, p->default_text, &checked, &problem);
    if (r == -EINVAL)
        complain(c, v, NULL, "the default of %s %s", c->where, buffer_text(&problem));
    else if (r < 0)
        c->error = r;
}

static void check_bounds(struct check *c, const struct parameter *p,
                         const struct value *v)
{
    bool is_number = p->type == PARAMETER_INT || p->type == PARAMETER_FLOAT;

    if ((p->has_min || p->has_max) && !is_number)
        complain(c, v->key, NULL, "%s has the type %s, which has no min or max",
                 c->where, type_words[p->type - 1]);
    if (p->has_min && p->has_max && p->min > p->max)
        complain(c, v->key, NULL, "the min of %s is above its max", c->where);
    if (p->separator && p->type != PARAMETER_STRING)
        complain(c, v->key, NULL, "%s has the type %s, which has no separator",
                 c->where, type_words[p->type - 1]);
}

static void read_parameter(struct check *c, const struct value *v, struct parameter *p)
{
    struct parameter_source source = { .type = NULL };

    if (expect_mapping(c, v))
        READ_MAPPING(c, v, keys, &source);
    *p = source.parameter;
    p->type = source.fallback ? type_of_default(source.fallback) : PARAMETER_STRING;
    if (source.type)
        read_type(c, source.type, &p->type);
    check_bounds(c, p, v);
    if (source.choices)
        check_choices(c, p, source.choices);
    if (source.fallback && !c->error)
        check_default(c, p, source.fallback);
}

static bool is_parameter_name(const char *text)
{
    size_t n = strlen(text);

    if (!isalpha((unsigned char)*text) || n > 128)
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_' && *text != '-')
            return false;
    return true;
}

static bool check_parameter_name(struct check *c, const struct value *key)
{
    if (!is_parameter_name(key->text)) {
        complain(c, key, "a letter, then letters, digits, _ and -",
                 "'%.130s' cannot be the name of a parameter", key->text);
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (!strcmp(options[i], key->text)) {
            complain(c, key, "choose another name",
                     "--%s is an option of mesh and cannot be a parameter", key->text);
            return false;
        }
    return true;
}

/* a-b, a_b and A_B would be one variable. */
static void check_variable_is_new(struct check *c, struct names *variables,
                                  const struct value *key)
{
    CLEANUP(buffer_release) struct buffer variable = BUFFER_INIT;
    char *copy;
    int r;

    if (parameter_variable(key->text, &variable) < 0) {
        c->error = -ENOMEM;
        return;
    }
    copy = check_copy(c, variable.data, variable.len);
    if (!copy)
        return;
    r = names_add(variables, copy, 0);
    if (r == -EEXIST)
        complain(c, key, NULL, "another parameter is %s already", copy);
    else if (r < 0)
        c->error = r;
}

void check_parameters(struct check *c, const struct value *v)
{
    CLEANUP(names_release) struct names variables = { NULL };
    struct flow *f = c->flow;

    c->where = "the flow";
    if (!v || !expect(c, v, VALUE_MAPPING))
        return;
    f->parameters = check_alloc(c, v->n, sizeof(*f->parameters));
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next) {
        struct parameter *p = &f->parameters[f->n_parameters];
        char where[160];

        if (check_parameter_name(c, child->key))
            check_variable_is_new(c, &variables, child->key);
        snprintf(where, sizeof(where), "parameter '%.130s'", child->key->text);
        c->where = where;
        read_parameter(c, child, p);
        p->name = check_copy(c, child->key->text, child->key->n);
        if (c->error)
            return;
        if (names_add(&c->parameters, p->name, (uint32_t)f->n_parameters) == -ENOMEM)
            c->error = -ENOMEM;
        f->n_parameters++;
    }
    c->where = NULL;
}
