/* SPDX-License-Identifier: Apache-2.0 */
/* Questions. None changes anything. */
#include <string.h>
#include <utlist.h>

#include "node/node_internal.h"

size_t node_runs(const struct node *n)
{
    return n->n_runs;
}

static enum run_state state_of(const struct run *r)
{
    if (r->is_stopping || r->phase == RUN_HOOK)
        return RUN_STATE_STOPPING;
    if (r->is_suspended)
        return RUN_STATE_SUSPENDED;
    return r->phase == RUN_HELD ? RUN_STATE_HELD : RUN_STATE_RUNNING;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct run_view view_of(const struct run *r)
{
    uint64_t n_running = r->n_running - r->n_leased;
    uint64_t known = r->n_final + r->n_skipped + r->n_failed + n_running;

    return (struct run_view){ .id = r->id,
                              .record = &r->record,
                              .flow = r->flow,
                              .state = state_of(r),
                              .is_failed = r->outcome == RUN_FAILED || r->n_failed,
                              .is_cancelled = r->outcome == RUN_CANCELLED,
                              .is_suspended = r->is_suspended,
                              .started_wall = r->started_wall,
                              .n_done = r->n_done,
                              .n_running = n_running,
                              .n_failed = r->n_failed,
                              .n_adopted = r->n_adopted,
                              .n_attempts = r->n_attempts,
                              .n_skipped = r->n_skipped,
                              .n_leased = r->n_leased,
                              .n_keeping = r->n_keeping,
                              .n_waiting = less(r->n_known, known) };
}

bool node_run_at(const struct node *n, size_t i, struct run_view *ret)
{
    const struct run *r;

    DL_FOREACH(n->oldest, r)
    if (i-- == 0) {
        *ret = view_of(r);
        return true;
    }
    return false;
}

bool node_run(const struct node *n, const struct run_id *id, struct run_view *ret)
{
    const struct run *r = node_find_run(n, id);

    if (!r)
        return false;
    *ret = view_of(r);
    return true;
}

bool node_step_of(const struct node *n, const struct run_id *id, uint32_t step,
                  struct step_view *ret)
{
    const struct run *r = node_find_run(n, id);
    const struct run_step *s;

    if (!r || step >= r->flow->n_all_steps)
        return false;
    s = &r->steps[step];
    *ret = (struct step_view){ .n_known = s->n_known,
                               .n_done = s->n_done,
                               .n_running = s->n_running - s->n_leased,
                               .n_failed = s->n_failed,
                               .n_ready = s->n_ready,
                               .n_skipped = s->n_skipped,
                               .n_leased = s->n_leased };
    return true;
}

bool node_slot(const struct node *n, uint32_t slot, struct run_id *ret_run,
               struct task_id *ret_task, uint32_t *ret_attempt)
{
    const struct slot *s = node_slot_at(n, slot);

    if (!s)
        return false;
    *ret_run = s->run_id;
    *ret_task = s->task;
    *ret_attempt = s->attempt;
    return true;
}

bool node_runs_slot(const struct node *n, uint32_t slot, struct run_id *ret_run,
                    struct task_id *ret_task, uint32_t *ret_attempt)
{
    const struct slot *s = node_slot_at(n, slot);

    return s && (is_local(n, s) || s->is_started)
           && node_slot(n, slot, ret_run, ret_task, ret_attempt);
}

struct claims node_claims(const struct node *n)
{
    const struct bin *here = bins_at(&n->placement.bins, 0);

    return (struct claims){ .n_slots = here->n_taken,
                            .cpu_milli = here->used.amount[DEMAND_CPU],
                            .memory_bytes = here->used.amount[DEMAND_MEMORY] };
}

uint64_t node_slot_gpus(const struct node *n, uint32_t slot)
{
    const struct slot *s = node_slot_at(n, slot);

    return s ? s->claim.gpus.indexes : 0;
}

uint64_t node_slot_fence(const struct node *n, uint32_t slot)
{
    const struct slot *s = node_slot_at(n, slot);

    return s && !s->is_fencing ? s->fence : 0;
}

/* ---- with others ---- */

uint32_t node_slots_end(const struct node *n)
{
    return n->config.slots_max + n->n_chunks * LEASES_PER_CHUNK;
}

bool node_lease(const struct node *n, uint32_t slot, struct lease_view *ret)
{
    const struct slot *s = node_slot_at(n, slot);

    if (!s || is_local(n, s))
        return false;
    *ret = (struct lease_view){ .run = s->run_id,
                                .task = s->task,
                                .attempt = s->attempt,
                                .worker = s->worker->bin->number,
                                .is_started = s->is_started,
                                .is_recalled = s->is_recalled };
    return true;
}

bool node_worker(const struct node *n, uint32_t worker, struct worker_view *ret)
{
    const struct worker *w = node_worker_at(n, worker);

    if (!w)
        return false;
    *ret = (struct worker_view){ .slots = w->bin->slots,
                                 .n_leases = w->n_waiting + w->n_started,
                                 .n_started = w->n_started };
    return true;
}

void node_guests(const struct node *n, uint32_t *ret_waiting, uint32_t *ret_running)
{
    *ret_waiting = n->n_guests_waiting;
    *ret_running = HASH_COUNT(n->guests) - n->n_guests_waiting;
}

bool node_user_at(const struct node *n, size_t i, struct user_view *ret)
{
    const struct user *u;

    DL_FOREACH(n->placement.oldest, u)
    if (i-- == 0) {
        *ret = (struct user_view){ .name = u->name,
                                   .limits = &u->limits,
                                   .n_runs = u->n_runs,
                                   .n_running = u->n_running,
                                   .cpu_milli = u->used.amount[DEMAND_CPU],
                                   .memory_bytes = u->used.amount[DEMAND_MEMORY],
                                   .gpu_milli = u->used.amount[DEMAND_GPU] };
        return true;
    }
    return false;
}

/* ---- the digest ----
 * Tables are summed up, so that the order in which they were filled does not count. */

static uint64_t mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * 0x9fb21c651e98df25u;
    return h ^ (h >> 29);
}

static uint64_t hash_set(uint64_t h, const struct iset *s)
{
    h = mix(h, s->count);
    for (size_t i = 0; i < iset_intervals(s); i++) {
        struct interval v = iset_interval(s, i);

        h = mix(mix(h, v.lo), v.hi);
    }
    return h;
}

static uint64_t hash_exception(const struct exception *e)
{
    uint64_t h = mix(mix(2, e->index), e->iteration);

    h = mix(mix(mix(h, e->n_attempts), e->n_failed), e->n_lost);
    return e->n_gone || e->n_refused ? mix(mix(h, e->n_gone), e->n_refused) : h;
}

static uint64_t hash_span(const struct run *r, const struct span *s)
{
    uint64_t h = mix(1, s->step), sum = 0;
    const struct exception *e;

    h = hash_set(h, &s->released);
    h = hash_set(h, &s->done);
    h = hash_set(h, &s->skipped);
    h = hash_set(h, &s->failed);
    for (uint32_t i = 0; s->chosen && i <= r->steps[s->step].step->n_cases; i++)
        h = hash_set(h, &s->chosen[i]);
    for (e = s->exceptions; e; e = e->hh.next)
        sum += hash_exception(e);
    return mix(h, sum);
}

static uint64_t hash_instance(const struct run *r, const struct instance *in)
{
    uint64_t h = mix(mix(3, in->width), in->is_open);

    for (uint32_t i = 0; i < in->key_len / sizeof(in->key[0]); i++)
        h = mix(h, in->key[i]);
    for (uint32_t i = 0; i < in->n_spans; i++)
        h = mix(h, hash_span(r, &in->spans[i]));
    return h;
}

static uint64_t hash_lease(const struct slot *s)
{
    uint64_t h = mix(mix(5, s->number), s->worker->bin->number);

    h = mix(mix(mix(h, s->task.step), s->index), s->attempt);
    return mix(mix(mix(h, s->is_started), s->is_recalled), (uint64_t)s->signal);
}

static uint64_t hash_run(const struct run *r)
{
    uint64_t parts[] = { r->phase,  r->outcome,    r->is_stopping, r->n_cancels,
                         r->n_done, r->n_failed,   r->n_skipped,   r->n_adopted,
                         r->n_open, r->n_attempts, r->is_suspended };
    uint64_t h = 4, sum = 0;
    const struct instance *in;
    const struct slot *s;

    for (size_t i = 0; i < RUN_ID_SIZE; i++)
        h = mix(h, r->id.bytes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        h = mix(h, parts[i]);
    for (in = r->instances; in; in = in->hh.next)
        sum += hash_instance(r, in);
    for (s = r->leases; s; s = s->next_of_run)
        sum += hash_lease(s);
    return mix(mix(mix(h, sum), r->n_keeping), r->last_fence);
}

static uint64_t hash_guest(const struct guest *g)
{
    uint64_t h = mix(mix(6, g->id), g->slot ? g->slot->number : NODE_SLOT_NONE);

    return mix(mix(h, g->task.step), g->attempt);
}

static uint64_t hash_bin(const struct bin *b)
{
    uint64_t h = mix(mix(mix(7, b->number), b->slots), b->size);

    h = mix(mix(h, b->n_taken), b->n_coming);
    for (size_t i = 0; i < DEMAND_ENTRIES; i++)
        h = mix(mix(h, b->capacity.amount[i]), b->used.amount[i]);
    return h;
}

uint64_t node_hash(const struct node *n)
{
    uint64_t sum = n->n_runs + n->is_draining;
    const struct run *r;
    const struct guest *g;

    DL_FOREACH(n->oldest, r)
    sum += hash_run(r);
    for (g = n->guests; g; g = g->hh.next)
        sum += hash_guest(g);
    for (uint32_t i = 0; i < n->n_workers; i++)
        sum += n->workers[i] ? hash_bin(n->workers[i]->bin) : 0;
    return sum;
}
