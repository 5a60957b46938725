/* SPDX-License-Identifier: Apache-2.0 */
/* server - libmicrohttpd in the node's loop.
 *
 *     listening socket -.
 *     connections -------+-- MHD's epoll --- uv_poll ---.
 *     MHD's next timeout -.                             |-- MHD_run()
 *     resumed connections -'-------------- uv_timer ----'
 *
 * One daemon for each door: the user's socket, that of tasks, a TCP port when the node
 * was told to listen on one, and one for what other nodes ask. MHD has no thread of its
 * own; a connection whose answer is made on a thread of libuv's pool is suspended
 * meanwhile. Nothing is open: no timer runs.
 *
 * After api_stop() the loop must turn once more, so that libuv can close what was
 * opened in it, before it is closed or the module is unloaded. */
#pragma once

#include <pthread.h>

#include "node/api/meter.h"
#include "node/api/request.h"

struct MHD_Daemon;

struct connection; /* connection.h */
struct listener {
    struct api *api;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer, sweep;
    enum door door;
    struct connection *connections;
    bool is_running, has_resumed; /* inside of MHD_run(); since it began */
};

/* One without a socket of its own, for DOOR_PEER: connections are brought to it. */
int listener_start_for_peers(struct api *api, struct listener **ret);
/* A connection was resumed: run MHD soon. */
void listener_kick(struct listener *l);
const char *listener_name(const struct listener *l); /* "user", "task", "tcp", "peer" */
size_t listener_connections(const struct listener *l);

struct serves;        /* serve.c: what peers ask */
struct events;        /* events.c: the open event streams */
struct uploads;       /* uploads.c: blobs that are in no record yet */
struct tokens;        /* tokens.c: who may ask over TCP */
struct shared_tokens; /* shared_tokens.c: who may ask any node of the mesh */

struct api {
    struct runtime *rt;
    struct listener listeners[4];
    size_t n_listeners;
    char *spool_dir;
    char user[64]; /* who the node runs as, as text */
    struct request *requests;
    struct serves *serves;
    struct events *events;
    struct uploads *uploads;
    struct tokens *tokens;
    struct shared_tokens *shared_tokens;
    struct tls_pair *tls; /* NULL: the TCP port is plain, or there is none */
    struct meter meter;
    struct buffer seen; /* the ids of tokens that were used; note.c */

    /* Threads that work for a request; api_stop() waits for them. */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t n_busy;
    atomic_bool is_stopping;

    size_t n_refs; /* handles and jobs that the loop still knows */
};

/* The loop turns without the api once all of these are dropped. */
void api_drop(struct api *api);

/* The routes of the interface, and those of the task channel. */
extern const struct route user_routes[], task_routes[];
extern const size_t n_user_routes, n_task_routes;
