/* SPDX-License-Identifier: Apache-2.0 */
/* events - GET /v1/events: what happens, as it happens, to any number of clients.
 *
 * Each stream has a queue of at most EVENTS_QUEUE_MAX bytes; behind it stands the
 * feed's own ring. A full queue skips events and reads them out of the ring when the
 * client has taken what was queued:
 *
 *     feed --event--> [ queue ]---> client          keeping up
 *     feed --event-x  [ full  ]---> client          behind: `skipped` is the first lost
 *            ring --> [ queue ]---> client          caught up, or dropped when the ring
 *                                                   no longer has `skipped`
 *
 * An event becomes text once, however many streams it goes to. A stream that was sent
 * something less than EVENTS_PAUSE_MS ago is sent what comes now together with what
 * comes until then, so that many followers of a fast run cost one write each a pause.
 *
 * A client that takes nothing is found by the heartbeat and dropped. So one that stops
 * reading costs a bounded number of bytes for a bounded time and delays nobody. The
 * heartbeat's timer runs only while a stream is open. */
#pragma once

#include <stdint.h>

struct api;
struct events;

enum {
    EVENTS_QUEUE_MAX = 256 << 10,
    EVENTS_HEARTBEAT_MS = 15000,
    EVENTS_PAUSE_MS = 20
};

struct events_stats {
    uint64_t n_streams, bytes, n_dropped; /* open now; sent; that did not read */
};

struct events *events_new(struct api *api);
void events_free(struct events *e);
struct events_stats events_stats(const struct events *e);
