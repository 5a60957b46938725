/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/gcs_internal.h"

/* ---- head and remove ---- */

static void on_head(struct object_call *call, const struct http_answer *answer)
{
    struct gcs_object object;

    if (gcs_take_object(call, answer, &object))
        gcs_end(call, 0, &object.about, NULL);
}

static void on_removed(struct object_call *call, const struct http_answer *answer)
{
    static const struct object_about nothing = { .size = 0 };

    if (gcs_is_good(answer) || (answer->code == 404 && !gcs_is_bucket_missing(answer)))
        gcs_end(call, 0, &nothing, NULL);
    else
        gcs_end_refused(call, answer);
}

static int ask(struct object_store *store, const char *verb, const char *method,
               const char *name, object_done_fn *done, void *arg,
               void (*answered)(struct object_call *, const struct http_answer *),
               struct object_call **ret_call)
{
    struct gcs_store *s = (struct gcs_store *)store;
    struct http_request request = { .method = method };
    struct object_call *call;
    int r = gcs_call_new(s, verb, name, arg, &call);

    if (r < 0)
        return r;
    call->done = done;
    r = gcs_aim(call);
    if (r == 0)
        r = gcs_send(call, &request, answered);
    if (r < 0)
        gcs_call_drop(call);
    else
        *ret_call = call;
    return r;
}

static int gcs_head(struct object_store *s, const char *name, object_done_fn *done,
                    void *arg, struct object_call **ret_call)
{
    return ask(s, "look at", "GET", name, done, arg, on_head, ret_call);
}

static int gcs_remove(struct object_store *s, const char *name, object_done_fn *done,
                      void *arg, struct object_call **ret_call)
{
    return ask(s, "remove", "DELETE", name, done, arg, on_removed, ret_call);
}

static void gcs_cancel(struct object_call *call)
{
    http_cancel(call->http);
}

/* ---- opening and closing ---- */

static void store_release(struct gcs_store *s)
{
    free(s->endpoint);
    free(s->bucket);
    free(s->prefix);
    free(s->kms_key);
    free(s->storage_class);
    free(s->tags);
    free(s->payer);
    free(s);
}

static void gcs_free(struct object_store *store)
{
    struct gcs_store *s = (struct gcs_store *)store;

    if (!s)
        return;
    while (s->calls)
        gcs_abandon(s->calls);
    store_release(s);
}

static const struct object_store_class GCS = {
    .scheme = "gs",
    .is_in_order = true,
    .put = gcs_put,
    .get = gcs_get,
    .head = gcs_head,
    .list = gcs_list,
    .remove = gcs_remove,
    .upload = gcs_upload,
    .cancel = gcs_cancel,
    .free = gcs_free,
};

static int check_options(const struct object_store_options *o, struct error *ret_error)
{
    static const char *const suffixes[] = { "NEARLINE", "COLDLINE", "ARCHIVE",
                                            "STANDARD" };
    bool is_class = !o->storage_class;

    for (size_t i = 0; !is_class && i < ARRAY_SIZE(suffixes); i++)
        is_class = strcmp(o->storage_class, suffixes[i]) == 0;
    if (!is_class)
        return fail(ret_error, -EINVAL,
                    "storage_class '%.40s' is not one of Google's: STANDARD, NEARLINE, "
                    "COLDLINE, ARCHIVE",
                    o->storage_class);
    if (o->region)
        return fail(ret_error, -EINVAL,
                    "region is none of Google Cloud Storage's options: a bucket knows "
                    "its own");
    if (o->is_virtual_host)
        return fail(ret_error, -EINVAL,
                    "virtual host style is none of Google Cloud Storage's options");
    if (o->encryption && strcmp(o->encryption, "AES256") != 0)
        return fail(ret_error, -EINVAL,
                    "encryption '%.40s' is none of Google Cloud Storage's: name a "
                    "kms_key, or nothing",
                    o->encryption);
    if (o->kms_key && strncmp(o->kms_key, "projects/", 9) != 0)
        return fail(ret_error, -EINVAL,
                    "kms_key '%.80s' is not "
                    "projects/P/locations/L/keyRings/R/cryptoKeys/K",
                    o->kms_key);
    if (o->prefix && *o->prefix
        && (!gcs_is_name(o->prefix) || o->prefix[strlen(o->prefix) - 1] != '/'))
        return fail(ret_error, -EINVAL,
                    "the prefix '%.80s' is not UTF-8 with a / at "
                    "its end",
                    o->prefix);
    return gcs_check_bucket(o->bucket, ret_error);
}

static int copy_option(const char *text, char **ret)
{
    if (!text)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int copy_options(struct gcs_store *s, const struct object_store_options *o)
{
    if (copy_option(o->bucket, &s->bucket) < 0
        || copy_option(o->prefix ? o->prefix : "", &s->prefix) < 0
        || copy_option(o->kms_key, &s->kms_key) < 0
        || copy_option(o->storage_class, &s->storage_class) < 0
        || copy_option(o->tags, &s->tags) < 0 || copy_option(o->account, &s->payer) < 0)
        return -ENOMEM;
    s->tries_max = o->tries_max;
    return 0;
}

int gcs_open(struct http *http, struct credentials *credentials,
             const struct object_store_options *options,
             struct object_store **ret_store, struct error *ret_error)
{
    const char *endpoint = options->endpoint;
    struct gcs_store *s;
    int r = check_options(options, ret_error);

    if (r < 0)
        return r;
    if (!endpoint)
        endpoint = getenv("STORAGE_EMULATOR_HOST");
    if (!endpoint || !*endpoint)
        endpoint = "https://storage.googleapis.com";
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->base.class = &GCS;
    s->http = http;
    s->credentials = credentials;
    r = copy_options(s, options);
    if (r == 0)
        r = gcs_endpoint(endpoint, credentials != NULL, &s->endpoint, ret_error);
    if (r < 0) {
        store_release(s);
        return r;
    }
    *ret_store = &s->base;
    return 0;
}
