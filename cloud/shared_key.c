/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/shared_key.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "cloud/encode.h"

/* The headers that are signed by their place; the length stands after the second. */
static const char *const PLACED[] = {
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
};

static const char *find_header(const struct shared_key_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return "";
}

static void put_placed(const struct shared_key_request *r, struct buffer *out)
{
    bool has_ms_date = *find_header(r, "x-ms-date") != '\0';

    for (size_t i = 0; i < ARRAY_SIZE(PLACED); i++) {
        if (strcmp(PLACED[i], "content-length") == 0) {
            if (r->content_length > 0)
                buffer_printf(out, "%llu", (unsigned long long)r->content_length);
        } else if (!has_ms_date || strcmp(PLACED[i], "date") != 0) {
            buffer_puts(out, find_header(r, PLACED[i]));
        }
        buffer_putc(out, '\n');
    }
}

static void put_lower(const char *text, size_t len, struct buffer *out)
{
    for (size_t i = 0; i < len; i++)
        buffer_putc(out, text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 'a' - 'A')
                                                          : text[i]);
}

static int compare_headers(const void *a, const void *b)
{
    const struct shared_key_header *const *left = a, *const *right = b;

    return strcasecmp((*left)->name, (*right)->name);
}

static int put_ms_headers(const struct shared_key_request *r, struct buffer *out)
{
    const struct shared_key_header *sorted[SHARED_KEY_HEADERS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < r->n_headers; i++) {
        if (strncasecmp(r->headers[i].name, "x-ms-", 5) != 0)
            continue;
        if (n == SHARED_KEY_HEADERS_MAX)
            return -E2BIG;
        sorted[n++] = &r->headers[i];
    }
    qsort(sorted, n, sizeof(*sorted), compare_headers);
    for (size_t i = 0; i < n; i++) {
        const char *value = sorted[i]->value + strspn(sorted[i]->value, " \t");
        size_t len = strlen(value);

        while (len > 0 && strchr(" \t", value[len - 1]))
            len--;
        put_lower(sorted[i]->name, strlen(sorted[i]->name), out);
        buffer_putc(out, ':');
        buffer_append(out, value, len);
        buffer_putc(out, '\n');
    }
    return 0;
}

/* ---- the query ---- */

struct param {
    const char *name, *value;
    size_t name_len, value_len;
};

static int compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int r = strncasecmp(a, b, min_size(a_len, b_len));

    return r ? r : (a_len > b_len) - (a_len < b_len);
}

static int compare_params(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    int r = compare_text(x->name, x->name_len, y->name, y->name_len);

    if (r != 0)
        return r;
    r = memcmp(x->value, y->value, min_size(x->value_len, y->value_len));
    return r ? r : (x->value_len > y->value_len) - (x->value_len < y->value_len);
}

/* Without the '&'s; what has no '=' has an empty value. */
static int split_query(const char *query, struct param params[SHARED_KEY_PARAMS_MAX],
                       size_t *ret_n)
{
    size_t n = 0;

    for (const char *at = query; at && *at;) {
        size_t len = strcspn(at, "&"), name = strcspn(at, "=&");

        if (n == SHARED_KEY_PARAMS_MAX)
            return -E2BIG;
        if (len > 0)
            params[n++] = (struct param){ .name = at,
                                          .name_len = name,
                                          .value = at + name + (name < len),
                                          .value_len = len - name - (name < len) };
        at += len + (at[len] == '&');
    }
    *ret_n = n;
    return 0;
}

/* A name that comes twice stands once, its values with commas between. */
static int put_params(const char *query, struct buffer *out)
{
    struct param params[SHARED_KEY_PARAMS_MAX];
    size_t n = 0;
    int r = split_query(query, params, &n);

    if (r < 0)
        return r;
    qsort(params, n, sizeof(*params), compare_params);
    for (size_t i = 0; i < n; i++) {
        if (i > 0
            && compare_text(params[i - 1].name, params[i - 1].name_len, params[i].name,
                            params[i].name_len)
                   == 0) {
            buffer_putc(out, ',');
        } else {
            buffer_putc(out, '\n');
            put_lower(params[i].name, params[i].name_len, out);
            buffer_putc(out, ':');
        }
        decode_percent(out, params[i].value, params[i].value_len);
    }
    return 0;
}

/* ---- signatures ---- */

int shared_key_text(const struct shared_key_request *r, struct buffer *out)
{
    int failed;

    buffer_printf(out, "%s\n", r->method);
    put_placed(r, out);
    failed = put_ms_headers(r, out);
    if (failed < 0)
        return failed;
    buffer_printf(out, "/%s%s", r->account, r->path);
    failed = put_params(r->query, out);
    return failed < 0 ? failed : buffer_failed(out);
}

int shared_key_sign(const char *key, const char *text, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer raw = BUFFER_INIT;
    uint8_t signature[ENCODE_SHA256];
    int r = decode_base64(&raw, key, strlen(key));

    if (r == 0 && raw.len == 0)
        r = -EINVAL;
    if (r == 0) {
        encode_hmac_sha256(raw.data, raw.len, text, strlen(text), signature);
        r = encode_base64(out, signature, sizeof(signature));
    }
    if (raw.data)
        sodium_memzero(raw.data, raw.cap);
    return r;
}

int shared_key_authorization(const char *account, const char *key, const char *text,
                             struct buffer *out)
{
    buffer_printf(out, "SharedKey %s:", account);
    return shared_key_sign(key, text, out);
}
