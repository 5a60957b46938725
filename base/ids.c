/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT_LITERAL_MAX = 0xef, VARINT_MULTI = 0xf0 };

void hex_text(const uint8_t *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int hex_parse(const char *text, size_t len, uint8_t *ret_bytes)
{
    if (strlen(text) != 2 * len)
        return -EINVAL;
    for (size_t i = 0; i < len; i++)
        if (hex_value(text[2 * i]) < 0 || hex_value(text[2 * i + 1]) < 0)
            return -EINVAL;
    for (size_t i = 0; i < len; i++)
        ret_bytes[i] =
            (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    return 0;
}

struct run_id run_id_make(uint64_t wall_ms, const uint8_t random[10])
{
    struct run_id id;

    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, random, 10);
    return id;
}

void run_id_text(const struct run_id *id, char ret_text[RUN_ID_TEXT_SIZE])
{
    hex_text(id->bytes, RUN_ID_SIZE, ret_text);
}

int run_id_parse(const char *text, struct run_id *ret_id)
{
    return hex_parse(text, RUN_ID_SIZE, ret_id->bytes);
}

const char *run_name_of(uint64_t number, const char *id, char ret[RUN_NAME_SIZE])
{
    enum { FRONT = 16 };

    if (number)
        snprintf(ret, RUN_NAME_SIZE, "%" PRIu64, number);
    else
        snprintf(ret, RUN_NAME_SIZE, "%.*s", FRONT, id ? id : "");
    return ret;
}

const char *run_name(uint64_t number, const struct run_id *id, char ret[RUN_NAME_SIZE])
{
    char text[RUN_ID_TEXT_SIZE];

    run_id_text(id, text);
    return run_name_of(number, text, ret);
}

bool run_id_equal(const struct run_id *a, const struct run_id *b)
{
    return memcmp(a->bytes, b->bytes, RUN_ID_SIZE) == 0;
}

void node_id_text(const struct node_id *id, char ret_text[NODE_ID_TEXT_SIZE])
{
    hex_text(id->bytes, NODE_ID_SIZE, ret_text);
}

int node_id_parse(const char *text, struct node_id *ret_id)
{
    return hex_parse(text, NODE_ID_SIZE, ret_id->bytes);
}

int node_id_compare(const struct node_id *a, const struct node_id *b)
{
    return memcmp(a->bytes, b->bytes, NODE_ID_SIZE);
}

bool node_id_equal(const struct node_id *a, const struct node_id *b)
{
    return node_id_compare(a, b) == 0;
}

bool node_id_is_none(const struct node_id *id)
{
    static const struct node_id none;

    return node_id_equal(id, &none);
}

void digest_text(const struct digest *d, char ret_text[DIGEST_TEXT_SIZE])
{
    hex_text(d->bytes, DIGEST_SIZE, ret_text);
}

int digest_parse(const char *text, struct digest *ret_digest)
{
    return hex_parse(text, DIGEST_SIZE, ret_digest->bytes);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

size_t varint_encode(uint64_t value, uint8_t *ret_bytes)
{
    size_t n = 1;

    if (value <= VARINT_LITERAL_MAX) {
        ret_bytes[0] = (uint8_t)value;
        return 1;
    }
    while (n < 8 && value >> (8 * n))
        n++;
    ret_bytes[0] = (uint8_t)(VARINT_MULTI + n - 1);
    for (size_t i = 0; i < n; i++)
        ret_bytes[1 + i] = (uint8_t)(value >> (8 * (n - 1 - i)));
    return 1 + n;
}

size_t varint_decode(const uint8_t *bytes, size_t len, uint64_t *ret_value)
{
    uint8_t again[VARINT_SIZE_MAX];
    uint64_t value = 0;
    size_t n;

    if (len == 0 || bytes[0] > VARINT_MULTI + 7)
        return 0;
    if (bytes[0] <= VARINT_LITERAL_MAX) {
        *ret_value = bytes[0];
        return 1;
    }
    n = (size_t)(bytes[0] - VARINT_MULTI + 1);
    if (len < 1 + n)
        return 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[1 + i];
    if (varint_encode(value, again) != 1 + n)
        return 0;
    *ret_value = value;
    return 1 + n;
}

size_t task_id_encode(const struct task_id *t, uint8_t ret_bytes[TASK_ID_SIZE_MAX])
{
    size_t n = varint_encode(t->step, ret_bytes);

    n += varint_encode(t->depth, ret_bytes + n);
    for (uint32_t i = 0; i < t->depth; i++)
        n += varint_encode(t->path[i], ret_bytes + n);
    return n + varint_encode(t->iteration, ret_bytes + n);
}

static size_t decode_u32(const uint8_t *bytes, size_t len, uint32_t *ret_value)
{
    uint64_t value;
    size_t n = varint_decode(bytes, len, &value);

    if (n == 0 || value > UINT32_MAX)
        return 0;
    *ret_value = (uint32_t)value;
    return n;
}

size_t task_id_decode(const uint8_t *bytes, size_t len, struct task_id *ret_task)
{
    struct task_id t = { .step = 0 };
    size_t at, n;

    at = decode_u32(bytes, len, &t.step);
    if (at == 0)
        return 0;
    n = decode_u32(bytes + at, len - at, &t.depth);
    if (n == 0 || t.depth > SCOPE_DEPTH_MAX)
        return 0;
    at += n;
    for (uint32_t i = 0; i < t.depth; i++) {
        n = varint_decode(bytes + at, len - at, &t.path[i]);
        if (n == 0)
            return 0;
        at += n;
    }
    n = decode_u32(bytes + at, len - at, &t.iteration);
    if (n == 0)
        return 0;
    *ret_task = t;
    return at + n;
}

void task_id_text(const struct task_id *t, char ret_text[TASK_TEXT_SIZE])
{
    size_t n = 0;

    if (t->depth == 0)
        ret_text[n++] = '0';
    for (uint32_t i = 0; i < t->depth; i++)
        n += (size_t)snprintf(ret_text + n, TASK_TEXT_SIZE - n, "%s%" PRIu64,
                              i ? "." : "", t->path[i]);
    if (t->iteration)
        n += (size_t)snprintf(ret_text + n, TASK_TEXT_SIZE - n, "~%" PRIu32,
                              t->iteration);
    ret_text[n] = '\0';
}

/* A decimal number without sign or leading zeros; NULL if there is none. */
static const char *parse_number(const char *text, uint64_t *ret_value)
{
    char *end;

    if (*text < '0' || *text > '9'
        || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
        return NULL;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return errno ? NULL : end;
}

int task_id_parse(const char *text, uint32_t step, uint32_t depth,
                  struct task_id *ret_task)
{
    struct task_id t = { .step = step, .depth = depth };
    uint64_t value;

    for (uint32_t i = 0; i < (depth ? depth : 1); i++) {
        if (i && *text++ != '.')
            return -EINVAL;
        text = parse_number(text, &value);
        if (!text || (depth == 0 && value != 0))
            return -EINVAL;
        t.path[i] = value;
    }
    if (*text == '~') {
        text = parse_number(text + 1, &value);
        if (!text || value == 0 || value > UINT32_MAX)
            return -EINVAL;
        t.iteration = (uint32_t)value;
    }
    if (*text)
        return -EINVAL;
    *ret_task = t;
    return 0;
}

bool task_id_equal(const struct task_id *a, const struct task_id *b)
{
    return a->step == b->step && a->depth == b->depth && a->iteration == b->iteration
           && memcmp(a->path, b->path, a->depth * sizeof(a->path[0])) == 0;
}
