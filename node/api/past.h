/* SPDX-License-Identifier: Apache-2.0 */
/* past - what is said of a run that is not active, from its records alone. */
#pragma once

#include <stdatomic.h>

#include "flow/flow.h"
#include "node/api/encode.h"
#include "proto/record.h"
#include "store/writer.h"

/* Appends the run as GET /v1/runs/RUN answers it. end NULL: its state is `state`. Any
 * thread; is_stopping as for tally_run(), what else it returns too. */
int past_encode(struct writer *w, const struct run_record *record,
                const struct flow *flow, const struct run_end_record *end,
                const char *state, const atomic_bool *is_stopping, struct emit *e);

/* What the end's record alone tells of a run. */
void past_fill_end(struct run_about *about, const struct run_end_record *end);

/* What users changed of it. -ENOENT: nothing; else as run_state_record_decode(). */
int past_state(struct writer *w, const struct run_id *run,
               struct run_state_record *ret);
