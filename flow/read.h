/* SPDX-License-Identifier: Apache-2.0 */
/* read - from the text of a .mf file to a checked flow.
 *
 * Pure: the text is in memory; questions about files (a script that a list `run`
 * names, globs) are asked elsewhere. Time is linear in the text. */
#pragma once

#include "flow/diagnostic.h"
#include "flow/flow.h"

enum { FLOW_TEXT_MAX = 16 << 20, FLOW_NESTING_MAX = 64 };

/* 0 and a flow (one reference, the caller's), with notes in *d;
 * -EINVAL with all errors in *d; -E2BIG: over FLOW_TEXT_MAX; -ENOMEM. */
int flow_read(const char *text, size_t len, struct flow **ret_flow,
              struct diagnostics *d);

/* The graph as dot, and as JSON: {flow, steps: [{name, scope, ...}], edges: [...]}. */
int flow_write_dot(const struct flow *f, struct buffer *out);
int flow_write_json(const struct flow *f, struct buffer *out);
/* What `mesh show` prints: steps in order with what they wait for, parameters. */
int flow_write_text(const struct flow *f, struct buffer *out);
