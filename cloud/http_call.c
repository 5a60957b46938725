/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one call: its tries, what is waited for between them, its end. */
#include "cloud/http_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "cloud/http_retry.h"

/* ---- hosts ---- */

/* scheme://host:port of a URL; the length, 0 if it has none. */
static size_t origin_len(const char *url)
{
    const char *authority = strstr(url, "://");
    size_t len;

    if (!authority || authority == url)
        return 0;
    authority += 3;
    len = strcspn(authority, "/?#");
    if (len == 0 || memchr(authority, '@', len))
        return 0;
    return (size_t)(authority - url) + len;
}

static int host_get(struct http *http, const char *url, struct http_host **ret_host)
{
    size_t len = origin_len(url);
    struct http_host *host;

    if (len == 0 || len >= HTTP_ORIGIN_MAX)
        return -EINVAL;
    DL_FOREACH(http->hosts, host)
    if (strncmp(host->origin, url, len) == 0 && host->origin[len] == '\0')
        break;
    if (!host) {
        host = calloc(1, sizeof(*host));
        if (!host)
            return -ENOMEM;
        memcpy(host->origin, url, len);
        DL_APPEND(http->hosts, host);
    }
    host->n_calls++;
    *ret_host = host;
    return 0;
}

static void host_put(struct http *http, struct http_host *host)
{
    if (--host->n_calls > 0)
        return;
    DL_DELETE(http->hosts, host);
    free(host);
}

/* ---- states ---- */

static int by_number(const struct http_call *a, const struct http_call *b)
{
    return a->number < b->number ? -1 : a->number > b->number;
}

static void count_state(struct http_call *call, int n)
{
    struct http *http = call->http;

    if (call->state == HTTP_RUNNING)
        http->n_running += (uint32_t)n;
    if (call->state == HTTP_RUNNING || call->state == HTTP_WAITING)
        call->host->n_held += (uint32_t)n;
}

/* What was begun earlier stays in front, however often it is queued. */
void http_call_move(struct http_call *call, enum http_state state,
                    struct http_call **list)
{
    if (call->list)
        DL_DELETE(*call->list, call);
    count_state(call, -1);
    call->state = state;
    count_state(call, 1);
    call->list = list;
    if (state == HTTP_QUEUED && *list && by_number(call, (*list)->prev) < 0)
        DL_INSERT_INORDER(*list, call, by_number);
    else
        DL_APPEND(*list, call);
}

/* ---- a new one ---- */

static char *copy_text(char **to, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    char *copy = *to;

    if (!text)
        return NULL;
    memcpy(copy, text, size);
    *to += size;
    return copy;
}

static int copy_texts(struct http_call *call, const struct http_request *request)
{
    size_t size = strlen(request->method) + strlen(request->url) + 2, n = 0;
    char *to;

    for (; n < HTTP_HEADERS_MAX && request->headers[n].name; n++)
        size +=
            strlen(request->headers[n].name) + strlen(request->headers[n].value) + 2;
    call->texts = malloc(size + n * sizeof(*call->request_headers));
    if (!call->texts)
        return -ENOMEM;
    call->request_headers = (struct http_header *)(void *)call->texts;
    to = call->texts + n * sizeof(*call->request_headers);
    for (size_t i = 0; i < n; i++) {
        call->request_headers[i].name = copy_text(&to, request->headers[i].name);
        call->request_headers[i].value = copy_text(&to, request->headers[i].value);
    }
    call->n_headers = n;
    call->request.method = copy_text(&to, request->method);
    call->request.url = copy_text(&to, request->url);
    return 0;
}

static void call_init(struct http_call *call, struct http *http)
{
    struct http_request *request = &call->request;

    if (request->tries_max == 0)
        request->tries_max = HTTP_TRIES_DEFAULT;
    if (request->answer_max == 0)
        request->answer_max = HTTP_ANSWER_MAX;
    if (request->stall_ms == 0)
        request->stall_ms = HTTP_STALL_MS;
    call->http = http;
    call->try.call = call;
    call->headers = HTTP_HEADERS_INIT;
    call->answer.call = call;
    call->number = http->next_number++;
    call->started_us = uv_hrtime() / 1000;
    uv_update_time(http->loop);
    if (request->deadline_ms > 0)
        call->deadline_ms = uv_now(http->loop) + request->deadline_ms;
    uv_timer_init(http->loop, &call->timer);
    call->timer.data = call;
}

int http_call_new(struct http *http, const struct http_request *request,
                  struct http_call **ret_call)
{
    struct http_call *call = calloc(1, sizeof(*call));
    int r;

    if (!call)
        return -ENOMEM;
    call->request = *request;
    r = copy_texts(call, request);
    if (r == 0)
        r = host_get(http, request->url, &call->host);
    if (r < 0) {
        free(call->texts);
        free(call);
        return r;
    }
    call_init(call, http);
    http->n_calls++;
    *ret_call = call;
    return 0;
}

static void call_free(struct http_call *call)
{
    http_try_reset(&call->try);
    http_headers_release(&call->headers);
    buffer_release(&call->answer.body);
    free(call->texts);
    free(call);
}

/* ---- time ---- */

static void expire(struct http_call *call)
{
    struct error last = call->error;
    char code[32];

    snprintf(code, sizeof(code), "status %d", call->answer.code);
    fail(&call->error, -ETIMEDOUT, "%s did not answer within %u ms%s%s",
         call->host->origin, call->request.deadline_ms,
         call->answer.tries > 1 ? "; before: " : "",
         call->answer.tries <= 1  ? ""
         : call->answer.code != 0 ? code
                                  : last.text);
    http_call_end(call, -ETIMEDOUT);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void look_at_stall(struct http_call *call, uint64_t now)
{
    struct http_try *t = &call->try;
    uint32_t stall_ms = call->request.stall_ms;
    bool is_stalled;

    call->look_ms = now + http_stall_look_ms(stall_ms);
    if (t->was_held)
        t->stall.bytes += (uint64_t)stall_ms * HTTP_STALL_BYTES_PER_S;
    t->was_held = t->held != 0;
    is_stalled = http_stall_look(&t->stall, stall_ms);
    if (is_stalled) {
        t->is_stalled = true;
        t->failed = fail(&call->error, -ETIMEDOUT,
                         "%s stalled: less than 1 KiB a second for %u ms",
                         call->host->origin, stall_ms);
        http_call_tried(call, CURLE_OPERATION_TIMEDOUT);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct http_call *call = timer->data;
    struct http *http = call->http;
    uint64_t now = uv_now(http->loop);

    if (call->deadline_ms != 0 && now >= call->deadline_ms) {
        call->deadline_ms = 0;
        call->is_expired = true;
        if (call->state != HTTP_PREPARING)
            expire(call);
    } else if (call->state == HTTP_WAITING && now >= call->again_ms) {
        http_call_move(call, HTTP_QUEUED, &call->host->queue);
    } else if (call->state == HTTP_RUNNING && now >= call->look_ms) {
        look_at_stall(call, now);
    }
    http_call_set_timer(call);
    http_turn(http);
}

void http_call_set_timer(struct http_call *call)
{
    uint64_t now = uv_now(call->http->loop), at = call->deadline_ms;

    if (call->state == HTTP_RUNNING)
        at = sooner(at, call->look_ms);
    if (call->state == HTTP_WAITING)
        at = sooner(at, call->again_ms);
    if (at == 0 || call->state == HTTP_ENDED)
        uv_timer_stop(&call->timer);
    else
        uv_timer_start(&call->timer, on_timer, at > now ? at - now : 0, 0);
}

/* ---- tries ---- */

void http_call_end(struct http_call *call, int status)
{
    call->status = status;
    http_call_move(call, HTTP_ENDED, &call->http->ended);
    http_call_set_timer(call);
    http_wake(call->http);
}

/* HTTP_LATER, or as prepare() says. */
static int call_prepare(struct http_call *call)
{
    struct http_try *t = &call->try;
    int r;

    http_try_reset(t);
    if (!call->request.prepare)
        return 0;
    http_call_move(call, HTTP_PREPARING, &call->http->active);
    t->is_in_prepare = true;
    r = call->request.prepare(call->request.arg, t, &call->error);
    t->is_in_prepare = false;
    return r == HTTP_LATER && t->has_gone ? t->gone : r;
}

static void call_run(struct http_call *call)
{
    uint64_t now = uv_now(call->http->loop);
    int r;

    call->answer.tries++;
    call->look_ms = now + http_stall_look_ms(call->request.stall_ms);
    http_call_move(call, HTTP_RUNNING, &call->http->active);
    r = http_try_start(&call->try);
    if (r < 0) {
        fail(&call->error, r, "the request to %s cannot be made: %s",
             call->host->origin, strerror(-r));
        http_call_end(call, r);
        return;
    }
    http_call_set_timer(call);
}

void http_call_begin(struct http_call *call)
{
    uint64_t now = uv_now(call->http->loop);
    struct http_try *t = &call->try;
    int r = 0;

    if (!t->is_prepared || now > t->prepared_ms + HTTP_PREPARED_MS)
        r = call_prepare(call);
    if (call->state == HTTP_ENDED || r == HTTP_LATER)
        return;
    if (r == 0)
        call_run(call);
    else
        http_call_end(call, r);
}

void http_try_go(struct http_try *t, int status, const struct error *error)
{
    struct http_call *call = t->call;

    if (status < 0 && error)
        call->error = *error;
    if (t->is_in_prepare) {
        t->has_gone = true;
        t->gone = status;
    } else if (call->is_awaited) {
        call->is_awaited = false;
        if (call->is_closed)
            call_free(call);
    } else if (call->is_canceled) {
        http_call_end(call, -ECANCELED);
    } else if (call->is_expired) {
        expire(call);
    } else if (status < 0) {
        http_call_end(call, status);
    } else {
        t->is_prepared = true;
        t->prepared_ms = uv_now(call->http->loop);
        http_call_move(call, HTTP_QUEUED, &call->host->queue);
        http_wake(call->http);
    }
}

/* How long to wait before the next try; false: there is none. */
static bool next_wait_ms(struct http_call *call, uint64_t *ret_ms)
{
    const char *after = http_headers_find(&call->headers, "Retry-After");
    uint64_t now = uv_now(call->http->loop), after_s = 0, wait_ms;

    if (call->answer.code != 0 && after)
        after_s = http_retry_after_s(after, time(NULL));
    if (after_s > HTTP_RETRY_AFTER_MAX_S)
        return false;
    wait_ms = http_retry_wait_ms(&call->http->prng, call->answer.tries, after_s * 1000);
    if (call->deadline_ms != 0 && now + wait_ms >= call->deadline_ms)
        return false;
    *ret_ms = wait_ms;
    return true;
}

static bool answer_is_transient(struct http_call *call)
{
    const struct http_request *request = &call->request;
    int code = call->answer.code;

    if (http_retry_code(code, request->repeat == HTTP_ONCE))
        return true;
    if (!request->is_transient || (request->on_data && code >= 200 && code <= 299))
        return false;
    return request->is_transient(request->arg, &call->answer);
}

/* What came of a try: 0 when it is an answer. */
static int judge(struct http_call *call, CURLcode code, bool *ret_is_transient)
{
    struct http_try *t = &call->try;
    bool may_repeat = call->request.repeat != HTTP_ONCE || !t->is_sent;
    bool has_tries = call->answer.tries < call->request.tries_max;
    int status;

    call->answer.code = 0;
    if (code == CURLE_OK && http_try_answered(t) != 0)
        return t->failed;
    if (code == CURLE_OK || t->is_cut) {
        call->answer.code = http_try_code(t);
        *ret_is_transient = has_tries && answer_is_transient(call);
        return 0;
    }
    if (t->failed) {
        *ret_is_transient = has_tries && t->is_stalled && may_repeat;
        return t->failed;
    }
    status = http_failure(call, code, &call->error);
    *ret_is_transient =
        has_tries && may_repeat && http_failure_is_transient(call, code);
    return status;
}

void http_call_tried(struct http_call *call, CURLcode code)
{
    bool is_transient = false;
    uint64_t wait_ms;
    int status = judge(call, code, &is_transient);

    http_try_stop(&call->try);
    http_try_reset(&call->try);
    if (!is_transient || !next_wait_ms(call, &wait_ms)) {
        http_call_end(call, status);
        return;
    }
    call->again_ms = uv_now(call->http->loop) + wait_ms;
    http_call_move(call, HTTP_WAITING, &call->http->active);
    http_call_set_timer(call);
}

/* ---- the end ---- */

void http_call_cancel(struct http_call *call)
{
    call->is_canceled = true;
    fail(&call->error, -ECANCELED, "the request to %s was canceled",
         call->host->origin);
    if (call->state != HTTP_PREPARING)
        http_call_end(call, -ECANCELED);
}

static void add_tries(struct http_call *call)
{
    size_t len = strlen(call->error.text);

    if (call->answer.tries > 1)
        snprintf(call->error.text + len, sizeof(call->error.text) - len, " (%u tries)",
                 call->answer.tries);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_call *call = handle->data;

    call->is_closed = true;
    if (!call->is_awaited)
        call_free(call);
}

void http_call_done(struct http_call *call)
{
    struct http *http = call->http;

    http_try_stop(&call->try);
    DL_DELETE(*call->list, call);
    count_state(call, -1);
    call->is_awaited = call->state == HTTP_PREPARING;
    http->n_calls--;
    host_put(http, TAKE(call->host));
    if (call->status == 0) {
        call->error.text[0] = '\0';
    } else {
        call->answer.code = 0;
        buffer_clear(&call->answer.body);
        add_tries(call);
    }
    http_count_call(http, call);
    call->request.done(call->request.arg, call->status, &call->answer, &call->error);
    uv_close((uv_handle_t *)&call->timer, on_closed);
}
