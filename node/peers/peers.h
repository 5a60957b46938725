/* SPDX-License-Identifier: Apache-2.0 */
/* peers - connections to the other nodes of the mesh: ZeroMQ with CURVE.
 *
 * A node listens at two ports, for control and for bulk, so that a large piece never
 * delays a ping. It sends on connections that it made itself and receives on those that
 * others made to it; two nodes that talk have one of each. Both ends of a connection
 * proved their keys; whose keys they are says a certificate, which comes in the HELLO
 * that is the first message of a connection. Until then a connection may carry a JOIN
 * and nothing else, is one of few, and ends soon.
 *
 *     peers_connect() or a HELLO that came in
 *        '--> dialing --> HELLO sent --+--> connected --> disconnected --> dialing ...
 *             the other's HELLO came --'
 *
 * Between on_connected and on_disconnected messages of a line arrive in order and none
 * is missing; whatever was under way when a connection broke is lost.
 *
 * A module (mesh-peer.so), loaded by a node that has peers; this header is all that the
 * rest sees of it. Everything is called on the loop's thread, callbacks too; these may
 * call anything here but peers_stop(). Times are the loop's own. */
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "node/identity.h"
#include "proto/message.h"

enum {
    PEERS_MAX = 512, /* connected to at once */
    PEERS_BULK_BYTES_MAX = 320 << 10,
    PEERS_QUEUE_MAX = 256, /* messages to a peer that wait, of control */
    PEERS_QUEUE_BULK_MAX = 16,
    PEERS_QUEUE_BYTES_MAX = 4 << 20, /* or their bytes: one more is let in below it */
    PEERS_STRANGERS_MAX = 256,       /* connections without a HELLO yet */
};

struct peers;

struct peers_callbacks {
    void *arg;
    /* Append the HELLO that is to be sent now (proto/message.h). */
    int (*hello)(void *arg, struct buffer *out);
    /* A frame from a member, of any type but HELLO, JOIN, JOINED and REVOKED. Borrowed.
     */
    void (*on_message)(void *arg, const struct node_id *from, const void *data,
                       size_t len, bool is_bulk);
    void (*on_connected)(void *arg, const struct node_id *peer,
                         const struct hello *hello);
    /* is_refused: nobody listens at its address any more, so its process is gone. */
    void (*on_disconnected)(void *arg, const struct node_id *peer, bool is_refused);
    /* After peers_send() said -EAGAIN: there is room again. */
    void (*on_room)(void *arg, const struct node_id *peer, bool is_bulk);
    /* NULL: nobody asks.
     * Somebody did not let us in, and says why. */
    void (*on_refused)(void *arg, const char *address, int status, const char *text);
    /* The node was shut out, known here since now. */
    void (*on_revoked)(void *arg, const struct node_id *node);
    /* Somebody asks to be let in by a token: peers_admit() is to be called, later, with
     * this number. Borrowed. 0; or why not, with the sentence. NULL: nobody is. */
    int (*on_join)(void *arg, uint64_t asked, const struct join_message *m,
                   const uint8_t curve_key[CURVE_KEY_SIZE], struct error *ret_error);
    /* Somebody asked for a certificate, and says to be called so: 0, or why not. */
    void (*on_asked)(void *arg, const char *name, int status, const char *text);
    /* The own certificate is another one: the card should carry it. */
    void (*on_renewed)(void *arg);
    /* For the log: `event` is a stable word, `text` says the rest. */
    void (*on_event)(void *arg, const char *event, const char *text);
};

struct peers_config {
    uv_loop_t *loop;
    struct identity *identity; /* with a certificate; borrowed */
    const char *listen;        /* HOST:PORT for control; port 0: one that is free */
    uint16_t bulk_port;        /* 0: one that is free */
    const char *advertise;     /* the HOST that others reach it by; NULL: listen's */
    time_us (*wall)(void);     /* NULL: the system's; of certificates alone */
    struct peers_callbacks callbacks;
};

/* The identity's remembered contacts are not dialled: peers_dial() them.
 * -EADDRINUSE and other reasons of the network, with the sentence. */
int peers_start(const struct peers_config *config, struct peers **ret,
                struct error *ret_error);
/* Tells nobody. The loop has to run until the handles are closed; then *p is gone. */
void peers_stop(struct peers *p);

/* Keep a connection to this node; it is dialled again and again until it is there, and
 * when it breaks. Its address may change; then it is dialled there.
 * -EINVAL: a bad address; -EPERM: the node itself; -EKEYREVOKED; -EKEYREJECTED: the
 * certificate that is known of the node has another key; -ENOSPC: PEERS_MAX. */
int peers_connect(struct peers *p, const struct node_id *id, const char *address,
                  uint32_t bulk_port, const uint8_t curve_key[CURVE_KEY_SIZE]);
/* Whoever has this key. */
int peers_dial(struct peers *p, const struct join_contact *contact);
/* Drop it, without on_disconnected. It may come back by itself. */
void peers_disconnect(struct peers *p, const struct node_id *id);

/* Copies.
 * -ENOTCONN  it is not connected
 * -EAGAIN    it does not read as fast: on_room tells when there is room
 * -EMSGSIZE  more than MESSAGE_BYTES_MAX, or PEERS_BULK_BYTES_MAX
 * Bulk is dialled when the first is sent, which gives -EAGAIN until it is there. */
int peers_send(struct peers *p, const struct node_id *id, const void *data, size_t len,
               bool is_bulk);
bool peers_is_connected(const struct peers *p, const struct node_id *id);

/* Where others reach this node: HOST:PORT and the port for bulk. */
const char *peers_address(const struct peers *p);
uint32_t peers_bulk_port(const struct peers *p);

/* A certificate that came by gossip: its node is no stranger when it knocks. */
int peers_learn(struct peers *p, const struct chain *chain);
/* Shut a node out, tell all, drop it. As identity_revoke(). */
int peers_revoke(struct peers *p, const struct node_id *node, struct error *ret_error);
/* What became of on_join: status 0 and the certificate, or why not. Nothing happens when
 * who asked is gone. */
void peers_admit(struct peers *p, uint64_t asked, const char *name,
                 const struct chain *chain, int status, const char *text);
/* Where this node's connected peers are, for identity_remember(). */
size_t peers_contacts(const struct peers *p, struct join_contact *ret, size_t max);

struct peers_counters {
    uint64_t sent, received, sent_bytes, received_bytes; /* of control and bulk */
    uint64_t full;                                       /* -EAGAIN was said */
    uint64_t garbage;                                    /* no frames of ours */
    uint64_t strangers; /* messages of who had not said HELLO */
    uint64_t refused;   /* HELLOs, JOINs and keys that were turned away */
    uint64_t dropped;   /* connections that were ended from here */
    uint64_t joined;    /* certificates given */
};
const struct peers_counters *peers_count(const struct peers *p);

/* ---- joining: before there is a certificate ---- */

/* Ask the token's contacts in turn, until one answers, for `patience`; blocks. The
 * certificate is in the identity then, and the contacts are remembered.
 * -ETIMEDOUT: nobody answered; else what the issuer said, with its sentence. */
struct peers_join {
    struct identity *identity;
    const struct join_token *token;
    const char *name, *zone;
    uint32_t patience_ms;
    time_us wall;
};
int peers_join(const struct peers_join *join, struct error *ret_error);

/* ---- the module: what node/ calls it by ---- */

struct peers_module {
    int (*start)(const struct peers_config *config, struct peers **ret,
                 struct error *ret_error);
    void (*stop)(struct peers *p);
    int (*connect)(struct peers *p, const struct node_id *id, const char *address,
                   uint32_t bulk_port, const uint8_t curve_key[CURVE_KEY_SIZE]);
    int (*dial)(struct peers *p, const struct join_contact *contact);
    void (*disconnect)(struct peers *p, const struct node_id *id);
    int (*send)(struct peers *p, const struct node_id *id, const void *data, size_t len,
                bool is_bulk);
    bool (*is_connected)(const struct peers *p, const struct node_id *id);
    const char *(*address)(const struct peers *p);
    uint32_t (*bulk_port)(const struct peers *p);
    int (*learn)(struct peers *p, const struct chain *chain);
    int (*revoke)(struct peers *p, const struct node_id *node, struct error *ret_error);
    void (*admit)(struct peers *p, uint64_t asked, const char *name,
                  const struct chain *chain, int status, const char *text);
    size_t (*contacts)(const struct peers *p, struct join_contact *ret, size_t max);
    const struct peers_counters *(*count)(const struct peers *p);
    int (*join)(const struct peers_join *join, struct error *ret_error);
};
/* The symbol: const struct peers_module mesh_peers_module. */
