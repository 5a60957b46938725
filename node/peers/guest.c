/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that others made. The library cannot end one of them; shutting its
 * descriptor down does. The library tells when one was accepted and when it is gone;
 * between the two the descriptor is that connection's, and to be sure it is compared by
 * the other side's port. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "node/peers/peers_internal.h"

static uint16_t remote_port(int fd)
{
    struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(a);

    if (getpeername(fd, (struct sockaddr *)&a, &len) < 0)
        return 0;
    return a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                   : ((struct sockaddr_in *)&a)->sin_port;
}

static struct guest *find(const struct peers *p, int fd)
{
    struct guest *g;

    HASH_FIND_INT(p->guests, &fd, g);
    return g;
}

static struct guest *add(struct peers *p, int fd, int line)
{
    struct guest *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->fd = fd;
    g->line = line;
    g->port = remote_port(fd);
    g->since_ms = peers_ms(p);
    HASH_ADD_INT(p->guests, fd, g);
    p->n_strangers++;
    return g;
}

struct guest *guest_of(struct peers *p, int fd, int line)
{
    struct guest *g = fd < 0 ? NULL : find(p, fd);

    return g || fd < 0 ? g : add(p, fd, line);
}

void guest_join(struct peers *p, struct guest *g, struct peer *peer)
{
    if (!g->peer)
        p->n_strangers--;
    g->peer = peer;
}

static void leave(struct peers *p, struct guest *g)
{
    if (!g->peer)
        return;
    if (g->peer->guest == g) {
        g->peer->guest = NULL;
        g->peer->half_ms = peers_ms(p);
    }
    g->peer = NULL;
    p->n_strangers++;
}

void guest_forget(struct peers *p, struct guest *g)
{
    struct peer *peer = g->peer;

    leave(p, g);
    p->n_strangers--;
    HASH_DEL(p->guests, g);
    free(g);
    if (peer)
        peer_forget(p, peer);
}

void guest_drop(struct peers *p, struct guest *g)
{
    leave(p, g);
    g->farewell_ms = g->farewell_ms ? g->farewell_ms : peers_ms(p);
    if (g->port && remote_port(g->fd) == g->port) {
        p->counters.dropped++;
        shutdown(g->fd, SHUT_RDWR);
    }
}

void guests_drop_of(struct peers *p, const struct peer *peer)
{
    struct guest *g, *next;

    HASH_ITER (hh, p->guests, g, next) {
        if (g->peer == peer)
            guest_drop(p, g);
    }
}

static void tell_refusal(struct peers *p, struct guest *g, int status, const char *text)
{
    const struct message m = { .type = MESSAGE_JOINED,
                               .u.joined = { .status = status, .text = (char *)text } };

    p->counters.refused++;
    guest_send(p, g, &m);
}

void guest_refuse(struct peers *p, struct guest *g, int status, const char *text)
{
    tell_refusal(p, g, status, text);
    leave(p, g);
    g->farewell_ms = peers_ms(p) + FAREWELL_MS;
}

void guest_deny(struct peers *p, struct guest *g, int status, const char *text)
{
    if (g->peer)
        tell_refusal(p, g, status, text);
    else
        guest_refuse(p, g, status, text);
}

/* The one that had the longest time to say who it is: who opens many connections to
 * keep others out would have to do so within the time that a handshake takes. */
static void drop_oldest_stranger(struct peers *p)
{
    struct guest *g, *next;

    HASH_ITER (hh, p->guests, g, next) {
        if (!g->peer && !g->farewell_ms) {
            guest_drop(p, g);
            return;
        }
    }
}

void guest_on_event(struct peers *p, int line, uint16_t event, int fd)
{
    struct guest *g;

    if (event != ZMQ_EVENT_ACCEPTED && event != ZMQ_EVENT_DISCONNECTED)
        return;
    g = find(p, fd);
    if (g && event == ZMQ_EVENT_DISCONNECTED)
        guest_forget(p, g);
    if (event != ZMQ_EVENT_ACCEPTED)
        return;
    if (g)
        guest_forget(p, g);
    if (add(p, fd, line) && p->n_strangers > PEERS_STRANGERS_MAX)
        drop_oldest_stranger(p);
}

void guests_sweep(struct peers *p)
{
    uint64_t now = peers_ms(p);
    struct guest *g, *next;

    HASH_ITER (hh, p->guests, g, next) {
        if (g->farewell_ms ? now >= g->farewell_ms
                           : !g->peer && now - g->since_ms >= STRANGER_MS)
            guest_drop(p, g);
    }
}
