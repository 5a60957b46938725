/* SPDX-License-Identifier: Apache-2.0 */
/* keyring - whose key is whose, as far as certificates prove it.
 *
 * Every entry was verified against the root, and is not revoked. It is found by the
 * CURVE key of a connection and by node id; of a node the certificate that began last
 * counts. At most KEYRING_MAX; those that expired make room. */
#pragma once

#include "node/certificate.h"
#include "node/revocation.h"

enum { KEYRING_MAX = 65536 };

struct keyring;

/* NULL without memory. */
struct keyring *keyring_new(const struct mesh_root *root);
void keyring_free(struct keyring *k);
const struct mesh_root *keyring_root(const struct keyring *k);

/* Verifies and takes in. As chain_verify(); -EKEYREVOKED with the sentence; -ENOSPC;
 * -ENOMEM. One that is older than what is known changes nothing. */
int keyring_add(struct keyring *k, const struct chain *c, time_us wall,
                struct error *ret_error);
/* NULL: unknown. Borrowed until the next call that changes the ring. */
const struct chain *keyring_find(const struct keyring *k, const struct node_id *node);
const struct chain *keyring_find_curve(const struct keyring *k,
                                       const uint8_t curve_key[CURVE_KEY_SIZE]);
/* The node itself, or who signed for it. */
bool keyring_is_revoked(const struct keyring *k, const struct chain *c);

/* Verifies it, and forgets the certificates that it ends. As revocation_verify(),
 * revocations_add(). */
int keyring_revoke(struct keyring *k, const struct revocation *r, time_us wall,
                   struct error *ret_error);
const struct revocations *keyring_revocations(const struct keyring *k);
size_t keyring_count(const struct keyring *k);
