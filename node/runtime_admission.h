/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_admission - invitations that the whole mesh counts.
 *
 * An invitation is a register of the mesh group (node/invitation.h), so whoever is an
 * issuer may let a node in by it, and no two let in one node too many. Where the mesh
 * has no majority nobody is invited and nobody let in. On the loop's thread. */
#pragma once

#include "node/identity.h"
#include "node/runtime.h"

struct inviting {
    struct invite invite; /* without contacts: this node's, and of other issuers */
    /* Called once, unless it is cancelled: 0 and the token, or why not with the
     * sentence. */
    void (*done)(void *arg, int status, const struct join_token *token,
                 const struct error *why);
    void *arg;
};
/* As identity_invite(); -ENOTSUP: of no mesh. -ENOSPC: there are too many invitations,
 * and -EHOSTUNREACH: no majority, by `done`. */
int runtime_invite(struct runtime *rt, const struct inviting *inviting,
                   uint64_t *ret_id, struct error *ret_error);
void runtime_invite_cancel(struct runtime *rt, uint64_t id);
/* The sentence for what a register could not do. */
int runtime_register_failed(int status, struct error *ret_error);
