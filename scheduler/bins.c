/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/bins.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

static struct bin *bin_of(const struct heap_item *item)
{
    return CONTAINER_OF(item, struct bin, item);
}

static uint64_t content_of(const struct bin *b)
{
    uint64_t n = (uint64_t)b->n_taken + b->n_coming;

    return !b->number && 2 * n < b->size ? 0 : n;
}

static bool is_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct bin *x = bin_of(a), *y = bin_of(b);
    uint64_t of_x = content_of(x) * y->size, of_y = content_of(y) * x->size;

    return of_x != of_y ? of_x < of_y : x->number < y->number;
}

/* After anything that its place depends on changed. */
static void sync(struct bins *b, struct bin *bin)
{
    bool is_open = bin->n_taken < bin->slots && !bin->is_passed;

    if (is_open && bin->item.place)
        heap_move(&b->open, &bin->item, is_before);
    else if (is_open)
        heap_add(&b->open, &bin->item, is_before);
    else if (bin->item.place)
        heap_remove(&b->open, &bin->item, is_before);
    if (!is_open)
        bins_settle(b, bin);
}

static void refresh(struct bins *b, struct bin *bin)
{
    sync(b, bin);
    if (bin->is_fresh || !bin->item.place)
        return;
    bin->is_fresh = true;
    DL_APPEND(b->fresh, bin);
}

void bins_settle(struct bins *b, struct bin *bin)
{
    if (!bin->is_fresh)
        return;
    bin->is_fresh = false;
    DL_DELETE(b->fresh, bin);
}

/* ---- all of them ---- */

int bins_init(struct bins *b)
{
    *b = (struct bins){ .all = NULL };
    return bins_make(b, 0) ? 0 : -ENOMEM;
}

void bins_release(struct bins *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        free(b->all[i]);
    free(b->all);
    heap_release(&b->open);
    *b = (struct bins){ .all = NULL };
}

static int grow(struct bins *b, uint32_t n)
{
    uint32_t cap = b->n ? b->n : 1;
    struct bin **all;

    while (cap < n)
        cap *= 2;
    if (heap_reserve(&b->open, cap) < 0)
        return -ENOMEM;
    all = realloc(b->all, cap * sizeof(all[0]));
    if (!all)
        return -ENOMEM;
    b->all = all;
    while (b->n < cap)
        b->all[b->n++] = NULL;
    return 0;
}

struct bin *bins_make(struct bins *b, uint32_t number)
{
    struct bin *bin = bins_at(b, number);

    if (bin)
        return bin;
    if (number >= b->n && grow(b, number + 1) < 0)
        return NULL;
    bin = calloc(1, sizeof(*bin));
    if (!bin)
        return NULL;
    bin->number = number;
    bin->size = 1;
    bin->capacity.n = bin->room.n = bin->used.n = DEMAND_ENTRIES;
    b->all[number] = bin;
    return bin;
}

/* ---- one ---- */

static uint64_t overbooked(uint64_t amount, uint32_t percent)
{
    return amount / 100 * percent + amount % 100 * percent / 100;
}

void bins_set(struct bins *b, struct bin *bin, const struct demand *capacity,
              uint32_t slots, uint32_t ahead_percent)
{
    uint32_t percent = ahead_percent > 100 ? ahead_percent : 100;

    percent = percent < AHEAD_PERCENT_MAX ? percent : AHEAD_PERCENT_MAX;
    bin->capacity = *capacity;
    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        bin->room.amount[i] = overbooked(capacity->amount[i], percent);
    bin->slots = slots;
    bin->size = (uint32_t)((uint64_t)slots * 100 / percent);
    bin->size = bin->size ? bin->size : 1;
    if (bin->is_passed)
        bins_restore(b);
    refresh(b, bin);
}

static bool has_room(const struct bin *bin, const struct demand *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->amount[i]
            && (bin->used.amount[i] > bin->room.amount[i]
                || d->amount[i] > bin->room.amount[i] - bin->used.amount[i]))
            return false;
    return true;
}

bool bin_fits(const struct bin *bin, const struct demand *d)
{
    if (!has_room(bin, d) || demand_is_refused(d, bin->number))
        return false;
    return bin->number ? bin_fits_ever(bin, d)
                       : gpus_fit(&bin->gpus, d->amount[DEMAND_GPU]);
}

bool bin_fits_ever(const struct bin *bin, const struct demand *d)
{
    return !d->unknown && !demand_is_refused(d, bin->number)
           && demand_lacks(d, &bin->capacity) == DEMAND_ENTRIES;
}

bool bin_is_overbooked(const struct bin *bin)
{
    return bin->n_taken > bin->size
           || demand_lacks(&bin->used, &bin->capacity) != DEMAND_ENTRIES;
}

struct claim bins_take(struct bins *b, struct bin *bin, const struct demand *d)
{
    struct claim claim = { .bin = bin };

    demand_add(&bin->used, d);
    bin->n_taken++;
    if (!bin->number)
        claim.gpus = gpus_take(&bin->gpus, d->amount[DEMAND_GPU]);
    sync(b, bin);
    return claim;
}

struct claim bins_retake(struct bins *b, const struct demand *d, uint64_t gpus)
{
    struct claim claim = { .bin = bins_at(b, 0) };

    demand_add(&claim.bin->used, d);
    claim.bin->n_taken++;
    claim.gpus = gpus_retake(&claim.bin->gpus, d->amount[DEMAND_GPU], gpus);
    sync(b, claim.bin);
    return claim;
}

void bins_give(struct bins *b, const struct claim *claim, const struct demand *d)
{
    struct bin *bin = claim->bin;

    demand_subtract(&bin->used, d);
    bin->n_taken--;
    if (!bin->number)
        gpus_give(&bin->gpus, &claim->gpus);
    if (bin->is_passed)
        bins_restore(b);
    refresh(b, bin);
}

void bins_expect(struct bins *b, struct bin *bin, int n)
{
    bin->n_coming = (uint32_t)((int64_t)bin->n_coming + n);
    sync(b, bin);
}

/* ---- which is next ---- */

struct bin *bins_first(const struct bins *b)
{
    struct heap_item *first = heap_first(&b->open);

    return first ? bin_of(first) : NULL;
}

void bins_pass(struct bins *b, struct bin *bin)
{
    bin->is_passed = true;
    bin->next_passed = b->passed;
    b->passed = bin;
    sync(b, bin);
}

void bins_restore(struct bins *b)
{
    struct bin *bin;

    while ((bin = b->passed)) {
        b->passed = bin->next_passed;
        bin->is_passed = false;
        sync(b, bin);
    }
}
