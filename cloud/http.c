/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "cloud/http_internal.h"

/* ---- what is due ---- */

static void on_work(uv_idle_t *work)
{
    http_turn(work->data);
}

void http_wake(struct http *http)
{
    if (!http->is_closing)
        uv_idle_start(&http->work, on_work);
}

static void finish_transfers(struct http *http)
{
    CURLMsg *message;
    int n_left;

    while ((message = curl_multi_info_read(http->multi, &n_left))) {
        CURLcode code = message->data.result;
        struct http_call *call = NULL;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (call->state == HTTP_RUNNING)
            http_call_tried(call, code);
    }
}

/* Whoever is told may end others, or begin new ones that end at once: those are told
 * next time, so that a turn ends. */
static void tell_ended(struct http *http)
{
    struct http_call *call;
    size_t n;

    DL_COUNT(http->ended, call, n);
    while (n-- > 0 && http->ended && !http->is_closing)
        http_call_done(http->ended);
}

/* The call that waits longest, of hosts that may have more. */
static struct http_call *next_queued(const struct http *http)
{
    struct http_call *next = NULL;
    struct http_host *host;

    if (http->n_running >= http->calls_max)
        return NULL;
    DL_FOREACH(http->hosts, host)
    {
        if (!host->queue || host->n_held >= http->calls_max_per_host)
            continue;
        if (!next || host->queue->number < next->number)
            next = host->queue;
    }
    return next;
}

void http_turn(struct http *http)
{
    struct http_call *call;

    finish_transfers(http);
    tell_ended(http);
    if (http->is_closing)
        return;
    while ((call = next_queued(http)))
        http_call_begin(call);
    if (!http->ended)
        uv_idle_stop(&http->work);
}

/* ---- bounds of bandwidth ---- */

static bool may_go_on(const struct http *http, const struct http_try *t)
{
    return (!(t->held & HTTP_HELD_UP) || http_rate_is_open(&http->up))
           && (!(t->held & HTTP_HELD_DOWN) || http_rate_is_open(&http->down));
}

static void on_refill(uv_timer_t *timer)
{
    struct http *http = timer->data;
    struct http_try *t, *next;

    http_rate_fill(&http->up, uv_now(http->loop));
    http_rate_fill(&http->down, uv_now(http->loop));
    DL_FOREACH_SAFE2(http->held, t, next, held_next)
    {
        if (!may_go_on(http, t))
            continue;
        http_try_unhold(t);
        curl_easy_pause(t->easy, CURLPAUSE_CONT);
    }
    if (!http->held)
        uv_timer_stop(timer);
    http_turn(http);
}

void http_refill_start(struct http *http)
{
    if (!uv_is_active((uv_handle_t *)&http->refill))
        uv_timer_start(&http->refill, on_refill, HTTP_RATE_TICK_MS, HTTP_RATE_TICK_MS);
}

/* ---- the engine ---- */

static int copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

static int copy_options(struct http *http, const struct http_options *options,
                        struct error *ret_error)
{
    const char *ca_file = options->ca_file ? options->ca_file : getenv("SSL_CERT_FILE");

    if (ca_file && access(ca_file, R_OK) < 0)
        return fail(ret_error, -errno, "the file of authorities %s cannot be read: %s",
                    ca_file, strerror(errno));
    http->calls_max = options->calls_max ? options->calls_max : HTTP_CALLS_DEFAULT;
    http->calls_max_per_host =
        options->calls_max_per_host ? options->calls_max_per_host : http->calls_max;
    http->up.bytes_per_s = options->up_bytes_per_s;
    http->down.bytes_per_s = options->down_bytes_per_s;
    prng_init(&http->prng, options->seed);
    if (copy_text(ca_file, &http->ca_file) < 0
        || copy_text(options->proxy, &http->proxy) < 0
        || copy_text(options->user_agent ? options->user_agent : "mesh",
                     &http->user_agent)
               < 0)
        return fail(ret_error, -ENOMEM, "not enough memory");
    return 0;
}

static void release(struct http *http)
{
    while (http->n_spare > 0)
        curl_easy_cleanup(http->spare[--http->n_spare]);
    http_socket_release(http);
    free(http->spare);
    free(http->ca_file);
    free(http->proxy);
    free(http->user_agent);
}

static void http_releasep(struct http **http)
{
    if (!*http)
        return;
    release(*http);
    free(*http);
}

int http_new(uv_loop_t *loop, const struct http_options *options,
             struct http **ret_http, struct error *ret_error)
{
    CLEANUP(http_releasep) struct http *http = calloc(1, sizeof(*http));
    int r;

    if (!http)
        return fail(ret_error, -ENOMEM, "not enough memory");
    r = copy_options(http, options, ret_error);
    if (r < 0)
        return r;
    http->spare = calloc(http->calls_max, sizeof(CURL *));
    if (!http->spare || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK
        || http_socket_init(http) < 0)
        return fail(ret_error, -ENOMEM, "not enough memory");
    http->loop = loop;
    uv_idle_init(loop, &http->work);
    uv_timer_init(loop, &http->timer);
    uv_timer_init(loop, &http->refill);
    http->work.data = http->timer.data = http->refill.data = http;
    http->n_handles = 3;
    *ret_http = TAKE(http);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;

    if (--http->n_handles == 0)
        free(http);
}

static void cancel_all(struct http *http)
{
    while (http->active || http->hosts || http->ended) {
        struct http_call *call = http->ended ? http->ended : http->active;

        if (!call)
            call = http->hosts->queue;
        call->status = fail(&call->error, -ECANCELED, "the transfers were ended");
        http_call_done(call);
    }
}

uv_loop_t *http_loop(const struct http *http)
{
    return http->loop;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    http->is_closing = true;
    cancel_all(http);
    release(http);
    uv_close((uv_handle_t *)&http->work, on_closed);
    uv_close((uv_handle_t *)&http->timer, on_closed);
    uv_close((uv_handle_t *)&http->refill, on_closed);
}

/* ---- calls ---- */

int http_start(struct http *http, const struct http_request *request,
               struct http_call **ret_call)
{
    struct http_call *call;
    int r;

    if (http->is_closing)
        return -ECANCELED;
    if (http->n_calls >= HTTP_CALLS_MAX)
        return -ENOBUFS;
    r = http_call_new(http, request, &call);
    if (r < 0)
        return r;
    http_call_move(call, HTTP_QUEUED, &call->host->queue);
    http_call_set_timer(call);
    http_wake(http);
    if (ret_call)
        *ret_call = call;
    return 0;
}

void http_cancel(struct http_call *call)
{
    http_call_cancel(call);
}

const char *http_answer_header(const struct http_answer *answer, const char *name)
{
    return http_headers_find(&answer->call->headers, name);
}

/* ---- metrics ---- */

static struct http_counters *counters_of(struct http *http, const char *store)
{
    for (size_t i = 0; i < http->n_counters; i++)
        if (strcmp(http->counters[i].store, store) == 0)
            return &http->counters[i];
    if (http->n_counters == HTTP_STORES_MAX)
        return NULL;
    http->counters[http->n_counters].store = store;
    return &http->counters[http->n_counters++];
}

void http_count_call(struct http *http, const struct http_call *call)
{
    struct http_counters *counters =
        call->request.store ? counters_of(http, call->request.store) : NULL;
    int code = call->answer.code;

    if (!counters)
        return;
    counters->requests++;
    if (call->answer.tries > 1)
        counters->retries += call->answer.tries - 1;
    if (call->status < 0 || code >= 500 || code == 429)
        counters->errors++;
    counters->up_bytes += call->up_bytes;
    counters->down_bytes += call->down_bytes;
    counters->latency_us += uv_hrtime() / 1000 - call->started_us;
}

size_t http_count(const struct http *http, struct http_counters ret[HTTP_STORES_MAX])
{
    memcpy(ret, http->counters, http->n_counters * sizeof(*ret));
    return http->n_counters;
}
