/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/gcs_errors.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* ---- what a body says ---- */

/* Cut at a whole character of UTF-8; what a terminal would act upon becomes a space. */
static void copy_line(char *to, size_t size, const char *from, size_t len)
{
    size_t n = min_size(len, size - 1);

    while (n < len && n && ((unsigned char)from[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 127 ? ' ' : from[i];
    while (n && to[n - 1] == ' ')
        n--;
    to[n] = '\0';
}

static void copy_string(char *to, size_t size, const json_t *from)
{
    if (json_is_string(from))
        copy_line(to, size, json_string_value(from), json_string_length(from));
}

/* {"error": {"message": "...", "errors": [{"reason": "..."}], "status": "..."}} of the
 * interface, {"error": "...", "error_description": "..."} of a token server. The
 * details of newer services name the reason better: "BILLING_DISABLED" beside
 * "forbidden". */
static void read_json(const json_t *json, struct gcs_refusal *ret)
{
    const json_t *error = json_object_get(json, "error");
    const json_t *detail = json_array_get(json_object_get(error, "details"), 0);
    const json_t *first = json_array_get(json_object_get(error, "errors"), 0);

    if (json_is_string(error)) {
        copy_string(ret->reason, sizeof(ret->reason), error);
        copy_string(ret->message, sizeof(ret->message),
                    json_object_get(json, "error_description"));
        return;
    }
    copy_string(ret->message, sizeof(ret->message), json_object_get(error, "message"));
    copy_string(ret->reason, sizeof(ret->reason), json_object_get(error, "status"));
    copy_string(ret->reason, sizeof(ret->reason), json_object_get(first, "reason"));
    copy_string(ret->reason, sizeof(ret->reason), json_object_get(detail, "reason"));
}

/* <Code>NoSuchBucket</Code>: of the same service's other interface. */
static void read_element(const char *body, const char *begin, const char *end, char *to,
                         size_t size)
{
    const char *at = strstr(body, begin), *last;

    if (!at)
        return;
    at += strlen(begin);
    last = strstr(at, end);
    if (last)
        copy_line(to, size, at, (size_t)(last - at));
}

void gcs_refusal_read(const char *body, size_t len, struct gcs_refusal *ret_refusal)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(body, len, 0, NULL);
    CLEANUP(freep) char *text = NULL;

    *ret_refusal = (struct gcs_refusal){ .reason = "" };
    if (json) {
        read_json(json, ret_refusal);
        return;
    }
    text = strndup(body, len);
    if (!text)
        return;
    if (text[strspn(text, " \t\r\n")] == '<') {
        read_element(text, "<Code>", "</Code>", ret_refusal->reason, GCS_REASON_MAX);
        read_element(text, "<Message>", "</Message>", ret_refusal->message,
                     GCS_MESSAGE_MAX);
        return;
    }
    copy_line(ret_refusal->message, GCS_MESSAGE_MAX, text, strcspn(text, "\r\n"));
}

static bool is_reason(const struct gcs_refusal *refusal, const char *reason)
{
    return strcasecmp(refusal->reason, reason) == 0;
}

bool gcs_is_transient(int code, const struct gcs_refusal *refusal)
{
    return (code == 403
            && (is_reason(refusal, "rateLimitExceeded")
                || is_reason(refusal, "userRateLimitExceeded")))
           || (code == 409 && is_reason(refusal, "conflict"));
}

/* ---- what it means ---- */

/* The first line that fits decides; a reason of NULL fits any. */
static const struct meaning {
    int code;
    const char *reason;
    int error;
    const char *help;
} meanings[] = {
    { 400, "invalid", -EINVAL, "look at the name, the storage class and the key" },
    { 400, "keyRequired", -EACCES, "the object is encrypted with a key of its writer" },
    { 400, "userProjectMissing", -EACCES,
      "the bucket's reader pays: name the project that does" },
    { 400, NULL, -EINVAL, "the request is not understood" },
    { 401, NULL, -EACCES,
      "the token is not accepted: look at the credentials and at this machine's "
      "clock" },
    { 402, NULL, -EACCES, "the project's account is in arrears: look at its billing" },
    { 403, "accountDisabled", -EACCES,
      "billing is disabled for the project: enable it in the console" },
    { 403, "BILLING_DISABLED", -EACCES,
      "billing is disabled for the project: enable it in the console" },
    { 403, "UserProjectAccountProblem", -EACCES,
      "the project that pays has no working billing account" },
    { 403, "dailyLimitExceeded", -ENOSPC,
      "a quota of the project is reached: raise it" },
    { 403, "quotaExceeded", -ENOSPC, "a quota of the project is reached: raise it" },
    { 403, "rateLimitExceeded", -EACCES,
      "too many requests for a quota of the project: raise it or ask less often" },
    { 403, "userRateLimitExceeded", -EACCES,
      "too many requests for a quota of the project: raise it or ask less often" },
    { 403, "retentionPolicyNotMet", -EROFS,
      "the bucket's retention policy keeps the object for now" },
    { 403, "objectUnderActiveHold", -EROFS, "the object is held: release the hold" },
    { 403, "accessNotConfigured", -EACCES,
      "enable the Cloud Storage interface for the project" },
    { 403, "SERVICE_DISABLED", -EACCES,
      "enable the Cloud Storage interface for the project" },
    { 403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", -EACCES,
      "the machine's or the user's scopes lack devstorage.read_write" },
    { 403, "insufficientPermissions", -EACCES,
      "the machine's or the user's scopes lack devstorage.read_write" },
    { 403, "sslRequired", -EACCES, "use an endpoint with https://" },
    { 403, "insufficientScope", -EACCES,
      "the machine's or the user's scopes lack devstorage.read_write" },
    { 403, NULL, -EACCES,
      "give the account the role Storage Object User on the bucket, and look at VPC "
      "service controls" },
    { 405, NULL, -EPROTO, "look at the endpoint: it may not be Cloud Storage" },
    { 409, NULL, -EIO, "another request changed the same object at once" },
    { 410, NULL, -ENOENT, "the upload has ended or was given up" },
    { 412, "orgPolicyConstraintFailed", -EACCES,
      "a constraint of the organization forbids it" },
    { 412, NULL, -EEXIST, "it is there, or is not the expected one" },
    { 413, NULL, -EINVAL, "an object has at most 5 TiB" },
    { 416, NULL, -ERANGE, "the range begins behind the end" },
    { 429, NULL, -EIO, "the service is asked too much: ask less often" },
};

static const struct meaning *find_meaning(int code, const struct gcs_refusal *refusal)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (meanings[i].code == code
            && (!meanings[i].reason || is_reason(refusal, meanings[i].reason)))
            return &meanings[i];
    return NULL;
}

/* "403 forbidden, request AHxI1nM: mesh@... does not have access" */
static void describe(struct error *ret, int code, const char *request_id,
                     const struct gcs_refusal *refusal)
{
    fail(ret, 0, "%d%s%s%s%.128s%s%s", code, *refusal->reason ? " " : "",
         refusal->reason, request_id ? ", request " : "", request_id ? request_id : "",
         *refusal->message ? ": " : "", refusal->message);
}

/* The name is cut: a sentence has room for 512 bytes. */
static int tell(const struct gcs_refused *what, const char *said, int error,
                const char *help, struct error *ret_error)
{
    return fail(ret_error, error, "cannot %s gs://%.63s%s%.100s: %s (%.300s)",
                what->verb, what->bucket, what->name ? "/" : "",
                what->name ? what->name : "", help, said);
}

/* The interface has one reason for both, "notFound"; its sentence tells. */
bool gcs_says_bucket_missing(const struct gcs_refusal *refusal)
{
    if (strncasecmp(refusal->message, "No such object", 14) == 0)
        return false; /* and then the names of both, which may be anything */
    return is_reason(refusal, "NoSuchBucket") || strcasestr(refusal->message, "bucket");
}

int gcs_refused(const struct gcs_refused *what, const struct gcs_refusal *refusal,
                struct error *ret_error)
{
    const struct meaning *meaning = find_meaning(what->code, refusal);
    struct error said;

    describe(&said, what->code, what->request_id, refusal);
    if (meaning)
        return tell(what, said.text, meaning->error, meaning->help, ret_error);
    if (what->code == 404 && (!what->name || gcs_says_bucket_missing(refusal)))
        return tell(what, said.text, -ENOENT,
                    "there is no such bucket, or the account may not know of it",
                    ret_error);
    if (what->code == 404)
        return tell(what, said.text, -ENOENT, "there is no such object", ret_error);
    if (what->code >= 500)
        return tell(what, said.text, -EIO,
                    "the service failed again and again: try later, and look at "
                    "https://status.cloud.google.com",
                    ret_error);
    return tell(what, said.text, -EPROTO,
                "look at the endpoint and at proxies between: it may not be Cloud "
                "Storage",
                ret_error);
}

static const char *token_help(const struct gcs_refusal *refusal)
{
    if (strcasestr(refusal->message, "signature"))
        return "its private key is not, or no longer, one of the account's";
    if (strcasestr(refusal->message, "expired") || strcasestr(refusal->message, "iat")
        || strcasestr(refusal->message, "short-lived"))
        return "its time is over or not yet come: set this machine's clock, or log in "
               "again";
    if (is_reason(refusal, "invalid_grant"))
        return "it was revoked, its account is gone, or this machine's clock is wrong: "
               "make a new key, or run `gcloud auth application-default login`";
    if (is_reason(refusal, "invalid_client")
        || is_reason(refusal, "unauthorized_client"))
        return "the client of the file is not known: make the file again";
    return "look at the account, its roles and its key";
}

int google_token_refused(const char *from, int code, const struct gcs_refusal *refusal,
                         struct error *ret_error)
{
    struct error said;

    describe(&said, code, NULL, refusal);
    if (code >= 500 || code == 429)
        return fail(ret_error, -EIO, "%s gave no token, try later (%.350s)", from,
                    said.text);
    return fail(ret_error, -EACCES, "%s is not accepted: %s (%.250s)", from,
                token_help(refusal), said.text);
}
