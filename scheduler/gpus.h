/* SPDX-License-Identifier: Apache-2.0 */
/* gpus - which task has which GPU.
 *
 * A task that asks for 2.5 of them has two to itself and half of a third. A half goes
 * to a GPU that is shared already, if it has room, so that whole ones stay whole; else,
 * as the whole ones, to the lowest that is free. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { GPUS_MAX = 64, GPU_MILLI = 1000 };

struct gpus {
    uint32_t n;
    uint16_t used[GPUS_MAX]; /* thousandths */
};

/* What a task has. */
struct gpu_grant {
    uint64_t indexes; /* a bit for each GPU, the shared one too */
    uint8_t shared;   /* its index */
    uint16_t milli;   /* of the shared one; 0: it shares none */
};

/* "0,2"; "" for none. */
enum { GPUS_TEXT_SIZE = 3 * GPUS_MAX + 1 };
void gpus_text(uint64_t indexes, char ret_text[GPUS_TEXT_SIZE]);

/* Whether there is room: four halves may be free and no whole one. */
bool gpus_fit(const struct gpus *g, uint64_t milli);
/* It fits. */
struct gpu_grant gpus_take(struct gpus *g, uint64_t milli);
/* As a task has them already: what of `indexes` is shared is not known, so it is the
 * highest. */
struct gpu_grant gpus_retake(struct gpus *g, uint64_t milli, uint64_t indexes);
void gpus_give(struct gpus *g, const struct gpu_grant *grant);
