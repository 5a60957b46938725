/* SPDX-License-Identifier: Apache-2.0 */
/* s3_call - one operation of a store of S3: signed anew with each try, in the region
 * that the service names, with a key that is renewed when it was refused.
 *
 *     new --> start --> try (key, signature) <---- again: region, key, passing trouble
 *               ^         |
 *               |         v
 *               '------ finish --> over, and the caller is told
 *
 * finish() starts the same call anew where an answer asks for another request: the next
 * page, the reason of a refusal, whose object it is that is there. A call is freed when
 * it is over and neither the engine nor the keys will come back to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cloud/credentials.h"
#include "cloud/encode.h"
#include "cloud/http.h"
#include "cloud/object_store.h"
#include "cloud/s3_address.h"
#include "cloud/s3_errors.h"
#include "cloud/s3_xml.h"
#include "cloud/sigv4.h"

enum { S3_CALL_HEADERS_MAX = 16, S3_CHECKSUM_MAX = 64 };

struct s3_store {
    struct object_store base;
    struct http *http;
    struct credentials *credentials; /* NULL: unsigned */
    struct s3_address address;
    char *prefix, *encryption, *kms_key, *storage_class, *tags;
    char region[64];
    uint32_t tries_max;
    int64_t (*now_s)(void *arg);
    void *now_arg;
    struct object_call *calls;
};

/* How a get stands, over all its tries. */
struct s3_reading {
    int (*on_data)(void *arg, uint64_t offset, const void *data, size_t len);
    uint64_t offset, len; /* what was asked for */
    uint64_t given;       /* bytes of it were given on */
    uint64_t whole_at;    /* where in the object this try's answer begins */
    bool is_known;        /* `about` is: an answer has begun */
    struct object_about about;
    char checksum[S3_CHECKSUM_MAX]; /* of the whole, in base64; "": not told */
    void *hash;                     /* EVP_MD_CTX, while the whole is read */
};

typedef void s3_finish_fn(struct object_call *call, int status,
                          const struct http_answer *answer, const struct error *error);

struct object_call {
    struct s3_store *store;
    struct object_call *next, **at; /* among the store's, until it is over */
    unsigned refs;                  /* of the engine, the keys, and who works on it */

    /* The request. */
    const char *method;
    char *name; /* with the prefix; NULL: the bucket's */
    struct buffer query;
    struct sigv4_header headers[S3_CALL_HEADERS_MAX]; /* owned */
    size_t n_headers;
    struct http_body body;
    struct buffer own_body; /* what `body` is, when it was made here */
    char payload[ENCODE_SHA256_HEX];
    char checksum[S3_CHECKSUM_MAX]; /* of the body in base64 */

    /* Its tries. */
    struct http_call *http;
    struct http_try *awaiting; /* its signature */
    bool is_in_prepare, is_over, is_region_followed, is_key_renewed;
    int prepared;
    char region[64]; /* that this try was signed for */
    char key_id[128];
    struct error error; /* of what reads, or kept for later */

    s3_finish_fn *finish;
    int (*on_try)(struct object_call *call); /* sets what differs; NULL: nothing */
    object_done_fn *done;                    /* one of these three */
    object_listed_fn *listed;
    object_uploaded_fn *uploaded;
    void *arg;

    /* What is known before the answer, for those who ask. */
    struct object_about about;
    bool is_conditional_get;
    int refused; /* with call->error, while the reason is asked for */
    struct s3_reading reading;
    struct s3_parts parts;
    char upload[OBJECT_UPLOAD_MAX];
    uint32_t number; /* of a part */
};

/* A call, not started. `name` without the prefix; NULL: the bucket's. -EINVAL: no such
 * name can be; -ENOMEM. */
int s3_call_new(struct s3_store *s, const char *method, const char *name,
                s3_finish_fn *finish, void *arg, struct object_call **ret_call);
/* Only before it was started. */
void s3_call_free(struct object_call *call);
CLEANUP_POINTER(struct object_call, s3_call_free);

/* Sets or replaces one. Texts are copied. -ENOMEM, or -E2BIG: more than fit. */
int s3_call_header(struct object_call *call, const char *name, const char *value);
/* One that begins with x-amz-, of Google's dialect with x-goog-. */
int s3_call_own_header(struct object_call *call, const char *what, const char *value);
/* Without a request of before, for one that follows: query, headers and body. */
void s3_call_clear(struct object_call *call, const char *method);
int s3_call_param(struct object_call *call, const char *name, const char *value);
/* What is sent: borrowed until the call is over. `sha256`: 32 bytes; NULL: found here.
 * What is kept as an object or a part of one goes with its checksum. */
int s3_call_body(struct object_call *call, const struct http_body *body,
                 const uint8_t *sha256, bool is_kept);
/* Type, encryption, storage class and tags, for what makes an object. */
int s3_call_new_object(struct object_call *call, const char *content_type);

/* Only where there is none yet. */
int s3_call_if_absent(struct object_call *call);

/* Also by finish(). On failure nothing was started. */
int s3_call_start(struct object_call *call);
/* Starts it and hands it out, or frees it. */
int s3_call_take(struct object_call *call, struct object_call **ret_call);

/* Before the caller is told: no cancel and no closing store finds the call any more.
 * It stays until finish() returns. */
void s3_call_over(struct object_call *call);
/* Ends it in place of its engine, when the store is closed. */
void s3_call_abandon(struct object_call *call);

/* 0 for an answer of 2xx; else errno and sentence of what it was. */
int s3_call_judge(struct object_call *call, int status,
                  const struct http_answer *answer, const struct error *error,
                  struct error *ret_error);
/* What the answer says of a failure. -EBADMSG: it is no error of S3. */
int s3_call_fault(const struct http_answer *answer, struct s3_fault *ret_fault);
/* An answer of 2xx that is not what was asked for: an error in it, or not S3's. */
int s3_call_unexpected(struct object_call *call, const struct http_answer *answer,
                       struct error *ret_error);

/* A further try was refused, because of an object that is there or an upload that is no
 * more: perhaps the first try was acted upon and its answer lost. The checksum tells.
 * `finish` then asks s3_call_whose(): 0 when it is ours, else `refused`, which is told
 * with call->error. */
int s3_call_ask_whose(struct object_call *call, s3_finish_fn *finish, int refused,
                      const struct error *why);
int s3_call_whose(const struct object_call *call, int status,
                  const struct http_answer *answer);

/* -EPROTO: the answer does not say that the encryption that was asked for was done. */
int s3_call_check_encryption(const struct object_call *call,
                             const struct http_answer *answer, struct error *ret_error);
/* -EPROTO, with a sentence that it is not S3 that answers. */
int s3_call_not_s3(const struct object_call *call, const struct http_answer *answer,
                   struct error *ret_error);

/* A header that begins with x-amz-, of Google's dialect with x-goog-. */
const char *s3_answer_header(const struct object_call *call,
                             const struct http_answer *answer, const char *what);
/* What headers tell of an object, its size apart. */
void s3_about_headers(const struct object_call *call, const struct http_answer *answer,
                      struct object_about *ret_about);

/* The operations that have files of their own; see struct object_store_class. */
int s3_get(struct object_store *s, const struct object_get *get, object_done_fn *done,
           void *arg, struct object_call **ret_call);
int s3_get_answer(void *arg, const struct http_answer *answer);
int s3_get_data(void *arg, uint64_t offset, const void *data, size_t len);
int s3_upload(struct object_store *s, const struct object_upload *upload,
              object_uploaded_fn *uploaded, void *arg, struct object_call **ret_call);

/* The key, as this store signs with it; borrowed. */
struct sigv4_key s3_key(const struct s3_store *s, const struct credential *key,
                        const char *region);
int64_t s3_now(const struct s3_store *s);
