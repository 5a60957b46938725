/* SPDX-License-Identifier: Apache-2.0 */
/* gcs_errors - what Google refuses with, as an errno and a sentence that helps. Pure.
 *
 * https://cloud.google.com/storage/docs/json_api/v1/status-codes, and RFC 6749, 5.2 for
 * the servers of tokens. */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"

enum { GCS_REASON_MAX = 64, GCS_MESSAGE_MAX = 256 };

/* What an error's body says; "" where it says nothing. One line, no control
 * characters. */
struct gcs_refusal {
    char reason[GCS_REASON_MAX]; /* "rateLimitExceeded", of tokens "invalid_grant" */
    char message[GCS_MESSAGE_MAX];
};

/* Of any body: JSON of the interface, JSON of a token server, XML, text or nothing. */
void gcs_refusal_read(const char *body, size_t len, struct gcs_refusal *ret_refusal);

/* Whether the same request may be answered better a little later, though its status is
 * not one of those that say so. */
bool gcs_is_transient(int code, const struct gcs_refusal *refusal);

/* Of a 404: whether it is the bucket that is not there. */
bool gcs_says_bucket_missing(const struct gcs_refusal *refusal);

struct gcs_refused {
    const char *verb; /* "write", "read", "list", ...: what could not be done */
    const char *bucket, *name; /* name NULL: the bucket itself was asked for */
    int code;
    const char *request_id; /* X-GUploader-UploadID; NULL: none was sent */
};

/* The errno of object_store.h for such an answer, and its sentence. */
int gcs_refused(const struct gcs_refused *what, const struct gcs_refusal *refusal,
                struct error *ret_error);

/* The same of a token server; `from` says whose key it was. -EACCES, or -EIO where the
 * server itself failed. */
int google_token_refused(const char *from, int code, const struct gcs_refusal *refusal,
                         struct error *ret_error);
