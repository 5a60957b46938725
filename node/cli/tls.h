/* SPDX-License-Identifier: Apache-2.0 */
/* tls - the client's half of TLS: build/mesh-tls.so, loaded when an address is
 * https://, because the library takes longer to load than a node on this machine takes
 * to answer.
 *
 * A node is known by the fingerprint of its certificate, which its owner tells with the
 * token; names and authorities play no part. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

enum { TLS_FINGERPRINT_TEXT = 7 + 64 + 1 }; /* sha256:HEX */

struct tls;

/* The symbol: const struct tls_module mesh_tls_module. */
struct tls_module {
    /* Over a connected socket that stays the caller's. *ret_fingerprint is the node's,
     * also with -EKEYREJECTED: it is not the one that was wanted. */
    int (*start)(int fd, const char *fingerprint, struct tls **ret,
                 char ret_fingerprint[TLS_FINGERPRINT_TEXT], struct error *ret_error);
    /* As recv() and send(), but the errno is returned. */
    ssize_t (*receive)(struct tls *t, void *data, size_t len);
    ssize_t (*send)(struct tls *t, const void *data, size_t len);
    /* Bytes that were read from the socket and not yet received: no poll() tells. */
    size_t (*pending)(const struct tls *t);
    void (*end)(struct tls *t); /* NULL is fine */
};

/* NULL with the reason: it is not beside the program. */
const struct tls_module *tls_load(struct error *ret_error);
