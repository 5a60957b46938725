/* SPDX-License-Identifier: Apache-2.0 */
/* The quota is full: what no run names goes, before a task fails for want of room. */
#include "node/maintenance.h"
#include "node/runtime_internal.h"

/* Looking in vain reads all records: not for each task that finds no room. */
enum { VAIN_US = 10 * 1000000 };

static bool evict(struct runtime *rt, uint64_t target)
{
    struct maintenance m = { .writer = rt->writer,
                             .blobs = rt->blobs,
                             .is_stopping = &rt->is_closing };
    uint64_t freed = 0;

    return evict_store(&m, target, &freed) == 0 && freed > 0;
}

/* Any thread; the others wait for the first, and find that there is room. */
static bool make_room(void *arg, uint64_t bytes)
{
    struct runtime *rt = arg;
    uint64_t enough = rt->config.quota_bytes - bytes;
    uint64_t usual = rt->config.quota_bytes / 100 * BLOBS_EVICT_PERCENT;
    uint64_t target = usual < enough ? usual : enough;
    time_us now = runtime_now(rt);
    struct blobs_usage usage;
    bool has_room;

    pthread_mutex_lock(&rt->room.lock);
    has_room = blobs_usage(rt->blobs, &usage) == 0 && usage.bytes <= target;
    if (!has_room && (!rt->room.vain_until || now >= rt->room.vain_until)) {
        has_room = evict(rt, target);
        rt->room.vain_until = has_room ? 0 : now + VAIN_US;
    }
    pthread_mutex_unlock(&rt->room.lock);
    return has_room;
}

void runtime_room_open(struct runtime *rt)
{
    pthread_mutex_init(&rt->room.lock, NULL);
    blobs_on_full(rt->blobs, make_room, rt);
}

void runtime_room_changed(struct runtime *rt)
{
    pthread_mutex_lock(&rt->room.lock);
    rt->room.vain_until = 0;
    pthread_mutex_unlock(&rt->room.lock);
}
