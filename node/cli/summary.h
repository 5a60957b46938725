/* SPDX-License-Identifier: Apache-2.0 */
/* summary - what a run that is over came to, as people read it.
 *
 * From the JSON of GET /v1/runs/RUN, to standard output. */
#pragma once

#include <jansson.h>

#include "node/cli/client.h"

enum { SUMMARY_STEPS_MAX = 20 };

/* The steps with their times; of a flow with many only those that took longest. */
void summary_steps(const json_t *run);
/* The slowest tasks, and what the run used and kept. */
void summary_totals(const json_t *run);
/* The tasks that failed, why, and the command that shows more. With a client also the
 * last lines of what they wrote. */
void summary_failures(struct client *c, const json_t *run);

/* These, without logs: at the end of a live view. */
void summary_print(const json_t *run);

/* All there is to say of a run, as `mesh status RUN`; for a run that is active too. */
void status_print(struct client *c, const json_t *run);
