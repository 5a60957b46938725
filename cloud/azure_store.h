/* SPDX-License-Identifier: Apache-2.0 */
/* azure_store - what the files of the Azure store share: one operation, which is one
 * request or some, one after the other. Of azure*.c alone. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buffer.h"
#include "cloud/azure_errors.h"
#include "cloud/azure_place.h"
#include "cloud/credentials.h"
#include "cloud/encode.h"
#include "cloud/object_store.h"
#include "cloud/shared_key.h"

/* The first that knows the Cold tier. */
#define AZURE_VERSION "2021-12-02"

enum {
    AZURE_HEADERS_MAX = 16,
    AZURE_NONCE = 17,             /* 16 hex digits */
    AZURE_HASH_INLINE = 16 << 10, /* more is hashed on the thread pool */
};

struct azure_store {
    struct object_store base;
    struct http *http;
    struct credentials *credentials;
    struct azure_place place;
    char *container, *prefix, *scope, *tags;
    const char *tier;
    uint32_t tries_max;
    struct object_call *calls;
};

struct object_call {
    struct azure_store *store; /* NULL: it ended, and only what it awaits holds it */
    struct object_call *next, **link;
    uint32_t holds; /* by the store, the engine, the thread pool, a key's arrival */
    bool is_canceled;
    const char *verb;

    /* The request under way. */
    const char *method;
    struct buffer url;  /* without a SAS */
    size_t path, query; /* where in url the path begins; behind '?', 0: none */
    struct shared_key_header headers[AZURE_HEADERS_MAX];
    size_t n_headers;
    struct http_body body;
    struct http_call *call;
    struct http_try *waits; /* until a key is there */
    bool is_preparing;
    int prepared;
    struct error error;
    enum azure_auth auth;
    char *used;      /* the token that signed, to be told apart from a newer one */
    bool is_renewed; /* a refused one was given back already */
    /* 0 with an answer of 2xx, or what it means that there is none. It ends the call,
     * or asks again. */
    void (*answered)(struct object_call *c, int status, const struct http_answer *a,
                     const struct error *error);

    /* The thread pool's. */
    uv_work_t work;
    uv_sem_t worked;
    bool is_working;
    int hash_status;
    uint8_t md5[16], sha256[ENCODE_SHA256];
    bool has_sha256;
    void (*after_work)(struct object_call *c);

    /* What was asked. */
    union {
        object_done_fn *done;
        object_listed_fn *listed;
        object_uploaded_fn *uploaded;
    };
    void *arg;
    char *name;              /* with the store's prefix */
    char nonce[AZURE_NONCE]; /* that tells this write from any other */
    struct object_about about;

    /* Of get. */
    uint64_t offset, len, given; /* len UINT64_MAX: to the end */
    char *if_match;
    int (*on_data)(void *arg, uint64_t offset, const void *data, size_t len);
    EVP_MD_CTX *hash; /* of a whole object, against what is promised */
    uint8_t promised[ENCODE_SHA256];
    size_t promised_len;

    /* Of list. */
    char *list_prefix, *marker;
    char delimiter;
    uint32_t list_max;

    /* Of upload. */
    enum object_upload_step step;
    char *upload;
    uint32_t number;
    struct buffer block_list;
};

/* ---- azure_call.c: one operation ---- */

/* -ENAMETOOLONG, -EINVAL: the service cannot have such a name, or would change it.
 * NULL: an operation on the container. */
int azure_call_new(struct azure_store *s, const char *verb, const char *name,
                   struct object_call **ret_call);
/* Forgets it before it started. */
void azure_call_drop(struct object_call *c);

/* The next request: to the object, or the container where it has no name. */
int azure_ask(struct object_call *c, const char *method);
int azure_param(struct object_call *c, const char *name, const char *value);
int azure_header(struct object_call *c, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Sends it. */
int azure_send(struct object_call *c);

/* Calls `after` from the loop when the body's hashes are known, or hash_status says why
 * they are not. */
int azure_hash_later(struct object_call *c, void (*after)(struct object_call *c));

/* Each ends the call, which is the store's no more. */
void azure_finish_done(struct object_call *c, int status, const struct error *error);
void azure_finish_listed(struct object_call *c, int status,
                         const struct object_entry *entries, size_t n, const char *next,
                         const struct error *error);
void azure_finish_uploaded(struct object_call *c, int status,
                           const struct object_uploaded *u, const struct error *error);
/* By whichever of the three is its own. */
void azure_finish_failed(struct object_call *c, int status, const struct error *error);

/* Ends it with -ECANCELED at once, or soon. */
void azure_call_end(struct object_call *c);
void azure_cancel(struct object_call *c);

/* What an answer's headers say of an object. */
void azure_about_read(const struct http_answer *a, struct object_about *ret);
void azure_nonce(char ret[AZURE_NONCE]);

/* ---- azure_get.c ---- */

int azure_get(struct object_store *base, const struct object_get *get,
              object_done_fn *done, void *arg, struct object_call **ret_call);
int azure_get_on_answer(void *arg, const struct http_answer *a);
int azure_get_on_data(void *arg, uint64_t offset, const void *data, size_t len);

/* ---- azure_put.c ---- */

int azure_put(struct object_store *base, const struct object_put *put,
              object_done_fn *done, void *arg, struct object_call **ret_call);
/* The headers that every write has: type, tier, scope, tags and the nonce. */
int azure_put_headers(struct object_call *c, const char *content_type,
                      bool is_if_absent, const char *if_match);
/* A write that was refused because the object is there, or is another: if an earlier
 * try of the same write did that, whose answer was lost, the object bears its nonce.
 * Asks, and ends the call as the write's success, or with -EEXIST. */
int azure_ask_whether_ours(struct object_call *c, const struct error *error);

/* ---- azure_list.c, azure_upload.c ---- */

int azure_list(struct object_store *base, const struct object_list *list,
               object_listed_fn *listed, void *arg, struct object_call **ret_call);
int azure_upload(struct object_store *base, const struct object_upload *upload,
                 object_uploaded_fn *uploaded, void *arg,
                 struct object_call **ret_call);
