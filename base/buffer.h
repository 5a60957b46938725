/* SPDX-License-Identifier: Apache-2.0 */
/* buffer - bytes that grow, up to a bound.
 *
 * After a failed append the buffer is unchanged but remembers the failure:
 * buffer_failed() tells at the end, so that a chain of appends is checked once.
 * data[len] is always a NUL once anything was appended or buffer_text() was called. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

struct buffer {
    char *data;
    size_t len, cap;
    size_t bytes_max; /* 0: SIZE_MAX / 2 */
    int error;        /* the first failure: -ENOMEM, or -E2BIG at bytes_max */
};

#define BUFFER_INIT ((struct buffer){ .data = NULL })

void buffer_release(struct buffer *b);
void buffer_clear(struct buffer *b); /* keeps the memory, forgets the failure */

int buffer_append(struct buffer *b, const void *data, size_t len);
int buffer_puts(struct buffer *b, const char *text);
int buffer_putc(struct buffer *b, char c);
int buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Room for len more bytes after b->data[b->len]; NULL on failure. */
char *buffer_reserve(struct buffer *b, size_t len);

static inline int buffer_failed(const struct buffer *b)
{
    return b->error;
}

/* Never NULL; "" for an empty buffer. */
const char *buffer_text(const struct buffer *b);

/* The bytes as a string the caller frees; the buffer is empty afterwards.
 * NULL if an append had failed. */
char *buffer_take(struct buffer *b);
