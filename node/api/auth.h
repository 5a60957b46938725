/* SPDX-License-Identifier: Apache-2.0 */
/* auth - who may ask.
 *
 * The user's socket: processes of the node's own user, or root's, unless a task started
 * them. The task socket: whoever has the token of an attempt that runs. */
#pragma once

#include "node/api/request.h"

enum peer { PEER_UNKNOWN = 0, PEER_OWN, PEER_STRANGER, PEER_TASK };

/* Of a connected socket. The answer holds for as long as it is connected, because it is
 * about the process that connected. */
enum peer auth_peer(struct runtime *rt, int fd);

/* False with the reply set. */
bool auth_user(struct request *r, enum peer peer);
bool auth_task(struct request *r);
