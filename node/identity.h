/* SPDX-License-Identifier: Apache-2.0 */
/* identity - the keys of a node, what vouches for them, and what it may vouch for.
 *
 *     DIR/identity/            mode 0700, its files 0600
 *         keys                 "MK" 1 0 | Ed25519 seed 32 | X25519 secret 32
 *         mesh                 mesh_root: whom the node trusts
 *         certificate          chain: who it is to others
 *         authority            "MA" 1 0 | Ed25519 seed 32: where mesh init ran
 *         boot                 how often it started, as text
 *         revocations, contacts
 *
 * Secrets live in memory that is locked, guarded and wiped (libsodium), and are never
 * handed out but to the transport, which needs the X25519 key. One thread.
 *
 * `wall` is microseconds since 1970. Signing takes no clock and no chance; keys,
 * serials and seeds are drawn from the system. */
#pragma once

#include "node/certificate.h"
#include "node/invitation.h"
#include "node/keyring.h"

enum { CONTACTS_MAX = 64, INVITE_EXPIRES_MAX_S = 30 * 24 * 3600 };

struct identity;

/* Found a mesh: its authority, this node's keys, and its certificate as worker, home
 * and issuer. -EEXIST: this folder belongs to a mesh. */
int identity_found(const char *dir, const char *mesh_name, const char *node_name,
                   time_us wall, struct identity **ret, struct error *ret_error);
/* What is in the folder. -ENOENT: nothing is. Revocations are checked again, so a file
 * that somebody wrote to lets nobody out. */
int identity_open(const char *dir, time_us wall, struct identity **ret,
                  struct error *ret_error);
/* New keys, that nobody vouches for yet. -EEXIST. */
int identity_create(const char *dir, struct identity **ret, struct error *ret_error);
void identity_free(struct identity *i);
CLEANUP_POINTER(struct identity, identity_free);

struct node_id identity_node(const struct identity *i);
const uint8_t *identity_node_key(const struct identity *i);
const uint8_t *identity_curve_key(const struct identity *i);
const uint8_t *identity_curve_secret(const struct identity *i); /* for the transport */
/* NULL: it has not joined. */
const struct mesh_root *identity_root(const struct identity *i);
const struct chain *identity_chain(const struct identity *i);
struct keyring *identity_keyring(struct identity *i);
bool identity_has_authority(const struct identity *i);
/* May it let others in, and shut them out? */
bool identity_is_issuer(const struct identity *i);

void identity_sign(const struct identity *i, const void *data, size_t len,
                   uint8_t ret_signature[SIGNATURE_SIZE]);
/* Of anybody. */
bool signature_is_good(const uint8_t node_key[NODE_KEY_SIZE], const void *data,
                       size_t len, const uint8_t signature[SIGNATURE_SIZE]);

/* One more start: from 1, durable when it returns. */
int identity_boot(struct identity *i, uint32_t *ret_boot, struct error *ret_error);

/* ---- being a member ---- */

/* An issuer's answer: checked against what is trusted, then durable. A node that is
 * of a mesh stays in it: -EXDEV. -ESTALE: a certificate from before. */
int identity_adopt(struct identity *i, const struct mesh_root *root,
                   const struct chain *chain, time_us wall, struct error *ret_error);
/* A third of the certificate's time is left, or less. */
bool identity_is_renewal_due(const struct identity *i, time_us wall);

/* Where to knock at the next start. */
int identity_remember(struct identity *i, const struct join_contact *contacts, size_t n,
                      struct error *ret_error);
size_t identity_contacts(const struct identity *i,
                         struct join_contact ret[CONTACTS_MAX]);

/* ---- as an issuer; else -EACCES with the sentence ---- */

/* Sign for a node: fills in what the issuer decides, which is all but the keys, the
 * roles, the name and the zone. -EACCES too: a role that only the authority grants. */
int identity_issue(struct identity *i, const struct certificate *wanted, time_us wall,
                   struct chain *ret, struct error *ret_error);

/* Its own certificate, where the authority is; name and zone NULL: as they are. */
int identity_certify(struct identity *i, const char *name, const char *zone,
                     time_us wall, struct error *ret_error);

struct invite {
    uint32_t roles, uses, expires_in_s;
    const struct join_contact *contacts; /* the issuer's own first */
    size_t n_contacts;
};
/* Draws a token, and signs what is to be kept of it in the mesh group's register: by
 * that alone it counts. -EINVAL. */
int identity_invite(struct identity *i, const struct invite *invite, time_us wall,
                    struct join_token *ret, struct invitation *ret_invitation,
                    struct error *ret_error);
/* Lets a node in by an invitation, when its half of the token signed these bytes. It is
 * admitted in *invitation alone: that is to be kept before anybody is told.
 * -EALREADY is success; -EKEYREJECTED, -EKEYEXPIRED, -EKEYREVOKED, -EDQUOT, -EACCES;
 * -ENOENT: another issuer may. */
struct redemption {
    const uint8_t *signature;
    const void *data;
    size_t len;
    struct node_id node;
    uint32_t roles; /* asked for */
};
int identity_redeem(const struct identity *i, struct invitation *invitation,
                    const struct redemption *r, time_us wall, struct error *ret_error);

/* Shut a node out. Durable when it returns. -EEXIST: it is. -EINVAL: the node itself.
 */
int identity_revoke(struct identity *i, const struct node_id *node, time_us wall,
                    struct error *ret_error);
/* What a peer told: takes in what is new and right, tells of each, and keeps it
 * durably. -EBADMSG: the bytes are no records. Anybody may pass them on. */
int identity_learn_revocations(struct identity *i, const void *data, size_t len,
                               time_us wall,
                               void (*on_new)(void *arg, const struct node_id *node),
                               void *arg);
