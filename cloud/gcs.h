/* SPDX-License-Identifier: Apache-2.0 */
/* gcs - Google Cloud Storage by its JSON interface, and the keys that open it.
 *
 * gcs_open() is of object_store.h. Of its options it knows bucket, prefix, endpoint,
 * kms_key, storage_class (as the service spells it: "NEARLINE"), tags (kept in the
 * object's own metadata) and account: the project that pays for requests. Without an
 * endpoint it is $STORAGE_EMULATOR_HOST, else https://storage.googleapis.com; private
 * endpoints are named like https://storage-NAME.p.googleapis.com. */
#pragma once

#include "cloud/credentials.h"
#include "cloud/object_store.h"

struct google_credentials_options {
    /* A file of JSON, as the console and gcloud write them: of a service account
     * (RFC 7523), of a user, or of a workload elsewhere (RFC 8693). NULL:
     * $GOOGLE_APPLICATION_CREDENTIALS, else gcloud's own file, else this machine's
     * metadata server. */
    const char *file;
    const char *scope; /* NULL: https://www.googleapis.com/auth/devstorage.read_write */
};

/* "Application default credentials" in Google's order,
 * https://cloud.google.com/docs/authentication/application-default-credentials. Files
 * are read again at each renewal. A file that is named must be there and good: nothing
 * else is tried in its place. The engine is borrowed and must outlive them. */
int google_credentials_open(struct http *http,
                            const struct google_credentials_options *options,
                            struct credentials **ret_credentials,
                            struct error *ret_error);

/* An HMAC pair for the interface that is like S3: $GCS_HMAC_KEY_ID and
 * $GCS_HMAC_SECRET, else gs_access_key_id and gs_secret_access_key of [Credentials] in
 * gsutil's $BOTO_CONFIG or ~/.boto. */
int google_hmac_open(struct http *http, struct credentials **ret_credentials,
                     struct error *ret_error);
