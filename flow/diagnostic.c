/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/diagnostic.h"

#include "flow/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_BYTES_MAX = 600,
    EXCERPT_BYTES_MAX = 400,
    NOTES_MAX = DIAGNOSTICS_MAX,
};

void diagnostics_release(struct diagnostics *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->all[i].message);
        free(d->all[i].hint);
        free(d->all[i].excerpt);
    }
    free(d->all);
    *d = (struct diagnostics){ .all = NULL };
}

static size_t count(const struct diagnostics *d, enum severity severity)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += d->all[i].severity == severity;
    return n;
}

size_t diagnostics_errors(const struct diagnostics *d)
{
    return count(d, SEVERITY_ERROR) + d->n_more;
}

/* Cut where a character begins, so that what is left is still UTF-8. */
static size_t cut(const char *text, size_t len, size_t len_max)
{
    if (len <= len_max)
        return len;
    len = len_max;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static int grow(struct diagnostics *d)
{
    size_t cap = d->cap ? d->cap * 2 : 8;
    struct diagnostic *all;

    if (d->n < d->cap)
        return 0;
    all = realloc(d->all, cap * sizeof(*all));
    if (!all)
        return -ENOMEM;
    d->all = all;
    d->cap = cap;
    return 0;
}

/* A file may be all errors; those nobody will read are only counted. */
static bool is_full(struct diagnostics *d, enum severity severity)
{
    if (severity == SEVERITY_NOTE)
        return count(d, severity) >= NOTES_MAX;
    if (count(d, severity) < DIAGNOSTICS_MAX)
        return false;
    d->n_more++;
    return true;
}

int diagnostics_add(struct diagnostics *d, enum severity severity, uint32_t line,
                    uint32_t column, uint32_t width, const char *hint,
                    const char *format, ...)
{
    CLEANUP(freep) char *message = NULL;
    CLEANUP(freep) char *hint_copy = NULL;
    va_list args;
    int len;

    if (is_full(d, severity))
        return 0;
    va_start(args, format);
    len = vasprintf(&message, format, args);
    va_end(args);
    if (len < 0) {
        message = NULL;
        return -ENOMEM;
    }
    message[cut(message, (size_t)len, MESSAGE_BYTES_MAX)] = '\0';
    if (hint)
        hint_copy = strndup(hint, cut(hint, strlen(hint), MESSAGE_BYTES_MAX));
    if ((hint && !hint_copy) || grow(d) < 0)
        return -ENOMEM;
    d->all[d->n++] = (struct diagnostic){
        .severity = severity,
        .line = line,
        .column = column,
        .width = width,
        .message = TAKE(message),
        .hint = TAKE(hint_copy),
    };
    return 0;
}

void diagnostics_excerpts(struct diagnostics *d, const char *text, size_t len)
{
    for (size_t i = 0; i < d->n; i++) {
        struct diagnostic *x = &d->all[i];
        size_t at, n;

        if (!x->line || !x->column || x->excerpt)
            continue;
        at = text_line(text, len, x->line);
        n = text_line_len(text + at, len - at);
        n = cut(text + at, n, EXCERPT_BYTES_MAX);
        if (at < len && x->column <= n + 1)
            x->excerpt = strndup(text + at, n);
    }
}

/* What would move the cursor or hide text is shown as \xNN. */
static void print_escaped(const char *text, struct buffer *out)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len;) {
        uint32_t code = 0;
        size_t n = utf8_decode(text + i, len - i, &code);
        bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0)
                          || (code >= 0x200b && code <= 0x200f)
                          || (code >= 0x2028 && code <= 0x202e)
                          || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;

        if (n && !is_control) {
            buffer_append(out, text + i, n);
        } else if (code == '\t') {
            buffer_puts(out, " ");
        } else {
            n = n ? n : 1;
            for (size_t k = 0; k < n; k++)
                buffer_printf(out, "\\x%02x", (unsigned char)text[i + k]);
        }
        i += n;
    }
}

/* The excerpt's characters before the column may be longer when escaped. */
static size_t columns_before(const char *excerpt, uint32_t column)
{
    CLEANUP(buffer_release) struct buffer shown = BUFFER_INIT;
    CLEANUP(freep) char *before = NULL;
    size_t len = strlen(excerpt), at = 0, columns = 0;

    for (uint32_t i = 1; i < column && at < len; i++) {
        uint32_t code;
        size_t n = utf8_decode(excerpt + at, len - at, &code);

        at += n ? n : 1;
    }
    before = strndup(excerpt, at);
    if (before)
        print_escaped(before, &shown);
    for (size_t i = 0; i < shown.len; i++)
        columns += ((unsigned char)shown.data[i] & 0xc0) != 0x80;
    return columns;
}

struct paint {
    const char *strong, *error, *note, *mark, *off;
};

static const struct paint plain = { "", "", "", "", "" };
static const struct paint coloured = { "\033[1m", "\033[1;31m", "\033[1;36m",
                                       "\033[1;32m", "\033[0m" };

static void print_excerpt(const struct diagnostic *x, const struct paint *paint,
                          struct buffer *out)
{
    uint32_t width = x->width < 120 ? x->width : 120;

    buffer_printf(out, "%5u | ", x->line);
    print_escaped(x->excerpt, out);
    buffer_puts(out, "\n");
    if (!x->column || !width) {
        if (x->hint)
            buffer_puts(out, "      | ");
    } else {
        buffer_puts(out, "      | ");
        for (size_t i = columns_before(x->excerpt, x->column); i; i--)
            buffer_putc(out, ' ');
        buffer_puts(out, paint->mark);
        for (uint32_t i = 0; i < width; i++)
            buffer_putc(out, '^');
        buffer_puts(out, paint->off);
        buffer_puts(out, x->hint ? " " : "\n");
    }
    if (x->hint) {
        print_escaped(x->hint, out);
        buffer_putc(out, '\n');
    }
}

static void print_one(const struct diagnostic *x, const char *path,
                      const struct paint *paint, struct buffer *out)
{
    bool is_error = x->severity == SEVERITY_ERROR;

    buffer_puts(out, paint->strong);
    print_escaped(path, out);
    if (x->line)
        buffer_printf(out, ":%u", x->line);
    if (x->line && x->column)
        buffer_printf(out, ":%u", x->column);
    buffer_printf(out, ":%s %s%s:%s ", paint->off,
                  is_error ? paint->error : paint->note, is_error ? "error" : "note",
                  paint->off);
    print_escaped(x->message, out);
    buffer_putc(out, '\n');
    if (x->excerpt && *x->excerpt) {
        print_excerpt(x, paint, out);
    } else if (x->hint) {
        buffer_puts(out, "      | ");
        print_escaped(x->hint, out);
        buffer_putc(out, '\n');
    }
}

int diagnostics_print(const struct diagnostics *d, const char *path, bool colour,
                      struct buffer *out)
{
    const struct paint *paint = colour ? &coloured : &plain;

    for (size_t i = 0; i < d->n; i++)
        print_one(&d->all[i], path, paint, out);
    if (d->n_more) {
        print_escaped(path, out);
        buffer_printf(out, ": %zu more error%s\n", d->n_more,
                      d->n_more == 1 ? "" : "s");
    }
    return buffer_failed(out);
}

static int by_place(const void *a, const void *b)
{
    const struct diagnostic *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return 0;
}

void diagnostics_sort(struct diagnostics *d)
{
    if (d->n)
        qsort(d->all, d->n, sizeof(d->all[0]), by_place);
}
