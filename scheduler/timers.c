/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/timers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

void timers_release(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){ .heap = NULL };
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct timers *t, size_t i, struct timer *timer)
{
    t->heap[i] = timer;
    timer->position = i + 1;
}

static void sift_up(struct timers *t, size_t i, struct timer *timer)
{
    while (i && is_before(timer, t->heap[(i - 1) / 2])) {
        put(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(t, i, timer);
}

static void sift_down(struct timers *t, size_t i, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < t->n && is_before(t->heap[child + 1], t->heap[child]))
            child++;
        if (child >= t->n || !is_before(t->heap[child], timer))
            break;
        put(t, i, t->heap[child]);
        i = child;
    }
    put(t, i, timer);
}

static int grow(struct timers *t)
{
    size_t cap = t->cap ? 2 * t->cap : 16;
    struct timer **heap;

    if (t->n < t->cap)
        return 0;
    heap = realloc(t->heap, cap * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    t->heap = heap;
    t->cap = cap;
    return 0;
}

int timers_set(struct timers *t, struct timer *timer, time_us at)
{
    if (grow(t) < 0)
        return -ENOMEM;
    timers_cancel(t, timer);
    timer->at = at;
    timer->order = t->order++;
    sift_up(t, t->n++, timer);
    return 0;
}

void timers_cancel(struct timers *t, struct timer *timer)
{
    size_t i = timer->position - 1;
    struct timer *last;

    if (!timer->position)
        return;
    timer->position = 0;
    last = t->heap[--t->n];
    if (last == timer)
        return;
    if (i && is_before(last, t->heap[(i - 1) / 2]))
        sift_up(t, i, last);
    else
        sift_down(t, i, last);
}

struct timer *timers_pop(struct timers *t, time_us now)
{
    struct timer *first = t->n ? t->heap[0] : NULL;

    if (!first || first->at > now)
        return NULL;
    timers_cancel(t, first);
    return first;
}

time_us timers_deadline(const struct timers *t)
{
    return t->n ? t->heap[0]->at : TIME_NEVER;
}
