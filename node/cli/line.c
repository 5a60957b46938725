/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/terminal.h"

size_t line_room(const struct line *l)
{
    size_t width = l->width - 1;

    return l->used < width ? width - l->used : 0;
}

void line_put(struct line *l, const char *colour, const char *text)
{
    size_t columns = terminal_columns(text), len = strlen(text);
    bool is_cut = columns > line_room(l);

    if (l->is_cut || !len)
        return;
    if (is_cut)
        len = line_room(l) ? terminal_fit(text, line_room(l) - 1) : 0;
    if (colour && l->has_colour)
        buffer_puts(l->out, colour);
    buffer_append(l->out, text, len);
    if (is_cut && line_room(l))
        buffer_puts(l->out, l->has_unicode ? "…" : "~");
    if (colour && l->has_colour)
        buffer_puts(l->out, COLOUR_OFF);
    l->used += is_cut ? line_room(l) : columns;
    l->is_cut = is_cut;
}

void line_format(struct line *l, const char *colour, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    line_put(l, colour, text);
}

void line_name(struct line *l, const char *colour, const char *name)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    terminal_name(name, &text);
    line_put(l, colour, buffer_text(&text));
}

void line_spaces(struct line *l, size_t n)
{
    while (n-- > 0 && line_room(l))
        line_put(l, NULL, " ");
}

void line_duration(struct line *l, const char *colour, time_us d)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    terminal_duration(d, &text);
    line_put(l, colour, buffer_text(&text));
}

void line_rate(struct line *l, double rate)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    rate_text(rate, &text);
    line_put(l, NULL, buffer_text(&text));
}

static void put_cells(struct line *l, const char *colour, const char *cell, size_t n)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    for (; n; n--)
        buffer_puts(&text, cell);
    line_put(l, colour, buffer_text(&text));
}

/* A share of `columns` in half columns. */
static size_t halves(double share, size_t columns)
{
    return share >= 1  ? 2 * columns
           : share > 0 ? (size_t)(share * 2.0 * (double)columns)
                       : 0;
}

void line_bar(struct line *l, double done, double failed, size_t columns)
{
    size_t n_done = halves(done, columns), n_failed = halves(failed, columns) / 2;
    bool has_half = n_done % 2 && l->has_unicode;
    size_t full = n_done / 2;

    if (failed > 0 && !n_failed)
        n_failed = 1; /* one of a million is seen too */
    if (full + n_failed + has_half > columns) {
        full = columns - n_failed;
        has_half = false;
    }
    put_cells(l, COLOUR_GREEN, l->has_unicode ? "━" : "#", full);
    if (has_half)
        line_put(l, COLOUR_GREEN, "╸");
    put_cells(l, COLOUR_RED, l->has_unicode ? "━" : "!", n_failed);
    put_cells(l, COLOUR_DIM, l->has_unicode ? "─" : "-",
              columns - full - n_failed - has_half);
}

void line_end(struct line *l)
{
    buffer_putc(l->out, '\n');
    l->used = 0;
    l->is_cut = false;
}

const char *number_text(uint64_t n, char text[NUMBER_TEXT_SIZE])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
    char *at = text;

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

void rate_text(double rate, struct buffer *out)
{
    char text[NUMBER_TEXT_SIZE];

    if (rate >= 100)
        buffer_printf(out, "%s/s", number_text((uint64_t)(rate + 0.5), text));
    else if (rate >= 1)
        buffer_printf(out, "%.1f/s", rate);
    else if (rate * 60 >= 1)
        buffer_printf(out, "%.1f/min", rate * 60);
    else if (rate > 0)
        buffer_printf(out, "%.1f/h", rate * 3600);
}
