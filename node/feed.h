/* SPDX-License-Identifier: Apache-2.0 */
/* feed - what followers are told, in order, and never before it is durable.
 *
 * The runtime publishes events with the ticket that must be durable first; the feed
 * releases them in the order of publishing. Released events go to the subscribers at
 * once and stay in a ring of FEED_RING_BYTES, so that a follower who was away can go on
 * behind the last sequence number it saw. */
#pragma once

#include "base/ids.h"
#include "base/time.h"
#include "proto/record.h"

enum {
    FEED_RING_BYTES = 4 << 20,
    FEED_DATA_MAX = 64 << 10, /* of a FEED_LOG event; more is told in several */
    FEED_TEXT_MAX = 4096,     /* step, message and flow are cut at this many bytes */
};

/* As `since`: all that is in the ring. No event ever has this number. */
#define FEED_SINCE_OLDEST UINT64_MAX

enum feed_type {
    FEED_RUN_STARTED = 1,
    FEED_TASK_STARTED,
    FEED_LOG, /* bytes a task wrote; may start and end in the middle of a line */
    FEED_TASK_ENDED,
    FEED_RUN_ENDED,
    FEED_RUN_SUSPENDED,
    FEED_RUN_UNSUSPENDED,
    FEED_RUN_NUMBERED, /* its number is known only now: see docs/mesh.md */
};

/* Whether it is about a run, and not about one of its tasks. */
static inline bool feed_is_of_run(enum feed_type type)
{
    return type == FEED_RUN_STARTED || type >= FEED_RUN_ENDED;
}

enum log_stream { LOG_STDOUT = 1, LOG_STDERR };

struct feed_event {
    uint64_t seq; /* from 1, without gaps; of this life of the node */
    enum feed_type type;
    time_us wall;
    struct run_id run;
    uint64_t number; /* of the run */
    struct task_id task;
    uint32_t attempt;
    uint32_t pid;
    const char *step; /* the step's name; NULL for runs */
    const char *node; /* who runs it, of a task; NULL: this node, or not known */

    enum log_stream stream; /* FEED_LOG */
    const char *data;
    size_t len;

    enum verdict verdict; /* FEED_TASK_ENDED */
    enum reason reason;
    int exit_code, signal;
    bool is_retried;
    time_us retry_in_us;
    time_us started_wall;
    const char *message; /* also FEED_RUN_ENDED: the first failure; NULL: none */

    enum run_outcome outcome; /* FEED_RUN_ENDED */
    const char *flow;         /* FEED_RUN_STARTED, _SUSPENDED, _UNSUSPENDED,
                                 _NUMBERED: its name */
};

struct feed;
struct feed_subscriber;

struct feed *feed_new(void);
void feed_free(struct feed *f);

/* Copies the event; seq is given by the feed. It is handed out before this returns if
 * nothing is ahead of it and its ticket is durable (0 always is). A callback may
 * publish: that is handed out after what is being handed out. -ENOMEM: nothing was
 * published. */
int feed_publish(struct feed *f, const struct feed_event *event, uint64_t ticket);
/* Tickets up to this one are durable: hand out what waited for them. */
void feed_release(struct feed *f, uint64_t durable_ticket);

/* `each` is called on the loop thread for every released event after `since`, those in
 * the ring first, before this returns. since 0, or one that was not given yet (it is of
 * another life of the node): only new ones. Events between `since` and feed_oldest()
 * are gone. run NULL: all runs. The event is borrowed for the call. NULL without
 * memory. */
struct feed_subscriber *
feed_subscribe(struct feed *f, const struct run_id *run, uint64_t since,
               void (*each)(void *arg, const struct feed_event *event), void *arg);
/* Also from within any callback; `each` is not called again. NULL is fine. */
void feed_unsubscribe(struct feed *f, struct feed_subscriber *s);

/* The oldest sequence number still in the ring, or the next one if it is empty; the
 * newest released, 0 if none was. */
uint64_t feed_oldest(const struct feed *f);
uint64_t feed_newest(const struct feed *f);
