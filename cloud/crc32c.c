/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

enum { SLICES = 8 };

#define POLYNOMIAL 0x82f63b78u /* of Castagnoli, bits reversed */

/* tables[k][b]: what byte b does to the checksum when k bytes follow it. */
static uint32_t tables[SLICES][256];

__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][b] = crc;
    }
    for (int k = 1; k < SLICES; k++)
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t crc = tables[k - 1][b];

            tables[k][b] = crc >> 8 ^ tables[0][crc & 255];
        }
}

uint32_t crc32c_by_tables(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *at = data;

    crc = ~crc;
    for (; len >= SLICES; len -= SLICES, at += SLICES) {
        uint32_t next = 0;

        for (int i = 0; i < SLICES; i++) {
            uint8_t b = i < 4 ? at[i] ^ (uint8_t)(crc >> 8 * i) : at[i];

            next ^= tables[SLICES - 1 - i][b];
        }
        crc = next;
    }
    for (; len; len--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_by_instruction(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t wide = ~crc;

    for (; len >= 8; len -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len; len--, at++)
        crc = _mm_crc32_u8(crc, *at);
    return ~crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_by_instruction(crc, data, len);
#endif
    return crc32c_by_tables(crc, data, len);
}

/* ---- two parts ----
 *
 * A checksum is a polynomial over GF(2), its highest power in bit 0. What `len` bytes
 * more do to it is a multiplication by x^(8 len), modulo the polynomial. */

static uint32_t times(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b >> 1 ^ (b & 1 ? POLYNOMIAL : 0);
    }
    return product;
}

uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t second_len)
{
    uint32_t power = 1u << 23; /* x^8: of one byte */

    for (; second_len; second_len >>= 1) {
        if (second_len & 1)
            first = times(power, first);
        power = times(power, power);
    }
    return first ^ second;
}
