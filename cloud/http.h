/* SPDX-License-Identifier: Apache-2.0 */
/* http - requests to services, many at once, over the loop.
 *
 * A request is tried until it is answered, `tries_max` or its deadline is reached, or
 * the answer says that a repetition cannot help. Between tries it waits for a random
 * time of up to HTTP_BACKOFF_MIN_MS * 2^tries, HTTP_BACKOFF_MAX_MS at most ("full
 * jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/),
 * and at least as long as Retry-After says. What is tried again: no connection, a
 * connection that broke, a stall, an answer cut short, 408, 429, 500, 502, 503, 504,
 * and what `is_transient` of the request says. A request that is HTTP_ONCE is tried
 * again only when surely nothing of it was acted upon: it was not sent, or 429 or 503.
 *
 * Redirects are not followed: what signs a request is bound to its endpoint.
 * All functions belong to the loop's thread. Only http*.c know libcurl. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    HTTP_BACKOFF_MIN_MS = 50,
    HTTP_BACKOFF_MAX_MS = 20000,
    HTTP_TRIES_DEFAULT = 7,
    HTTP_CONNECT_MS = 10000,
    HTTP_STALL_MS = 30000,     /* with less than 1 KiB/s */
    HTTP_CALLS_MAX = 4096,     /* under way and waiting, of one engine */
    HTTP_HEADERS_MAX = 32,     /* of a request */
    HTTP_ANSWER_MAX = 8 << 20, /* of a body that is kept in memory */
    HTTP_ERROR_BODY_MAX = 64 << 10,
};

struct http;
struct http_call;

struct http_options {
    uint32_t calls_max;          /* at once, the others wait in order; 0: 64 */
    uint32_t calls_max_per_host; /* 0: as many */
    uint64_t up_bytes_per_s, down_bytes_per_s; /* of all together; 0: no bound */
    const char *ca_file; /* NULL: $SSL_CERT_FILE, else the system's */
    const char *proxy;   /* NULL: $https_proxy, $http_proxy, $no_proxy as curl has them;
                          * "": none */
    const char *user_agent;
    uint64_t seed; /* of the jitter */
};

/* Texts of the options are copied. */
int http_new(uv_loop_t *loop, const struct http_options *options,
             struct http **ret_http, struct error *ret_error);

/* Every call that is left ends with -ECANCELED first; not from prepare(),
 * is_transient() or on_data(). The loop must run once more before it can be closed.
 * What a prepare waits for may still say http_try_go() later, but its owner was told
 * -ECANCELED by then: better, whoever it waits for is ended before. */
void http_free(struct http *http);

/* Where it was made: for what is hashed or waited for beside a request. */
uv_loop_t *http_loop(const struct http *http);

/* What is sent; borrowed until the call is done. Either memory, or a part of a file,
 * which is read with pread() and so can be sent several times at once. */
struct http_body {
    const void *data;
    int fd;               /* where data is NULL */
    uint64_t offset, len; /* the part of the file, or of data */
};

/* One try of a call, as the one who signs it sees it. The method, URL and body are the
 * request's; what is added here is sent with this try alone. */
struct http_try;
/* -EINVAL: the name or value cannot be a header's, as with a line's end in it. */
int http_try_header(struct http_try *t, const char *name, const char *value);
/* In place of the request's URL, at the same host: presigned ones hold the time. */
int http_try_url(struct http_try *t, const char *url);

enum http_repeat {
    HTTP_REPEAT = 1, /* doing it twice is doing it once */
    HTTP_ONCE,
};

struct http_header {
    const char *name, *value;
};

struct http_answer;

struct http_request {
    const char *method, *url; /* the URL is sent as it is: encoded, with its query */
    struct http_header headers[HTTP_HEADERS_MAX]; /* up to the first without a name */
    struct http_body body;
    enum http_repeat repeat;
    uint32_t tries_max;   /* 0: HTTP_TRIES_DEFAULT */
    uint32_t deadline_ms; /* of all tries together, waiting for a turn included; 0:
                           * none, a stall still ends a try */
    uint32_t stall_ms;    /* 0: HTTP_STALL_MS; more where an answer takes its time */
    bool is_direct;       /* by no proxy: what is on this machine, or link-local */
    const char *store;    /* whose metrics it counts for; a constant, NULL: none */

    /* Before each try, for a signature with the time of the try. It may answer later by
     * http_try_go(). NULL: sent as it is. 0, or what the call fails with. */
    int (*prepare)(void *arg, struct http_try *t, struct error *ret_error);
    /* Whether an answer that no rule of above tries again should be, also of HTTP_ONCE;
     * NULL: never. Asked with whole bodies, of 2xx too if they are kept, while a try is
     * left. It may have renewed what signs. */
    bool (*is_transient)(void *arg, const struct http_answer *answer);
    /* The headers of a 2xx answer, before the first byte goes to on_data, with each
     * try: which object and which range of it now comes. Not 0: the call fails with
     * it. NULL: not asked. */
    int (*on_answer)(void *arg, const struct http_answer *answer);
    /* The body of a 2xx answer as it comes, in place of being kept. `offset` counts
     * from its begin and is 0 again with each further try. Not 0: the call fails with
     * it. */
    int (*on_data)(void *arg, uint64_t offset, const void *data, size_t len);
    /* Once, with 0 when there is an answer, whatever its status says; the answer is
     * borrowed. -ECANCELED, -ETIMEDOUT for deadline and stall, -ECONNREFUSED,
     * -EHOSTUNREACH (no such name), -EPROTO (TLS, or not HTTP), -EPIPE (cut short),
     * -EMSGSIZE (a body of more than `answer_max`), or what prepare,
     * on_answer or on_data said;
     * the sentence of `error` says what to do. */
    void (*done)(void *arg, int status, const struct http_answer *answer,
                 const struct error *error);
    void *arg;
    size_t answer_max; /* 0: HTTP_ANSWER_MAX */
};

struct http_answer {
    int code;            /* HTTP's status; 0: none */
    struct buffer body;  /* NUL behind its end */
    uint64_t body_bytes; /* also when it went to on_data */
    uint32_t tries; /* how often it was sent: an earlier one may have been obeyed */
    const struct http_call *call; /* for http_answer_header() */
};

/* Of the last try; the name in any case. NULL: it is not there. Borrowed. */
const char *http_answer_header(const struct http_answer *answer, const char *name);

/* The request and its texts are copied, its body is borrowed. The call is valid until
 * `done` is called, which is never before this function returned. ret_call may be NULL.
 * -EINVAL     no URL with a host, or one with a user in it
 * -ENOBUFS    HTTP_CALLS_MAX calls are under way or wait already
 * -ECANCELED  the engine is being freed */
int http_start(struct http *http, const struct http_request *request,
               struct http_call **ret_call);

/* A prepare that returned HTTP_LATER goes on, be it before prepare returned. Until it
 * does, the call neither takes a turn from others nor ends: -ECANCELED and -ETIMEDOUT
 * wait for it. Called once; the try is then no longer the caller's. */
enum { HTTP_LATER = 1 };
void http_try_go(struct http_try *t, int status, const struct error *error);

/* `done` comes with -ECANCELED, from the loop. */
void http_cancel(struct http_call *call);

/* ---- what happened, for metrics ---- */

enum { HTTP_STORES_MAX = 16 };

struct http_counters {
    const char *store;
    uint64_t requests, retries;
    uint64_t errors;               /* without an answer, or 429, or 5xx in the end */
    uint64_t up_bytes, down_bytes; /* of bodies, in all tries */
    uint64_t latency_us;           /* sum over requests, from start to done */
};

/* Of each store that was named; returns how many. */
size_t http_count(const struct http *http, struct http_counters ret[HTTP_STORES_MAX]);
