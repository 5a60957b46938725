/* SPDX-License-Identifier: Apache-2.0 */
/* progress_json - what the interface says of a run, as numbers to show. */
#pragma once

#include <jansson.h>

#include "node/cli/progress.h"

/* Takes the answer of GET /v1/runs/RUN: at first the names of the steps, then always
 * the counts. An answer without steps changes nothing. 0 or -ENOMEM. */
int progress_read(struct progress *p, const json_t *run);
/* Takes the answer of GET /v1/runs/RUN/tasks?state=running: these run, and no others.
 */
void progress_read_tasks(struct progress *p, const json_t *answer);
