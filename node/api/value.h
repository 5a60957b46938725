/* SPDX-License-Identifier: Apache-2.0 */
/* value - what is in an artifact, as a part of an answer. */
#pragma once

#include "node/api/emit.h"
#include "node/artifacts.h"

/* The member `value`, if it is JSON that jansson reads: numbers of more than 64 bits
 * and lone surrogates are not. 1 if it was, 0 if not, or a negative errno. On a thread.
 */
int value_emit(const struct artifacts *artifacts, struct emit *e,
               const struct artifact *a);
/* `value`, else the bytes in the member `data_base64`; nothing for a folder. */
int value_or_bytes_emit(const struct artifacts *artifacts, struct emit *e,
                        const struct artifact *a);
