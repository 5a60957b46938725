/* SPDX-License-Identifier: Apache-2.0 */
/* Steps with `effect: exclusive`: no two attempts of a task at a time.
 *
 *     ready -- has a slot --> fencing -- EVENT_FENCED: its fence is decided --> starts
 *       ^                        '--- nobody wants it any more ---> ready again
 *       '- EXCLUSIVE_WAIT after one that had started was lost
 *
 * A fence is a number of the run that is written down before the attempt starts, so who
 * leads the run next knows that there may be one. An attempt that started runs only as
 * long as its leader permits, time and again; who carries it out ends it when it was
 * not permitted any more. So one that nobody hears of is dead when EXCLUSIVE_WAIT has
 * passed. */
#include <errno.h>

#include "node/node_internal.h"

bool node_is_exclusive(const struct run *r, const struct span *s)
{
    return r->steps[s->step].step->effect == EFFECT_EXCLUSIVE;
}

int node_ask_fence(struct node *n, struct slot *s)
{
    s->fence = ++s->run->last_fence;
    s->is_fencing = true;
    return node_emit_fence(n, s);
}

static bool is_wanted(const struct slot *s)
{
    const struct run *r = s->run;
    bool is_hook = r->steps[s->task.step].step->is_hook;

    return !s->signal && !s->is_recalled && !r->is_suspended
           && (is_hook || !r->is_stopping);
}

/* What was asked of it meanwhile needs no more than that it never starts. */
static int give_up(struct node *n, struct slot *s)
{
    struct run *r = s->run;
    struct span *span = s->span;
    uint64_t index = s->index;
    bool is_void = s->is_void;
    int error = 0;

    node_vacate(n, s);
    if (!is_void)
        error = node_try_again(n, r, span, index, 0);
    return error ? error : node_mark(n, r);
}

int node_on_fenced(struct node *n, const struct event *event)
{
    struct slot *s = node_slot_at(n, event->u.fenced.slot);

    if (!s || s->guest || !s->is_fencing || s->fence != event->u.fenced.fence
        || !run_id_equal(&s->run_id, &event->run))
        return 0;
    s->is_fencing = false;
    if (s->is_void || !is_wanted(s))
        return give_up(n, s);
    return is_local(n, s) ? node_begin(n, s) : node_emit_lease(n, s, ACTION_LEASE);
}

int node_may_live(struct node *n, const struct slot *s)
{
    struct exception *e;

    if (!s->fence)
        return 0;
    e = run_except(s->run, s->span, s->index);
    if (!e)
        return -ENOMEM;
    e->fence = s->fence;
    e->alive_until = n->now + EXCLUSIVE_WAIT;
    return 0;
}

time_us node_fence_left(const struct node *n, const struct span *s, uint64_t index)
{
    const struct exception *e = span_exception(s, index);

    return e && e->alive_until > n->now ? e->alive_until - n->now : 0;
}

/* Of a node that knows no others nothing can be alive elsewhere, and what ran here was
 * ended before this is told. */
int node_on_restore_fence(struct node *n, const struct event *event)
{
    struct run *r = node_find_run(n, &event->run);
    bool is_alone = !n->placement.has_others;

    if (!r || r->phase != RUN_LOADING)
        return 0;
    return attempts_load_fence(r, &event->u.fence.task, event->u.fence.fence,
                               is_alone ? 0 : n->now + EXCLUSIVE_WAIT);
}
