/* SPDX-License-Identifier: Apache-2.0 */
/* where - what is said of the nodes that lead and keep a run. On the loop. */
#pragma once

#include "node/api/emit.h"
#include "node/api/request.h"

/* The field `mesh`; nothing at a node alone, or of a run that only this node has. */
void where_emit(struct request *r, const struct run_id *run, struct emit *e);
/* What to call a run that has no end and is not active here. */
const char *where_state(struct request *r, const struct run_id *run);
