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
 * something a pause ago or less is sent what comes now together with what comes until
 * then. The pause grows with the number of streams, so that all of them together cost
 * some 4,000 writes a second at most, whatever the runs do.
 *
 * Each node of a mesh counts its own events, and a client may be sent those of one
 * leader after those of another. So among others the number that a client sees names
 * its node and life in the bits above EVENTS_NUMBER_BITS: who goes on from a number of
 * another's gets `gap`, and all that is here.
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
    EVENTS_PAUSE_MIN_MS = 5,
    EVENTS_PAUSE_MAX_MS = 100,
    EVENTS_NUMBER_BITS = 40, /* and 13 more: a program may keep it in a double */
};

struct events_stats {
    uint64_t n_streams, bytes, n_dropped; /* open now; sent; that did not read */
};

struct events *events_new(struct api *api);
void events_free(struct events *e);
struct events_stats events_stats(const struct events *e);
/* What clients see of a number of the feed. */
uint64_t events_number(struct events *e, uint64_t seq);
