/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of the fields that several mappings have. */
#include "flow/check.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
    COUNT_MAX = 1000000,
    TAG_LEN_MAX = 256,
    NAME_LEN_MAX = 128,
    VARIABLES_MAX = 1000
};

static const int64_t duration_max_s = INT64_C(100) * 366 * 86400;

void read_bool(struct check *c, const struct value *v, void *field)
{
    if (expect(c, v, VALUE_BOOL))
        *(bool *)field = v->u.boolean;
}

void read_any(struct check *c, const struct value *v, void *field)
{
    if (expect(c, v, VALUE_STRING))
        *(char **)field = check_copy(c, v->text, v->n);
}

void read_text(struct check *c, const struct value *v, void *field)
{
    if (expect_text(c, v))
        *(char **)field = check_copy(c, v->text, v->n);
}

void read_texts(struct check *c, const struct value *v, void *field)
{
    char **texts;
    size_t n = 0;

    if (!expect(c, v, VALUE_SEQUENCE))
        return;
    texts = check_alloc(c, v->n + 1, sizeof(*texts));
    for (const struct value *item = v->u.first; item && !c->error; item = item->next)
        if (expect_text(c, item))
            texts[n++] = check_copy(c, item->text, item->n);
    if (!c->error)
        *(char ***)field = texts;
}

void read_tags(struct check *c, const struct value *v, void *field)
{
    size_t errors = diagnostics_errors(c->d);

    read_texts(c, v, field);
    if (errors != diagnostics_errors(c->d))
        return;
    for (const struct value *item = v->u.first; item; item = item->next)
        if (item->n > TAG_LEN_MAX)
            complain(c, item, NULL, "a tag has at most %d bytes", TAG_LEN_MAX);
}

void read_value(struct check *c, const struct value *v, void *field)
{
    (void)c;
    *(const struct value **)field = v;
}

void read_priority(struct check *c, const struct value *v, void *field)
{
    int64_t number;

    if (expect_integer(c, v, 0, 9, &number))
        *(uint32_t *)field = (uint32_t)number;
}

void read_count(struct check *c, const struct value *v, void *field)
{
    int64_t number;

    if (expect_integer(c, v, 0, COUNT_MAX, &number))
        *(uint32_t *)field = (uint32_t)number;
}

/* A number and what follows it; false if text begins with no digit or it is too big. */
static bool split_number(const char *text, uint64_t *ret_number, const char **ret_unit)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    *ret_unit = end;
    return errno != ERANGE;
}

static uint64_t duration_unit(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = { { "", TIME_S(1) },   { "ms", TIME_MS(1) },  { "s", TIME_S(1) },
                  { "m", TIME_S(60) }, { "h", TIME_S(3600) }, { "d", TIME_S(86400) } };

    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (!strcmp(units[i].name, unit))
            return units[i].us;
    return 0;
}

void read_duration(struct check *c, const struct value *v, void *field)
{
    const uint64_t max = TIME_S((uint64_t)duration_max_s);
    uint64_t number, unit = 0;
    const char *suffix;
    struct hint name;

    if ((v->type == VALUE_STRING || v->type == VALUE_INT)
        && split_number(v->text, &number, &suffix)) {
        if (v->type == VALUE_INT)
            number = (uint64_t)v->u.integer; /* it may be 0x10 */
        unit = v->type == VALUE_INT ? TIME_S(1) : duration_unit(suffix);
        if (unit && number <= max / unit) {
            *(time_us *)field = number * unit;
            return;
        }
    }
    if (unit)
        complain(c, v, NULL, "%s in %s is longer than a hundred years",
                 value_name(v, &name), c->where);
    else
        complain(c, v, "write seconds, or a number with ms, s, m, h or d: 90s, 2h",
                 "%s in %s must be a duration", value_name(v, &name), c->where);
}

/* K, M, G, T; also Ki, KiB and kin, which are the same here. */
static uint64_t size_unit(const char *unit)
{
    static const char letters[] = "KMGT";
    const char *letter = *unit ? strchr(letters, *unit) : NULL;

    if (!*unit)
        return 1 << 20;
    if (!letter || (unit[1] && strcmp(unit + 1, "i") && strcmp(unit + 1, "iB")))
        return 0;
    return UINT64_C(1024) << (10 * (letter - letters));
}

void read_size(struct check *c, const struct value *v, void *field)
{
    const uint64_t max = UINT64_C(1) << 60;
    uint64_t number, unit = 0;
    const char *suffix;
    struct hint name;

    if ((v->type == VALUE_STRING || v->type == VALUE_INT)
        && split_number(v->text, &number, &suffix)) {
        if (v->type == VALUE_INT)
            number = (uint64_t)v->u.integer;
        unit = v->type == VALUE_INT ? 1 << 20 : size_unit(suffix);
        if (unit && number <= max / unit) {
            *(uint64_t *)field = number * unit;
            return;
        }
    }
    complain(c, v, "write MiB, or a number with K, M, G or T: 512, 16G",
             "%s in %s must be a size%s", value_name(v, &name), c->where,
             unit ? " that a machine can have" : "");
}

bool pairs_reserve(struct check *c, struct pairs *pairs, size_t n_more)
{
    struct pair *all = check_alloc(c, pairs->n + n_more, sizeof(*all));

    if (!all)
        return false;
    if (pairs->n)
        memcpy(all, pairs->all, pairs->n * sizeof(*all));
    pairs->all = all;
    return true;
}

void pairs_set(struct pairs *pairs, size_t n_older, char *name, char *value)
{
    for (size_t i = 0; i < n_older; i++)
        if (!strcmp(pairs->all[i].name, name)) {
            pairs->all[i].value = value;
            return;
        }
    pairs->all[pairs->n++] = (struct pair){ name, value };
}

static bool is_variable(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_')
            return false;
    return true;
}

static bool check_variable(struct check *c, const struct value *v)
{
    const char *name = v->key->text;

    if (!is_variable(name)) {
        complain(c, v->key, NULL, "'%.130s' cannot be the name of a variable", name);
        return false;
    }
    if (!strncmp(name, "MESH_", 5)) {
        complain(c, v->key, NULL, "'%.130s': the names MESH_* are set by mesh", name);
        return false;
    }
    if (!expect(c, v, VALUE_STRING))
        return false;
    check_template_environment(c, v);
    return true;
}

void read_environment(struct check *c, const struct value *v, void *field)
{
    struct pairs *pairs = field;
    size_t n_older = pairs->n;

    if (!expect(c, v, VALUE_MAPPING))
        return;
    if (n_older + v->n > VARIABLES_MAX) {
        complain(c, v, NULL, "more than %d variables", VARIABLES_MAX);
        return;
    }
    if (!pairs_reserve(c, pairs, v->n))
        return;
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next) {
        char *name, *value;

        if (!check_variable(c, child))
            continue;
        name = check_copy(c, child->key->text, child->key->n);
        value = check_copy(c, child->text, child->n);
        if (!c->error)
            pairs_set(pairs, n_older, name, value);
    }
}

static size_t name_len(const char *text, const char *more)
{
    size_t n = 0;

    while (text[n] && (isalnum((unsigned char)text[n]) || strchr(more, text[n])))
        n++;
    return n;
}

bool is_step_name(const char *text)
{
    size_t n = name_len(text, "_");

    return isalpha((unsigned char)*text) && !text[n] && n <= NAME_LEN_MAX;
}

bool is_artifact_name(const char *text)
{
    size_t n = name_len(text, "_.-");

    return (isalnum((unsigned char)*text) || *text == '_') && !text[n]
           && n <= NAME_LEN_MAX;
}

static bool has_parent_component(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (!strncmp(at, "..", 2) && (!at[2] || at[2] == '/'))
            return true;
    }
    return false;
}

bool expect_relative(struct check *c, const struct value *v)
{
    struct hint name;

    if (!expect_text(c, v))
        return false;
    check_template_none(c, v);
    if (*v->text != '/' && !has_parent_component(v->text))
        return true;
    complain(c, v, NULL, "%s in %s must be a relative path without `..`",
             value_name(v, &name), c->where);
    return false;
}
