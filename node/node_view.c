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
    uint64_t known = r->n_final + r->n_skipped + r->n_failed + r->n_running;

    return (struct run_view){ .id = r->id,
                              .record = &r->record,
                              .flow = r->flow,
                              .state = state_of(r),
                              .is_failed = r->outcome == RUN_FAILED || r->n_failed,
                              .is_cancelled = r->outcome == RUN_CANCELLED,
                              .is_suspended = r->is_suspended,
                              .started_wall = r->started_wall,
                              .n_done = r->n_done,
                              .n_running = r->n_running,
                              .n_failed = r->n_failed,
                              .n_adopted = r->n_adopted,
                              .n_attempts = r->n_attempts,
                              .n_skipped = r->n_skipped,
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
                               .n_running = s->n_running,
                               .n_failed = s->n_failed,
                               .n_ready = s->n_ready,
                               .n_skipped = s->n_skipped };
    return true;
}

bool node_slot(const struct node *n, uint32_t slot, struct run_id *ret_run,
               struct task_id *ret_task, uint32_t *ret_attempt)
{
    const struct slot *s;

    if (slot >= n->config.slots_max || !n->slots[slot].run)
        return false;
    s = &n->slots[slot];
    *ret_run = s->run->id;
    *ret_task = s->task;
    *ret_attempt = s->attempt;
    return true;
}

struct claims node_claims(const struct node *n)
{
    const struct demand *all = &n->placement.capacity, *left = &n->placement.free;
    struct claims c = {
        .cpu_milli = less(all->amount[DEMAND_CPU], left->amount[DEMAND_CPU]),
        .memory_bytes = less(all->amount[DEMAND_MEMORY], left->amount[DEMAND_MEMORY]),
    };

    for (uint32_t i = 0; i < n->config.slots_max; i++)
        c.n_slots += n->slots[i].run != NULL;
    return c;
}

uint64_t node_slot_gpus(const struct node *n, uint32_t slot)
{
    return slot < n->config.slots_max && n->slots[slot].run
               ? n->slots[slot].gpus.indexes
               : 0;
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
        sum += mix(mix(mix(mix(mix(2, e->index), e->iteration), e->n_attempts),
                       e->n_failed),
                   e->n_lost);
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

static uint64_t hash_run(const struct run *r)
{
    uint64_t parts[] = { r->phase,  r->outcome,    r->is_stopping, r->n_cancels,
                         r->n_done, r->n_failed,   r->n_skipped,   r->n_adopted,
                         r->n_open, r->n_attempts, r->is_suspended };
    uint64_t h = 4, sum = 0;
    const struct instance *in;

    for (size_t i = 0; i < RUN_ID_SIZE; i++)
        h = mix(h, r->id.bytes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        h = mix(h, parts[i]);
    for (in = r->instances; in; in = in->hh.next)
        sum += hash_instance(r, in);
    return mix(h, sum);
}

uint64_t node_hash(const struct node *n)
{
    uint64_t sum = n->n_runs;
    const struct run *r;

    DL_FOREACH(n->oldest, r)
    sum += hash_run(r);
    return sum;
}
