/* SPDX-License-Identifier: Apache-2.0 */
/* bins - where tasks can go: this node, and what workers would take.
 *
 * Bin 0 is this node. Others are made as workers are told of, by the number that the
 * caller gave them. A worker's bin is overbooked: it may hold `ahead_percent` of what
 * the worker can run at once, so that a task waits there when another one ends. But no
 * task goes where it could never run.
 *
 *     load = what it has / what it can run at once
 *
 * The open bin of the least load is next, so work is even, in what runs and then in
 * what waits. This node counts as empty until it is half full: what it starts itself
 * starts without a message.
 *
 *     open ----- has as much as it takes, or takes none -----> closed
 *     open ----- nothing that is ready fits ----> passed ----- bins_restore() --> open
 *     any ------ something ended there, or it takes more ----> open and fresh
 *
 * A fresh bin is one that may take what was found to fit nowhere. */
#pragma once

#include "scheduler/demand.h"
#include "scheduler/gpus.h"
#include "scheduler/heap.h"

enum { AHEAD_PERCENT_MAX = 10000 };

struct bin {
    uint32_t number;
    uint32_t slots; /* tasks that it takes, at once */
    uint32_t size;  /* as many of them run at once; at least 1 */
    uint32_t n_taken;
    uint32_t n_coming; /* on their way here: they were asked back from another bin */
    struct demand capacity;
    struct demand room; /* that, overbooked */
    struct demand used;
    struct gpus gpus; /* of this node; a worker gives out its own */
    bool is_passed, is_fresh;
    struct heap_item item;   /* in `open` */
    struct bin *prev, *next; /* among the fresh */
    struct bin *next_passed;
};

/* What a task holds of a bin. */
struct claim {
    struct bin *bin;
    uint64_t cost; /* as share.h counts; it may change for those that come later */
    struct gpu_grant gpus;
};

struct bins {
    struct bin **all; /* by number; NULL: never told of */
    uint32_t n;
    struct heap open;
    struct bin *fresh; /* list; all are open */
    struct bin *passed;
};

/* With bin 0, which takes nothing yet. -ENOMEM, then it is to be released. */
int bins_init(struct bins *b);
void bins_release(struct bins *b);

/* NULL if it was never told of. */
static inline struct bin *bins_at(const struct bins *b, uint32_t number)
{
    return number < b->n ? b->all[number] : NULL;
}

/* Made if needed, then it has and takes nothing. NULL without memory. */
struct bin *bins_make(struct bins *b, uint32_t number);

/* What the bin has, and how many tasks it takes. */
void bins_set(struct bins *b, struct bin *bin, const struct demand *capacity,
              uint32_t slots, uint32_t ahead_percent);

/* Whether the demand fits into what is free now; into all there is. */
bool bin_fits(const struct bin *bin, const struct demand *d);
bool bin_fits_ever(const struct bin *bin, const struct demand *d);
/* Whether it has more than it can run at once. */
bool bin_is_overbooked(const struct bin *bin);

/* A task goes there, or leaves. It may be more than fits: what a worker has already,
 * it has. */
struct claim bins_take(struct bins *b, struct bin *bin, const struct demand *d);
/* As it has run in bin 0 all along, with these GPUs. */
struct claim bins_retake(struct bins *b, const struct demand *d, uint64_t gpus);
void bins_give(struct bins *b, const struct claim *claim, const struct demand *d);

/* A task is on its way there, or not any more. */
void bins_expect(struct bins *b, struct bin *bin, int n);

/* The open bin that is next; NULL if there is none. */
struct bin *bins_first(const struct bins *b);
/* Nothing that is ready fits there. */
void bins_pass(struct bins *b, struct bin *bin);
/* Nothing fits a fresh one: it is open, as others. */
void bins_settle(struct bins *b, struct bin *bin);
/* All that were passed are open again. */
void bins_restore(struct bins *b);
