/* SPDX-License-Identifier: Apache-2.0 */
/* object_store - named objects in a service or a folder: S3, Azure Blob, GCS, file.
 *
 * One table for all of them, with what they can all do; what is built on it (transfers
 * in parts and ranges, data tools, write-through) knows no service. Every operation
 * ends by one call of its `done`, from the loop and never before the function returned.
 * Requests that fail for a while are repeated below this table (http.h), so an error
 * that arrives here is final and says what to do.
 *
 * Errors:
 *   -ENOENT     no such object (or bucket, by its sentence)
 *   -EEXIST     put_if_absent, and it is there
 *   -EACCES     the service refuses: wrong key, no right, skewed clock; its own code
 *               and request id are in the sentence
 *   -EINVAL     such a name, size or option the service does not take
 *   -ERANGE     the range begins behind the end
 *   -EBADMSG    bytes are not those that were sent or promised
 *   -ENOSPC     the store is full or a quota is reached
 *   -EROFS      the store takes no writes
 *   -EPROTO     what answers is not such a service
 *   -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -ECANCELED as http.h
 *   -EIO        any other
 *
 * Belongs to the loop's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cloud/http.h"

enum {
    OBJECT_NAME_MAX = 1024,   /* bytes of UTF-8, as S3 has it */
    OBJECT_LIST_MAX = 1000,   /* in one answer */
    OBJECT_UPLOAD_MAX = 1024, /* of the name that a service gives an upload */
    OBJECT_TAG_MAX = 256,     /* of an entity tag */
    OBJECT_PARTS_MAX = 10000,
    OBJECT_PART_MIN = 5 << 20, /* but the last one */
};

struct object_about {
    uint64_t size;
    int64_t modified_s;        /* since 1970; 0: unknown */
    char etag[OBJECT_TAG_MAX]; /* as the service writes it, in its quotes */
    char tier[32];             /* "": the usual one */
    char sha256[65];           /* hex, where the service keeps it; else "" */
};

struct object_put {
    const char *name;
    struct http_body body; /* borrowed until done */
    bool is_if_absent;
    const char *if_match;     /* an entity tag; NULL: any. Else -EEXIST */
    const char *content_type; /* NULL: application/octet-stream */
    const uint8_t *sha256;    /* of the body, 32 bytes; NULL: found by the store */
};

/* `about` is NULL on failure; of it put knows size and etag. */
typedef void object_done_fn(void *arg, int status, const struct object_about *about,
                            const struct error *error);

struct object_get {
    const char *name;
    uint64_t offset, len; /* len UINT64_MAX: to the end */
    const char *if_match; /* the object must be this one; else -EBADMSG. NULL: any */
    /* In order, each byte once: what a broken try already gave is not given again. */
    int (*on_data)(void *arg, uint64_t offset, const void *data, size_t len);
};

struct object_entry {
    const char *name; /* borrowed; ends with the delimiter: all below it */
    struct object_about about;
    bool is_prefix;
};

struct object_list {
    const char *prefix;
    char delimiter;    /* 0: none */
    const char *after; /* as the page before said; NULL: from the start */
    uint32_t max;      /* 0: OBJECT_LIST_MAX */
};

/* Entries sorted by name; `next`: what to give as `after`, NULL at the end. */
typedef void object_listed_fn(void *arg, int status, const struct object_entry *entries,
                              size_t n, const char *next, const struct error *error);

/* One step of an upload in parts. The service's name of the upload and the tags of its
 * parts can be kept on disk: a crash goes on with the parts that are missing. Parts
 * count from 1. Where `is_in_order` of the store, part n+1 may start only when n is
 * done and all but the last are multiples of 256 KiB (GCS's resumable uploads); the
 * service knows bytes, not parts, and counts them as parts of `part_bytes`, with tags
 * "". A part whose tag is "" is not looked at again by FINISH. */
enum object_upload_step {
    OBJECT_UPLOAD_BEGIN = 1, /* answers with `upload` */
    OBJECT_UPLOAD_PART,      /* answers with its tag */
    OBJECT_UPLOAD_PARTS,     /* what is there already: by `listed`; -ENOENT: gone */
    OBJECT_UPLOAD_FINISH,    /* answers with the object */
    OBJECT_UPLOAD_ABORT,     /* nothing is left that is paid for; gone already: 0 */
};

struct object_part {
    uint32_t number;
    uint64_t size;
    char tag[OBJECT_TAG_MAX];
};

struct object_upload {
    enum object_upload_step step;
    const char *name;
    const char *upload; /* NULL at OBJECT_UPLOAD_BEGIN */
    /* All steps but ABORT: the whole's size, which all parts add up to; BEGIN: its
     * type. */
    uint64_t size;
    const char *content_type;
    /* PART */
    uint32_t number;
    uint64_t offset; /* in the whole */
    struct http_body body;
    const uint8_t *sha256; /* of the part; NULL: found by the store */
    /* FINISH */
    const struct object_part *parts; /* all, in order */
    size_t n_parts;
    uint64_t part_bytes; /* PARTS: of all but the last */
    bool is_if_absent;   /* BEGIN and FINISH: services look at one or the other */
};

struct object_uploaded {
    const char *upload;              /* of BEGIN */
    struct object_part part;         /* of PART */
    const struct object_part *parts; /* of PARTS, sorted by number */
    size_t n_parts;
    struct object_about about; /* of FINISH */
};

typedef void object_uploaded_fn(void *arg, int status, const struct object_uploaded *u,
                                const struct error *error);

struct object_store;
struct object_call; /* valid until its done */

struct object_store_class {
    const char *scheme; /* "s3", "azure", "gs", "file" */
    bool is_in_order;   /* parts of an upload: see object_upload_step */
    bool
        wants_sha256; /* of bodies: who brings none has it found in the loop's thread */
    /* 0 and the call, or a negative errno and no call of done. Texts are copied. */
    int (*put)(struct object_store *s, const struct object_put *put,
               object_done_fn *done, void *arg, struct object_call **ret_call);
    int (*get)(struct object_store *s, const struct object_get *get,
               object_done_fn *done, void *arg, struct object_call **ret_call);
    int (*head)(struct object_store *s, const char *name, object_done_fn *done,
                void *arg, struct object_call **ret_call);
    int (*list)(struct object_store *s, const struct object_list *list,
                object_listed_fn *listed, void *arg, struct object_call **ret_call);
    /* One that is not there is removed already: 0. */
    int (*remove)(struct object_store *s, const char *name, object_done_fn *done,
                  void *arg, struct object_call **ret_call);
    int (*upload)(struct object_store *s, const struct object_upload *upload,
                  object_uploaded_fn *uploaded, void *arg,
                  struct object_call **ret_call);
    void (*cancel)(struct object_call *call);
    /* The calls that are left end with -ECANCELED first. */
    void (*free)(struct object_store *s);
};

/* The first member of each store's own struct. */
struct object_store {
    const struct object_store_class *class;
};

/* ---- where a store is, and how it is spoken to ---- */

/* All texts are borrowed; NULL is the usual. What a service does not know is an error
 * of its open function that names the option. */
struct object_store_options {
    const char *bucket;   /* of Azure the container, of file the folder */
    const char *prefix;   /* before every name; "" or ends with '/' */
    const char *endpoint; /* https://host[:port][/path] */
    const char *region;
    const char *account;    /* of Azure */
    const char *encryption; /* "AES256", "aws:kms", an encryption scope, ... */
    const char *kms_key;
    const char *storage_class;
    const char *tags;     /* "a=1&b=2" */
    bool is_virtual_host; /* bucket.host in place of host/bucket */
    bool is_path_style;   /* the other; neither: by the endpoint */
    bool is_relaxed;      /* of file: nothing is synced; a power cut may lose it */
    uint32_t tries_max;   /* 0: HTTP_TRIES_DEFAULT */
};

struct credentials;

/* The http engine is borrowed and must outlive the store; credentials are borrowed too,
 * NULL: unsigned requests. */
typedef int object_store_open_fn(struct http *http, struct credentials *credentials,
                                 const struct object_store_options *options,
                                 struct object_store **ret_store,
                                 struct error *ret_error);
object_store_open_fn s3_open;
object_store_open_fn azure_open;
object_store_open_fn gcs_open; /* a folder needs no engine: file_store.h */
