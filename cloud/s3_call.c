/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/s3_call.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static struct s3_asked asked_of(const struct object_call *call)
{
    return (struct s3_asked){
        .bucket = call->store->address.bucket,
        .name = call->name,
        .region = call->region,
        .is_conditional_get = call->is_conditional_get,
    };
}

static bool is_google(const struct object_call *call)
{
    return call->store->address.dialect == SIGV4_GOOGLE;
}

/* ---- the request ---- */

static void release_call(struct object_call *call)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        free((char *)call->headers[i].name);
        free((char *)call->headers[i].value);
    }
    free(call->name);
    buffer_release(&call->query);
    buffer_release(&call->own_body);
    s3_parts_release(&call->parts);
    EVP_MD_CTX_free(call->reading.hash);
    free(call);
}

static void unref_call(struct object_call *call)
{
    assert(call->refs);
    if (--call->refs == 0)
        release_call(call);
}

static void unlink_call(struct object_call *call)
{
    if (!call->at)
        return;
    *call->at = call->next;
    if (call->next)
        call->next->at = call->at;
    call->at = NULL;
}

void s3_call_free(struct object_call *call)
{
    if (!call)
        return;
    unlink_call(call);
    release_call(call);
}

static void link_call(struct s3_store *s, struct object_call *call)
{
    call->next = s->calls;
    call->at = &s->calls;
    if (call->next)
        call->next->at = &call->next;
    s->calls = call;
}

static char *join(const char *prefix, const char *name)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    buffer_printf(&b, "%s%s", prefix, name);
    return buffer_take(&b);
}

int s3_call_new(struct s3_store *s, const char *method, const char *name,
                s3_finish_fn *finish, void *arg, struct object_call **ret_call)
{
    struct object_call *call;

    if (name && s3_check_name(s->prefix, name, NULL) < 0)
        return -EINVAL;
    call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->store = s;
    call->method = method;
    call->finish = finish;
    call->arg = arg;
    link_call(s, call);
    call->name = name ? join(s->prefix, name) : NULL;
    if ((name && !call->name) || s3_call_body(call, &call->body, NULL, false) < 0) {
        s3_call_free(call);
        return -ENOMEM;
    }
    *ret_call = call;
    return 0;
}

static struct sigv4_header *find_header(struct object_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        if (strcasecmp(call->headers[i].name, name) == 0)
            return &call->headers[i];
    }
    return NULL;
}

int s3_call_header(struct object_call *call, const char *name, const char *value)
{
    struct sigv4_header *h = find_header(call, name);
    char *copy = strdup(value);

    if (copy && !h && call->n_headers < S3_CALL_HEADERS_MAX) {
        h = &call->headers[call->n_headers];
        *h = (struct sigv4_header){ .name = strdup(name) };
        call->n_headers += h->name != NULL;
    }
    if (!copy || !h || !h->name) {
        free(copy);
        return copy && !h ? -E2BIG : -ENOMEM;
    }
    free((char *)h->value);
    h->value = copy;
    return 0;
}

int s3_call_own_header(struct object_call *call, const char *what, const char *value)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", is_google(call) ? "x-goog-" : "x-amz-", what);
    return s3_call_header(call, name, value);
}

int s3_call_param(struct object_call *call, const char *name, const char *value)
{
    struct buffer *b = &call->query;

    buffer_printf(b, "%s%s=", b->len ? "&" : "", name);
    return encode_query(b, value, strlen(value));
}

void s3_call_clear(struct object_call *call, const char *method)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        free((char *)call->headers[i].name);
        free((char *)call->headers[i].value);
    }
    call->n_headers = 0;
    buffer_clear(&call->query);
    call->method = method;
    call->body = (struct http_body){ .data = NULL };
    snprintf(call->payload, sizeof(call->payload), "%s",
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    call->on_try = NULL;
    call->is_region_followed = call->is_key_renewed = false;
}

static int hash_file(const struct http_body *body, EVP_MD_CTX *hash)
{
    char block[64 << 10];
    uint64_t done = 0;

    while (done < body->len) {
        size_t want = min_size(sizeof(block), (size_t)(body->len - done));
        ssize_t n = pread(body->fd, block, want, (off_t)(body->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        if (EVP_DigestUpdate(hash, block, (size_t)n) != 1)
            return -ENOMEM;
        done += (uint64_t)n;
    }
    return 0;
}

/* Digests of a body: SHA-256, or the MD5 that Google compares with. */
static int hash_body(const struct http_body *body, const EVP_MD *kind, uint8_t *ret)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    int status = hash && EVP_DigestInit_ex(hash, kind, NULL) == 1 ? 0 : -ENOMEM;

    if (status == 0 && body->data)
        status =
            EVP_DigestUpdate(hash, (const char *)body->data + body->offset, body->len)
                    == 1
                ? 0
                : -ENOMEM;
    else if (status == 0)
        status = hash_file(body, hash);
    if (status == 0 && EVP_DigestFinal_ex(hash, ret, NULL) != 1)
        status = -ENOMEM;
    EVP_MD_CTX_free(hash);
    return status;
}

static int add_checksum(struct object_call *call, const uint8_t *sha256)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint8_t md5[16];
    int status;

    if (is_google(call)) {
        status = hash_body(&call->body, EVP_md5(), md5);
        if (status == 0)
            status = encode_base64(&text, md5, sizeof(md5));
        return status < 0 ? status
                          : s3_call_header(call, "content-md5", buffer_text(&text));
    }
    status = encode_base64(&text, sha256, ENCODE_SHA256);
    if (status < 0)
        return status;
    snprintf(call->checksum, sizeof(call->checksum), "%s", buffer_text(&text));
    return s3_call_own_header(call, "checksum-sha256", call->checksum);
}

int s3_call_body(struct object_call *call, const struct http_body *body,
                 const uint8_t *sha256, bool is_kept)
{
    uint8_t found[ENCODE_SHA256];
    int status = sha256 ? 0 : hash_body(body, EVP_sha256(), found);

    if (status < 0)
        return status;
    call->body = *body;
    encode_hex(sha256 ? sha256 : found, ENCODE_SHA256, call->payload);
    return is_kept ? add_checksum(call, sha256 ? sha256 : found) : 0;
}

static int add_encryption(struct object_call *call)
{
    const struct s3_store *s = call->store;
    int status;

    if (!s->encryption)
        return 0;
    if (is_google(call))
        return s->kms_key
                   ? s3_call_own_header(call, "encryption-kms-key-name", s->kms_key)
                   : 0;
    status = s3_call_own_header(call, "server-side-encryption", s->encryption);
    if (status == 0 && s->kms_key)
        status = s3_call_own_header(call, "server-side-encryption-aws-kms-key-id",
                                    s->kms_key);
    return status;
}

int s3_call_if_absent(struct object_call *call)
{
    return is_google(call) ? s3_call_own_header(call, "if-generation-match", "0")
                           : s3_call_header(call, "if-none-match", "*");
}

int s3_call_new_object(struct object_call *call, const char *content_type)
{
    const struct s3_store *s = call->store;
    int status =
        s3_call_header(call, "content-type",
                       content_type ? content_type : "application/octet-stream");

    if (status == 0)
        status = add_encryption(call);
    if (status == 0 && s->storage_class)
        status = s3_call_own_header(call, "storage-class", s->storage_class);
    if (status == 0 && s->tags)
        status = s3_call_own_header(call, "tagging", s->tags);
    return status;
}

/* ---- signing a try ---- */

struct sigv4_key s3_key(const struct s3_store *s, const struct credential *key,
                        const char *region)
{
    return (struct sigv4_key){
        .dialect = s->address.dialect,
        .id = key->id,
        .secret = key->secret,
        .token = key->token,
        .region = region,
        .service = s->address.dialect == SIGV4_GOOGLE ? "storage" : "s3",
    };
}

int64_t s3_now(const struct s3_store *s)
{
    return s->now_s ? s->now_s(s->now_arg) : (int64_t)time(NULL);
}

static int send_own_header(const struct object_call *call, struct http_try *t,
                           const char *what, const char *value)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", is_google(call) ? "x-goog-" : "x-amz-", what);
    return http_try_header(t, name, value);
}

static int send_signature(const struct object_call *call, struct http_try *t,
                          const struct sigv4_key *key, const struct sigv4_signed *s)
{
    int status = http_try_header(t, "authorization", buffer_text(&s->authorization));

    if (status == 0)
        status = send_own_header(call, t, "date", s->date);
    if (status == 0)
        status = send_own_header(call, t, "content-sha256", call->payload);
    if (status == 0 && key->token)
        status = send_own_header(call, t, "security-token", key->token);
    return status;
}

static int sign(struct object_call *call, struct http_try *t,
                const struct credential *credential, const struct s3_url *u)
{
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    CLEANUP(freep)
    char *path = strndup(u->url.data + u->path_at, u->path_len);
    const struct sigv4_key key = s3_key(call->store, credential, call->region);
    const struct sigv4_request r = {
        .method = call->method,
        .host = buffer_text(&u->host),
        .path = path,
        .query = buffer_text(&call->query),
        .headers = call->headers,
        .n_headers = call->n_headers,
        .payload = call->payload,
        .is_store = true,
        .now_s = s3_now(call->store),
    };
    int status = path ? sigv4_sign(&key, &r, &s) : -ENOMEM;

    return status < 0 ? status : send_signature(call, t, &key, &s);
}

/* What this try sends: address, headers and signature. */
static int fill_try(struct object_call *call, struct http_try *t,
                    const struct credential *credential)
{
    CLEANUP(s3_url_release) struct s3_url u = { .url = BUFFER_INIT };
    int status = call->on_try ? call->on_try(call) : 0;

    snprintf(call->region, sizeof(call->region), "%s", call->store->region);
    if (status == 0)
        status = s3_address_url(&call->store->address, call->region, call->name,
                                buffer_text(&call->query), &u);
    if (status == 0)
        status = http_try_url(t, buffer_text(&u.url));
    for (size_t i = 0; i < call->n_headers && status == 0; i++)
        status = http_try_header(t, call->headers[i].name, call->headers[i].value);
    if (status == 0 && credential)
        status = sign(call, t, credential, &u);
    return status;
}

static int prepare_with(struct object_call *call, struct http_try *t,
                        const struct credential *credential, struct error *ret_error)
{
    int status;

    if (credential && (!credential->id || !credential->secret))
        return fail(ret_error, -EACCES,
                    "the key from %s has no id and secret, with which S3 is signed",
                    credential->from ? credential->from : "somewhere");
    if (credential)
        snprintf(call->key_id, sizeof(call->key_id), "%s", credential->id);
    status = fill_try(call, t, credential);
    return status < 0 ? fail(ret_error, status, "the request cannot be signed: %s",
                             strerror(-status))
                      : 0;
}

/* The engine waits for its try to go on, also when the call is over by now. */
static void on_key(void *arg, int status, const struct credential *key,
                   const struct error *error)
{
    struct object_call *call = arg;
    struct http_try *t = TAKE(call->awaiting);

    if (call->is_over)
        status = -ECANCELED;
    else if (status == 0)
        status = prepare_with(call, t, key, &call->error);
    else if (error)
        call->error = *error;
    call->prepared = status;
    if (!call->is_in_prepare)
        http_try_go(t, status, &call->error);
    unref_call(call);
}

static int prepare(void *arg, struct http_try *t, struct error *ret_error)
{
    struct object_call *call = arg;

    call->awaiting = t;
    call->refs++;
    call->is_in_prepare = true;
    if (call->store->credentials)
        credentials_get(call->store->credentials, on_key, call);
    else
        on_key(call, 0, NULL, NULL);
    call->is_in_prepare = false;
    if (call->awaiting)
        return HTTP_LATER;
    if (call->prepared < 0)
        *ret_error = call->error;
    return call->prepared;
}

/* ---- answers ---- */

const char *s3_answer_header(const struct object_call *call,
                             const struct http_answer *answer, const char *what)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", is_google(call) ? "x-goog-" : "x-amz-", what);
    return http_answer_header(answer, name);
}

static void keep_header(const struct http_answer *answer, const char *name, char *to,
                        size_t size)
{
    const char *value = http_answer_header(answer, name);

    if (value && !*to)
        snprintf(to, size, "%s", value);
}

int s3_call_fault(const struct http_answer *answer, struct s3_fault *f)
{
    *f = (struct s3_fault){ .http_code = answer->code };
    if (s3_fault_read(answer->body.data, answer->body.len, f) < 0)
        return -EBADMSG;
    keep_header(answer, "x-amz-request-id", f->request_id, sizeof(f->request_id));
    keep_header(answer, "x-guploader-uploadid", f->request_id, sizeof(f->request_id));
    keep_header(answer, "x-amz-bucket-region", f->region, sizeof(f->region));
    keep_header(answer, "x-minio-error-code", f->code, sizeof(f->code));
    return 0;
}

int s3_call_not_s3(const struct object_call *call, const struct http_answer *answer,
                   struct error *ret_error)
{
    const struct s3_address *a = &call->store->address;
    const char *type = http_answer_header(answer, "content-type");

    return fail(ret_error, -EPROTO,
                "%.100s does not answer as S3 does (HTTP status %d, %.60s): check the "
                "endpoint, and whether a proxy is in the way",
                a->host ? a->host : "AWS's endpoint", answer->code,
                type ? type : "of no type");
}

int s3_call_judge(struct object_call *call, int status,
                  const struct http_answer *answer, const struct error *error,
                  struct error *ret_error)
{
    const struct s3_asked asked = asked_of(call);
    struct s3_fault fault;

    if (status < 0) {
        *ret_error = *call->error.text ? call->error : *error;
        return status;
    }
    if (answer->code >= 200 && answer->code < 300)
        return 0;
    if (s3_call_fault(answer, &fault) < 0) {
        if (answer->code < 500)
            return s3_call_not_s3(call, answer, ret_error);
        fault = (struct s3_fault){ .http_code = answer->code };
    }
    return s3_fault_tell(&fault, &asked, ret_error);
}

int s3_call_unexpected(struct object_call *call, const struct http_answer *answer,
                       struct error *ret_error)
{
    const struct s3_asked asked = asked_of(call);
    struct s3_fault fault;

    if (!answer->body.len || s3_call_fault(answer, &fault) < 0)
        return s3_call_not_s3(call, answer, ret_error);
    return s3_fault_tell(&fault, &asked, ret_error);
}

static bool follow_region(struct object_call *call, const struct s3_fault *f)
{
    if (call->is_region_followed || !*f->region || strcmp(f->region, call->region) == 0
        || f->http_code < 300 || f->http_code == 403 || f->http_code == 404)
        return false;
    call->is_region_followed = true;
    snprintf(call->store->region, sizeof(call->store->region), "%s", f->region);
    return true;
}

static bool renew_key(struct object_call *call, const struct s3_fault *f)
{
    if (call->is_key_renewed || !call->store->credentials || !s3_fault_is_of_key(f))
        return false;
    call->is_key_renewed = true;
    return credentials_refused(call->store->credentials, call->key_id);
}

/* Of an answer of 2xx only that of a finished upload may be an error. */
static bool is_transient(void *arg, const struct http_answer *answer)
{
    struct object_call *call = arg;
    struct s3_fault fault;

    if (answer->code >= 200 && answer->code < 300
        && (!answer->body.len || strcmp(call->method, "POST") != 0))
        return false;
    if (s3_call_fault(answer, &fault) < 0)
        return false;
    return renew_key(call, &fault) || s3_fault_is_transient(&fault);
}

int s3_call_ask_whose(struct object_call *call, s3_finish_fn *finish, int refused,
                      const struct error *why)
{
    int status;

    call->refused = refused;
    call->error = *why;
    call->finish = finish;
    s3_call_clear(call, "HEAD");
    status = s3_call_own_header(call, "checksum-mode", "ENABLED");
    return status < 0 ? status : s3_call_start(call);
}

int s3_call_whose(const struct object_call *call, int status,
                  const struct http_answer *answer)
{
    const char *checksum;

    if (status < 0)
        return status == -ECANCELED ? status : call->refused;
    checksum = s3_answer_header(call, answer, "checksum-sha256");
    return answer->code == 200 && checksum && strcmp(checksum, call->checksum) == 0
               ? 0
               : call->refused;
}

int s3_call_check_encryption(const struct object_call *call,
                             const struct http_answer *answer, struct error *ret_error)
{
    const char *wanted = call->store->encryption;
    const char *done = s3_answer_header(call, answer, "server-side-encryption");

    if (!wanted || is_google(call) || (done && strcmp(done, wanted) == 0))
        return 0;
    return fail(ret_error, -EPROTO,
                "the store does not say that it encrypted '%.80s' by %s, as the option "
                "encryption wants: it cannot, or ignores it",
                call->name, wanted);
}

static void copy_header(const struct http_answer *answer, const char *name, char *to,
                        size_t size)
{
    const char *value = http_answer_header(answer, name);

    if (value && strlen(value) < size)
        memcpy(to, value, strlen(value) + 1);
}

void s3_about_headers(const struct object_call *call, const struct http_answer *answer,
                      struct object_about *ret_about)
{
    CLEANUP(buffer_release) struct buffer hash = BUFFER_INIT;
    const char *modified = http_answer_header(answer, "last-modified");
    const char *checksum = s3_answer_header(call, answer, "checksum-sha256");
    const char *tier = s3_answer_header(call, answer, "storage-class");

    copy_header(answer, "etag", ret_about->etag, sizeof(ret_about->etag));
    if (modified)
        ret_about->modified_s = s3_time(modified);
    if (tier && strcmp(tier, "STANDARD") != 0)
        snprintf(ret_about->tier, sizeof(ret_about->tier), "%s", tier);
    if (checksum && decode_base64(&hash, checksum, strlen(checksum)) == 0
        && hash.len == ENCODE_SHA256)
        encode_hex((const uint8_t *)hash.data, hash.len, ret_about->sha256);
}

/* ---- beginning and end ---- */

void s3_call_over(struct object_call *call)
{
    call->is_over = true;
    unlink_call(call);
}

/* Another region may be another host, which a further try cannot be sent to. */
static bool is_elsewhere(struct object_call *call, const struct http_answer *answer)
{
    struct s3_fault fault;

    return answer->code >= 300 && s3_call_fault(answer, &fault) == 0
           && follow_region(call, &fault) && s3_call_start(call) == 0;
}

static void on_done(void *arg, int status, const struct http_answer *answer,
                    const struct error *error)
{
    struct object_call *call = arg;

    call->http = NULL;
    if (!call->is_over && (status < 0 || !is_elsewhere(call, answer)))
        call->finish(call, status, answer, error);
    unref_call(call);
}

void s3_call_abandon(struct object_call *call)
{
    struct http_call *http = call->http;
    struct error error;

    call->refs++;
    fail(&error, -ECANCELED, "the store was closed");
    call->error = error;
    if (http)
        http_cancel(http);
    call->finish(call, -ECANCELED, NULL, &error);
    unref_call(call);
}

int s3_call_start(struct object_call *call)
{
    CLEANUP(s3_url_release) struct s3_url u = { .url = BUFFER_INIT };
    int status = buffer_failed(&call->query);

    if (status == 0)
        status = s3_address_url(&call->store->address, call->store->region, call->name,
                                buffer_text(&call->query), &u);
    if (status < 0)
        return status;
    call->refs++;
    status = http_start(call->store->http,
                        &(struct http_request){
                            .method = call->method,
                            .url = buffer_text(&u.url),
                            .body = call->body,
                            .repeat = HTTP_REPEAT,
                            .tries_max = call->store->tries_max,
                            .store = "s3",
                            .prepare = prepare,
                            .is_transient = is_transient,
                            .on_answer = call->reading.on_data ? s3_get_answer : NULL,
                            .on_data = call->reading.on_data ? s3_get_data : NULL,
                            .done = on_done,
                            .arg = call,
                        },
                        &call->http);
    if (status < 0)
        call->refs--;
    return status;
}

int s3_call_take(struct object_call *call, struct object_call **ret_call)
{
    int status = s3_call_start(call);

    if (status < 0) {
        s3_call_free(call);
        return status;
    }
    if (ret_call)
        *ret_call = call;
    return 0;
}
