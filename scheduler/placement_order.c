/* SPDX-License-Identifier: Apache-2.0 */
/* Users, groups and queues, and their places in the orders. */
#define HASH_NONFATAL_OOM 1
#include "scheduler/placement_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct group *group_of(const struct heap_item *item)
{
    return CONTAINER_OF(item, struct group, item);
}

static struct queue *queue_of(const struct heap_item *item)
{
    return CONTAINER_OF(item, struct queue, item);
}

static bool is_group_before(const struct heap_item *a, const struct heap_item *b)
{
    return share_is_before(&group_of(a)->user->share, &group_of(b)->user->share);
}

static bool is_queue_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct queue *x = queue_of(a), *y = queue_of(b);

    return x->listed != y->listed ? x->listed < y->listed
                                  : share_is_before(x->run, y->run);
}

struct queue *class_first(const struct class *c)
{
    return queue_of(heap_first(&group_of(heap_first(&c->groups))->queues));
}

/* ---- what a user may ---- */

const struct user_limits *sharing_of(const struct sharing *s, const char *name)
{
    for (size_t i = 0; i < s->n_users; i++)
        if (strcmp(s->users[i].name, name) == 0)
            return &s->users[i];
    return &s->otherwise;
}

static uint64_t or_all(uint64_t cap)
{
    return cap ? cap : UINT64_MAX;
}

static struct demand cap_of(const struct user_limits *l)
{
    struct demand cap = { .n = DEMAND_ENTRIES };

    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        cap.amount[i] = UINT64_MAX;
    cap.amount[DEMAND_CPU] = or_all(l->max_cpu_milli);
    cap.amount[DEMAND_MEMORY] = or_all(l->max_memory_bytes);
    cap.amount[DEMAND_GPU] = or_all(l->max_gpu_milli);
    return cap;
}

uint32_t user_lacks(const struct user *u, const struct class *c)
{
    uint32_t i = 0;

    /* What was adopted from others may be more than the user may have. */
    while (i < c->demand.n
           && (!c->demand.amount[i]
               || (u->used.amount[i] <= u->cap.amount[i]
                   && c->demand.amount[i] <= u->cap.amount[i] - u->used.amount[i])))
        i++;
    return i < c->demand.n ? i : DEMAND_ENTRIES;
}

bool user_is_capped(const struct user *u, const struct class *c)
{
    /* What never fits is let through: it must fail. */
    if (demand_lacks(&c->demand, &u->cap) != DEMAND_ENTRIES)
        return false;
    return (u->limits.max_tasks && u->n_running >= u->limits.max_tasks)
           || user_lacks(u, c) != DEMAND_ENTRIES;
}

/* ---- groups in a class ---- */

static void list_group(struct group *g)
{
    struct class *c = g->class;

    share_wait(&g->user->share, c->placement->now);
    heap_add(&c->groups, &g->item, is_group_before);
    if (c->groups.n == 1)
        class_activate(c);
}

static void unlist_group(struct group *g)
{
    struct class *c = g->class;

    heap_remove(&c->groups, &g->item, is_group_before);
    share_unwait(&g->user->share, c->placement->now);
    if (!c->groups.n)
        class_deactivate(c);
}

static void sync_group(struct group *g)
{
    bool waits = g->queues.n && !user_is_capped(g->user, g->class);

    if (waits == (g->item.place != 0))
        return;
    if (waits)
        list_group(g);
    else
        unlist_group(g);
}

void order_move_user(struct user *u)
{
    for (struct group *g = u->groups; g; g = g->hh.next) {
        if (g->item.place)
            heap_move(&g->class->groups, &g->item, is_group_before);
        sync_group(g);
    }
}

void order_move_run(struct queue *q)
{
    struct queue *first = q;

    do {
        if (q->item.place)
            heap_move(&q->group->queues, &q->item, is_queue_before);
        q = q->next_of_run;
    } while (q != first);
}

/* ---- users ---- */

static void user_free(struct user *u)
{
    free(u->name);
    free(u);
}

struct user *placement_enter(struct placement *p, const char *name)
{
    struct user *u;

    HASH_FIND_STR(p->users, name, u);
    if (!u) {
        u = calloc(1, sizeof(*u));
        if (!u)
            return NULL;
        u->name = strdup(name);
        u->limits = *sharing_of(&p->sharing, name);
        u->cap = cap_of(&u->limits);
        share_init(&u->share, &p->contest, u->limits.weight, p->n_runs++);
        if (u->name)
            HASH_ADD_KEYPTR(hh, p->users, u->name, strlen(u->name), u);
        if (!u->name || !u->hh.tbl) {
            user_free(u);
            return NULL;
        }
        DL_APPEND(p->oldest, u);
    }
    u->n_runs++;
    return u;
}

void placement_leave(struct placement *p, struct user *u)
{
    if (!u || --u->n_runs)
        return;
    HASH_DELETE(hh, p->users, u);
    DL_DELETE(p->oldest, u);
    user_free(u);
}

void placement_run_init(struct placement *p, struct user *u, uint32_t weight,
                        struct share *run)
{
    share_init(run, &u->runs, weight, p->n_runs++);
}

/* ---- queues ---- */

static struct group *enter_group(struct user *u, struct class *c)
{
    struct group *g;

    HASH_FIND_PTR(u->groups, &c, g);
    if (!g) {
        if (heap_reserve(&c->groups, c->n_groups + 1) < 0)
            return NULL;
        g = calloc(1, sizeof(*g));
        if (!g)
            return NULL;
        g->class = c;
        g->user = u;
        HASH_ADD_PTR(u->groups, class, g);
        if (!g->hh.tbl) {
            free(g);
            return NULL;
        }
        c->n_groups++;
    }
    g->n_queues++;
    return g;
}

static void leave_group(struct group *g)
{
    if (--g->n_queues)
        return;
    HASH_DELETE(hh, g->user->groups, g);
    g->class->n_groups--;
    heap_release(&g->queues);
    free(g);
}

int queue_init(struct queue *q, struct class *class, struct user *u, struct share *run,
               uint32_t n)
{
    *q = (struct queue){ .class = class, .run = run, .n = n, .listed = -1 };
    q->next_of_run = q;
    q->group = enter_group(u, class);
    if (!q->group || heap_reserve(&q->group->queues, q->group->n_queues) < 0)
        return -ENOMEM;
    q->steps = calloc(n, sizeof(q->steps[0]));
    q->ranks = calloc(n, sizeof(q->ranks[0]));
    q->levels = calloc(n, sizeof(q->levels[0]));
    if (!q->steps || !q->ranks || !q->levels)
        return -ENOMEM;
    return bitmap_init(&q->ready, n);
}

static void list(struct queue *q, int level)
{
    struct group *g = q->group;
    bool was_listed = q->listed >= 0;

    q->listed = level;
    if (was_listed) {
        heap_move(&g->queues, &q->item, is_queue_before);
        return;
    }
    share_wait(q->run, g->class->placement->now);
    heap_add(&g->queues, &q->item, is_queue_before);
    sync_group(g);
}

static void unlist(struct queue *q)
{
    struct group *g = q->group;

    heap_remove(&g->queues, &q->item, is_queue_before);
    q->listed = -1;
    share_unwait(q->run, g->class->placement->now);
    sync_group(g);
}

void queue_sync(struct queue *q)
{
    uint32_t first;
    int level = -1;

    if (q->is_open && bitmap_first(&q->ready, &first))
        level = q->levels[first];
    if (level == q->listed)
        return;
    if (level >= 0)
        list(q, level);
    else
        unlist(q);
}

void queue_release(struct queue *q)
{
    if (!q->class)
        return;
    if (q->listed >= 0)
        unlist(q);
    if (q->group)
        leave_group(q->group);
    class_drop(q->class, q->n);
    bitmap_release(&q->ready);
    free(q->steps);
    free(q->ranks);
    free(q->levels);
    *q = (struct queue){ .listed = -1 };
}
