/* SPDX-License-Identifier: Apache-2.0 */
/* http_stall - whether a transfer still moves. Pure.
 *
 * Looked at four times in the time that a stall takes: it stalls when less than
 * HTTP_STALL_BYTES_PER_S moved in the four looks before. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HTTP_STALL_LOOKS = 4, HTTP_STALL_BYTES_PER_S = 1024 };

struct http_stall {
    uint64_t moved[HTTP_STALL_LOOKS]; /* in each of the last looks, as a ring */
    uint32_t looks;
    uint64_t bytes; /* since the last look */
};

static inline uint64_t http_stall_look_ms(uint32_t stall_ms)
{
    return stall_ms / HTTP_STALL_LOOKS + 1;
}

static inline bool http_stall_look(struct http_stall *stall, uint32_t stall_ms)
{
    uint64_t moved = 0;

    stall->moved[stall->looks++ % HTTP_STALL_LOOKS] = stall->bytes;
    stall->bytes = 0;
    if (stall->looks < HTTP_STALL_LOOKS)
        return false;
    for (int i = 0; i < HTTP_STALL_LOOKS; i++)
        moved += stall->moved[i];
    return moved < (uint64_t)stall_ms * HTTP_STALL_BYTES_PER_S / 1000;
}
