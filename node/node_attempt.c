/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an attempt: it is judged, written down and told, and what follows from it
 * becomes ready. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/node_internal.h"

int node_give_up_outputs(struct attempt_record *record)
{
    struct attempt_record bare = { .run = record->run,
                                   .task = record->task,
                                   .attempt = record->attempt,
                                   .reason = REASON_OUTPUT,
                                   .started_wall = record->started_wall,
                                   .ended_wall = record->ended_wall,
                                   .pid = record->pid,
                                   .node = record->node,
                                   .boot = record->boot,
                                   .counter = record->counter,
                                   .witness = record->witness,
                                   .has_witness = record->has_witness,
                                   .fence = record->fence };

    bare.message = strdup("its outputs cannot be written down: too many, or one has no "
                          "name");
    if (!bare.message)
        return -ENOMEM;
    attempt_record_release(record);
    *record = bare;
    return 0;
}

static int write_down(struct node *n, const struct run *r, const struct span *s,
                      uint64_t index, bool is_ended, struct attempt_record *record,
                      struct judgement *j, uint64_t *ret_ticket)
{
    int error = attempts_judge(r, s, index, is_ended, record, j);

    if (error == 0)
        error = node_emit_attempt(n, record, ret_ticket);
    if (error == 0 || error == -ENOMEM)
        return error;
    error = node_give_up_outputs(record);
    if (error == 0)
        error = attempts_judge(r, s, index, is_ended, record, j);
    return error ? error : node_emit_attempt(n, record, ret_ticket);
}

static bool goes_on(const struct run *r, const struct span *s)
{
    return r->steps[s->step].step->is_hook ? r->n_cancels == 0 : !r->is_stopping;
}

int node_try_again(struct node *n, struct run *r, struct span *s, uint64_t index,
                   time_us delay)
{
    struct exception *e = span_exception(s, index);

    if (!delay)
        return run_make_ready(r, s, index, index + 1);
    e->is_waiting = true;
    r->n_retrying++;
    r->steps[s->step].n_retrying++;
    return timers_set(&n->timers, &e->timer, n->now + delay);
}

void node_stop_retry(struct node *n, struct exception *e)
{
    timers_cancel(&n->timers, &e->timer);
    e->is_waiting = false;
    e->run->n_retrying--;
    e->run->steps[e->span->step].n_retrying--;
}

static int go_on(struct node *n, struct run *r, struct span *s, uint64_t index)
{
    struct task_id task = run_task_id(r, s, index);
    int error = readiness_done(r, s, index);

    return error ? error : node_on_remade(n, r, &task);
}

static int follow(struct node *n, struct run *r, struct span *s, uint64_t index,
                  enum verdict verdict, const struct judgement *j)
{
    /* A hook that was lost with the last node is started when the run is settled. */
    if (r->steps[s->step].step->is_hook && r->phase != RUN_HOOK)
        return 0;
    if (verdict == VERDICT_DONE || verdict == VERDICT_CAUGHT)
        return j->is_again ? run_make_ready(r, s, index, index + 1)
                           : go_on(n, r, s, index);
    if (!j->is_final)
        return node_try_again(n, r, s, index, j->delay);
    return r->steps[s->step].step->is_hook ? 0 : node_on_failure(n, r);
}

/* What carried it out is written down as it says. */
static void name_attempt(struct run *r, struct span *s, uint64_t index,
                         const struct node *n, const struct slot *slot,
                         struct attempt_record *record)
{
    record->run = r->id;
    record->task = run_task_id(r, s, index);
    if (slot && is_local(n, slot))
        record->gpus = slot->claim.gpus.indexes;
    if (slot && slot->fence)
        record->fence = slot->fence;
    attempts_next(s, index, &record->task.iteration, &record->attempt);
}

int node_conclude(struct node *n, struct run *r, struct span *s, uint64_t index,
                  struct slot *slot, struct attempt_record *record)
{
    bool is_ended = slot && slot->is_ended;
    struct remake *torn = NULL;
    struct judgement j;
    uint64_t ticket;
    bool is_retried;
    int error;

    name_attempt(r, s, index, n, slot, record);
    error = write_down(n, r, s, index, is_ended, record, &j, &ticket);
    if (error < 0)
        return error;
    is_retried = !j.is_final && !j.is_again && goes_on(r, s);
    error = node_tell_ended(n, record, slot ? slot->number : NODE_SLOT_NONE, is_retried,
                            is_retried ? j.delay : 0, ticket);
    if (error == 0 && r->remakes)
        error = node_find_torn(r, record, &torn);
    if (error == 0)
        error = attempts_apply(r, s, index, record, &j);
    if (error == 0 && slot)
        node_vacate(n, slot);
    if (error == 0 && torn)
        error = node_tear(n, r, torn, ticket);
    if (error == 0)
        error = follow(n, r, s, index, record->verdict, &j);
    if (error == 0 && j.is_final && record->verdict == VERDICT_FAILED && r->remakes
        && remake_find(r, &record->task))
        error = node_give_up_behind(n, r, ticket);
    return error ? error : node_mark(n, r);
}

/* Nobody here asked its worker to end it: that is no fault of the task. */
static bool is_given_up(const struct node *n, const struct slot *s,
                        const struct attempt_record *record)
{
    return !is_local(n, s) && record->reason == REASON_CANCELLED && !s->is_ended;
}

void node_complete_result(const struct flow *flow, struct attempt_record *record)
{
    attempts_set_width(&flow->steps[record->task.step], record);
}

/* It may have failed because something that it read was gone, and is made again. */
static bool is_disturbed(const struct run *r, const struct slot *s,
                         const struct attempt_record *record)
{
    if (!r->steps[s->task.step].is_blocked || s->is_ended)
        return false;
    return record->reason == REASON_EXIT || record->reason == REASON_START
           || record->reason == REASON_INPUT || record->reason == REASON_WIDTH
           || record->reason == REASON_MERGE;
}

int node_on_ended(struct node *n, uint32_t slot, struct attempt_record *record)
{
    struct slot *s = node_slot_at(n, slot);
    struct run *r = s ? s->run : NULL;
    int error = 0;

    if (!s || s->is_fencing)
        return 0;
    if (s->guest)
        return node_guest_ended(n, s, record);
    if (s->is_void) {
        node_vacate(n, s);
        return node_mark(n, r);
    }
    if (is_given_up(n, s, record) || is_disturbed(r, s, record)) {
        record->reason = REASON_LOST;
        record->is_judged = true;
    }
    if (!is_local(n, s) && !s->is_started)
        error = node_note_started(n, s);
    return error ? error : node_conclude(n, r, s->span, s->index, s, record);
}
