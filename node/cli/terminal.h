/* SPDX-License-Identifier: Apache-2.0 */
/* terminal - text for people: what is safe to show, how wide it is, tables. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/time.h"

/* `--color WHEN`: always, never or auto (also NULL). False: it is another word. */
bool terminal_choose_colour(const char *when);
/* Whether text for fd has colours: as was chosen, else as NO_COLOR or CLICOLOR_FORCE
 * say, else if it is a terminal that is not dumb. */
bool terminal_has_colour(int fd);
/* $TERM names one that can do more than print. */
bool terminal_is_smart(void);
/* The locale's characters are UTF-8. */
bool terminal_has_unicode(void);
/* Columns; 0: not a terminal, as wide as it likes. */
size_t terminal_width(int fd);

#define COLOUR_RED "\033[31m"
#define COLOUR_GREEN "\033[32m"
#define COLOUR_YELLOW "\033[33m"
#define COLOUR_DIM "\033[2m"
#define COLOUR_BOLD "\033[1m"
#define COLOUR_OFF "\033[0m"

/* Append text with everything escaped as \xNN that could do more than show itself or
 * change the colour: control characters but tab, and what is no UTF-8. Returns whether
 * a colour was among it. */
bool terminal_escape(const char *text, size_t len, struct buffer *out);

/* The same for a name in a line of ours: colours and tabs are escaped too. */
void terminal_name(const char *text, struct buffer *out);
/* terminal_escape() to standard output. */
void terminal_print(const char *text);

/* Columns that text takes, not counting colour; wide characters take two. */
size_t terminal_columns(const char *text);
/* The length in bytes of the front that fits. */
size_t terminal_fit(const char *text, size_t columns);

/* `340 ms`, `1.2 s`, `4 min 03 s`, `2 h 05 min`, `3 d 04 h`. */
void terminal_duration(time_us d, struct buffer *out);
/* `17 B`, `1.2 KiB`, `3.4 GiB`. */
void terminal_bytes(uint64_t bytes, struct buffer *out);
/* An RFC 3339 time in UTC as `2026-11-21 14:05:09` here; "" for NULL. -EINVAL. */
int terminal_time(const char *rfc3339, struct buffer *out);
/* The same as microseconds since 1970; 0 for what is no time. */
time_us terminal_parse_time(const char *rfc3339);

/* ---- tables ---- */

enum { TABLE_COLUMNS_MAX = 12 };

/* Cells are added row by row; the first row is the heading. A table wider than the
 * terminal gives way in its `elastic` column. */
struct table {
    size_t n_columns, elastic;
    bool is_right[TABLE_COLUMNS_MAX]; /* numbers */
    char **cells;
    const char **colours; /* NULL: none */
    size_t n, cap;
    int error;
};

void table_release(struct table *t);
/* The heading of an empty table, and so its columns, separated by '|'. One that begins
 * with '>' holds numbers; the one that begins with '~' is elastic, else the first. */
void table_head(struct table *t, const char *columns);
/* The text is copied and escaped. */
void table_add(struct table *t, const char *colour, const char *text);
void table_printf(struct table *t, const char *colour, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* width 0: no bound. 0 or -ENOMEM. */
int table_write(const struct table *t, size_t width, bool colour, struct buffer *out);
/* To standard output, as wide and as colourful as it is. */
int table_print(const struct table *t);
