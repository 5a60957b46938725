/* SPDX-License-Identifier: Apache-2.0 */
/* elsewhere - bytes that are asked for here and are at other nodes: got first.
 *
 *     work: elsewhere_want() -> REQUEST_NEXT -> elsewhere_end() -> work once more
 */
#pragma once

#include "node/api/request.h"

/* On a thread: whether this blob or folder is not here and others may have it. Then the
 * work returns REQUEST_NEXT at once, and is done again when it is here. Once a request:
 * what is not here then is nowhere. */
bool elsewhere_want(struct request *r, const struct digest *id, bool is_tree);
/* On the loop, at the end of a work that wanted something. */
int elsewhere_end(struct request *r);
/* Nobody waits any more. */
void elsewhere_release(struct request *r);
