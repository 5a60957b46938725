/* SPDX-License-Identifier: Apache-2.0 */
/* A get, over all its tries: a further one asks for what is missing of the same object,
 * so that no byte is given twice and no two objects are mixed. */
#include "cloud/s3_call.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Up to where in the object, as far as it is known. */
static uint64_t reading_end(const struct s3_reading *r)
{
    uint64_t end = r->len > UINT64_MAX - r->offset ? UINT64_MAX : r->offset + r->len;

    return r->is_known && end > r->about.size ? r->about.size : end;
}

/* The missing bytes, and when none is missing (the answer broke behind its last byte)
 * one that is not given on. */
static int ask_for_rest(struct object_call *call)
{
    struct s3_reading *r = &call->reading;
    uint64_t at = r->offset + r->given, end = reading_end(r);
    char range[64];
    int status = 0;

    if (r->is_known)
        status = s3_call_header(call, "if-match", r->about.etag);
    if (status < 0 || (at == 0 && (end == UINT64_MAX || end == 0)))
        return status;
    if (at >= end)
        at = end ? end - 1 : 0;
    if (end == UINT64_MAX)
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", at);
    else
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, at,
                 end > at ? end - 1 : at);
    return s3_call_header(call, "range", range);
}

static int read_place(const struct http_answer *answer, uint64_t *ret_at,
                      uint64_t *ret_size)
{
    const char *range = http_answer_header(answer, "content-range");
    const char *length = http_answer_header(answer, "content-length");
    uint64_t last;

    *ret_at = 0;
    if (answer->code == 206)
        return range
                       && sscanf(range, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64,
                                 ret_at, &last, ret_size)
                              == 3
                       && *ret_at <= last && last < *ret_size
                   ? 0
                   : -EPROTO;
    return length && sscanf(length, "%" SCNu64, ret_size) == 1 ? 0 : -EPROTO;
}

static int begin_hash(struct s3_reading *r)
{
    EVP_MD_CTX *hash;

    if (!*r->about.sha256 || r->offset || r->len < r->about.size)
        return 0;
    r->hash = hash = EVP_MD_CTX_new();
    return hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

int s3_get_answer(void *arg, const struct http_answer *answer)
{
    struct object_call *call = arg;
    struct s3_reading *r = &call->reading;
    struct object_about about = { .size = 0 };

    if (read_place(answer, &r->whole_at, &about.size) < 0
        || r->whole_at > r->offset + r->given)
        return s3_call_not_s3(call, answer, &call->error);
    s3_about_headers(call, answer, &about);
    /* Of a range the checksum may be that of a part. */
    if (answer->code == 206)
        about.sha256[0] = '\0';
    if (!r->is_known) {
        r->about = about;
        r->is_known = true;
        return begin_hash(r);
    }
    if (about.size != r->about.size || strcmp(about.etag, r->about.etag) != 0)
        return fail(&call->error, -EBADMSG,
                    "'%.80s' was replaced while it was read: read it again",
                    call->name);
    return 0;
}

int s3_get_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct object_call *call = arg;
    struct s3_reading *r = &call->reading;
    uint64_t at = r->whole_at + offset, from = r->offset + r->given;
    uint64_t end = reading_end(r), skip = at < from ? from - at : 0;
    uint64_t n;

    if (skip >= len || from >= end)
        return 0;
    n = len - skip;
    if (n > end - from)
        n = end - from;
    data = (const char *)data + skip;
    if (r->hash && EVP_DigestUpdate(r->hash, data, n) != 1)
        return -ENOMEM;
    r->given += n;
    return r->on_data(call->arg, r->given - n, data, n);
}

/* What was read is what was sent once. */
static int check_whole(struct object_call *call, struct error *ret_error)
{
    struct s3_reading *r = &call->reading;
    uint8_t hash[ENCODE_SHA256];
    char hex[ENCODE_SHA256_HEX];

    if (r->offset + r->given != reading_end(r))
        return fail(ret_error, -EBADMSG, "'%.80s' ended %" PRIu64 " bytes early",
                    call->name, reading_end(r) - r->offset - r->given);
    if (!r->hash)
        return 0;
    if (EVP_DigestFinal_ex(r->hash, hash, NULL) != 1)
        return -ENOMEM;
    encode_hex(hash, sizeof(hash), hex);
    if (strcmp(hex, r->about.sha256) == 0)
        return 0;
    return fail(ret_error, -EBADMSG,
                "'%.80s' is damaged: its SHA-256 is %.16s... and not %.16s..., which "
                "was stored with it",
                call->name, hex, r->about.sha256);
}

/* Only of an object without bytes not even the first one can be had: that is no error,
 * it is all of it. */
static bool is_empty_whole(const struct object_call *call,
                           const struct http_answer *answer)
{
    const struct s3_reading *r = &call->reading;

    return answer->code == 416 && r->offset == 0 && r->given == 0;
}

static void finish_get(struct object_call *call, int status,
                       const struct http_answer *answer, const struct error *error)
{
    struct error why = { "" };

    if (status == 0 && is_empty_whole(call, answer)) {
        s3_about_headers(call, answer, &call->reading.about);
    } else {
        status = s3_call_judge(call, status, answer, error, &why);
        if (status == 0)
            status = check_whole(call, &why);
    }
    s3_call_over(call);
    call->done(call->arg, status, status < 0 ? NULL : &call->reading.about, &why);
}

int s3_get(struct object_store *s, const struct object_get *get, object_done_fn *done,
           void *arg, struct object_call **ret_call)
{
    CLEANUP(s3_call_freep) struct object_call *call = NULL;
    int status =
        s3_call_new((struct s3_store *)s, "GET", get->name, finish_get, arg, &call);

    if (status < 0)
        return status;
    call->done = done;
    call->on_try = ask_for_rest;
    call->is_conditional_get = true;
    call->reading.on_data = get->on_data;
    call->reading.offset = get->offset;
    call->reading.len = get->len;
    if (get->if_match)
        status = s3_call_header(call, "if-match", get->if_match);
    if (status == 0)
        status = s3_call_own_header(call, "checksum-mode", "ENABLED");
    return status < 0 ? status : s3_call_take(TAKE(call), ret_call);
}
