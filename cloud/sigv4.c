/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/sigv4.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cloud/encode.h"

struct dialect {
    const char *algorithm, *key_begin, *scope_end;
    const char *header, *param; /* what the names of its own begin with */
};

static const struct dialect DIALECTS[] = {
    [SIGV4_AWS] = { "AWS4-HMAC-SHA256", "AWS4", "aws4_request", "x-amz-", "X-Amz-" },
    [SIGV4_GOOGLE] = { "GOOG4-HMAC-SHA256", "GOOG4", "goog4_request", "x-goog-",
                       "X-Goog-" },
};

/* One header as it is signed, its name in lower case. */
struct canonical_header {
    char name[64];
    const char *value;
    size_t place; /* among those of the same name */
};

struct canonical_headers {
    struct canonical_header at[SIGV4_HEADERS_MAX];
    size_t n;
};

/* ---- time and scope ---- */

static int format_date(int64_t now_s, char date[SIGV4_DATE])
{
    const int64_t year_10000_s = 253402300800;
    time_t t = (time_t)now_s;
    struct tm tm;

    if (now_s < 0 || now_s >= year_10000_s || !gmtime_r(&t, &tm))
        return -EINVAL;
    strftime(date, SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm);
    return 0;
}

static int put_scope(struct buffer *b, const struct sigv4_key *key, const char *date)
{
    return buffer_printf(b, "%.8s/%s/%s/%s", date, key->region, key->service,
                         DIALECTS[key->dialect].scope_end);
}

/* ---- headers ---- */

static int add_header(struct canonical_headers *h, const char *name, const char *value)
{
    struct canonical_header *c = &h->at[h->n];
    size_t len = strlen(name);

    if (h->n == SIGV4_HEADERS_MAX || len >= sizeof(c->name))
        return -E2BIG;
    for (size_t i = 0; i <= len; i++)
        c->name[i] =
            (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    c->value = value;
    c->place = h->n++;
    return 0;
}

static int add_own_header(struct canonical_headers *h, const struct sigv4_key *key,
                          const char *what, const char *value)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", DIALECTS[key->dialect].header, what);
    return add_header(h, name, value);
}

static int compare_headers(const void *left, const void *right)
{
    const struct canonical_header *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    if (order)
        return order;
    return a->place < b->place ? -1 : 1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Without blanks at its ends, and with one space for any row of them within. */
static void put_value(struct buffer *b, const char *value)
{
    bool is_begun = false, is_owed = false;

    for (; *value; value++) {
        if (is_blank(*value)) {
            is_owed = is_begun;
            continue;
        }
        if (is_owed)
            buffer_putc(b, ' ');
        buffer_putc(b, *value);
        is_begun = true;
        is_owed = false;
    }
}

static bool is_same_as_before(const struct canonical_headers *h, size_t i)
{
    return i > 0 && strcmp(h->at[i].name, h->at[i - 1].name) == 0;
}

static void put_headers(struct buffer *b, const struct canonical_headers *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (is_same_as_before(h, i))
            buffer_putc(b, ',');
        else
            buffer_printf(b, "%s%s:", i ? "\n" : "", h->at[i].name);
        put_value(b, h->at[i].value);
    }
    buffer_putc(b, '\n');
}

static void put_header_names(struct buffer *b, const struct canonical_headers *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!is_same_as_before(h, i))
            buffer_printf(b, "%s%s", i ? ";" : "", h->at[i].name);
    }
}

static int collect_headers(struct canonical_headers *h, const struct sigv4_request *r)
{
    int status = add_header(h, "host", r->host);

    for (size_t i = 0; i < r->n_headers && status == 0; i++)
        status = add_header(h, r->headers[i].name, r->headers[i].value);
    return status;
}

static int collect_signed_headers(struct canonical_headers *h,
                                  const struct sigv4_key *key,
                                  const struct sigv4_request *r, const char *date)
{
    int status = collect_headers(h, r);

    if (status == 0)
        status = add_own_header(h, key, "date", date);
    if (status == 0 && r->is_store)
        status = add_own_header(h, key, "content-sha256", r->payload);
    if (status == 0 && key->token)
        status = add_own_header(h, key, "security-token", key->token);
    return status;
}

/* ---- the query ---- */

struct param {
    const char *name, *value;
    size_t name_len, value_len;
};

static int compare_texts(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, min_size(a_len, b_len));

    if (order)
        return order;
    return a_len < b_len ? -1 : a_len > b_len;
}

/* By name first: "a" comes before "a-b", although '=' comes behind '-'. */
static int compare_params(const void *left, const void *right)
{
    const struct param *a = left, *b = right;
    int order = compare_texts(a->name, a->name_len, b->name, b->name_len);

    return order ? order
                 : compare_texts(a->value, a->value_len, b->value, b->value_len);
}

static struct param param_of(const char *text, size_t len)
{
    const char *equal = memchr(text, '=', len);
    size_t name_len = equal ? (size_t)(equal - text) : len;

    return (struct param){ .name = text,
                           .value = equal ? equal + 1 : "",
                           .name_len = name_len,
                           .value_len = equal ? len - name_len - 1 : 0 };
}

static int put_query(struct buffer *b, const char *query)
{
    struct param params[SIGV4_PARAMS_MAX];
    size_t n = 0;

    while (query && *query) {
        size_t len = strcspn(query, "&");

        if (n == SIGV4_PARAMS_MAX)
            return -E2BIG;
        if (len)
            params[n++] = param_of(query, len);
        query += len + (query[len] == '&');
    }
    qsort(params, n, sizeof(params[0]), compare_params);
    for (size_t i = 0; i < n; i++) {
        buffer_puts(b, i ? "&" : "");
        buffer_append(b, params[i].name, params[i].name_len);
        buffer_putc(b, '=');
        buffer_append(b, params[i].value, params[i].value_len);
    }
    return buffer_failed(b);
}

/* ---- the signature ---- */

static int put_canonical(struct buffer *b, const struct sigv4_request *r,
                         const char *query, const struct canonical_headers *headers)
{
    const char *path = *r->path ? r->path : "/";
    int status;

    buffer_printf(b, "%s\n", r->method);
    if (r->is_store)
        buffer_puts(b, path);
    else
        encode_path(b, path, strlen(path));
    buffer_putc(b, '\n');
    status = put_query(b, query);
    if (status < 0)
        return status;
    buffer_putc(b, '\n');
    put_headers(b, headers);
    buffer_putc(b, '\n');
    put_header_names(b, headers);
    buffer_printf(b, "\n%s", r->payload);
    return buffer_failed(b);
}

static void derive_key(const struct sigv4_key *key, const char *date,
                       uint8_t ret[ENCODE_SHA256])
{
    const struct dialect *d = &DIALECTS[key->dialect];
    char first[SIGV4_SECRET_MAX + 8];
    int len = snprintf(first, sizeof(first), "%s%s", d->key_begin, key->secret);
    uint8_t a[ENCODE_SHA256], b[ENCODE_SHA256];

    encode_hmac_sha256(first, (size_t)len, date, 8, a);
    encode_hmac_sha256(a, sizeof(a), key->region, strlen(key->region), b);
    encode_hmac_sha256(b, sizeof(b), key->service, strlen(key->service), a);
    encode_hmac_sha256(a, sizeof(a), d->scope_end, strlen(d->scope_end), ret);
    sodium_memzero(first, sizeof(first));
    sodium_memzero(a, sizeof(a));
    sodium_memzero(b, sizeof(b));
}

static int sign_text(const struct sigv4_key *key, const char *date,
                     const struct buffer *canonical, char ret_hex[ENCODE_SHA256_HEX])
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint8_t hash[ENCODE_SHA256], derived[ENCODE_SHA256];

    encode_sha256(canonical->data, canonical->len, hash);
    encode_hex(hash, sizeof(hash), ret_hex);
    buffer_printf(&text, "%s\n%s\n", DIALECTS[key->dialect].algorithm, date);
    put_scope(&text, key, date);
    buffer_printf(&text, "\n%s", ret_hex);
    if (buffer_failed(&text))
        return buffer_failed(&text);
    derive_key(key, date, derived);
    encode_hmac_sha256(derived, sizeof(derived), text.data, text.len, hash);
    encode_hex(hash, sizeof(hash), ret_hex);
    sodium_memzero(derived, sizeof(derived));
    return 0;
}

static int sign_canonical(const struct sigv4_key *key, const struct sigv4_request *r,
                          const char *query, struct canonical_headers *headers,
                          const char *date, char ret_hex[ENCODE_SHA256_HEX])
{
    CLEANUP(buffer_release) struct buffer canonical = BUFFER_INIT;
    int status;

    if (strlen(key->secret) > SIGV4_SECRET_MAX)
        return -EINVAL;
    status = put_canonical(&canonical, r, query, headers);
    return status < 0 ? status : sign_text(key, date, &canonical, ret_hex);
}

static void sort_headers(struct canonical_headers *h)
{
    qsort(h->at, h->n, sizeof(h->at[0]), compare_headers);
}

void sigv4_signed_release(struct sigv4_signed *s)
{
    buffer_release(&s->authorization);
}

int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *request,
               struct sigv4_signed *ret_signed)
{
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    struct canonical_headers headers = { .n = 0 };
    char hex[ENCODE_SHA256_HEX];
    int status = format_date(request->now_s, s.date);

    if (status == 0)
        status = collect_signed_headers(&headers, key, request, s.date);
    if (status < 0)
        return status;
    sort_headers(&headers);
    status = sign_canonical(key, request, request->query, &headers, s.date, hex);
    if (status < 0)
        return status;
    buffer_printf(&s.authorization, "%s Credential=%s/",
                  DIALECTS[key->dialect].algorithm, key->id);
    put_scope(&s.authorization, key, s.date);
    buffer_puts(&s.authorization, ", SignedHeaders=");
    put_header_names(&s.authorization, &headers);
    buffer_printf(&s.authorization, ", Signature=%s", hex);
    if (buffer_failed(&s.authorization))
        return buffer_failed(&s.authorization);
    *ret_signed = s;
    s.authorization = BUFFER_INIT;
    return 0;
}

/* ---- presigned ---- */

static void put_param(struct buffer *query, const struct sigv4_key *key,
                      const char *name, const char *value)
{
    buffer_printf(query, "%s%s%s=", query->len ? "&" : "", DIALECTS[key->dialect].param,
                  name);
    encode_query(query, value, strlen(value));
}

static int put_presigned(struct buffer *query, const struct sigv4_key *key,
                         const struct canonical_headers *headers, const char *date,
                         uint32_t expires_s)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    char expires[16];

    put_param(query, key, "Algorithm", DIALECTS[key->dialect].algorithm);
    buffer_printf(&text, "%s/", key->id);
    put_scope(&text, key, date);
    put_param(query, key, "Credential", buffer_text(&text));
    put_param(query, key, "Date", date);
    snprintf(expires, sizeof(expires), "%u", expires_s);
    put_param(query, key, "Expires", expires);
    if (key->token)
        put_param(query, key, "Security-Token", key->token);
    buffer_clear(&text);
    put_header_names(&text, headers);
    put_param(query, key, "SignedHeaders", buffer_text(&text));
    return buffer_failed(&text) ? buffer_failed(&text) : buffer_failed(query);
}

int sigv4_presign(const struct sigv4_key *key, const struct sigv4_request *request,
                  uint32_t expires_s, struct buffer *ret_query)
{
    CLEANUP(buffer_release) struct buffer query = BUFFER_INIT;
    struct canonical_headers headers = { .n = 0 };
    char date[SIGV4_DATE], hex[ENCODE_SHA256_HEX];
    int status = format_date(request->now_s, date);

    if (expires_s < 1 || expires_s > SIGV4_EXPIRES_MAX_S)
        return -ERANGE;
    if (status == 0)
        status = collect_headers(&headers, request);
    if (status < 0)
        return status;
    sort_headers(&headers);
    buffer_puts(&query, request->query ? request->query : "");
    status = put_presigned(&query, key, &headers, date, expires_s);
    if (status == 0)
        status = sign_canonical(key, request, buffer_text(&query), &headers, date, hex);
    if (status < 0)
        return status;
    put_param(&query, key, "Signature", hex);
    return buffer_append(ret_query, query.data, query.len);
}
