/* SPDX-License-Identifier: Apache-2.0 */
/* gcs_internal - what the files of gcs share: gcs_store.c opens and closes, gcs_call.c
 * sends with a token and tells how it ended, gcs_get.c, gcs_put.c, gcs_list.c and
 * gcs_upload.c are the operations.
 *
 * A call sends one request after another, each answered by call->answered, until
 * gcs_end(). A try that waits for a token holds the call's memory beyond its end: those
 * who ask for keys cannot be taken off the list. */
#pragma once

#include "base/buffer.h"
#include "cloud/credentials.h"
#include "cloud/gcs.h"
#include "cloud/gcs_errors.h"
#include "cloud/gcs_json.h"
#include "cloud/gcs_url.h"

#define GCS_STORE "gs"

enum {
    GCS_WHOLE_MAX = 1 << 20, /* of a body that is copied behind its description */
    GCS_CHUNK = 8 << 20,     /* of a larger one */
    GCS_CHUNK_UNIT = 256 << 10,
    GCS_STUCK_MAX = 5, /* answers in a row after which no byte more is there */
};

struct gcs_store {
    struct object_store base;
    struct http *http;
    struct credentials *credentials; /* NULL: unsigned */
    char *endpoint, *bucket, *prefix;
    char *kms_key, *storage_class, *tags, *payer; /* NULL: none */
    uint32_t tries_max;
    struct object_call *calls;
};

struct object_call {
    struct gcs_store *store; /* NULL: it has ended */
    int refs; /* its place in the store, its request, and a key that is waited for */
    struct object_call *prev, *next;
    struct http_call *http;   /* NULL: nothing is under way */
    struct http_try *waiting; /* for a key */
    bool is_unsigned;         /* an upload's address is a key itself */
    char *token;              /* of the last try */
    uint32_t tries;           /* of the last request */

    const char *verb; /* of errors: "write", "read", ... */
    char *name;       /* with the prefix; NULL: of the bucket */
    struct buffer url, body;
    void (*answered)(struct object_call *call, const struct http_answer *answer);
    /* What a try adds to the request; NULL: nothing. */
    int (*adorn)(struct object_call *call, struct http_try *t, struct error *ret_error);

    void (*begun)(struct object_call *call);
    /* What the operation holds beside. */
    void (*release)(struct object_call *call);

    object_done_fn *done; /* one of these three */
    object_listed_fn *listed;
    object_uploaded_fn *uploaded;
    void *arg;

    union {
        struct {
            uint64_t at, end, total; /* the next byte; behind the last wanted */
            uint64_t stream_at;      /* of the answer's first byte */
            uint64_t generation;     /* 0: no try was answered yet */
            bool is_whole, has_crc32c, is_pinned;
            uint32_t crc32c, promised;
            struct object_about about;
            int (*on_data)(void *arg, uint64_t offset, const void *data, size_t len);
        } get;
        struct {
            struct http_body body;
            uint64_t generation; /* that must be there, where has_generation */
            bool has_generation;
            char writer[GCS_WRITER_MAX];
            char *content_type;
            uint8_t sha256[32];
            bool has_sha256;
            uint32_t crc32c; /* of the body, so far as it is sent */
            uint64_t sent;
        } put;
    };

    /* Of an upload in parts, and of a put that is one. */
    struct {
        char session[OBJECT_UPLOAD_MAX + 1];
        struct http_body body; /* the chunk that is under way */
        uint64_t offset, size; /* in the whole; of the whole */
        uint64_t held;         /* of the whole, as the service says */
        uint32_t n_stuck, number;
        uint32_t crc32c; /* of the chunk */
        bool has_whole_crc32c;
        uint32_t whole_crc32c;
        uint64_t part_bytes;
        struct object_about about;
        struct error error; /* why what was written is taken back */
        /* When the chunk is held; `object` is the whole, NULL while more must come. */
        void (*chunk_done)(struct object_call *call, const struct gcs_object *object);
    } up;
};

/* ---- gcs_call.c ---- */

/* `name` is the caller's, without the prefix; NULL: none. -EINVAL: no such name can be.
 */
int gcs_call_new(struct gcs_store *s, const char *verb, const char *name, void *arg,
                 struct object_call **ret_call);
/* Before anything was sent: as if it never was. */
void gcs_call_drop(struct object_call *call);

/* call->url is filled by the caller, who may say more of the request: headers, body,
 * what is called with data. */
int gcs_send(struct object_call *call, struct http_request *request,
             void (*answered)(struct object_call *, const struct http_answer *));
/* The same from a callback, where a failure ends the call. */
void gcs_send_on(struct object_call *call, struct http_request *request,
                 void (*answered)(struct object_call *, const struct http_answer *));

/* Each ends the call. */
void gcs_end(struct object_call *call, int status, const struct object_about *about,
             const struct error *error);
void gcs_end_upload(struct object_call *call, const struct object_uploaded *uploaded);
void gcs_end_list(struct object_call *call, const struct object_entry *entries,
                  size_t n, const char *next);
/* At once, while its request still runs. */
void gcs_abandon(struct object_call *call);
/* By what the service answered instead. */
void gcs_end_refused(struct object_call *call, const struct http_answer *answer);
void gcs_fail(struct object_call *call, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);

static inline bool gcs_is_good(const struct http_answer *answer)
{
    return answer->code >= 200 && answer->code < 300;
}

/* Whether a 404 says so of the bucket. */
bool gcs_is_bucket_missing(const struct http_answer *answer);
/* The object that an answer describes. False: the call has ended. */
bool gcs_take_object(struct object_call *call, const struct http_answer *answer,
                     struct gcs_object *ret_object);

/* The address of the call's object, in call->url. */
int gcs_aim(struct object_call *call);

/* ---- gcs_put.c, gcs_upload.c ---- */

/* What was written is not what was sent: it is taken back, then the call ends. */
void gcs_withdraw(struct object_call *call, const struct gcs_object *object);
/* Opens an upload of call->up.size bytes; then `begun`, with call->up.session. */
int gcs_begin(struct object_call *call, const struct gcs_new_object *object,
              void (*begun)(struct object_call *call));
/* Sends call->up.body, which is at up.offset; then up.chunk_done. */
int gcs_chunk(struct object_call *call);
/* Of a body's bytes, after `crc32c` of those before; reads what is in a file. */
int gcs_body_crc32c(const struct http_body *body, uint32_t *crc32c);

/* ---- the operations ---- */

int gcs_put(struct object_store *s, const struct object_put *put, object_done_fn *done,
            void *arg, struct object_call **ret_call);
int gcs_get(struct object_store *s, const struct object_get *get, object_done_fn *done,
            void *arg, struct object_call **ret_call);
int gcs_list(struct object_store *s, const struct object_list *list,
             object_listed_fn *listed, void *arg, struct object_call **ret_call);
int gcs_upload(struct object_store *s, const struct object_upload *upload,
               object_uploaded_fn *uploaded, void *arg, struct object_call **ret_call);
