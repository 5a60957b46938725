/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cloud/gcs_internal.h"

/* ---- its life ---- */

static void unref_call(struct object_call *call)
{
    if (--call->refs > 0)
        return;
    if (call->token)
        sodium_memzero(call->token, strlen(call->token));
    free(call->token);
    free(call->name);
    if (call->release)
        call->release(call);
    buffer_release(&call->url);
    buffer_release(&call->body);
    free(call);
}

int gcs_call_new(struct gcs_store *s, const char *verb, const char *name, void *arg,
                 struct object_call **ret_call)
{
    struct object_call *call = calloc(1, sizeof(*call));

    if (!call)
        return -ENOMEM;
    call->refs = 1;
    if (name && asprintf(&call->name, "%s%s", s->prefix, name) < 0)
        call->name = NULL;
    if (name && !call->name) {
        unref_call(call);
        return -ENOMEM;
    }
    if (name && (!*name || !gcs_is_name(call->name))) {
        unref_call(call);
        return -EINVAL;
    }
    call->store = s;
    call->verb = verb;
    call->arg = arg;
    call->next = s->calls;
    if (s->calls)
        s->calls->prev = call;
    s->calls = call;
    *ret_call = call;
    return 0;
}

static void unlink_call(struct object_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->store->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    call->store = NULL;
}

void gcs_call_drop(struct object_call *call)
{
    unlink_call(call);
    unref_call(call);
}

/* Whoever is told may close the store: it is not looked at again. */
void gcs_end(struct object_call *call, int status, const struct object_about *about,
             const struct error *error)
{
    unlink_call(call);
    if (call->done)
        call->done(call->arg, status, status < 0 ? NULL : about, error);
    else if (call->listed)
        call->listed(call->arg, status, NULL, 0, NULL, error);
    else
        call->uploaded(call->arg, status, NULL, error);
    unref_call(call);
}

void gcs_end_upload(struct object_call *call, const struct object_uploaded *uploaded)
{
    unlink_call(call);
    call->uploaded(call->arg, 0, uploaded, NULL);
    unref_call(call);
}

void gcs_end_list(struct object_call *call, const struct object_entry *entries,
                  size_t n, const char *next)
{
    unlink_call(call);
    call->listed(call->arg, 0, entries, n, next, NULL);
    unref_call(call);
}

void gcs_abandon(struct object_call *call)
{
    struct error error;

    fail(&error, -ECANCELED, "the store is closed");
    if (call->http)
        http_cancel(call->http);
    gcs_end(call, -ECANCELED, NULL, &error);
}

void gcs_fail(struct object_call *call, int status, const char *format, ...)
{
    struct error error;
    va_list args;

    va_start(args, format);
    vsnprintf(error.text, sizeof(error.text), format, args);
    va_end(args);
    gcs_end(call, status, NULL, &error);
}

/* ---- what the service refuses ---- */

static const char *request_id(const struct http_answer *answer)
{
    return http_answer_header(answer, "X-GUploader-UploadID");
}

void gcs_end_refused(struct object_call *call, const struct http_answer *answer)
{
    const struct gcs_refused what = {
        .verb = call->verb,
        .bucket = call->store->bucket,
        .name = call->name,
        .code = answer->code,
        .request_id = request_id(answer),
    };
    struct gcs_refusal refusal;
    struct error error;
    int status;

    gcs_refusal_read(buffer_text(&answer->body), answer->body.len, &refusal);
    status = gcs_refused(&what, &refusal, &error);
    gcs_end(call, status, NULL, &error);
}

bool gcs_is_bucket_missing(const struct http_answer *answer)
{
    struct gcs_refusal refusal;

    gcs_refusal_read(buffer_text(&answer->body), answer->body.len, &refusal);
    return gcs_says_bucket_missing(&refusal);
}

bool gcs_take_object(struct object_call *call, const struct http_answer *answer,
                     struct gcs_object *ret_object)
{
    struct error error;
    int r;

    if (!gcs_is_good(answer)) {
        gcs_end_refused(call, answer);
        return false;
    }
    r = gcs_json_object(buffer_text(&answer->body), answer->body.len, ret_object,
                        &error);
    if (r < 0)
        gcs_end(call, r, NULL, &error);
    return r == 0;
}

/* ---- requests ---- */

static int add_token(struct object_call *call, struct http_try *t, const char *token)
{
    CLEANUP(freep) char *header = NULL;
    int r;

    free(call->token);
    call->token = strdup(token);
    if (!call->token || asprintf(&header, "Bearer %s", token) < 0)
        return -ENOMEM;
    r = http_try_header(t, "Authorization", header);
    sodium_memzero(header, strlen(header));
    return r;
}

static void on_key(void *arg, int status, const struct credential *key,
                   const struct error *error)
{
    static const struct error no_token = {
        "Google's JSON interface wants a token: HMAC keys are for the other one"
    };
    struct object_call *call = arg;
    struct http_try *t = TAKE(call->waiting);

    if (status == 0 && !key->token) {
        status = -EACCES;
        error = &no_token;
    }
    if (status == 0)
        status = add_token(call, t, key->token);
    http_try_go(t, status, error);
    unref_call(call);
}

static int on_prepare(void *arg, struct http_try *t, struct error *ret_error)
{
    struct object_call *call = arg;
    int r = call->adorn ? call->adorn(call, t, ret_error) : 0;

    if (r < 0 || !call->store->credentials || call->is_unsigned)
        return r;
    call->waiting = t;
    call->refs++;
    credentials_get(call->store->credentials, on_key, call);
    return HTTP_LATER;
}

static bool is_transient(void *arg, const struct http_answer *answer)
{
    struct object_call *call = arg;
    struct gcs_refusal refusal;

    if (answer->code == 401)
        return call->token && call->store->credentials
               && credentials_refused(call->store->credentials, call->token);
    gcs_refusal_read(buffer_text(&answer->body), answer->body.len, &refusal);
    return gcs_is_transient(answer->code, &refusal);
}

static void on_done(void *arg, int status, const struct http_answer *answer,
                    const struct error *error)
{
    struct object_call *call = arg;

    call->http = NULL;
    if (call->store && status < 0) {
        gcs_end(call, status, NULL, error);
    } else if (call->store) {
        call->tries = answer->tries;
        call->answered(call, answer);
    }
    unref_call(call);
}

int gcs_aim(struct object_call *call)
{
    struct gcs_store *s = call->store;

    buffer_clear(&call->url);
    gcs_url(&call->url, s->endpoint, s->bucket, call->name);
    return gcs_url_add(&call->url, "userProject", s->payer);
}

int gcs_send(struct object_call *call, struct http_request *request,
             void (*answered)(struct object_call *, const struct http_answer *))
{
    int r;

    if (buffer_failed(&call->url) || buffer_failed(&call->body))
        return -ENOMEM;
    request->url = buffer_text(&call->url);
    request->repeat = HTTP_REPEAT;
    request->tries_max = call->store->tries_max;
    request->store = GCS_STORE;
    request->prepare = on_prepare;
    request->is_transient = is_transient;
    request->done = on_done;
    request->arg = call;
    call->answered = answered;
    r = http_start(call->store->http, request, &call->http);
    if (r == 0)
        call->refs++;
    return r;
}

void gcs_send_on(struct object_call *call, struct http_request *request,
                 void (*answered)(struct object_call *, const struct http_answer *))
{
    int r = gcs_send(call, request, answered);

    if (r < 0)
        gcs_fail(call, r, "cannot %s gs://%s: no memory is left for a request",
                 call->verb, call->store->bucket);
}
