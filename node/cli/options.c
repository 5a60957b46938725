/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "flow/nearest.h"

enum { NAME_MAX_SHOWN = 80 };

struct parse {
    struct options *o;
    bool takes_parameters;
    char *const *args;
    size_t n_args, at;
    struct error *error;
};

static size_t find_long(const struct option_spec *specs, const char *name, size_t len)
{
    size_t i = 0;

    while (specs[i].name
           && (strlen(specs[i].name) != len || memcmp(specs[i].name, name, len) != 0))
        i++;
    return i;
}

static size_t find_letter(const struct option_spec *specs, char letter)
{
    size_t i = 0;

    while (specs[i].name && specs[i].letter != letter)
        i++;
    return i;
}

static int unknown_option(struct parse *p, const char *name, size_t len)
{
    CLEANUP(freep) char *copy = strndup(name, len);
    struct nearest nearest;

    if (!copy)
        return -ENOMEM;
    nearest = nearest_to(copy);
    for (size_t i = 0; p->o->specs[i].name; i++)
        nearest_offer(&nearest, p->o->specs[i].name);
    if (nearest.best)
        return fail(p->error, -EINVAL, "unknown option '--%.*s'; did you mean '--%s'?",
                    NAME_MAX_SHOWN, copy, nearest.best);
    return fail(p->error, -EINVAL, "unknown option '--%.*s'", NAME_MAX_SHOWN, copy);
}

/* The value of an option that was written without `=`. */
static const char *next_value(struct parse *p)
{
    const char *value = p->at < p->n_args ? p->args[p->at] : NULL;

    if (!value || strncmp(value, "--", 2) == 0)
        return NULL;
    p->at++;
    return value;
}

static int take_parameter(struct parse *p, const char *name, size_t len,
                          const char *value)
{
    struct pair *pair = &p->o->parameters[p->o->n_parameters];

    if (!value)
        value = next_value(p);
    if (!value)
        return fail(p->error, -EINVAL,
                    "--%.*s needs a value: --%.*s VALUE, or "
                    "--%.*s=VALUE when the value starts with --",
                    (int)min_size(len, NAME_MAX_SHOWN), name,
                    (int)min_size(len, NAME_MAX_SHOWN), name,
                    (int)min_size(len, NAME_MAX_SHOWN), name);
    pair->name = strndup(name, len);
    pair->value = strdup(value);
    p->o->n_parameters++;
    return pair->name && pair->value ? 0 : -ENOMEM;
}

static bool is_many(const struct option_spec *spec)
{
    const char *dots = spec->argument ? strstr(spec->argument, "...") : NULL;

    return dots && !dots[3];
}

static int set_value(struct parse *p, size_t i, const char *value)
{
    const struct option_spec *spec = &p->o->specs[i];

    if (!spec->argument && value)
        return fail(p->error, -EINVAL, "--%s takes no value", spec->name);
    if (spec->argument && !value)
        value = next_value(p);
    if (spec->argument && !value)
        return fail(p->error, -EINVAL, "--%s needs a value: --%s %s", spec->name,
                    spec->name, spec->argument);
    if (is_many(spec))
        p->o->more[p->o->n_more++] = (struct option_value){ i, value };
    else if (p->o->values[i] && spec->argument)
        return fail(p->error, -EINVAL, "--%s is given twice", spec->name);
    p->o->values[i] = spec->argument ? value : "";
    return 0;
}

static int parse_long(struct parse *p, const char *arg)
{
    const char *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
    size_t i = find_long(p->o->specs, arg, len);

    if (p->o->specs[i].name)
        return set_value(p, i, equals ? equals + 1 : NULL);
    if (!p->takes_parameters || len == 0)
        return unknown_option(p, arg, len);
    return take_parameter(p, arg, len, equals ? equals + 1 : NULL);
}

static int parse_letters(struct parse *p, const char *letters)
{
    for (; *letters; letters++) {
        size_t i = find_letter(p->o->specs, *letters);
        bool has_rest = letters[1] != '\0';
        int r;

        if (!p->o->specs[i].name)
            return fail(p->error, -EINVAL, "unknown option '-%c'",
                        isprint((unsigned char)*letters) ? *letters : '?');
        if (!p->o->specs[i].argument)
            has_rest = false;
        r = set_value(p, i, has_rest ? letters + 1 : NULL);
        if (r < 0 || has_rest)
            return r;
    }
    return 0;
}

static int parse_all(struct parse *p)
{
    bool only_operands = false;
    int r = 0;

    while (r == 0 && p->at < p->n_args) {
        const char *arg = p->args[p->at++];

        if (only_operands || arg[0] != '-' || arg[1] == '\0')
            p->o->operands[p->o->n_operands++] = arg;
        else if (arg[1] != '-')
            r = parse_letters(p, arg + 1);
        else if (arg[2] != '\0')
            r = parse_long(p, arg + 2);
        else
            only_operands = true;
    }
    return r;
}

int options_parse(const struct option_spec *specs, bool takes_parameters, size_t n_args,
                  char *const *args, struct options *ret, struct error *ret_error)
{
    struct options o = { .specs = specs };
    struct parse p = { .o = &o,
                       .takes_parameters = takes_parameters,
                       .args = args,
                       .n_args = n_args,
                       .error = ret_error };
    int r;

    o.operands = calloc(n_args + 1, sizeof(*o.operands));
    o.parameters = calloc(n_args + 1, sizeof(*o.parameters));
    o.more = calloc(n_args + 1, sizeof(*o.more));
    r = o.operands && o.parameters && o.more ? parse_all(&p) : -ENOMEM;
    if (r < 0) {
        options_release(&o);
        return r;
    }
    *ret = o;
    return 0;
}

void options_release(struct options *o)
{
    for (size_t i = 0; o->parameters && i < o->n_parameters; i++) {
        free(o->parameters[i].name);
        free(o->parameters[i].value);
    }
    free(o->parameters);
    free(o->more);
    free(o->operands);
    *o = (struct options){ .specs = NULL };
}

const char *options_text(const struct options *o, const char *name)
{
    size_t i = find_long(o->specs, name, strlen(name));

    return o->specs[i].name ? o->values[i] : NULL;
}

void options_default(struct options *o, const char *name, const char *text)
{
    size_t i = find_long(o->specs, name, strlen(name));

    if (o->specs[i].name && !o->values[i])
        o->values[i] = text;
}

const char *options_next(const struct options *o, const char *name, size_t *at)
{
    size_t spec = find_long(o->specs, name, strlen(name));

    while (*at < o->n_more) {
        const struct option_value *v = &o->more[(*at)++];

        if (v->spec == spec)
            return v->value;
    }
    return NULL;
}

bool options_has(const struct options *o, const char *name)
{
    return options_text(o, name) != NULL;
}

int options_number(const struct options *o, const char *name, uint64_t max,
                   uint64_t *ret, struct error *ret_error)
{
    const char *text = options_text(o, name);
    unsigned long long value;
    char *end;

    *ret = 0;
    if (!text)
        return 0;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || value > max)
        return fail(ret_error, -EINVAL,
                    "--%s must be a whole number up to %llu, not "
                    "'%.*s'",
                    name, (unsigned long long)max, NAME_MAX_SHOWN, text);
    *ret = value;
    return 0;
}

/* What stands behind the number: bytes in one of it, 0 if it is no unit. */
static double unit_of(const char *unit)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = { { "", 1 << 20 },    { "B", 1 },         { "K", 1 << 10 },
                  { "M", 1 << 20 },   { "G", 1 << 30 },   { "T", 0x1p40 },
                  { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
                  { "TiB", 0x1p40 } };

    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (strcasecmp(unit, units[i].name) == 0)
            return units[i].bytes;
    return 0;
}

/* A plain decimal number: strtod() alone would take hexadecimal ones and infinity. */
static bool read_decimal(const char *text, double *ret_value, const char **ret_end)
{
    char *end;

    if (!isdigit((unsigned char)text[0]) || strncasecmp(text, "0x", 2) == 0
        || tolower((unsigned char)text[strspn(text, "0123456789.")]) == 'e')
        return false;
    *ret_value = strtod(text, &end);
    *ret_end = end;
    return isfinite(*ret_value);
}

int options_bytes(const struct options *o, const char *name, uint64_t *ret,
                  struct error *ret_error)
{
    const char *text = options_text(o, name), *end = "?";
    double value = 0;

    *ret = 0;
    if (!text)
        return 0;
    if (!read_decimal(text, &value, &end) || unit_of(end) <= 0
        || value * unit_of(end) >= 0x1p62)
        return fail(ret_error, -EINVAL,
                    "--%s must be a size such as 512M or 16G, not "
                    "'%.*s'",
                    name, NAME_MAX_SHOWN, text);
    *ret = (uint64_t)(value * unit_of(end));
    return 0;
}

int options_milli(const struct options *o, const char *name, uint64_t *ret,
                  struct error *ret_error)
{
    const char *text = options_text(o, name), *end = "?";
    double value = 0;

    *ret = 0;
    if (!text)
        return 0;
    if (!read_decimal(text, &value, &end) || *end || value < 0.001 || value > 1e6)
        return fail(ret_error, -EINVAL,
                    "--%s must be a number such as 2 or 0.5, not "
                    "'%.*s'",
                    name, NAME_MAX_SHOWN, text);
    *ret = (uint64_t)(value * 1000 + 0.5);
    return 0;
}

int task_name_parse(const char *text, struct task_name *ret, struct error *ret_error)
{
    struct task_name n = { .storage = strdup(text) };
    const char **parts[] = { &n.run, &n.step, &n.task };
    char *at = n.storage;
    size_t i = 0;

    if (!at)
        return -ENOMEM;
    for (; at && i < ARRAY_SIZE(parts); i++)
        *parts[i] = strsep(&at, "/");
    if (at || !*n.run || (n.step && !*n.step) || (n.task && !*n.task)) {
        task_name_release(&n);
        return fail(ret_error, -EINVAL,
                    "'%.*s' names no run or task: write RUN, "
                    "RUN/STEP or RUN/STEP/TASK, as in 42/fit/3",
                    NAME_MAX_SHOWN, text);
    }
    *ret = n;
    return 0;
}

void task_name_release(struct task_name *n)
{
    free(n->storage);
    *n = (struct task_name){ .storage = NULL };
}
