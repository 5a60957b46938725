/* SPDX-License-Identifier: Apache-2.0 */
/* redact - hides the values of secret parameters in what tasks print.
 *
 * Best effort: a value that is printed whole, or a line of it, becomes as many
 * asterisks. One that is encoded, cut by two writes, shorter than REDACT_BYTES_MIN or
 * behind REDACT_LINES_MAX lines is not found. */
#pragma once

#include <stdbool.h>

#include "flow/flow.h"

/* Shorter ones stand in every other word. */
enum { REDACT_BYTES_MIN = 4, REDACT_LINES_MAX = 256 };

struct redact {
    char **secrets;
    size_t n;
};

/* What the flow calls secret, of its values, some NULL. -ENOMEM. */
int redact_init(struct redact *r, const struct flow *flow, char *const *values);
void redact_release(struct redact *r); /* and overwrites them */

void redact_bytes(const struct redact *r, char *data, size_t len);
