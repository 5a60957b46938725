/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/google_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cloud/encode.h"
#include "cloud/gcs_url.h"

enum { ASSERTION_S = 3600 };

/* ---- files ---- */

static void wipe(char *text)
{
    if (text)
        sodium_memzero(text, strlen(text));
    free(text);
}

static void wipep(char **text)
{
    wipe(*text);
}

void google_file_release(struct google_file *file)
{
    wipe(file->token_uri);
    wipe(file->email);
    wipe(file->private_key);
    wipe(file->key_id);
    wipe(file->client_id);
    wipe(file->client_secret);
    wipe(file->refresh_token);
    wipe(file->audience);
    wipe(file->subject_type);
    wipe(file->subject_file);
    wipe(file->subject_url);
    wipe(file->subject_field);
    wipe(file->subject_header);
    wipe(file->subject_header_value);
    wipe(file->impersonate_url);
    *file = (struct google_file){ .token_uri = NULL };
}

struct wanted {
    const char *key;
    char **to;
    const char *usual; /* NULL: it must be there */
};

static int take(const json_t *json, const struct wanted *w, const char *path,
                struct error *ret_error)
{
    const char *text = json_string_value(json_object_get(json, w->key));

    if (!text || !*text)
        text = w->usual;
    if (!text)
        return fail(ret_error, -EINVAL, "%.200s has no '%s': make or download it again",
                    path, w->key);
    *w->to = strdup(text);
    return *w->to ? 0 : fail(ret_error, -ENOMEM, "no memory is left for a key");
}

static int take_all(const json_t *json, const struct wanted *wanted, size_t n,
                    const char *path, struct error *ret_error)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = take(json, &wanted[i], path, ret_error);
    return r;
}

static int read_service_account(const json_t *json, const char *path,
                                struct google_file *f, struct error *ret_error)
{
    const struct wanted wanted[] = {
        { "client_email", &f->email, NULL },
        { "private_key", &f->private_key, NULL },
        { "private_key_id", &f->key_id, "" },
        { "token_uri", &f->token_uri, "https://oauth2.googleapis.com/token" },
    };

    f->kind = GOOGLE_SERVICE_ACCOUNT;
    return take_all(json, wanted, ARRAY_SIZE(wanted), path, ret_error);
}

static int read_user(const json_t *json, const char *path, struct google_file *f,
                     struct error *ret_error)
{
    const struct wanted wanted[] = {
        { "client_id", &f->client_id, NULL },
        { "client_secret", &f->client_secret, NULL },
        { "refresh_token", &f->refresh_token, NULL },
        { "token_uri", &f->token_uri, "https://oauth2.googleapis.com/token" },
    };

    f->kind = GOOGLE_USER;
    return take_all(json, wanted, ARRAY_SIZE(wanted), path, ret_error);
}

static int take_optional(const json_t *json, const char *key, char **to)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (!text)
        return 0;
    *to = strdup(text);
    return *to ? 0 : -ENOMEM;
}

/* https://google.aip.dev/auth/4117. Of the header fields one is taken: services that
 * hand out tokens want one. */
static int read_source(const json_t *source, const char *path, struct google_file *f,
                       struct error *ret_error)
{
    json_t *headers = json_object_get(source, "headers");
    const json_t *format = json_object_get(source, "format");
    void *first = json_object_iter(headers);

    if (take_optional(source, "file", &f->subject_file) < 0
        || take_optional(source, "url", &f->subject_url) < 0
        || take_optional(format, "subject_token_field_name", &f->subject_field) < 0)
        return fail(ret_error, -ENOMEM, "no memory is left for a key");
    if (first && json_is_string(json_object_iter_value(first))) {
        f->subject_header = strdup(json_object_iter_key(first));
        f->subject_header_value =
            strdup(json_string_value(json_object_iter_value(first)));
    }
    if (json_object_get(source, "environment_id"))
        return fail(ret_error, -EINVAL,
                    "%.200s takes its token from AWS, which is not done here: use one "
                    "whose credential_source is a file or a url",
                    path);
    if (!f->subject_file == !f->subject_url || json_object_size(headers) > 1)
        return fail(
            ret_error, -EINVAL,
            "%.200s takes its token from a program or in a way that is not done "
            "here: use one whose credential_source is a file or a url",
            path);
    return 0;
}

static int read_workload(const json_t *json, const char *path, struct google_file *f,
                         struct error *ret_error)
{
    const struct wanted wanted[] = {
        { "audience", &f->audience, NULL },
        { "subject_token_type", &f->subject_type, NULL },
        { "token_url", &f->token_uri, NULL },
    };
    int r = take_all(json, wanted, ARRAY_SIZE(wanted), path, ret_error);

    f->kind = GOOGLE_WORKLOAD;
    if (r == 0
        && take_optional(json, "service_account_impersonation_url", &f->impersonate_url)
               < 0)
        r = fail(ret_error, -ENOMEM, "no memory is left for a key");
    if (r == 0)
        r = read_source(json_object_get(json, "credential_source"), path, f, ret_error);
    return r;
}

static int check_address(const char *address, const char *path, struct error *ret_error)
{
    CLEANUP(freep) char *checked = NULL;

    if (!address
        || (strncmp(address, "http", 4) == 0
            && gcs_endpoint(address, true, &checked, NULL) == 0))
        return 0;
    return fail(ret_error, -EINVAL,
                "%.200s would send secrets to '%.100s', which is not https://", path,
                address);
}

int google_file_read(const char *text, size_t len, const char *path,
                     struct google_file *ret_file, struct error *ret_error)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(text, len, 0, NULL);
    CLEANUP(google_file_release) struct google_file file = { .token_uri = NULL };
    const char *type = json_string_value(json_object_get(json, "type"));
    int r;

    if (!type)
        return fail(ret_error, -EINVAL,
                    "%.200s is no file of Google's credentials: no JSON with a type",
                    path);
    if (strcmp(type, "service_account") == 0)
        r = read_service_account(json, path, &file, ret_error);
    else if (strcmp(type, "authorized_user") == 0)
        r = read_user(json, path, &file, ret_error);
    else if (strcmp(type, "external_account") == 0)
        r = read_workload(json, path, &file, ret_error);
    else
        r = fail(ret_error, -EINVAL,
                 "%.200s is of the type '%.60s', which is not known here: use a "
                 "service_account, authorized_user or external_account",
                 path, type);
    if (r == 0)
        r = check_address(file.token_uri, path, ret_error);
    if (r == 0)
        r = check_address(file.impersonate_url, path, ret_error);
    if (r < 0)
        return r;
    *ret_file = file;
    file = (struct google_file){ .token_uri = NULL };
    return 0;
}

/* ---- what is asked ---- */

static inline void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static inline void pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static inline void digest_freep(EVP_MD_CTX **digest)
{
    EVP_MD_CTX_free(*digest);
}

static int no_passphrase(char *room UNUSED, int size UNUSED, int is_writing UNUSED,
                         void *arg UNUSED)
{
    return -1;
}

static int sign(const char *pem, const struct buffer *text, struct buffer *out)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
    CLEANUP(pkey_freep)
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    CLEANUP(digest_freep) EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t signature[1024];
    size_t len = sizeof(signature);

    if (!key || EVP_PKEY_base_id(key) != EVP_PKEY_RSA
        || (size_t)EVP_PKEY_size(key) > sizeof(signature))
        return -EINVAL;
    if (!digest || EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, key) != 1
        || EVP_DigestSign(digest, signature, &len, (const uint8_t *)text->data,
                          text->len)
               != 1)
        return -ENOMEM;
    return encode_base64url(out, signature, len);
}

static int append_json(struct buffer *out, json_t *taken)
{
    CLEANUP(json_decrefp) json_t *json = taken;
    CLEANUP(freep) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    return text ? encode_base64url(out, text, strlen(text)) : -ENOMEM;
}

int google_assertion(const struct google_file *f, const char *scope, int64_t now_s,
                     struct buffer *out, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer jwt = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer signature = BUFFER_INIT;
    int r = append_json(&jwt, json_pack("{s:s, s:s, s:s}", "alg", "RS256", "typ", "JWT",
                                        "kid", f->key_id));

    if (r == 0)
        r = buffer_putc(&jwt, '.');
    if (r == 0)
        r = append_json(&jwt,
                        json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", f->email, "scope",
                                  scope, "aud", f->token_uri, "iat", (json_int_t)now_s,
                                  "exp", (json_int_t)now_s + ASSERTION_S));
    if (r == 0)
        r = sign(f->private_key, &jwt, &signature);
    if (r == -EINVAL)
        return fail(ret_error, r,
                    "the private_key of %.100s is no RSA key in PEM: download the file "
                    "again",
                    f->email);
    buffer_append(out, jwt.data, jwt.len);
    buffer_putc(out, '.');
    buffer_append(out, signature.data, signature.len);
    if (r < 0 || buffer_failed(out))
        return fail(ret_error, -ENOMEM, "no memory is left for a token");
    return 0;
}

static void add_field(struct buffer *out, const char *key, const char *value)
{
    if (out->len)
        buffer_putc(out, '&');
    buffer_puts(out, key);
    buffer_putc(out, '=');
    encode_query(out, value, strlen(value));
}

int google_token_form(const struct google_file *f, const char *scope, int64_t now_s,
                      const char *subject, struct buffer *out, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer assertion = BUFFER_INIT;
    int r = 0;

    switch (f->kind) {
    case GOOGLE_SERVICE_ACCOUNT:
        r = google_assertion(f, scope, now_s, &assertion, ret_error);
        add_field(out, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        add_field(out, "assertion", buffer_text(&assertion));
        break;
    case GOOGLE_USER:
        add_field(out, "grant_type", "refresh_token");
        add_field(out, "client_id", f->client_id);
        add_field(out, "client_secret", f->client_secret);
        add_field(out, "refresh_token", f->refresh_token);
        break;
    case GOOGLE_WORKLOAD:
        add_field(out, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        add_field(out, "requested_token_type",
                  "urn:ietf:params:oauth:token-type:access_token");
        add_field(out, "audience", f->audience);
        add_field(out, "scope", f->impersonate_url ? GOOGLE_SCOPE_ALL : scope);
        add_field(out, "subject_token_type", f->subject_type);
        add_field(out, "subject_token", subject);
        break;
    }
    if (r == 0 && buffer_failed(out))
        r = fail(ret_error, -ENOMEM, "no memory is left for a token");
    return r;
}

int google_subject(const struct google_file *f, const char *text, size_t len,
                   struct buffer *out, struct error *ret_error)
{
    CLEANUP(json_decrefp) json_t *json = NULL;

    if (f->subject_field) {
        json = json_loadb(text, len, 0, NULL);
        text = json_string_value(json_object_get(json, f->subject_field));
        len = text ? strlen(text) : 0;
    }
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    if (!len || len >= GOOGLE_TOKEN_MAX)
        return fail(ret_error, -EINVAL,
                    "there is no token where credential_source says: look at %.200s",
                    f->subject_file ? f->subject_file : f->subject_url);
    buffer_append(out, text, len);
    return buffer_failed(out) ? fail(ret_error, -ENOMEM, "no memory is left") : 0;
}

/* ---- what is answered ---- */

static int64_t read_time(const char *text)
{
    struct tm tm = { .tm_isdst = 0 };

    return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : 0;
}

int google_token_read(const char *text, size_t len, int64_t now_s,
                      struct google_token *ret_token, struct error *ret_error)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(text, len, 0, NULL);
    const char *token = json_string_value(json_object_get(json, "access_token"));
    json_int_t lives_s = json_integer_value(json_object_get(json, "expires_in"));
    bool is_bad = lives_s < 0 || lives_s > INT32_MAX;
    int64_t expires_s = is_bad ? 0 : now_s + lives_s;

    if (!token) {
        token = json_string_value(json_object_get(json, "accessToken"));
        expires_s = read_time(json_string_value(json_object_get(json, "expireTime")));
    }
    if (!token || !*token || strlen(token) >= GOOGLE_TOKEN_MAX
        || strpbrk(token, " \t\r\n") || is_bad || expires_s <= now_s)
        return fail(ret_error, -EPROTO,
                    "what answers gives no token of Google's: look at the address in "
                    "the file and at proxies between");
    strcpy(ret_token->text, token);
    ret_token->expires_s = expires_s;
    return 0;
}

/* ---- gsutil ---- */

static bool take_line(const char *line, const char *key, struct buffer *ret)
{
    size_t n = strlen(key);

    if (strncmp(line, key, n) != 0)
        return false;
    line += n + strspn(line + n, " \t");
    if (*line != '=' && *line != ':')
        return false;
    line++;
    line += strspn(line, " \t");
    buffer_clear(ret);
    buffer_append(ret, line, strcspn(line, " \t\r\n"));
    return true;
}

bool google_boto_read(const char *text, size_t len, struct buffer *ret_id,
                      struct buffer *ret_secret)
{
    CLEANUP(wipep) char *copy = strndup(text, len);
    bool is_section = false;
    char *rest = copy, *line;

    while (rest && (line = strsep(&rest, "\n"))) {
        if (*line == '[')
            is_section = strncmp(line, "[Credentials]", 13) == 0;
        else if (is_section && !take_line(line, "gs_access_key_id", ret_id))
            take_line(line, "gs_secret_access_key", ret_secret);
    }
    return ret_id->len && ret_secret->len && !buffer_failed(ret_id)
           && !buffer_failed(ret_secret);
}
