/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/terminal.h"

enum { TABLE_GAP = 2, ELASTIC_MIN = 8 };

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t->colours);
    *t = (struct table){ .n = 0 };
}

static bool make_room(struct table *t)
{
    size_t cap = t->cap ? 2 * t->cap : 64;
    char **cells;
    const char **colours;

    if (t->n < t->cap)
        return true;
    cells = realloc(t->cells, cap * sizeof(*cells));
    if (cells)
        t->cells = cells;
    colours = realloc(t->colours, cap * sizeof(*colours));
    if (colours)
        t->colours = colours;
    if (cells && colours)
        t->cap = cap;
    return cells && colours;
}

void table_add(struct table *t, const char *colour, const char *text)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char *cell;

    terminal_escape(text, strlen(text), &b);
    buffer_puts(&b, "");
    cell = buffer_take(&b);
    if (!cell || !make_room(t)) {
        free(cell);
        t->error = -ENOMEM;
        return;
    }
    t->cells[t->n] = cell;
    t->colours[t->n++] = colour;
}

void table_printf(struct table *t, const char *colour, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table_add(t, colour, text);
}

void table_head(struct table *t, const char *columns)
{
    for (const char *at = columns; at;) {
        const char *end = strchr(at, '|');
        bool is_right = *at == '>', is_elastic = *at == '~';
        size_t len = end ? (size_t)(end - at) : strlen(at);

        t->is_right[t->n_columns] = is_right;
        if (is_elastic)
            t->elastic = t->n_columns;
        t->n_columns++;
        at += is_right || is_elastic;
        len -= is_right || is_elastic;
        table_printf(t, COLOUR_DIM, "%.*s", (int)len, at);
        at = end ? end + 1 : NULL;
    }
}

static void measure(const struct table *t, size_t width, size_t *widths)
{
    size_t sum = 0, *elastic = &widths[t->elastic];

    memset(widths, 0, t->n_columns * sizeof(*widths));
    for (size_t i = 0; i < t->n; i++) {
        size_t columns = terminal_columns(t->cells[i]);

        if (columns > widths[i % t->n_columns])
            widths[i % t->n_columns] = columns;
    }
    for (size_t k = 0; k < t->n_columns; k++)
        sum += widths[k] + (k ? TABLE_GAP : 0);
    if (width == 0 || sum <= width)
        return;
    if (*elastic > sum - width + ELASTIC_MIN)
        *elastic -= sum - width;
    else if (*elastic > ELASTIC_MIN)
        *elastic = ELASTIC_MIN;
}

static void write_cell(const struct table *t, size_t i, size_t width, bool colour,
                       struct buffer *out)
{
    const char *text = t->cells[i], *shade = colour ? t->colours[i] : NULL;
    size_t columns = terminal_columns(text), len = strlen(text);
    bool is_cut = columns > width, is_last = i % t->n_columns == t->n_columns - 1;
    int pad = is_cut ? 0 : (int)(width - columns);

    if (is_cut)
        len = terminal_fit(text, width - 1);
    if (t->is_right[i % t->n_columns])
        buffer_printf(out, "%*s", pad, "");
    if (shade)
        buffer_puts(out, shade);
    buffer_append(out, text, len);
    if (is_cut)
        buffer_puts(out, "…");
    if (shade)
        buffer_puts(out, COLOUR_OFF);
    if (!t->is_right[i % t->n_columns] && !is_last)
        buffer_printf(out, "%*s", pad, "");
    buffer_puts(out, is_last ? "" : "  ");
}

static void end_row(struct buffer *out)
{
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--; /* the cells at the end are empty */
    buffer_puts(out, "\n");
}

int table_write(const struct table *t, size_t width, bool colour, struct buffer *out)
{
    size_t widths[TABLE_COLUMNS_MAX];

    if (t->error)
        return t->error;
    measure(t, width, widths);
    for (size_t i = 0; i < t->n; i++) {
        write_cell(t, i, widths[i % t->n_columns], colour, out);
        if (i % t->n_columns == t->n_columns - 1)
            end_row(out);
    }
    return buffer_failed(out);
}
