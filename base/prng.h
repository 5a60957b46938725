/* SPDX-License-Identifier: Apache-2.0 */
/* prng - xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64.
 *
 * The only source of chance in a pure part, handed in by whoever owns it. Not for
 * secrets: those come from libsodium in the runtime. */
#pragma once

#include <stdint.h>

struct prng {
    uint64_t s[4];
};

static inline void prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        p->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t prng_rotate_(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->s;
    uint64_t result = prng_rotate_(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = prng_rotate_(s[3], 45);
    return result;
}

/* 0 .. bound-1; bound > 0. The bias of the modulus is far below what any user of a
 * 64-bit draw can see. */
static inline uint64_t prng_below(struct prng *p, uint64_t bound)
{
    return prng_next(p) % bound;
}
