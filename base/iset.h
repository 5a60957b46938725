/* SPDX-License-Identifier: Apache-2.0 */
/* iset - a set of 64-bit indexes kept as sorted, disjoint, non-touching intervals.
 *
 * The tasks of a foreach finish nearly in order, so a million of them are a few
 * intervals and each operation is a binary search among these. Taking the first
 * index costs O(1) even when every second index is missing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interval {
    uint64_t lo, hi; /* [lo, hi) */
};

struct iset {
    struct interval *all; /* the allocation; the live intervals start at head */
    size_t head, n, cap;
    uint64_t count; /* indexes in the set */
};

void iset_release(struct iset *s);

/* 0 or -ENOMEM; the set is unchanged on failure. lo == hi adds nothing. The end of an
 * interval is exclusive, so UINT64_MAX is the one index that no set can hold. */
int iset_add_range(struct iset *s, uint64_t lo, uint64_t hi);
int iset_add(struct iset *s, uint64_t index);

/* Takes out one index; -ENOENT if it is not in, -ENOMEM. */
int iset_remove(struct iset *s, uint64_t index);

bool iset_has(const struct iset *s, uint64_t index);
uint64_t iset_count(const struct iset *s);

/* The lowest index, taken out; false if the set is empty. */
bool iset_pop(struct iset *s, uint64_t *ret_index);

/* The i-th interval in order, i < iset_intervals(). */
size_t iset_intervals(const struct iset *s);
struct interval iset_interval(const struct iset *s, size_t i);
