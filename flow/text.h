/* SPDX-License-Identifier: Apache-2.0 */
/* text - UTF-8 and lines, as the YAML reader counts them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Reads one character; returns its length in bytes, 0 if it is not valid UTF-8. */
size_t utf8_decode(const char *text, size_t len, uint32_t *ret_code);

/* The length of the line break at text, 0 if there is none: LF, CR, CR LF, and the
 * Unicode ones that libyaml counts too. */
size_t text_break(const char *text, size_t len);

/* Where line (from 1) begins; len if there are fewer lines. */
size_t text_line(const char *text, size_t len, uint32_t line);
/* The bytes up to the break or the end. */
size_t text_line_len(const char *text, size_t len);

/* A position that moves over a text. */
struct cursor {
    const char *text;
    size_t len, at;
    uint32_t line, column; /* from 1 */
};

/* Over one character, which must be valid; false at the end. */
bool cursor_advance(struct cursor *c);
/* Over everything up to the byte `to`. */
void cursor_go(struct cursor *c, size_t to);

/* A text as a JSON string, in quotes. Bytes that are no UTF-8 become U+FFFD. */
void text_write_json(const char *text, size_t len, struct buffer *out);
