/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/paint.h"

#include <string.h>

#include "node/cli/terminal.h"

#define SYNC_BEGIN "\033[?2026h"
#define SYNC_END "\033[?2026l"
#define CURSOR_HIDE "\033[?25l"
#define CURSOR_SHOW "\033[?25h"
#define ERASE_BELOW "\033[J"
#define ERASE_LINE "\033[K"

#define OTHER_SCREEN "\033[?1049h"
#define FIRST_SCREEN "\033[?1049l"
#define HOME "\033[H"

const char paint_restore[] = COLOUR_OFF SYNC_END CURSOR_SHOW;
const char paint_screen_restore[] = COLOUR_OFF SYNC_END FIRST_SCREEN CURSOR_SHOW;

/* To the first column of the block's first row. */
static void go_to_top(const struct paint *p, size_t width, struct buffer *out)
{
    size_t up = 0;

    for (size_t i = 0; i < p->n_rows; i++)
        up += width && p->columns[i] > width ? (p->columns[i] + width - 1) / width : 1;
    buffer_putc(out, '\r');
    if (up > 1)
        buffer_printf(out, "\033[%zuA", up - 1);
}

/* Each row erases what the last block left behind it, so nothing flickers. */
static void put_block(struct paint *p, const char *block, struct buffer *out)
{
    for (const char *line = block; *line && p->n_rows < PAINT_ROWS_MAX;) {
        size_t len = strcspn(line, "\n");
        size_t at = out->len + (p->n_rows ? 1 : 0);

        if (p->n_rows)
            buffer_putc(out, '\n');
        buffer_append(out, line, len);
        if (buffer_failed(out))
            return;
        p->columns[p->n_rows++] = terminal_columns(out->data + at);
        buffer_puts(out, ERASE_LINE);
        line += len + (line[len] == '\n');
    }
}

void paint_frame(struct paint *p, const char *lines, size_t len, const char *block,
                 size_t width, struct buffer *out)
{
    buffer_puts(out, SYNC_BEGIN);
    if (!p->is_cursor_hidden && *block)
        buffer_puts(out, CURSOR_HIDE);
    p->is_cursor_hidden = p->is_cursor_hidden || *block;
    if (p->n_rows)
        go_to_top(p, width, out);
    if (p->n_rows && (len || !*block))
        buffer_puts(out, ERASE_BELOW);
    p->n_rows = 0;
    buffer_append(out, lines, len);
    put_block(p, block, out);
    buffer_puts(out, ERASE_BELOW SYNC_END);
}

void paint_leave(struct paint *p, size_t width, struct buffer *out)
{
    if (p->n_rows)
        go_to_top(p, width, out);
    if (p->n_rows)
        buffer_puts(out, ERASE_BELOW);
    p->n_rows = 0;
    if (p->is_cursor_hidden)
        buffer_puts(out, CURSOR_SHOW);
    p->is_cursor_hidden = false;
}

void paint_screen(bool is_first, const char *lines, struct buffer *out)
{
    buffer_puts(out, is_first ? OTHER_SCREEN CURSOR_HIDE : "");
    buffer_puts(out, SYNC_BEGIN HOME);
    for (const char *line = lines; *line;) {
        size_t len = strcspn(line, "\n");

        if (line != lines)
            buffer_putc(out, '\n');
        buffer_append(out, line, len);
        buffer_puts(out, ERASE_LINE);
        line += len + (line[len] == '\n');
    }
    buffer_puts(out, ERASE_BELOW SYNC_END);
}

void paint_screen_leave(struct buffer *out)
{
    buffer_puts(out, FIRST_SCREEN CURSOR_SHOW);
}
