/* SPDX-License-Identifier: Apache-2.0 */
/* What a plain scalar is, by YAML 1.2's core schema, and values as JSON. */
#include "flow/document.h"

#include "flow/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const words[3])
{
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(text, words[i]))
            return true;
    return false;
}

static size_t digits(const char *text, const char *allowed)
{
    return strspn(text, allowed);
}

static const char *skip_sign(const char *text)
{
    return *text == '-' || *text == '+' ? text + 1 : text;
}

/* The base of an integer, or 0 if it is none. */
static int integer_base(const char *text)
{
    const char *from = skip_sign(text);
    size_t n = digits(from, "0123456789");

    if (n && !from[n])
        return 10;
    if (text[0] != '0' || (text[1] != 'o' && text[1] != 'x'))
        return 0;
    n = digits(text + 2, text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF");
    if (!n || text[2 + n])
        return 0;
    return text[1] == 'o' ? 8 : 16;
}

static bool is_special_float(const char *text)
{
    static const char *const infinity[] = { ".inf", ".Inf", ".INF" };
    static const char *const nan_names[] = { ".nan", ".NaN", ".NAN" };

    return is_one_of(skip_sign(text), infinity) || is_one_of(text, nan_names);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *text)
{
    const char *at = skip_sign(text);
    size_t whole = digits(at, "0123456789"), fraction = 0;

    at += whole;
    if (*at == '.') {
        fraction = digits(at + 1, "0123456789");
        at += 1 + fraction;
    }
    if (!whole && !fraction)
        return false;
    if (*at == 'e' || *at == 'E') {
        size_t n;

        at = skip_sign(at + 1);
        n = digits(at, "0123456789");
        if (!n)
            return false;
        at += n;
    }
    return !*at;
}

static bool read_integer(struct value *v, int base)
{
    const char *text = base == 10 ? v->text : v->text + 2;

    errno = 0;
    v->type = VALUE_INT;
    v->u.integer = strtoll(text, NULL, base);
    return errno != ERANGE;
}

bool scalar_resolve(struct value *v)
{
    static const char *const nulls[] = { "null", "Null", "NULL" };
    static const char *const trues[] = { "true", "True", "TRUE" };
    static const char *const falses[] = { "false", "False", "FALSE" };
    int base = integer_base(v->text);

    if (base)
        return read_integer(v, base);
    if (is_special_float(v->text))
        return false;
    if (is_float(v->text)) {
        v->type = VALUE_FLOAT;
        v->u.real = strtod(v->text, NULL);
        return isfinite(v->u.real);
    }
    if (!*v->text || !strcmp(v->text, "~") || is_one_of(v->text, nulls)) {
        v->type = VALUE_NULL;
    } else if (is_one_of(v->text, trues) || is_one_of(v->text, falses)) {
        v->type = VALUE_BOOL;
        v->u.boolean = is_one_of(v->text, trues);
    }
    return true;
}

/* The fewest digits that read back as the same number. */
static void write_real(double real, struct buffer *out)
{
    char text[40];

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, real);
        if (strtod(text, NULL) == real)
            break;
    }
    buffer_puts(out, text);
    if (!strpbrk(text, ".e"))
        buffer_puts(out, ".0");
}

static void write_children(const struct value *v, struct buffer *out)
{
    bool is_mapping = v->type == VALUE_MAPPING;

    buffer_putc(out, is_mapping ? '{' : '[');
    for (const struct value *child = v->u.first; child; child = child->next) {
        if (child != v->u.first)
            buffer_putc(out, ',');
        if (is_mapping) {
            text_write_json(child->key->text, child->key->n, out);
            buffer_putc(out, ':');
        }
        value_write_json(child, out);
    }
    buffer_putc(out, is_mapping ? '}' : ']');
}

void value_write_json(const struct value *v, struct buffer *out)
{
    switch (v->type) {
    case VALUE_NULL:
        buffer_puts(out, "null");
        break;
    case VALUE_BOOL:
        buffer_puts(out, v->u.boolean ? "true" : "false");
        break;
    case VALUE_INT:
        buffer_printf(out, "%lld", (long long)v->u.integer);
        break;
    case VALUE_FLOAT:
        write_real(v->u.real, out);
        break;
    case VALUE_STRING:
        text_write_json(v->text, v->n, out);
        break;
    case VALUE_SEQUENCE:
    case VALUE_MAPPING:
        write_children(v, out);
        break;
    }
}
