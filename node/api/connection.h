/* SPDX-License-Identifier: Apache-2.0 */
/* connection - one client's connection, and how long it may keep us waiting.
 *
 * MHD ends a connection on which nothing moves. Over TCP that is not enough: who sends
 * a byte now and then would hold it for ever. So a request's head must be there after
 * CONNECTION_HEAD_S, and its body must come faster than CONNECTION_BODY_RATE bytes a
 * second from then on. The timer that looks runs only while there are connections. */
#pragma once

#include <stdbool.h>

#include "base/time.h"
#include "node/api/auth.h"

enum {
    CONNECTION_HEAD_S = 10,
    CONNECTION_BODY_RATE = 1024,
    CONNECTION_SWEEP_MS = 2500,
};

struct listener;
struct served;

struct connection {
    struct listener *listener;
    enum peer peer;
    uid_t uid;        /* of the process at the other end of a socket */
    const char *user; /* its name; "" over TCP */
    char name[64];    /* what `user` may point to */
    int fd;
    time_us since; /* the head, or the body, is waited for; 0: we work or answer */
    uint64_t body_bytes;
    bool is_body;
    bool is_whole; /* the answer that ended last was not cut off */
    struct served
        *served; /* DOOR_PEER: what it is about; NULL: nobody waits any more */
    struct connection *next, **link; /* in the listener's list */
};

/* NULL without memory. */
struct connection *connection_open(struct listener *l, int fd);
void connection_close(struct connection *c);

/* Whether it has kept us waiting for too long. */
bool connection_is_too_slow(const struct connection *c, time_us now);

/* What is waited for from now on. */
void connection_await_head(struct connection *c);
void connection_await_body(struct connection *c);
void connection_await_nothing(struct connection *c);
