/* SPDX-License-Identifier: Apache-2.0 */
/* live - what attempts that are running have written so far.
 *
 * The log of an attempt is kept when it ends; until then its node's feed has the latest
 * of it. This reads the feed up to now and forgets the attempts that ended. */
#pragma once

#include "node/cli/client.h"

struct live;

/* Reads what the feed has of a run, by its id. The exit code, or 0. */
int live_read(struct client *c, const char *run, struct live **ret);
void live_free(struct live *l);
CLEANUP_POINTER(struct live, live_free);

/* The attempt was found elsewhere after all. */
void live_forget(struct live *l, const char *step, const char *task, uint64_t attempt);
/* Calls `each` for the events of what is left, attempt by attempt, as JSON. */
void live_each(const struct live *l, void (*each)(void *arg, const json_t *event),
               void *arg);
