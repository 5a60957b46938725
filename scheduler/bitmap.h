/* SPDX-License-Identifier: Apache-2.0 */
/* bitmap - a set of small numbers that knows its lowest one.
 *
 * A summary has a bit for each word that is not 0, so that the lowest of 10,000 is
 * found in a few instructions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bitmap {
    uint64_t *words; /* n_words of them, then the summary */
    uint32_t n_words, n_summary;
};

/* All numbers below n may be in it; none is yet. -ENOMEM. */
int bitmap_init(struct bitmap *b, uint32_t n);
void bitmap_release(struct bitmap *b);

static inline void bitmap_set(struct bitmap *b, uint32_t i)
{
    b->words[i / 64] |= 1ULL << (i % 64);
    b->words[b->n_words + i / 4096] |= 1ULL << (i / 64 % 64);
}

static inline void bitmap_clear(struct bitmap *b, uint32_t i)
{
    b->words[i / 64] &= ~(1ULL << (i % 64));
    if (!b->words[i / 64])
        b->words[b->n_words + i / 4096] &= ~(1ULL << (i / 64 % 64));
}

static inline bool bitmap_has(const struct bitmap *b, uint32_t i)
{
    return b->words[i / 64] >> (i % 64) & 1;
}

/* False if it is empty. */
static inline bool bitmap_first(const struct bitmap *b, uint32_t *ret_i)
{
    for (uint32_t s = 0; s < b->n_summary; s++) {
        uint64_t summary = b->words[b->n_words + s];
        uint32_t word;

        if (!summary)
            continue;
        word = 64 * s + (uint32_t)__builtin_ctzll(summary);
        *ret_i = 64 * word + (uint32_t)__builtin_ctzll(b->words[word]);
        return true;
    }
    return false;
}
