/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/connection.h"

#include <sys/socket.h>

#include "node/api/serve.h"
#include "node/api/server.h"

static time_us now_of(const struct listener *l)
{
    return uv_now(runtime_loop(l->api->rt)) * 1000;
}

bool connection_is_too_slow(const struct connection *c, time_us now)
{
    time_us waited = c->since && now > c->since ? now - c->since : 0;

    if (waited <= TIME_S(CONNECTION_HEAD_S))
        return false;
    return !c->is_body
           || c->body_bytes / CONNECTION_BODY_RATE
                  < (waited - TIME_S(CONNECTION_HEAD_S)) / TIME_S(1);
}

/* Only shut down: MHD closes it, and tells us. */
static void on_sweep(uv_timer_t *timer)
{
    const struct listener *l = timer->data;
    time_us now = now_of(l);

    for (const struct connection *c = l->connections; c; c = c->next)
        if (connection_is_too_slow(c, now))
            shutdown(c->fd, SHUT_RDWR);
}

/* The owner's name is at hand; that of another user is looked up once a connection. */
static void name_peer(struct connection *c, const struct listener *l)
{
    c->user = c->name;
    c->uid = (uid_t)-1;
    if (l->door == DOOR_TCP)
        return;
    if (l->door == DOOR_PEER) {
        serve_connected(c);
        return;
    }
    c->peer = auth_peer(l->api->rt, c->fd, &c->uid);
    if (c->uid == geteuid())
        c->user = l->api->user;
    else
        auth_user_name(c->uid, c->name, sizeof(c->name));
}

struct connection *connection_open(struct listener *l, int fd)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->listener = l;
    c->fd = fd;
    name_peer(c, l);
    c->next = l->connections;
    c->link = &l->connections;
    if (c->next)
        c->next->link = &c->next;
    l->connections = c;
    connection_await_head(c);
    if (l->door == DOOR_TCP && !uv_is_active((uv_handle_t *)&l->sweep))
        uv_timer_start(&l->sweep, on_sweep, CONNECTION_SWEEP_MS, CONNECTION_SWEEP_MS);
    return c;
}

void connection_close(struct connection *c)
{
    struct listener *l;

    if (!c)
        return;
    l = c->listener;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    serve_disconnected(c);
    if (!l->connections)
        uv_timer_stop(&l->sweep);
    free(c);
}

void connection_await_head(struct connection *c)
{
    c->since = now_of(c->listener);
    c->is_body = false;
}

void connection_await_body(struct connection *c)
{
    c->since = now_of(c->listener);
    c->is_body = true;
    c->body_bytes = 0;
}

void connection_await_nothing(struct connection *c)
{
    c->since = 0;
}
