/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cloud/aws.h"
#include "cloud/azure.h"
#include "cloud/file_store.h"
#include "cloud/gcs.h"

/* One that was opened, and where it is. */
struct opened {
    struct store_address address;
    struct object_store *store;
    struct credentials *credentials; /* NULL: none */
};

struct cloud {
    uv_loop_t *loop;
    struct cloud_options options;
    struct http *http; /* NULL: nothing was asked of a service yet */
    struct transfers *transfers;
    struct opened stores[CLOUD_STORES_MAX];
    size_t n_stores;
};

static const char *from_environment(void *arg UNUSED, const char *name)
{
    return getenv(name);
}

static const struct store_environment environment = { .get = from_environment };

int cloud_open(uv_loop_t *loop, const struct cloud_options *options,
               struct cloud **ret_cloud, struct error *ret_error)
{
    struct transfers_options bounds = { .calls_max = options->calls_max };
    CLEANUP(freep) struct cloud *c = calloc(1, sizeof(*c));
    int r = c ? 0 : -ENOMEM;

    if (r == 0 && !bounds.calls_max)
        r = store_workers(options->conf, &environment, &bounds.calls_max, ret_error);
    if (r == 0)
        r = transfers_new(loop, &bounds, &c->transfers);
    if (r < 0)
        return r;
    c->loop = loop;
    c->options = *options;
    c->options.calls_max = bounds.calls_max ? bounds.calls_max : TRANSFER_CALLS_MAX;
    *ret_cloud = TAKE(c);
    return 0;
}

void cloud_close(struct cloud *c)
{
    if (!c)
        return;
    transfers_free(c->transfers);
    for (size_t i = 0; i < c->n_stores; i++) {
        c->stores[i].store->class->free(c->stores[i].store);
        credentials_free(c->stores[i].credentials);
        store_address_release(&c->stores[i].address);
    }
    if (c->http)
        http_free(c->http);
    free(c);
}

struct transfers *cloud_transfers(struct cloud *c)
{
    return c->transfers;
}

int cloud_parse(struct cloud *c, const char *text, struct store_address *ret,
                struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer whole = BUFFER_INIT;
    int r = store_resolve(text, c->options.conf, &environment, &whole, ret_error);

    return r < 0 ? r : store_address_parse(buffer_text(&whole), ret, ret_error);
}

/* ---- one kind of store after the other ---- */

static int need_http(struct cloud *c, struct error *ret_error)
{
    struct http_options o = { .calls_max = c->options.calls_max, .user_agent = "mesh" };

    if (c->http)
        return 0;
    if (getrandom(&o.seed, sizeof(o.seed), 0) != sizeof(o.seed))
        return fail(ret_error, -EIO, "there are no random bytes");
    return http_new(c->loop, &o, &c->http, ret_error);
}

/* What the profile says where neither the environment nor mesh.conf does. */
static int open_s3(struct cloud *c, struct object_store_options *o, struct opened *ret,
                   struct error *ret_error)
{
    const struct aws_options aws = { .region = o->region };
    CLEANUP(freep) char *endpoint = NULL;
    char region[AWS_REGION_MAX];
    int r = aws_credentials_open(c->http, c->loop, &aws, &ret->credentials, ret_error);

    if (r == 0 && !o->region) {
        r = aws_region(&aws, region, ret_error);
        if (r == 0)
            o->region = region;
        else if (r == -ENOENT)
            r = 0;
    }
    if (r == 0 && !o->endpoint) {
        r = aws_endpoint(&aws, "s3", &endpoint, ret_error);
        o->endpoint = endpoint;
    }
    return r < 0 ? r : s3_open(c->http, ret->credentials, o, &ret->store, ret_error);
}

static int open_azure(struct cloud *c, struct object_store_options *o,
                      struct opened *ret, struct error *ret_error)
{
    const struct azure_credentials_options azure = { .account = o->account,
                                                     .endpoint = o->endpoint };
    int r = azure_credentials_open(c->http, &azure, &ret->credentials, ret_error);

    return r < 0 ? r : azure_open(c->http, ret->credentials, o, &ret->store, ret_error);
}

static int open_gs(struct cloud *c, struct object_store_options *o, struct opened *ret,
                   struct error *ret_error)
{
    const struct google_credentials_options google = { .file = NULL };
    int r = google_credentials_open(c->http, &google, &ret->credentials, ret_error);

    return r < 0 ? r : gcs_open(c->http, ret->credentials, o, &ret->store, ret_error);
}

static int open_kind(struct cloud *c, struct object_store_options *o,
                     struct opened *ret, struct error *ret_error)
{
    int r;

    if (ret->address.kind == STORE_FILE) {
        o->is_relaxed = c->options.is_relaxed;
        return file_open(c->loop, o, &ret->store, ret_error);
    }
    r = need_http(c, ret_error);
    if (r < 0)
        return r;
    return ret->address.kind == STORE_S3      ? open_s3(c, o, ret, ret_error)
           : ret->address.kind == STORE_AZURE ? open_azure(c, o, ret, ret_error)
                                              : open_gs(c, o, ret, ret_error);
}

static int copy_address(const struct store_address *a, struct store_address *ret)
{
    *ret =
        (struct store_address){ .kind = a->kind,
                                .bucket = strdup(a->bucket),
                                .key = strdup(""),
                                .account = a->account ? strdup(a->account) : NULL,
                                .endpoint = a->endpoint ? strdup(a->endpoint) : NULL };
    return ret->bucket && ret->key && !a->account == !ret->account
                   && !a->endpoint == !ret->endpoint
               ? 0
               : -ENOMEM;
}

int cloud_store(struct cloud *c, const struct store_address *a,
                struct object_store **ret_store, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer storage = BUFFER_INIT;
    struct object_store_options options;
    struct opened opened = { .store = NULL };
    int r;

    for (size_t i = 0; i < c->n_stores; i++)
        if (store_address_same_store(&c->stores[i].address, a)) {
            *ret_store = c->stores[i].store;
            return 0;
        }
    if (c->n_stores == CLOUD_STORES_MAX)
        return fail(ret_error, -EBUSY, "more than %d stores at once", CLOUD_STORES_MAX);
    r = copy_address(a, &opened.address);
    if (r == 0)
        r = store_options(a, c->options.conf, &environment, &storage, &options,
                          ret_error);
    if (r == 0)
        r = open_kind(c, &options, &opened, ret_error);
    if (r < 0) {
        credentials_free(opened.credentials);
        store_address_release(&opened.address);
        return r;
    }
    c->stores[c->n_stores++] = opened;
    *ret_store = opened.store;
    return 0;
}
