/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } chosen;

bool terminal_choose_colour(const char *when)
{
    if (!when || strcmp(when, "auto") == 0)
        chosen = COLOUR_AUTO;
    else if (strcmp(when, "always") == 0)
        chosen = COLOUR_ALWAYS;
    else if (strcmp(when, "never") == 0)
        chosen = COLOUR_NEVER;
    else
        return false;
    return true;
}

bool terminal_has_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"),
               *term = getenv("TERM");

    if (chosen != COLOUR_AUTO)
        return chosen == COLOUR_ALWAYS;
    if (no && *no)
        return false;
    if (force && *force && strcmp(force, "0") != 0)
        return true;
    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

size_t terminal_width(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

<<<<<<< HEAD
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

/* The length of the character at the front that is not ASCII; 0: it must not be shown.
 */
static size_t wide_length(const uint8_t *text, size_t len)
{
    size_t n = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;

    if (text[0] < 0xc2 || n > len || !text_is_valid(text, n))
        return 0;
    /* U+0080 to U+009F are control characters too. */
    return text[0] == 0xc2 && text[1] < 0xa0 ? 0 : n;
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

/* Unicode's East Asian Width and combining marks, in ranges that are near enough. */
static size_t columns_of(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f)
        || (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0x20d0 && c <= 0x20ff))
        return 0;
    if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf)
        || (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff)
        || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60)
        || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd))
        return 2;
    return 1;
}

/* Walks until the text or `columns` is used up. */
static size_t walk(const char *text, size_t columns, size_t *ret_used)
{
    size_t at = 0, used = 0;

    while (text[at]) {
        size_t len = sgr_length(text + at, strlen(text + at)), wide = 0;

        if (!len)
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

void terminal_print(const char *text)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    terminal_escape(text, strlen(text), &out);
    fwrite(buffer_text(&out), 1, out.len, stdout);
}

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
=======
/* ---- times ---- */
>>>>>>> main

time_us terminal_parse_time(const char *rfc3339)
{
    struct tm tm = { .tm_isdst = 0 };
    const char *end = rfc3339 ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    double fraction = 0;

    if (!end)
        return 0;
    if (*end == '.')
        fraction = strtod(end, NULL);
    return (time_us)timegm(&tm) * 1000000 + (time_us)(fraction * 1e6 + 0.5);
}

int terminal_time(const char *rfc3339, struct buffer *out)
{
    time_us us = terminal_parse_time(rfc3339);
    time_t s = (time_t)(us / 1000000);
    char text[32];
    struct tm tm;

    if (!rfc3339)
        return 0;
    if (!us || !localtime_r(&s, &tm))
        return -EINVAL;
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    return buffer_puts(out, text);
}
