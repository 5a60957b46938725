/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_identity - what users of a node ask of its identity: who may come in, and who
 * may not any more. On the loop's thread. */
#pragma once

#include "node/identity.h"
#include "node/runtime.h"

/* NULL: the node is of no mesh. */
const struct identity *runtime_identity(const struct runtime *rt);
/* Where this node is reached, for a token. */
int runtime_contact(const struct runtime *rt, struct join_contact *ret);
/* As peers_revoke(): all nodes that are reached know it when it returns, or soon. */
int runtime_revoke(struct runtime *rt, const struct node_id *node,
                   struct error *ret_error);
