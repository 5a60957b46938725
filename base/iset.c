/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void iset_release(struct iset *s)
{
    free(s->all);
    *s = (struct iset){ .all = NULL };
}

/* The live intervals; an empty set may have no memory to point into. */
static struct interval *live(const struct iset *s)
{
    return s->all ? s->all + s->head : NULL;
}

/* The first live interval that ends at or after `index`; s->n if none. */
static size_t find(const struct iset *s, uint64_t index)
{
    const struct interval *v = live(s);
    size_t lo = 0, hi = s->n;

    /* Most additions touch the last interval. */
    if (hi && v[hi - 1].hi < index)
        return hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (v[mid].hi < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Makes room for one interval at position i. */
static int open_gap(struct iset *s, size_t i)
{
    if (i == 0 && s->head) {
        s->head--;
        s->n++;
        return 0;
    }
    if (s->head + s->n == s->cap && s->head > s->cap / 2) {
        memmove(s->all, s->all + s->head, s->n * sizeof(*s->all));
        s->head = 0;
    }
    if (s->head + s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        struct interval *all = realloc(s->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        s->all = all;
        s->cap = cap;
    }
    memmove(s->all + s->head + i + 1, s->all + s->head + i,
            (s->n - i) * sizeof(*s->all));
    s->n++;
    return 0;
}

static void close_gap(struct iset *s, size_t i, size_t n)
{
    struct interval *v = live(s);

    if (i == 0) {
        s->head += n;
    } else {
        memmove(v + i, v + i + n, (s->n - i - n) * sizeof(*v));
    }
    s->n -= n;
    if (s->n == 0)
        s->head = 0;
}

int iset_add_range(struct iset *s, uint64_t lo, uint64_t hi)
{
    size_t i, j;
    struct interval *v;

    assert(lo <= hi);
    if (lo == hi)
        return 0;
    i = find(s, lo);
    v = live(s);
    if (i == s->n || v[i].lo > hi) {
        int r = open_gap(s, i);

        if (r < 0)
            return r;
        s->all[s->head + i] = (struct interval){ lo, hi };
        s->count += hi - lo;
        return 0;
    }
    /* Swallow every interval that the new one touches. */
    for (j = i; j < s->n && v[j].lo <= hi; j++) {
        s->count -= v[j].hi - v[j].lo;
        lo = v[j].lo < lo ? v[j].lo : lo;
        hi = v[j].hi > hi ? v[j].hi : hi;
    }
    v[i] = (struct interval){ lo, hi };
    s->count += hi - lo;
    if (j - i > 1)
        close_gap(s, i + 1, j - i - 1);
    return 0;
}

int iset_add(struct iset *s, uint64_t index)
{
    return iset_add_range(s, index, index + 1);
}

/* The interval that holds the index; s->n if none. */
static size_t find_holder(const struct iset *s, uint64_t index)
{
    size_t i;

    /* No interval can end behind it, and index + 1 would be 0. */
    if (index == UINT64_MAX)
        return s->n;
    i = find(s, index + 1);
    return i < s->n && s->all[s->head + i].lo <= index ? i : s->n;
}

bool iset_has(const struct iset *s, uint64_t index)
{
    return find_holder(s, index) < s->n;
}

int iset_remove(struct iset *s, uint64_t index)
{
    size_t i = find_holder(s, index);
    struct interval *v;

    if (i == s->n)
        return -ENOENT;
    v = live(s) + i;
    if (v->lo == index && v->hi == index + 1) {
        close_gap(s, i, 1);
    } else if (v->lo == index) {
        v->lo++;
    } else if (v->hi == index + 1) {
        v->hi--;
    } else {
        struct interval whole = *v;
        int r = open_gap(s, i + 1);

        if (r < 0)
            return r;
        s->all[s->head + i] = (struct interval){ whole.lo, index };
        s->all[s->head + i + 1] = (struct interval){ index + 1, whole.hi };
    }
    s->count--;
    return 0;
}

uint64_t iset_count(const struct iset *s)
{
    return s->count;
}

bool iset_pop(struct iset *s, uint64_t *ret_index)
{
    struct interval *first = live(s);

    if (s->n == 0)
        return false;
    *ret_index = first->lo++;
    s->count--;
    if (first->lo == first->hi)
        close_gap(s, 0, 1);
    return true;
}

size_t iset_intervals(const struct iset *s)
{
    return s->n;
}

struct interval iset_interval(const struct iset *s, size_t i)
{
    assert(i < s->n);
    return s->all[s->head + i];
}
