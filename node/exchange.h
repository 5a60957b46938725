/* SPDX-License-Identifier: Apache-2.0 */
/* exchange - blobs between nodes: gets those that are wanted, gives those that are
 * here.
 *
 * node/fetch.h decides what to ask for and whom. This carries it out: it sends, checks
 * what comes against the blob's name, writes it, and keeps the whole in the store.
 * Bytes are hashed, read and written by libuv's pool; the loop only passes them on.
 *
 * What is given is bounded: GIVE_STREAMS_MAX peers at once get parts of large blobs,
 * each has GIVE_OF_PEER_MAX questions waiting, and GIVE_JOBS_MAX are read at a time.
 * Others are told to come back, and to whom they may go meanwhile.
 *
 * One thread, that of the loop. */
#pragma once

#include <uv.h>

#include "base/time.h"
#include "proto/message.h"
#include "store/blobs.h"

enum {
    EXCHANGE_BLOBS_MAX = 1 << 20, /* on their way, or waiting until fewer are */
    GIVE_STREAMS_MAX = 8,
    GIVE_OF_PEER_MAX = 64,
    GIVE_QUEUE_MAX = 1024,
    GIVE_JOBS_MAX = 3, /* libuv's pool has four threads, and others need some */
};

struct exchange;
struct exchange_want;

struct exchange_config {
    uv_loop_t *loop;
    struct blobs *blobs;
    struct node_id self;
    uint64_t seed;
    time_us (*now)(void *arg);
    /* 0: it is on its way, nothing of *m is needed any more. -EAGAIN: the peer's queue
     * is full, exchange_on_writable() tells when it is not. Another error: it cannot be
     * reached now; it is tried again a few times, so that this may begin to dial.
     * is_bulk: by the connection for data. */
    int (*send)(void *arg, const struct node_id *peer, const struct message *m,
                bool is_bulk);
    void *arg; /* of both */
};

/* NULL without memory. */
struct exchange *exchange_new(const struct exchange_config *config);
/* Not from done(). Nothing is called back from now on. What the pool still does ends
 * first: run the loop until it is done before the blobs are closed. NULL is fine. */
void exchange_free(struct exchange *x);

/* Get these blobs, from those that are said to have them first. done() is told once,
 * when all are kept, or none of the others is on its way any more: status is 0 or that
 * of *failed, the first that cannot be had: -ENOENT: nobody has it; -ETIMEDOUT; or what
 * the store said. They are pinned until it returns.
 *
 * 1        all are here: done() is not called and nothing is pinned
 * 0        *ret_want lives until done()
 * -ENOMEM  no memory, or more than EXCHANGE_BLOBS_MAX */
int exchange_want(struct exchange *x, const struct digest *ids, size_t n,
                  const struct node_id *hints, size_t n_hints,
                  void (*done)(void *arg, int status, const struct digest *failed),
                  void *arg, struct exchange_want **ret_want);
/* done() is not called any more. What only this wanted is given up. */
void exchange_cancel(struct exchange *x, struct exchange_want *want);

void exchange_on_connected(struct exchange *x, const struct node_id *peer);
void exchange_on_disconnected(struct exchange *x, const struct node_id *peer);
/* BLOB_FIND .. BLOB_DATA, from a member whose key was proved. What *m points to may be
 * taken; then it is empty. */
void exchange_on_message(struct exchange *x, const struct node_id *from,
                         struct message *m);
/* There is room again in the queue to a peer. */
void exchange_on_writable(struct exchange *x, const struct node_id *peer);
void exchange_on_tick(struct exchange *x);
time_us exchange_deadline(const struct exchange *x);

/* 0, or -ENOMEM: something was lost for lack of memory; give the node up. */
int exchange_error(const struct exchange *x);

struct exchange_counts {
    uint64_t n_getting, in_flight; /* blobs; requests */
    uint64_t got_bytes, given_bytes;
    uint64_t n_bad;    /* parts that were not what the name says */
    uint64_t n_lost;   /* blobs that could not be had */
    uint64_t n_queued; /* questions of others that wait */
};
void exchange_count(const struct exchange *x, struct exchange_counts *ret);
