/* SPDX-License-Identifier: Apache-2.0 */
/* octets - reads and writes the byte layouts of node/identity.h: numbers are
 * big-endian, texts have their length in one byte before them.
 *
 * A reader that ran out or found a bad text stays bad and gives zeros, so that a chain
 * of reads is checked once, at its end. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/buffer.h"

struct octets {
    const uint8_t *at;
    size_t left;
    bool is_bad;
};

static inline struct octets octets_of(const void *data, size_t len)
{
    return (struct octets){ .at = data, .left = len };
}

/* NULL, and bad, when there are fewer. */
static inline const uint8_t *octets_take(struct octets *o, size_t len)
{
    const uint8_t *at = o->at;

    if (o->is_bad || len > o->left) {
        o->is_bad = true;
        return NULL;
    }
    o->at += len;
    o->left -= len;
    return at;
}

static inline void octets_copy(struct octets *o, void *ret, size_t len)
{
    const uint8_t *at = octets_take(o, len);

    if (at)
        memcpy(ret, at, len);
    else
        memset(ret, 0, len);
}

static inline uint64_t octets_number(struct octets *o, size_t len)
{
    const uint8_t *at = octets_take(o, len);
    uint64_t n = 0;

    for (size_t i = 0; at && i < len; i++)
        n = n << 8 | at[i];
    return n;
}

/* Of letters, digits and . _ - : [ ] into size bytes, with a NUL. */
static inline void octets_text(struct octets *o, char *ret, size_t size)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._-:[]";
    size_t len = (size_t)octets_number(o, 1);
    const uint8_t *at = octets_take(o, len);

    ret[0] = '\0';
    if (!at || len >= size) {
        o->is_bad = true;
        return;
    }
    memcpy(ret, at, len);
    ret[len] = '\0';
    if (strspn(ret, good) != len) {
        ret[0] = '\0';
        o->is_bad = true;
    }
}

/* Whether all was there and nothing is left. */
static inline bool octets_is_whole(const struct octets *o)
{
    return !o->is_bad && o->left == 0;
}

static inline void octets_put_number(struct buffer *out, uint64_t n, size_t len)
{
    for (size_t i = len; i-- > 0;)
        buffer_putc(out, (char)(uint8_t)(n >> (8 * i)));
}

static inline void octets_put_text(struct buffer *out, const char *text)
{
    octets_put_number(out, strlen(text), 1);
    buffer_puts(out, text);
}
