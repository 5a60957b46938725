/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER_CAP_MIN = 64 };

void buffer_release(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){ .bytes_max = b->bytes_max };
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data)
        b->data[0] = '\0';
}

static int note_failure(struct buffer *b, int error)
{
    if (!b->error)
        b->error = error;
    return error;
}

char *buffer_reserve(struct buffer *b, size_t len)
{
    size_t max = b->bytes_max ? b->bytes_max : SIZE_MAX / 2;
    size_t cap = b->cap ? b->cap : BUFFER_CAP_MIN;
    char *data;

    if (b->len > max || len > max - b->len) {
        note_failure(b, -E2BIG);
        return NULL;
    }
    if (b->data && len < b->cap - b->len)
        return b->data + b->len;
    while (cap <= b->len + len)
        cap *= 2;
    data = realloc(b->data, cap);
    if (!data) {
        note_failure(b, -ENOMEM);
        return NULL;
    }
    b->data = data;
    b->cap = cap;
    b->data[b->len] = '\0';
    return b->data + b->len;
}

int buffer_append(struct buffer *b, const void *data, size_t len)
{
    char *at = buffer_reserve(b, len);

    if (!at)
        return b->error;
    if (len)
        memcpy(at, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buffer_puts(struct buffer *b, const char *text)
{
    return buffer_append(b, text, strlen(text));
}

int buffer_putc(struct buffer *b, char c)
{
    return buffer_append(b, &c, 1);
}

int buffer_printf(struct buffer *b, const char *format, ...)
{
    char *at = buffer_reserve(b, 0);
    va_list args;
    size_t len;
    int n;

    if (!at)
        return b->error;
    va_start(args, format);
    n = vsnprintf(at, b->cap - b->len, format, args);
    va_end(args);
    if (n < 0) {
        *at = '\0';
        return note_failure(b, -EINVAL);
    }
    len = (size_t)n;
    if (len >= b->cap - b->len || (b->bytes_max && len > b->bytes_max - b->len)) {
        *at = '\0';
        at = buffer_reserve(b, len);
        if (!at)
            return b->error;
        va_start(args, format);
        vsnprintf(at, b->cap - b->len, format, args);
        va_end(args);
    }
    b->len += len;
    return 0;
}

const char *buffer_text(const struct buffer *b)
{
    return b->data ? b->data : "";
}

char *buffer_take(struct buffer *b)
{
    char *data;

    if (b->error)
        return NULL;
    data = b->data ? TAKE(b->data) : calloc(1, 1);
    b->len = b->cap = 0;
    return data;
}
