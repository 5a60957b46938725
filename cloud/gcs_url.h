/* SPDX-License-Identifier: Apache-2.0 */
/* gcs_url - addresses of Google Cloud Storage's JSON interface. Pure.
 *
 * https://cloud.google.com/storage/docs/request-endpoints: a name is one segment of a
 * path, its '/' are %2F. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Whether Google keeps an object of this name, and we can ask for it: UTF-8 of at most
 * 1,024 bytes, no line ends, not "." or "..".
 * https://cloud.google.com/storage/docs/objects#naming */
bool gcs_is_name(const char *name);

/* -EINVAL: no bucket has such a name. */
int gcs_check_bucket(const char *bucket, struct error *ret_error);

/* The endpoint without slashes at its end; "host:port" alone, as STORAGE_EMULATOR_HOST
 * may be, is http. -EINVAL: it is not an address; or tokens would go to another machine
 * by http, where has_credentials. */
int gcs_endpoint(const char *given, bool has_credentials, char **ret_endpoint,
                 struct error *ret_error);

/* ENDPOINT/storage/v1/b/BUCKET/o[/NAME], with "upload" /upload before. */
int gcs_url(struct buffer *out, const char *endpoint, const char *bucket,
            const char *name);
int gcs_upload_url(struct buffer *out, const char *endpoint, const char *bucket);
/* ?key=value, or &key=value behind the first; nothing where value is NULL. */
int gcs_url_add(struct buffer *out, const char *key, const char *value);
int gcs_url_add_number(struct buffer *out, const char *key, uint64_t value);

/* What is kept of the address of an upload in parts: path and query, so that neither a
 * service nor a file on disk can lead our bytes to another host. NULL: it is none. */
const char *gcs_session(const char *location);
/* Whether such a text is one that gcs_session() gave. */
bool gcs_is_session(const char *session);

/* The generation in an entity tag of ours; -EINVAL: it is of another store. */
int gcs_generation(const char *etag, uint64_t *ret_generation);
