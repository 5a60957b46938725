/* SPDX-License-Identifier: Apache-2.0 */
/* What was done and is lost: a task whose outputs nobody has any more is done again,
 * and who needs them is ready again until they are there.
 *
 *     done --- EVENT_UNDO ---> ready, its record written again: output_lost
 *       '----- the REMAKES_MAX + 1st time, or a switch that returns to itself --->
 * failed
 *
 * When it has made something else than before, what was done behind it is stale: the
 * records of that are written again too, and the run is read back from its records. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/node_internal.h"
#include "node/witness.h"
#include "scheduler/remake.h"

static bool counts(enum verdict v)
{
    return v == VERDICT_DONE || v == VERDICT_CAUGHT || v == VERDICT_ADOPTED;
}

/* A run whose success hook began is as good as over. */
static bool may_undo(const struct run *r)
{
    return r->phase == RUN_ACTIVE && !r->is_stopping && !r->n_cancels;
}

/* ---- the record, written again ---- */

static char *message_of(const struct attempt_record *record, const char *why,
                        bool is_last)
{
    char *message;

    if (!is_last || !record->attempt)
        return strdup(why);
    return asprintf(&message, "%s; it was made %u times", why,
                    (unsigned)record->attempt + 1)
                   < 0
               ? NULL
               : message;
}

/* All but what it made, which is gone. */
static int write_again(struct node *n, struct attempt_record *copy, const char *why,
                       bool is_last, uint64_t *ret_ticket)
{
    CLEANUP(freep) char *message = message_of(copy, why, is_last);

    if (!message)
        return -ENOMEM;
    copy->message = message;
    copy->verdict = is_last ? VERDICT_FAILED : VERDICT_LOST;
    return node_emit_again(n, copy, ret_ticket);
}

static int fail(struct node *n, struct run *r, struct span *s, uint64_t index,
                const struct attempt_record *record)
{
    const struct judgement j = { .verdict = VERDICT_FAILED,
                                 .is_final = true,
                                 .taken = FLOW_NONE };
    int error = run_unready(r, s, index);

    r->n_attempts--; /* it was counted when it ended */
    if (error == 0)
        error = attempts_apply(r, s, index, record, &j);
    return error ? error : node_on_failure(n, r);
}

/* Which of its iterations what is lost came from, and what those behind it consumed of
 * each other, is more than one record tells. */
static bool may_loop(const struct run *r, uint32_t step)
{
    const struct step *s = r->steps[step].step;

    for (uint32_t i = 0; s->switch_by && i <= s->n_cases; i++)
        if (switch_target(s, i) == step)
            return true;
    return false;
}

int node_give_up_behind(struct node *n, const struct run *r, uint64_t ticket)
{
    if (!r->has_given_up || r->is_stopping)
        return 0;
    if (!r->n_ready && !r->n_retrying && !r->n_running)
        return 0; /* it ends */
    if (r->is_tentative)
        return 0; /* what is lost is in no record until a majority is back */
    return node_tell_run(n, &r->id, TELL_RUN_TORN, 0, ticket);
}

static int undo(struct node *n, struct run *r, struct span *s, uint64_t index,
                struct attempt_record *copy, const char *why)
{
    struct remake *remake;
    uint64_t ticket;
    bool is_last;
    int error = remake_note(r, copy, &remake);

    if (error < 0)
        return error;
    is_last = remake->times > REMAKES_MAX || may_loop(r, s->step);
    error = write_again(n, copy, why, is_last, &ticket);
    if (error == 0)
        error = node_tell_ended(n, copy, NODE_SLOT_NONE, !is_last, 0, ticket);
    if (error == 0 && is_last) {
        copy->message = (char *)why;
        error = fail(n, r, s, index, copy);
    }
    copy->message = NULL;
    r->outcome = is_last ? r->outcome : 0;
    if (error == 0)
        error = node_recall_blocked(n, r);
    if (error == 0)
        error = node_give_up_behind(n, r, ticket);
    return error ? error : node_mark(n, r);
}

/* It is read as one that counts until that it does not is decided. */
static bool is_known(const struct run *r, const struct attempt_record *lost)
{
    const struct remake *m = remake_find(r, &lost->task);

    return m && lost->attempt <= m->attempt;
}

/* Between two iterations of a switch that returns to itself: the next one consumes it.
 */
static int undo_iteration(struct node *n, struct run *r,
                          const struct attempt_record *lost, struct span **ret_span,
                          uint64_t *ret_index)
{
    int error = run_locate(r, &lost->task, false, ret_span, ret_index);
    const struct exception *e =
        error < 0 ? NULL : span_exception(*ret_span, *ret_index);

    if (!e || e->iteration <= lost->task.iteration)
        return -ENOENT;
    error = node_claim_task(n, r, *ret_span, *ret_index, true, FENCE_ANY);
    return error ? error : remake_undo_iteration(r, lost, *ret_span, *ret_index);
}

int node_on_undo(struct node *n, const struct event *event)
{
    const struct attempt_record *lost = event->u.undo.record;
    struct run *r = node_find_run(n, &lost->run);
    struct attempt_record copy = *lost;
    struct span *s;
    uint64_t index;
    int error;

    if (!r || !may_undo(r) || !counts(lost->verdict) || is_known(r, lost))
        return 0;
    error = remake_undo(r, lost, &s, &index);
    if (error == -ENOENT)
        error = undo_iteration(n, r, lost, &s, &index);
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    copy.reason = REASON_OUTPUT_LOST;
    copy.has_made = true;
    copy.choice = NULL;
    copy.has_width = copy.has_origin = false;
    copy.n_outputs = 0;
    copy.signature_len = 0; /* it is the leader's word from here on */
    error = witness_of_attempt(lost, &copy.made);
    return error ? error : undo(n, r, s, index, &copy, event->u.undo.why);
}

/* ---- what came of it before ---- */

int node_find_torn(const struct run *r, const struct attempt_record *record,
                   struct remake **ret)
{
    struct remake *m = counts(record->verdict) ? remake_find(r, &record->task) : NULL;
    struct digest made;
    int error;

    *ret = NULL;
    if (!m || !m->has_made)
        return 0;
    error = witness_of_attempt(record, &made);
    if (error == 0 && !digest_equal(&made, &m->made))
        *ret = m;
    return error;
}

static int void_behind(struct node *n, struct run *r)
{
    struct slot *s, *next;
    int error = 0;

    for (uint32_t i = 0; i < n->config.slots_max && error == 0; i++) {
        s = &n->slots[i];
        if (s->run == r && !s->is_void && r->steps[s->task.step].is_blocked)
            error = node_void_slot(n, s);
    }
    for (s = r->leases; s && error == 0; s = next) {
        next = s->next_of_run;
        if (r->steps[s->task.step].is_blocked)
            error = node_void_slot(n, s);
    }
    return error;
}

int node_tear(struct node *n, struct run *r, struct remake *remake, uint64_t ticket)
{
    int error = remake_tear(r, remake);

    if (error == 0)
        error = void_behind(n, r);
    return error ? error : node_tell_torn(n, &r->id, &remake->task, ticket);
}

/* The last one: with it the tear is mended, also for who reads the run back. */
static int mend(struct node *n, const struct attempt_record *undone)
{
    struct attempt_record copy = *undone;
    uint64_t ticket;
    int error;

    copy.has_made = false;
    error = node_emit_again(n, &copy, &ticket);
    return error ? error : node_tell_run(n, &copy.run, TELL_RUN_TORN, 0, ticket);
}

int node_on_stale(struct node *n, const struct event *event)
{
    const struct attempt_record *record = event->u.undo.record;
    const struct run *r = node_find_run(n, &record->run);
    struct attempt_record copy = *record;
    uint64_t ticket;
    int error;

    if (!r || !r->n_torn)
        return 0;
    if (record->reason == REASON_OUTPUT_LOST)
        return mend(n, record);
    if (!counts(record->verdict))
        return 0;
    copy.reason = REASON_STALE;
    copy.choice = NULL;
    copy.has_width = copy.has_origin = false;
    copy.n_outputs = 0;
    copy.signature_len = 0;
    error = write_again(n, &copy, event->u.undo.why, false, &ticket);
    return error ? error : node_tell_ended(n, &copy, NODE_SLOT_NONE, true, 0, ticket);
}

/* ---- who needs it ---- */

int node_on_input_gone(struct node *n, uint32_t slot)
{
    struct slot *s = node_slot_at(n, slot);
    struct run *r = s ? s->run : NULL;
    time_us delay;
    int error;

    if (!s || !is_local(n, s))
        return 0;
    if (s->guest)
        return node_guest_returned(n, s);
    if (s->is_void) {
        node_vacate(n, s);
        return node_mark(n, r);
    }
    error = node_refuse(s, &delay);
    return error ? error : node_take_back(n, s, delay);
}

static int wake_span(struct node *n, struct run *r, struct span *s)
{
    struct exception *e, *next;
    int error = 0;

    HASH_ITER (hh, s->exceptions, e, next) {
        if (error < 0 || !e->is_waiting || !e->n_refused)
            continue;
        node_stop_retry(n, e);
        error = run_make_ready(r, s, e->index, e->index + 1);
    }
    return error;
}

/* Who was refused, maybe for want of this: at once, not when its pause is over. */
int node_on_remade(struct node *n, struct run *r, const struct task_id *task)
{
    struct instance *in, *next;
    int error = 0;

    if (!r->n_retrying || !remake_find(r, task))
        return 0;
    HASH_ITER (hh, r->instances, in, next)
        for (uint32_t i = 0; i < in->n_spans && error == 0; i++)
            error = wake_span(n, r, &in->spans[i]);
    return error;
}
