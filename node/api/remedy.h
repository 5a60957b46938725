/* SPDX-License-Identifier: Apache-2.0 */
/* remedy - why an attempt failed, in a sentence, and what to do about it. Pure.
 *
 *     "failure": {"reason": "oom", "sentence": "it was killed …",
 *                 "advice": ["…"], "paste": "resources: {memory: 2G}"} */
#pragma once

#include "flow/flow.h"
#include "node/api/emit.h"
#include "proto/record.h"

/* Writes the object under this key, or null for an attempt that did not fail. `paste`
 * is what a line of the step in the flow file could say, or null. */
void remedy_emit(struct emit *e, const char *key, const struct step *step,
                 const struct attempt_record *a);
