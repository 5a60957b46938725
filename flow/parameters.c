/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/parameters.h"

#include "flow/names.h"
#include "flow/template.h"
#include "flow/text.h"
#include "flow/values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int parameter_variable(const char *name, struct buffer *out)
{
    buffer_puts(out, "MESH_PARAM_");
    for (; *name; name++)
        buffer_putc(out, *name == '-' ? '_' : (char)toupper((unsigned char)*name));
    return buffer_failed(out);
}

static int note_unknown(const struct names *names, const char *name,
                        struct diagnostics *d)
{
    const char *nearest = names_nearest(names, name);
    char hint[200];

    snprintf(hint, sizeof(hint), "did you mean '%.130s'?", nearest ? nearest : "");
    return diagnostics_add(d, SEVERITY_ERROR, 0, 0, 0, nearest ? hint : NULL,
                           "the flow has no parameter '%.130s'", name);
}

static int set_value(const struct parameter *p, const char *text, char **value,
                     struct diagnostics *d)
{
    CLEANUP(buffer_release) struct buffer problem = BUFFER_INIT;
    int r = parameter_check(p, text, value, &problem);

    if (r != -EINVAL)
        return r;
    return diagnostics_add(d, SEVERITY_ERROR, 0, 0, 0, p->help, "parameter '%.130s' %s",
                           p->name, buffer_text(&problem));
}

static int set_given(const struct flow *f, const struct names *names,
                     const struct pair *given, char **values, bool *is_given,
                     struct diagnostics *d)
{
    uint32_t i = names_find(names, given->name);

    if (i == NAME_NONE)
        return note_unknown(names, given->name, d);
    if (is_given[i])
        return diagnostics_add(d, SEVERITY_ERROR, 0, 0, 0, NULL,
                               "parameter '%.130s' is given twice", given->name);
    is_given[i] = true;
    return set_value(&f->parameters[i], given->value, &values[i], d);
}

static int set_default(const struct parameter *p, char **value, struct diagnostics *d)
{
    char hint[300];

    if (p->default_text)
        return set_value(p, p->default_text, value, d);
    if (!p->is_required)
        return 0;
    snprintf(hint, sizeof(hint), "give it: --%.130s %s", p->name,
             p->is_secret ? "@FILE, or - for the standard input" : "VALUE");
    return diagnostics_add(d, SEVERITY_ERROR, 0, 0, 0, hint,
                           "parameter '%.130s' is missing", p->name);
}

static int set_all(const struct flow *f, const struct pair *given, size_t n_given,
                   char **values, bool *is_given, struct diagnostics *d)
{
    CLEANUP(names_release) struct names names = { NULL };
    int r = 0;

    for (size_t i = 0; i < f->n_parameters && !r; i++)
        r = names_add(&names, f->parameters[i].name, (uint32_t)i);
    for (size_t i = 0; i < n_given && !r; i++)
        r = set_given(f, &names, &given[i], values, is_given, d);
    for (size_t i = 0; i < f->n_parameters && !r; i++)
        if (!is_given[i])
            r = set_default(&f->parameters[i], &values[i], d);
    return r;
}

int parameters_resolve(const struct flow *f, const struct pair *given, size_t n_given,
                       char ***ret_values, struct diagnostics *d)
{
    CLEANUP(freep) bool *is_given = calloc(f->n_parameters + 1, sizeof(bool));
    char **values = calloc(f->n_parameters + 1, sizeof(*values));
    size_t errors = diagnostics_errors(d);
    int r = -ENOMEM;

    if (is_given && values)
        r = set_all(f, given, n_given, values, is_given, d);
    if (!r && diagnostics_errors(d) > errors)
        r = -EINVAL;
    if (r < 0) {
        parameters_free(f, values);
        return r;
    }
    *ret_values = values;
    return 0;
}

void parameters_free(const struct flow *f, char **values)
{
    for (size_t i = 0; values && i < f->n_parameters; i++)
        free(values[i]);
    free(values);
}

static const char *value_of(const struct flow *f, char *const *values,
                            const struct template *t)
{
    for (size_t i = 0; t->parameter && i < f->n_parameters; i++) {
        const char *name = f->parameters[i].name;

        if (strlen(name) == t->parameter_len
            && !memcmp(name, t->parameter, t->parameter_len))
            return values[i] ? values[i] : "";
    }
    return "";
}

char *parameters_substitute(const struct flow *f, char *const *values, const char *text)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct template t;

    while (template_next(text, &t) && t.end) {
        buffer_append(&out, text, (size_t)(t.begin - text));
        buffer_puts(&out, value_of(f, values, &t));
        text = t.end;
    }
    buffer_puts(&out, text);
    return buffer_take(&out);
}

/* A number stays a float, also when it has no fraction. */
static int write_float(const char *value, struct buffer *out)
{
    char text[40];

    snprintf(text, sizeof(text), "%.17g", strtod(value, NULL));
    return buffer_printf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

int parameter_write_json(const struct parameter *p, const char *value,
                         struct buffer *out)
{
    switch (p->type) {
    case PARAMETER_INT:
        return buffer_printf(out, "%lld", strtoll(value, NULL, 10));
    case PARAMETER_FLOAT:
        return write_float(value, out);
    case PARAMETER_BOOL:
    case PARAMETER_JSON:
        return buffer_puts(out, value);
    case PARAMETER_STRING:
    case PARAMETER_FILE:
    case PARAMETER_DATETIME:
        break;
    }
    if (p->separator)
        return buffer_puts(out, value); /* cut into a JSON array already */
    text_write_json(value, strlen(value), out);
    return buffer_failed(out);
}
