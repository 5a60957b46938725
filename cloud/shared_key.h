/* SPDX-License-Identifier: Apache-2.0 */
/* shared_key - requests to Azure Storage signed by an account's key, and shared access
 * signatures (SAS), which stand in a URL's query in place of a key. Pure.
 *
 * https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
 * https://learn.microsoft.com/rest/api/storageservices/create-service-sas */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    SHARED_KEY_HEADERS_MAX = 48,
    SHARED_KEY_PARAMS_MAX = 32,
    SAS_MAX = 4096,
    SAS_PERMISSIONS_MAX = 16,
};

struct shared_key_header {
    const char *name, *value;
};

struct shared_key_request {
    const char *method, *account;
    const char *path;  /* of the URL, encoded as it is sent, from its first '/' */
    const char *query; /* as it is sent, behind the '?'; NULL: none */
    const struct shared_key_header *headers; /* all that are x-ms-, and others */
    size_t n_headers;
    uint64_t content_length;
};

/* What is signed, of version 2015-02-21 and newer: a length of 0 is left out.
 * -E2BIG: more headers or parameters than the above. */
int shared_key_text(const struct shared_key_request *request, struct buffer *out);

/* HMAC-SHA256 in base64. -EINVAL: the key is not base64, or empty. */
int shared_key_sign(const char *key, const char *text, struct buffer *out);

/* The value of the Authorization header. */
int shared_key_authorization(const char *account, const char *key, const char *text,
                             struct buffer *out);

/* ---- SAS ---- */

struct sas_grant {
    const char *account, *container;
    const char *blob;        /* its name, not encoded; NULL: all of the container */
    const char *permissions; /* of "racwdxyltmeopi", in this order */
    int64_t starts_s;        /* 0: at once */
    int64_t expires_s;
    bool is_https_only;
    const char *encryption_scope; /* that writes are bound to; NULL: none */
};

/* What stands in the query, without '?': a service SAS, whose string is that of version
 * 2020-12-06. */
int sas_make(const struct sas_grant *grant, const char *key, struct buffer *out);

struct sas {
    int64_t starts_s, expires_s;           /* 0: it does not say */
    char permissions[SAS_PERMISSIONS_MAX]; /* "": as its stored policy says */
    bool is_https_only;
};

/* A SAS that was given, with or without '?' before it.
 * -EINVAL: it is none; the sentence does not repeat it. */
int sas_read(const char *text, struct sas *ret_sas, struct error *ret_error);

/* Whether the token of a credential is a SAS and not a bearer token, in which neither
 * '&' nor '?' can be. */
bool sas_is_one(const char *token);
