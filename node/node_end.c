/* SPDX-License-Identifier: Apache-2.0 */
/* How a run stops and ends.
 *
 *     active -- nothing runs, and nothing is ready or it is stopping --> outcome
 *     outcome -- a hook for it, and nobody cancelled --> hook -- ended --> end record
 *             '- else ------------------------------------------------------^ */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "node/node_internal.h"

int node_kill(struct node *n, struct slot *s, int signal, enum reason why)
{
    if (s->signal == SIGKILL || s->signal == signal)
        return 0;
    s->signal = signal;
    s->why = s->why ? s->why : why;
    if (s->is_fencing) /* it is not started */
        return 0;
    if (signal == SIGKILL && is_local(n, s))
        timers_cancel(&n->timers, &s->timer);
    else if (timers_set(&n->timers, &s->timer,
                        n->now
                            + (signal == SIGKILL ? LEASE_ANSWER_MAX
                                                 : n->config.grace_us))
             < 0)
        return -ENOMEM;
    return node_emit_kill(n, s);
}

static int kill_all(struct node *n, const struct run *r, int signal, enum reason why)
{
    int error = 0;

    for (uint32_t i = 0; i < n->config.slots_max && error == 0; i++) {
        if (n->slots[i].run != r)
            continue;
        n->slots[i].is_ended = true;
        error = node_kill(n, &n->slots[i], signal, why);
    }
    for (struct slot *s = r->leases; s && error == 0; s = s->next_of_run) {
        s->is_ended = true;
        error = node_kill(n, s, signal, why);
    }
    return error;
}

void node_stop(struct run *r)
{
    r->is_stopping = true;
    for (uint32_t i = 0; i < r->flow->n_all_steps; i++)
        run_sync_step(r, i);
}

int node_on_failure(struct node *n, struct run *r)
{
    if (r->on_failure == ON_FAILURE_FINISH || r->is_stopping)
        return 0;
    node_stop(r);
    if (!r->outcome)
        r->outcome = RUN_FAILED;
    return r->on_failure == ON_FAILURE_KILL ? kill_all(n, r, SIGTERM, REASON_CANCELLED)
                                            : node_recall_waiting(n, r);
}

/* The first that stops a run decides its outcome; what is finished stays finished. */
static bool is_cancel_in_time(const struct run *r)
{
    if (r->phase != RUN_HOOK && !r->is_stopping)
        return true;
    return r->n_failed == 0 && r->n_open > 0;
}

int node_cancel(struct node *n, struct run *r)
{
    int error;

    if (is_cancel_in_time(r))
        r->outcome = RUN_CANCELLED;
    node_stop(r);
    error = kill_all(n, r, r->n_cancels > 1 ? SIGKILL : SIGTERM, REASON_CANCELLED);
    return error ? error : node_mark(n, r);
}

int node_on_cancel(struct node *n, struct run *r)
{
    r->n_cancels++;
    return r->phase == RUN_LOADING ? 0 : node_cancel(n, r);
}

int node_on_run_timeout(struct node *n, struct run *r)
{
    int error;

    r->is_timed_out = true;
    if (!r->outcome)
        r->outcome = RUN_FAILED;
    if (!r->message
        && asprintf(&r->message, "the run took longer than its timeout of %g s",
                    (double)r->flow->timeout_us / TIME_S(1))
               < 0) {
        r->message = NULL;
        return -ENOMEM;
    }
    node_stop(r);
    error = kill_all(n, r, SIGTERM, REASON_TIMEOUT);
    return error ? error : node_mark(n, r);
}

/* ---- the hook ---- */

static struct span *hook_of(const struct run *r, enum run_outcome outcome)
{
    uint32_t hook = outcome == RUN_OK ? r->flow->on_success : r->flow->on_error;

    if (r->n_cancels || outcome == RUN_CANCELLED || hook == FLOW_NONE)
        return NULL;
    return run_span(r, r->root, hook);
}

static bool is_resolved(const struct span *s)
{
    return s->done.count || s->failed.count;
}

static int start_hook(struct node *n, struct run *r, struct span *s)
{
    timers_cancel(&n->timers, &r->timer);
    r->timeout_left = 0;
    r->phase = RUN_HOOK;
    if (iset_add(&s->released, 0) < 0)
        return -ENOMEM;
    return run_make_ready(r, s, 0, 1);
}

/* ---- the end ---- */

void node_forget_run(struct node *n, struct run *r)
{
    for (uint32_t i = 0; i < n->config.slots_max; i++) {
        if (n->slots[i].run != r)
            continue;
        timers_cancel(&n->timers, &n->slots[i].timer);
        n->slots[i].run = NULL;
    }
    node_forget_told(n, r);
    HASH_DELETE(hh, n->runs, r);
    DL_DELETE(n->oldest, r);
    n->n_runs--;
    run_free(r);
}

static int end(struct node *n, struct run *r)
{
    struct run_end_record record = { .run = r->id,
                                     .outcome = r->outcome,
                                     .started_wall = r->started_wall,
                                     .ended_wall = n->wall,
                                     .n_done = r->n_done,
                                     .n_failed = r->n_failed,
                                     .n_skipped = r->n_skipped,
                                     .n_adopted = r->n_adopted,
                                     .n_attempts = r->n_attempts,
                                     .message = r->message };
    uint64_t ticket;
    int error = node_emit_run_end(n, &record, &ticket);

    if (error == 0)
        error = node_tell_run(n, &r->id, TELL_RUN_ENDED, r->outcome, ticket);
    if (error == 0)
        node_forget_run(n, r);
    return error;
}

static enum run_outcome outcome_of(const struct run *r)
{
    if (r->outcome)
        return r->outcome;
    return r->n_failed || r->n_open ? RUN_FAILED : RUN_OK;
}

static bool can_go_on(const struct run *r)
{
    if (r->phase == RUN_LOADING || r->n_running)
        return true;
    if (r->phase == RUN_HOOK)
        return !r->n_cancels && !is_resolved(hook_of(r, r->outcome));
    /* What was made of something else is not to be in the records of its end. */
    if (r->n_torn && !r->n_cancels)
        return true;
    if (r->is_stopping)
        return false;
    return r->phase == RUN_HELD || r->n_torn || r->n_ready || r->n_retrying;
}

struct span *node_due_hook(const struct run *r)
{
    struct span *hook;

    if (r->phase != RUN_ACTIVE || can_go_on(r))
        return NULL;
    hook = hook_of(r, outcome_of(r));
    return hook && !is_resolved(hook) ? hook : NULL;
}

/* All is done, so its time is no longer limited. */
static int wait_for_copies(struct node *n, struct run *r)
{
    timers_cancel(&n->timers, &r->timer);
    r->timeout_left = 0;
    return 0;
}

int node_settle(struct node *n, struct run *r)
{
    struct span *hook = node_due_hook(r);

    if (can_go_on(r))
        return 0;
    r->outcome = outcome_of(r);
    if (hook)
        return start_hook(n, r, hook);
    return r->outcome == RUN_OK && r->n_keeping ? wait_for_copies(n, r) : end(n, r);
}
