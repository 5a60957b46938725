/* SPDX-License-Identifier: Apache-2.0 */
/* A request outlives whoever asked: the engine tells of its end later, and then all of
 * it is freed. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cloud/aws_source.h"
#include "cloud/encode.h"

struct aws_ask {
    struct http_call *call;
    aws_answered_fn *answered; /* NULL: it was dropped */
    void *arg;
    struct buffer body; /* tokens stand in it: wiped */
    char *url, *method;
    struct credential key;
    bool is_signed;
    char region[AWS_REGION_MAX], service[32];
};

static void ask_free(struct aws_ask *a)
{
    if (!a)
        return;
    aws_buffer_wipe(&a->body);
    credential_release(&a->key);
    free(a->url);
    free(a->method);
    free(a);
}

CLEANUP_POINTER(struct aws_ask, ask_free);

/* "https://host/path" in two; a path that is not there is "/". */
static const char *path_of(const char *url, char *ret_host, size_t size)
{
    const char *host = strstr(url, "://");
    size_t len;

    host = host ? host + 3 : url;
    len = strcspn(host, "/");
    snprintf(ret_host, size, "%.*s", (int)len, host);
    return host[len] ? host + len : "/";
}

static int add_signature(struct http_try *t, const struct aws_ask *a,
                         const struct sigv4_signed *s)
{
    int r = http_try_header(t, "Authorization", buffer_text(&s->authorization));

    if (r == 0)
        r = http_try_header(t, "X-Amz-Date", s->date);
    if (r == 0 && a->key.token)
        r = http_try_header(t, "X-Amz-Security-Token", a->key.token);
    return r;
}

static int sign_try(void *arg, struct http_try *t, struct error *ret_error)
{
    static const struct sigv4_header type = { "content-type",
                                              "application/x-www-form-urlencoded" };
    const struct aws_ask *a = arg;
    uint8_t hash[ENCODE_SHA256];
    char hex[ENCODE_SHA256_HEX], host[AWS_URL_MAX];
    const struct sigv4_key key = { SIGV4_AWS,    a->key.id, a->key.secret,
                                   a->key.token, a->region, a->service };
    struct sigv4_request request = { .method = a->method,
                                     .host = host,
                                     .headers = &type,
                                     .n_headers = 1,
                                     .payload = hex,
                                     .now_s = (int64_t)time(NULL) };
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    int r;

    request.path = path_of(a->url, host, sizeof(host));
    encode_sha256(a->body.data, a->body.len, hash);
    encode_hex(hash, sizeof(hash), hex);
    r = sigv4_sign(&key, &request, &s);
    if (r == 0)
        r = add_signature(t, a, &s);
    return r < 0 ? fail(ret_error, r, "the request to STS cannot be signed") : 0;
}

/* STS says some of what passes with status 400. */
static bool is_transient(void *arg, const struct http_answer *answer)
{
    static const char *const codes[] = { "Throttling", "ThrottlingException",
                                         "RequestLimitExceeded",
                                         "IDPCommunicationError" };
    struct aws_fault fault;

    (void)arg;
    aws_fault_read_xml(buffer_text(&answer->body), answer->body.len, &fault);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (strcmp(fault.code, codes[i]) == 0)
            return true;
    return false;
}

static void on_done(void *arg, int status, const struct http_answer *answer,
                    const struct error *error)
{
    struct aws_ask *a = arg;

    if (a->answered)
        a->answered(a->arg, status, answer, error);
    ask_free(a);
}

static int copy_asked(struct aws_ask *a, const struct aws_asked *asked)
{
    a->url = strdup(asked->url);
    a->method = strdup(asked->method);
    if (!a->url || !a->method
        || buffer_puts(&a->body, asked->body ? asked->body : "") < 0)
        return -ENOMEM;
    if (!asked->key)
        return 0;
    a->is_signed = true;
    snprintf(a->region, sizeof(a->region), "%s", asked->region);
    snprintf(a->service, sizeof(a->service), "%s", asked->service);
    return credential_copy(asked->key, &a->key);
}

int aws_ask_start(struct http *http, const struct aws_asked *asked,
                  aws_answered_fn *answered, void *arg, struct aws_ask **ret)
{
    CLEANUP(ask_freep) struct aws_ask *a = calloc(1, sizeof(*a));
    struct http_request request = { .repeat = HTTP_REPEAT,
                                    .tries_max = asked->tries_max,
                                    .deadline_ms = asked->deadline_ms,
                                    .is_direct = asked->is_direct,
                                    .is_transient = is_transient,
                                    .done = on_done,
                                    .answer_max = AWS_ANSWER_MAX };
    int r;

    if (!a || copy_asked(a, asked) < 0)
        return -ENOMEM;
    a->answered = answered;
    a->arg = arg;
    request.method = a->method;
    request.url = a->url;
    memcpy(request.headers, asked->headers, sizeof(asked->headers));
    request.body = (struct http_body){ .data = a->body.data, .len = a->body.len };
    request.prepare = a->is_signed ? sign_try : NULL;
    request.arg = a;
    r = http_start(http, &request, &a->call);
    if (r < 0)
        return r;
    *ret = TAKE(a);
    return 0;
}

void aws_ask_drop(struct aws_ask *ask)
{
    if (!ask)
        return;
    ask->answered = NULL;
    http_cancel(ask->call);
}
