/* SPDX-License-Identifier: Apache-2.0 */
/* python_source - what a Python file defines, as far as its text tells.
 *
 * Nothing is run and nothing is parsed: lines that begin in the first column, and what
 * is indented below an `if` or `try`, tell enough to find a misspelt function before a
 * run starts. A file that makes names by other means is believed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { PYTHON_NAME_SIZE = 256 };

/* Whether the module may have this name at its top level: by def, class, assignment or
 * import, or in a way that cannot be seen (`import *`, globals(), exec). */
bool python_source_may_define(const char *text, size_t len, const char *name);

/* The function of the file that was probably meant; false when none is near. */
bool python_source_nearest(const char *text, size_t len, const char *name,
                           char ret[PYTHON_NAME_SIZE]);
