/* SPDX-License-Identifier: Apache-2.0 */
/* placement - which ready task is next, given what is free.
 *
 * Steps with equal demands are a class. A queue holds the steps of one run and one
 * class that have ready tasks, best first; a class lists its queues by the priority of
 * their best step. So the next task is found by a look at each class that has some:
 *
 *     class {cpu 1}         level 55: queue of run 7, queue of run 9   level 59: ...
 *     class {cpu 1, gpu 1}  level 50: queue of run 7   ...
 *
 * Order: the higher priority of the run, then of the step, which together are a level,
 * 0 the best; then the run served longest ago; then the better rank within the run. A
 * task that does not fit now is passed over: smaller ones go on. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "flow/flow.h"
#include "scheduler/bitmap.h"

enum {
    DEMAND_CPU,
    DEMAND_MEMORY,
    DEMAND_DISK,
    DEMAND_GPU,
    DEMAND_CUSTOM,
    DEMAND_ENTRIES = DEMAND_CUSTOM + RESOURCES_CUSTOM_MAX,
    PRIORITY_MAX = 9,
    LEVELS = (PRIORITY_MAX + 1) * (PRIORITY_MAX + 1),
};

struct demand {
    uint64_t amount[DEMAND_ENTRIES];
    uint64_t unknown; /* 1: asks for a resource that this node has none of */
};

struct queue;

struct class
{
    struct demand demand; /* the key */
    bool fits_ever;
    uint32_t n_held;       /* steps of runs that are in it */
    struct queue *planned; /* of the run whose queues are being made */
    uint32_t n_planned;
    struct bitmap listed; /* levels whose list is not empty */
    uint32_t n_listed;
    struct class **active; /* placement's list of the classes that have queues listed */
    struct class *prev, *next;
    struct queue *lists[LEVELS];
    UT_hash_handle hh;
};

/* One for each run. */
struct turn {
    uint64_t served; /* when the run was last given a task, by placement's count */
    uint64_t age;    /* order of submission; breaks ties */
};

struct queue {
    struct class *class;
    struct turn *turn;
    struct bitmap ready; /* positions that may start a task */
    uint32_t *steps;     /* by position */
    uint32_t *ranks;     /* ascending */
    uint8_t *levels;
    uint32_t n, n_filled;
    bool is_open; /* the run may start tasks */
    int listed;   /* the level it is listed under, or -1 */
    struct queue *prev, *next;
};

struct placement {
    struct demand capacity, free;
    char *names[RESOURCES_CUSTOM_MAX]; /* of the custom entries; NULL: no such */
    struct class *classes;             /* hash by demand */
    struct class *active;              /* list */
    uint64_t clock, n_runs;
};

/* Names are copied. -ENOMEM. */
int placement_init(struct placement *p, const struct resources *capacity,
                   char *const *custom_names);
void placement_release(struct placement *p);

/* A step's demand on this node: cpu is 1 when it is not asked, all else 0. */
struct demand placement_demand(const struct placement *p, const struct flow *f,
                               const struct resources *r);

/* Priorities above PRIORITY_MAX count as that. */
uint8_t placement_level(uint32_t run_priority, uint32_t step_priority);

/* The class of this demand, made if needed, and held once more. NULL without memory. */
struct class *placement_hold(struct placement *p, const struct demand *demand);

void placement_turn_init(struct placement *p, struct turn *turn);

/* For n steps, each of which holds the class; the caller fills the arrays. -ENOMEM, and
 * it is to be released nevertheless. */
int queue_init(struct queue *q, struct class *class, struct turn *turn, uint32_t n);
void queue_release(struct placement *p, struct queue *q);
/* After a change of q->ready or q->is_open. */
void queue_sync(struct queue *q);

/* The step in the first ready position, of which there is one. */
static inline uint32_t queue_first(const struct queue *q)
{
    uint32_t position = 0;

    bitmap_first(&q->ready, &position);
    return q->steps[position];
}

/* The queue whose first ready position is next; NULL if nothing that is ready fits. The
 * run's turn is over. A class that never fits is picked too: its tasks must fail. */
struct queue *placement_pick(struct placement *p);

void placement_take(struct placement *p, const struct class *class);
void placement_give(struct placement *p, const struct class *class);

/* The first entry of the demand that `of` lacks; DEMAND_ENTRIES if it fits. */
uint32_t demand_lacks(const struct demand *demand, const struct demand *of);
