/* SPDX-License-Identifier: Apache-2.0 */
/* tls - the key and certificate of a node that listens beyond its machine (ADR 0012).
 *
 * Both lie in DIR/tls.pem, mode 0600: made once, self-signed, or put there by whoever
 * has one of an authority. Clients know a node by the digest of its certificate, its
 * fingerprint, not by a name. */
#pragma once

#include "base/error.h"

enum { TLS_FINGERPRINT_SIZE = 7 + 64 + 1 }; /* sha256:HEX */

struct tls_pair {
    char *key, *certificate; /* PEM, as MHD takes them */
    char fingerprint[TLS_FINGERPRINT_SIZE];
};

/* -EACCES: others can read the file; -EINVAL: it is none of a key and a certificate. */
int tls_pair_open(const char *dir, struct tls_pair *ret, struct error *ret_error);
void tls_pair_release(struct tls_pair *p); /* and overwrites the key */
