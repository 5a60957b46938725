/* SPDX-License-Identifier: Apache-2.0 */
/* azure_token - what Entra ID, the metadata service of virtual machines and that of App
 * Service answer when they are asked for a token. Pure.
 *
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { AZURE_TOKEN_MAX = 16 << 10 };

struct azure_token {
    char *text; /* wiped by azure_token_release() */
    int64_t expires_s;
};

void azure_token_release(struct azure_token *token);

/* Both ways in which they say when it expires: expires_on since 1970, expires_in from
 * now; as numbers and as texts. -EPROTO: not such an answer. */
int azure_token_read(const char *json, size_t len, int64_t now_s,
                     struct azure_token *ret_token, struct error *ret_error);

/* What was asked, in the sentence of a refusal. */
struct azure_token_asked {
    const char *from;   /* "client secret", "managed identity", ... */
    const char *client; /* its id; NULL: none was named */
    const char *tenant;
};

/* -EACCES with the service's own code, request id and the way out; -EIO: it failed;
 * -EPROTO: what answers is no such service. */
int azure_token_refused(int status, const char *json, size_t len,
                        const struct azure_token_asked *asked, struct error *ret_error);
