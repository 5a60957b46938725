/* SPDX-License-Identifier: Apache-2.0 */
/* texts - shows how two texts differ, in the unified format of diff(1), which does it.
 */
#pragma once

#include "base/buffer.h"

enum {
    TEXTS_BYTES_MAX = 1 << 20
}; /* of each side; larger ones are only said to differ */

/* To standard output, escaped and, on a terminal, in colour; what is no text is said to
 * be none. -ENOENT: there is no diff(1); or another negative errno. */
int texts_print_diff(const char *label_before, const struct buffer *before,
                     const char *label_after, const struct buffer *after);
