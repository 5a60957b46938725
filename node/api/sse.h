/* SPDX-License-Identifier: Apache-2.0 */
/* sse - the text of server-sent events (HTML Living Standard, section 9.2).
 *
 *     id: 17
 *     event: log
 *     data: {"time": ...}
 *     <empty line>
 *
 * Pure. */
#pragma once

#include "node/feed.h"

struct buffer;

int sse_event(const struct feed_event *event, struct buffer *out);
/* Tells that the events up to and without `next_seq` are gone for this client. */
int sse_gap(uint64_t next_seq, struct buffer *out);
/* Nothing to a client; to us it tells whether the client is still there. */
int sse_heartbeat(struct buffer *out);
/* Last-Event-ID or ?since=. -EINVAL unless it is a number and nothing else. */
int sse_since(const char *text, uint64_t *ret_seq);
