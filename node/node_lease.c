/* SPDX-License-Identifier: Apache-2.0 */
/* What workers carry out for this node.
 *
 *     waiting --- EVENT_LEASE_STARTED ---> started --- EVENT_TASK_ENDED ---> judged
 *        |                                    '------- its worker died ----> lost
 *        |--- EVENT_LEASE_RETURNED --> ready again
 *        '--- its worker died -------> ready again; the third time: lost
 *
 * A lease is memory: nothing is written down before an attempt ended. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/node_internal.h"

/* A task that kills its node before the node could say that it ran. */
enum { SILENT_LOSSES_MAX = 3 };

static const time_us refused_wait = TIME_MS(100); /* doubles with each time */
enum { REFUSED_DOUBLINGS_MAX = 7 };

void node_release_leases(struct node *n)
{
    for (uint32_t i = 0; i < n->n_chunks; i++)
        free(n->chunks[i]);
    for (uint32_t i = 0; i < n->n_workers; i++)
        free(n->workers[i]);
    free(n->chunks);
    free(n->workers);
    heap_release(&n->loaded);
}

/* ---- the table ---- */

static int add_chunk(struct node *n)
{
    struct slot **chunks =
        realloc(n->chunks, ((size_t)n->n_chunks + 1) * sizeof(chunks[0]));
    struct slot *chunk;

    if (!chunks)
        return -ENOMEM;
    n->chunks = chunks;
    chunk = calloc(LEASES_PER_CHUNK, sizeof(chunk[0]));
    if (!chunk)
        return -ENOMEM;
    for (uint32_t i = LEASES_PER_CHUNK; i-- > 0;) {
        chunk[i].number = n->config.slots_max + n->n_chunks * LEASES_PER_CHUNK + i;
        chunk[i].timer.type = TIMER_ATTEMPT;
        chunk[i].next = n->free_leases;
        n->free_leases = &chunk[i];
    }
    n->chunks[n->n_chunks++] = chunk;
    return 0;
}

int node_new_lease(struct node *n, struct slot **ret)
{
    if (n->n_leases == LEASES_MAX)
        return -ENOSPC;
    if (!n->free_leases && add_chunk(n) < 0)
        return -ENOMEM;
    *ret = n->free_leases;
    return 0;
}

void node_enlist(struct node *n, struct slot *s, struct worker *w, bool is_started)
{
    n->free_leases = s->next;
    n->n_leases++;
    s->worker = w;
    s->is_started = is_started;
    s->is_recalled = false;
    s->heading = NULL;
    DL_APPEND2(s->run->leases, s, prev_of_run, next_of_run);
    if (is_started) {
        DL_APPEND(w->started, s);
        w->n_started++;
    } else {
        DL_APPEND(w->waiting, s);
        w->n_waiting++;
        s->run->n_leased++;
        s->run->steps[s->task.step].n_leased++;
    }
    node_weigh(n, w);
}

static void stop_waiting(struct slot *s, struct run *r)
{
    DL_DELETE(s->worker->waiting, s);
    s->worker->n_waiting--;
    r->n_leased--;
    r->steps[s->task.step].n_leased--;
}

void node_delist(struct node *n, struct slot *s, struct run *r)
{
    struct worker *w = s->worker;

    node_unrecall(n, s);
    DL_DELETE2(r->leases, s, prev_of_run, next_of_run);
    if (s->is_started) {
        DL_DELETE(w->started, s);
        w->n_started--;
    } else {
        stop_waiting(s, r);
    }
    s->worker = NULL;
    s->next = n->free_leases;
    n->free_leases = s;
    n->n_leases--;
    node_weigh(n, w);
}

/* ---- workers ---- */

static int grow(struct node *n, uint32_t number)
{
    uint32_t cap = n->n_workers ? n->n_workers : 4;
    struct worker **workers;

    while (cap <= number)
        cap *= 2;
    if (heap_reserve(&n->loaded, cap) < 0)
        return -ENOMEM;
    workers = realloc(n->workers, cap * sizeof(workers[0]));
    if (!workers)
        return -ENOMEM;
    n->workers = workers;
    while (n->n_workers < cap)
        n->workers[n->n_workers++] = NULL;
    return 0;
}

struct worker *node_make_worker(struct node *n, uint32_t number)
{
    struct worker *w = node_worker_at(n, number);
    struct bin *bin = w ? w->bin : bins_make(&n->placement.bins, number);

    if (w || !bin || (number >= n->n_workers && grow(n, number) < 0))
        return w;
    w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->bin = bin;
    n->workers[number] = w;
    return w;
}

static bool is_worker(uint32_t number)
{
    return number >= 1 && number <= WORKERS_MAX;
}

int node_on_worker(struct node *n, const struct event *event)
{
    uint32_t number = event->u.worker.worker;
    struct worker *w;

    if (!is_worker(number) || !event->u.worker.capacity)
        return 0;
    w = node_make_worker(n, number);
    if (!w)
        return -ENOMEM;
    w->node = event->u.worker.node;
    if (!n->placement.has_others)
        placement_set_others(&n->placement, true);
    if (placement_set_bin(&n->placement, number, event->u.worker.capacity,
                          event->u.worker.custom_names, event->u.worker.slots,
                          event->u.worker.ahead_percent)
        < 0)
        return -ENOMEM;
    node_weigh(n, w);
    return 0;
}

/* ---- what becomes of a lease ---- */

static int lose(struct node *n, struct slot *s, enum reason reason, const char *message)
{
    CLEANUP(attempt_record_release)
    struct attempt_record record = { .reason = reason,
                                     .ended_wall = n->wall,
                                     .node = s->worker->node };
    int error = s->is_started ? node_may_live(n, s) : 0;

    if (error < 0)
        return error;
    record.message = strdup(message);
    if (!record.message)
        return -ENOMEM;
    return node_conclude(n, s->run, s->span, s->index, s, &record);
}

int node_take_back(struct node *n, struct slot *s, time_us delay)
{
    struct run *r = s->run;
    struct span *span = s->span;
    uint64_t index = s->index;
    int error;

    node_vacate(n, s);
    error = node_try_again(n, r, span, index, delay);
    return error ? error : node_mark(n, r);
}

static int lose_waiting(struct node *n, struct slot *s)
{
    struct exception *e = run_except(s->run, s->span, s->index);

    if (!e)
        return -ENOMEM;
    return ++e->n_gone < SILENT_LOSSES_MAX ? node_take_back(n, s, 0)
                                           : lose(n, s, REASON_LOST, "its node died");
}

/* It may come back with another policy. */
static int allow_all(struct node *n, uint32_t number)
{
    struct run *r;

    DL_FOREACH(n->oldest, r)
    {
        int error = run_allow(r, number);

        if (error < 0)
            return error;
    }
    return 0;
}

int node_on_worker_gone(struct node *n, uint32_t number)
{
    struct worker *w = number ? node_worker_at(n, number) : NULL;
    int error = w ? placement_set_bin(&n->placement, number, NULL, NULL, 0, 0) : 0;

    if (error == 0 && w)
        error = allow_all(n, number);
    while (error == 0 && w && w->started)
        error = lose(n, w->started, REASON_LOST, "its node died");
    while (error == 0 && w && w->waiting)
        error = lose_waiting(n, w->waiting);
    return error;
}

static struct slot *lease_of(const struct node *n, uint32_t slot)
{
    struct slot *s = node_slot_at(n, slot);

    return s && !is_local(n, s) && !s->is_fencing ? s : NULL;
}

/* Its worker ends it when its time is over; this is for one that does not. */
static int watch(struct node *n, struct slot *s)
{
    time_us timeout = s->run->steps[s->task.step].step->timeout_us;

    if (!timeout || s->signal)
        return 0;
    return timers_set(&n->timers, &s->timer,
                      n->now + timeout + n->config.grace_us + LEASE_ANSWER_MAX);
}

int node_note_started(struct node *n, struct slot *s)
{
    struct worker *w = s->worker;
    int error;

    node_unrecall(n, s);
    stop_waiting(s, s->run);
    s->is_started = true;
    DL_APPEND(w->started, s);
    w->n_started++;
    node_weigh(n, w);
    error = watch(n, s);
    return error ? error : node_tell_started(n, s);
}

int node_on_lease_started(struct node *n, uint32_t slot)
{
    struct slot *s = lease_of(n, slot);

    return s && !s->is_started ? node_note_started(n, s) : 0;
}

int node_on_lease_timeout(struct node *n, struct slot *s)
{
    enum reason why = s->signal ? s->why : REASON_TIMEOUT;
    int error;

    s->signal = SIGKILL;
    s->why = REASON_LOST;
    error = node_emit_kill(n, s);
    if (error < 0)
        return error;
    return s->is_started ? lose(n, s, why, "its node did not end it in time")
                         : node_take_back(n, s, 0);
}

/* One that nobody asked back could not be carried out there. It may well be given to
 * the same worker again: not at once for ever. */
int node_refuse(struct slot *s, time_us *ret)
{
    struct exception *e;

    *ret = 0;
    if (s->is_recalled || s->signal)
        return 0;
    e = run_except(s->run, s->span, s->index);
    if (!e)
        return -ENOMEM;
    if (e->n_refused)
        *ret = refused_wait << (e->n_refused - 1);
    if (e->n_refused <= REFUSED_DOUBLINGS_MAX)
        e->n_refused++;
    return 0;
}

int node_on_lease_returned(struct node *n, uint32_t slot)
{
    struct slot *s = lease_of(n, slot);
    time_us delay;
    int error;

    if (!s)
        return 0;
    if (s->is_started)
        return lose(n, s, REASON_LOST, "its node lost it");
    error = node_refuse(s, &delay);
    if (error == 0 && delay)
        error = node_emit_look(n, s);
    return error ? error : node_take_back(n, s, delay);
}
