/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/azure_errors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this the service takes no signature of an account's key. */
enum { SKEW_MAX_S = 15 * 60 };

#define ROLES "the role Storage Blob Data Contributor (Reader for reads alone)"

struct meaning {
    const char *code;
    int error;
    const char *advice;
};

/* Sorted by what they are about. */
static const struct meaning MEANINGS[] = {
    { "ContainerNotFound", -ENOENT,
      "make it (az storage container create), or correct its name or the account" },
    { "ContainerBeingDeleted", -ENOENT, "its name is free again in about 30 seconds" },
    { "ContainerDisabled", -EACCES, "its owner has disabled it" },
    { "BlobNotFound", -ENOENT, "there is no such object" },
    { "ResourceNotFound", -ENOENT,
      "there is no such object or container, or it is not public and the request was "
      "not signed" },
    { "BlobAlreadyExists", -EEXIST, "there is an object of this name already" },
    { "UnauthorizedBlobOverwrite", -EEXIST,
      "there is an object of this name, and the SAS may create but not write (sp=w)" },
    { "ConditionNotMet", -EEXIST, "the object is another one by now" },
    { "TargetConditionNotMet", -EEXIST, "the object is another one by now" },
    { "InvalidBlockList", -ENOENT,
      "parts of this upload are gone: another upload of this name was finished, or a "
      "week went by; begin it anew" },
    { "InvalidBlobOrBlock", -EIO,
      "another program left unfinished parts under this name: wait until they expire, "
      "or write and delete an object of this name" },
    { "InvalidBlockId", -EIO,
      "another program left unfinished parts with ids of another length under this "
      "name: wait until they expire, or write and delete an object of this name" },
    { "BlockCountExceedsLimit", -EIO,
      "100,000 unfinished parts wait under this name; they expire after a week" },
    { "BlockListTooLong", -EIO,
      "an object has at most 50,000 parts: make them larger" },
    { "RequestBodyTooLarge", -EIO, "send it in parts, or in smaller ones" },
    { "Md5Mismatch", -EBADMSG, "bytes were altered on the way; try again" },
    { "Crc64Mismatch", -EBADMSG, "bytes were altered on the way; try again" },
    { "InvalidRange", -ERANGE, "the range begins behind the object's end" },
    { "BlobArchived", -EIO,
      "the object is in the Archive tier: rehydrate it first (az storage blob set-tier "
      "--tier Hot), which takes hours" },
    { "BlobBeingRehydrated", -EIO,
      "the object comes back from the Archive tier; wait" },
    { "BlobImmutableDueToPolicy", -EROFS,
      "a policy of immutability or a legal hold protects it" },
    { "LeaseIdMissing", -EROFS, "somebody has a lease on it: break the lease first" },
    { "SnapshotsPresent", -EIO,
      "the object has snapshots, which are not deleted with it: delete them first" },
    { "InvalidBlobType", -EIO,
      "an append or page blob of this name is there already: choose another name" },
    { "AccountIsDisabled", -EACCES,
      "the account is disabled, often for an unpaid bill: see the subscription" },
    { "AccountBeingCreated", -EACCES, "the account is still being made; try again" },
    { "InsufficientAccountPermissions", -EROFS,
      "the account takes no writes now: see its state and failover" },
    { "KeyBasedAuthenticationNotPermitted", -EACCES,
      "the account allows no keys and no SAS made with them: use a managed or workload "
      "identity or a client secret" },
    { "AuthorizationPermissionMismatch", -EACCES, NULL },
    { "AuthorizationFailure", -EACCES, NULL },
    { "AuthenticationFailed", -EACCES, NULL },
    { "InvalidAuthenticationInfo", -EACCES, NULL },
    { "NoAuthenticationInformation", -EACCES, NULL },
    { "PublicAccessNotPermitted", -EACCES, NULL },
    { "AuthorizationProtocolMismatch", -EACCES, "the SAS is for https alone" },
    { "AuthorizationSourceIPMismatch", -EACCES,
      "the SAS (sip=) is not for this machine's address" },
    { "AuthorizationResourceTypeMismatch", -EACCES,
      "the account SAS must cover containers and objects (srt=co)" },
    { "AuthorizationServiceMismatch", -EACCES,
      "the account SAS is not for blobs (ss=b)" },
    { "FeatureVersionMismatch", -EIO,
      "the object uses what this version of the interface does not know" },
    { "InvalidResourceName", -EINVAL,
      "a container's name has 3 to 63 lower case letters, digits and single '-'" },
    { "InvalidUri", -EINVAL, "the service cannot have an object of this name" },
    { "ServerBusy", -EIO,
      "the account or object gets more requests than it takes: use fewer at once, or "
      "spread names" },
    { "OperationTimedOut", -EIO, "the service was too slow; try again" },
    { "InternalError", -EIO, "the service failed; try again" },
};

static const struct meaning *find_meaning(const char *code)
{
    for (size_t i = 0; i < ARRAY_SIZE(MEANINGS); i++)
        if (strcmp(MEANINGS[i].code, code) == 0)
            return &MEANINGS[i];
    return NULL;
}

/* ---- read ---- */

/* What stands in a sentence, whatever a stranger sent. */
static void copy_word(char *to, size_t size, const char *text)
{
    size_t n = 0;

    for (; text && *text > ' ' && *text < 127 && n + 1 < size; text++)
        to[n++] = *text;
    to[n] = '\0';
}

void azure_refusal_read(int status, const char *code, const char *request_id,
                        const char *body, size_t len, struct azure_refusal *ret)
{
    struct azure_refusal r = { .status = status };

    azure_said_read(body, len, &r.said);
    if (code)
        copy_word(r.said.code, sizeof(r.said.code), code);
    copy_word(r.request_id, sizeof(r.request_id), request_id);
    *ret = r;
}

bool azure_refusal_is_transient(const struct azure_refusal *r)
{
    return strcmp(r->said.code, "ServerBusy") == 0
           || strcmp(r->said.code, "OperationTimedOut") == 0
           || strcmp(r->said.code, "InternalError") == 0;
}

bool azure_refusal_is_of_key(const struct azure_refusal *r)
{
    return r->status == 401 || strcmp(r->said.code, "AuthenticationFailed") == 0
           || strcmp(r->said.code, "InvalidAuthenticationInfo") == 0;
}

/* ---- said ---- */

static int error_of(const struct azure_refusal *r, const struct meaning *meaning)
{
    if (meaning)
        return meaning->error;
    switch (r->status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EIO;
    case 412:
    case 304:
        return -EEXIST;
    case 416:
        return -ERANGE;
    case 507:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

static const char *advice_key(bool is_right)
{
    return is_right ? "the account's firewall may not let this machine in, or the key "
                      "was rotated: see Networking and Access keys of the account"
                    : "the account key is not this account's: copy it anew (az storage "
                      "account keys list)";
}

/* Wrong keys are told apart by what the service says of them; a firewall answers
 * AuthorizationFailure. */
static const char *advice_auth(const struct azure_refusal *r, enum azure_auth auth)
{
    bool is_right = strcmp(r->said.code, "AuthorizationFailure") == 0;
    bool lacks = strcmp(r->said.code, "AuthorizationPermissionMismatch") == 0;

    switch (auth) {
    case AZURE_AUTH_KEY:
        return advice_key(is_right);
    case AZURE_AUTH_SAS:
        return lacks ? "the SAS lacks a permission (sp=): reading needs r, listing l, "
                       "writing cw, deleting d, tags t"
                     : "the SAS has expired, is not valid yet, is of another container "
                       "or account, or was made with a key that was rotated; or a "
                       "firewall stops it: make a new one";
    case AZURE_AUTH_TOKEN:
        return lacks || is_right ? "give the identity " ROLES
                                   " on the container or account, and look at the "
                                   "account's firewall; "
                                   "a new role takes some minutes"
                                 : "the token is expired, of another tenant or not for "
                                   "https://storage.azure.com: see AZURE_TENANT_ID";
    default:
        return "the container is not public: give an account key, a SAS or an identity";
    }
}

/* Details repeat what was signed, also signatures, except those that explain times,
 * tenants and audiences. */
static const char *safe_detail(const struct azure_said *said)
{
    static const char *const safe[] = {
        "Signature not valid in the specified time frame",
        "Signature fields not well formed",
        "Lifetime validation failed",
        "Issuer validation failed",
        "Audience validation failed",
    };

    for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
        if (strncmp(said->detail, safe[i], strlen(safe[i])) == 0)
            return said->detail;
    return "";
}

static bool is_skewed(const struct azure_refusal *r)
{
    return llabs(r->skew_s) >= SKEW_MAX_S && (r->status == 401 || r->status == 403);
}

int azure_refusal_fail(const struct azure_refusal *r, const struct azure_asked *asked,
                       struct error *ret_error)
{
    const struct meaning *meaning = find_meaning(r->said.code);
    const char *detail = safe_detail(&r->said);
    const char *advice = meaning ? meaning->advice : r->said.message;
    int error = error_of(r, meaning);
    char clock[96] = "";

    if (!r->request_id[0] && !r->said.code[0])
        return fail(ret_error, r->status >= 500 ? -EIO : -EPROTO,
                    "azure %s: HTTP %d without a request id: what answers is not Azure "
                    "Blob, perhaps a proxy; look at the endpoint",
                    asked->verb, r->status);
    if (error == -EACCES && !(meaning && advice))
        advice = advice_auth(r, asked->auth);
    if (is_skewed(r))
        snprintf(clock, sizeof(clock),
                 "this machine's clock is %lld minutes %s: set it; ",
                 llabs(r->skew_s) / 60, r->skew_s > 0 ? "fast" : "slow");
    return fail(ret_error, error,
                "azure %s in %s/%s: %s%s%.160s (HTTP %d, request id %s): %s%s",
                asked->verb, asked->account, asked->container,
                r->said.code[0] ? r->said.code : "no code", *detail ? ": " : "", detail,
                r->status, r->request_id[0] ? r->request_id : "none", clock, advice);
}
