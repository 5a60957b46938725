/* SPDX-License-Identifier: Apache-2.0 */
/* azure_errors - what a refusal of Azure Blob means, and the way out of it. Pure.
 *
 * https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cloud/azure_xml.h"

/* How the request was signed, which decides what to look at. */
enum azure_auth {
    AZURE_AUTH_NONE = 1,
    AZURE_AUTH_KEY,
    AZURE_AUTH_SAS,
    AZURE_AUTH_TOKEN,
};

struct azure_refusal {
    int status; /* of HTTP */
    struct azure_said said;
    char request_id[64]; /* "": it is not the service that answered */
    int64_t skew_s;      /* this machine's clock before the service's; 0: as it is */
};

/* `code` is the header x-ms-error-code, `request_id` x-ms-request-id; NULL: not there.
 * The header is what an answer to HEAD has alone. */
void azure_refusal_read(int status, const char *code, const char *request_id,
                        const char *body, size_t len, struct azure_refusal *ret);

struct azure_asked {
    const char *verb; /* "put", "get", ... */
    const char *account, *container;
    enum azure_auth auth;
};

/* The errno of object_store.h, with a sentence that has the service's code and request
 * id. */
int azure_refusal_fail(const struct azure_refusal *refusal,
                       const struct azure_asked *asked, struct error *ret_error);

/* A code of a request that may go well the next time with the same key. */
bool azure_refusal_is_transient(const struct azure_refusal *refusal);

/* The key or token was not taken, and another one may be. */
bool azure_refusal_is_of_key(const struct azure_refusal *refusal);
