/* SPDX-License-Identifier: Apache-2.0 */
/* Azure Blob as an object store: opened, asked about, deleted from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cloud/azure_store.h"

/* ---- head and remove ---- */

static void on_head(struct object_call *c, int status, const struct http_answer *a,
                    const struct error *error)
{
    if (status == 0)
        azure_about_read(a, &c->about);
    azure_finish_done(c, status, error);
}

/* One that is gone is removed; a container that is not there is an error. */
static void on_removed(struct object_call *c, int status, const struct http_answer *a,
                       const struct error *error)
{
    const char *code =
        status == -ENOENT ? http_answer_header(a, "x-ms-error-code") : NULL;

    azure_finish_done(c, code && strcmp(code, "BlobNotFound") == 0 ? 0 : status, error);
}

static int ask(struct object_store *base, const char *name, bool is_head,
               object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct azure_store *s = CONTAINER_OF(base, struct azure_store, base);
    struct object_call *c;
    int r = azure_call_new(s, is_head ? "head" : "delete", name, &c);

    if (r < 0)
        return r;
    c->done = done;
    c->arg = arg;
    c->answered = is_head ? on_head : on_removed;
    azure_ask(c, is_head ? "HEAD" : "DELETE");
    r = azure_send(c);
    if (r < 0) {
        azure_call_drop(c);
        return r;
    }
    *ret_call = c;
    return 0;
}

static int azure_head(struct object_store *base, const char *name, object_done_fn *done,
                      void *arg, struct object_call **ret_call)
{
    return ask(base, name, true, done, arg, ret_call);
}

static int azure_remove(struct object_store *base, const char *name,
                        object_done_fn *done, void *arg, struct object_call **ret_call)
{
    return ask(base, name, false, done, arg, ret_call);
}

/* ---- the store ---- */

static void azure_free(struct object_store *base)
{
    struct azure_store *s;

    if (!base)
        return;
    s = CONTAINER_OF(base, struct azure_store, base);
    while (s->calls)
        azure_call_end(s->calls);
    free(s->container);
    free(s->prefix);
    free(s->scope);
    free(s->tags);
    free(s);
}

static const struct object_store_class CLASS = {
    .scheme = "azure",
    .put = azure_put,
    .get = azure_get,
    .head = azure_head,
    .list = azure_list,
    .remove = azure_remove,
    .upload = azure_upload,
    .cancel = azure_cancel,
    .free = azure_free,
};

/* ---- its options ---- */

static bool is_container(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (name && (strcmp(name, "$root") == 0 || strcmp(name, "$web") == 0))
        return true;
    return len >= 3 && len <= 63
           && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len
           && name[0] != '-' && name[len - 1] != '-' && !strstr(name, "--");
}

/* NULL: there is no such tier. */
static const char *find_tier(const char *text)
{
    static const char *const tiers[] = { "Hot", "Cool", "Cold", "Archive" };

    for (size_t i = 0; i < ARRAY_SIZE(tiers); i++)
        if (strcasecmp(tiers[i], text) == 0)
            return tiers[i];
    return NULL;
}

static bool is_scope(const char *text)
{
    size_t len = strlen(text);

    return len >= 3 && len <= 63
           && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789-")
                  == len;
}

/* Whatever is stored is encrypted, as AES256 asks; a scope says with which key. */
static const char *scope_of(const struct object_store_options *o)
{
    return o->encryption && strcmp(o->encryption, "AES256") != 0 ? o->encryption : NULL;
}

/* As in a query: "project=mesh&team=a". */
static bool is_tags(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at > 126)
            return false;
    return strlen(text) <= 4096 && strchr(text, '=');
}

static int check_options(const struct object_store_options *o, struct error *ret_error)
{
    if (!is_container(o->bucket))
        return fail(
            ret_error, -EINVAL,
            "'%.80s' cannot be a container of Azure: 3 to 63 lower case letters, "
            "digits and single '-'",
            o->bucket ? o->bucket : "");
    if (o->kms_key)
        return fail(ret_error, -EINVAL,
                    "kms_key: Azure has keys in encryption scopes: make one with that "
                    "key, and name it as `encryption`");
    if (o->region)
        return fail(ret_error, -EINVAL,
                    "region: Azure takes none: it belongs to the account");
    if (scope_of(o) && !is_scope(o->encryption))
        return fail(
            ret_error, -EINVAL,
            "encryption: '%.80s' is neither AES256 nor the name of an encryption "
            "scope of Azure",
            o->encryption);
    if (o->storage_class && !find_tier(o->storage_class))
        return fail(ret_error, -EINVAL,
                    "storage_class: '%.80s' is not a tier of Azure: Hot, Cool, Cold or "
                    "Archive",
                    o->storage_class);
    if (o->tags && !is_tags(o->tags))
        return fail(ret_error, -EINVAL,
                    "tags: write them as NAME=VALUE&NAME=VALUE, encoded as in a URL");
    return 0;
}

static int copy_option(const char *text, char **ret)
{
    *ret = text && *text ? strdup(text) : NULL;
    return text && *text && !*ret ? -ENOMEM : 0;
}

static int copy_options(struct azure_store *s, const struct object_store_options *o)
{
    s->prefix = strdup(o->prefix ? o->prefix : "");
    s->tier = o->storage_class ? find_tier(o->storage_class) : NULL;
    s->tries_max = o->tries_max;
    return !s->prefix || copy_option(o->bucket, &s->container) < 0
                   || copy_option(scope_of(o), &s->scope) < 0
                   || copy_option(o->tags, &s->tags) < 0
               ? -ENOMEM
               : 0;
}

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

int azure_open(struct http *http, struct credentials *credentials,
               const struct object_store_options *o, struct object_store **ret_store,
               struct error *ret_error)
{
    const struct azure_place_options where = { .account = o->account,
                                               .endpoint = o->endpoint,
                                               .is_path_style = o->is_path_style,
                                               .is_virtual_host = o->is_virtual_host };
    struct azure_store *s;
    int r = check_options(o, ret_error);

    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->base.class = &CLASS;
    s->http = http;
    s->credentials = credentials;
    r = azure_place_find(&where, env, &s->place, ret_error);
    if (r == 0)
        r = copy_options(s, o);
    if (r < 0) {
        azure_free(&s->base);
        return r;
    }
    *ret_store = &s->base;
    return 0;
}
