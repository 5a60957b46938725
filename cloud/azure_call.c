/* SPDX-License-Identifier: Apache-2.0 */
/* One operation of the store: its requests made, signed, sent and judged. */
#include "cloud/azure_store.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cloud/azure_date.h"

enum { ANSWER_MAX = 32 << 20 }; /* a list of 150,000 blocks */

/* ---- names ---- */

/* The service takes such names for others: it drops what a path segment ends with, and
 * a path goes through programs that resolve its dots. */
static int check_name(const struct azure_store *s, const char *name)
{
    size_t len = strlen(s->prefix) + strlen(name), segments = 1;

    if (len > OBJECT_NAME_MAX)
        return -ENAMETOOLONG;
    if (!*name || name[strlen(name) - 1] == '/')
        return -EINVAL;
    for (const char *at = name; at; segments++) {
        size_t n = strcspn(at, "/");

        if (memchr(at, '\\', n) || (n > 0 && at[n - 1] == '.'))
            return -EINVAL;
        at = at[n] ? at + n + 1 : NULL;
    }
    return segments > 254 ? -EINVAL : 0;
}

/* ---- life ---- */

static void forget(struct object_call *c)
{
    if (c->used)
        sodium_memzero(c->used, strlen(c->used));
    free(c->used);
    c->used = NULL;
}

static void free_call(struct object_call *c)
{
    forget(c);
    buffer_release(&c->url);
    buffer_release(&c->block_list);
    for (size_t i = 0; i < c->n_headers; i++)
        free((char *)c->headers[i].value);
    EVP_MD_CTX_free(c->hash);
    free(c->name);
    free(c->if_match);
    free(c->list_prefix);
    free(c->marker);
    free(c->upload);
    free(c);
}

static void unhold(struct object_call *c)
{
    assert(c->holds > 0);
    if (--c->holds == 0)
        free_call(c);
}

int azure_call_new(struct azure_store *s, const char *verb, const char *name,
                   struct object_call **ret_call)
{
    struct object_call *c;
    int r = name ? check_name(s, name) : 0;

    if (r < 0)
        return r;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    if (name && asprintf(&c->name, "%s%s", s->prefix, name) < 0) {
        free(c);
        return -ENOMEM;
    }
    c->store = s;
    c->verb = verb;
    c->holds = 1;
    c->len = UINT64_MAX;
    c->next = s->calls;
    c->link = &s->calls;
    if (c->next)
        c->next->link = &c->next;
    s->calls = c;
    *ret_call = c;
    return 0;
}

static void unlink_call(struct object_call *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->store = NULL;
}

void azure_call_drop(struct object_call *c)
{
    unlink_call(c);
    unhold(c);
}

void azure_finish_done(struct object_call *c, int status, const struct error *error)
{
    unlink_call(c);
    c->done(c->arg, status, status < 0 ? NULL : &c->about, status < 0 ? error : NULL);
    unhold(c);
}

void azure_finish_listed(struct object_call *c, int status,
                         const struct object_entry *entries, size_t n, const char *next,
                         const struct error *error)
{
    unlink_call(c);
    c->listed(c->arg, status, entries, n, next, status < 0 ? error : NULL);
    unhold(c);
}

void azure_finish_uploaded(struct object_call *c, int status,
                           const struct object_uploaded *u, const struct error *error)
{
    unlink_call(c);
    c->uploaded(c->arg, status, status < 0 ? NULL : u, status < 0 ? error : NULL);
    unhold(c);
}

void azure_finish_failed(struct object_call *c, int status, const struct error *error)
{
    if (c->step)
        azure_finish_uploaded(c, status, NULL, error);
    else if (c->name)
        azure_finish_done(c, status, error);
    else
        azure_finish_listed(c, status, NULL, 0, NULL, error);
}

/* ---- the request ---- */

static void clear_request(struct object_call *c)
{
    buffer_clear(&c->url);
    for (size_t i = 0; i < c->n_headers; i++)
        free((char *)c->headers[i].value);
    c->n_headers = 0;
    c->query = 0;
}

int azure_ask(struct object_call *c, const char *method)
{
    const struct azure_store *s = c->store;

    clear_request(c);
    c->method = method;
    buffer_printf(&c->url, "%s/%s", s->place.url, s->container);
    if (c->name) {
        buffer_putc(&c->url, '/');
        encode_path(&c->url, c->name, strlen(c->name));
    }
    return azure_header(c, "x-ms-version", "%s", AZURE_VERSION);
}

int azure_param(struct object_call *c, const char *name, const char *value)
{
    buffer_putc(&c->url, c->query ? '&' : '?');
    if (!c->query)
        c->query = c->url.len;
    buffer_printf(&c->url, "%s=", name);
    return encode_query(&c->url, value, strlen(value));
}

int azure_header(struct object_call *c, const char *name, const char *format, ...)
{
    char *value;
    va_list args;
    int len;

    assert(c->n_headers < AZURE_HEADERS_MAX);
    va_start(args, format);
    len = vasprintf(&value, format, args);
    va_end(args);
    if (len < 0)
        return -ENOMEM;
    c->headers[c->n_headers++] = (struct shared_key_header){ name, value };
    return 0;
}

/* ---- signed ---- */

/* Of this try: the time, and where a get that broke goes on. */
struct trial {
    char date[AZURE_DATE], range[64];
    const struct shared_key_header *headers;
    size_t n_headers;
};

static bool is_get(const struct object_call *c)
{
    return c->on_data != NULL;
}

static void write_range(const struct object_call *c, struct trial *t)
{
    uint64_t from = c->offset + c->given;

    if (!is_get(c) || (c->len == UINT64_MAX && from == 0))
        return;
    if (c->len == UINT64_MAX || c->len > UINT64_MAX - c->offset)
        snprintf(t->range, sizeof(t->range), "bytes=%llu-", (unsigned long long)from);
    else
        snprintf(t->range, sizeof(t->range), "bytes=%llu-%llu",
                 (unsigned long long)from,
                 (unsigned long long)(c->offset + c->len - 1));
}

static int put_trial(struct object_call *c, struct trial *t,
                     struct shared_key_header all[AZURE_HEADERS_MAX + 3])
{
    azure_date_write(time(NULL), t->date);
    write_range(c, t);
    memcpy(all, c->headers, c->n_headers * sizeof(*all));
    t->n_headers = c->n_headers;
    all[t->n_headers++] = (struct shared_key_header){ "x-ms-date", t->date };
    if (t->range[0])
        all[t->n_headers++] = (struct shared_key_header){ "x-ms-range", t->range };
    if (is_get(c) && c->given > 0 && !c->if_match)
        all[t->n_headers++] = (struct shared_key_header){ "If-Match", c->about.etag };
    t->headers = all;
    for (size_t i = c->n_headers; i < t->n_headers; i++)
        if (http_try_header(c->waits, all[i].name, all[i].value) < 0)
            return -ENOMEM;
    return 0;
}

static int sign_by_key(struct object_call *c, const struct trial *t,
                       const struct credential *key, struct buffer *value)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const char *url = buffer_text(&c->url);
    struct shared_key_request r = {
        .method = c->method,
        .account = c->store->place.account,
        .query = c->query ? url + c->query : NULL,
        .headers = t->headers,
        .n_headers = t->n_headers,
        .content_length = c->body.len,
    };
    int failed;

    url += c->store->place.path;
    buffer_append(&path, url, strcspn(url, "?"));
    r.path = buffer_text(&path);
    failed = shared_key_text(&r, &text);
    if (failed < 0)
        return failed;
    failed =
        shared_key_authorization(r.account, key->secret, buffer_text(&text), value);
    return failed == -EINVAL
               ? fail(&c->error, -EACCES,
                      "azure: the account key is not base64: copy it as a whole, with "
                      "the '=' at its end")
               : failed;
}

/* Whoever has a SAS or a bearer token can use it: they are sent to no one in clear, and
 * a token never to this machine's emulators either, which want TLS as the service. */
static int check_way(struct object_call *c, enum azure_auth auth)
{
    const struct azure_place *place = &c->store->place;

    if (place->is_tls || auth == AZURE_AUTH_KEY
        || (place->is_loopback && auth == AZURE_AUTH_SAS))
        return 0;
    return fail(&c->error, -EACCES,
                "azure: %s is not sent to %s without TLS: use https://",
                auth == AZURE_AUTH_SAS ? "a SAS" : "a token", place->host);
}

static int remember(struct object_call *c, const char *token)
{
    forget(c);
    c->used = strdup(token);
    return c->used ? 0 : -ENOMEM;
}

static int sign(struct object_call *c, const struct credential *key)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct shared_key_header all[AZURE_HEADERS_MAX + 3];
    struct trial t = { .range = "" };
    int r = put_trial(c, &t, all);

    if (r < 0)
        return r;
    c->auth = !key->token              ? AZURE_AUTH_KEY
              : sas_is_one(key->token) ? AZURE_AUTH_SAS
                                       : AZURE_AUTH_TOKEN;
    r = check_way(c, c->auth);
    if (r == 0 && c->auth == AZURE_AUTH_TOKEN)
        r = remember(c, key->token);
    if (r < 0)
        return r;
    if (c->auth == AZURE_AUTH_SAS) {
        buffer_printf(&value, "%s%c%s", buffer_text(&c->url), c->query ? '&' : '?',
                      key->token + (*key->token == '?'));
        r = buffer_failed(&value) ? -ENOMEM
                                  : http_try_url(c->waits, buffer_text(&value));
    } else {
        if (c->auth == AZURE_AUTH_TOKEN)
            r = buffer_printf(&value, "Bearer %s", key->token);
        else
            r = sign_by_key(c, &t, key, &value);
        if (r == 0)
            r = http_try_header(c->waits, "Authorization", buffer_text(&value));
    }
    if (value.data)
        sodium_memzero(value.data, value.cap);
    return r;
}

static int sign_nothing(struct object_call *c)
{
    struct shared_key_header all[AZURE_HEADERS_MAX + 3];
    struct trial t = { .range = "" };

    c->auth = AZURE_AUTH_NONE;
    return put_trial(c, &t, all);
}

/* The call may have ended while the key was waited for. */
static void on_key(void *arg, int status, const struct credential *key,
                   const struct error *error)
{
    struct object_call *c = arg;
    struct http_try *t = c->waits;

    if (!c->store)
        status = -ECANCELED;
    if (status == 0) {
        status = sign(c, key);
        error = &c->error;
    }
    c->waits = NULL;
    http_try_go(t, status, error);
    unhold(c);
}

static int on_prepare(void *arg, struct http_try *t, struct error *ret_error UNUSED)
{
    struct object_call *c = arg;
    int r;

    c->waits = t;
    if (!c->store->credentials) {
        r = sign_nothing(c);
        c->waits = NULL;
        return r;
    }
    c->holds++;
    credentials_get(c->store->credentials, on_key, c);
    return HTTP_LATER;
}

/* ---- sent ---- */

static int64_t skew(const struct http_answer *a)
{
    const char *date = http_answer_header(a, "Date");
    int64_t at;

    return date && azure_date_read(date, &at) == 0 ? (int64_t)time(NULL) - at : 0;
}

static void read_refusal(const struct http_answer *a, struct azure_refusal *ret)
{
    azure_refusal_read(a->code, http_answer_header(a, "x-ms-error-code"),
                       http_answer_header(a, "x-ms-request-id"), buffer_text(&a->body),
                       a->body.len, ret);
    ret->skew_s = skew(a);
}

/* A token that is refused is asked for anew, once. */
static bool renew(struct object_call *c, const struct azure_refusal *refusal)
{
    if (c->is_renewed || c->auth != AZURE_AUTH_TOKEN
        || !azure_refusal_is_of_key(refusal))
        return false;
    c->is_renewed = true;
    return credentials_refused(c->store->credentials, c->used);
}

static bool on_transient(void *arg, const struct http_answer *a)
{
    struct object_call *c = arg;
    struct azure_refusal refusal;

    if (a->code < 400 || !c->store || c->is_canceled)
        return false;
    read_refusal(a, &refusal);
    return azure_refusal_is_transient(&refusal) || renew(c, &refusal);
}

static int refused(struct object_call *c, const struct http_answer *a,
                   struct error *ret_error)
{
    const struct azure_asked asked = { .verb = c->verb,
                                       .account = c->store->place.account,
                                       .container = c->store->container,
                                       .auth = c->auth };
    struct azure_refusal refusal;

    read_refusal(a, &refusal);
    return azure_refusal_fail(&refusal, &asked, ret_error);
}

static void on_done(void *arg, int status, const struct http_answer *a,
                    const struct error *error)
{
    struct object_call *c = arg;
    struct error why;

    c->call = NULL;
    if (c->store && c->is_canceled)
        status = fail(&c->error, -ECANCELED, "azure %s: it was canceled", c->verb);
    if (c->store && status == 0 && (a->code < 200 || a->code > 299)) {
        status = refused(c, a, &why);
        c->answered(c, status, a, &why);
    } else if (c->store) {
        c->answered(c, status, a, c->is_canceled ? &c->error : error);
    }
    unhold(c);
}

int azure_send(struct object_call *c)
{
    struct http_request r = {
        .method = c->method,
        .url = buffer_text(&c->url),
        .body = c->body,
        .repeat = HTTP_REPEAT,
        .tries_max = c->store->tries_max,
        .store = "azure",
        .prepare = on_prepare,
        .is_transient = on_transient,
        .done = on_done,
        .arg = c,
        .answer_max = ANSWER_MAX,
    };
    int failed = buffer_failed(&c->url);

    if (failed < 0)
        return failed;
    if (is_get(c)) {
        r.on_answer = azure_get_on_answer;
        r.on_data = azure_get_on_data;
    }
    for (size_t i = 0; i < c->n_headers; i++)
        r.headers[i] = (struct http_header){ c->headers[i].name, c->headers[i].value };
    failed = http_start(c->store->http, &r, &c->call);
    if (failed == 0)
        c->holds++;
    return failed;
}

/* ---- hashes ---- */

struct hashes {
    EVP_MD_CTX *md5, *sha256;
};

static void hashes_release(struct hashes *h)
{
    EVP_MD_CTX_free(h->md5);
    EVP_MD_CTX_free(h->sha256);
}

static bool hashes_update(struct hashes *h, const void *data, size_t len)
{
    return EVP_DigestUpdate(h->md5, data, len) == 1
           && (!h->sha256 || EVP_DigestUpdate(h->sha256, data, len) == 1);
}

static int hash_file(struct hashes *h, const struct http_body *body)
{
    CLEANUP(freep) char *room = malloc(256 << 10);

    if (!room)
        return -ENOMEM;
    for (uint64_t at = 0; at < body->len;) {
        size_t want = (size_t)(body->len - at < 256 << 10 ? body->len - at : 256 << 10);
        ssize_t n = pread(body->fd, room, want, (off_t)(body->offset + at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        if (!hashes_update(h, room, (size_t)n))
            return -EIO;
        at += (uint64_t)n;
    }
    return 0;
}

/* MD5 is what the service checks; SHA-256 is what it keeps for us. */
static int hash_body(struct object_call *c)
{
    CLEANUP(hashes_release)
    struct hashes h = { EVP_MD_CTX_new(), c->has_sha256 ? NULL : EVP_MD_CTX_new() };
    int r;

    if (!h.md5 || (!c->has_sha256 && !h.sha256)
        || EVP_DigestInit_ex(h.md5, EVP_md5(), NULL) != 1
        || (h.sha256 && EVP_DigestInit_ex(h.sha256, EVP_sha256(), NULL) != 1))
        return -ENOMEM;
    r = c->body.data || c->body.len == 0
            ? (hashes_update(&h, c->body.data, c->body.len) ? 0 : -EIO)
            : hash_file(&h, &c->body);
    if (r == 0
        && (EVP_DigestFinal_ex(h.md5, c->md5, NULL) != 1
            || (h.sha256 && EVP_DigestFinal_ex(h.sha256, c->sha256, NULL) != 1)))
        r = -EIO;
    return r;
}

static void on_work(uv_work_t *work)
{
    struct object_call *c = work->data;

    c->hash_status = hash_body(c);
    uv_sem_post(&c->worked);
}

static void on_worked(uv_work_t *work, int status UNUSED)
{
    struct object_call *c = work->data;

    c->is_working = false;
    uv_sem_destroy(&c->worked);
    if (c->store && c->is_canceled) {
        fail(&c->error, -ECANCELED, "azure %s: it was canceled", c->verb);
        azure_finish_failed(c, -ECANCELED, &c->error);
    } else if (c->store) {
        c->after_work(c);
    }
    unhold(c);
}

int azure_hash_later(struct object_call *c, void (*after)(struct object_call *c))
{
    int r;

    if (uv_sem_init(&c->worked, 0) < 0)
        return -ENOMEM;
    c->after_work = after;
    c->work.data = c;
    r = uv_queue_work(http_loop(c->store->http), &c->work, on_work, on_worked);
    if (r < 0) {
        uv_sem_destroy(&c->worked);
        return r;
    }
    c->is_working = true;
    c->holds++;
    return 0;
}

/* The body is the caller's again when the call is done: nobody may read it then. */
void azure_call_end(struct object_call *c)
{
    struct http_call *call = TAKE(c->call);

    if (c->is_working && uv_cancel((uv_req_t *)&c->work) < 0)
        uv_sem_wait(&c->worked);
    if (call)
        http_cancel(call);
    fail(&c->error, -ECANCELED, "azure %s: the store was closed", c->verb);
    azure_finish_failed(c, -ECANCELED, &c->error);
}

void azure_cancel(struct object_call *c)
{
    c->is_canceled = true;
    if (c->is_working)
        uv_cancel((uv_req_t *)&c->work);
    else if (c->call)
        http_cancel(c->call);
}

/* ---- what answers say ---- */

void azure_about_read(const struct http_answer *a, struct object_about *ret)
{
    struct object_about about = { .size = 0 };
    const char *etag = http_answer_header(a, "ETag");
    const char *modified = http_answer_header(a, "Last-Modified");
    const char *size = http_answer_header(a, "Content-Length");
    const char *range = http_answer_header(a, "Content-Range");
    const char *tier = http_answer_header(a, "x-ms-access-tier");
    const char *sha256 = http_answer_header(a, "x-ms-meta-sha256");

    if (range && strchr(range, '/'))
        size = strchr(range, '/') + 1;
    about.size = size ? strtoull(size, NULL, 10) : 0;
    snprintf(about.etag, sizeof(about.etag), "%s", etag ? etag : "");
    if (modified)
        azure_date_read(modified, &about.modified_s);
    if (tier && strcmp(tier, "Hot") != 0)
        snprintf(about.tier, sizeof(about.tier), "%s", tier);
    if (sha256 && strspn(sha256, "0123456789abcdef") == 64 && sha256[64] == '\0')
        memcpy(about.sha256, sha256, 65);
    *ret = about;
}

void azure_nonce(char ret[AZURE_NONCE])
{
    uint8_t random[(AZURE_NONCE - 1) / 2];

    randombytes_buf(random, sizeof(random));
    encode_hex(random, sizeof(random), ret);
}
