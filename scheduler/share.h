/* SPDX-License-Identifier: Apache-2.0 */
/* share - how much of a node each of several contestants has had, by weight.
 *
 * Start-time fair queueing [P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996]: whoever waits
 * and has had least is next, where what one has had is counted in time and divided by
 * its weight. It was chosen because it needs to know of no task beforehand how long it
 * takes, keeps nothing idle, and bounds how far two contestants come apart by their
 * longest tasks. Twice on top of each other, users and then the runs of a user, it is
 * still fair [the same, "A Hierarchical CPU Scheduler", OSDI 1996].
 *
 * What a task takes of a node is the largest of its parts of what the node has: half of
 * the memory counts as half of the node, however little cpu comes with it [A. Ghodsi et
 * al., "Dominant Resource Fairness", NSDI 2011].
 *
 *     service   what it has had:  sum of cost * time / weight
 *     key       service + LEAD * cost of what runs / weight; the least is next
 *
 * LEAD is what a task is taken to last at first. Without it a contestant would get all
 * of many free slots at once, since its service only grows as time goes by.
 *
 * Nobody saves up: whoever begins to wait is put to where the contest is, which is the
 * service of whoever was served last, and moves on with what runs. Nor does anybody pay
 * for what it had while nobody else wanted it, since the contest went along. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

enum {
    SHARE_NODE = 1000000, /* the cost of what fills a node */
    SHARE_WEIGHT_MAX = 1000,
};

/* Those that are served from one thing: all users of a node, all runs of a user. */
struct contest {
    uint64_t virtual; /* where the contest is; like all service it wraps */
    time_us at;       /* since when */
    uint64_t rate;    /* sums over those that wait or run */
    uint64_t weight;
    uint32_t n_waiting;
};

struct share {
    struct contest *contest;
    uint32_t weight;
    uint32_t n_waiting; /* reasons to be in the order */
    uint64_t service;   /* up to `at` */
    time_us at;
    uint64_t rate; /* the cost of what runs */
    uint64_t key;  /* as it is in the order; grows with time, see share_renew() */
    uint64_t served, age; /* among equal keys: served longest ago, then the older */
};

/* A weight of 0 counts as 1. */
void share_init(struct share *s, struct contest *contest, uint32_t weight,
                uint64_t age);

/* It has a task that waits, for one reason more or less. The first one sets the key, so
 * it comes before the share is put into an order. */
void share_wait(struct share *s, time_us now);
void share_unwait(struct share *s, time_us now);

/* A task starts or ends; the key is another one then. */
void share_take(struct share *s, uint64_t cost, uint64_t served, time_us now);
void share_give(struct share *s, uint64_t cost, time_us now);
/* Bring the key up to now: it can only have grown. True if it has. An order by keys of
 * the past is enough to find the first: whoever is first and was not renewed is behind
 * where it seems to be, all others are too. */
bool share_renew(struct share *s, time_us now);

static inline bool share_is_before(const struct share *a, const struct share *b)
{
    if (a->key != b->key)
        return (int64_t)(a->key - b->key) < 0;
    return a->served != b->served ? a->served < b->served : a->age < b->age;
}
