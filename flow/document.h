/* SPDX-License-Identifier: Apache-2.0 */
/* document - the text of a flow file as a tree of values, each with its place.
 *
 * YAML 1.2 core: only true, false, null, integers and floats are typed, and only when
 * they are not quoted; `on`, `yes` and `no` are strings. Aliases, anchors, tags and
 * duplicate keys are errors, as are numbers that no program could hold. A text that
 * starts with `{` is JSON. Keys are strings, as written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/arena.h"
#include "flow/diagnostic.h"

enum { DOCUMENT_VALUES_MAX = 2 << 20 };

struct place {
    uint32_t line, column; /* from 1 */
    uint32_t width;        /* columns; 0 when it goes over several lines */
};

enum value_type {
    VALUE_NULL = 1,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_SEQUENCE,
    VALUE_MAPPING,
};

struct value {
    enum value_type type;
    bool is_item; /* of a sequence; then key is the sequence's */
    struct place at;
    uint32_t n;       /* children, or the length of text */
    const char *text; /* of a scalar, whatever its type: as written, without quotes */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const struct value *first; /* child */
    } u;
    const struct value *key;  /* of a mapping's child: a string. NULL: none */
    const struct value *next; /* of its parent's children */
};

struct document {
    struct arena *arena;
    const struct value *root; /* NULL when the text has errors that leave no tree */
    const char *text;         /* borrowed */
    size_t len;
};

/* 0, also when the text is bad: then *d has errors. -ENOMEM. */
int document_read(struct document *doc, const char *text, size_t len,
                  struct diagnostics *d);
void document_release(struct document *doc);

/* The child of a mapping; NULL if it has none. */
const struct value *value_get(const struct value *mapping, const char *key);
/* Compact JSON. */
void value_write_json(const struct value *v, struct buffer *out);
/* "a string", "an integer", ...: what it is, for a message. */
const char *value_type_name(enum value_type type);

/* What a plain scalar means by the core schema. False: a number out of range. */
bool scalar_resolve(struct value *v);

/* Where needle stands in a scalar's text in the file, the nth one from 0: a block
 * scalar begins lines before it. The scalar's own place if it is not found. */
struct place document_find(const struct document *doc, const struct value *scalar,
                           const char *needle, size_t nth);
