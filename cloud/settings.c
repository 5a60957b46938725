/* SPDX-License-Identifier: Apache-2.0 */
/* What address.h says of mesh.conf and the environment. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/address.h"

enum { RETRIES_MAX = 100, WORKERS_MAX = 1024 };

static const char *look(const struct store_environment *env, const char *name)
{
    const char *value = env->get(env->arg, name);

    return value && *value ? value : NULL;
}

/* The first that says something. */
static const char *look_any(const struct store_environment *env,
                            const char *const *names)
{
    const char *value = NULL;

    for (size_t i = 0; names[i] && !value; i++)
        value = look(env, names[i]);
    return value;
}

static int look_number(const struct store_environment *env, const char *name,
                       unsigned long max, uint32_t *ret, struct error *ret_error)
{
    const char *text = look(env, name);
    unsigned long value;
    char *end;

    if (!text)
        return -ENOENT;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > max)
        return fail(ret_error, -EINVAL, "%s must be a number up to %lu, not '%.40s'",
                    name, max, text);
    *ret = (uint32_t)value;
    return 0;
}

/* ---- the datastore ---- */

static const char no_root[] =
    "no datastore is configured: write 'datastore: {root: s3://BUCKET/PREFIX}' into "
    "mesh.conf, or set METAFLOW_DEFAULT_DATASTORE and METAFLOW_DATASTORE_SYSROOT_S3";

/* https://ACCOUNT.blob... of Metaflow's own variable, else the account's name. */
static int find_account(const struct store_settings *conf,
                        const struct store_environment *env, struct buffer *out)
{
    static const char *const names[] = { "AZURE_STORAGE_ACCOUNT",
                                         "AZURE_STORAGE_ACCOUNT_NAME", NULL };
    const char *account = look_any(env, names),
               *endpoint = look(env, "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT"),
               *host = endpoint ? strstr(endpoint, "://") : NULL;

    if (account)
        return buffer_puts(out, account);
    if (host && strstr(host, ".blob."))
        return buffer_append(out, host + 3, strcspn(host + 3, "."));
    return conf && conf->account ? buffer_puts(out, conf->account) : 0;
}

static int azure_root(const char *root, const struct store_settings *conf,
                      const struct store_environment *env, struct buffer *out,
                      struct error *ret_error)
{
    size_t len;
    int r;

    if (strstr(root, "://"))
        return buffer_puts(out, root);
    buffer_puts(out, "azure://");
    len = out->len;
    r = find_account(conf, env, out);
    if (r == 0 && out->len == len)
        return fail(ret_error, -EINVAL,
                    "METAFLOW_DATASTORE_SYSROOT_AZURE has no account: set "
                    "AZURE_STORAGE_ACCOUNT");
    return r < 0 ? r : buffer_printf(out, "/%s", root);
}

static int find_root(const struct store_settings *conf,
                     const struct store_environment *env, struct buffer *out,
                     struct error *ret_error)
{
    static const struct {
        const char *type, *variable;
    } types[] = { { "s3", "METAFLOW_DATASTORE_SYSROOT_S3" },
                  { "azure", "METAFLOW_DATASTORE_SYSROOT_AZURE" },
                  { "gs", "METAFLOW_DATASTORE_SYSROOT_GS" },
                  { "local", "METAFLOW_DATASTORE_SYSROOT_LOCAL" } };
    const char *type = look(env, "METAFLOW_DEFAULT_DATASTORE"), *root;

    if (!type)
        return conf && conf->root ? buffer_puts(out, conf->root)
                                  : fail(ret_error, -ENOENT, "%s", no_root);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(type, types[i].type) != 0)
            continue;
        root = look(env, types[i].variable);
        if (!root)
            return fail(ret_error, -ENOENT,
                        "METAFLOW_DEFAULT_DATASTORE is %s, so set %s", type,
                        types[i].variable);
        return strcmp(type, "azure") == 0 ? azure_root(root, conf, env, out, ret_error)
                                          : buffer_puts(out, root);
    }
    return fail(
        ret_error, -EINVAL,
        "METAFLOW_DEFAULT_DATASTORE must be s3, azure, gs or local, not '%.40s'", type);
}

int store_resolve(const char *text, const struct store_settings *conf,
                  const struct store_environment *env, struct buffer *out,
                  struct error *ret_error)
{
    static const char front[] = "datastore:";
    int r;

    if (strncmp(text, front, strlen(front)) != 0)
        return buffer_puts(out, text);
    r = find_root(conf, env, out, ret_error);
    if (r < 0)
        return r;
    text += strlen(front);
    while (*text == '/')
        text++;
    if (out->len && out->data[out->len - 1] != '/')
        buffer_putc(out, '/');
    return buffer_puts(out, text);
}

/* ---- options ---- */

/* What mesh.conf says is of one store; its endpoint and keys are not for others. */
static const struct store_settings *settings_for(const struct store_address *a,
                                                 const struct store_settings *conf)
{
    static const struct store_settings none = { .root = NULL };
    struct store_address root;
    struct error ignored;
    bool is_same;

    if (!conf || !conf->root || store_address_parse(conf->root, &root, &ignored) < 0)
        return &none;
    is_same = root.kind == a->kind;
    store_address_release(&root);
    return is_same ? conf : &none;
}

static int s3_options(const struct store_environment *env,
                      struct object_store_options *o, struct error *ret_error)
{
    static const char *const endpoints[] = { "METAFLOW_S3_ENDPOINT_URL",
                                             "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
                                             NULL };
    static const char *const regions[] = { "AWS_REGION", "AWS_DEFAULT_REGION", NULL };
    static const char variable[] = "METAFLOW_S3_SERVER_SIDE_ENCRYPTION";
    const char *endpoint = look_any(env, endpoints), *region = look_any(env, regions),
               *encryption = look(env, variable);

    if (endpoint)
        o->endpoint = endpoint;
    if (region)
        o->region = region;
    if (encryption)
        o->encryption = encryption;
    if (o->encryption && strcmp(o->encryption, "AES256") != 0
        && strcmp(o->encryption, "aws:kms") != 0
        && strcmp(o->encryption, "aws:kms:dsse") != 0)
        return fail(ret_error, -EINVAL, "%s must be AES256 or aws:kms, not '%.40s'",
                    encryption ? variable : "the encryption of the datastore",
                    o->encryption);
    return 0;
}

static int azure_options(const struct store_address *a,
                         const struct store_settings *conf,
                         const struct store_environment *env, struct buffer *storage,
                         struct object_store_options *o)
{
    const char *endpoint = look(env, "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT");
    int r = a->account ? buffer_puts(storage, a->account)
                       : find_account(conf, env, storage);

    if (endpoint)
        o->endpoint = endpoint;
    if (a->endpoint)
        o->endpoint = a->endpoint;
    o->account = storage->len ? storage->data : NULL;
    return r;
}

static int gs_options(const struct store_environment *env, struct buffer *storage,
                      struct object_store_options *o)
{
    const char *host = look(env, "STORAGE_EMULATOR_HOST");
    int r = 0;

    /* Google's libraries take a bare HOST:PORT too. */
    if (host && strstr(host, "://"))
        o->endpoint = host;
    else if (host) {
        r = buffer_printf(storage, "http://%s", host);
        o->endpoint = storage->data;
    }
    return r;
}

static int retry_options(const struct store_settings *conf,
                         const struct store_environment *env,
                         struct object_store_options *o, struct error *ret_error)
{
    uint32_t retries = conf->retries;
    int r =
        look_number(env, "METAFLOW_S3_RETRY_COUNT", RETRIES_MAX, &retries, ret_error);

    if (r == -ENOENT && !conf->has_retries)
        return 0;
    if (r < 0 && r != -ENOENT)
        return r;
    o->tries_max = retries + 1;
    return 0;
}

int store_options(const struct store_address *a, const struct store_settings *conf,
                  const struct store_environment *env, struct buffer *storage,
                  struct object_store_options *ret, struct error *ret_error)
{
    const struct store_settings *mine = settings_for(a, conf);
    struct object_store_options o = { .bucket = a->bucket,
                                      .endpoint = mine->endpoint,
                                      .region = mine->region,
                                      .encryption = mine->encryption,
                                      .kms_key = mine->kms_key,
                                      .storage_class = mine->storage_class,
                                      .tags = mine->tags,
                                      .is_path_style = mine->is_path_style };
    int r = retry_options(mine, env, &o, ret_error);

    if (r == 0 && a->kind == STORE_S3)
        r = s3_options(env, &o, ret_error);
    if (r == 0 && a->kind == STORE_AZURE)
        r = azure_options(a, mine, env, storage, &o);
    if (r == 0 && a->kind == STORE_GS)
        r = gs_options(env, storage, &o);
    if (r == 0)
        *ret = o;
    return r;
}

int store_workers(const struct store_settings *conf,
                  const struct store_environment *env, uint32_t *ret,
                  struct error *ret_error)
{
    uint32_t workers = conf ? conf->workers : 0;
    int r =
        look_number(env, "METAFLOW_S3_WORKER_COUNT", WORKERS_MAX, &workers, ret_error);

    if (r < 0 && r != -ENOENT)
        return r;
    *ret = workers;
    return 0;
}
