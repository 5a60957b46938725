/* SPDX-License-Identifier: Apache-2.0 */
/* The writer. The length of a nested message comes before it and is known behind it:
 * room is left for a short one, and a long one is moved. */
#include <errno.h>
#include <string.h>

#include "proto/message_schema.h"
#include "proto/text.h"

enum { VARINT = 0, BYTES = 2, VARINT_MAX = 10 };

static size_t put_varint(uint8_t *at, uint64_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        at[n++] = (uint8_t)(value | 0x80);
    at[n++] = (uint8_t)value;
    return n;
}

static int write_varint(struct buffer *out, unsigned number, uint64_t value)
{
    uint8_t *at = (uint8_t *)buffer_reserve(out, 2 * VARINT_MAX);
    size_t n;

    if (!at)
        return out->error;
    n = put_varint(at, number << 3 | VARINT);
    n += put_varint(at + n, value);
    out->len += n;
    return 0;
}

static int write_bytes(struct buffer *out, unsigned number, const void *data,
                       size_t len)
{
    uint8_t *at;
    size_t n;

    if (len > MESSAGE_BYTES_MAX)
        return -E2BIG;
    at = (uint8_t *)buffer_reserve(out, len + 2 * VARINT_MAX);
    if (!at)
        return out->error;
    n = put_varint(at, number << 3 | BYTES);
    n += put_varint(at + n, len);
    if (len)
        memcpy(at + n, data, len);
    out->len += n + len;
    return 0;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

/* A number as it is written. */
static uint64_t number_of(const struct field *f, const uint8_t *at)
{
    switch (f->kind) {
    case FIELD_BOOL:
        return *(const bool *)at;
    case FIELD_U8:
        return *at;
    case FIELD_U64:
        return *(const uint64_t *)(const void *)at;
    case FIELD_S32:
        return zigzag(*(const int32_t *)(const void *)at);
    case FIELD_S64:
        return zigzag(*(const int64_t *)(const void *)at);
    default:
        return *(const uint32_t *)(const void *)at;
    }
}

static int write_number(const struct field *f, unsigned number, const uint8_t *at,
                        struct buffer *out)
{
    uint64_t value = number_of(f, at);

    if (f->kind == FIELD_ENUM && (value == 0 || value > f->max))
        return -EINVAL;
    return value ? write_varint(out, number, value) : 0;
}

static bool is_zero(const uint8_t *at, size_t len)
{
    return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

static int write_fixed(const struct field *f, unsigned number, const uint8_t *at,
                       struct buffer *out)
{
    if (is_zero(at, f->max))
        return f->is_needed ? -EINVAL : 0;
    return write_bytes(out, number, at, f->max);
}

static int write_text(const struct field *f, unsigned number, const char *text,
                      struct buffer *out)
{
    size_t len = text ? strlen(text) : 0;

    if (len == 0)
        return f->is_needed ? -EINVAL : 0;
    if (len > MESSAGE_TEXT_MAX)
        return -E2BIG;
    if (!text_is_valid((const uint8_t *)text, len))
        return -EINVAL;
    return write_bytes(out, number, text, len);
}

static int write_blob(const struct field *f, unsigned number, const uint8_t *message,
                      bool is_there, struct buffer *out)
{
    const uint8_t *data = *(uint8_t *const *)(const void *)(message + f->at);
    size_t len = *(const size_t *)(const void *)(message + f->count);

    if (len > f->max)
        return -E2BIG;
    return len || is_there ? write_bytes(out, number, data, len) : 0;
}

static int write_task(unsigned number, const struct task_id *task, struct buffer *out)
{
    uint8_t bytes[TASK_ID_SIZE_MAX];

    if (task->depth > SCOPE_DEPTH_MAX)
        return -EINVAL;
    return write_bytes(out, number, bytes, task_id_encode(task, bytes));
}

/* Always leaves the tag and the length, of an empty message too. */
static int write_nested(const struct schema *s, unsigned number, const void *message,
                        struct buffer *out)
{
    uint8_t length[VARINT_MAX];
    size_t start, len, n;
    uint8_t *at = (uint8_t *)buffer_reserve(out, VARINT_MAX + 1);
    int r;

    if (!at)
        return out->error;
    out->len += put_varint(at, number << 3 | BYTES) + 1;
    start = out->len;
    r = message_write(s, message, out);
    if (r < 0)
        return r;
    len = out->len - start;
    n = put_varint(length, len);
    if (n > 1) {
        if (!buffer_reserve(out, n))
            return out->error;
        memmove(out->data + start + n - 1, out->data + start, len);
        out->len += n - 1;
    }
    memcpy(out->data + start - 1, length, n);
    return 0;
}

static int write_single(const struct field *f, unsigned number, const void *message,
                        bool is_there, struct buffer *out)
{
    size_t start = out->len,
           header = put_varint((uint8_t[VARINT_MAX]){ 0 }, number << 3);
    int r = write_nested(f->schema, number, message, out);

    if (r == 0 && !is_there && !f->is_needed && out->len == start + header + 1)
        out->len = start;
    return r;
}

static int write_numbers(unsigned number, const uint64_t *values, size_t n,
                         struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer packed = BUFFER_INIT;
    uint8_t *at = (uint8_t *)buffer_reserve(&packed, n * VARINT_MAX);

    if (!at)
        return packed.error;
    for (size_t i = 0; i < n; i++)
        packed.len += put_varint(at + packed.len, values[i]);
    return write_bytes(out, number, packed.data, packed.len);
}

static int write_list(const struct field *f, unsigned number, const uint8_t *items,
                      size_t n, size_t start, struct buffer *out)
{
    int r = 0;

    if (n > (f->kind == FIELD_HOMES ? HOMES_MAX : MESSAGE_ITEMS_MAX))
        return -E2BIG;
    if (f->kind == FIELD_U64S)
        return n ? write_numbers(number, (const uint64_t *)(const void *)items, n, out)
                 : 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (f->kind == FIELD_MESSAGES)
            r = write_nested(f->schema, number, items + i * f->schema->size, out);
        else
            r = write_bytes(out, number, items + i * f->max, f->max);
        if (out->len - start > MESSAGE_BYTES_MAX)
            return -E2BIG;
    }
    return r;
}

static int write_field(const struct field *f, unsigned number, const uint8_t *message,
                       size_t start, struct buffer *out)
{
    const uint8_t *at = message + f->at;
    bool is_there = f->has_flag && *(const bool *)(message + f->flag);

    if (f->has_flag && !is_there)
        return 0;
    switch (f->kind) {
    case FIELD_NONE:
        return 0;
    case FIELD_FIXED:
        return write_fixed(f, number, at, out);
    case FIELD_BYTES:
        return write_blob(f, number, message, is_there, out);
    case FIELD_TEXT:
        return write_text(f, number, *(char *const *)(const void *)at, out);
    case FIELD_TASK:
        return write_task(number, (const struct task_id *)(const void *)at, out);
    case FIELD_MESSAGE:
        return write_single(f, number, at, is_there, out);
    case FIELD_HOMES:
        return write_list(f, number, at,
                          *(const uint32_t *)(const void *)(message + f->count), start,
                          out);
    case FIELD_MESSAGES:
    case FIELD_FIXEDS:
    case FIELD_U64S:
        return write_list(f, number, *(uint8_t *const *)(const void *)at,
                          *(const size_t *)(const void *)(message + f->count), start,
                          out);
    default:
        return write_number(f, number, at, out);
    }
}

int message_write(const struct schema *s, const void *message, struct buffer *out)
{
    size_t start = out->len;
    int r = 0;

    if (s->is_valid && !s->is_valid(message))
        return -EINVAL;
    for (unsigned i = 1; r == 0 && i < s->n_fields; i++) {
        r = write_field(&s->fields[i], i, message, start, out);
        if (out->len - start > MESSAGE_BYTES_MAX)
            return -E2BIG;
    }
    return r;
}
