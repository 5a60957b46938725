/* SPDX-License-Identifier: Apache-2.0 */
/* heap - the first of some things, by an order that the caller gives.
 *
 * A thing holds its own place, so that it can be moved and taken out without a search.
 * Room is reserved when a thing is made, so that putting it in never fails. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_item {
    uint32_t place; /* from 1; 0: in no heap */
};

struct heap {
    struct heap_item **all;
    uint32_t n, cap;
};

typedef bool heap_order(const struct heap_item *a, const struct heap_item *b);

void heap_release(struct heap *h);
/* Room for n things altogether. -ENOMEM. */
int heap_reserve(struct heap *h, uint32_t n);

void heap_add(struct heap *h, struct heap_item *item, heap_order *is_before);
/* Its place in the order changed. */
void heap_move(struct heap *h, struct heap_item *item, heap_order *is_before);
void heap_remove(struct heap *h, struct heap_item *item, heap_order *is_before);

/* NULL if there is none. */
static inline struct heap_item *heap_first(const struct heap *h)
{
    return h->n ? h->all[0] : NULL;
}
