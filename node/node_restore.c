/* SPDX-License-Identifier: Apache-2.0 */
/* Reading runs back, and adopting what another run made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/node_internal.h"

int node_on_restore_attempt(struct node *n, const struct attempt_record *record)
{
    struct run *r = node_find_run(n, &record->run);
    struct remake *torn = NULL;
    bool is_taken;
    int error;

    if (!r || r->phase != RUN_LOADING)
        return 0;
    error = attempts_load(r, record, &is_taken);
    if (error == 0 && is_taken && r->remakes)
        error = node_find_torn(r, record, &torn);
    return error || !torn ? error : remake_tear(r, torn);
}

/* Its node died before what is behind them was written again. */
static int tear_again(struct node *n, struct run *r)
{
    struct remake *m, *next;
    int error = 0;

    HASH_ITER (hh, r->remakes, m, next)
        if (error == 0 && m->is_torn)
            error = node_tear(n, r, m, 0);
    return error;
}

int node_on_restore_lost(struct node *n, const struct run_id *run,
                         const struct task_id *task)
{
    struct run *r = node_find_run(n, run);

    if (!r || r->phase != RUN_LOADING)
        return 0;
    if (n->n_lost == n->cap_lost) {
        size_t cap = n->cap_lost ? 2 * n->cap_lost : 16;
        struct lost_task *lost = realloc(n->lost, cap * sizeof(lost[0]));

        if (!lost)
            return -ENOMEM;
        n->lost = lost;
        n->cap_lost = cap;
    }
    n->lost[n->n_lost++] = (struct lost_task){ .run = *run, .task = *task };
    return 0;
}

/* It counts only if all that it started from was read back too: else it starts anew,
 * as if it never had. */
static int lose(struct node *n, struct run *r, const struct lost_task *lost)
{
    CLEANUP(attempt_record_release)
    struct attempt_record record = { .reason = REASON_LOST, .ended_wall = n->wall };
    uint32_t iteration, attempt;
    struct span *s;
    uint64_t index;
    int error;

    if (run_locate(r, &lost->task, false, &s, &index) < 0)
        return 0;
    attempts_next(s, index, &iteration, &attempt);
    if (iteration != lost->task.iteration)
        return 0;
    error = s == node_due_hook(r) ? 0 : run_unready(r, s, index);
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    record.message = strdup("its node died");
    if (!record.message)
        return -ENOMEM;
    error = node_conclude(n, r, s, index, NULL, &record);
    attempts_forgive_losses(s, index);
    return error;
}

static bool has_tried(const struct run *r, uint32_t hook)
{
    const struct span *s = hook == FLOW_NONE ? NULL : run_span(r, r->root, hook);

    return s && (s->done.count || s->failed.count || s->exceptions);
}

/* A hook that was tried tells how the run had ended, though its tasks may not: by a
 * timeout, say. */
static int keep_outcome(struct run *r)
{
    r->outcome = RUN_FAILED;
    node_stop(r);
    if (r->message)
        return 0;
    r->message = strdup("it had failed when its node died");
    return r->message ? 0 : -ENOMEM;
}

static bool has_secrets(const struct run *r)
{
    for (size_t i = 0; i < r->record.n_parameters; i++)
        if (r->record.parameters[i].is_secret)
            return true;
    return false;
}

/* Secrets are in no record. A task that got none instead could do harm. */
static int end_without_secrets(struct run *r)
{
    if (r->outcome)
        return 0;
    r->outcome = RUN_FAILED;
    node_stop(r);
    if (!r->message)
        r->message = strdup("its secret parameters were lost with its node: resume it "
                            "and give them again");
    return r->message ? 0 : -ENOMEM;
}

static int open_run(struct node *n, struct run *r)
{
    bool is_restored = r->phase == RUN_LOADING;

    int error;

    r->phase = RUN_ACTIVE;
    error = readiness_open(r);
    if (error < 0)
        return error;
    run_sync_queues(r);
    error = node_adopt_held(n, r, false);
    if (error == 0 && r->n_failed)
        error = node_on_failure(n, r);
    if (error == 0 && has_tried(r, r->flow->on_error))
        error = keep_outcome(r);
    if (error == 0)
        error = tear_again(n, r);
    if (error == 0 && is_restored && !r->has_secrets && has_secrets(r))
        error = end_without_secrets(r);
    if (error == 0 && r->n_cancels)
        error = node_cancel(n, r);
    return error ? error : node_mark(n, r);
}

static int open_loaded(struct node *n, struct run *r)
{
    int error = open_run(n, r);

    for (size_t i = 0; i < n->n_lost && error == 0 && !n->config.is_paused; i++)
        if (run_id_equal(&n->lost[i].run, &r->id))
            error = lose(n, r, &n->lost[i]);
    if (error == 0)
        error = node_adopt_held(n, r, true);
    node_forget_told(n, r);
    return error;
}

int node_on_restore_end(struct node *n, const struct run_id *run)
{
    static const struct run_id all;
    bool is_all = run_id_equal(run, &all);
    struct run *r;
    int error = 0;

    DL_FOREACH(n->oldest, r)
    if (error == 0 && r->phase == RUN_LOADING && (is_all || run_id_equal(&r->id, run)))
        error = open_loaded(n, r);
    return error;
}

int node_on_adopt(struct node *n, struct run *r, const struct attempt_record *record)
{
    struct attempt_record copy = *record;
    uint64_t ticket;
    bool is_taken;
    int error;

    if (r->phase != RUN_HELD || record->task.step >= r->flow->n_steps)
        return 0;
    copy.run = r->id;
    copy.attempt = 0;
    copy.verdict = VERDICT_ADOPTED;
    if (!copy.has_origin)
        copy.origin = record->run;
    copy.has_origin = true;
    copy.signature_len = 0; /* it is of the other run */
    error = attempts_load(r, &copy, &is_taken);
    if (error < 0 || !is_taken)
        return error;
    return node_emit_attempt(n, &copy, &ticket);
}

int node_on_release(struct node *n, struct run *r)
{
    return r->phase == RUN_HELD ? open_run(n, r) : 0;
}
