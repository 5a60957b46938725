/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/heap.h"

#include <errno.h>
#include <stdlib.h>

void heap_release(struct heap *h)
{
    free(h->all);
    *h = (struct heap){ .all = NULL };
}

int heap_reserve(struct heap *h, uint32_t n)
{
    uint32_t cap = h->cap ? h->cap : 4;
    struct heap_item **all;

    while (cap < n)
        cap *= 2;
    if (cap == h->cap)
        return 0;
    all = realloc(h->all, cap * sizeof(all[0]));
    if (!all)
        return -ENOMEM;
    h->all = all;
    h->cap = cap;
    return 0;
}

static void put(struct heap *h, uint32_t i, struct heap_item *item)
{
    h->all[i] = item;
    item->place = i + 1;
}

static void sift(struct heap *h, uint32_t i, struct heap_item *item,
                 heap_order *is_before)
{
    for (; i && is_before(item, h->all[(i - 1) / 2]); i = (i - 1) / 2)
        put(h, i, h->all[(i - 1) / 2]);
    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child + 1 < h->n && is_before(h->all[child + 1], h->all[child]))
            child++;
        if (child >= h->n || !is_before(h->all[child], item))
            break;
        put(h, i, h->all[child]);
        i = child;
    }
    put(h, i, item);
}

void heap_add(struct heap *h, struct heap_item *item, heap_order *is_before)
{
    h->n++;
    sift(h, h->n - 1, item, is_before);
}

void heap_move(struct heap *h, struct heap_item *item, heap_order *is_before)
{
    if (h->n > 1)
        sift(h, item->place - 1, item, is_before);
}

void heap_remove(struct heap *h, struct heap_item *item, heap_order *is_before)
{
    uint32_t i = item->place - 1;
    struct heap_item *last = h->all[--h->n];

    item->place = 0;
    if (last != item)
        sift(h, i, last, is_before);
}
