/* SPDX-License-Identifier: Apache-2.0 */
/* run_about - what is said of a run that is active, and what was changed of any. */
#pragma once

#include "node/api/encode.h"
#include "node/api/request.h"
#include "node/node.h"

/* Borrows the view. */
void run_about_view(struct run_about *about, const struct run_view *view);
/* Borrows *state, which it reads and the caller releases. One that cannot be read
 * changes nothing of what is shown. Any thread. */
void run_about_changed(struct request *r, const struct run_id *run,
                       struct run_about *about, struct run_state_record *state);
