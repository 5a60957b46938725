/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/s3_address.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistr.h>

#include "cloud/encode.h"

static const char GOOGLE[] = "storage.googleapis.com";

static int check_bucket(const char *bucket, struct error *ret_error)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_";
    size_t len = bucket ? strlen(bucket) : 0;

    if (!len)
        return fail(ret_error, -EINVAL, "no bucket is named: s3://BUCKET/PREFIX");
    if (len < 3 || len > S3_BUCKET_MAX || strspn(bucket, allowed) != len
        || strstr(bucket, "..") || *bucket == '.' || bucket[len - 1] == '.')
        return fail(ret_error, -EINVAL,
                    "'%.80s' cannot be a bucket: 3 to 63 of a-z, 0-9, '-' and '.'",
                    bucket);
    return 0;
}

/* Of "host[:port][/path]" the length of the host; 0: it is none. */
static size_t host_length(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_:[]";
    size_t len = strcspn(text, "/");

    return strspn(text, allowed) >= len ? len : 0;
}

static bool is_google(const char *host)
{
    size_t len = strcspn(host, ":"), google = strlen(GOOGLE);

    return len >= google && strncasecmp(host + len - google, GOOGLE, google) == 0
           && (len == google || host[len - google - 1] == '.');
}

/* A client does not send the scheme's own port, so it is not signed either. */
static size_t without_usual_port(const char *host, size_t len, bool is_plain)
{
    const char *port = is_plain ? ":80" : ":443";
    size_t port_len = strlen(port);

    return len > port_len && memcmp(host + len - port_len, port, port_len) == 0
               ? len - port_len
               : len;
}

static int set_endpoint(struct s3_address *a, const char *endpoint,
                        struct error *ret_error)
{
    const char *rest;
    size_t host, base;

    if (strncasecmp(endpoint, "https://", 8) == 0) {
        rest = endpoint + 8;
    } else if (strncasecmp(endpoint, "http://", 7) == 0) {
        rest = endpoint + 7;
        a->is_plain = true;
    } else {
        return fail(ret_error, -EINVAL, "endpoint '%.100s' is not https://HOST[:PORT]",
                    endpoint);
    }
    host = host_length(rest);
    if (!host || strpbrk(rest + host, "?# "))
        return fail(ret_error, -EINVAL,
                    "endpoint '%.100s' is not https://HOST[:PORT][/PATH]", endpoint);
    base = strlen(rest + host);
    while (base && rest[host + base - 1] == '/')
        base--;
    a->host = strndup(rest, without_usual_port(rest, host, a->is_plain));
    a->base = strndup(rest + host, base);
    return a->host && a->base ? 0 : -ENOMEM;
}

static int init(struct s3_address *a, const struct object_store_options *options,
                struct error *ret_error)
{
    int status = check_bucket(options->bucket, ret_error);

    if (status == 0 && options->endpoint)
        status = set_endpoint(a, options->endpoint, ret_error);
    if (status < 0)
        return status;
    if (options->is_virtual_host && options->is_path_style)
        return fail(ret_error, -EINVAL, "virtual_host and path_style exclude another");
    a->dialect = a->host && is_google(a->host) ? SIGV4_GOOGLE : SIGV4_AWS;
    a->is_virtual_host =
        options->is_virtual_host
        || (!options->is_path_style && !a->host && !strchr(options->bucket, '.'));
    a->bucket = strdup(options->bucket);
    if (!a->base)
        a->base = strdup("");
    return a->bucket && a->base ? 0 : -ENOMEM;
}

int s3_address_init(struct s3_address *a, const struct object_store_options *options,
                    struct error *ret_error)
{
    CLEANUP(s3_address_release) struct s3_address address = { .host = NULL };
    int status = init(&address, options, ret_error);

    if (status < 0)
        return status;
    *a = address;
    address = (struct s3_address){ .host = NULL };
    return 0;
}

void s3_address_release(struct s3_address *a)
{
    free(a->host);
    free(a->base);
    free(a->bucket);
    *a = (struct s3_address){ .host = NULL };
}

void s3_url_release(struct s3_url *u)
{
    buffer_release(&u->url);
    buffer_release(&u->host);
}

static void put_host(const struct s3_address *a, const char *region, struct buffer *b)
{
    const char *end = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";

    if (a->is_virtual_host)
        buffer_printf(b, "%s.", a->bucket);
    if (a->host)
        buffer_puts(b, a->host);
    else
        buffer_printf(b, "s3.%s.amazonaws.com%s", region, end);
}

static void put_path(const struct s3_address *a, const char *name, struct buffer *b)
{
    buffer_puts(b, a->base);
    if (!a->is_virtual_host)
        buffer_printf(b, "/%s", a->bucket);
    if (name || a->is_virtual_host)
        buffer_putc(b, '/');
    if (name)
        encode_path(b, name, strlen(name));
}

int s3_address_url(const struct s3_address *a, const char *region, const char *name,
                   const char *query, struct s3_url *ret_url)
{
    CLEANUP(s3_url_release) struct s3_url u = { .url = BUFFER_INIT };
    int status;

    put_host(a, region, &u.host);
    buffer_printf(&u.url, "%s://%s", a->is_plain ? "http" : "https",
                  buffer_text(&u.host));
    u.path_at = u.url.len;
    put_path(a, name, &u.url);
    u.path_len = u.url.len - u.path_at;
    if (query && *query)
        buffer_printf(&u.url, "?%s", query);
    status = buffer_failed(&u.host);
    if (status == 0)
        status = buffer_failed(&u.url);
    if (status < 0)
        return status;
    *ret_url = u;
    u = (struct s3_url){ .url = BUFFER_INIT };
    return 0;
}

int s3_check_name(const char *prefix, const char *name, struct error *ret_error)
{
    size_t len = strlen(name), all = strlen(prefix) + len;

    if (!len)
        return fail(ret_error, -EINVAL, "an object needs a name");
    if (all > OBJECT_NAME_MAX)
        return fail(ret_error, -EINVAL,
                    "a name of %zu bytes with its prefix: S3 takes %d: '%.80s...'", all,
                    OBJECT_NAME_MAX, name);
    if (u8_check((const uint8_t *)name, len))
        return fail(ret_error, -EINVAL, "the name of an object is not UTF-8");
    return 0;
}
