/* SPDX-License-Identifier: Apache-2.0 */
/* attestation - attempts signed by the node that carried them out.
 *
 * A signature takes 20 us and its check 50, so one covers all attempts that end
 * together: it is over the root of a hash tree, and each attempt has the way from its
 * own leaf to the root. Any attempt can be checked alone, by its record and the
 * executor's public key; nothing else has to be kept.
 *
 *     signature  index 1 | Ed25519 64 | neighbour 32 * 0..4
 *     leaf       BLAKE2b-256 of 0 | statement | digest of the result
 *     result     BLAKE2b-256 of 2 | result                        (proto/statement.h)
 *     node       BLAKE2b-256 of 1 | left | right
 *     signed     "mesh attempts 1\n" | root
 *
 * The leaves are filled up with zeros to a power of two; a neighbour is on the left
 * where the bit of the index, from the lowest one on, is set. */
#pragma once

#include "node/identity.h"
#include "proto/record.h"

/* More would save little and make records longer. */
enum { ATTESTED_DEPTH = 4, ATTESTED_MAX = 1 << ATTESTED_DEPTH };

/* Sign for n attempts, 1 .. ATTESTED_MAX, of this node: run, task, node, boot and
 * counter are filled in. Sets signature and said. -ENOMEM: nothing is set. */
int attestation_sign(const struct identity *i, struct attempt_record *const *records,
                     size_t n);

/* What was found good last, so that a batch costs one check of a signature. */
struct attestation_memory {
    struct {
        uint8_t node_key[NODE_KEY_SIZE];
        uint8_t root[DIGEST_SIZE];
        uint8_t signature[SIGNATURE_SIZE];
        bool is_used;
    } good[64];
    uint32_t next;
};

/* Whether the owner of this key signed it. Sets said, unless the leader judged
 * otherwise. `memory` may be NULL.
 * -ENOKEY        it has no signature
 * -EKEYREJECTED  the key is not that of its node; it was changed after it was signed;
 * or a failure that was judged to be a success -ENOMEM */
int attestation_check(const uint8_t node_key[NODE_KEY_SIZE], struct attempt_record *r,
                      struct attestation_memory *memory);
