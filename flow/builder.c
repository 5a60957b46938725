/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/builder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void builder_refuse(struct builder *b, struct place at, const char *hint,
                    const char *format, ...)
{
    char message[200];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    b->error = diagnostics_add(b->d, SEVERITY_ERROR, at.line, at.column, at.width, hint,
                               "%s", message);
    if (!b->error)
        b->error = -EINVAL;
}

static struct value *new_value(struct builder *b, enum value_type type, struct place at)
{
    struct value *v;

    if (b->n_values >= DOCUMENT_VALUES_MAX) {
        builder_refuse(b, at, NULL, "more than %d values", DOCUMENT_VALUES_MAX);
        return NULL;
    }
    b->n_values++;
    v = arena_alloc(b->doc->arena, sizeof(*v));
    if (!v) {
        b->error = -ENOMEM;
        return NULL;
    }
    v->type = type;
    v->at = at;
    return v;
}

static void attach(struct builder *b, struct value *v)
{
    struct frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;

    if (!f) {
        b->doc->root = v;
        return;
    }
    v->is_item = f->collection->type == VALUE_SEQUENCE;
    v->key = v->is_item ? f->collection->key : TAKE(f->key);
    if (f->last)
        f->last->next = v;
    else
        f->collection->u.first = v;
    f->last = v;
    f->collection->n++;
}

static bool wants_key(const struct builder *b)
{
    const struct frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;

    return f && f->collection->type == VALUE_MAPPING && !f->key;
}

void builder_scalar(struct builder *b, const char *text, size_t len, bool is_plain,
                    struct place at)
{
    bool is_key = wants_key(b);
    struct value *v = new_value(b, VALUE_STRING, at);

    if (!v)
        return;
    if (memchr(text, '\0', len)) {
        builder_refuse(b, at, NULL, "a NUL has no place in a text");
        return;
    }
    v->text = arena_text(b->doc->arena, text, len);
    v->n = (uint32_t)len;
    if (!v->text) {
        b->error = -ENOMEM;
        return;
    }
    if (is_key) {
        b->frames[b->depth - 1].key = v;
        return;
    }
    if (is_plain && !scalar_resolve(v)) {
        builder_refuse(b, at, "write it in quotes to keep it as a text",
                       "the number is out of range");
        return;
    }
    attach(b, v);
}

void builder_open(struct builder *b, enum value_type type, struct place at)
{
    struct value *v;

    if (wants_key(b)) {
        builder_refuse(b, at, NULL, "a key is a text, not a list or a mapping");
        return;
    }
    if (b->depth == FLOW_NESTING_MAX) {
        builder_refuse(b, at, NULL, "nested more than %d levels deep",
                       FLOW_NESTING_MAX);
        return;
    }
    v = new_value(b, type, at);
    if (!v)
        return;
    attach(b, v);
    b->frames[b->depth++] = (struct frame){ .collection = v };
}

static int by_text(const void *a, const void *b)
{
    const struct value *x = *(const struct value *const *)a;
    const struct value *y = *(const struct value *const *)b;
    int order = strcmp(x->text, y->text);

    if (order)
        return order;
    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    return x->at.column < y->at.column ? -1 : 1;
}

static void note_duplicate(struct builder *b, const struct value *first,
                           const struct value *again)
{
    char hint[64];

    snprintf(hint, sizeof(hint), "the first is on line %u", first->at.line);
    if (diagnostics_add(b->d, SEVERITY_ERROR, again->at.line, again->at.column,
                        again->at.width, hint, "the key '%.100s' is there twice",
                        again->text)
        < 0)
        b->error = -ENOMEM;
}

/* By sorting: a file made to collide in a hash must not cost more than another. */
static void check_duplicates(struct builder *b, const struct value *mapping)
{
    CLEANUP(freep) const struct value **keys = NULL;
    size_t n = 0;

    if (mapping->n < 2)
        return;
    keys = calloc(mapping->n, sizeof(const struct value *));
    if (!keys) {
        b->error = -ENOMEM;
        return;
    }
    for (const struct value *v = mapping->u.first; v; v = v->next)
        keys[n++] = v->key;
    qsort(keys, n, sizeof(const struct value *), by_text);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(keys[i - 1]->text, keys[i]->text))
            note_duplicate(b, keys[i - 1], keys[i]);
}

void builder_close(struct builder *b, uint32_t line, uint32_t column)
{
    struct value *v = b->frames[--b->depth].collection;

    if (line == v->at.line && column > v->at.column)
        v->at.width = column - v->at.column;
    if (v->type == VALUE_MAPPING)
        check_duplicates(b, v);
}
