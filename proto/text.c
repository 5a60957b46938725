/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text.h"

/* The length of the character at the front, or 0 if there is none. What the second
 * byte may be rules out surrogates, values over U+10FFFF and overlong forms. */
static size_t character(const uint8_t *b, size_t len)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t n;

    if (b[0] >= 0x01 && b[0] <= 0x7f)
        return 1;
    if (b[0] >= 0xc2 && b[0] <= 0xdf)
        n = 2;
    else if (b[0] >= 0xe0 && b[0] <= 0xef)
        n = 3;
    else if (b[0] >= 0xf0 && b[0] <= 0xf4)
        n = 4;
    else
        return 0;
    lo = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : lo;
    hi = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : hi;
    if (len < n || b[1] < lo || b[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static size_t valid_prefix(const uint8_t *bytes, size_t len)
{
    size_t at = 0, n;

    for (; at < len; at += n) {
        n = character(bytes + at, len - at);
        if (n == 0)
            break;
    }
    return at;
}

bool text_is_valid(const uint8_t *bytes, size_t len)
{
    return valid_prefix(bytes, len) == len;
}

int text_clean(const uint8_t *bytes, size_t len, struct buffer *out)
{
    while (len) {
        size_t n = valid_prefix(bytes, len);

        buffer_append(out, bytes, n);
        if (n < len) {
            buffer_puts(out, "\xef\xbf\xbd");
            n++;
        }
        bytes += n;
        len -= n;
    }
    return buffer_failed(out);
}
