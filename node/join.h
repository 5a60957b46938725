/* SPDX-License-Identifier: Apache-2.0 */
/* join - what a node sends to be let in, and what an issuer answers.
 *
 *     proof    1 | zone | invitation 8 | signature of the token 64 | of the node 64
 *              2 | zone | signature of the node 64 | chain: who renews, by what it has
 *
 * Both sign "mesh join 1\n" | kind | mesh 16 | node key 32 | curve key 32 | roles 4
 * | name | zone. The node's signature shows that the node key is the asker's; that the
 * curve key is, shows the connection. So what was overheard gets nobody in. */
#pragma once

#include "node/identity.h"
#include "proto/message.h"

enum {
    JOIN_PROOF_MAX = 1 + 1 + MEMBER_NAME_MAX + 8 + 2 * SIGNATURE_SIZE + CHAIN_BYTES_MAX
};

/* Asks with a token; name and zone as they shall be in the certificate. The lists are
 * of the caller's: `proof`. -EINVAL; -ENOMEM. */
int join_ask(const struct identity *i, const struct join_token *token, const char *name,
             const char *zone, struct buffer *proof, struct join_message *ret,
             struct error *ret_error);
/* Asks for a new certificate like the one that is there. */
int join_renew(const struct identity *i, struct buffer *proof,
               struct join_message *ret);

/* Whether it asks by a token, and by that of which invitation. */
bool join_is_by_token(const struct join_message *m,
                      uint8_t ret_invitation[INVITATION_ID_SIZE]);
/* An issuer decides; the certificate in *ret is durable knowledge of nobody but the
 * asker's. connection: the key that the asker's connection was made with. invitation:
 * the token's, NULL for a renewal; who asks is admitted in it, and *ret is for nobody
 * until that is kept.
 * -EXDEV, -EKEYREJECTED, -EKEYEXPIRED, -EKEYREVOKED, -EDQUOT, -ENOENT, -EACCES,
 * -EBADMSG, all with a sentence that may be shown to the asker. */
int join_decide(struct identity *i, const struct join_message *m,
                const uint8_t connection[CURVE_KEY_SIZE], time_us wall,
                struct invitation *invitation, struct chain *ret,
                struct error *ret_error);
