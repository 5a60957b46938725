/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/gcs_url.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

#include "cloud/encode.h"
#include "cloud/object_store.h"

bool gcs_is_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= OBJECT_NAME_MAX && !strpbrk(name, "\r\n")
           && strcmp(name, ".") != 0 && strcmp(name, "..") != 0
           && !u8_check((const uint8_t *)name, len);
}

int gcs_check_bucket(const char *bucket, struct error *ret_error)
{
    size_t len = bucket ? strlen(bucket) : 0;

    if (!len)
        return fail(ret_error, -EINVAL, "name the bucket: gs://BUCKET");
    if (len < 3 || len > 222
        || strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != len)
        return fail(ret_error, -EINVAL,
                    "no bucket of Google is named '%.80s': small letters, digits, '-', "
                    "'_' and '.', 3 or more",
                    bucket);
    return 0;
}

/* ---- where the service is ---- */

static bool is_loopback(const char *authority)
{
    size_t len = strcspn(authority, "/");
    const char *host = authority;

    if (memchr(authority, '@', len))
        return false;
    if (strncmp(host, "[::1]", 5) == 0)
        return len == 5 || host[5] == ':';
    len = strcspn(host, ":/");
    return (len == 9 && strncasecmp(host, "localhost", 9) == 0)
           || (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len);
}

int gcs_endpoint(const char *given, bool has_credentials, char **ret_endpoint,
                 struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    bool is_tls = strncmp(given, "https://", 8) == 0;
    const char *authority = strstr(given, "://");

    authority = authority ? authority + 3 : given;
    if ((authority != given && !is_tls && strncmp(given, "http://", 7) != 0)
        || (*authority != '[' && !isalnum((unsigned char)*authority))
        || strpbrk(given, " ?#@\r\n\t"))
        return fail(ret_error, -EINVAL,
                    "the endpoint '%.120s' is not https://HOST[:PORT][/PATH]", given);
    if (has_credentials && !is_tls && !is_loopback(authority))
        return fail(ret_error, -EINVAL,
                    "the endpoint '%.120s' is not https://: everybody between could "
                    "read the token",
                    given);
    if (authority == given)
        buffer_puts(&b, "http://");
    buffer_puts(&b, given);
    while (b.len && b.data[b.len - 1] == '/')
        b.data[--b.len] = '\0';
    *ret_endpoint = buffer_take(&b);
    return *ret_endpoint ? 0 : -ENOMEM;
}

/* ---- addresses ---- */

int gcs_url(struct buffer *out, const char *endpoint, const char *bucket,
            const char *name)
{
    buffer_puts(out, endpoint);
    buffer_puts(out, "/storage/v1/b/");
    encode_query(out, bucket, strlen(bucket));
    buffer_puts(out, "/o");
    if (name) {
        buffer_putc(out, '/');
        encode_query(out, name, strlen(name));
    }
    return buffer_failed(out);
}

int gcs_upload_url(struct buffer *out, const char *endpoint, const char *bucket)
{
    buffer_puts(out, endpoint);
    buffer_puts(out, "/upload");
    return gcs_url(out, "", bucket, NULL);
}

int gcs_url_add(struct buffer *out, const char *key, const char *value)
{
    if (!value)
        return 0;
    buffer_putc(out, strchr(buffer_text(out), '?') ? '&' : '?');
    buffer_puts(out, key);
    buffer_putc(out, '=');
    encode_query(out, value, strlen(value));
    return buffer_failed(out);
}

int gcs_url_add_number(struct buffer *out, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return gcs_url_add(out, key, text);
}

/* ---- uploads and tags ---- */

bool gcs_is_session(const char *session)
{
    size_t len = strlen(session);

    if (len > OBJECT_UPLOAD_MAX || strncmp(session, "/upload/", 8) != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (session[i] <= ' ' || session[i] > '~' || session[i] == '#')
            return false;
    return !strstr(session, "/../");
}

const char *gcs_session(const char *location)
{
    const char *path = location ? strstr(location, "://") : NULL;

    path = path ? strstr(path + 3, "/upload/") : NULL;
    return path && gcs_is_session(path) ? path : NULL;
}

int gcs_generation(const char *etag, uint64_t *ret_generation)
{
    char *end;
    uint64_t generation;

    if (etag[0] != '"' || !isdigit((unsigned char)etag[1]))
        return -EINVAL;
    errno = 0;
    generation = strtoull(etag + 1, &end, 10);
    if (errno || strcmp(end, "\"") != 0)
        return -EINVAL;
    *ret_generation = generation;
    return 0;
}
