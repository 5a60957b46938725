/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/terminal.h"

#include <string.h>

#include <uniwidth.h>

#include "proto/text.h"

enum { SGR_MAX = 32 };

/* ---- what is safe to show ---- */

/* The length of `ESC [ digits and ; m` at the front; 0: it is something else. */
static size_t sgr_length(const char *text, size_t len)
{
    size_t i = 2;

    if (len < 3 || text[0] != '\033' || text[1] != '[')
        return 0;
    while (i < len && i < SGR_MAX && strchr("0123456789;:", text[i]) && text[i])
        i++;
    return i < len && text[i] == 'm' ? i + 1 : 0;
}

/* U+2028 to U+202E and U+2066 to U+2069: they end lines, or turn the order of what
 * stands behind them. */
static bool reorders(const uint8_t *c)
{
    return c[0] == 0xe2
           && ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae)
               || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

/* The length of the character at the front that is not ASCII; 0: it must not be shown.
 */
static size_t wide_length(const uint8_t *text, size_t len)
{
    size_t n = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;

    if (text[0] < 0xc2 || n > len || !text_is_valid(text, n))
        return 0;
    /* U+0080 to U+009F are control characters too. */
    if (text[0] == 0xc2 && text[1] < 0xa0)
        return 0;
    return n == 3 && reorders(text) ? 0 : n;
}

static size_t escape_one(const char *text, size_t len, bool *is_coloured,
                         struct buffer *out)
{
    size_t n = (uint8_t)text[0] >= 0x80 ? wide_length((const uint8_t *)text, len)
                                        : sgr_length(text, len);

    if (n) {
        *is_coloured = *is_coloured || text[0] == '\033';
        buffer_append(out, text, n);
        return n;
    }
    buffer_printf(out, "\\x%02x", (uint8_t)text[0]);
    return 1;
}

bool terminal_escape(const char *text, size_t len, struct buffer *out)
{
    bool is_coloured = false;
    size_t i = 0;

    while (i < len) {
        size_t from = i;

        while (i < len
               && (((uint8_t)text[i] >= 0x20 && (uint8_t)text[i] < 0x7f)
                   || text[i] == '\t'))
            i++;
        if (i > from)
            buffer_append(out, text + from, i - from);
        if (i < len)
            i += escape_one(text + i, len - i, &is_coloured, out);
    }
    return is_coloured;
}

void terminal_name(const char *text, struct buffer *out)
{
    for (; *text; text++) {
        size_t n = (uint8_t)*text >= 0x80
                       ? wide_length((const uint8_t *)text, strlen(text))
                       : (*text >= 0x20 && *text != 0x7f);

        if (n)
            buffer_append(out, text, n);
        else
            buffer_printf(out, "\\x%02x", (uint8_t)*text);
        text += n ? n - 1 : 0;
    }
}

/* ---- width ---- */

static uint32_t decode(const uint8_t *s, size_t *ret_len)
{
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            n = i;
            break;
        }
        c = c << 6 | (s[i] & 0x3fu);
    }
    *ret_len = n;
    return c;
}

static size_t columns_of(uint32_t c)
{
    int width = uc_width(c, "UTF-8");

    return width > 0 ? (size_t)width : 0;
}

/* Walks until the text or `columns` is used up. */
static size_t walk(const char *text, size_t columns, size_t *ret_used)
{
    size_t at = 0, used = 0;

    while (text[at]) {
        size_t sgr = text[at] == '\033' ? sgr_length(text + at, strlen(text + at)) : 0;
        size_t len = sgr ? sgr : 1, wide = sgr ? 0 : 1;

        if ((uint8_t)text[at] >= 0x80)
            wide = columns_of(decode((const uint8_t *)text + at, &len));
        if (used + wide > columns)
            break;
        used += wide;
        at += len;
    }
    *ret_used = used;
    return at;
}

size_t terminal_columns(const char *text)
{
    size_t used;

    walk(text, SIZE_MAX, &used);
    return used;
}

size_t terminal_fit(const char *text, size_t columns)
{
    size_t used;

    return walk(text, columns, &used);
}

/* ---- quantities ---- */

void terminal_duration(time_us d, struct buffer *out)
{
    unsigned long long s = d / 1000000;

    if (d < TIME_MS(1))
        buffer_printf(out, "%.1f ms", (double)d / 1e3);
    else if (d < TIME_S(1))
        buffer_printf(out, "%llu ms", (unsigned long long)d / 1000);
    else if (d < TIME_S(60))
        buffer_printf(out, "%.1f s", (double)(d / 100000) / 10);
    else if (s < 3600)
        buffer_printf(out, "%llu min %02llu s", s / 60, s % 60);
    else if (s < 86400)
        buffer_printf(out, "%llu h %02llu min", s / 3600, s / 60 % 60);
    else
        buffer_printf(out, "%llu d %02llu h", s / 86400, s / 3600 % 24);
}

void terminal_bytes(uint64_t bytes, struct buffer *out)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        buffer_printf(out, "%llu B", (unsigned long long)bytes);
        return;
    }
    for (value /= 1024; value >= 1024; unit++)
        value /= 1024;
    buffer_printf(out, "%.1f %s", value, units[unit]);
}
