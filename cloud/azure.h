/* SPDX-License-Identifier: Apache-2.0 */
/* azure - who may use Azure Blob here; the store itself is azure_open() of
 * object_store.h.
 *
 * https://learn.microsoft.com/azure/developer/intro/passwordless-overview */
#pragma once

#include "base/error.h"
#include "cloud/credentials.h"
#include "cloud/http.h"

#define AZURE_STORAGE_RESOURCE "https://storage.azure.com"

struct azure_credentials_options {
    /* Which account the keys must be of, as azure_place.h finds it; of no use to
     * identities. */
    const char *account, *endpoint;
    /* What tokens are for; NULL: AZURE_STORAGE_RESOURCE, without keys and SAS for any
     * other. */
    const char *resource;
};

/* What is asked, in this order, until one has something:
 *   AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN
 *   AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET
 *   AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE (workload identity)
 *   IDENTITY_ENDPOINT, IDENTITY_HEADER (App Service, Functions, Container Apps)
 *   the metadata service of a virtual machine; AZURE_POD_IDENTITY_AUTHORITY_HOST in its
 *   place
 * which is how DefaultAzureCredential goes, behind what is of one account alone.
 * AZURE_CLIENT_ID also chooses one of several managed identities. Tokens come from
 * AZURE_AUTHORITY_HOST; nothing secret is sent there, or anywhere else, without TLS but
 * to this machine itself and the link-local metadata service.
 *
 * The environment is read when a key is asked for. The engine is borrowed and must
 * outlive the credentials. */
int azure_credentials_open(struct http *http,
                           const struct azure_credentials_options *options,
                           struct credentials **ret_credentials,
                           struct error *ret_error);
