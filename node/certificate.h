/* SPDX-License-Identifier: Apache-2.0 */
/* certificate - who a node is, signed by the mesh's authority or by one of its issuers.
 *
 *     "MC" version 0 | mesh 16 | node key 32 | curve key 32 | roles 4 | not before 8
 *     | not after 8 | serial 8 | name | zone | signer 32 | signature 64
 *
 * The signature is Ed25519 over all before it, behind a text that says what is signed.
 * An issuer has a certificate from the authority itself, which goes with every one that
 * it signs: a chain is one certificate, or one and its issuer's. An issuer makes no
 * issuers.
 *
 * Times are microseconds since 1970; clocks may differ by CERTIFICATE_SKEW. No clock is
 * read here, and no chance taken. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/time.h"
#include "proto/message.h"

enum {
    MESH_ID_SIZE = 16,
    NODE_KEY_SIZE = 32,    /* Ed25519, public */
    NODE_SECRET_SIZE = 64, /* Ed25519, with the public half */
    CERTIFICATE_BYTES_MAX = 416,
    CHAIN_BYTES_MAX = 2 * CERTIFICATE_BYTES_MAX,
    CERTIFICATE_DAYS = 90,
};
#define CERTIFICATE_SKEW TIME_S(300)
#define CERTIFICATE_LIFE TIME_S((time_us)CERTIFICATE_DAYS * 86400)

struct certificate {
    uint8_t mesh[MESH_ID_SIZE];
    uint8_t node_key[NODE_KEY_SIZE];
    uint8_t curve_key[CURVE_KEY_SIZE];
    uint32_t roles; /* enum member_role */
    time_us not_before, not_after;
    uint64_t serial;
    char name[MEMBER_NAME_MAX + 1];
    char zone[MEMBER_NAME_MAX + 1]; /* "" none */
    uint8_t signer[NODE_KEY_SIZE];
    uint8_t signature[SIGNATURE_SIZE];
};

struct chain {
    struct certificate leaf, issuer;
    bool has_issuer;
};

/* Who decides about a mesh; what a joiner was told to trust. */
struct mesh_root {
    uint8_t mesh[MESH_ID_SIZE];
    uint8_t authority[NODE_KEY_SIZE];
    char name[MEMBER_NAME_MAX + 1]; /* for people; "" none */
};

struct node_id node_id_of_key(const uint8_t node_key[NODE_KEY_SIZE]);

/* Whether it may be a name or a zone: 1 to MEMBER_NAME_MAX of a-z A-Z 0-9 . _ - */
bool certificate_name_is_good(const char *name);

/* Signs c, whose signer and signature are set by it. -EINVAL: a name that is none. */
int certificate_sign(struct certificate *c, const uint8_t secret[NODE_SECRET_SIZE]);

/* Appends. -ENOMEM. */
int chain_encode(const struct chain *c, struct buffer *out);
/* -EBADMSG: not a chain, or more than one. Nothing is verified yet. */
int chain_decode(const void *data, size_t len, struct chain *ret);
int certificate_encode(const struct certificate *c, struct buffer *out);
int certificate_decode(const void *data, size_t len, struct certificate *ret);

/* Whether root vouches for the leaf at this time, with a text that says why not.
 * -EXDEV        of another mesh
 * -EKEYREJECTED a bad signature, or one of somebody who may not sign
 * -EKEYEXPIRED  its time is over
 * -ETIME        its time has not come: a clock is wrong
 * Revocations are not looked at: see node/keyring.h. */
int chain_verify(const struct chain *c, const struct mesh_root *root, time_us wall,
                 struct error *ret_error);
/* The same for one that has to be from the authority itself. */
int certificate_verify(const struct certificate *c, const struct mesh_root *root,
                       time_us wall, struct error *ret_error);

/* Of mesh_root: mesh 16 | authority 32 | name. */
int mesh_root_encode(const struct mesh_root *root, struct buffer *out);
int mesh_root_decode(const void *data, size_t len, struct mesh_root *ret);
