/* SPDX-License-Identifier: Apache-2.0 */
/* What a call asks for: its headers, query and body. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cloud/s3_call.h"

/* ---- headers and query ---- */

static struct sigv4_header *find_header(struct object_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        if (strcasecmp(call->headers[i].name, name) == 0)
            return &call->headers[i];
    }
    return NULL;
}

int s3_call_header(struct object_call *call, const char *name, const char *value)
{
    struct sigv4_header *h = find_header(call, name);
    char *copy = strdup(value);

    if (copy && !h && call->n_headers < S3_CALL_HEADERS_MAX) {
        h = &call->headers[call->n_headers];
        *h = (struct sigv4_header){ .name = strdup(name) };
        call->n_headers += h->name != NULL;
    }
    if (!copy || !h || !h->name) {
        free(copy);
        return copy && !h ? -E2BIG : -ENOMEM;
    }
    free((char *)h->value);
    h->value = copy;
    return 0;
}

int s3_call_own_header(struct object_call *call, const char *what, const char *value)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", s3_call_is_google(call) ? "x-goog-" : "x-amz-",
             what);
    return s3_call_header(call, name, value);
}

int s3_call_param(struct object_call *call, const char *name, const char *value)
{
    struct buffer *b = &call->query;

    buffer_printf(b, "%s%s=", b->len ? "&" : "", name);
    return encode_query(b, value, strlen(value));
}

void s3_call_clear(struct object_call *call, const char *method)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        free((char *)call->headers[i].name);
        free((char *)call->headers[i].value);
    }
    call->n_headers = 0;
    buffer_clear(&call->query);
    call->method = method;
    call->body = (struct http_body){ .data = NULL };
    snprintf(call->payload, sizeof(call->payload), "%s",
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    call->on_try = NULL;
    call->is_region_followed = call->is_key_renewed = false;
}

/* ---- the body ---- */

static int hash_file(const struct http_body *body, EVP_MD_CTX *hash)
{
    char block[64 << 10];
    uint64_t done = 0;

    while (done < body->len) {
        size_t want = min_size(sizeof(block), (size_t)(body->len - done));
        ssize_t n = pread(body->fd, block, want, (off_t)(body->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        if (EVP_DigestUpdate(hash, block, (size_t)n) != 1)
            return -ENOMEM;
        done += (uint64_t)n;
    }
    return 0;
}

/* Digests of a body: SHA-256, or the MD5 that Google compares with. */
static int hash_body(const struct http_body *body, const EVP_MD *kind, uint8_t *ret)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    int status = hash && EVP_DigestInit_ex(hash, kind, NULL) == 1 ? 0 : -ENOMEM;

    if (status == 0 && body->data)
        status =
            EVP_DigestUpdate(hash, (const char *)body->data + body->offset, body->len)
                    == 1
                ? 0
                : -ENOMEM;
    else if (status == 0)
        status = hash_file(body, hash);
    if (status == 0 && EVP_DigestFinal_ex(hash, ret, NULL) != 1)
        status = -ENOMEM;
    EVP_MD_CTX_free(hash);
    return status;
}

static int add_checksum(struct object_call *call, const uint8_t *sha256)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint8_t md5[16];
    int status;

    if (s3_call_is_google(call)) {
        status = hash_body(&call->body, EVP_md5(), md5);
        if (status == 0)
            status = encode_base64(&text, md5, sizeof(md5));
        return status < 0 ? status
                          : s3_call_header(call, "content-md5", buffer_text(&text));
    }
    status = encode_base64(&text, sha256, ENCODE_SHA256);
    if (status < 0)
        return status;
    snprintf(call->checksum, sizeof(call->checksum), "%s", buffer_text(&text));
    return s3_call_own_header(call, "checksum-sha256", call->checksum);
}

int s3_call_body(struct object_call *call, const struct http_body *body,
                 const uint8_t *sha256, bool is_kept)
{
    uint8_t found[ENCODE_SHA256];
    int status = sha256 ? 0 : hash_body(body, EVP_sha256(), found);

    if (status < 0)
        return status;
    call->body = *body;
    encode_hex(sha256 ? sha256 : found, ENCODE_SHA256, call->payload);
    return is_kept ? add_checksum(call, sha256 ? sha256 : found) : 0;
}

/* ---- what makes an object ---- */

static int add_encryption(struct object_call *call)
{
    const struct s3_store *s = call->store;
    int status;

    if (!s->encryption)
        return 0;
    if (s3_call_is_google(call))
        return s->kms_key
                   ? s3_call_own_header(call, "encryption-kms-key-name", s->kms_key)
                   : 0;
    status = s3_call_own_header(call, "server-side-encryption", s->encryption);
    if (status == 0 && s->kms_key)
        status = s3_call_own_header(call, "server-side-encryption-aws-kms-key-id",
                                    s->kms_key);
    return status;
}

int s3_call_if_absent(struct object_call *call)
{
    return s3_call_is_google(call)
               ? s3_call_own_header(call, "if-generation-match", "0")
               : s3_call_header(call, "if-none-match", "*");
}

int s3_call_new_object(struct object_call *call, const char *content_type)
{
    const struct s3_store *s = call->store;
    int status =
        s3_call_header(call, "content-type",
                       content_type ? content_type : "application/octet-stream");

    if (status == 0)
        status = add_encryption(call);
    if (status == 0 && s->storage_class)
        status = s3_call_own_header(call, "storage-class", s->storage_class);
    if (status == 0 && s->tags)
        status = s3_call_own_header(call, "tagging", s->tags);
    return status;
}
