/* SPDX-License-Identifier: Apache-2.0 */
#include "node/peers/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The queue is written last and read first: the library hands a parcel from one thread
 * to another in a way that tools cannot see. */
struct parcel {
    _Atomic(struct queue *) queue;
    size_t len;
    unsigned char data[];
};

struct queue *queue_new(size_t n_max, size_t bytes_max, uv_async_t *room)
{
    struct queue *q = calloc(1, sizeof(*q));

    if (!q)
        return NULL;
    atomic_init(&q->refs, 1);
    q->n_max = n_max;
    q->bytes_max = bytes_max;
    q->room = room;
    return q;
}

void queue_unref(struct queue *q)
{
    if (q && atomic_fetch_sub(&q->refs, 1) == 1)
        free(q);
}

static bool is_full(const struct queue *q)
{
    return atomic_load(&q->n) >= q->n_max || atomic_load(&q->bytes) >= q->bytes_max;
}

/* Half of it, so that not every message wakes somebody. */
static bool has_room(const struct queue *q)
{
    return atomic_load(&q->n) <= q->n_max / 2
           && atomic_load(&q->bytes) <= q->bytes_max / 2;
}

static void offer_room(struct queue *q)
{
    if (has_room(q) && atomic_exchange(&q->is_waiting, false)) {
        atomic_store(&q->has_room, true);
        uv_async_send(q->room);
    }
}

static void parcel_free(void *data, void *hint)
{
    struct parcel *parcel = hint;
    struct queue *q = atomic_load(&parcel->queue);

    (void)data;
    atomic_fetch_sub(&q->n, 1);
    atomic_fetch_sub(&q->bytes, parcel->len);
    offer_room(q);
    free(parcel);
    queue_unref(q);
}

int queue_put(struct queue *q, const void *data, size_t len, zmq_msg_t *ret)
{
    struct parcel *parcel;

    if (is_full(q)) {
        atomic_store(&q->is_waiting, true);
        offer_room(q); /* all of it may have gone between the two */
        return -EAGAIN;
    }
    parcel = malloc(sizeof(*parcel) + len);
    if (!parcel)
        return -ENOMEM;
    parcel->len = len;
    memcpy(parcel->data, data, len);
    atomic_store(&parcel->queue, q);
    if (zmq_msg_init_data(ret, parcel->data, len, parcel_free, parcel) != 0) {
        free(parcel);
        return -ENOMEM;
    }
    atomic_fetch_add(&q->refs, 1);
    atomic_fetch_add(&q->n, 1);
    atomic_fetch_add(&q->bytes, len);
    return 0;
}

bool queue_take_room(struct queue *q)
{
    return atomic_exchange(&q->has_room, false);
}
