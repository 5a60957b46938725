/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_peer - requests of people that another node answers.
 *
 *     here: interface -> runtime_peer_ask() --REQUEST--> peer
 *                   <--- on_reply, part by part --REPLY---'
 *     there: REQUEST -> on_request of its interface -> runtime_peer_answer() -> REPLY
 *
 * An answer comes in parts, and only as many as the asker has said it takes: a client
 * that does not read keeps no bytes in any node's memory. Parts of one request arrive
 * in order; when the connection breaks, or the peer dies, the asker is told and nothing
 * is repeated.
 *
 * runtime_peer.c keeps who waits for what. Whoever carries messages calls the
 * runtime_peer_on_*() functions and gives runtime_peer_open() a way to send.
 *
 * All on the loop thread. */
#pragma once

#include "node/runtime.h"
#include "proto/message.h"

enum {
    PEER_ASKS_MAX = 2048,      /* that wait here for answers of others, at once */
    PEER_SERVED_MAX = 1024,    /* that others wait for here, at once */
    PEER_BODY_MAX = 768 << 10, /* of a request that is passed on */
    PEER_PART_BYTES = 32 << 10,
    PEER_WINDOW = 16, /* parts that may be on their way */
};

/* ---- asking ---- */

/* A part of the answer, which is borrowed; `error` 0. Or the end of it without one:
 * NULL and -ECONNRESET (the peer is gone), -ETIMEDOUT (it said nothing at all in time).
 * Not called again after the last part or an error; the ask is gone then. */
typedef void peer_reply_fn(void *arg, const struct reply_message *part, int error);

/* `request` is borrowed and its number set here. *ret_id is for the calls below.
 * -ENOTCONN  no such peer is connected
 * -EAGAIN    PEER_ASKS_MAX, or its queue is full
 * -E2BIG, -ENOMEM */
int runtime_peer_ask(struct runtime *rt, const struct node_id *peer,
                     struct request_message *request, time_us timeout,
                     peer_reply_fn *on_reply, void *arg, uint64_t *ret_id);
/* Of the parts so far, these many are out of memory: more may come. */
void runtime_peer_took(struct runtime *rt, uint64_t id, uint64_t n_parts);
/* Nobody waits any more: on_reply is not called again, and the peer is told. */
void runtime_peer_cancel(struct runtime *rt, uint64_t id);

/* ---- answering: the interface ---- */

struct peer_server {
    /* A request of a peer, borrowed; answered by runtime_peer_answer() with its number.
     */
    void (*on_request)(void *arg, const struct node_id *peer,
                       const struct request_message *request);
    /* It takes parts up to (without) `window`; or it does not wait any more. */
    void (*on_window)(void *arg, const struct node_id *peer, uint64_t request,
                      uint64_t window);
    void (*on_cancel)(void *arg, const struct node_id *peer, uint64_t request);
    /* It waits for nothing any more. */
    void (*on_gone)(void *arg, const struct node_id *peer);
    void *arg;
};
/* Copied; NULL: the interface ends. */
void runtime_peer_serve(struct runtime *rt, const struct peer_server *server);
/* -EAGAIN: the peer's queue is full, try a moment later; -ENOTCONN. */
int runtime_peer_answer(struct runtime *rt, const struct node_id *peer,
                        const struct reply_message *part);

/* ---- carrying: runtime_mesh.c ---- */

/* 0, -EAGAIN (the queue to this peer is full), -ENOTCONN, or what encoding returned. */
typedef int peer_send_fn(struct runtime *rt, const struct node_id *peer,
                         const struct message *m);
int runtime_peer_open(struct runtime *rt, peer_send_fn *send);
/* Who still waits is told -ECONNRESET. The loop must turn once more. */
void runtime_peer_close(struct runtime *rt);
/* REQUEST and REPLY, from a member whose key was proved. Loads the interface when
 * nobody asked it before. */
void runtime_peer_on_message(struct runtime *rt, const struct node_id *peer,
                             const struct message *m);
/* The connection is gone, or the member is dead. */
void runtime_peer_on_gone(struct runtime *rt, const struct node_id *peer);

/* ---- what runtime_peer.c needs of the runtime ---- */

struct peer_desk;
struct peer_desk **runtime_peer_desk(struct runtime *rt);
/* Serve the sockets now, though nobody has knocked. */
void runtime_load_interface(struct runtime *rt);
