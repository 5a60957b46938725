/* SPDX-License-Identifier: Apache-2.0 */
/* error - one line of text beside a negative errno, for a person to read. */
#pragma once

#include "base/macros.h"

enum { ERROR_TEXT_MAX = 512 };

struct error {
    char text[ERROR_TEXT_MAX]; /* no trailing newline; "" when there is none */
};

/* Writes the text, cut at ERROR_TEXT_MAX, and returns code:
 *     return fail(ret_error, -EINVAL, "blob '%s' has no name", name);
 * A NULL error is allowed. */
int fail(struct error *error, int code, const char *format, ...) PRINTF_LIKE(3, 4);
