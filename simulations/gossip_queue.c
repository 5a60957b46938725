/* SPDX-License-Identifier: Apache-2.0 */
/* What will happen, the soonest first; of one moment in the order in which it was said.
 */
#include <errno.h>
#include <stdlib.h>

#include "simulations/gossip_world_state.h"

static bool is_before(const struct queued *a, const struct queued *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

bool gossip_queue_push(struct gossip_world *w, struct queued q)
{
    size_t i = w->n_heap;

    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? 2 * w->cap_heap : 64;
        struct queued *heap = realloc(w->heap, cap * sizeof(*heap));

        if (!heap)
            return false;
        w->heap = heap;
        w->cap_heap = cap;
    }
    w->n_heap++;
    for (; i > 0 && is_before(&q, &w->heap[(i - 1) / 4]); i = (i - 1) / 4)
        w->heap[i] = w->heap[(i - 1) / 4];
    w->heap[i] = q;
    return true;
}

/* Four ways: fewer levels to miss the cache on than with two. */
struct queued gossip_queue_pop(struct gossip_world *w)
{
    struct queued first = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;

    for (;;) {
        size_t least = 4 * i + 1, end = least + 4 < w->n_heap ? least + 4 : w->n_heap;

        if (least >= w->n_heap)
            break;
        for (size_t k = least + 1; k < end; k++)
            if (is_before(&w->heap[k], &w->heap[least]))
                least = k;
        if (!is_before(&w->heap[least], &last))
            break;
        w->heap[i] = w->heap[least];
        i = least;
    }
    w->heap[i] = last;
    return first;
}

static uint32_t happening_get(struct gossip_world *w)
{
    uint32_t i = w->free_happening;

    if (i) {
        w->free_happening = w->happenings[i - 1].next_free;
        return i;
    }
    if (w->n_happenings == w->cap_happenings) {
        uint32_t cap = w->cap_happenings ? 2 * w->cap_happenings : 64;
        struct happening *all = realloc(w->happenings, cap * sizeof(*all));

        if (!all)
            return 0;
        w->happenings = all;
        w->cap_happenings = cap;
    }
    return ++w->n_happenings;
}

struct happening *gossip_world_later(struct gossip_world *w, time_us at,
                                     enum gossip_event type, size_t node)
{
    uint32_t i = happening_get(w);

    if (!i || !gossip_queue_push(w, (struct queued){ at, w->order, i })) {
        w->error = -ENOMEM;
        return NULL;
    }
    w->happenings[i - 1] = (struct happening){ .at = at,
                                               .order = w->order++,
                                               .type = type,
                                               .node = (uint32_t)node,
                                               .life = w->nodes[node].life };
    return &w->happenings[i - 1];
}
