/* SPDX-License-Identifier: Apache-2.0 */
/* revocation - nodes that are let in no more, for ever.
 *
 *     "MR" version 0 | mesh 16 | node 16 | serial 8 | time 8 | signer 32
 *     | issuer certificate, 2 for its length, 0 when the authority signed | signature
 * 64
 *
 * A record says that a node, whatever certificate it shows, is out. It is signed by the
 * authority or by an issuer, whose certificate goes with it and had to be valid when it
 * was signed. Whether the issuer was revoked itself does not matter, so a set of
 * records means the same in whatever order they came. What a revoked issuer signed
 * falls with it.
 *
 * The set only grows, to REVOCATIONS_MAX. As bytes it is record after record, each with
 * its length in two before it: the file, and what peers tell each other. */
#pragma once

#include "node/certificate.h"

enum {
    REVOCATIONS_MAX = 4096,
    REVOCATION_BYTES_MAX = 176 + CERTIFICATE_BYTES_MAX,
    REVOCATION_FILE_MAX = REVOCATIONS_MAX * (REVOCATION_BYTES_MAX + 2),
};

struct revocation {
    uint8_t mesh[MESH_ID_SIZE];
    struct node_id node;
    uint64_t
        serial; /* of the certificate it had, as far as the signer knew; 0: unknown */
    time_us time;
    uint8_t signer[NODE_KEY_SIZE];
    bool has_issuer;
    struct certificate issuer;
    uint8_t signature[SIGNATURE_SIZE];
};

/* Sets signer and signature. -ENOMEM. */
int revocation_sign(struct revocation *r, const uint8_t secret[NODE_SECRET_SIZE]);
int revocation_encode(const struct revocation *r, struct buffer *out);
int revocation_decode(const void *data, size_t len, struct revocation *ret);
/* As chain_verify(), at the time of the record, which must not lie ahead of `wall`. */
int revocation_verify(const struct revocation *r, const struct mesh_root *root,
                      time_us wall, struct error *ret_error);

struct revocations {
    struct revocation *all; /* by node */
    size_t n, cap;
};
void revocations_release(struct revocations *s);
bool revocations_has(const struct revocations *s, const struct node_id *node);
/* -EEXIST: the node is in it; -ENOSPC; -ENOMEM. Verified before. */
int revocations_add(struct revocations *s, const struct revocation *r);
/* Appends all from the i-th on that fit in bytes_max together, and returns the index of
 * the first that did not; -ENOMEM. */
int revocations_encode(const struct revocations *s, size_t i, size_t bytes_max,
                       struct buffer *out);
/* Hands each record of the bytes to `each`, until one is not 0, which is returned.
 * -EBADMSG. */
int revocations_read(const void *data, size_t len,
                     int (*each)(void *arg, const struct revocation *r), void *arg);
