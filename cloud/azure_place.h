/* SPDX-License-Identifier: Apache-2.0 */
/* azure_place - which account, where, from options, the environment or a connection
 * string. Pure: the environment is an argument.
 *
 * https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"

enum {
    AZURE_ACCOUNT_MAX = 64,
    AZURE_URL_MAX = 512,
    AZURE_CONNECTION_MAX = 8192,
};

/* Texts are the caller's to release; NULL: it does not say. */
struct azure_connection {
    char *account, *key, *sas;
    char *endpoint; /* of blobs, as it says or as its suffix and protocol make it */
};

void azure_connection_release(struct azure_connection *c);

/* "AccountName=...;AccountKey=...", "BlobEndpoint=...;SharedAccessSignature=...", or
 * "UseDevelopmentStorage=true".
 * -EINVAL: the sentence names the field, and no value. */
int azure_connection_read(const char *text, struct azure_connection *ret_connection,
                          struct error *ret_error);

/* Where a variable of the environment comes from; NULL: it is not set. */
typedef const char *azure_env_fn(const char *name);

/* What was asked for by its own name comes before what the environment says:
 * AZURE_STORAGE_ACCOUNT, METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT,
 * AZURE_STORAGE_CONNECTION_STRING. */
struct azure_place_options {
    const char *account, *endpoint; /* NULL: not asked */
    bool is_path_style, is_virtual_host;
};

struct azure_place {
    char account[AZURE_ACCOUNT_MAX];
    char url[AZURE_URL_MAX];  /* of the account, without '/' at its end */
    char host[AZURE_URL_MAX]; /* without its port */
    size_t path;              /* where in url its path begins, or its end */
    bool is_tls, is_loopback;
};

/* https://ACCOUNT.blob.core.windows.net if no endpoint says otherwise. One that has a
 * path has the account in it; one whose host is an address or localhost gets it as its
 * path; any other one is the account's own, as private endpoints are.
 * -EINVAL: no account is named, or the endpoint is no http(s) URL. */
int azure_place_find(const struct azure_place_options *options, azure_env_fn *env,
                     struct azure_place *ret_place, struct error *ret_error);
