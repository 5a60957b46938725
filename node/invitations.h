/* SPDX-License-Identifier: Apache-2.0 */
/* invitations - what an issuer keeps of the tokens that it gave out.
 *
 * Of a token its public half, so that nobody joins by what is written here. A node that
 * was let in may ask again, as when the answer was lost: that takes no second use. One
 * that is used up or over is kept for a day, to say so to who comes late.
 *
 * As bytes, the file: "MI" version 0, and for each: id 8 | key 32 | roles 4 | uses 4
 * | expires 8 | admitted 4, a node id of 16 each. */
#pragma once

#include "node/join_token.h"

enum {
    INVITATIONS_MAX = 256,
    INVITATION_USES_MAX = 1000,
    INVITATIONS_BYTES_MAX = 1 << 20,
};

struct invitation {
    uint8_t id[INVITATION_ID_SIZE];
    uint8_t key[NODE_KEY_SIZE];
    uint32_t roles, uses;
    time_us expires;
    struct node_id *admitted;
    uint32_t n_admitted; /* up to uses */
};

struct invitations {
    struct invitation *all;
    size_t n;
};
void invitations_release(struct invitations *s);
/* Takes the admitted of *i. Forgets those that are over for a day first. -ENOSPC. */
int invitations_add(struct invitations *s, const struct invitation *i, time_us wall);
/* NULL: none of this name. */
struct invitation *invitations_find(struct invitations *s,
                                    const uint8_t id[INVITATION_ID_SIZE]);
/* Lets a node in by it.
 * -EALREADY     it was let in before: nothing changed
 * -EKEYEXPIRED, -EDQUOT (used up), with the sentence; -ENOMEM */
int invitation_admit(struct invitation *i, const struct node_id *node, time_us wall,
                     struct error *ret_error);
/* Takes back what invitation_admit() did last. */
void invitation_undo(struct invitation *i);

int invitations_encode(const struct invitations *s, struct buffer *out);
/* -EBADMSG; -ENOMEM. */
int invitations_decode(const void *data, size_t len, struct invitations *ret);
