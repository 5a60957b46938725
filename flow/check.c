/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/check.h"

#include "flow/nearest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void note(struct check *c, struct place at, const char *hint, const char *format,
                 va_list args)
{
    CLEANUP(freep) char *message = NULL;

    if (vasprintf(&message, format, args) < 0) {
        message = NULL;
        c->error = -ENOMEM;
        return;
    }
    if (diagnostics_add(c->d, SEVERITY_ERROR, at.line, at.column, at.width, hint, "%s",
                        message)
        < 0)
        c->error = -ENOMEM;
}

void complain_at(struct check *c, struct place at, const char *hint, const char *format,
                 ...)
{
    va_list args;

    va_start(args, format);
    note(c, at, hint, format, args);
    va_end(args);
}

void complain(struct check *c, const struct value *v, const char *hint,
              const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note(c, v->at, hint, format, args);
    va_end(args);
}

const char *hint_format(struct hint *h, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(h->text, sizeof(h->text), format, args);
    va_end(args);
    return h->text;
}

const char *hint_near(struct hint *h, const char *best, uint32_t line)
{
    if (!best)
        return NULL;
    if (line)
        return hint_format(h, "did you mean '%.130s' (line %u)?", best, line);
    return hint_format(h, "did you mean '%.130s'?", best);
}

bool is_enough(const struct check *c)
{
    return diagnostics_errors(c->d) >= DIAGNOSTICS_MAX;
}

const char *hint_step(const struct check *c, struct hint *h, const char *name)
{
    const struct names *names = c->flow->names;
    const char *near = is_enough(c) ? NULL : names_nearest(names, name);

    return near ? hint_near(h, near, c->flow->steps[names_find(names, near)].line)
                : NULL;
}

const char *hint_parameter(const struct check *c, struct hint *h, const char *name)
{
    return is_enough(c) ? NULL : hint_near(h, names_nearest(&c->parameters, name), 0);
}

const char *value_name(const struct value *v, struct hint *h)
{
    if (v->key)
        return hint_format(h, "%s'%.130s'", v->is_item ? "an item of " : "",
                           v->key->text);
    return "an item";
}

static void complain_unknown(struct check *c, const struct value *v,
                             const struct key *keys, size_t n_keys)
{
    struct nearest nearest = nearest_to(v->key->text);
    struct hint h;

    for (size_t i = 0; i < n_keys; i++)
        if (!keys[i].later)
            nearest_offer(&nearest, keys[i].name);
    complain(c, v->key, hint_near(&h, nearest.best, 0), "unknown key '%.130s' in %s",
             v->key->text, c->where);
}

static const struct key *find_key(const struct key *keys, size_t n_keys,
                                  const char *name)
{
    for (size_t i = 0; i < n_keys; i++)
        if (!strcmp(keys[i].name, name))
            return &keys[i];
    return NULL;
}

void read_mapping(struct check *c, const struct value *v, const struct key *keys,
                  size_t n_keys, void *object)
{
    if (!expect(c, v, VALUE_MAPPING))
        return;
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next) {
        const struct key *key = find_key(keys, n_keys, child->key->text);

        if (!key)
            complain_unknown(c, child, keys, n_keys);
        else if (key->later)
            complain(c, child->key, NULL, "'%s' (%s) is not supported yet", key->name,
                     key->later);
        else
            key->read(c, child, (char *)object + key->offset);
    }
}

bool expect_mapping(struct check *c, const struct value *v)
{
    if (v->type == VALUE_MAPPING)
        return true;
    complain(c, v, NULL, "%s must be a mapping, not %s", c->where,
             value_type_name(v->type));
    return false;
}

bool expect(struct check *c, const struct value *v, enum value_type type)
{
    struct hint name, h;
    const char *hint = NULL;

    if (v->type == type)
        return true;
    if (type == VALUE_STRING && v->type < VALUE_STRING && v->n)
        hint = hint_format(&h, "write it in quotes: '%.100s'", v->text);
    complain(c, v, hint, "%s in %s must be %s, not %s", value_name(v, &name), c->where,
             value_type_name(type), value_type_name(v->type));
    return false;
}

bool expect_text(struct check *c, const struct value *v)
{
    struct hint name;

    if (!expect(c, v, VALUE_STRING))
        return false;
    if (v->n)
        return true;
    complain(c, v, NULL, "%s in %s is empty", value_name(v, &name), c->where);
    return false;
}

bool expect_number(struct check *c, const struct value *v, double *ret)
{
    struct hint name;

    if (v->type != VALUE_INT && v->type != VALUE_FLOAT) {
        complain(c, v, NULL, "%s in %s must be a number, not %s", value_name(v, &name),
                 c->where, value_type_name(v->type));
        return false;
    }
    *ret = v->type == VALUE_INT ? (double)v->u.integer : v->u.real;
    return true;
}

bool expect_integer(struct check *c, const struct value *v, int64_t min, int64_t max,
                    int64_t *ret)
{
    struct hint name;

    if (!expect(c, v, VALUE_INT))
        return false;
    if (v->u.integer < min || v->u.integer > max) {
        complain(c, v, NULL, "%s in %s must be from %lld to %lld", value_name(v, &name),
                 c->where, (long long)min, (long long)max);
        return false;
    }
    *ret = v->u.integer;
    return true;
}

bool expect_word(struct check *c, const struct value *v, const char *const *words,
                 size_t n_words, size_t *ret_which)
{
    CLEANUP(buffer_release) struct buffer list = BUFFER_INIT;
    struct hint name, h;
    struct nearest nearest;

    if (!expect(c, v, VALUE_STRING))
        return false;
    nearest = nearest_to(v->text);
    for (size_t i = 0; i < n_words; i++) {
        if (!strcmp(words[i], v->text)) {
            *ret_which = i;
            return true;
        }
        nearest_offer(&nearest, words[i]);
        buffer_printf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    complain(c, v, hint_near(&h, nearest.best, 0), "%s in %s must be one of: %s",
             value_name(v, &name), c->where, buffer_text(&list));
    return false;
}

void *check_alloc(struct check *c, size_t n, size_t size)
{
    void *p = arena_array(c->arena, n ? n : 1, size);

    if (!p)
        c->error = -ENOMEM;
    return p;
}

char *check_copy(struct check *c, const char *text, size_t len)
{
    char *copy = arena_text(c->arena, text, len);

    if (!copy)
        c->error = -ENOMEM;
    return copy;
}
