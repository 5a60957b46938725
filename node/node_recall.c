/* SPDX-License-Identifier: Apache-2.0 */
/* Asking leases back that have not started.
 *
 * Workers take more than they can run at once, so that they never wait for a message.
 * At the end of a run that leaves one with much to do while others have nothing. So
 * when a bin has room that nothing ready fits, half of what waits at the worker that
 * would be the last to finish comes back, as much as the bin can run at once. Until
 * that has come, or started after all, nothing more is asked back for this bin; so
 * each event moves a bounded number, and what moves goes where it runs sooner. */
#include <errno.h>

#include "node/node_internal.h"

/* How far one looks for something that suits: at the first of each order and what is
 * next to it with many leases, then at some more bins with few. */
enum {
    BINS_TRIED = 3,
    BINS_GLANCED_AT = 64,
    WORKERS_TRIED = 3,
    LEASES_TRIED = 32,
    LEASES_GLANCED_AT = 4,
};

static struct worker *worker_of(const struct heap_item *item)
{
    return CONTAINER_OF(item, struct worker, item);
}

/* By how long what waits has to wait there, about. */
static bool is_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct worker *x = worker_of(a), *y = worker_of(b);
    uint64_t of_x = (uint64_t)x->n_waiting * (y->n_started ? y->n_started : 1);
    uint64_t of_y = (uint64_t)y->n_waiting * (x->n_started ? x->n_started : 1);

    return of_x != of_y ? of_x > of_y : x->bin->number < y->bin->number;
}

void node_weigh(struct node *n, struct worker *w)
{
    bool is_loaded = w->n_waiting && w->bin->slots && bin_is_overbooked(w->bin);

    if (is_loaded && w->item.place)
        heap_move(&n->loaded, &w->item, is_before);
    else if (is_loaded)
        heap_add(&n->loaded, &w->item, is_before);
    else if (w->item.place)
        heap_remove(&n->loaded, &w->item, is_before);
}

void node_unrecall(struct node *n, struct slot *s)
{
    if (s->heading)
        bins_expect(&n->placement.bins, s->heading, -1);
    s->heading = NULL;
    s->is_recalled = false;
}

static int recall(struct node *n, struct slot *s, struct bin *heading)
{
    s->is_recalled = true;
    s->heading = heading;
    if (heading)
        bins_expect(&n->placement.bins, heading, 1);
    return s->is_fencing ? 0 : node_emit_recall(n, s);
}

int node_recall_waiting(struct node *n, struct run *r)
{
    struct slot *s;
    int error = 0;

    for (s = r->leases; s && error == 0; s = s->next_of_run)
        if (!s->is_started && !s->is_recalled && !s->signal)
            error = recall(n, s, NULL);
    return error;
}

int node_recall_blocked(struct node *n, struct run *r)
{
    int error = 0;

    for (struct slot *s = r->leases; s && error == 0; s = s->next_of_run)
        if (r->steps[s->task.step].is_blocked && !s->is_started && !s->is_recalled
            && !s->signal)
            error = recall(n, s, NULL);
    return error;
}

/* ---- at the end ---- */

/* What the bin can run at once beside what it has. */
static uint32_t room_of(const struct bin *bin)
{
    return bin->n_coming || bin->n_taken >= bin->size ? 0 : bin->size - bin->n_taken;
}

static uint32_t surplus_of(const struct worker *w)
{
    uint32_t taken = w->bin->n_taken, size = w->bin->size;

    return taken > size && taken - size < w->n_waiting ? taken - size : w->n_waiting;
}

/* Takes it of what is left. */
static bool suits(const struct slot *s, const struct bin *bin, struct demand *left)
{
    const struct demand *d = &s->run->steps[s->task.step].queue->class->demand;

    if (s->is_recalled || s->signal || s->is_fencing
        || demand_is_refused(d, bin->number) || demand_lacks(d, left) != DEMAND_ENTRIES
        || (!bin->number && !gpus_fit(&bin->gpus, d->amount[DEMAND_GPU])))
        return false;
    demand_subtract(left, d);
    return true;
}

/* The newest first: those before them are nearer to their start. */
static int recall_from(struct node *n, struct worker *w, struct bin *bin,
                       uint32_t n_tries, uint32_t *ret_n)
{
    uint32_t n_wanted = (surplus_of(w) + 1) / 2, room = room_of(bin);
    struct slot *s = w->waiting->prev;
    struct demand left = bin->capacity;
    int error = 0;

    *ret_n = 0;
    if (demand_lacks(&bin->used, &left) != DEMAND_ENTRIES)
        return 0;
    demand_subtract(&left, &bin->used);
    n_wanted = n_wanted < room ? n_wanted : room;
    while (error == 0 && *ret_n < n_wanted && n_tries--) {
        struct slot *before = s == w->waiting ? NULL : s->prev;

        if (suits(s, bin, &left)) {
            error = recall(n, s, bin);
            ++*ret_n;
        }
        if (!before)
            break;
        s = before;
    }
    return error;
}

static int recall_for(struct node *n, struct bin *bin, uint32_t n_tries,
                      uint32_t *ret_n)
{
    int error = 0;

    *ret_n = 0;
    if (!bin || !bin->item.place || !room_of(bin))
        return 0;
    for (uint32_t i = 0; i < WORKERS_TRIED && i < n->loaded.n && !*ret_n && error == 0;
         i++)
        error = recall_from(n, worker_of(n->loaded.all[i]), bin, n_tries, ret_n);
    return error;
}

static struct bin *open_bin(const struct node *n, uint32_t i)
{
    const struct heap *open = &n->placement.bins.open;

    return i < open->n ? CONTAINER_OF(open->all[i], struct bin, item) : NULL;
}

/* Where many have room, but not for what waits, each event looks at others. */
static struct bin *next_bin(struct node *n)
{
    const struct bins *bins = &n->placement.bins;

    n->glance = n->glance + 1 < bins->n ? n->glance + 1 : 0;
    return bins_at(bins, n->glance);
}

int node_balance(struct node *n)
{
    const struct bin *emptiest = open_bin(n, 0);
    uint32_t n_bins = n->placement.bins.n, n_recalled = 0;
    int error = 0;

    if (!n->loaded.n || !emptiest || emptiest->n_taken >= emptiest->size)
        return 0;
    for (uint32_t i = 0; i < BINS_TRIED && !n_recalled && error == 0; i++)
        error = recall_for(n, open_bin(n, i), LEASES_TRIED, &n_recalled);
    for (uint32_t i = 0; i < BINS_GLANCED_AT && i < n_bins && !n_recalled && error == 0;
         i++)
        error = recall_for(n, next_bin(n), LEASES_GLANCED_AT, &n_recalled);
    return error;
}
