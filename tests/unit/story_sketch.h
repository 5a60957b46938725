/* SPDX-License-Identifier: Apache-2.0 */
/* story_sketch - makes a flow from the sketch that story.h describes. Aborts on what it
 * does not understand. The flow is freed by sketch_free() alone: it never counts down
 * to nothing. */
#pragma once

#include "flow/flow.h"

struct flow *sketch_flow(const char *sketch);
void sketch_free(struct flow *f);
