/* SPDX-License-Identifier: Apache-2.0 */
/* synopsis - what a verb takes where, read from the lines that its help shows.
 *
 *     get RUN/STEP[/TASK] NAME [-o PATH]     get is a word, RUN/STEP[/TASK] an operand
 *     RUN add TAG ...                        TAG may come again and again
 *
 * So what completes a command line and what explains it cannot differ. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { SYNOPSIS_WORD_MAX = 64 };

/* One word of a line: `get`, or `RUN/STEP/TASK` without brackets. */
struct synopsis_word {
    char text[SYNOPSIS_WORD_MAX];
    bool is_literal; /* to be written as it stands */
};

/* What stands at place n of this line behind the operands before it: false when one of
 * those is not what the line says, or nothing comes there. `line` ends at \n or NUL. */
bool synopsis_at(const char *line, const char *const *before, size_t n,
                 struct synopsis_word *ret);
/* The next line; NULL behind the last. */
const char *synopsis_next(const char *line);
