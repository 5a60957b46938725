/* SPDX-License-Identifier: Apache-2.0 */
/* google_text - Google's files of credentials, what is asked for a token with them, and
 * the answers. Pure; no secret is ever part of an error. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define GOOGLE_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
/* What a token needs that asks for another one. */
#define GOOGLE_SCOPE_ALL "https://www.googleapis.com/auth/cloud-platform"

enum google_kind {
    GOOGLE_SERVICE_ACCOUNT = 1, /* a private key: RFC 7523 */
    GOOGLE_USER,     /* a refresh token, of `gcloud auth application-default` */
    GOOGLE_WORKLOAD, /* the token of another service: RFC 8693 */
};

enum { GOOGLE_FILE_MAX = 64 << 10, GOOGLE_TOKEN_MAX = 16 << 10 };

/* Texts are its own, and wiped. */
struct google_file {
    enum google_kind kind;
    char *token_uri;
    char *email, *private_key, *key_id;              /* of a service account */
    char *client_id, *client_secret, *refresh_token; /* of a user */
    char *audience, *subject_type;                   /* of a workload: */
    char *subject_file, *subject_url; /* one of them; where its own token is */
    char *subject_field;              /* of JSON there; NULL: it is the whole text */
    char *subject_header, *subject_header_value; /* to ask with; NULL: none */
    char *impersonate_url;                       /* NULL: the token is the one to use */
};

void google_file_release(struct google_file *file);

/* `path` is for errors. -EINVAL: it is none, of a kind that cannot be used here, or
 * asks to send secrets over http:// to another machine. */
int google_file_read(const char *text, size_t len, const char *path,
                     struct google_file *ret_file, struct error *ret_error);

/* The signed assertion (JWT, RS256) that a service account asks with. -EINVAL: the key
 * is none of RSA. */
int google_assertion(const struct google_file *file, const char *scope, int64_t now_s,
                     struct buffer *out, struct error *ret_error);

/* The form that is sent to token_uri; `subject` is a workload's own token. */
int google_token_form(const struct google_file *file, const char *scope, int64_t now_s,
                      const char *subject, struct buffer *out, struct error *ret_error);

/* A workload's token in what its file or URL holds. */
int google_subject(const struct google_file *file, const char *text, size_t len,
                   struct buffer *out, struct error *ret_error);

struct google_token {
    char text[GOOGLE_TOKEN_MAX];
    int64_t expires_s;
};

/* {"access_token", "expires_in"}, or of an impersonation {"accessToken", "expireTime"}.
 * -EPROTO: neither. */
int google_token_read(const char *text, size_t len, int64_t now_s,
                      struct google_token *ret_token, struct error *ret_error);

/* gsutil's file: the pair in its section [Credentials]; false: it has none. */
bool google_boto_read(const char *text, size_t len, struct buffer *ret_id,
                      struct buffer *ret_secret);
