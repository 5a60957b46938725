/* SPDX-License-Identifier: Apache-2.0 */
/* The module itself: the only file of the command line that knows GnuTLS. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "node/cli/tls.h"

struct tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static void end(struct tls *t)
{
    if (!t)
        return;
    if (t->session) {
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
        gnutls_deinit(t->session);
    }
    if (t->credentials)
        gnutls_certificate_free_credentials(t->credentials);
    free(t);
}

static int to_errno(ssize_t r)
{
    switch (r) {
    case GNUTLS_E_AGAIN:
    case GNUTLS_E_INTERRUPTED:
        return -EINTR;
    case GNUTLS_E_PREMATURE_TERMINATION:
        return 0;
    case GNUTLS_E_PUSH_ERROR:
        return -EPIPE;
    case GNUTLS_E_MEMORY_ERROR:
        return -ENOMEM;
    default:
        return -ECONNRESET;
    }
}

static int open_session(struct tls *t, int fd)
{
    int r = gnutls_certificate_allocate_credentials(&t->credentials);

    if (r >= 0)
        r = gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (r >= 0)
        r = gnutls_set_default_priority(t->session);
    if (r >= 0)
        r = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->credentials);
    if (r < 0)
        return r;
    gnutls_transport_set_int(t->session, fd);
    gnutls_handshake_set_timeout(t->session, GNUTLS_DEFAULT_HANDSHAKE_TIMEOUT);
    do {
        r = gnutls_handshake(t->session);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r;
}

static int read_fingerprint(const struct tls *t, char *ret)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(t->session, &n);
    uint8_t digest[DIGEST_SIZE];
    size_t size = sizeof(digest);
    int r = n ? gnutls_fingerprint(GNUTLS_DIG_SHA256, &chain[0], digest, &size)
              : GNUTLS_E_NO_CERTIFICATE_FOUND;

    if (r < 0)
        return r;
    strcpy(ret, "sha256:");
    hex_text(digest, sizeof(digest), ret + strlen(ret));
    return 0;
}

static int start(int fd, const char *fingerprint, struct tls **ret,
                 char ret_fingerprint[TLS_FINGERPRINT_TEXT], struct error *ret_error)
{
    struct tls *t = calloc(1, sizeof(*t));
    int r = t ? open_session(t, fd) : GNUTLS_E_MEMORY_ERROR;

    ret_fingerprint[0] = '\0';
    if (r >= 0)
        r = read_fingerprint(t, ret_fingerprint);
    if (r < 0) {
        end(t);
        return fail(ret_error, -EPROTO, "no TLS with the node: %s", gnutls_strerror(r));
    }
    if (strcmp(fingerprint, ret_fingerprint) != 0) {
        end(t);
        return fail(ret_error, -EKEYREJECTED, "the node's certificate is %s",
                    ret_fingerprint);
    }
    *ret = t;
    return 0;
}

static ssize_t receive(struct tls *t, void *data, size_t len)
{
    ssize_t n = gnutls_record_recv(t->session, data, len);

    return n < 0 ? to_errno(n) : n;
}

static ssize_t send_some(struct tls *t, const void *data, size_t len)
{
    ssize_t n = gnutls_record_send(t->session, data, len);

    return n < 0 ? to_errno(n) : n;
}

static size_t pending(const struct tls *t)
{
    return gnutls_record_check_pending(t->session);
}

extern const struct tls_module mesh_tls_module;
const struct tls_module mesh_tls_module = {
    .start = start,
    .receive = receive,
    .send = send_some,
    .pending = pending,
    .end = end,
};
