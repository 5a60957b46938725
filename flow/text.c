/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/text.h"

static bool is_shortest(uint32_t code, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    return code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

size_t utf8_decode(const char *text, size_t len, uint32_t *ret_code)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t code;
    size_t n;

    if (!len)
        return 0;
    n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (!n || n > len || s[0] > 0xf4)
        return 0;
    code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (!is_shortest(code, n))
        return 0;
    *ret_code = code;
    return n;
}

size_t text_break(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;

    if (!len)
        return 0;
    if (s[0] == '\n')
        return 1;
    if (s[0] == '\r')
        return len > 1 && s[1] == '\n' ? 2 : 1;
    if (s[0] == 0xc2)
        return len > 1 && s[1] == 0x85 ? 2 : 0;
    if (s[0] == 0xe2 && len > 2 && s[1] == 0x80)
        return s[2] == 0xa8 || s[2] == 0xa9 ? 3 : 0;
    return 0;
}

size_t text_line_len(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && !text_break(text + i, len - i))
        i++;
    return i;
}

size_t text_line(const char *text, size_t len, uint32_t line)
{
    size_t i = 0;

    while (--line && i < len) {
        i += text_line_len(text + i, len - i);
        i += text_break(text + i, len - i);
    }
    return i;
}

bool cursor_advance(struct cursor *c)
{
    size_t n = text_break(c->text + c->at, c->len - c->at);
    uint32_t code;

    if (c->at >= c->len)
        return false;
    if (n) {
        c->line++;
        c->column = 1;
    } else {
        n = utf8_decode(c->text + c->at, c->len - c->at, &code);
        n = n ? n : 1;
        c->column++;
    }
    c->at += n;
    return true;
}

void cursor_go(struct cursor *c, size_t to)
{
    while (c->at < to && cursor_advance(c))
        ;
}

static void write_escaped(uint32_t code, const char *bytes, size_t n,
                          struct buffer *out)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
        if (code == (unsigned char)shorts[i]) {
            buffer_putc(out, '\\');
            buffer_putc(out, shorts[i + 1]);
            return;
        }
    if (code < 0x20 || code == 0x7f)
        buffer_printf(out, "\\u%04x", code);
    else
        buffer_append(out, bytes, n);
}

void text_write_json(const char *text, size_t len, struct buffer *out)
{
    buffer_putc(out, '"');
    for (size_t i = 0; i < len;) {
        uint32_t code;
        size_t n = utf8_decode(text + i, len - i, &code);

        if (n)
            write_escaped(code, text + i, n, out);
        else
            buffer_puts(out, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    buffer_putc(out, '"');
}
