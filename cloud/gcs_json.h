/* SPDX-License-Identifier: Apache-2.0 */
/* gcs_json - what Google Cloud Storage's JSON interface says and is told. Pure.
 *
 * https://cloud.google.com/storage/docs/json_api/v1/objects. What the service sends is
 * not trusted: a field of the wrong kind is -EPROTO. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "cloud/object_store.h"

/* The keys in an object's own metadata under which we keep what the service does not.
 */
#define GCS_SHA256_KEY "mesh-sha256"
#define GCS_WRITER_KEY "mesh-writer"

enum { GCS_WRITER_MAX = 33 };

/* An object as the service describes it. The entity tag is its generation, in quotes:
 * the number by which Google's preconditions know a state of an object. */
struct gcs_object {
    struct object_about about;
    uint64_t generation;
    bool has_crc32c;
    uint32_t crc32c;
    char writer[GCS_WRITER_MAX]; /* who wrote it, if it was us; else "" */
};

int gcs_json_object(const char *text, size_t len, struct gcs_object *ret_object,
                    struct error *ret_error);

/* One page. Objects that do not begin with `prefix`, which is cut from all names, are
 * -EPROTO. */
struct gcs_page;
int gcs_page_read(const char *text, size_t len, const char *prefix,
                  struct gcs_page **ret_page, struct error *ret_error);
void gcs_page_free(struct gcs_page *page);
CLEANUP_POINTER(struct gcs_page, gcs_page_free);

/* Sorted by name, objects and prefixes together; borrowed. */
const struct object_entry *gcs_page_entries(const struct gcs_page *page, size_t *ret_n);
/* NULL: it was the last one. */
const char *gcs_page_next(const struct gcs_page *page);

/* What an object shall be, as the service is told it with its bytes. */
struct gcs_new_object {
    const char *name; /* with the store's prefix */
    const char *content_type;
    const char *storage_class; /* NULL: the bucket's */
    const char *tags;          /* "a=1&b=2"; NULL: none */
    const char *writer;        /* NULL: not said */
    const uint8_t *sha256;     /* NULL: not said */
    bool has_crc32c;
    uint32_t crc32c;
};

/* -EINVAL: a name or tag is not UTF-8. */
int gcs_json_new_object(struct buffer *out, const struct gcs_new_object *object);

/* The base64 of a checksum as this service writes it, with a NUL. */
enum { GCS_CRC32C_TEXT = 9 };
void gcs_crc32c_text(uint32_t crc32c, char ret[GCS_CRC32C_TEXT]);
int gcs_crc32c_read(const char *text, size_t len, uint32_t *ret_crc32c);

/* The header X-Goog-Hash: "crc32c=AAAAAA==,md5=...". False: it names no crc32c. */
bool gcs_hash_header(const char *header, uint32_t *ret_crc32c);

/* "0-1023" of "Range: bytes=0-1023", as 308 says it: how many bytes are there. NULL:
 * none. */
int gcs_range_held(const char *header, uint64_t *ret_held);
