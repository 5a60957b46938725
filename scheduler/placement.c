/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "scheduler/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { CPU_DEFAULT_MILLI = 1000 };

int placement_init(struct placement *p, const struct resources *capacity,
                   char *const *custom_names)
{
    struct demand *c = &p->capacity;

    *p = (struct placement){ .classes = NULL };
    c->amount[DEMAND_CPU] = capacity->cpu_milli;
    c->amount[DEMAND_MEMORY] = capacity->memory_bytes;
    c->amount[DEMAND_DISK] = capacity->disk_bytes;
    c->amount[DEMAND_GPU] = capacity->gpu_milli;
    for (uint32_t i = 0; i < capacity->n_custom; i++) {
        c->amount[DEMAND_CUSTOM + i] = capacity->custom[i].milli;
        p->names[i] = strdup(custom_names[capacity->custom[i].name]);
        if (!p->names[i]) {
            placement_release(p);
            return -ENOMEM;
        }
    }
    p->free = p->capacity;
    return 0;
}

static void class_free(struct class *c)
{
    bitmap_release(&c->listed);
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
    *p = (struct placement){ .classes = NULL };
}

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

uint8_t placement_level(uint32_t run_priority, uint32_t step_priority)
{
    uint32_t run = run_priority < PRIORITY_MAX ? PRIORITY_MAX - run_priority : 0;
    uint32_t step = step_priority < PRIORITY_MAX ? PRIORITY_MAX - step_priority : 0;

    return (uint8_t)((PRIORITY_MAX + 1) * run + step);
}

static struct class *add_class(struct placement *p, const struct demand *demand)
{
    struct class *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->demand = *demand;
    c->active = &p->active;
    c->fits_ever =
        !demand->unknown && demand_lacks(demand, &p->capacity) == DEMAND_ENTRIES;
    if (bitmap_init(&c->listed, LEVELS) < 0) {
        free(c);
        return NULL;
    }
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

void placement_turn_init(struct placement *p, struct turn *turn)
{
    /* A new run does not get ahead of those that wait for their turn. */
    *turn = (struct turn){ .served = p->clock, .age = p->n_runs++ };
}

int queue_init(struct queue *q, struct class *class, struct turn *turn, uint32_t n)
{
    *q = (struct queue){ .class = class, .turn = turn, .n = n, .listed = -1 };
    q->steps = calloc(n, sizeof(q->steps[0]));
    q->ranks = calloc(n, sizeof(q->ranks[0]));
    q->levels = calloc(n, sizeof(q->levels[0]));
    if (!q->steps || !q->ranks || !q->levels)
        return -ENOMEM;
    return bitmap_init(&q->ready, n);
}

static void unlist(struct queue *q)
{
    struct class *c = q->class;

    if (q->listed < 0)
        return;
    DL_DELETE(c->lists[q->listed], q);
    if (!c->lists[q->listed])
        bitmap_clear(&c->listed, (uint32_t)q->listed);
    q->listed = -1;
    if (--c->n_listed == 0)
        DL_DELETE(*c->active, c);
}

static void list(struct queue *q, int level)
{
    struct class *c = q->class;

    DL_APPEND(c->lists[level], q);
    bitmap_set(&c->listed, (uint32_t)level);
    q->listed = level;
    if (c->n_listed++ == 0)
        DL_APPEND(*c->active, c);
}

void queue_release(struct placement *p, struct queue *q)
{
    if (!q->class)
        return;
    unlist(q);
    q->class->n_held -= q->n;
    if (!q->class->n_held) {
        HASH_DELETE(hh, p->classes, q->class);
        class_free(q->class);
    }
    bitmap_release(&q->ready);
    free(q->steps);
    free(q->ranks);
    free(q->levels);
    *q = (struct queue){ .listed = -1 };
}

void queue_sync(struct queue *q)
{
    uint32_t first;
    int level = -1;

    if (q->is_open && bitmap_first(&q->ready, &first))
        level = q->levels[first];
    if (level == q->listed)
        return;
    unlist(q);
    if (level >= 0)
        list(q, level);
}

static bool is_better(const struct queue *a, const struct queue *b)
{
    uint32_t i = 0, j = 0;

    if (!b || a->listed != b->listed)
        return !b || a->listed < b->listed;
    if (a->turn->served != b->turn->served)
        return a->turn->served < b->turn->served;
    if (a->turn != b->turn)
        return a->turn->age < b->turn->age;
    bitmap_first(&a->ready, &i);
    bitmap_first(&b->ready, &j);
    return a->ranks[i] < b->ranks[j];
}

struct queue *placement_pick(struct placement *p)
{
    struct queue *best = NULL;
    struct class *c;

    DL_FOREACH(p->active, c)
    {
        uint32_t level = 0;

        if (c->fits_ever && demand_lacks(&c->demand, &p->free) != DEMAND_ENTRIES)
            continue;
        bitmap_first(&c->listed, &level);
        if (is_better(c->lists[level], best))
            best = c->lists[level];
    }
    if (!best)
        return NULL;
    best->turn->served = ++p->clock;
    if (best->next) {
        int level = best->listed;

        unlist(best);
        list(best, level);
    }
    return best;
}

void placement_take(struct placement *p, const struct class *class)
{
    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        p->free.amount[i] -= class->demand.amount[i];
}

void placement_give(struct placement *p, const struct class *class)
{
    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        p->free.amount[i] += class->demand.amount[i];
}
