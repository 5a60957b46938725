/* SPDX-License-Identifier: Apache-2.0 */
/* What bins have, what tasks ask for, and names for both. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/placement_order.h"

enum { CPU_DEFAULT_MILLI = 1000 };

/* No node has more; so that what is taken of an overbooked one has room in 64 bits. */
static const uint64_t amount_max = UINT64_C(1) << 56;

/* ---- names of custom resources ---- */

static bool is_named(const struct placement *p, uint32_t i)
{
    const struct class *c;

    for (uint32_t k = 0; k < p->bins.n; k++)
        if (p->bins.all[k] && p->bins.all[k]->capacity.amount[DEMAND_CUSTOM + i])
            return true;
    for (c = p->classes; c; c = c->hh.next)
        if (c->demand.amount[DEMAND_CUSTOM + i])
            return true;
    return false;
}

/* RESOURCES_CUSTOM_MAX: all are in use. */
static uint32_t find_free(const struct placement *p)
{
    uint32_t i = p->n_own_names;

    while (i < RESOURCES_CUSTOM_MAX && p->names[i])
        i++;
    if (i < RESOURCES_CUSTOM_MAX)
        return i;
    i = p->n_own_names;
    while (i < RESOURCES_CUSTOM_MAX && is_named(p, i))
        i++;
    return i;
}

/* The entry of a name is *ret; RESOURCES_CUSTOM_MAX: there is no more room. */
static int find_entry(struct placement *p, const char *name, uint32_t *ret)
{
    uint32_t i = 0;
    char *copy;

    while (i < RESOURCES_CUSTOM_MAX && (!p->names[i] || strcmp(p->names[i], name) != 0))
        i++;
    if (i == RESOURCES_CUSTOM_MAX)
        i = find_free(p);
    *ret = i;
    if (i == RESOURCES_CUSTOM_MAX || (p->names[i] && strcmp(p->names[i], name) == 0))
        return 0;
    copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(p->names[i]);
    p->names[i] = copy;
    p->largest.amount[DEMAND_CUSTOM + i] = 0;
    return 0;
}

static int add_custom(struct placement *p, const char *name, uint64_t milli,
                      struct demand *d)
{
    uint32_t i;
    int error;

    if (!milli)
        return 0;
    error = find_entry(p, name, &i);
    if (error < 0)
        return error;
    if (i == RESOURCES_CUSTOM_MAX)
        d->unknown = 1;
    else
        d->amount[DEMAND_CUSTOM + i] += milli;
    return 0;
}

/* ---- what is asked, and what there is ---- */

int placement_demand(struct placement *p, const struct flow *f,
                     const struct resources *r, struct demand *ret)
{
    int error = 0;

    *ret = (struct demand){ .unknown = 0 };
    ret->amount[DEMAND_CPU] = r->cpu_milli ? r->cpu_milli : CPU_DEFAULT_MILLI;
    ret->amount[DEMAND_MEMORY] = r->memory_bytes;
    ret->amount[DEMAND_DISK] = r->disk_bytes;
    ret->amount[DEMAND_GPU] = r->gpu_milli;
    for (uint32_t i = 0; i < r->n_custom && error == 0; i++)
        error =
            add_custom(p, f->custom_names[r->custom[i].name], r->custom[i].milli, ret);
    for (ret->n = DEMAND_ENTRIES; ret->n && !ret->amount[ret->n - 1];)
        ret->n--;
    return error;
}

/* Of GPUs only whole ones count. */
static int read_capacity(struct placement *p, const struct resources *r,
                         char *const *names, struct demand *ret)
{
    uint64_t n_gpus = min_size(r->gpu_milli / GPU_MILLI, GPUS_MAX);
    int error = 0;

    *ret = (struct demand){ .n = DEMAND_ENTRIES };
    ret->amount[DEMAND_CPU] = r->cpu_milli;
    ret->amount[DEMAND_MEMORY] = r->memory_bytes;
    ret->amount[DEMAND_DISK] = r->disk_bytes;
    ret->amount[DEMAND_GPU] = n_gpus * GPU_MILLI;
    for (uint32_t i = 0; i < r->n_custom && error == 0; i++)
        error = add_custom(p, names[r->custom[i].name], r->custom[i].milli, ret);
    for (uint32_t i = 0; i < DEMAND_ENTRIES; i++)
        ret->amount[i] = ret->amount[i] < amount_max ? ret->amount[i] : amount_max;
    ret->unknown = 0;
    return error;
}

static bool note_largest(struct placement *p, const struct demand *capacity)
{
    bool is_larger = false;

    for (size_t i = 0; i < DEMAND_ENTRIES; i++) {
        if (capacity->amount[i] <= p->largest.amount[i])
            continue;
        p->largest.amount[i] = capacity->amount[i];
        is_larger = true;
    }
    return is_larger;
}

int placement_set_bin(struct placement *p, uint32_t number,
                      const struct resources *capacity, char *const *custom_names,
                      uint32_t slots, uint32_t ahead_percent)
{
    struct bin *bin = bins_make(&p->bins, number);
    struct demand all = { .n = DEMAND_ENTRIES };
    bool is_changed;

    if (!bin || (capacity && read_capacity(p, capacity, custom_names, &all) < 0))
        return -ENOMEM;
    is_changed = memcmp(&all, &bin->capacity, sizeof(all)) != 0;
    bins_set(&p->bins, bin, &all, slots, ahead_percent);
    if (!number)
        bin->gpus.n = (uint32_t)(all.amount[DEMAND_GPU] / GPU_MILLI);
    if (note_largest(p, &all) || is_changed)
        for (struct class *c = p->classes; c; c = c->hh.next)
            class_fit(c);
    return 0;
}

void placement_set_others(struct placement *p, bool has_others)
{
    if (p->has_others && !has_others)
        p->hope_until = p->now + UNFIT_WAIT;
    p->has_others = has_others;
}

/* ---- classes and bins ---- */

static bool fits_some(const struct placement *p, const struct demand *d)
{
    for (uint32_t i = 0; i < p->bins.n; i++)
        if (p->bins.all[i] && bin_fits_ever(p->bins.all[i], d))
            return true;
    return false;
}

/* The largest of its parts of what the largest node has. */
static uint64_t cost_of(const struct placement *p, const struct demand *d)
{
    double cost = 1;

    for (uint32_t i = 0; i < d->n; i++)
        if (d->amount[i])
            cost = fmax(cost, (double)d->amount[i] * SHARE_NODE
                                  / (double)p->largest.amount[i]);
    return (uint64_t)cost;
}

void class_fit(struct class *c)
{
    const struct placement *p = c->placement;
    bool fits = fits_some(p, &c->demand);
    bool has_hope = p->has_others || p->now < p->hope_until;

    if (!fits && c->doomed_at == TIME_NEVER)
        c->doomed_at = p->now + (has_hope ? UNFIT_WAIT : 0);
    else if (fits)
        c->doomed_at = TIME_NEVER;
    c->fits_ever = fits;
    c->cost = fits ? cost_of(p, &c->demand) : 1;
}

time_us placement_deadline(const struct placement *p)
{
    time_us at = TIME_NEVER;
    const struct class *c;

    for (c = p->active; c; c = c->next)
        if (c->is_stuck && c->doomed_at < at)
            at = c->doomed_at;
    return at;
}

void placement_on_tick(struct placement *p)
{
    for (struct class *c = p->active; c; c = c->next)
        if (c->is_stuck && c->doomed_at <= p->now)
            class_unstick(c);
}
