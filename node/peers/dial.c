/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that we make. The library is told to dial once; when that fails or the
 * connection breaks it forgets about it, and we dial again under another route, so that
 * nothing meant for the connection before goes out on the new one. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "node/peers/peers_internal.h"

static const size_t queue_max[LINES] = { PEERS_QUEUE_MAX, PEERS_QUEUE_BULK_MAX };

/* ---- addresses ---- */

int address_numbers(const char *address, struct sockaddr_storage *ret)
{
    const char *colon = strrchr(address, ':');
    char host[MEMBER_ADDRESS_MAX + 1];
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    uint16_t port = colon ? htons((uint16_t)strtoul(colon + 1, NULL, 10)) : 0;
    bool is_bracketed = address[0] == '[';

    if (!colon)
        return -EINVAL;
    snprintf(host, sizeof(host), "%.*s",
             (int)(colon - address) - (is_bracketed ? 2 : 0), address + is_bracketed);
    *ret = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_port = port;
        memcpy(ret, &v4, sizeof(v4));
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        v6.sin6_port = port;
        memcpy(ret, &v6, sizeof(v6));
    } else {
        return -EINVAL;
    }
    return 0;
}

/* ---- one link ---- */

static int configure(struct peers *p, const struct peer *peer, struct link *l,
                     void *socket)
{
    uint64_t route = ++p->routes;

    for (size_t i = 0; i < ROUTE_SIZE; i++)
        l->route[i] = (uint8_t)(route >> (8 * (ROUTE_SIZE - 1 - i)));
    l->route[0] = 'm'; /* the library's own begin with 0 */
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, peer->curve_key, CURVE_KEY_SIZE)
            != 0
        || zmq_setsockopt(socket, ZMQ_CONNECT_ROUTING_ID, l->route, ROUTE_SIZE) != 0)
        return -errno;
    return 0;
}

static void endpoint_of(const struct peer *peer, int line, char *ret)
{
    const char *colon = strrchr(peer->numbers, ':');

    snprintf(ret, ENDPOINT_SIZE, "tcp://%.*s:%lu", (int)(colon - peer->numbers),
             peer->numbers,
             line == BULK ? (unsigned long)peer->bulk_port
                          : strtoul(colon + 1, NULL, 10));
}

static struct peer *peer_at(const struct peers *p, int line, const char *endpoint)
{
    struct peer *peer, *next;

    HASH_ITER (by_curve, p->curves, peer, next) {
        if (peer->links[line].state != LINK_DOWN
            && strcmp(peer->links[line].endpoint, endpoint) == 0)
            return peer;
    }
    return NULL;
}

/* Two links to one address could not be told apart in what the library reports; who is
 * there first stays, and is found out soon if its process is another one now. */
void link_dial(struct peers *p, struct peer *peer, int line)
{
    struct link *l = &peer->links[line];
    void *socket = p->lines[line].out;
    char endpoint[ENDPOINT_SIZE];

    endpoint_of(peer, line, endpoint);
    if (peer_at(p, line, endpoint))
        return;
    l->queue = queue_new(queue_max[line], PEERS_QUEUE_BYTES_MAX, &p->room);
    if (!l->queue || configure(p, peer, l, socket) < 0
        || zmq_connect(socket, endpoint) != 0) {
        queue_unref(l->queue);
        l->queue = NULL;
        return;
    }
    memcpy(l->endpoint, endpoint, sizeof(endpoint));
    l->state = LINK_DIALING;
    sockets_stir(p);
}

void link_close(struct peers *p, struct peer *peer, int line)
{
    struct link *l = &peer->links[line];

    if (l->state == LINK_DOWN)
        return;
    l->state = LINK_DOWN;
    zmq_disconnect(p->lines[line].out, l->endpoint); /* may be gone by itself */
    queue_unref(l->queue);
    l->queue = NULL;
    sockets_stir(p);
}

int link_send(struct peers *p, struct link *l, int line, const void *data, size_t len)
{
    void *socket = p->lines[line].out;
    zmq_msg_t message;
    int r = queue_put(l->queue, data, len, &message);

    if (r < 0)
        return r;
    sockets_stir(p);
    if (zmq_send(socket, l->route, ROUTE_SIZE, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0
        || zmq_msg_send(&message, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        return -ENOTCONN;
    }
    return 0;
}

/* ---- what became of them ---- */

static void on_up(struct peers *p, struct peer *peer, int line)
{
    if (peer->links[line].state != LINK_DIALING)
        return;
    peer->links[line].state = LINK_UP;
    if (line == BULK) {
        peer_tell_owed(p, peer);
        return;
    }
    peer->redial_ms = REDIAL_MIN_MS;
    talk_say_hello(p, peer);
    peer_check_up(p, peer);
}

void dial_on_event(struct peers *p, int line, uint16_t event, const char *endpoint)
{
    struct peer *peer = peer_at(p, line, endpoint);

    if (!peer)
        return;
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        on_up(p, peer, line);
        return;
    case ZMQ_EVENT_DISCONNECTED:
    case ZMQ_EVENT_CLOSED:
    case ZMQ_EVENT_CONNECT_RETRIED:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        if (line == BULK)
            link_close(p, peer, BULK); /* dialled again by the next that is sent */
        else
            peer_down(p, peer);
        return;
    default:
        return;
    }
}

/* ---- names ---- */

struct resolution {
    uv_getaddrinfo_t request;
    struct peers *peers;
    uint8_t curve_key[CURVE_KEY_SIZE];
    char port[8];
};

static void use_numbers(struct peer *peer, const struct addrinfo *found,
                        const char *port)
{
    char host[INET6_ADDRSTRLEN];

    if (found->ai_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)found->ai_addr;

        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        snprintf(peer->numbers, sizeof(peer->numbers), "[%s]:%s", host, port);
    } else {
        const struct sockaddr_in *in = (const void *)found->ai_addr;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(peer->numbers, sizeof(peer->numbers), "%s:%s", host, port);
    }
}

static void resolution_end(struct resolution *r, struct addrinfo *found)
{
    struct peers *p = r->peers;

    uv_freeaddrinfo(found);
    free(r);
    peers_unref(p);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolution *r = request->data;
    struct peers *p = r->peers;
    struct peer *peer = p->is_stopping ? NULL : peer_find_curve(p, r->curve_key);

    if (peer) {
        peer->is_resolving = false;
        if (status == 0 && found) {
            use_numbers(peer, found, r->port);
            link_dial(p, peer, CONTROL);
        } else {
            peers_tell(p, "peer.unknown_host", "address=%s: %s", peer->address,
                       uv_strerror(status));
        }
    }
    resolution_end(r, found);
}

static void resolve(struct peers *p, struct peer *peer)
{
    struct resolution *r = calloc(1, sizeof(*r));
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    const char *colon = strrchr(peer->address, ':');
    char host[MEMBER_ADDRESS_MAX + 1];

    if (!r)
        return;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - peer->address), peer->address);
    snprintf(r->port, sizeof(r->port), "%.7s", colon + 1);
    memcpy(r->curve_key, peer->curve_key, CURVE_KEY_SIZE);
    r->peers = p;
    r->request.data = r;
    if (uv_getaddrinfo(p->loop, &r->request, on_resolved, host, r->port, &hints) < 0) {
        free(r);
        return;
    }
    peers_ref(p);
    peer->is_resolving = true;
}

void peer_dial(struct peers *p, struct peer *peer)
{
    struct sockaddr_storage numbers;

    peer->due_ms = peers_ms(p) + peer->redial_ms;
    peer->redial_ms =
        peer->redial_ms * 2 < REDIAL_MAX_MS ? peer->redial_ms * 2 : REDIAL_MAX_MS;
    if (peer->links[CONTROL].state != LINK_DOWN || peer->is_resolving)
        return;
    if (address_numbers(peer->address, &numbers) < 0) {
        resolve(p, peer);
        return;
    }
    memcpy(peer->numbers, peer->address, sizeof(peer->numbers));
    link_dial(p, peer, CONTROL);
}
