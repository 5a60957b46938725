/* SPDX-License-Identifier: Apache-2.0 */
/* cache - takes over what an equal task of any run in this store made.
 *
 * Two tasks are equal when all that a step with `cache` may depend on is: its command,
 * shell and folder, the variables of flow and step, the parameters but the secret ones,
 * the items of its foreach, its declared inputs and, at a join, all that it joins, by
 * id, and the files of the package that `cache.files` names, by default those that
 * `run` names. What a step reads beside that it cannot have: its channel gives no other
 * artifacts. Resources are no part: they change the time, not the result.
 *
 *     STORE_RECORDS   'k' SHA-256 of all that  ->  the key of the attempt's record
 *
 * The entry is a hint. The record it names must be there and all its blobs, else the
 * task runs, and its own attempt is entered. */
#pragma once

#include "node/artifacts.h"
#include "node/items.h"
#include "node/launch.h"

struct cache {
    const struct artifacts *artifacts;
    struct items *items;
};

/* The name of what the slot's task depends on. -ENOENT and a text when an input is not
 * there. */
int cache_key(const struct cache *c, const struct slot *slot, struct step_launch *step,
              struct digest *ret_key, struct error *ret_error);

/* The done attempt of an equal task, whole; hold its blobs from before the call until
 * a record names them: blobs_hold_begin(). -ENOENT. */
int cache_find(const struct cache *c, const struct digest *key,
               struct attempt_record *ret_attempt);

/* Enter an attempt whose record is about to be written. */
int cache_enter(const struct cache *c, const struct digest *key,
                const struct run_id *run, const struct task_id *task, uint32_t attempt);

/* Whether the step's task may read this artifact of the step `from`, or, FLOW_NONE, of
 * what came along the edge; whether it may list what it joins. See above. */
bool cache_may_read(const struct flow *flow, uint32_t step, uint32_t from,
                    const char *name);
bool cache_may_list(const struct flow *flow, uint32_t step);
