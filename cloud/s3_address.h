/* SPDX-License-Identifier: Apache-2.0 */
/* s3_address - where a bucket and its objects are: host, path and the way of signing,
 * by endpoint, style and region. Pure.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cloud/object_store.h"
#include "cloud/sigv4.h"

enum { S3_BUCKET_MAX = 255 }; /* as old ones of us-east-1 have it; else 63 */

struct s3_address {
    char *host; /* of the endpoint, with its port; NULL: AWS's, by region */
    char *base; /* what the path begins with; "" or "/..." without a '/' at its end */
    char *bucket;
    bool is_plain; /* http */
    bool is_virtual_host;
    enum sigv4_dialect dialect; /* of Google's endpoint its own */
};

/* The usual: path style with an endpoint, virtual host on AWS, but for buckets with a
 * '.', which no certificate covers. -EINVAL: a bucket or endpoint that cannot be. */
int s3_address_init(struct s3_address *a, const struct object_store_options *options,
                    struct error *ret_error);
void s3_address_release(struct s3_address *a);

struct s3_url {
    struct buffer url, host;
    size_t path_at, path_len; /* in url */
};

/* Of an object, or with NULL of the bucket; the query is encoded, NULL: none. */
int s3_address_url(const struct s3_address *a, const char *region, const char *name,
                   const char *query, struct s3_url *ret_url);
void s3_url_release(struct s3_url *u);

/* A name that S3 can take: 1 to OBJECT_NAME_MAX bytes of UTF-8 together with what
 * stands before it. -EINVAL with a sentence. */
int s3_check_name(const char *prefix, const char *name, struct error *ret_error);
