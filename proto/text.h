/* SPDX-License-Identifier: Apache-2.0 */
/* text - what a string in a record may be: UTF-8 without NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Well-formed as RFC 3629 has it, and no NUL. */
bool text_is_valid(const uint8_t *bytes, size_t len);

/* Append the bytes with U+FFFD in place of each one that is not part of a valid
 * character. */
int text_clean(const uint8_t *bytes, size_t len, struct buffer *out);
