/* SPDX-License-Identifier: Apache-2.0 */
/* paint - the bytes that bring the bottom of a terminal from one block to the next.
 *
 *     ordinary lines   written once, scroll away as in any program
 *     ordinary lines
 *     block            redrawn in place
 *     block_           the cursor rests behind its last line
 *
 * Lines of the block are less wide than the terminal, so none wraps; when the terminal
 * becomes narrower it wraps them itself, which is reckoned with. A frame is one
 * synchronized update (DEC mode 2026): a terminal that knows it shows all or nothing.
 *
 * Pure. */
#pragma once

#include "base/buffer.h"

enum { PAINT_ROWS_MAX = 128 };

struct paint {
    size_t n_rows; /* of the block on the screen */
    size_t columns[PAINT_ROWS_MAX];
    bool is_cursor_hidden;
};

/* `lines` are whole lines to stand above the block; `block` is lines, each ended by \n;
 * both may be empty. width: of the terminal as it is now. */
void paint_frame(struct paint *p, const char *lines, size_t len, const char *block,
                 size_t width, struct buffer *out);
/* The block goes and the cursor comes back: what is written now is ordinary. */
void paint_leave(struct paint *p, size_t width, struct buffer *out);

/* A frame of the whole screen, which is another one than that of ordinary lines. */
void paint_screen(bool is_first, const char *lines, struct buffer *out);
void paint_screen_leave(struct buffer *out);

/* What brings any terminal back to order, whatever the last frame was; constants. */
extern const char paint_restore[], paint_screen_restore[];
