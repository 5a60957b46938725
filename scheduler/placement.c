/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "scheduler/placement.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "scheduler/placement_order.h"

enum { CPU_DEFAULT_MILLI = 1000 };

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

static int copy_names(struct placement *p, const struct resources *capacity,
                      char *const *custom_names)
{
    for (uint32_t i = 0; i < capacity->n_custom; i++) {
        p->capacity.amount[DEMAND_CUSTOM + i] = capacity->custom[i].milli;
        p->names[i] = strdup(custom_names[capacity->custom[i].name]);
        if (!p->names[i])
            return -ENOMEM;
    }
    return 0;
}

int placement_init(struct placement *p, const struct resources *capacity,
                   char *const *custom_names, const struct sharing *sharing)
{
    struct demand *c = &p->capacity;

    *p = (struct placement){ .classes = NULL };
    p->gpus.n = (uint32_t)min_size(capacity->gpu_milli / GPU_MILLI, GPUS_MAX);
    c->amount[DEMAND_CPU] = capacity->cpu_milli;
    c->amount[DEMAND_MEMORY] = capacity->memory_bytes;
    c->amount[DEMAND_DISK] = capacity->disk_bytes;
    c->amount[DEMAND_GPU] = (uint64_t)p->gpus.n * GPU_MILLI;
    if (copy_names(p, capacity, custom_names) < 0
        || (sharing && copy_limits(&p->sharing, sharing) < 0)) {
        placement_release(p);
        return -ENOMEM;
    }
    p->free = p->capacity;
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
    *p = (struct placement){ .classes = NULL };
}

/* ---- demands ---- */

static void add_custom(const struct placement *p, const char *name, uint64_t milli,
                       struct demand *d)
{
    for (uint32_t i = 0; i < RESOURCES_CUSTOM_MAX && p->names[i]; i++) {
        if (strcmp(p->names[i], name) != 0)
            continue;
        d->amount[DEMAND_CUSTOM + i] += milli;
        return;
    }
    d->unknown = d->unknown || milli;
}

struct demand placement_demand(const struct placement *p, const struct flow *f,
                               const struct resources *r)
{
    struct demand d = { .unknown = 0 };

    d.amount[DEMAND_CPU] = r->cpu_milli ? r->cpu_milli : CPU_DEFAULT_MILLI;
    d.amount[DEMAND_MEMORY] = r->memory_bytes;
    d.amount[DEMAND_DISK] = r->disk_bytes;
    d.amount[DEMAND_GPU] = r->gpu_milli;
    for (uint32_t i = 0; i < r->n_custom; i++)
        add_custom(p, f->custom_names[r->custom[i].name], r->custom[i].milli, &d);
    return d;
}

uint32_t demand_lacks(const struct demand *demand, const struct demand *of)
{
    uint32_t i = 0;

    while (i < DEMAND_ENTRIES && demand->amount[i] <= of->amount[i])
        i++;
    return i;
}

bool placement_fits(const struct placement *p, const struct class *c)
{
    return demand_lacks(&c->demand, &p->free) == DEMAND_ENTRIES
           && gpus_fit(&p->gpus, c->demand.amount[DEMAND_GPU]);
}

/* The largest of its parts of what the node has. */
static uint64_t cost_of(const struct placement *p, const struct demand *d)
{
    double cost = 1;

    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        if (d->amount[i])
            cost = fmax(cost, (double)d->amount[i] * SHARE_NODE
                                  / (double)p->capacity.amount[i]);
    return (uint64_t)cost;
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
    c->fits_ever =
        !demand->unknown && demand_lacks(demand, &p->capacity) == DEMAND_ENTRIES;
    c->cost = c->fits_ever ? cost_of(p, demand) : 1;
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

/* ---- which is next ---- */

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

static struct queue *find_best(const struct placement *p)
{
    struct queue *best = NULL;
    struct class *c;

    DL_FOREACH(p->active, c)
    {
        struct queue *q = class_first(c);

        if ((placement_fits(p, c) || !queue_fits_ever(q)) && is_better(q, best))
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

struct queue *placement_pick(struct placement *p)
{
    struct queue *best;

    do
        best = find_best(p);
    while (best && renew(p, best));
    return best;
}

static void add(struct demand *to, const struct demand *d)
{
    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        to->amount[i] += d->amount[i];
}

static void subtract(struct demand *from, const struct demand *d)
{
    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        from->amount[i] -= d->amount[i];
}

struct gpu_grant placement_take(struct queue *q)
{
    struct class *c = q->class;
    struct placement *p = c->placement;
    struct user *u = q->group->user;

    subtract(&p->free, &c->demand);
    add(&u->used, &c->demand);
    u->n_running++;
    p->clock++;
    share_take(&u->share, c->cost, p->clock, p->now);
    share_take(q->run, c->cost, p->clock, p->now);
    order_move_run(q);
    order_move_user(u);
    return gpus_take(&p->gpus, c->demand.amount[DEMAND_GPU]);
}

void placement_give(struct queue *q, const struct gpu_grant *grant)
{
    struct class *c = q->class;
    struct placement *p = c->placement;
    struct user *u = q->group->user;

    add(&p->free, &c->demand);
    subtract(&u->used, &c->demand);
    u->n_running--;
    gpus_give(&p->gpus, grant);
    share_give(&u->share, c->cost, p->now);
    share_give(q->run, c->cost, p->now);
    order_move_run(q);
    order_move_user(u);
}
