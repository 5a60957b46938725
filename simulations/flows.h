/* SPDX-License-Identifier: Apache-2.0 */
/* flows - random flows, as the text of a .mf file.
 *
 * A flow is grown scope by scope: a step waits for steps grown before it, a foreach is
 * followed by its whole scope and the join, a switch is a step whose successors are its
 * cases. Each feature is on or off for a whole flow, so that the few that are on meet
 * often ("swarm testing", Groce et al. 2012). */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/prng.h"

enum { FLOWS_WIDTH_MAX = 6, FLOWS_STEPS_MAX = 15 };

/* Append the text of a flow drawn from prng; 0 or -ENOMEM. */
int flows_write(struct prng *prng, struct buffer *out);
