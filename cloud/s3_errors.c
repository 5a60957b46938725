/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/s3_errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/xml.h"

/* ---- reading ---- */

/* A whole number of characters of UTF-8, and no control characters. */
static void copy_text(char *to, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size) {
        len = size - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
    to[len] = '\0';
}

struct fault_reader {
    struct s3_fault *fault;
    bool is_error;
};

static int on_element(void *arg, enum xml_event event, const char *path,
                      const char *text)
{
    struct fault_reader *r = arg;
    struct s3_fault *f = r->fault;
    const struct {
        const char *path;
        char *to;
        size_t size;
    } fields[] = {
        { "Error/Code", f->code, sizeof(f->code) },
        { "Error/Message", f->message, sizeof(f->message) },
        { "Error/Region", f->region, sizeof(f->region) },
        { "Error/RequestId", f->request_id, sizeof(f->request_id) },
    };

    if (event == XML_BEGIN)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (strcmp(path, fields[i].path) == 0)
            copy_text(fields[i].to, fields[i].size, text);
    }
    if (strcmp(path, "Error") == 0)
        r->is_error = true;
    return 0;
}

int s3_fault_read(const char *body, size_t len, struct s3_fault *ret_fault)
{
    struct s3_fault fault = *ret_fault;
    struct fault_reader r = { .fault = &fault };
    int status;

    if (!len)
        return 0;
    status = xml_read(body, len, on_element, &r);
    if (status < 0)
        return status == -ENOMEM ? status : -EBADMSG;
    if (!r.is_error || !*fault.code)
        return -EBADMSG;
    *ret_fault = fault;
    return 0;
}

/* ---- telling ---- */

struct meaning {
    const char *code; /* ends with '*': all that begin so */
    int status;
    const char *advice;
};

#define KEY_ADVICE \
    "check the key id, and that the endpoint is the service it belongs to"
#define CLOCK_ADVICE "set this machine's clock: timedatectl set-ntp true"
#define FULL_ADVICE "delete what is not needed, or raise the quota"
#define PASSING_ADVICE "the service is overloaded or disturbed: try again later"
#define BYTES_ADVICE "the bytes were altered on the way: try again, look at proxies"
#define KMS_ADVICE "check kms_key, that it is enabled, and the right to use it"

static const struct meaning MEANINGS[] = {
    { "NoSuchKey", -ENOENT, "there is no such object" },
    { "NoSuchBucket", -ENOENT, "make the bucket, or correct its name" },
    { "NoSuchVersion", -ENOENT, "there is no such object" },
    { "NoSuchUpload", -ENOENT, "the upload was finished or aborted: begin it again" },
    { "InvalidBucketName", -ENOENT, "correct the bucket's name" },
    { "AccessDenied", -EACCES,
      "give the key the right to do this: mesh policy s3 prints the rights it needs" },
    { "AllAccessDisabled", -EACCES, "ask the owner of the bucket" },
    { "AccountProblem", -EACCES, "look at the account's state and bills" },
    { "InvalidObjectState", -EACCES, "the object is archived: restore it first" },
    { "SignatureDoesNotMatch", -EACCES,
      "the secret is not that of this key id: set both again, without blanks" },
    { "InvalidAccessKeyId", -EACCES, KEY_ADVICE },
    { "XAdminUserNotFound", -EACCES, KEY_ADVICE },
    { "InvalidSecurity", -EACCES, KEY_ADVICE },
    { "ExpiredToken", -EACCES, "the session has ended: sign in again" },
    { "TokenRefreshRequired", -EACCES, "the session has ended: sign in again" },
    { "InvalidToken*", -EACCES, "the session token is not of this key: sign in again" },
    { "RequestTimeTooSkewed", -EACCES, CLOCK_ADVICE },
    { "RequestExpired", -EACCES, CLOCK_ADVICE },
    { "KMS*", -EACCES, KMS_ADVICE },
    { "XMinioKMS*", -EACCES, KMS_ADVICE },
    { "PreconditionFailed", -EEXIST, "another one is there already" },
    { "ConditionalRequestConflict", -EEXIST,
      "another one is written at the same time" },
    { "InvalidRange", -ERANGE, "the object ends before the range begins" },
    { "BadDigest", -EBADMSG, BYTES_ADVICE },
    { "InvalidDigest", -EBADMSG, BYTES_ADVICE },
    { "XAmzContent*", -EBADMSG, BYTES_ADVICE },
    { "IncompleteBody", -EBADMSG, BYTES_ADVICE },
    { "InvalidPart*", -EBADMSG,
      "a part is not the one that was sent: upload it again" },
    { "QuotaExceeded", -ENOSPC, FULL_ADVICE },
    { "XMinioStorageFull", -ENOSPC, FULL_ADVICE },
    { "XMinioAdminBucketQuotaExceeded", -ENOSPC, FULL_ADVICE },
    { "InsufficientStorage", -ENOSPC, FULL_ADVICE },
    { "XMinioInsufficient*", -ENOSPC, FULL_ADVICE },
    { "ReadOnly*", -EROFS, "the store takes no writes now: try again later" },
    { "EntityTooSmall", -EINVAL, "a part that is not the last has less than 5 MiB" },
    { "EntityTooLarge", -EINVAL, "send it in parts" },
    { "KeyTooLong*", -EINVAL, "shorten the name or the prefix" },
    { "XMinioInvalid*", -EINVAL, "this store does not take such names" },
    { "InvalidStorageClass", -EINVAL, "correct storage_class" },
    { "InvalidTag", -EINVAL, "correct tags" },
    { "InvalidEncryption*", -EINVAL, "correct encryption: AES256 or aws:kms" },
    { "NotImplemented", -EINVAL, "this store cannot do it" },
    { "SlowDown*", -EIO, PASSING_ADVICE },
    { "ServiceUnavailable", -EIO, PASSING_ADVICE },
    { "InternalError", -EIO, PASSING_ADVICE },
    { "OperationAborted", -EIO, PASSING_ADVICE },
    { "RequestTimeout", -EIO, PASSING_ADVICE },
};

/* Where no code was said. */
static const struct {
    int http_code, status;
    const char *advice;
} CODELESS[] = {
    { 403, -EACCES, "the key is not known or has no right to do this" },
    { 404, -ENOENT, "there is no such object or bucket" },
    { 405, -EPROTO, "check that the endpoint is S3's" },
    { 409, -EEXIST, "another one is written at the same time" },
    { 412, -EEXIST, "another one is there already" },
    { 416, -ERANGE, "the object ends before the range begins" },
    { 507, -ENOSPC, FULL_ADVICE },
};

static bool is_meant(const char *pattern, const char *code)
{
    size_t len = strlen(pattern);

    if (pattern[len - 1] == '*')
        return strncmp(pattern, code, len - 1) == 0;
    return strcmp(pattern, code) == 0;
}

static struct meaning meaning_of(const struct s3_fault *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(MEANINGS); i++) {
        if (is_meant(MEANINGS[i].code, f->code))
            return MEANINGS[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(CODELESS); i++) {
        if (CODELESS[i].http_code == f->http_code)
            return (struct meaning){ "", CODELESS[i].status, CODELESS[i].advice };
    }
    if (f->http_code >= 500)
        return (struct meaning){ "", -EIO, PASSING_ADVICE };
    return (struct meaning){ "", -EIO, "see the service's documentation of this code" };
}

static bool is_of_region(const struct s3_fault *f, const struct s3_asked *asked)
{
    return *f->region && strcmp(f->region, asked->region) != 0
           && (f->http_code == 301 || f->http_code == 307 || f->http_code == 400);
}

/* A name is up to 1,024 bytes, which would leave no room for the advice. */
static void tell_place(const struct s3_asked *asked, char *to, size_t size)
{
    char name[96];

    copy_text(name, sizeof(name), asked->name ? asked->name : "");
    snprintf(to, size, "s3://%.63s%s%s%s", asked->bucket, asked->name ? "/" : "", name,
             asked->name && strlen(asked->name) >= sizeof(name) ? "..." : "");
}

static void tell_code(const struct s3_fault *f, char *to, size_t size)
{
    if (*f->code && *f->message)
        snprintf(to, size, "%s (%.120s)", f->code, f->message);
    else if (*f->code)
        snprintf(to, size, "%s", f->code);
    else
        snprintf(to, size, "HTTP status %d without a reason", f->http_code);
}

int s3_fault_tell(const struct s3_fault *fault, const struct s3_asked *asked,
                  struct error *ret_error)
{
    struct meaning m = meaning_of(fault);
    const char *id = *fault->request_id ? fault->request_id : "not told";
    char place[192], code[224];

    tell_place(asked, place, sizeof(place));
    tell_code(fault, code, sizeof(code));
    if (is_of_region(fault, asked))
        return fail(ret_error, -EACCES,
                    "%s: %s: the bucket is in region '%s', not '%s': set region: %s "
                    "(request %s)",
                    place, *fault->code ? fault->code : code, fault->region,
                    asked->region, fault->region, id);
    if (asked->is_conditional_get && m.status == -EEXIST) {
        m.status = -EBADMSG;
        m.advice = "the object is not the one that was expected: it was replaced";
    }
    return fail(ret_error, m.status, "%s: %s: %s (request %s)", place, code, m.advice,
                id);
}

bool s3_fault_is_transient(const struct s3_fault *fault)
{
    static const char *const codes[] = {
        "SlowDown*",      "ServiceUnavailable", "InternalError",
        "RequestTimeout", "OperationAborted",   "ConditionalRequestConflict",
    };

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (is_meant(codes[i], fault->code))
            return true;
    }
    return false;
}

bool s3_fault_is_of_key(const struct s3_fault *fault)
{
    static const char *const codes[] = { "ExpiredToken", "TokenRefreshRequired",
                                         "InvalidToken*", "InvalidAccessKeyId" };

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (is_meant(codes[i], fault->code))
            return true;
    }
    return false;
}
