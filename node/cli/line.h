/* SPDX-License-Identifier: Apache-2.0 */
/* line - a line for a terminal, put together piece by piece, never wider than it may
 * be.
 *
 * Texts are safe to show already (see terminal_escape()), and may have colours. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/time.h"

enum { NUMBER_TEXT_SIZE = 32 };

struct line {
    struct buffer *out;
    size_t width; /* of the terminal; one column less is used, so that nothing wraps */
    bool has_colour, has_unicode;
    size_t used; /* columns */
    bool is_cut;
};

/* Columns that are left. */
size_t line_room(const struct line *l);
/* As far as it fits; the last column says that it did not. colour NULL: as it is. */
void line_put(struct line *l, const char *colour, const char *text);
void line_format(struct line *l, const char *colour, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A text that may be anything. */
void line_name(struct line *l, const char *colour, const char *name);
void line_spaces(struct line *l, size_t n);
void line_duration(struct line *l, const char *colour, time_us d);
void line_rate(struct line *l, double rate);
/* A bar whose shares of done and failed are from 0 to 1. */
void line_bar(struct line *l, double done, double failed, size_t columns);
void line_end(struct line *l);

/* 1234567 as `1,234,567`; returns text. */
const char *number_text(uint64_t n, char text[NUMBER_TEXT_SIZE]);
/* `98/s`, `1.5/min`: a second, a minute or an hour. "" for none. */
void rate_text(double rate, struct buffer *out);
