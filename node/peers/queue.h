/* SPDX-License-Identifier: Apache-2.0 */
/* queue - how much of what was handed to the library still waits for one peer.
 *
 * ZeroMQ counts messages, not bytes, and never says that there is room again. So each
 * message carries a count here, which its I/O thread takes back when it has written the
 * message to the connection, or given it up. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <uv.h>
#include <zmq.h>

struct queue {
    atomic_size_t refs, n, bytes;
    atomic_bool is_waiting; /* somebody was told that it is full */
    atomic_bool has_room;   /* and may be told that it is not */
    size_t n_max, bytes_max;
    uv_async_t *room;
};

/* `room` is sent when there is room again, from another thread; it must outlive the
 * messages. NULL without memory. */
struct queue *queue_new(size_t n_max, size_t bytes_max, uv_async_t *room);
void queue_unref(struct queue *q);

/* A copy of the data as a message. -EAGAIN: it is full; -ENOMEM. */
int queue_put(struct queue *q, const void *data, size_t len, zmq_msg_t *ret);
/* Whether is_waiting was set and there is room since; asked once. */
bool queue_take_room(struct queue *q);
