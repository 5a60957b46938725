/* SPDX-License-Identifier: Apache-2.0 */
/* serve - answers what users asked another node.
 *
 *     REQUEST -> serve -- socket pair -- MHD -- the routes, as for any client
 *       REPLY <- part by part -'
 *
 * It comes in by a door of its own, where the peer says whose request it is and which
 * role they have: a member is trusted with that. Parts go out as the asker takes them;
 * meanwhile what was not read waits in the socket, and who makes it waits too. */
#pragma once

#include "node/api/request.h"

struct serves;

struct serves *serves_new(struct api *api);
/* From now on peers are answered. */
void serves_start(struct serves *s);
/* Nobody is answered any more; the loop must turn once before serves_free(). */
void serves_stop(struct serves *s);
void serves_free(struct serves *s);

/* The connection that a request came in by is there, and is gone. */
void serve_connected(struct connection *c);
void serve_disconnected(struct connection *c);
/* Who asks. False with the reply set. */
bool serve_auth(struct request *r);
/* Which node it came from. False: nobody waits for the answer any more. */
bool serve_peer(const struct request *r, struct node_id *ret);
