/* SPDX-License-Identifier: Apache-2.0 */
/* words - what the interface says, as cells of a table, and what stands above one. */
#pragma once

#include <jansson.h>

#include "node/cli/terminal.h"

/* A line of its own, behind an empty one. */
void words_heading(const char *text);
/* OK, FAILED, running ... and its colour. */
const char *words_state(const json_t *run, const char **ret_colour);
/* Its tags, with commas between. */
void words_tags(const json_t *run, struct buffer *out);
void words_time(struct table *t, const char *rfc3339);
/* From one time to the other, or to now when the other is "". */
void words_span(struct table *t, const char *from, const char *to);
void words_bytes(struct table *t, uint64_t bytes);
