/* SPDX-License-Identifier: Apache-2.0 */
/* stretch - how far a set goes on as it is at one index. */
#pragma once

#include "base/iset.h"

/* Whether the index is in the set. From it to *ret_end (exclusive) nothing changes. */
static inline bool iset_stretch(const struct iset *s, uint64_t index, uint64_t *ret_end)
{
    const struct interval *v = s->all ? s->all + s->head : NULL;
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (v[mid].hi <= index)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->n) {
        *ret_end = UINT64_MAX;
        return false;
    }
    *ret_end = v[lo].lo <= index ? v[lo].hi : v[lo].lo;
    return v[lo].lo <= index;
}

/* Take out all from `from` on. It never fails: intervals only go or get shorter. */
static inline void iset_cut(struct iset *s, uint64_t from)
{
    while (s->n) {
        struct interval *last = &s->all[s->head + s->n - 1];

        if (last->hi <= from)
            return;
        if (last->lo < from) {
            s->count -= last->hi - from;
            last->hi = from;
            return;
        }
        s->count -= last->hi - last->lo;
        if (--s->n == 0)
            s->head = 0;
    }
}
