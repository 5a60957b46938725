/* SPDX-License-Identifier: Apache-2.0 */
/* peers_internal - shared by node/peers/ alone.
 *
 *     peers.c      the table of peers; up and down
 *     socket.c     the sockets, and how they join the loop
 *     dial.c       connections that we make: links
 *     guest.c      connections that others made: guests
 *     talk.c       what arrives, by type: HELLO, JOIN, REVOKED, the rest
 *     zap.c        which keys may connect
 *     probe.c      whether a process that is silent is gone
 *     queue.c      what waits to be sent
 *     join.c       asking to be let in */
#pragma once

#include <uthash.h>
#include <zmq.h>

#include "node/peers/peers.h"
#include "node/peers/queue.h"

enum { CONTROL = 0, BULK = 1, LINES = 2 };

enum {
    ROUTE_SIZE = 8, /* of links; those of guests are the library's own */
    GUEST_ROUTE_MAX = 32,
    ENDPOINT_SIZE = 96,
    READ_BATCH = 256, /* messages of a socket, before others have their turn */
    STRIKES_MAX = 16, /* messages of a stranger that are none for him */
    ZAP_ADDRESSES = 1024,
    ZAP_PER_S = 20, /* unknown keys let in from one address */
    ZAP_BURST = 40,
    SWEEP_MS = 250,
    REDIAL_MIN_MS = 100,
    REDIAL_MAX_MS = 5000,
    STRANGER_MS = 10000, /* to say HELLO */
    HALF_MS = 3000,      /* connected one way only */
    FAREWELL_MS = 500,   /* for the reason of a refusal to arrive */
};

/* One port: control or bulk. */
struct line {
    void *in, *out;               /* ROUTERs */
    void *in_events, *out_events; /* what their connections go through */
    uint32_t port;
};

enum link_state { LINK_DOWN = 0, LINK_DIALING, LINK_UP };

struct link {
    enum link_state state;
    uint8_t route[ROUTE_SIZE];
    char endpoint[ENDPOINT_SIZE];
    struct queue *queue; /* NULL when it is down */
    bool is_owed;        /* somebody waits to be told that it is there */
};

/* A connection that somebody made to us, by the descriptor that it has here. */
struct guest {
    int fd, line;
    uint16_t port;     /* the other side's: is the descriptor still this connection? */
    struct peer *peer; /* after its HELLO */
    uint8_t route[GUEST_ROUTE_MAX];
    uint8_t route_len;
    uint32_t strikes;
    uint64_t asked;   /* by its last JOIN; 0: never */
    uint64_t since_ms, farewell_ms; /* farewell 0: it may stay */
    UT_hash_handle hh;
};

struct peer {
    struct node_id id;
    bool has_id; /* its certificate was seen */
    uint8_t curve_key[CURVE_KEY_SIZE];
    char address[MEMBER_ADDRESS_MAX + 1];
    char numbers[MEMBER_ADDRESS_MAX + 1]; /* the address where HOST was a name */
    uint32_t bulk_port;
    struct link links[LINES];
    struct guest *guest; /* its control connection; NULL: none that said HELLO */
    uint64_t incarnation;
    struct message hello; /* decoded; arena NULL: none */
    bool is_wanted;       /* peers_connect() was called */
    bool is_up;           /* on_connected was called */
    bool is_probed;       /* a probe decides how it went down */
    bool is_resolving;
    bool is_kept;       /* somebody goes on with it: not to be freed */
    uint32_t redial_ms; /* the next pause */
    uint64_t due_ms;    /* when to dial; UINT64_MAX: not */
    uint64_t half_ms;   /* one way only since; 0: not */
    UT_hash_handle by_curve, by_id;
};

struct bucket {
    uint64_t address; /* a hash of it */
    uint64_t ms;
    uint32_t tokens; /* thousandths */
};

struct peers {
    struct peers_callbacks callbacks;
    struct identity *identity;
    struct node_id self;
    time_us (*wall)(void);
    char address[MEMBER_ADDRESS_MAX + 1];
    void *context, *zap;
    struct line lines[LINES];
    struct peer *curves, *ids;
    struct guest *guests;
    struct probe *probes;
    size_t n_strangers;
    uint64_t routes; /* numbers links */
    uint64_t n_asked; /* to be let in by a token */
    uint64_t renew_ms;
    bool has_new_revocations;
    struct bucket *buckets;
    struct peers_counters counters;

    uv_loop_t *loop;
    uv_poll_t polls[2 + 4 * LINES];
    size_t n_polls;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t sweep;
    uv_async_t room;
    size_t n_handles; /* that are not closed */
    bool is_stopping;
};

/* ---- peers.c ---- */

struct peer *peer_find(const struct peers *p, const struct node_id *id);
struct peer *peer_find_curve(const struct peers *p, const uint8_t *curve_key);
/* NULL: PEERS_MAX, or no memory. */
struct peer *peer_add(struct peers *p, const uint8_t *curve_key);
void peer_set_id(struct peers *p, struct peer *peer, const struct node_id *id);
/* on_connected, when both ways are there. */
void peer_check_up(struct peers *p, struct peer *peer);
/* The connection is lost or is to be: after on_disconnected it is dialled again if
 * somebody wants it, else forgotten. */
void peer_down(struct peers *p, struct peer *peer);
void peer_told_down(struct peers *p, struct peer *peer, bool is_refused);
/* All connections of a node that was shut out. */
void peer_drop(struct peers *p, struct peer *peer);
void peers_drop_revoked(struct peers *p);
/* on_room, if a bulk connection was waited for. */
void peer_tell_owed(struct peers *p, struct peer *peer);
/* Frees it if nobody has a use for it any more. */
void peer_forget(struct peers *p, struct peer *peer);
/* Handles and requests of the loop that are not closed keep it. */
void peers_ref(struct peers *p);
void peers_unref(struct peers *p);
void peers_tell(struct peers *p, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);
time_us peers_wall(const struct peers *p);
uint64_t peers_ms(const struct peers *p);

/* ---- socket.c ---- */

int sockets_open(struct peers *p, const struct peers_config *config,
                 struct error *ret_error);
void sockets_close(struct peers *p);
/* Has the loop look at the sockets again before it sleeps: after each send. */
void sockets_stir(struct peers *p);
int socket_option(void *socket, int option, int value);
void *socket_new(void *context, int type);
/* The parts of a message, up to `max`; more are thrown away and make it -EBADMSG.
 * -EAGAIN: none is there. */
int socket_read(void *socket, zmq_msg_t *parts, size_t max, size_t *ret_n);
void parts_close(zmq_msg_t *parts, size_t n);
/* To a guest; false: it is gone or does not read. */
bool guest_send(struct peers *p, const struct guest *g, const struct message *m);

/* ---- dial.c ---- */

void link_dial(struct peers *p, struct peer *peer, int line);
void link_close(struct peers *p, struct peer *peer, int line);
/* 0, -EAGAIN, -ENOTCONN. */
int link_send(struct peers *p, struct link *l, int line, const void *data, size_t len);
void dial_on_event(struct peers *p, int line, uint16_t event, const char *endpoint);
/* Resolves the address when it has to, and dials. */
void peer_dial(struct peers *p, struct peer *peer);
/* The numbers of HOST:PORT with another port; -EINVAL: HOST is a name. */
int address_numbers(const char *address, struct sockaddr_storage *ret);

/* ---- guest.c ---- */

/* NULL: no memory, or no descriptor. */
struct guest *guest_of(struct peers *p, int fd, int line);
/* It is this member's from now on. */
void guest_join(struct peers *p, struct guest *g, struct peer *peer);
void guest_on_event(struct peers *p, int line, uint16_t event, int fd);
/* Ends the connection; the struct goes when the library says so. */
void guest_drop(struct peers *p, struct guest *g);
void guests_drop_of(struct peers *p, const struct peer *peer);
/* Tells why, and ends the connection when that had time to arrive. */
void guest_refuse(struct peers *p, struct guest *g, int status, const char *text);
/* The same for a JOIN, which does not cost a member its connection. */
void guest_deny(struct peers *p, struct guest *g, int status, const char *text);
void guest_forget(struct peers *p, struct guest *g);
void guests_sweep(struct peers *p);

/* ---- talk.c ---- */

void talk_on_in(struct peers *p, int line, const uint8_t curve_key[CURVE_KEY_SIZE],
                int fd, zmq_msg_t *route, zmq_msg_t *body);
void talk_on_out(struct peers *p, int line, zmq_msg_t *route, zmq_msg_t *body);
void talk_say_hello(struct peers *p, struct peer *peer);
void talk_tell_revocations(struct peers *p, struct peer *peer);
void talk_renew(struct peers *p);

/* ---- zap.c ---- */

void zap_answer(struct peers *p);

/* ---- probe.c ---- */

/* Ends in peer_told_down(), unless the peer is forgotten meanwhile. */
int probe_start(struct peers *p, const struct peer *peer);
void probes_stop(struct peers *p);
