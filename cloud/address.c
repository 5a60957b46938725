/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/address.h"

#include <errno.h>
#include <string.h>

enum { BUCKET_MAX = 222, ACCOUNT_MAX = 63 };

void store_address_release(struct store_address *a)
{
    free(a->bucket);
    free(a->key);
    free(a->account);
    free(a->endpoint);
    *a = (struct store_address){ .bucket = NULL };
}

static bool begins_with(const char *text, const char *front)
{
    return strncmp(text, front, strlen(front)) == 0;
}

/* ---- parts of an address ---- */

static bool is_name(const char *text, size_t len, size_t max)
{
    if (!len || len > max || text[0] == '-' || text[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                    "-._",
                    text[i]))
            return false;
    return true;
}

static int take_bucket(const char *text, const char *what, struct store_address *a,
                       struct error *ret_error)
{
    size_t len = strcspn(text, "/");

    if (!is_name(text, len, BUCKET_MAX))
        return fail(ret_error, -EINVAL, "'%.*s' cannot be the name of a %s",
                    len > 80 ? 80 : (int)len, text, what);
    if (strlen(text + len) > OBJECT_NAME_MAX + 1)
        return fail(ret_error, -EINVAL, "a key has up to %d bytes; '%.40s...' has more",
                    OBJECT_NAME_MAX, text);
    a->bucket = strndup(text, len);
    a->key = strdup(text[len] ? text + len + 1 : "");
    return a->bucket && a->key ? 0 : -ENOMEM;
}

static int parse_bucket(enum store_kind kind, const char *text, struct store_address *a,
                        struct error *ret_error)
{
    a->kind = kind;
    return take_bucket(text, "bucket", a, ret_error);
}

static int parse_azure(const char *text, struct store_address *a,
                       struct error *ret_error)
{
    size_t len = strcspn(text, "/");

    a->kind = STORE_AZURE;
    if (!text[len])
        return fail(ret_error, -EINVAL,
                    "azure://%.80s has no container: azure://ACCOUNT/CONTAINER/KEY",
                    text);
    if (!is_name(text, len, ACCOUNT_MAX))
        return fail(ret_error, -EINVAL, "'%.*s' cannot be the name of an account",
                    len > 80 ? 80 : (int)len, text);
    a->account = strndup(text, len);
    if (!a->account)
        return -ENOMEM;
    return take_bucket(text + len + 1, "container", a, ret_error);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef",
               *at = c ? strchr(digits, c | (c > '9' ? 0x20 : 0)) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* In place. False: there is a % without its two digits, or a NUL. */
static bool decode(char *text)
{
    char *to = text;

    for (; *text; text++) {
        int high, low;

        if (*text != '%') {
            *to++ = *text;
            continue;
        }
        high = hex_digit(text[1]);
        low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0 || (!high && !low))
            return false;
        *to++ = (char)(16 * high + low);
        text += 2;
    }
    *to = '\0';
    return true;
}

static bool is_blob_host(const char *host)
{
    static const char *const ends[] = { ".blob.core.windows.net",
                                        ".blob.core.usgovcloudapi.net",
                                        ".blob.core.chinacloudapi.cn" };
    size_t len = strcspn(host, "/");

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        size_t end = strlen(ends[i]);

        if (len > end && memcmp(host + len - end, ends[i], end) == 0)
            return true;
    }
    return false;
}

static int parse_https(const char *text, struct store_address *a,
                       struct error *ret_error)
{
    const char *host = text + strlen("https://");
    size_t account = strcspn(host, "./"), len = strcspn(host, "/");
    int r;

    a->kind = STORE_AZURE;
    if (!is_blob_host(host) || !is_name(host, account, ACCOUNT_MAX))
        return fail(ret_error, -EINVAL,
                    "of https:// only ACCOUNT.blob.core.windows.net/CONTAINER/KEY is "
                    "an address; another S3 is s3://BUCKET/KEY with "
                    "METAFLOW_S3_ENDPOINT_URL");
    if (strpbrk(host, "?#"))
        return fail(ret_error, -EINVAL,
                    "an address has no '?': a SAS belongs into "
                    "AZURE_STORAGE_SAS_TOKEN, where it is not seen");
    if (!host[len])
        return fail(ret_error, -EINVAL, "%.120s has no container", text);
    a->account = strndup(host, account);
    a->endpoint = strndup(text, strlen("https://") + len);
    if (!a->account || !a->endpoint)
        return -ENOMEM;
    r = take_bucket(host + len + 1, "container", a, ret_error);
    if (r == 0 && !decode(a->key))
        return fail(ret_error, -EINVAL, "a '%%' in %.120s has no two digits", text);
    return r;
}

/* The folder and the name in it: `a/` and `..` are folders. */
static int parse_path(const char *path, struct store_address *a,
                      struct error *ret_error)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t folder = slash ? (size_t)(slash - path) : 0;

    a->kind = STORE_FILE;
    if (!*path)
        return fail(ret_error, -EINVAL, "an address is empty");
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        folder = strlen(path);
        name = "";
    }
    if (folder)
        a->bucket = strndup(path, folder);
    else
        a->bucket = strdup(slash ? "/" : ".");
    a->key = strdup(name);
    return a->bucket && a->key ? 0 : -ENOMEM;
}

static int parse_file(const char *text, struct store_address *a,
                      struct error *ret_error)
{
    CLEANUP(freep) char *path = NULL;

    if (begins_with(text, "localhost/"))
        text += strlen("localhost");
    if (*text != '/')
        return fail(ret_error, -EINVAL,
                    "file://%.80s names another machine: a path begins with '/', as in "
                    "file:///data/x",
                    text);
    path = strdup(text);
    if (!path)
        return -ENOMEM;
    if (!decode(path))
        return fail(ret_error, -EINVAL, "a '%%' in file://%.120s has no two digits",
                    text);
    return parse_path(path, a, ret_error);
}

static int parse(const char *text, struct store_address *a, struct error *ret_error)
{
    const char *colon = strstr(text, "://");

    if (begins_with(text, "s3://"))
        return parse_bucket(STORE_S3, text + 5, a, ret_error);
    if (begins_with(text, "gs://"))
        return parse_bucket(STORE_GS, text + 5, a, ret_error);
    if (begins_with(text, "azure://"))
        return parse_azure(text + 8, a, ret_error);
    if (begins_with(text, "https://"))
        return parse_https(text, a, ret_error);
    if (begins_with(text, "file://"))
        return parse_file(text + 7, a, ret_error);
    if (colon && colon == text + strcspn(text, ":/"))
        return fail(ret_error, -EINVAL,
                    "there is no store for %.*s://: s3, gs, azure, file or a path",
                    colon - text > 40 ? 40 : (int)(colon - text), text);
    return parse_path(text, a, ret_error);
}

int store_address_parse(const char *text, struct store_address *ret,
                        struct error *ret_error)
{
    struct store_address a = { .bucket = NULL };
    int r = parse(text, &a, ret_error);

    if (r < 0)
        store_address_release(&a);
    else
        *ret = a;
    return r;
}

int store_address_text(const struct store_address *a, const char *key,
                       struct buffer *out)
{
    switch (a->kind) {
    case STORE_S3:
        return buffer_printf(out, "s3://%s/%s", a->bucket, key);
    case STORE_GS:
        return buffer_printf(out, "gs://%s/%s", a->bucket, key);
    case STORE_AZURE:
        return buffer_printf(out, "azure://%s/%s/%s", a->account ? a->account : "",
                             a->bucket, key);
    case STORE_FILE:
        break;
    }
    if (strcmp(a->bucket, ".") == 0)
        return buffer_puts(out, *key ? key : ".");
    return buffer_printf(out, "%s%s%s", strcmp(a->bucket, "/") == 0 ? "" : a->bucket,
                         *key || strcmp(a->bucket, "/") == 0 ? "/" : "", key);
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool store_address_same_store(const struct store_address *a,
                              const struct store_address *b)
{
    return a->kind == b->kind && is_same(a->bucket, b->bucket)
           && is_same(a->account, b->account) && is_same(a->endpoint, b->endpoint);
}
