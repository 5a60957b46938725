/* SPDX-License-Identifier: Apache-2.0 */
/* From JSON to the tree. jansson judges the syntax, then a walk over the text, which
 * can only be good by then, finds the place of each value: jansson keeps none. */
#include "flow/builder.h"

#include "flow/text.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

struct walk {
    struct builder *b;
    struct cursor c;
};

static char peek(const struct walk *w)
{
    return w->c.at < w->c.len ? w->c.text[w->c.at] : '\0';
}

static void skip_space(struct walk *w)
{
    while (peek(w) && strchr(" \t\r\n,:", peek(w)))
        cursor_advance(&w->c);
}

static struct place place_from(const struct walk *w, const struct cursor *from)
{
    return (struct place){ from->line, from->column, w->c.column - from->column };
}

static void on_string(struct walk *w)
{
    struct cursor from = w->c;
    bool is_escaped = false;
    size_t len;
    json_t *decoded;

    for (cursor_advance(&w->c); peek(w) != '"'; cursor_advance(&w->c))
        if (peek(w) == '\\') {
            is_escaped = true;
            cursor_advance(&w->c);
        }
    cursor_advance(&w->c);
    len = w->c.at - from.at;
    if (!is_escaped) {
        builder_scalar(w->b, from.text + from.at + 1, len - 2, false,
                       place_from(w, &from));
        return;
    }
    decoded = json_loadb(from.text + from.at, len, JSON_DECODE_ANY, NULL);
    if (decoded)
        builder_scalar(w->b, json_string_value(decoded), json_string_length(decoded),
                       false, place_from(w, &from));
    else
        w->b->error = -ENOMEM;
    json_decref(decoded);
}

static void on_plain(struct walk *w)
{
    struct cursor from = w->c;

    while (peek(w) && !strchr(" \t\r\n,:]}", peek(w)))
        cursor_advance(&w->c);
    builder_scalar(w->b, from.text + from.at, w->c.at - from.at, true,
                   place_from(w, &from));
}

static void on_token(struct walk *w)
{
    struct place at = { w->c.line, w->c.column, 1 };
    char c = peek(w);

    if (c == '"') {
        on_string(w);
    } else if (c == '{' || c == '[') {
        cursor_advance(&w->c);
        builder_open(w->b, c == '{' ? VALUE_MAPPING : VALUE_SEQUENCE, at);
    } else if (c == '}' || c == ']') {
        cursor_advance(&w->c);
        builder_close(w->b, w->c.line, w->c.column);
    } else {
        on_plain(w);
    }
}

/* Before jansson, which recurses: brackets outside of strings, good JSON or not. */
static bool is_too_deep(struct builder *b)
{
    struct cursor c = {
        .text = b->doc->text, .len = b->doc->len, .line = 1, .column = 1
    };
    bool in_string = false;
    size_t depth = 0;

    for (; c.at < c.len; cursor_advance(&c)) {
        char x = c.text[c.at];

        if (in_string && x == '\\')
            cursor_advance(&c);
        else if (x == '"')
            in_string = !in_string;
        else if (!in_string && (x == '{' || x == '['))
            depth++;
        else if (!in_string && (x == '}' || x == ']') && depth)
            depth--;
        if (depth > FLOW_NESTING_MAX) {
            builder_refuse(b, (struct place){ c.line, c.column, 1 }, NULL,
                           "nested more than %d levels deep", FLOW_NESTING_MAX);
            return true;
        }
    }
    return false;
}

void builder_read_json(struct builder *b)
{
    struct walk w = {
        .b = b,
        .c = { .text = b->doc->text, .len = b->doc->len, .line = 1, .column = 1 }
    };
    json_error_t error;
    json_t *json;

    if (is_too_deep(b))
        return;
    json = json_loadb(b->doc->text, b->doc->len, 0, &error);
    if (!json) {
        struct place at = { (uint32_t)error.line, (uint32_t)error.column, 1 };

        builder_refuse(b, at, "a file that starts with `{` is JSON", "JSON: %s",
                       error.text);
        return;
    }
    json_decref(json);
    for (skip_space(&w); peek(&w) && !b->error; skip_space(&w))
        on_token(&w);
}
