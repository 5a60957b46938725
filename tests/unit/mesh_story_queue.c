/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/mesh_story_internal.h"

static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct happening *a, struct happening *b)
{
    struct happening c = *a;

    *a = *b;
    *b = c;
}

void queue_push(struct mesh_story *s, const struct happening *h)
{
    size_t i = s->n_queue++;

    if (s->n_queue > s->cap_queue) {
        s->cap_queue = s->cap_queue ? 2 * s->cap_queue : 256;
        s->queue = realloc(s->queue, s->cap_queue * sizeof(s->queue[0]));
        assert(s->queue);
    }
    s->queue[i] = *h;
    s->queue[i].order = ++s->n_orders;
    for (; i && is_before(&s->queue[i], &s->queue[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&s->queue[i], &s->queue[(i - 1) / 2]);
}

bool queue_pop(struct mesh_story *s, struct happening *ret)
{
    size_t i = 0;

    if (!s->n_queue)
        return false;
    *ret = s->queue[0];
    s->queue[0] = s->queue[--s->n_queue];
    for (;;) {
        size_t least = i;

        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < s->n_queue; k++)
            if (is_before(&s->queue[k], &s->queue[least]))
                least = k;
        if (least == i)
            return true;
        swap(&s->queue[i], &s->queue[least]);
        i = least;
    }
}

time_us queue_next(const struct mesh_story *s)
{
    return s->n_queue ? s->queue[0].at : TIME_NEVER;
}

void happening_release(struct happening *h)
{
    for (size_t i = 0; i < h->n_entries; i++) {
        free(h->entries[i].key);
        free(h->entries[i].value);
    }
    free(h->entries);
    free(h->bytes);
}

/* ---- the network ---- */

bool network_passes(const struct mesh_story *s, unsigned from, unsigned to)
{
    return s->nodes[to].is_up && s->is_cut[from] == s->is_cut[to]
           && !s->is_deaf[from][to];
}

static void deliver(struct mesh_story *s, unsigned from, unsigned to, const void *bytes,
                    size_t len)
{
    bool is_bad = s->lost || s->doubled || s->delayed;
    struct happening h = { .at =
                               s->now + 150 + (is_bad ? prng_below(&s->prng, 100) : 0),
                           .node = to,
                           .what = WHAT_MESSAGE,
                           .from = from,
                           .len = len };

    if (prng_below(&s->prng, 1000) < s->delayed)
        h.at += TIME_MS(300);
    h.bytes = malloc(len);
    assert(h.bytes);
    memcpy(h.bytes, bytes, len);
    queue_push(s, &h);
}

void network_send(struct mesh_story *s, unsigned from, unsigned to, const void *bytes,
                  size_t len)
{
    s->n_messages[message_peek(bytes, len) % 64]++;
    if (!network_passes(s, from, to) || !s->nodes[from].is_connected[to]
        || prng_below(&s->prng, 1000) < s->lost)
        return;
    deliver(s, from, to, bytes, len);
    if (prng_below(&s->prng, 1000) < s->doubled)
        deliver(s, from, to, bytes, len);
}
