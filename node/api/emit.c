/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/emit.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static void put_key(struct emit *e, const char *key)
{
    if (e->needs_comma)
        buffer_putc(e->out, ',');
    e->needs_comma = true;
    if (!key)
        return;
    buffer_putc(e->out, '"');
    buffer_puts(e->out, key);
    buffer_puts(e->out, "\":");
}

void emit_open(struct emit *e, const char *key, char bracket)
{
    put_key(e, key);
    buffer_putc(e->out, bracket);
    e->needs_comma = false;
}

void emit_close(struct emit *e, char bracket)
{
    buffer_putc(e->out, bracket);
    e->needs_comma = true;
}

/* Table 3-7 of the Unicode standard: no surrogates, no overlong forms. */
size_t utf8_length(const uint8_t *b, size_t len)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t n;

    if (len == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] >= 0xc2 && b[0] <= 0xdf)
        n = 2;
    else if (b[0] >= 0xe0 && b[0] <= 0xef)
        n = 3;
    else if (b[0] >= 0xf0 && b[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (b[0] == 0xe0)
        lo = 0xa0;
    else if (b[0] == 0xed)
        hi = 0x9f;
    else if (b[0] == 0xf0)
        lo = 0x90;
    else if (b[0] == 0xf4)
        hi = 0x8f;
    if (len < n || b[1] < lo || b[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_ascii(struct buffer *out, uint8_t c)
{
    static const char names[] = "btn?fr"; /* of 0x08 .. 0x0d */

    if (c == '"' || c == '\\') {
        buffer_putc(out, '\\');
        buffer_putc(out, (char)c);
    } else if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
        buffer_putc(out, '\\');
        buffer_putc(out, names[c - 0x08]);
    } else {
        buffer_printf(out, "\\u%04x", c);
    }
}

static size_t put_character(struct buffer *out, const uint8_t *at, size_t left)
{
    size_t n = utf8_length(at, left);

    if (n == 1)
        put_ascii(out, *at);
    else if (n == 0)
        buffer_append(out, replacement, sizeof(replacement) - 1);
    else
        buffer_append(out, at, n);
    return n ? n : 1;
}

void emit_bytes(struct emit *e, const char *key, const void *data, size_t len)
{
    const uint8_t *at = data;
    size_t i = 0;

    put_key(e, key);
    buffer_putc(e->out, '"');
    while (i < len) {
        size_t plain = i;

        while (plain < len && is_plain(at[plain]))
            plain++;
        buffer_append(e->out, at + i, plain - i);
        i = plain;
        if (i < len)
            i += put_character(e->out, at + i, len - i);
    }
    buffer_putc(e->out, '"');
}

void emit_text(struct emit *e, const char *key, const char *text)
{
    if (text)
        emit_bytes(e, key, text, strlen(text));
    else
        emit_null(e, key);
}

/* RFC 4648, section 4. */
void emit_base64(struct emit *e, const char *key, const void *data, size_t len)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;

    put_key(e, key);
    buffer_putc(e->out, '"');
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i;
        uint32_t bits = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0)
                        | (n > 2 ? in[i + 2] : 0);
        char four[4] = { digits[bits >> 18], digits[bits >> 12 & 63],
                         n > 1 ? digits[bits >> 6 & 63] : '=',
                         n > 2 ? digits[bits & 63] : '=' };

        buffer_append(e->out, four, sizeof(four));
    }
    buffer_putc(e->out, '"');
}

void emit_u64(struct emit *e, const char *key, uint64_t value)
{
    put_key(e, key);
    buffer_printf(e->out, "%" PRIu64, value);
}

void emit_i64(struct emit *e, const char *key, int64_t value)
{
    put_key(e, key);
    buffer_printf(e->out, "%" PRId64, value);
}

void emit_bool(struct emit *e, const char *key, bool value)
{
    put_key(e, key);
    buffer_puts(e->out, value ? "true" : "false");
}

void emit_null(struct emit *e, const char *key)
{
    put_key(e, key);
    buffer_puts(e->out, "null");
}

void emit_raw(struct emit *e, const char *key, const char *json, size_t len)
{
    put_key(e, key);
    buffer_append(e->out, json, len);
}

void emit_time(struct emit *e, const char *key, time_us wall)
{
    time_t seconds = (time_t)(wall / 1000000);
    char text[64];
    struct tm tm;

    if (wall == 0 || !gmtime_r(&seconds, &tm)
        || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        emit_null(e, key);
        return;
    }
    put_key(e, key);
    buffer_printf(e->out, "\"%s.%06uZ\"", text, (unsigned)(wall % 1000000));
}

void emit_run(struct emit *e, const char *key, const struct run_id *run)
{
    char text[RUN_ID_TEXT_SIZE];

    run_id_text(run, text);
    emit_text(e, key, text);
}

void emit_digest(struct emit *e, const char *key, const struct digest *id)
{
    char text[DIGEST_TEXT_SIZE];

    digest_text(id, text);
    emit_text(e, key, text);
}

void emit_task(struct emit *e, const char *key, const struct task_id *task)
{
    char text[TASK_TEXT_SIZE];

    task_id_text(task, text);
    emit_text(e, key, text);
}
