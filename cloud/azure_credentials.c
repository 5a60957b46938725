/* SPDX-License-Identifier: Apache-2.0 */
/* Where keys of Azure come from: the environment, and services that give tokens. */
#include "cloud/azure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "cloud/azure_date.h"
#include "cloud/azure_place.h"
#include "cloud/azure_token.h"
#include "cloud/encode.h"
#include "cloud/shared_key.h"

#define AUTHORITY "https://login.microsoftonline.com"
#define METADATA "http://169.254.169.254"
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

enum {
    TOKEN_DEADLINE_MS = 30000,
    /* Where there is no metadata service, nobody says so. */
    METADATA_DEADLINE_MS = 5000,
    ANSWER_MAX = 64 << 10,
    ASSERTION_MAX = 16 << 10,
};

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* ---- keys and SAS of one account ---- */

struct static_source {
    char account[AZURE_ACCOUNT_MAX];
};

static int give_sas(const char *account, const char *sas, const char *from,
                    struct credential *ret, struct error *ret_error)
{
    struct sas about;
    char until[AZURE_ISO];
    int r = sas_read(sas, &about, ret_error);

    if (r < 0)
        return -EACCES;
    if (about.expires_s && about.expires_s <= time(NULL)) {
        azure_iso_write(about.expires_s, until);
        return fail(ret_error, -EACCES,
                    "azure: the SAS of the %s expired at %s: make a new one", from,
                    until);
    }
    *ret = (struct credential){ .id = (char *)account,
                                .token = (char *)sas + (*sas == '?'),
                                .expires_s = about.expires_s,
                                .from = from,
                                .is_static = true };
    return 0;
}

/* A connection string is of its own account and endpoint: what is in it goes to no
 * other. */
static bool is_of(const struct static_source *s, const struct azure_connection *c)
{
    const struct azure_place_options o = { .account = c->account,
                                           .endpoint = c->endpoint };
    struct azure_place place;

    return azure_place_find(&o, env, &place, NULL) == 0
           && strcmp(place.account, s->account) == 0;
}

static int give_key(const char *account, const char *key, const char *from,
                    struct credential *ret)
{
    *ret = (struct credential){
        .id = (char *)account, .secret = (char *)key, .from = from, .is_static = true
    };
    return 0;
}

static int find_static(const struct static_source *s, struct azure_connection *c,
                       struct credential *ret, struct error *ret_error)
{
    const char *text = env("AZURE_STORAGE_CONNECTION_STRING");
    const char *key = env("AZURE_STORAGE_KEY"), *sas = env("AZURE_STORAGE_SAS_TOKEN");
    const char *of = env("AZURE_STORAGE_ACCOUNT");

    if (text && azure_connection_read(text, c, ret_error) < 0)
        return -EACCES;
    if (text && is_of(s, c))
        return c->key
                   ? give_key(s->account, c->key, "connection string", ret)
                   : give_sas(s->account, c->sas, "connection string", ret, ret_error);
    if (of && strcmp(of, s->account) != 0)
        return -ENOENT;
    if (key)
        return give_key(s->account, key, "environment", ret);
    if (sas)
        return give_sas(s->account, sas, "environment", ret, ret_error);
    return -ENOENT;
}

static void static_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    CLEANUP(azure_connection_release) struct azure_connection c = { .account = NULL };
    struct credential key = { .id = NULL };
    struct error error = { .text = "" };
    int r = find_static(self, &c, &key, &error);

    fetched(arg, r, &key, &error);
}

/* ---- tokens ---- */

struct token_source {
    struct http *http;
    struct http_call *call;
    char *resource;
    struct buffer body; /* of the request; it has the secret */
    const char *from;
    int (*ask)(struct token_source *s, struct error *ret_error);
    bool is_metadata; /* nobody there: it is not that kind of machine */
    bool is_freed;    /* and waits for its call to end */
    credentials_fetched_fn *fetched;
    void *arg;
};

static void wipe_body(struct token_source *s)
{
    if (s->body.data)
        explicit_bzero(s->body.data, s->body.cap);
    buffer_release(&s->body);
}

static void free_token_source(struct token_source *s)
{
    wipe_body(s);
    free(s->resource);
    free(s);
}

static void token_free(void *self)
{
    struct token_source *s = self;

    if (s->call) {
        s->is_freed = true;
        http_cancel(s->call);
    } else {
        free_token_source(s);
    }
}

static int read_answer(struct token_source *s, const struct http_answer *a,
                       struct azure_token *ret_token, struct error *ret_error)
{
    const struct azure_token_asked asked = { .from = s->from,
                                             .client = env("AZURE_CLIENT_ID"),
                                             .tenant = env("AZURE_TENANT_ID") };
    const char *json = buffer_text(&a->body);

    return a->code == 200
               ? azure_token_read(json, a->body.len, time(NULL), ret_token, ret_error)
               : azure_token_refused(a->code, json, a->body.len, &asked, ret_error);
}

#define NOWHERE                                                              \
    "no credentials of Azure: there is no AZURE_STORAGE_CONNECTION_STRING, " \
    "AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN for this account, no "     \
    "AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or "       \
    "AZURE_FEDERATED_TOKEN_FILE, and no managed identity answers on this machine"

static void on_token(void *arg, int status, const struct http_answer *a,
                     const struct error *error)
{
    CLEANUP(azure_token_release) struct azure_token token = { .text = NULL };
    struct token_source *s = arg;
    struct credential key = { .from = s->from };
    struct error why = { .text = "" };

    s->call = NULL;
    wipe_body(s);
    if (s->is_freed) {
        free_token_source(s);
        return;
    }
    if (status == 0) {
        status = read_answer(s, a, &token, &why);
        error = &why;
    } else if (s->is_metadata && status != -ECANCELED) {
        status = fail(&why, -ENOENT, NOWHERE);
        error = &why;
    }
    key.token = token.text;
    key.expires_s = token.expires_s;
    s->fetched(s->arg, status, &key, error);
}

static void token_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct token_source *s = self;
    struct error error = { .text = "" };
    int r;

    s->fetched = fetched;
    s->arg = arg;
    r = s->ask(s, &error);
    if (r < 0) {
        wipe_body(s);
        fetched(arg, r, NULL, &error);
    }
}

/* A secret goes to nobody in clear but to this machine itself. */
static int check_authority(const char *url, struct error *ret_error)
{
    static const char *const ok[] = { "https://",
                                      "http://127.0.0.1:", "http://localhost:" };

    for (size_t i = 0; i < ARRAY_SIZE(ok); i++)
        if (strncmp(url, ok[i], strlen(ok[i])) == 0)
            return 0;
    return fail(ret_error, -EACCES,
                "AZURE_AUTHORITY_HOST must begin with https:// (as " AUTHORITY
                " does)");
}

static bool is_id(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= 128
           && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789.-")
                  == len;
}

/* ---- Entra ID ---- */

static void put_field(struct buffer *body, const char *name, const char *value)
{
    buffer_printf(body, "%s%s=", body->len ? "&" : "", name);
    encode_query(body, value, strlen(value));
}

static int write_url(struct buffer *url, struct error *ret_error)
{
    const char *authority = env("AZURE_AUTHORITY_HOST");
    const char *tenant = env("AZURE_TENANT_ID");
    size_t len;
    int r;

    if (!authority)
        authority = AUTHORITY;
    r = check_authority(authority, ret_error);
    if (r < 0)
        return r;
    if (!is_id(tenant))
        return fail(ret_error, -EACCES,
                    "AZURE_TENANT_ID is neither an id nor a domain");
    for (len = strlen(authority); len > 0 && authority[len - 1] == '/';)
        len--;
    return buffer_printf(url, "%.*s/%s/oauth2/v2.0/token", (int)len, authority, tenant);
}

static int post(struct token_source *s, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer url = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer scope = BUFFER_INIT;
    struct http_request r = {
        .method = "POST",
        .headers = { { "Content-Type", "application/x-www-form-urlencoded" },
                     { "Accept", "application/json" } },
        .repeat = HTTP_REPEAT,
        .deadline_ms = TOKEN_DEADLINE_MS,
        .store = "azure-token",
        .done = on_token,
        .arg = s,
        .answer_max = ANSWER_MAX,
    };
    int failed = write_url(&url, ret_error);

    if (failed < 0)
        return failed;
    buffer_printf(&scope, "%s/.default", s->resource);
    put_field(&s->body, "scope", buffer_text(&scope));
    if (buffer_failed(&s->body))
        return -ENOMEM;
    r.url = buffer_text(&url);
    r.body = (struct http_body){ .data = s->body.data, .len = s->body.len };
    return http_start(s->http, &r, &s->call);
}

static int ask_by_secret(struct token_source *s, struct error *ret_error)
{
    const char *client = env("AZURE_CLIENT_ID"), *secret = env("AZURE_CLIENT_SECRET");

    if (!env("AZURE_TENANT_ID") || !client || !secret)
        return -ENOENT;
    put_field(&s->body, "grant_type", "client_credentials");
    put_field(&s->body, "client_id", client);
    put_field(&s->body, "client_secret", secret);
    return post(s, ret_error);
}

/* It is replaced from time to time, so it is read anew each time. */
static int read_assertion(const char *path, struct buffer *out, struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *room = fd < 0 ? NULL : buffer_reserve(out, ASSERTION_MAX);
    ssize_t n = room ? read(fd, room, ASSERTION_MAX) : -1;
    int why = errno;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return fail(ret_error, -EACCES, "AZURE_FEDERATED_TOKEN_FILE: %.200s: %s", path,
                    n == 0 ? "it is empty" : strerror(why));
    while (n > 0 && strchr(" \t\r\n", room[n - 1]))
        n--;
    out->len += (size_t)n;
    room[n] = '\0';
    return 0;
}

static int ask_by_workload(struct token_source *s, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer assertion = BUFFER_INIT;
    const char *client = env("AZURE_CLIENT_ID");
    const char *path = env("AZURE_FEDERATED_TOKEN_FILE");
    int r;

    if (!env("AZURE_TENANT_ID") || !client || !path)
        return -ENOENT;
    r = read_assertion(path, &assertion, ret_error);
    if (r < 0)
        return r;
    put_field(&s->body, "grant_type", "client_credentials");
    put_field(&s->body, "client_id", client);
    put_field(&s->body, "client_assertion_type", ASSERTION_TYPE);
    put_field(&s->body, "client_assertion", buffer_text(&assertion));
    explicit_bzero(assertion.data, assertion.cap);
    return post(s, ret_error);
}

/* ---- managed identities ---- */

/* These are what the metadata service answers while it is being renewed. */
static bool is_metadata_transient(void *arg, const struct http_answer *a)
{
    const struct token_source *s = arg;

    return s->is_metadata && (a->code == 404 || a->code == 410);
}

static int get(struct token_source *s, const char *endpoint, const char *path,
               const char *version, const struct http_header *header)
{
    CLEANUP(buffer_release) struct buffer url = BUFFER_INIT;
    const char *client = env("AZURE_CLIENT_ID");
    struct http_request r = {
        .method = "GET",
        .headers = { *header },
        .repeat = HTTP_REPEAT,
        .is_direct = true,
        .tries_max = s->is_metadata ? 4 : 0,
        .deadline_ms = s->is_metadata ? METADATA_DEADLINE_MS : TOKEN_DEADLINE_MS,
        .store = "azure-token",
        .is_transient = is_metadata_transient,
        .done = on_token,
        .arg = s,
        .answer_max = ANSWER_MAX,
    };

    buffer_printf(&url, "%s%s%capi-version=%s&resource=", endpoint, path,
                  strchr(endpoint, '?') ? '&' : '?', version);
    encode_query(&url, s->resource, strlen(s->resource));
    if (client) {
        buffer_puts(&url, "&client_id=");
        encode_query(&url, client, strlen(client));
    }
    if (buffer_failed(&url))
        return -ENOMEM;
    r.url = buffer_text(&url);
    return http_start(s->http, &r, &s->call);
}

/* By TLS, or to what is on this machine or answers on its link alone. */
static bool may_have_secrets(const char *url)
{
    const char *host = url + strlen("http://");
    size_t n;

    if (strchr(url, '@'))
        return false;
    if (strncmp(url, "https://", 8) == 0)
        return true;
    if (strncmp(url, "http://", 7) != 0)
        return false;
    n = strcspn(host, ":/?#");
    if ((n == 9 && strncmp(host, "localhost", n) == 0)
        || strncmp(host, "[::1]", 5) == 0)
        return true;
    return strspn(host, "0123456789.") == n
           && (strncmp(host, "127.", 4) == 0 || strncmp(host, "169.254.", 8) == 0);
}

static int ask_app_service(struct token_source *s, struct error *ret_error)
{
    const char *endpoint = env("IDENTITY_ENDPOINT"), *secret = env("IDENTITY_HEADER");

    if (!endpoint || !secret)
        return -ENOENT;
    if (!may_have_secrets(endpoint))
        return fail(ret_error, -EACCES,
                    "IDENTITY_ENDPOINT must be of this machine or begin with https://");
    return get(s, endpoint, "", "2019-08-01",
               &(struct http_header){ "X-IDENTITY-HEADER", secret });
}

static int ask_metadata(struct token_source *s, struct error *ret_error UNUSED)
{
    const char *endpoint = env("AZURE_POD_IDENTITY_AUTHORITY_HOST");

    return get(s, endpoint ? endpoint : METADATA, "/metadata/identity/oauth2/token",
               "2018-02-01", &(struct http_header){ "Metadata", "true" });
}

/* ---- the chain ---- */

static const struct {
    const char *name;
    int (*ask)(struct token_source *s, struct error *ret_error);
} TOKENS[] = {
    { "client secret", ask_by_secret },
    { "workload identity", ask_by_workload },
    { "App Service identity", ask_app_service },
    { "managed identity", ask_metadata },
};

enum { SOURCES_MAX = 1 + ARRAY_SIZE(TOKENS) };

static int add_static(const struct azure_credentials_options *o,
                      struct credentials_source *to, struct error *ret_error)
{
    const struct azure_place_options where = { .account = o->account,
                                               .endpoint = o->endpoint };
    struct static_source *s;
    struct azure_place place;
    int r = azure_place_find(&where, env, &place, ret_error);

    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    memcpy(s->account, place.account, sizeof(s->account));
    *to = (struct credentials_source){ "environment", s, static_fetch, free };
    return 0;
}

static int add_token(struct http *http, const char *resource, size_t i,
                     struct credentials_source *to)
{
    struct token_source *s = calloc(1, sizeof(*s));

    if (s)
        s->resource = strdup(resource);
    if (!s || !s->resource) {
        free(s);
        return -ENOMEM;
    }
    s->http = http;
    s->from = TOKENS[i].name;
    s->ask = TOKENS[i].ask;
    s->is_metadata = TOKENS[i].ask == ask_metadata;
    *to = (struct credentials_source){ s->from, s, token_fetch, token_free };
    return 0;
}

int azure_credentials_open(struct http *http, const struct azure_credentials_options *o,
                           struct credentials **ret_credentials,
                           struct error *ret_error)
{
    struct credentials_source sources[SOURCES_MAX];
    const char *resource = o->resource ? o->resource : AZURE_STORAGE_RESOURCE;
    size_t n = 0;
    int r = 0;

    if (strcmp(resource, AZURE_STORAGE_RESOURCE) == 0) {
        r = add_static(o, &sources[n], ret_error);
        n += r == 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(TOKENS) && r == 0; i++) {
        r = add_token(http, resource, i, &sources[n]);
        n += r == 0;
    }
    if (r == 0)
        return credentials_new(http_loop(http), sources, n, ret_credentials);
    while (n > 0) {
        n--;
        sources[n].free(sources[n].self);
    }
    return r;
}
