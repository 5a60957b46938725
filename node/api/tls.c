/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/ids.h"
#include "node/secret_file.h"

enum { PEM_BYTES_MAX = 1 << 20, YEARS = 10, SERIAL_SIZE = 16 };
static const char file_name[] = "tls.pem";
static const time_t year_s = 365 * 24 * 3600;

void tls_pair_release(struct tls_pair *p)
{
    if (p->key)
        explicit_bzero(p->key, strlen(p->key));
    free(p->key);
    free(p->certificate);
    *p = (struct tls_pair){ .key = NULL };
}

static int of_gnutls(int r, struct error *ret_error)
{
    return r >= 0 ? 0
                  : fail(ret_error, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL,
                         "the TLS library: %s", gnutls_strerror(r));
}

/* ---- reading ---- */

static int read_fingerprint(const gnutls_datum_t *pem, char *ret)
{
    gnutls_x509_crt_t certificate;
    uint8_t digest[DIGEST_SIZE];
    size_t size = sizeof(digest);
    int r = gnutls_x509_crt_init(&certificate);

    if (r < 0)
        return r;
    r = gnutls_x509_crt_import(certificate, pem, GNUTLS_X509_FMT_PEM);
    if (r >= 0)
        r = gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, digest,
                                            &size);
    gnutls_x509_crt_deinit(certificate);
    if (r < 0)
        return r;
    strcpy(ret, "sha256:");
    hex_text(digest, sizeof(digest), ret + strlen(ret));
    return 0;
}

static int read_file(const char *path, struct buffer *ret, struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    int r = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode) || st.st_size > PEM_BYTES_MAX)
        r = fail(ret_error, -EINVAL, "%s is no key and certificate", path);
    else if (st.st_mode & 077)
        r = fail(ret_error, -EACCES, "others can read the key in %s: chmod 600 %s",
                 path, path);
    while (r == 0) {
        char *room = buffer_reserve(ret, 4096);
        ssize_t n = room ? read(fd, room, 4096) : -1;

        if (n == 0)
            break;
        if (n < 0)
            r = room ? -errno : -ENOMEM;
        else
            ret->len += (size_t)n;
    }
    close(fd);
    return r;
}

/* Key and certificate may stand in either order; each is found by its own mark. */
static int parse(const char *path, struct buffer *text, struct tls_pair *ret,
                 struct error *ret_error)
{
    struct tls_pair p = { .key = NULL };
    gnutls_datum_t pem;
    int r;

    buffer_puts(text, "");
    p.key = text->data ? strdup(text->data) : NULL;
    p.certificate = p.key ? strdup(p.key) : NULL;
    if (!p.certificate) {
        tls_pair_release(&p);
        return -ENOMEM;
    }
    pem = (gnutls_datum_t){ (unsigned char *)p.certificate,
                            (unsigned)strlen(p.certificate) };
    r = read_fingerprint(&pem, p.fingerprint);
    if (r < 0) {
        tls_pair_release(&p);
        return fail(ret_error, -EINVAL, "%s holds no certificate: %s", path,
                    gnutls_strerror(r));
    }
    *ret = p;
    return 0;
}

/* ---- making ---- */

static int fill(gnutls_x509_crt_t c, gnutls_x509_privkey_t key)
{
    uint8_t serial[SERIAL_SIZE];
    char host[256] = "";
    time_t now = time(NULL);
    int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

    gethostname(host, sizeof(host) - 1);
    serial[0] &= 0x7f; /* it is a number above 0 */
    if (r >= 0)
        r = gnutls_x509_crt_set_version(c, 3);
    if (r >= 0)
        r = gnutls_x509_crt_set_serial(c, serial, sizeof(serial));
    if (r >= 0)
        r = gnutls_x509_crt_set_activation_time(c, now - 24 * 3600);
    if (r >= 0)
        r = gnutls_x509_crt_set_expiration_time(c, now + YEARS * year_s);
    if (r >= 0)
        r = gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, "mesh", 4);
    if (r >= 0 && host[0])
        r = gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, host,
                                                 (unsigned)strlen(host),
                                                 GNUTLS_FSAN_SET);
    if (r >= 0)
        r = gnutls_x509_crt_set_key(c, key);
    return r < 0 ? r : gnutls_x509_crt_sign2(c, c, key, GNUTLS_DIG_SHA256, 0);
}

static int export(gnutls_x509_crt_t c, gnutls_x509_privkey_t key, struct buffer *out)
{
    gnutls_datum_t text;
    int r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                              GNUTLS_PKCS_PLAIN, &text);

    if (r < 0)
        return r;
    buffer_append(out, text.data, text.size);
    explicit_bzero(text.data, text.size);
    gnutls_free(text.data);
    r = gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &text);
    if (r < 0)
        return r;
    buffer_append(out, text.data, text.size);
    gnutls_free(text.data);
    return buffer_failed(out) ? GNUTLS_E_MEMORY_ERROR : 0;
}

static int make(struct buffer *out)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    int r = gnutls_x509_privkey_init(&key);

    if (r < 0)
        return r;
    r = gnutls_x509_crt_init(&certificate);
    if (r >= 0) {
        r = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                         GNUTLS_CURVE_TO_BITS(
                                             GNUTLS_ECC_CURVE_SECP256R1),
                                         0);
        if (r >= 0)
            r = fill(certificate, key);
        if (r >= 0)
            r = export(certificate, key, out);
        gnutls_x509_crt_deinit(certificate);
    }
    gnutls_x509_privkey_deinit(key);
    return r;
}

int tls_pair_open(const char *dir, struct tls_pair *ret, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(freep) char *path = NULL;
    int r;

    if (asprintf(&path, "%s/%s", dir, file_name) < 0)
        return -ENOMEM;
    r = read_file(path, &text, ret_error);
    if (r == -ENOENT) {
        r = of_gnutls(make(&text), ret_error);
        if (r == 0)
            r = secret_file_write(dir, file_name, text.data, text.len, ret_error);
    }
    if (r == 0)
        r = parse(path, &text, ret, ret_error);
    if (text.data)
        explicit_bzero(text.data, text.len);
    return r < 0 && !ret_error->text[0]
               ? fail(ret_error, r, "%s: %s", path, strerror(-r))
               : r;
}
