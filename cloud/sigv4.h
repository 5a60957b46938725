/* SPDX-License-Identifier: Apache-2.0 */
/* sigv4 - requests signed by AWS's Signature Version 4, and by Google's sister of it.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 * https://cloud.google.com/storage/docs/authentication/signatures
 *
 * Pure: the time is an argument. Texts of keys are wiped from what is on the stack. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
    SIGV4_HEADERS_MAX = 48,
    SIGV4_PARAMS_MAX = 64,
    SIGV4_SECRET_MAX = 1024,
    SIGV4_DATE = sizeof("20150830T123600Z"),
    SIGV4_EXPIRES_MAX_S = 7 * 24 * 3600,
};

/* In place of the body's hash: it is not signed. Over TLS only. */
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/* What differs between the two; the rest is the same algorithm. */
enum sigv4_dialect {
    SIGV4_AWS = 1, /* AWS4-HMAC-SHA256, x-amz-, aws4_request */
    SIGV4_GOOGLE,  /* GOOG4-HMAC-SHA256, x-goog-, goog4_request */
};

struct sigv4_key {
    enum sigv4_dialect dialect;
    const char *id, *secret, *token; /* token: of a session; NULL: none */
    const char *region, *service;
};

struct sigv4_header {
    const char *name, *value;
};

struct sigv4_request {
    const char *method;
    const char *host;  /* as the header says it: with its port, if it is unusual */
    const char *path;  /* as it is sent: encoded, from the first '/' */
    const char *query; /* as it is sent, without '?', in any order; NULL: none */
    /* Those that are signed, in any case and order; host and those that signing adds
     * must not be among them. Of one name their values are joined. */
    const struct sigv4_header *headers;
    size_t n_headers;
    const char *payload; /* SHA-256 of the body in hex, or SIGV4_UNSIGNED */
    /* Object stores sign the path as it is and want `payload` as a header (x-amz-
     * content-sha256); other services sign the path encoded once more. */
    bool is_store;
    int64_t now_s;
};

/* What is sent with the request, beside x-amz-security-token where the key has a token
 * and x-amz-content-sha256 where is_store: both with the key's and payload's text. */
struct sigv4_signed {
    char date[SIGV4_DATE]; /* x-amz-date */
    struct buffer authorization;
};

void sigv4_signed_release(struct sigv4_signed *s);

/* -E2BIG: more headers or parameters than the bounds. -EINVAL: a secret that is too
 * long, a time before 1970 or after 9999. */
int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *request,
               struct sigv4_signed *ret_signed);

/* The whole query (without '?') that lets whoever has it make this request until
 * `expires_s` after `now_s`; `payload` is usually SIGV4_UNSIGNED. It holds the key's
 * token, not its secret. -ERANGE: less than 1 or more than SIGV4_EXPIRES_MAX_S. */
int sigv4_presign(const struct sigv4_key *key, const struct sigv4_request *request,
                  uint32_t expires_s, struct buffer *ret_query);
