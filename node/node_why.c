/* SPDX-License-Identifier: Apache-2.0 */
/* Why a task does not run: it waits, or it never will. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#include "node/node_internal.h"

static bool is_resolved(const struct run_step *s)
{
    return s->n_known && s->n_done + s->n_skipped >= s->n_known;
}

/* A name of what a demand asks for, and what one of it is. */
static const char *entry_name(const struct placement *p, uint32_t entry)
{
    static const char *const names[] = { [DEMAND_CPU] = "cpu",
                                         [DEMAND_MEMORY] = "MiB of memory",
                                         [DEMAND_DISK] = "MiB of disk",
                                         [DEMAND_GPU] = "gpu" };

    return entry < DEMAND_CUSTOM ? names[entry] : p->names[entry - DEMAND_CUSTOM];
}

static double entry_unit(uint32_t entry)
{
    return entry == DEMAND_MEMORY || entry == DEMAND_DISK ? 1 << 20 : 1e3;
}

int node_describe_unfit(const struct node *n, const struct queue *q, char **ret_message)
{
    const struct placement *p = &n->placement;
    const struct user *u = q->group->user;
    const struct demand *wants = &q->class->demand;
    const struct run *r = CONTAINER_OF(q->run, struct run, share);
    bool is_alone = p->bins.n == 1;
    uint32_t i = demand_lacks(wants, &p->largest);
    int written;

    if (wants->n_refusals && !q->class->fits_ever)
        written = asprintf(ret_message,
                           "fits no node: the policy (%s) of %u that it would fit does "
                           "not allow the run",
                           refusal_name(r->refusal), wants->n_refusals);
    else if (i < DEMAND_ENTRIES)
        written = asprintf(ret_message, "fits no node: it asks for %g %s, %s has %g",
                           (double)wants->amount[i] / entry_unit(i), entry_name(p, i),
                           is_alone ? "this node" : "the largest",
                           (double)p->largest.amount[i] / entry_unit(i));
    else if (wants->unknown)
        written = asprintf(ret_message, "fits no node: it asks for a resource that %s",
                           is_alone ? "this node does not have" : "none has");
    else if (q->class->fits_ever && (i = demand_lacks(wants, &u->cap)) < DEMAND_ENTRIES)
        written =
            asprintf(ret_message, "fits no node: it asks for %g %s, and %s may have %g",
                     (double)wants->amount[i] / entry_unit(i), entry_name(p, i),
                     u->name, (double)u->cap.amount[i] / entry_unit(i));
    else
        written = asprintf(ret_message, "fits no node: none has all that it asks for");
    return written < 0 ? -ENOMEM : 0;
}

/* ---- why a step waits ---- */

static void why_cap(const struct node *n, const struct run *r, const struct class *c,
                    struct buffer *out)
{
    const struct user *u = r->user;
    uint32_t i = user_lacks(u, c);

    if (u->limits.max_tasks && u->n_running >= u->limits.max_tasks)
        buffer_printf(out, "user cap: %u tasks of %s run, which is its limit",
                      u->n_running, u->name);
    else if (i < DEMAND_ENTRIES)
        buffer_printf(out, "user cap: %s may have %g %s at once and has %g", u->name,
                      (double)u->cap.amount[i] / entry_unit(i),
                      entry_name(&n->placement, i),
                      (double)u->used.amount[i] / entry_unit(i));
}

/* Workers that would take more. */
static uint32_t open_workers(const struct node *n)
{
    const struct heap *open = &n->placement.bins.open;
    const struct bin *here = bins_at(&n->placement.bins, 0);

    return open->n - (here->item.place != 0);
}

static void why_here(const struct node *n, const struct run *r, const struct class *c,
                     struct buffer *out)
{
    const struct bin *here = bins_at(&n->placement.bins, 0);
    struct demand left = here->capacity;
    uint32_t i;

    demand_subtract(&left, &here->used);
    i = demand_lacks(&c->demand, &left);
    if (demand_is_refused(&c->demand, 0))
        buffer_printf(out, "this node's policy (%s) does not allow the run",
                      refusal_name(r->refusal));
    else if (n->is_draining)
        buffer_puts(out, "this node drains and starts nothing");
    else if (i < DEMAND_ENTRIES)
        buffer_printf(out, "not enough %s is free", entry_name(&n->placement, i));
    else if (!bin_fits(here, &c->demand))
        buffer_puts(out, "no gpu has so much free");
    else if (!node_free_slot(n))
        buffer_printf(out, "all %u slots are taken", n->config.slots_max);
    else
        buffer_puts(out, "other tasks come first");
}

static void why_refused_elsewhere(const struct run *r, struct buffer *out)
{
    uint32_t n = r->n_refusals - (r->n_refusals && r->refusals[0] == 0);

    if (n)
        buffer_printf(out, "; the policy of %u of them (%s) does not allow it", n,
                      refusal_name(r->refusal));
}

/* What is short, and who has it. */
static void why_full(const struct node *n, const struct run *r, const struct class *c,
                     struct buffer *out)
{
    uint32_t n_others = 0;
    const struct user *u;

    DL_FOREACH(n->placement.oldest, u)
    n_others += u == r->user ? 0 : u->n_running;
    buffer_puts(out, n_others ? "other users' share: " : "resources: ");
    why_here(n, r, c, out);
    if (n->placement.has_others)
        buffer_puts(out, open_workers(n) ? ", and no other node has room for it"
                                         : ", and no other node takes more");
    why_refused_elsewhere(r, out);
    if (n_others)
        buffer_printf(out, "; %u task%s of other users run%s", n_others,
                      n_others == 1 ? "" : "s", n_others == 1 ? "s" : "");
}

static void why_refused(const struct run *r, struct buffer *out)
{
    bool is_one = r->n_refusals == 1;

    buffer_printf(out,
                  "policy: %u node%s, by %s polic%s (%s), %s not carry the run out",
                  r->n_refusals, is_one ? "" : "s", is_one ? "its" : "their",
                  is_one ? "y" : "ies", refusal_name(r->refusal),
                  is_one ? "does" : "do");
}

static void why_unfit(const struct node *n, const struct run *r, const struct class *c,
                      struct buffer *out)
{
    uint64_t left = c->doomed_at > n->now ? c->doomed_at - n->now : 0;

    if (r->n_refusals) {
        why_refused(r, out);
        buffer_printf(out, ", and no other fits; it fails in %.0f s unless one comes",
                      (double)left / TIME_S(1));
        return;
    }
    buffer_printf(out,
                  "no node: none that is here has what it asks for; it fails in %.0f s "
                  "unless one comes",
                  (double)left / TIME_S(1));
}

static void why_ready(const struct node *n, const struct run *r,
                      const struct run_step *s, struct buffer *out)
{
    uint32_t concurrency = s->step->concurrency;

    if (r->is_stopping && !s->step->is_hook)
        buffer_puts(out, "stopping: the run starts nothing more");
    else if (r->is_suspended)
        buffer_puts(out, "suspended: the run starts nothing until it is unsuspended");
    else if (r->is_held)
        buffer_puts(out,
                    "homes: the run gets other homes and starts nothing meanwhile");
    else if (r->is_tentative && s->step->effect == EFFECT_EXCLUSIVE)
        buffer_puts(out, "exclusive: it waits for a majority of the run's homes");
    else if (concurrency && s->n_running >= concurrency)
        buffer_printf(out, "concurrency: %u run, which is its limit", concurrency);
    else if (r->max_workers && r->n_running >= r->max_workers)
        buffer_printf(out, "max_workers: %u tasks of the run run, which is its limit",
                      r->max_workers);
    else if (user_is_capped(r->user, s->queue->class))
        why_cap(n, r, s->queue->class, out);
    else if (!s->queue->class->fits_ever)
        why_unfit(n, r, s->queue->class, out);
    else
        why_full(n, r, s->queue->class, out);
}

static void why_upstream(const struct run *r, const struct run_step *s,
                         struct buffer *out)
{
    for (uint32_t i = 0; i < s->n_before; i++) {
        const struct run_step *before = &r->steps[s->before[i].step];

        if (is_resolved(before))
            continue;
        buffer_printf(out, "upstream: it waits for '%s'", before->step->name);
        return;
    }
    buffer_puts(out, "upstream: it waits for steps before it");
}

bool node_why_waiting(const struct node *n, const struct run_id *id, uint32_t step,
                      struct buffer *ret_sentence)
{
    const struct run *r = node_find_run(n, id);
    const struct run_step *s;

    if (!r || step >= r->flow->n_steps)
        return false;
    s = &r->steps[step];
    if (s->n_ready)
        why_ready(n, r, s, ret_sentence);
    else if (s->n_leased)
        buffer_printf(ret_sentence, "leased: %" PRIu64 " %s at other nodes for room",
                      s->n_leased, s->n_leased == 1 ? "task waits" : "tasks wait");
    else if (s->n_retrying)
        buffer_puts(ret_sentence, "retry: it waits for its next attempt");
    else if (!is_resolved(s) && !s->n_running && !s->n_failed)
        why_upstream(r, s, ret_sentence);
    else
        return false;
    return true;
}
