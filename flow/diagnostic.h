/* SPDX-License-Identifier: Apache-2.0 */
/* diagnostic - what is wrong in a flow file, where, and what to do.
 *
 *     flow.mf:14:11: error: step 'fit' goes to 'inner_jion', which does not exist
 *        14 |     next: inner_jion
 *           |           ^^^^^^^^^^ did you mean 'inner_join' (line 19)?
 *
 * All errors are collected, DIAGNOSTICS_MAX at most, then a count of the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { DIAGNOSTICS_MAX = 20 };

enum severity { SEVERITY_ERROR = 1, SEVERITY_NOTE };

struct diagnostic {
    enum severity severity;
    uint32_t line, column; /* from 1; 0: no place in the file */
    uint32_t width;        /* columns to underline; 0: none */
    char *message;
    char *hint;    /* NULL: none */
    char *excerpt; /* the line's text, NULL: none */
};

struct diagnostics {
    struct diagnostic *all;
    size_t n, cap;
    size_t n_more; /* errors beyond DIAGNOSTICS_MAX */
};

void diagnostics_release(struct diagnostics *d);
size_t diagnostics_errors(const struct diagnostics *d); /* n_more included */
int diagnostics_add(struct diagnostics *d, enum severity severity, uint32_t line,
                    uint32_t column, uint32_t width, const char *hint,
                    const char *format, ...) PRINTF_LIKE(7, 8);
/* As above; excerpts come from the text the diagnostics are about. */
void diagnostics_excerpts(struct diagnostics *d, const char *text, size_t len);
/* By their places in the file. */
void diagnostics_sort(struct diagnostics *d);
/* For a person; control characters are escaped; colours when wanted. */
int diagnostics_print(const struct diagnostics *d, const char *path, bool colour,
                      struct buffer *out);
