/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/api/auth.h"
#include "node/api/events.h"
#include "node/api/exchange.h"
#include "node/api/serve.h"
#include "node/api/tls.h"
#include "node/api/shared_tokens.h"
#include "node/api/tokens.h"
#include "node/api/uploads.h"

enum {
    CONNECTIONS_MAX = 2000,
    CONNECTIONS_OF_PEER_MAX = 256, /* over TCP; the sockets belong to one user */
    CONNECTION_MEMORY = 64 << 10,  /* bounds the header lines too */
    CONNECTION_TIMEOUT_S = 30,
    ROUNDS_MAX = 8, /* of MHD_run() before the rest of the loop has its turn */
};

/* ---- MHD in the loop ---- */

static void on_timer(uv_timer_t *timer);

/* Without a thread of its own MHD takes up resumed connections only when it is run. */
static bool run_once(struct listener *l, MHD_UNSIGNED_LONG_LONG *ret_wait_ms)
{
    l->has_resumed = false;
    l->is_running = true;
    MHD_run(l->daemon);
    l->is_running = false;
    *ret_wait_ms = 0;
    return MHD_get_timeout(l->daemon, ret_wait_ms) == MHD_YES || l->has_resumed;
}

static void run_daemon(struct listener *l)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    for (int i = 0; i < ROUNDS_MAX; i++) {
        if (!run_once(l, &wait_ms)) {
            uv_timer_stop(&l->timer);
            return;
        }
        if (wait_ms && !l->has_resumed)
            break;
    }
    uv_timer_start(&l->timer, on_timer, l->has_resumed ? 0 : wait_ms, 0);
}

void listener_kick(struct listener *l)
{
    l->has_resumed = true;
    if (!l->is_running)
        uv_timer_start(&l->timer, on_timer, 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    run_daemon(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    run_daemon(poll->data);
}

/* MHD closes the socket it listens on; the caller's stays the caller's. */
static struct MHD_Daemon *start_daemon(struct listener *l, int listen_fd)
{
    bool is_listening = l->door != DOOR_PEER;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME
                     | (is_listening ? 0u : (unsigned)MHD_USE_NO_LISTEN_SOCKET);
    int fd = is_listening ? fcntl(listen_fd, F_DUPFD_CLOEXEC, 0) : -1;
    const struct tls_pair *tls = l->door == DOOR_TCP ? l->api->tls : NULL;
    struct MHD_OptionItem options[] = {
        { is_listening ? MHD_OPTION_LISTEN_SOCKET : MHD_OPTION_END, fd, NULL },
        { tls ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, tls ? tls->key : NULL },
        { MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->certificate : NULL },
        { MHD_OPTION_END, 0, NULL },
    };
    struct MHD_Daemon *daemon;

    if (fd < 0 && is_listening)
        return NULL;
    if (tls)
        flags |= MHD_USE_TLS;
    daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, exchange_on_request, l, MHD_OPTION_ARRAY,
                         options, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)CONNECTION_TIMEOUT_S,
                         MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                         l->door == DOOR_TCP ? (unsigned)CONNECTIONS_OF_PEER_MAX : 0u,
                         MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed, l,
                         MHD_OPTION_NOTIFY_CONNECTION, exchange_on_connection, l,
                         MHD_OPTION_END);
    if (!daemon && fd >= 0)
        close(fd);
    return daemon;
}

static int listener_start(struct api *api, int listen_fd, enum door door)
{
    struct listener *l = &api->listeners[api->n_listeners];
    uv_loop_t *loop = runtime_loop(api->rt);
    const union MHD_DaemonInfo *info;

    l->api = api;
    l->door = door;
    l->daemon = start_daemon(l, listen_fd);
    if (!l->daemon)
        return errno ? -errno : -EIO;
    info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || uv_poll_init(loop, &l->poll, info->epoll_fd) < 0) {
        MHD_stop_daemon(l->daemon);
        return -EIO;
    }
    uv_timer_init(loop, &l->timer);
    uv_timer_init(loop, &l->sweep);
    l->poll.data = l->timer.data = l->sweep.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    api->n_refs += 3;
    api->n_listeners++;
    return 0;
}

int listener_start_for_peers(struct api *api, struct listener **ret)
{
    struct listener *l = &api->listeners[api->n_listeners];
    int r = listener_start(api, -1, DOOR_PEER);

    if (r == 0)
        *ret = l;
    return r;
}

/* ---- the api ---- */

static void api_free(struct api *api)
{
    pthread_mutex_destroy(&api->lock);
    pthread_cond_destroy(&api->idle);
    meter_release(&api->meter);
    buffer_release(&api->seen);
    free(api->spool_dir);
    free(api);
}

void api_drop(struct api *api)
{
    if (--api->n_refs == 0)
        api_free(api);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    api_drop(l->api);
}

static void wait_for_threads(struct api *api)
{
    pthread_mutex_lock(&api->lock);
    atomic_store(&api->is_stopping, true);
    while (api->n_busy)
        pthread_cond_wait(&api->idle, &api->lock);
    pthread_mutex_unlock(&api->lock);
}

static void api_stop(struct api *api)
{
    if (!api)
        return;
    serves_stop(api->serves);
    wait_for_threads(api);
    /* MHD must not be stopped with suspended connections, and no thread is at work. */
    for (struct request *r = api->requests; r; r = r->next) {
        r->is_working = false;
        exchange_resume(r);
    }
    for (size_t i = 0; i < api->n_listeners; i++) {
        struct listener *l = &api->listeners[i];

        /* Before MHD closes what it polls: the loop takes that out of its set by
         * number, and a number that was closed may be another thread's file. */
        uv_close((uv_handle_t *)&l->poll, on_closed);
        uv_timer_stop(&l->timer);
        uv_timer_stop(&l->sweep);
        MHD_stop_daemon(l->daemon);
        uv_close((uv_handle_t *)&l->timer, on_closed);
        uv_close((uv_handle_t *)&l->sweep, on_closed);
    }
    assert(!api->requests);
    serves_free(TAKE(api->serves));
    events_free(TAKE(api->events));
    uploads_free(TAKE(api->uploads));
    tokens_free(TAKE(api->tokens));
    shared_tokens_free(TAKE(api->shared_tokens));
    if (api->tls)
        tls_pair_release(api->tls);
    free(TAKE(api->tls));
    api_drop(api);
}

const char *listener_name(const struct listener *l)
{
    static const char *const names[] = {
        [DOOR_USER] = "user",
        [DOOR_TASK] = "task",
        [DOOR_TCP] = "tcp",
        [DOOR_PEER] = "peer",
    };

    return names[l->door];
}

size_t listener_connections(const struct listener *l)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info ? info->num_connections : 0;
}

static size_t api_clients(const struct api *api)
{
    size_t n = 0;

    for (size_t i = 0; i < api->n_listeners; i++)
        n += listener_connections(&api->listeners[i]);
    return n;
}

static size_t api_tasks(const struct api *api)
{
    size_t n = 0;

    for (const struct request *r = api->requests; r; r = r->next)
        n += r->listener->door == DOOR_TASK;
    return n;
}

static struct api *api_new(struct runtime *rt)
{
    struct api *api = calloc(1, sizeof(*api));

    if (!api)
        return NULL;
    api->rt = rt;
    api->n_refs = 1;
    pthread_mutex_init(&api->lock, NULL);
    pthread_cond_init(&api->idle, NULL);
    api->serves = serves_new(api);
    api->events = events_new(api);
    api->uploads = uploads_new(runtime_blobs(rt));
    api->shared_tokens = shared_tokens_new(api);
    if (asprintf(&api->spool_dir, "%s/spool", runtime_configuration(rt)->dir) < 0)
        api->spool_dir = NULL;
    return api;
}

static int open_tls(struct api *api, struct error *ret_error)
{
    const struct runtime_config *config = runtime_configuration(api->rt);
    int r;

    if (!config->listens_by_tls)
        return 0;
    api->tls = calloc(1, sizeof(*api->tls));
    if (!api->tls)
        return -ENOMEM;
    r = tls_pair_open(config->dir, api->tls, ret_error);
    if (r < 0)
        free(TAKE(api->tls));
    return r;
}

static int start_listeners(struct api *api, const struct api_sockets *s)
{
    int r = listener_start(api, s->user_fd, DOOR_USER);

    if (r == 0)
        r = listener_start(api, s->task_fd, DOOR_TASK);
    if (r == 0 && s->tcp_fd >= 0)
        r = listener_start(api, s->tcp_fd, DOOR_TCP);
    return r;
}

static int api_start(struct runtime *rt, const struct api_sockets *sockets,
                     struct api **ret_api, struct error *ret_error)
{
    struct api *api = api_new(rt);
    struct error why = { .text = "" };
    int r;

    if (!api)
        return -ENOMEM;
    r = api->serves && api->events && api->uploads && api->shared_tokens
                && api->spool_dir
            ? 0
            : -ENOMEM;
    if (r == 0)
        r = tokens_open(runtime_configuration(rt)->dir, &api->tokens, &why);
    if (r == 0)
        r = open_tls(api, &why);
    if (r == 0) {
        auth_user_name(geteuid(), api->user, sizeof(api->user));
        body_clean_spool(api->spool_dir);
        r = start_listeners(api, sockets);
    }
    if (r < 0) {
        api_stop(api);
        return fail(ret_error, r, "%s", why.text[0] ? why.text : strerror(-r));
    }
    serves_start(api->serves);
    *ret_api = api;
    return 0;
}

extern const struct api_module mesh_http_module;
const struct api_module mesh_http_module = {
    .start = api_start,
    .stop = api_stop,
    .clients = api_clients,
    .tasks = api_tasks,
};
