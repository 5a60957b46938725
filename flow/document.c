/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/document.h"

#include "flow/builder.h"
#include "flow/text.h"

#include <errno.h>
#include <string.h>

static bool is_character(uint32_t code)
{
    if (code < 0x20)
        return code == '\t' || code == '\n' || code == '\r';
    if (code < 0xa0)
        return code < 0x7f || code == 0x85;
    return code != 0xfeff && code != 0xfffe && code != 0xffff;
}

static void refuse_byte(struct builder *b, size_t at, uint32_t code, bool is_utf8)
{
    struct cursor c = {
        .text = b->doc->text, .len = b->doc->len, .line = 1, .column = 1
    };
    struct place place;

    cursor_go(&c, at);
    place = (struct place){ c.line, c.column, 1 };
    if (!is_utf8)
        builder_refuse(b, place, "a flow file is written in UTF-8",
                       "the byte 0x%02x is no UTF-8 here",
                       (unsigned char)b->doc->text[at]);
    else if (!code)
        builder_refuse(b, place, NULL, "a NUL has no place in a text");
    else
        builder_refuse(b, place, NULL, "the character U+%04X has no place in a text",
                       code);
}

static void check_characters(struct builder *b)
{
    const struct document *doc = b->doc;

    for (size_t i = 0; i < doc->len;) {
        unsigned char c = (unsigned char)doc->text[i];
        uint32_t code = 0;
        size_t n;

        if (c >= 0x20 && c < 0x7f) {
            i++;
            continue;
        }
        n = utf8_decode(doc->text + i, doc->len - i, &code);
        if (!n || !is_character(code)) {
            refuse_byte(b, i, code, n > 0);
            return;
        }
        i += n;
    }
}

static bool is_json(const struct document *doc)
{
    size_t i = 0;

    while (i < doc->len && strchr(" \t\r\n", doc->text[i]) && doc->text[i])
        i++;
    return i < doc->len && doc->text[i] == '{';
}

int document_read(struct document *doc, const char *text, size_t len,
                  struct diagnostics *d)
{
    struct builder b = { .doc = doc, .d = d };

    *doc = (struct document){ .arena = arena_new(), .text = text, .len = len };
    if (!doc->arena)
        return -ENOMEM;
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        doc->text += 3;
        doc->len -= 3;
    }
    check_characters(&b);
    if (!b.error) {
        if (is_json(doc))
            builder_read_json(&b);
        else
            builder_read_yaml(&b);
    }
    if (b.error)
        doc->root = NULL;
    return b.error == -ENOMEM ? -ENOMEM : 0;
}

void document_release(struct document *doc)
{
    arena_free(doc->arena);
    *doc = (struct document){ .arena = NULL };
}

const struct value *value_get(const struct value *mapping, const char *key)
{
    if (!mapping || mapping->type != VALUE_MAPPING)
        return NULL;
    for (const struct value *v = mapping->u.first; v; v = v->next)
        if (!strcmp(v->key->text, key))
            return v;
    return NULL;
}

const char *value_type_name(enum value_type type)
{
    switch (type) {
    case VALUE_NULL:
        return "null";
    case VALUE_BOOL:
        return "true or false";
    case VALUE_INT:
        return "an integer";
    case VALUE_FLOAT:
        return "a number";
    case VALUE_STRING:
        return "a text";
    case VALUE_SEQUENCE:
        return "a list";
    case VALUE_MAPPING:
        return "a mapping";
    }
    return "nothing";
}

struct place document_find(const struct document *doc, const struct value *scalar,
                           const char *needle, size_t nth)
{
    struct cursor c = {
        .text = doc->text, .len = doc->len, .line = scalar->at.line, .column = 1
    };
    const char *found;

    c.at = text_line(doc->text, doc->len, c.line);
    while (c.line == scalar->at.line && c.column < scalar->at.column
           && cursor_advance(&c))
        ;
    do {
        found = memmem(c.text + c.at, c.len - c.at, needle, strlen(needle));
        if (!found)
            return scalar->at;
        cursor_go(&c, (size_t)(found - c.text));
        if (!nth)
            return (struct place){ c.line, c.column, (uint32_t)strlen(needle) };
        cursor_advance(&c);
    } while (nth--);
    return scalar->at;
}
