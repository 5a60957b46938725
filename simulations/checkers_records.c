/* SPDX-License-Identifier: Apache-2.0 */
/* The checkers of what the node writes and tells. */
#include "simulations/checkers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "simulations/oracle.h"

/* A task that failed for good may stop the run, and its name is in the run's end. */
static void note_failure(struct ledger_run *r, const struct ledger_task *t,
                         time_us wall)
{
    const struct step *s = &r->flow->steps[t->id.step];

    if (s->is_hook || t->counted || oracle_retries(s, t))
        return;
    if (r->on_failure != ON_FAILURE_FINISH)
        r->is_stopping = true;
    if (r->first_failed_wall && wall > r->first_failed_wall)
        return;
    r->first_failed = wall == r->first_failed_wall ? FLOW_NONE : t->id.step;
    r->first_failed_wall = wall;
}

/* ---- persisted ---- */

static void persist_run(struct checker *c, const struct action *a)
{
    struct ledger_run *r = checker_run(c, &a->run);
    struct run_record record;

    if (!r
        || run_record_decode(a->u.persist.value, a->u.persist.value_len, &record) < 0) {
        checker_violation(c, "record", "a run's record that is none");
        return;
    }
    if (record.number != r->number)
        checker_violation(c, "record", "run %u is written as %u", (unsigned)r->number,
                          (unsigned)record.number);
    r->accept_ticket = a->ticket;
    run_record_release(&record);
}

static bool fits_reason(const struct attempt_record *record, const struct step *s)
{
    switch (record->verdict) {
    case VERDICT_DONE:
    case VERDICT_ADOPTED:
        return record->reason == REASON_OK;
    case VERDICT_CAUGHT:
        return record->reason != REASON_OK && s->catch_var;
    case VERDICT_FAILED:
        return record->reason != REASON_OK;
    case VERDICT_LOST:
        return record->reason == REASON_LOST;
    }
    return false;
}

static bool is_told_lost(const struct checker *c, const struct attempt_record *record)
{
    for (size_t i = 0; i < c->n_lost; i++)
        if (run_id_equal(&c->lost[i].run, &record->run)
            && task_id_equal(&c->lost[i].task, &record->task))
            return true;
    return false;
}

/* Of what did not end just now only these are written. */
static bool may_be_written(const struct checker *c, const struct attempt_record *record)
{
    return record->verdict == VERDICT_ADOPTED || record->reason == REASON_START
           || (record->reason == REASON_LOST && is_told_lost(c, record));
}

static void check_ending(struct checker *c, const struct attempt_record *record)
{
    bool is_ending = c->ending.run && run_id_equal(&record->run, &c->ending.run->id)
                     && task_id_equal(&record->task, &c->ending.task)
                     && record->attempt == c->ending.attempt;

    if (!is_ending) {
        if (!may_be_written(c, record))
            checker_violation(c, "written", "an attempt that did not end ('%s')",
                              reason_name(record->reason));
        return;
    }
    c->ending.is_written = true;
    if (record->verdict == VERDICT_DONE && c->ending.reason != REASON_OK)
        checker_violation(c, "verdict", "done, and it ended with '%s'",
                          reason_name(c->ending.reason));
    if (record->verdict == VERDICT_CAUGHT && c->ending.why == REASON_CANCELLED)
        checker_violation(c, "verdict", "caught, and it was cancelled");
}

/* So many losses are for free; the next is a failure. */
static uint32_t free_losses(const struct step *s)
{
    return s->retry.lost_max ? s->retry.lost_max - 1 : 0;
}

static void check_attempts(struct checker *c, const struct ledger_run *r,
                           const struct ledger_task *t)
{
    const struct step *s = &r->flow->steps[t->id.step];
    const struct ledger_attempt *last = ledger_last(t);

    if (ledger_count(t, VERDICT_FAILED) > s->retry.times + 1)
        checker_violation(c, "attempts", "%s failed %u times", s->name,
                          ledger_count(t, VERDICT_FAILED));
    /* The deaths of the one node are not added up. */
    if (ledger_count(t, VERDICT_LOST) && free_losses(s) == 0)
        checker_violation(c, "attempts", "%s was lost %u times", s->name,
                          ledger_count(t, VERDICT_LOST));
    if (last->reason == REASON_LOST && last->verdict != VERDICT_LOST
        && ledger_count(t, VERDICT_LOST) < free_losses(s))
        checker_violation(c, "attempts", "%s is charged with a loss", s->name);
}

void checker_note_attempt(struct checker *c, struct ledger_run *r,
                          const struct attempt_record *record, uint64_t ticket)
{
    struct ledger_task *t = ledger_task(r, &record->task);
    const struct step *s = &r->flow->steps[record->task.step];
    struct ledger_attempt *written;

    if (t->counted)
        checker_violation(c, "one-counts", "%s is done, and another attempt is written",
                          s->name);
    if (ledger_attempt(t, record->attempt))
        checker_violation(c, "one-attempt", "attempt %u of %s is written twice",
                          record->attempt, s->name);
    written = ledger_add(r, record);
    written->ticket = ticket;
    check_attempts(c, r, t);
    if (!t->counted && ticket && oracle_retries(s, t))
        t->not_before = c->now + oracle_delay(s, t);
    note_failure(r, t, record->ended_wall);
}

static void persist_attempt(struct checker *c, const struct action *a)
{
    struct attempt_record record = { .attempt = 0 };
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    struct ledger_run *r = checker_run(c, &a->run);
    int bad = attempt_key_decode(a->u.persist.key, a->u.persist.key_len, &run, &task,
                                 &attempt);

    if (bad || !r || !r->is_known || r->has_end || !run_id_equal(&run, &r->id)
        || task.step >= r->flow->n_all_steps
        || attempt_record_decode(a->u.persist.value, a->u.persist.value_len, &record)
               < 0) {
        checker_violation(c, "record", "an attempt's record that is none");
        return;
    }
    record.run = run;
    record.task = task;
    record.attempt = attempt;
    if (!fits_reason(&record, &r->flow->steps[task.step]))
        checker_violation(c, "verdict", "%s: verdict %d for '%s'",
                          r->flow->steps[task.step].name, (int)record.verdict,
                          reason_name(record.reason));
    check_ending(c, &record);
    checker_note_attempt(c, r, &record, a->ticket);
    attempt_record_release(&record);
}

static enum run_outcome expected_outcome(const struct oracle_summary *s)
{
    return s->n_failed ? RUN_FAILED : RUN_OK;
}

static void check_outcome(struct checker *c, const struct ledger_run *r,
                          const struct oracle_summary *s)
{
    enum run_outcome outcome = r->end.outcome;
    bool may_leave = checker_may_leave_ready(c, r);

    /* An old one may have come in time, before what a crash left to be done was. */
    if (outcome == RUN_CANCELLED
        && (!r->n_cancels || (r->cancel_was_late && !r->is_cancel_old)))
        checker_violation(c, "outcome", "cancelled %s",
                          r->n_cancels ? "too late" : "by nobody");
    if (outcome != RUN_CANCELLED && r->n_cancels && !r->cancel_was_late
        && !checker_timed_out(c, r))
        checker_violation(c, "outcome", "%s after a cancel", run_outcome_name(outcome));
    if (outcome == RUN_OK && (s->n_failed || s->n_ready || s->n_waiting))
        checker_violation(c, "outcome", "ok with %u failed, %u ready, %u waiting",
                          (unsigned)s->n_failed, (unsigned)s->n_ready,
                          (unsigned)s->n_waiting);
    if (!may_leave && outcome != expected_outcome(s))
        checker_violation(c, "outcome", "%s, and it should be %s",
                          run_outcome_name(outcome),
                          run_outcome_name(expected_outcome(s)));
    if (outcome == RUN_OK && checker_has_error_hook(r))
        checker_violation(c, "outcome", "ok after the hook for a failure");
    if (!may_leave && s->n_ready)
        checker_violation(c, "outcome", "ended with %u ready tasks",
                          (unsigned)s->n_ready);
}

static void check_count(struct checker *c, const char *what, uint64_t is,
                        uint64_t least, uint64_t most)
{
    if (is < least || is > most)
        checker_violation(c, "counts", "%" PRIu64 " %s, not %" PRIu64 " to %" PRIu64,
                          is, what, least, most);
}

static void check_counts(struct checker *c, const struct ledger_run *r,
                         const struct oracle_summary *s)
{
    const struct run_end_record *e = &r->end;
    uint64_t n_made = s->n_made + s->hooks_done;

    check_count(c, "done", e->n_done, n_made, n_made);
    check_count(c, "adopted", e->n_adopted, s->n_adopted, s->n_adopted);
    check_count(c, "attempts", e->n_attempts, s->n_attempts, s->n_attempts);
    check_count(c, "failed", e->n_failed, s->n_failed, s->n_tried_in_vain);
    check_count(c, "skipped", e->n_skipped, s->n_skipped, s->n_skipped);
    /* An adopted task may stand behind one that failed this time. */
    if (!s->n_adopted)
        check_count(c, "reachable", s->n_made, s->n_done, s->n_done);
}

static void check_hooks(struct checker *c, const struct ledger_run *r,
                        const struct oracle_summary *s)
{
    uint32_t hook = r->end.outcome == RUN_OK ? r->flow->on_success : r->flow->on_error;
    bool is_due = hook != FLOW_NONE && r->end.outcome != RUN_CANCELLED;

    if (s->hooks_done + s->hooks_failed > 1)
        checker_violation(c, "hook", "two hooks ran");
    if (is_due && !(s->hooks_done + s->hooks_failed) && !r->was_cancelled)
        checker_violation(c, "hook", "it did not run");
}

static void check_message(struct checker *c, const struct ledger_run *r)
{
    const char *message = r->end.message;
    char expected[160];

    if (r->end.outcome == RUN_FAILED && !message)
        checker_violation(c, "outcome", "failed, and no message says why");
    if (r->end.outcome != RUN_FAILED || !message || !r->first_failed_wall
        || r->first_failed == FLOW_NONE || checker_timed_out(c, r))
        return;
    (void)snprintf(expected, sizeof(expected), "step '%.128s'",
                   r->flow->steps[r->first_failed].name);
    if (strncmp(message, expected, strlen(expected)) != 0)
        checker_violation(c, "outcome", "the first failure was of %s, not: %.200s",
                          expected, message);
}

static void persist_end(struct checker *c, const struct action *a)
{
    struct ledger_run *r = checker_run(c, &a->run);
    struct run_end_record end = { .message = NULL };
    struct oracle_summary s;

    if (!r || !r->is_known
        || run_end_record_decode(a->u.persist.value, a->u.persist.value_len, &end)
               < 0) {
        checker_violation(c, "record", "a run's end that is none");
        return;
    }
    if (r->has_end)
        checker_violation(c, "end-once", "run %u ends twice", (unsigned)r->number);
    if (r->n_running)
        checker_violation(c, "end-once", "run %u ends with %u running tasks",
                          (unsigned)r->number, r->n_running);
    run_end_record_release(&r->end);
    r->end = end;
    r->has_end = true;
    r->end_ticket = a->ticket;
    oracle_summarise(r, &s);
    check_outcome(c, r, &s);
    check_counts(c, r, &s);
    check_hooks(c, r, &s);
    check_message(c, r);
}

void checker_persist(struct checker *c, const struct action *a)
{
    const uint8_t *key = a->u.persist.key;

    c->n_checks++;
    if (a->ticket != c->last_ticket + 1)
        checker_violation(c, "tickets", "%" PRIu64 " after %" PRIu64, a->ticket,
                          c->last_ticket);
    c->last_ticket = a->ticket;
    switch (a->u.persist.key_len ? key[0] : 0) {
    case 'r':
        persist_run(c, a);
        break;
    case 'a':
        persist_attempt(c, a);
        break;
    case 'e':
        persist_end(c, a);
        break;
    case 'f':
    case 'n':
        break;
    default:
        checker_violation(c, "record", "an unknown kind of key");
        break;
    }
}

/* ---- told ---- */

static void tell_task_ended(struct checker *c, const struct ledger_run *r,
                            const struct action *a)
{
    const struct ledger_task *t = ledger_find(r, &a->task);
    const struct ledger_attempt *written = t ? ledger_attempt(t, a->attempt) : NULL;
    const struct step *s = &r->flow->steps[a->task.step];
    bool is_retried;

    if (!written || !written->ticket || written->ticket > a->ticket) {
        checker_violation(c, "durable", "the end of an attempt of %s is told %s",
                          s->name,
                          written ? "with too low a ticket" : "and was not persisted");
        return;
    }
    if (written->verdict != a->u.tell.verdict || written->reason != a->u.tell.reason)
        checker_violation(c, "told-right", "%s: told what was not written", s->name);
    is_retried = !t->counted && oracle_retries(s, t);
    if (a->u.tell.is_retried != is_retried
        && !(is_retried && (checker_may_leave_ready(c, r) || r->flow->timeout_us)))
        checker_violation(c, "retry", "%s %s another attempt", s->name,
                          is_retried ? "should get" : "should not get");
}

void checker_tell(struct checker *c, const struct action *a)
{
    struct ledger_run *r = checker_run(c, &a->run);

    c->n_checks++;
    if (!r) {
        checker_violation(c, "told-right", "of an unknown run");
        return;
    }
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
        if (!r->accept_ticket || a->ticket < r->accept_ticket)
            checker_violation(c, "durable", "run %u is accepted with too low a ticket",
                              (unsigned)r->number);
        break;
    case TELL_TASK_STARTED:
        if (a->ticket)
            checker_violation(c, "told-right", "a start waits for a ticket");
        break;
    case TELL_TASK_ENDED:
        tell_task_ended(c, r, a);
        break;
    case TELL_RUN_ENDED:
        if (!r->has_end || a->ticket < r->end_ticket)
            checker_violation(c, "durable", "run %u is ended with too low a ticket",
                              (unsigned)r->number);
        else if (r->end.outcome != a->u.tell.outcome)
            checker_violation(c, "told-right", "run %u: told what was not written",
                              (unsigned)r->number);
        r->is_known = false;
        break;
    case TELL_TASK_TORN:
    case TELL_RUN_TORN:
    case TELL_RUN_NUMBERED:
        break;
    case TELL_RUN_REFUSED:
        checker_violation(c, "told-right", "run %u is refused by a node alone",
                          (unsigned)r->number);
        break;
    }
}
