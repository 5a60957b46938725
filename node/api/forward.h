/* SPDX-License-Identifier: Apache-2.0 */
/* forward - a request that another node answers.
 *
 *     who asks -> this node -- REQUEST --> the run's leader, else a home, else whoever
 * has it
 *              <- part by part <- REPLY --'
 *
 * A run is led by one node and kept by its homes; any node is asked for it. What this
 * node does not lead goes to who does, with the user's name and role. Who leads is
 * looked for a while when nobody does: a leader that died has a successor soon.
 *
 * What only reads is asked of the next node when one does not answer. What changes
 * something is sent once: when the answer is lost nobody knows whether it was done, and
 * that is said.
 *
 * An event stream outlives the leader that it came from: the next one's events follow,
 * from the first that it has. Their numbers carry who numbered them, because each node
 * counts its own. */
#pragma once

#include "node/api/request.h"

struct forward;

enum {
    FORWARD_PATIENCE_MS = 10000, /* while nobody leads the run */
    FORWARD_AGAIN_MS = 200,
    FORWARD_FIRST_MS = 4000, /* for the first byte of an answer */
};

/* On the loop, before the route's own stages: REQUEST_NEXT when it is for this node,
 * REQUEST_WAIT when another one was asked, 0 with the reply set, or a negative errno.
 */
int forward_begin(struct request *r);
/* When it was woken: as above. */
int forward_end(struct request *r);
void forward_free(struct forward *f);
