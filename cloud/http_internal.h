/* SPDX-License-Identifier: Apache-2.0 */
/* http_internal - what the files of http share.
 *
 *     http_start --> QUEUED --> PREPARING --> RUNNING --> ENDED --> done()
 *                      ^  ^-----------'          |
 *                      '------- WAITING <--------'  to be tried again
 *
 * A call is in one list: of its host while it is queued, of those that are under way,
 * or of those that have ended and were not told yet. RUNNING counts against calls_max;
 * RUNNING and WAITING against what its host may have, so that a service that asks for
 * patience gets it. PREPARING counts for neither: what a prepare waits for may be a
 * call that is queued itself.
 *
 * Nothing of curl may be called from its callbacks, and nobody who is told something
 * should find the engine half way: events only note what is due, and http_turn(), which
 * each event of the loop ends with, does it. */
#pragma once

#include <curl/curl.h>
#include <uv.h>

#include "base/error.h"
#include "base/prng.h"
#include "cloud/http.h"
#include "cloud/http_headers.h"
#include "cloud/http_rate.h"
#include "cloud/http_stall.h"

enum {
    HTTP_CALLS_DEFAULT = 64,
    HTTP_ORIGIN_MAX = 512,
    /* A signature that waited so long for its turn is made again. */
    HTTP_PREPARED_MS = 30000,
};

enum http_state {
    HTTP_QUEUED = 1,
    HTTP_PREPARING,
    HTTP_RUNNING,
    HTTP_WAITING,
    HTTP_ENDED,
};

/* Which way a transfer was held by a bound of bandwidth. */
enum { HTTP_HELD_UP = 1, HTTP_HELD_DOWN = 2 };

struct http_try {
    struct http_call *call;
    CURL *easy;                 /* while RUNNING */
    struct curl_slist *headers; /* what curl sends */
    char *url;                  /* of this try, NULL: the request's */
    char *curl_error;           /* CURL_ERROR_SIZE, while RUNNING */
    uint64_t sent;              /* of the body */
    bool is_prepared;
    uint64_t prepared_ms;
    bool is_in_prepare, has_gone; /* http_try_go() while prepare() still runs */
    int gone;
    bool is_sent; /* so much as a byte may have reached the service */
    bool is_cut;  /* the rest of an error's body is not wanted */
    bool is_stalled;
    bool is_answered; /* on_answer was asked */
    int failed;       /* said by a callback; its sentence is the call's */
    uint32_t held;    /* HTTP_HELD_* */
    bool was_held;    /* since the last look at stalls */
    struct http_try *held_prev, *held_next;
    struct http_stall stall;
};

struct http_host {
    char origin[HTTP_ORIGIN_MAX]; /* scheme://host:port */
    struct http_call *queue;
    uint32_t n_calls, n_held; /* all; RUNNING or WAITING */
    struct http_host *prev, *next;
};

struct http_call {
    struct http *http;
    struct http_host *host;
    struct http_call *prev, *next, **list;
    enum http_state state;
    uint64_t number;
    struct http_request request; /* texts and headers are in `texts` */
    char *texts;
    struct http_header *request_headers;
    size_t n_headers;
    uv_timer_t timer;
    uint64_t started_us, deadline_ms; /* 0: none */
    uint64_t look_ms, again_ms;       /* the next look at stalls; the next try */
    struct http_try try;
    struct http_headers headers;
    struct http_answer answer;
    bool is_canceled, is_expired;
    bool is_awaited, is_closed; /* freed by http_try_go(), or when its timer closed */
    uint64_t up_bytes, down_bytes; /* of all tries */
    int status;
    struct error error;
};

struct http {
    uv_loop_t *loop;
    CURLM *multi;
    CURLSH *share; /* sessions of TLS */
    uv_idle_t work;
    uv_timer_t timer; /* curl's */
    uv_timer_t refill;
    uint32_t n_handles;
    uint32_t calls_max, calls_max_per_host;
    char *ca_file, *proxy, *user_agent;
    struct prng prng;
    struct http_rate up, down;
    struct http_try *held;
    struct http_host *hosts;
    struct http_call *active, *ended;
    CURL **spare; /* handles to use again: at most calls_max */
    uint32_t n_spare;
    uint32_t n_calls, n_running;
    uint64_t next_number;
    bool is_turning, is_closing;
    struct http_counters counters[HTTP_STORES_MAX];
    size_t n_counters;
};

/* ---- http.c ---- */

/* Does all that is due, once. */
void http_turn(struct http *http);
/* A turn soon, from the loop. */
void http_wake(struct http *http);
/* Something is held back by a bound: it is looked at again soon. */
void http_refill_start(struct http *http);
void http_count_call(struct http *http, const struct http_call *call);

/* ---- http_call.c ---- */

int http_call_new(struct http *http, const struct http_request *request,
                  struct http_call **ret_call);
void http_call_move(struct http_call *call, enum http_state state,
                    struct http_call **list);
/* From the queue: to its turn, or to what it waits for before. */
void http_call_begin(struct http_call *call);
void http_call_cancel(struct http_call *call);
/* Of a try that is over: the call ends, or waits for the next. */
void http_call_tried(struct http_call *call, CURLcode code);
void http_call_end(struct http_call *call, int status);
/* Tells its owner; the call is gone. */
void http_call_done(struct http_call *call);
void http_call_set_timer(struct http_call *call);

/* ---- http_try.c ---- */

int http_try_start(struct http_try *t);
/* The transfer is no longer curl's. Nothing when it was not. */
void http_try_stop(struct http_try *t);
/* Before the first byte of an answer, or at its end when it has none: 0, or what
 * on_answer of the request says. */
int http_try_answered(struct http_try *t);
int http_try_code(const struct http_try *t);
/* What was added to this try is forgotten. */
void http_try_reset(struct http_try *t);
void http_try_unhold(struct http_try *t);

/* ---- http_failure.c ---- */

/* The negative errno for how a transfer failed, and its sentence. */
int http_failure(const struct http_call *call, CURLcode code, struct error *ret_error);
/* Whether the same may go well next time. */
bool http_failure_is_transient(const struct http_call *call, CURLcode code);

/* ---- http_socket.c ---- */

int http_socket_init(struct http *http);
void http_socket_release(struct http *http);
