/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/gpus.h"

#include <assert.h>
#include <stddef.h>

/* GPUS_MAX: none has room. One in use is better than a free one. */
static uint32_t find_shared(const struct gpus *g, uint32_t milli)
{
    uint32_t found = GPUS_MAX;

    for (uint32_t i = 0; i < g->n; i++) {
        if (g->used[i] + milli > GPU_MILLI)
            continue;
        if (g->used[i])
            return i;
        if (found == GPUS_MAX)
            found = i;
    }
    return found;
}

bool gpus_fit(const struct gpus *g, uint64_t milli)
{
    uint64_t whole = milli / GPU_MILLI, n_free = 0;
    uint32_t rest = (uint32_t)(milli % GPU_MILLI), shared = GPUS_MAX;

    for (uint32_t i = 0; i < g->n; i++)
        n_free += g->used[i] == 0;
    if (rest) {
        shared = find_shared(g, rest);
        if (shared == GPUS_MAX)
            return false;
        n_free -= g->used[shared] == 0;
    }
    return whole <= n_free;
}

struct gpu_grant gpus_take(struct gpus *g, uint64_t milli)
{
    struct gpu_grant grant = { .milli = (uint16_t)(milli % GPU_MILLI) };
    uint64_t whole = milli / GPU_MILLI;

    if (grant.milli) {
        grant.shared = (uint8_t)find_shared(g, grant.milli);
        assert(grant.shared < g->n);
        grant.indexes = UINT64_C(1) << grant.shared;
        g->used[grant.shared] = (uint16_t)(g->used[grant.shared] + grant.milli);
    }
    for (uint32_t i = 0; i < g->n && whole; i++) {
        if (g->used[i])
            continue;
        g->used[i] = GPU_MILLI;
        grant.indexes |= UINT64_C(1) << i;
        whole--;
    }
    assert(!whole);
    return grant;
}

struct gpu_grant gpus_retake(struct gpus *g, uint64_t milli, uint64_t indexes)
{
    struct gpu_grant grant = { .milli = (uint16_t)(milli % GPU_MILLI) };

    for (uint32_t i = 0; i < g->n; i++)
        if (indexes >> i & 1) {
            grant.indexes |= UINT64_C(1) << i;
            grant.shared = (uint8_t)i;
        }
    for (uint32_t i = 0; i < g->n; i++)
        if (grant.indexes >> i & 1)
            g->used[i] = (uint16_t)(g->used[i]
                                    + (grant.milli && i == grant.shared ? grant.milli
                                                                        : GPU_MILLI));
    return grant;
}

void gpus_give(struct gpus *g, const struct gpu_grant *grant)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (grant->indexes >> i & 1)
            g->used[i] = (uint16_t)(g->used[i]
                                    - (grant->milli && i == grant->shared ? grant->milli
                                                                          : GPU_MILLI));
}

void gpus_text(uint64_t indexes, char ret_text[GPUS_TEXT_SIZE])
{
    size_t at = 0;

    for (uint32_t i = 0; i < GPUS_MAX; i++) {
        if (!(indexes >> i & 1))
            continue;
        if (at)
            ret_text[at++] = ',';
        if (i >= 10)
            ret_text[at++] = (char)('0' + i / 10);
        ret_text[at++] = (char)('0' + i % 10);
    }
    ret_text[at] = '\0';
}
