/* SPDX-License-Identifier: Apache-2.0 */
/* join_token - what a node is given that it may join: `mesh1-` and base64url of
 *
 *     mesh 16 | authority 32 | invitation 8 | seed 32 | roles 4 | uses 4 | expires 8
 *     | contacts 1, each: address, curve key 32 | check 4
 *
 * The seed makes an Ed25519 key pair whose public half is the invitation that the
 * issuer keeps: who reads the issuer's file cannot join by it. The authority's key and
 * those of the contacts are pinned, so a joiner talks to nobody else. The check finds a
 * token that was cut or mistyped; it keeps nobody out. */
#pragma once

#include "node/certificate.h"

enum {
    INVITATION_ID_SIZE = 8,
    JOIN_SEED_SIZE = 32,
    JOIN_CONTACTS_MAX = 8,
    JOIN_TOKEN_BYTES_MAX =
        108 + 4 + JOIN_CONTACTS_MAX * (1 + MEMBER_ADDRESS_MAX + CURVE_KEY_SIZE),
    JOIN_TOKEN_TEXT_SIZE = 6 + 4 * ((JOIN_TOKEN_BYTES_MAX + 2) / 3) + 1,
};

struct join_contact {
    char address[MEMBER_ADDRESS_MAX + 1]; /* HOST:PORT of the control port */
    uint8_t curve_key[CURVE_KEY_SIZE];
};

struct join_token {
    struct mesh_root root; /* without a name */
    uint8_t invitation[INVITATION_ID_SIZE];
    uint8_t seed[JOIN_SEED_SIZE];
    uint32_t roles, uses;
    time_us expires;
    struct join_contact contacts[JOIN_CONTACTS_MAX];
    size_t n_contacts;
};

/* Wipes it. */
void join_token_release(struct join_token *t);
void join_token_text(const struct join_token *t, char ret_text[JOIN_TOKEN_TEXT_SIZE]);
/* -EINVAL with what is wrong: cut, mistyped, of another version. White space around it
 * is skipped. */
int join_token_parse(const char *text, struct join_token *ret, struct error *ret_error);

/* HOST:PORT/KEY, the key in base64url as mesh invite prints it. -EINVAL with the
 * sentence. */
int join_contact_parse(const char *text, struct join_contact *ret,
                       struct error *ret_error);
enum { CONTACT_TEXT_SIZE = MEMBER_ADDRESS_MAX + 1 + 43 + 1 };
void join_contact_text(const struct join_contact *c, char ret_text[CONTACT_TEXT_SIZE]);
/* HOST:PORT with a port from 1 to 65535; [HOST] where HOST has colons. */
bool contact_address_is_good(const char *address);
