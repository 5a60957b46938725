/* SPDX-License-Identifier: Apache-2.0 */
/* run_about - what is said of a run, from what the node knows of an active one or from
 * the record of an end. */
#pragma once

#include "node/api/encode.h"
#include "node/node.h"

/* Both borrow. */
void run_about_view(struct run_about *about, const struct run_view *view);
void run_about_end(struct run_about *about, const struct run_end_record *end);
