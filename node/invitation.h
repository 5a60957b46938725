/* SPDX-License-Identifier: Apache-2.0 */
/* invitation - what a mesh keeps of a token that an issuer gave out, and who came by
 * it.
 *
 * It is the value of a register of the mesh group, so any issuer may admit by it, and
 * each that does exchanges it for one with one name more: nobody counts it alone. Of
 * the token it has the public half, so that nobody joins by what is written here, and
 * the issuer's signature, so that who may write registers cannot invite. A node that
 * was let in may ask again, as when the answer was lost: that takes no second use. One
 * that is used up or over is kept for a day, to say so to who comes late.
 *
 * As bytes:
 *
 *     "MI" version 0 | mesh 16 | id 8 | key 32 | roles 4 | uses 4 | expires 8
 *     | signer 32 | issuer certificate, 2 for its length, 0 when the authority signed
 *     | signature 64, of all before it | admitted 4, a node id of 16 each
 *
 * Pure but for memory. */
#pragma once

#include "node/certificate.h"
#include "node/join_token.h"

enum {
    INVITATION_USES_MAX = 1000,
    INVITATION_BYTES_MAX =
        256 + CERTIFICATE_BYTES_MAX + INVITATION_USES_MAX * NODE_ID_SIZE,
};

struct invitation {
    uint8_t mesh[MESH_ID_SIZE];
    uint8_t id[INVITATION_ID_SIZE];
    uint8_t key[NODE_KEY_SIZE];
    uint32_t roles, uses;
    time_us expires;
    uint8_t signer[NODE_KEY_SIZE];
    bool has_issuer;
    struct certificate issuer;
    uint8_t signature[SIGNATURE_SIZE];
    struct node_id *admitted;
    uint32_t n_admitted; /* up to uses */
};
void invitation_release(struct invitation *i);

/* Sets signer and signature. -ENOMEM. */
int invitation_sign(struct invitation *i, const uint8_t secret[NODE_SECRET_SIZE]);
/* Whether who signed may invite to these roles: to make issuers takes the authority.
 * As chain_verify(); whether the issuer was revoked is not looked at. */
int invitation_verify(const struct invitation *i, const struct mesh_root *root,
                      time_us wall, struct error *ret_error);
/* Lets a node in by it.
 * -EALREADY     it was let in before: nothing changed
 * -EKEYEXPIRED, -EDQUOT (used up), with the sentence; -ENOMEM */
int invitation_admit(struct invitation *i, const struct node_id *node, time_us wall,
                     struct error *ret_error);
/* Over for so long that nobody comes by it any more. */
bool invitation_is_old(const struct invitation *i, time_us wall);

/* Appends. -ENOMEM. */
int invitation_encode(const struct invitation *i, struct buffer *out);
/* -EBADMSG; -ENOMEM. Nothing is verified yet. */
int invitation_decode(const void *data, size_t len, struct invitation *ret);
