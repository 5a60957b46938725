/* SPDX-License-Identifier: Apache-2.0 */
/* curl's sockets and its timer, watched by the loop
 * (https://curl.se/libcurl/c/libcurl-multi.html, "multi_socket"). */
#include "cloud/http_internal.h"

#include <errno.h>

struct watch {
    struct http *http;
    uv_poll_t poll;
    curl_socket_t socket;
    int events;
};

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* A connection that was reset may still hold an answer: curl is made to read it before
 * it finds out. The loop stopped to watch then, which curl does not know. */
static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct http *http = watch->http;
    int mask = 0, n_running;

    if (status < 0 || (events & UV_READABLE))
        mask |= CURL_CSELECT_IN;
    if (status < 0 || (events & UV_WRITABLE))
        mask |= CURL_CSELECT_OUT;
    curl_multi_socket_action(http->multi, watch->socket, mask, &n_running);
    if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
        uv_poll_start(poll, watch->events, on_ready);
    http_turn(http);
}

static struct watch *watch_new(struct http *http, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->http = http;
    watch->socket = socket;
    if (uv_poll_init_socket(http->loop, &watch->poll, socket) < 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    curl_multi_assign(http->multi, socket, watch);
    return watch;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *of)
{
    struct http *http = arg;
    struct watch *watch = of;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(http->multi, socket, NULL);
        if (watch)
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        return 0;
    }
    if (!watch)
        watch = watch_new(http, socket);
    if (!watch)
        return -1;
    watch->events = 0;
    if (what & CURL_POLL_IN)
        watch->events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        watch->events |= UV_WRITABLE;
    return uv_poll_start(&watch->poll, watch->events, on_ready) < 0 ? -1 : 0;
}

static void on_timeout(uv_timer_t *timer)
{
    struct http *http = timer->data;
    int n_running;

    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
    http_turn(http);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;

    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

int http_socket_init(struct http *http)
{
    http->multi = curl_multi_init();
    http->share = curl_share_init();
    if (!http->multi || !http->share)
        return -ENOMEM;
    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->calls_max);
    return 0;
}

/* Closes what connections are left, which takes their watches from the loop. */
void http_socket_release(struct http *http)
{
    curl_multi_cleanup(http->multi);
    curl_share_cleanup(http->share);
    http->multi = NULL;
    http->share = NULL;
}
