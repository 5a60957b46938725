/* SPDX-License-Identifier: Apache-2.0 */
/* variables - lists of NAME=value, as execve() takes them. */
#pragma once

#include <stddef.h>

#include "base/macros.h"

/* NULL-terminated; each text is the list's own. */
struct variables {
    char **all;
    size_t n;
};

void variables_release(struct variables *v);
/* -ENOMEM, and then *ret is empty. */
int variables_copy(const struct variables *v, struct variables *ret);
/* The value, or NULL. */
const char *variables_find(const struct variables *v, const char *name);
/* Sets NAME=value, replacing what was there. Takes the text; -ENOMEM, also when it is
 * NULL. */
int variables_set(struct variables *v, char *take_text);
PRINTF_LIKE(2, 3)
int variables_printf(struct variables *v, const char *format, ...);
void variables_unset(struct variables *v, const char *name);
