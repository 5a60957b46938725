/* SPDX-License-Identifier: Apache-2.0 */
/* placement - which ready task is next, and where it goes, given what is free.
 *
 * Steps with equal demands are a class. A queue holds the steps of one run and one
 * class that have ready tasks, best first; a group holds the queues of one user and one
 * class; a class has the groups in which somebody waits. Both are in order, so the next
 * task is found by a look at the head of each class:
 *
 *     class {cpu 1}          group of ann: queue of run 7, queue of run 9    group of
 * ben: ... class {cpu 1, gpu 1}   group of ann: queue of run 7   ...
 *
 * Order: the user who has had least for its weight (share.h); of that user's runs the
 * one of the higher priority, whose step has the higher priority, which together are a
 * level, 0 the best; then the run that has had least for its weight; then the better
 * rank within the run. So a priority puts a user's own work in order and gets nobody
 * ahead of others. A task that does not fit now is passed over: smaller ones go on.
 *
 * A user who is at a cap waits for nothing: its groups are out of the order until one
 * of its tasks ends. Caps count what a user has everywhere.
 *
 * The bin comes first (bins.h), then the best task that fits it. A class that was found
 * to fit no open bin is stuck: it is not tried again, but in a bin where something
 * ended. So a step looks at few bins, however many there are.
 *
 * A task that fits no bin at all fails; where others are known, or were lately, only
 * when its class has waited UNFIT_WAIT for a bin that it fits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/time.h"
#include "flow/flow.h"
#include "scheduler/bins.h"
#include "scheduler/bitmap.h"
#include "scheduler/heap.h"
#include "scheduler/share.h"
#include "scheduler/sharing.h"

enum {
    PRIORITY_MAX = 9,
    LEVELS = (PRIORITY_MAX + 1) * (PRIORITY_MAX + 1),
};

#define UNFIT_WAIT TIME_S(300)

struct placement;
struct group;

struct class
{
    struct demand demand; /* the key */
    struct placement *placement;
    bool fits_ever;        /* some bin */
    bool is_stuck;         /* it fits no open bin that is not fresh */
    time_us doomed_at;     /* unless fits_ever: its tasks fail from then on */
    uint64_t cost;         /* of a task, as share.h counts */
    uint32_t n_held;       /* steps of runs that are in it */
    struct heap groups;    /* in which somebody waits */
    uint32_t n_groups;     /* all that there are */
    struct queue *planned; /* of the run whose queues are being made */
    uint32_t n_planned;
    struct class *prev, *next; /* of the classes with groups in their heap */
    UT_hash_handle hh;
};

struct user {
    char *name; /* the key */
    struct user_limits limits;
    struct share share;  /* among the users */
    struct contest runs; /* among its runs */
    struct demand used, cap;
    uint32_t n_running, n_runs;
    struct group *groups;     /* hash by class */
    struct user *prev, *next; /* by age */
    UT_hash_handle hh;
};

struct group {
    struct class *class; /* the key */
    struct user *user;
    struct heap_item item; /* in the class's heap */
    struct heap queues;    /* of runs that wait */
    uint32_t n_queues;     /* all that there are */
    UT_hash_handle hh;
};

struct queue {
    struct class *class;
    struct group *group;
    struct share *run;   /* of the run, among its user's */
    struct bitmap ready; /* positions that may start a task */
    uint32_t *steps;     /* by position */
    uint32_t *ranks;     /* ascending */
    uint8_t *levels;
    uint32_t n, n_filled;
    bool is_open;              /* the run may start tasks */
    int listed;                /* the level it is listed under, or -1 */
    struct heap_item item;     /* in the group's heap */
    struct queue *next_of_run; /* a ring of all queues of the run */
};

struct placement {
    struct bins bins;
    struct demand largest;             /* of each thing, the most that a bin has had */
    char *names[RESOURCES_CUSTOM_MAX]; /* of the custom entries; NULL: no such */
    uint32_t n_own_names;              /* of bin 0: the first ones, they stay */
    struct sharing sharing;
    struct class *classes;  /* hash by demand */
    struct class *active;   /* list */
    struct user *users;     /* hash by name */
    struct user *oldest;    /* list by age */
    struct contest contest; /* of the users */
    uint64_t clock, n_runs;
    uint32_t n_unstuck; /* active classes that are not stuck */
    bool has_others;
    time_us hope_until; /* for a while after others were known */
    time_us now;
};

/* Bin 0 has the capacity and takes so many tasks at once. Names and limits are copied;
 * sharing may be NULL. -ENOMEM. */
int placement_init(struct placement *p, const struct resources *capacity,
                   char *const *custom_names, uint32_t slots,
                   const struct sharing *sharing);
void placement_release(struct placement *p);

/* What the bin has, and how many tasks it takes at once, beyond what it can run by
 * ahead_percent. NULL: it has nothing any more. -ENOMEM. */
int placement_set_bin(struct placement *p, uint32_t number,
                      const struct resources *capacity, char *const *custom_names,
                      uint32_t slots, uint32_t ahead_percent);
/* Whether tasks that fit none may hope for others. */
void placement_set_others(struct placement *p, bool has_others);

/* A step's demand: cpu is 1 when it is not asked, all else 0. -ENOMEM. */
int placement_demand(struct placement *p, const struct flow *f,
                     const struct resources *r, struct demand *ret);

/* Priorities above PRIORITY_MAX count as that. */
uint8_t placement_level(uint32_t run_priority, uint32_t step_priority);

/* The class of this demand, made if needed, and held once more. NULL without memory. */
struct class *placement_hold(struct placement *p, const struct demand *demand);
/* Once less. */
void placement_drop(struct class *c);

/* The user of this name, made if needed, with one run more. NULL without memory. */
struct user *placement_enter(struct placement *p, const char *name);
/* One run less; the queues of it were released. NULL is fine. */
void placement_leave(struct placement *p, struct user *u);
/* A run among its user's. */
void placement_run_init(struct placement *p, struct user *u, uint32_t weight,
                        struct share *run);

/* For n steps, each of which holds the class; the caller fills the arrays. -ENOMEM, and
 * it is to be released nevertheless. */
int queue_init(struct queue *q, struct class *class, struct user *u, struct share *run,
               uint32_t n);
void queue_release(struct queue *q);
/* After a change of q->ready or q->is_open. */
void queue_sync(struct queue *q);

/* The step in the first ready position, of which there is one. */
static inline uint32_t queue_first(const struct queue *q)
{
    uint32_t position = 0;

    bitmap_first(&q->ready, &position);
    return q->steps[position];
}

/* The queue whose first ready position is next, and the bin where its task goes; NULL
 * if nothing that is ready fits. One whose tasks must fail is picked too, maybe without
 * a bin. */
struct queue *placement_pick(struct placement *p, struct bin **ret_bin);
/* Whether its tasks must fail, by what there is and what the user may. */
bool queue_is_doomed(const struct queue *q);
/* When tasks that wait for a bin which they fit are to fail; TIME_NEVER. */
time_us placement_deadline(const struct placement *p);
/* That time has come. */
void placement_on_tick(struct placement *p);

/* A task of the queue goes to the bin, or ended there. */
struct claim placement_take(struct queue *q, struct bin *bin);
/* One that has run here all along, with these GPUs. */
struct claim placement_retake(struct queue *q, uint64_t gpus);
void placement_give(struct queue *q, const struct claim *claim);
/* What it holds there is nobody's of the queue any more: the user's and run's part of
 * giving it back. The rest is bins_give(), with the demand of the class. */
void placement_disown(struct queue *q, const struct claim *claim);

/* Whether a task of this class must wait for the user's tasks that run. */
bool user_is_capped(const struct user *u, const struct class *c);
/* The first entry of the class's demand that the user's caps leave no room for now;
 * DEMAND_ENTRIES if they leave it. */
uint32_t user_lacks(const struct user *u, const struct class *c);
