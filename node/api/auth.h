/* SPDX-License-Identifier: Apache-2.0 */
/* auth - who may ask.
 *
 * The user's socket: processes of the node's own user, or root's, unless a task started
 * them; with `shared_uid: yes` in mesh.conf other users of this machine too, as
 * submitters under their own names. The task socket: whoever has the token of an
 * attempt that runs, under whatever account. TCP: whoever has a token of DIR/tokens,
 * asks under a name of ours, and is no page from elsewhere.
 */
#pragma once

#include "node/api/request.h"

enum peer { PEER_UNKNOWN = 0, PEER_OWN, PEER_STRANGER, PEER_TASK, PEER_GUEST };

/* Of a connected socket. The answer holds for as long as it is connected, because it is
 * about the process that connected. */
enum peer auth_peer(struct runtime *rt, int fd, uid_t *ret_uid);
/* The name of a user of this machine, or the number. */
void auth_user_name(uid_t uid, char *ret_name, size_t size);

/* Who asks, by the door that they came through: 0; REQUEST_WAIT: ask again when the
 * request was resumed; REQUEST_REPLIED: nobody who may, and the reply is set. */
int auth_request(struct request *r, enum peer peer);
/* Whether they may ask this. False with the reply set. */
bool auth_role(struct request *r);
/* Whether they may change what belongs to `user`: a submitter only its own. False with
 * the reply set; `what` is a sentence's subject. */
bool auth_owner(struct request *r, const char *user, const char *what);
/* Whether it is root who asks, over the user's socket. */
bool auth_root(const struct request *r);
