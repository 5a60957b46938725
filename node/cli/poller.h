/* SPDX-License-Identifier: Apache-2.0 */
/* poller - asks a node now and then how a run stands, in a thread of its own, so that a
 * node that does not answer keeps nobody from his keys. */
#pragma once

#include <jansson.h>

#include "node/cli/options.h"

struct poller;

/* Asks GET /v1/runs/RUN ten times a second, or less often where answering takes long.
 * Signals are blocked in the thread as they are here. NULL: it cannot be had. */
struct poller *poller_new(const struct options *o, const char *run);
/* Does not wait for an answer. NULL is fine. */
void poller_free(struct poller *p);

/* The newest answer that was not taken yet, for the caller to release; NULL: none. */
json_t *poller_take(struct poller *p);
