/* SPDX-License-Identifier: Apache-2.0 */
/* builder - puts a document's tree together; for the two readers of it. */
#pragma once

#include "flow/document.h"
#include "flow/read.h"

struct frame {
    struct value *collection, *last;
    struct value *key; /* of a mapping, whose value comes next */
};

struct builder {
    struct document *doc;
    struct diagnostics *d;
    struct frame frames[FLOW_NESTING_MAX];
    size_t depth;
    size_t n_values;
    int error; /* -ENOMEM; -EINVAL: reading makes no sense any more */
};

/* All record a failure in b->error. */
void builder_scalar(struct builder *b, const char *text, size_t len, bool is_plain,
                    struct place at);
void builder_open(struct builder *b, enum value_type type, struct place at);
/* The width is known when the end is. */
void builder_close(struct builder *b, uint32_t line, uint32_t column);
void builder_refuse(struct builder *b, struct place at, const char *hint,
                    const char *format, ...) PRINTF_LIKE(4, 5);

void builder_read_yaml(struct builder *b);
void builder_read_json(struct builder *b);
