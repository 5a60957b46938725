/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "scheduler/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "scheduler/placement_order.h"

static int copy_limits(struct sharing *to, const struct sharing *from)
{
    to->otherwise = from->otherwise;
    to->users = calloc(from->n_users + 1, sizeof(to->users[0]));
    if (!to->users)
        return -ENOMEM;
    for (; to->n_users < from->n_users; to->n_users++) {
        struct user_limits *u = &to->users[to->n_users];

        *u = from->users[to->n_users];
        u->name = strdup(u->name);
        if (!u->name)
            return -ENOMEM;
    }
    return 0;
}

int placement_init(struct placement *p, const struct resources *capacity,
                   char *const *custom_names, uint32_t slots,
                   const struct sharing *sharing)
{
    *p = (struct placement){ .classes = NULL };
    if (bins_init(&p->bins) < 0
        || placement_set_bin(p, 0, capacity, custom_names, slots, 100) < 0
        || (sharing && copy_limits(&p->sharing, sharing) < 0)) {
        placement_release(p);
        return -ENOMEM;
    }
    p->n_own_names = capacity->n_custom;
    return 0;
}

static void class_free(struct class *c)
{
    heap_release(&c->groups);
    free(c);
}

void placement_release(struct placement *p)
{
    struct class *c, *next;

    HASH_ITER (hh, p->classes, c, next) {
        HASH_DELETE(hh, p->classes, c);
        class_free(c);
    }
    for (size_t i = 0; i < RESOURCES_CUSTOM_MAX; i++)
        free(p->names[i]);
    for (size_t i = 0; i < p->sharing.n_users; i++)
        free((char *)p->sharing.users[i].name);
    free(p->sharing.users);
    bins_release(&p->bins);
    *p = (struct placement){ .classes = NULL };
}

uint8_t placement_level(uint32_t run_priority, uint32_t step_priority)
{
    uint32_t run = run_priority < PRIORITY_MAX ? PRIORITY_MAX - run_priority : 0;
    uint32_t step = step_priority < PRIORITY_MAX ? PRIORITY_MAX - step_priority : 0;

    return (uint8_t)((PRIORITY_MAX + 1) * run + step);
}

/* ---- classes ---- */

static struct class *add_class(struct placement *p, const struct demand *demand)
{
    struct class *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->demand = *demand;
    c->placement = p;
    c->doomed_at = TIME_NEVER;
    class_fit(c);
    HASH_ADD(hh, p->classes, demand, sizeof(*demand), c);
    if (!c->hh.tbl) {
        class_free(c);
        return NULL;
    }
    return c;
}

struct class *placement_hold(struct placement *p, const struct demand *demand)
{
    struct class *c;

    HASH_FIND(hh, p->classes, demand, sizeof(*demand), c);
    if (!c)
        c = add_class(p, demand);
    if (c)
        c->n_held++;
    return c;
}

void class_drop(struct class *c, uint32_t n)
{
    c->n_held -= n;
    if (c->n_held)
        return;
    HASH_DELETE(hh, c->placement->classes, c);
    class_free(c);
}

void placement_drop(struct class *c)
{
    class_drop(c, 1);
}

void class_activate(struct class *c)
{
    struct placement *p = c->placement;

    DL_APPEND(p->active, c);
    p->n_unstuck++;
    bins_restore(&p->bins);
}

void class_unstick(struct class *c)
{
    c->placement->n_unstuck += c->is_stuck;
    c->is_stuck = false;
}

void class_deactivate(struct class *c)
{
    struct placement *p = c->placement;

    DL_DELETE(p->active, c);
    p->n_unstuck -= !c->is_stuck;
    c->is_stuck = false;
}

/* ---- which is next ---- */

bool queue_is_doomed(const struct queue *q)
{
    const struct class *c = q->class;

    return c->doomed_at <= c->placement->now
           || demand_lacks(&c->demand, &q->group->user->cap) != DEMAND_ENTRIES;
}

/* Of two that are the first of their classes. */
static bool is_better(const struct queue *a, const struct queue *b)
{
    uint32_t i = 0, j = 0;

    if (!b)
        return true;
    if (a->group->user != b->group->user)
        return share_is_before(&a->group->user->share, &b->group->user->share);
    if (a->listed != b->listed)
        return a->listed < b->listed;
    if (a->run != b->run)
        return share_is_before(a->run, b->run);
    bitmap_first(&a->ready, &i);
    bitmap_first(&b->ready, &j);
    return a->ranks[i] < b->ranks[j];
}

static struct queue *find_best(const struct placement *p, const struct bin *bin)
{
    bool is_fresh = bin && bin->is_fresh;
    struct queue *best = NULL;
    struct class *c;

    DL_FOREACH(p->active, c)
    {
        struct queue *q;

        if (c->is_stuck && !is_fresh)
            continue;
        q = class_first(c);
        if (((bin && bin_fits(bin, &c->demand)) || queue_is_doomed(q))
            && is_better(q, best))
            best = q;
    }
    return best;
}

/* Keys are brought up to now only where they decide. */
static bool renew(const struct placement *p, struct queue *q)
{
    struct user *u = q->group->user;

    if (p->contest.n_waiting > 1 && share_renew(&u->share, p->now)) {
        order_move_user(u);
        return true;
    }
    if (u->runs.n_waiting > 1 && share_renew(q->run, p->now)) {
        order_move_run(q);
        return true;
    }
    return false;
}

static struct queue *pick_for(const struct placement *p, const struct bin *bin)
{
    struct queue *best;

    do
        best = find_best(p, bin);
    while (best && renew(p, best));
    return best;
}

static void stick_all(struct placement *p)
{
    struct class *c;

    DL_FOREACH(p->active, c)
    c->is_stuck = true;
    p->n_unstuck = 0;
}

/* First what was not tried everywhere, where there is the most room; then what is
 * stuck, where there is room since. */
struct queue *placement_pick(struct placement *p, struct bin **ret_bin)
{
    struct queue *q;
    struct bin *bin;

    while (p->n_unstuck) {
        bin = bins_first(&p->bins);
        q = pick_for(p, bin);
        *ret_bin = bin;
        if (q)
            return q;
        if (bin)
            bins_pass(&p->bins, bin);
        else
            stick_all(p);
    }
    while (p->active && (bin = p->bins.fresh)) {
        q = pick_for(p, bin);
        *ret_bin = bin;
        if (q)
            return q;
        bins_settle(&p->bins, bin);
    }
    bins_restore(&p->bins);
    return NULL;
}

static struct claim own(struct queue *q, struct claim claim)
{
    struct class *c = q->class;
    struct placement *p = c->placement;
    struct user *u = q->group->user;

    claim.cost = c->cost;
    demand_add(&u->used, &c->demand);
    u->n_running++;
    p->clock++;
    share_take(&u->share, c->cost, p->clock, p->now);
    share_take(q->run, c->cost, p->clock, p->now);
    order_move_run(q);
    order_move_user(u);
    return claim;
}

struct claim placement_take(struct queue *q, struct bin *bin)
{
    struct class *c = q->class;

    return own(q, bins_take(&c->placement->bins, bin, &c->demand));
}

struct claim placement_retake(struct queue *q, uint64_t gpus)
{
    struct class *c = q->class;

    return own(q, bins_retake(&c->placement->bins, &c->demand, gpus));
}

void placement_disown(struct queue *q, const struct claim *claim)
{
    struct class *c = q->class;
    struct placement *p = c->placement;
    struct user *u = q->group->user;

    demand_subtract(&u->used, &c->demand);
    u->n_running--;
    share_give(&u->share, claim->cost, p->now);
    share_give(q->run, claim->cost, p->now);
    order_move_run(q);
    order_move_user(u);
}

void placement_give(struct queue *q, const struct claim *claim)
{
    bins_give(&q->class->placement->bins, claim, &q->class->demand);
    placement_disown(q, claim);
}
