/* SPDX-License-Identifier: Apache-2.0 */
/* s3_xml - what S3 answers and is sent as XML, errors apart (s3_errors.h). Pure.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 *
 * All reading functions: -EBADMSG not what was expected, -E2BIG beyond a bound,
 * -ENOMEM. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cloud/object_store.h"

enum { S3_TOKEN_MAX = 8192 };

struct s3_listing {
    struct object_entry *entries; /* sorted by name; the names are owned */
    size_t n, cap;
    char *next; /* NULL: this was the last page */
};

void s3_listing_release(struct s3_listing *l);

/* A page of ListObjectsV2. Names lose `prefix`, with which all must begin. */
int s3_read_listing(const char *body, size_t len, const char *prefix,
                    struct s3_listing *ret_listing);

struct s3_parts {
    struct object_part *parts;
    size_t n, cap;
    uint32_t next; /* to ask on behind; 0: this was the last page */
};

void s3_parts_release(struct s3_parts *p);

/* A page of ListParts, behind those that are there: numbers only grow. */
int s3_read_parts(const char *body, size_t len, struct s3_parts *parts);

/* The name of an upload that was begun. */
int s3_read_upload(const char *body, size_t len, char ret_upload[OBJECT_UPLOAD_MAX]);

/* What CompleteMultipartUpload answers. -EBADMSG also for an error, which it may say
 * behind a status of 200. */
int s3_read_finished(const char *body, size_t len, char ret_etag[OBJECT_TAG_MAX]);

/* The body of CompleteMultipartUpload. */
int s3_write_parts(struct buffer *b, const struct object_part *parts, size_t n);

/* A part's tag: its entity tag and, where the service keeps it, a blank and the SHA-256
 * of the part in base64. -E2BIG: longer than a tag may be; -EBADMSG: texts that no
 * service sends. */
int s3_make_tag(const char *etag, const char *checksum, char ret_tag[OBJECT_TAG_MAX]);

/* The checksum that the whole has when it is made of these parts, as the service tells
 * it: in base64, with "-" and the number of parts. -ENOENT: not all tags have one. */
int s3_checksum_of_parts(const struct object_part *parts, size_t n,
                         struct buffer *ret_checksum);

/* Seconds since 1970 of 2009-10-12T17:50:30.000Z, or of the date of a header: Mon, 12
 * Oct 2009 17:50:30 GMT. 0: it is neither. */
int64_t s3_time(const char *text);
