/* SPDX-License-Identifier: Apache-2.0 */
/* note - what of a request goes into the audit log: what changes something, with its
 * route's verb, and what was refused because of who asked. */
#pragma once

#include "node/api/request.h"

/* What it was done to, for a person; else it is the run, or the path's first part. */
void note_about(struct request *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* The reply is set and not yet sent. On the loop. */
void note_request(struct request *r);
/* A token opened the door, the first time since the node started. */
void note_login(struct request *r);
