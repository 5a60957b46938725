/* SPDX-License-Identifier: Apache-2.0 */
/* fit - a flow cut to the node that will run it.
 *
 * With one node, a step that asks for more than there is would wait for ever or fail
 * when its turn comes. Processors and memory are cut down to what the node has and the
 * user may have, which a note tells; nothing else can be: a step that needs two GPUs
 * does not run on one. */
#pragma once

#include "flow/diagnostic.h"
#include "flow/flow.h"
#include "scheduler/sharing.h"

/* Changes the steps of a flow that nobody else has. Errors in *d are of steps that can
 * never run here. custom_names are of has->custom. */
void fit_flow(struct flow *flow, const struct resources *has, char *const *custom_names,
              const struct user_limits *limits, struct diagnostics *d);
