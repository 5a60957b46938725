/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/s3.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cloud/s3_call.h"

/* ---- put ---- */

static void tell(struct object_call *call, int status, const struct object_about *about,
                 const struct error *why)
{
    s3_call_over(call);
    call->done(call->arg, status, status < 0 ? NULL : about, why);
}

/* A further try finds an object in the way: perhaps the one of the first. */
static void finish_whose(struct object_call *call, int status,
                         const struct http_answer *answer,
                         const struct error *error UNUSED)
{
    status = s3_call_whose(call, status, answer);
    if (status == 0)
        s3_about_headers(call, answer, &call->about);
    tell(call, status, &call->about, &call->error);
}

static int check_put(struct object_call *call, const struct http_answer *answer,
                     struct error *ret_error)
{
    const char *checksum = s3_answer_header(call, answer, "checksum-sha256");

    s3_about_headers(call, answer, &call->about);
    if (!*call->about.etag)
        return s3_call_not_s3(call, answer, ret_error);
    if (checksum && strcmp(checksum, call->checksum) != 0)
        return fail(ret_error, -EBADMSG,
                    "the store got other bytes of '%.80s' than were sent: put it again",
                    call->name);
    return s3_call_check_encryption(call, answer, ret_error);
}

static void finish_put(struct object_call *call, int status,
                       const struct http_answer *answer, const struct error *error)
{
    struct error why = { "" };
    bool is_answered = status == 0;

    status = s3_call_judge(call, status, answer, error, &why);
    if (is_answered && status == -EEXIST && answer->tries > 1 && *call->checksum
        && s3_call_ask_whose(call, finish_whose, status, &why) == 0)
        return;
    if (status == 0)
        status = check_put(call, answer, &why);
    tell(call, status, &call->about, &why);
}

static int set_put(struct object_call *call, const struct object_put *put)
{
    int status = s3_call_body(call, &put->body, put->sha256, true);

    if (status == 0)
        status = s3_call_new_object(call, put->content_type);
    if (status == 0 && put->is_if_absent)
        status = s3_call_if_absent(call);
    if (status == 0 && put->if_match && call->store->address.dialect != SIGV4_AWS)
        status = -EINVAL; /* Google would pass it over */
    if (status == 0 && put->if_match)
        status = s3_call_header(call, "if-match", put->if_match);
    call->about.size = put->body.len;
    return status;
}

static int s3_put(struct object_store *s, const struct object_put *put,
                  object_done_fn *done, void *arg, struct object_call **ret_call)
{
    CLEANUP(s3_call_freep) struct object_call *call = NULL;
    int status =
        s3_call_new((struct s3_store *)s, "PUT", put->name, finish_put, arg, &call);

    if (status == 0) {
        call->done = done;
        status = set_put(call, put);
    }
    return status < 0 ? status : s3_call_take(TAKE(call), ret_call);
}

/* ---- head ---- */

/* HEAD's answers have no body, and so no reason: a get of one byte has. */
static void finish_reason(struct object_call *call, int status,
                          const struct http_answer *answer,
                          const struct error *error UNUSED)
{
    struct error why;
    int reason = 0;

    if (status == 0) {
        const struct error kept = call->error;

        reason = s3_call_judge(call, status, answer, &kept, &why);
    }
    if (reason < 0 && reason != -ERANGE)
        tell(call, reason, NULL, &why);
    else
        tell(call, status == -ECANCELED ? status : call->refused, NULL, &call->error);
}

static int ask_reason(struct object_call *call, int refused, const struct error *why)
{
    int status;

    call->refused = refused;
    call->error = *why;
    call->finish = finish_reason;
    s3_call_clear(call, "GET");
    status = s3_call_header(call, "range", "bytes=0-0");
    return status < 0 ? status : s3_call_start(call);
}

static void finish_head(struct object_call *call, int status,
                        const struct http_answer *answer, const struct error *error)
{
    const char *length;
    struct error why = { "" };
    bool is_unexplained = status == 0 && (answer->code == 400 || answer->code == 403)
                          && !http_answer_header(answer, "x-minio-error-code");

    status = s3_call_judge(call, status, answer, error, &why);
    if (is_unexplained && ask_reason(call, status, &why) == 0)
        return;
    if (status == 0) {
        length = http_answer_header(answer, "content-length");
        s3_about_headers(call, answer, &call->about);
        if (!length || sscanf(length, "%" SCNu64, &call->about.size) != 1)
            status = s3_call_not_s3(call, answer, &why);
    }
    tell(call, status, &call->about, &why);
}

static int s3_head(struct object_store *s, const char *name, object_done_fn *done,
                   void *arg, struct object_call **ret_call)
{
    CLEANUP(s3_call_freep) struct object_call *call = NULL;
    int status =
        s3_call_new((struct s3_store *)s, "HEAD", name, finish_head, arg, &call);

    if (status == 0) {
        call->done = done;
        status = s3_call_own_header(call, "checksum-mode", "ENABLED");
    }
    return status < 0 ? status : s3_call_take(TAKE(call), ret_call);
}

/* ---- list ---- */

static void finish_list(struct object_call *call, int status,
                        const struct http_answer *answer, const struct error *error)
{
    CLEANUP(s3_listing_release) struct s3_listing l = { .entries = NULL };
    struct error why = { "" };

    status = s3_call_judge(call, status, answer, error, &why);
    if (status == 0
        && s3_read_listing(answer->body.data, answer->body.len, call->store->prefix, &l)
               < 0)
        status = s3_call_unexpected(call, answer, &why);
    s3_call_over(call);
    call->listed(call->arg, status, l.entries, l.n, l.next, &why);
}

static int set_list(struct object_call *call, const struct object_list *list)
{
    CLEANUP(buffer_release) struct buffer prefix = BUFFER_INIT;
    const char delimiter[2] = { list->delimiter, '\0' };
    char max[16];
    int status = s3_call_param(call, "list-type", "2");

    buffer_printf(&prefix, "%s%s", call->store->prefix,
                  list->prefix ? list->prefix : "");
    snprintf(max, sizeof(max), "%u",
             list->max && list->max < OBJECT_LIST_MAX ? list->max
                                                      : (uint32_t)OBJECT_LIST_MAX);
    if (status == 0)
        status = s3_call_param(call, "encoding-type", "url");
    if (status == 0)
        status = s3_call_param(call, "max-keys", max);
    if (status == 0 && prefix.len)
        status = s3_call_param(call, "prefix", buffer_text(&prefix));
    if (status == 0 && list->delimiter)
        status = s3_call_param(call, "delimiter", delimiter);
    if (status == 0 && list->after)
        status = s3_call_param(call, "continuation-token", list->after);
    return status < 0 ? status : buffer_failed(&prefix);
}

static int s3_list(struct object_store *s, const struct object_list *list,
                   object_listed_fn *listed, void *arg, struct object_call **ret_call)
{
    CLEANUP(s3_call_freep) struct object_call *call = NULL;
    int status =
        s3_call_new((struct s3_store *)s, "GET", NULL, finish_list, arg, &call);

    if (status == 0) {
        call->listed = listed;
        status = set_list(call, list);
    }
    return status < 0 ? status : s3_call_take(TAKE(call), ret_call);
}

/* ---- remove ---- */

static void finish_remove(struct object_call *call, int status,
                          const struct http_answer *answer, const struct error *error)
{
    struct error why = { "" };
    struct s3_fault fault;
    bool is_gone = status == 0 && answer->code == 404
                   && s3_call_fault(answer, &fault) == 0
                   && strcmp(fault.code, "NoSuchKey") == 0;

    status = is_gone ? 0 : s3_call_judge(call, status, answer, error, &why);
    tell(call, status, &call->about, &why);
}

static int s3_remove(struct object_store *s, const char *name, object_done_fn *done,
                     void *arg, struct object_call **ret_call)
{
    struct object_call *call;
    int status =
        s3_call_new((struct s3_store *)s, "DELETE", name, finish_remove, arg, &call);

    if (status < 0)
        return status;
    call->done = done;
    return s3_call_take(call, ret_call);
}

/* ---- the store ---- */

static void s3_cancel(struct object_call *call)
{
    http_cancel(call->http);
}

static void release_store(struct s3_store *s)
{
    s3_address_release(&s->address);
    free(s->prefix);
    free(s->encryption);
    free(s->kms_key);
    free(s->storage_class);
    free(s->tags);
    free(s);
}

static void release_storep(struct s3_store **s)
{
    if (*s)
        release_store(*s);
}

static void s3_free(struct object_store *base)
{
    struct s3_store *s = (struct s3_store *)base;

    if (!s)
        return;
    while (s->calls)
        s3_call_abandon(s->calls);
    release_store(s);
}

static const struct object_store_class S3 = {
    .scheme = "s3",
    .put = s3_put,
    .get = s3_get,
    .head = s3_head,
    .list = s3_list,
    .remove = s3_remove,
    .upload = s3_upload,
    .cancel = s3_cancel,
    .free = s3_free,
};

static int check_options(const struct object_store_options *o, struct error *ret_error)
{
    static const char *const known[] = { "AES256", "aws:kms", "aws:kms:dsse" };
    bool is_known = !o->encryption;

    if (o->account)
        return fail(ret_error, -EINVAL, "a store of S3 has no account");
    for (size_t i = 0; i < ARRAY_SIZE(known) && !is_known; i++)
        is_known = strcmp(o->encryption, known[i]) == 0;
    if (!is_known)
        return fail(ret_error, -EINVAL,
                    "encryption '%.40s' is not AES256, aws:kms or aws:kms:dsse",
                    o->encryption);
    if (o->kms_key && (!o->encryption || strcmp(o->encryption, "AES256") == 0))
        return fail(ret_error, -EINVAL, "kms_key goes with encryption: aws:kms");
    if (o->region
        && (!*o->region || strlen(o->region) >= 64
            || strspn(o->region, "abcdefghijklmnopqrstuvwxyz0123456789-"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.")
                   != strlen(o->region)))
        return fail(ret_error, -EINVAL, "region '%.64s' cannot be one", o->region);
    return 0;
}

static int copy_option(const char *text, char **to)
{
    if (!text)
        return 0;
    *to = strdup(text);
    return *to ? 0 : -ENOMEM;
}

static int copy_options(struct s3_store *s, const struct object_store_options *o)
{
    const char *usual = s->address.dialect == SIGV4_GOOGLE ? "auto" : "us-east-1";

    snprintf(s->region, sizeof(s->region), "%s", o->region ? o->region : usual);
    s->tries_max = o->tries_max;
    if (copy_option(o->prefix ? o->prefix : "", &s->prefix) < 0
        || copy_option(o->encryption, &s->encryption) < 0
        || copy_option(o->kms_key, &s->kms_key) < 0
        || copy_option(o->storage_class, &s->storage_class) < 0
        || copy_option(o->tags, &s->tags) < 0)
        return -ENOMEM;
    return 0;
}

int s3_open(struct http *http, struct credentials *credentials,
            const struct object_store_options *options, struct object_store **ret_store,
            struct error *ret_error)
{
    CLEANUP(release_storep) struct s3_store *s = calloc(1, sizeof(*s));
    int status = s ? check_options(options, ret_error) : -ENOMEM;

    if (status == 0)
        status = s3_address_init(&s->address, options, ret_error);
    if (status == 0)
        status = copy_options(s, options);
    if (status == -ENOMEM)
        return fail(ret_error, -ENOMEM, "no memory is left for a store");
    if (status < 0)
        return status;
    s->base.class = &S3;
    s->http = http;
    s->credentials = credentials;
    *ret_store = &TAKE(s)->base;
    return 0;
}

void s3_set_clock(struct object_store *base, int64_t (*now_s)(void *arg), void *arg)
{
    struct s3_store *s = (struct s3_store *)base;

    s->now_s = now_s;
    s->now_arg = arg;
}
