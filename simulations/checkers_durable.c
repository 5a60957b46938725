/* SPDX-License-Identifier: Apache-2.0 */
/* The checkers of what others were told, what a crash keeps and what is read again. */
#include "simulations/checkers.h"

#include <string.h>

static bool is_durable(struct checker *c, const struct record_key *key,
                       struct buffer *ret)
{
    struct span span = { key->bytes, key->len };

    return disk_durable(c->disk, STORE_RECORDS, span, ret) == 0;
}

static bool has_run(struct checker *c, const struct ledger_run *r)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct record_key key = run_key(&r->id);
    struct run_record record;

    if (!is_durable(c, &key, &bytes)
        || run_record_decode(bytes.data, bytes.len, &record) < 0)
        return false;
    run_record_release(&record);
    return true;
}

static bool has_end(struct checker *c, const struct ledger_run *r,
                    enum run_outcome *ret_outcome)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct record_key key = run_end_key(&r->id);
    struct run_end_record record;

    if (!is_durable(c, &key, &bytes)
        || run_end_record_decode(bytes.data, bytes.len, &record) < 0)
        return false;
    *ret_outcome = record.outcome;
    run_end_record_release(&record);
    return true;
}

static bool has_attempt(struct checker *c, const struct ledger_run *r,
                        const struct task_id *task, uint32_t attempt,
                        enum verdict verdict)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct record_key key = attempt_key(&r->id, task, attempt);
    struct attempt_record record = { .attempt = 0 };
    bool is_same;

    if (!is_durable(c, &key, &bytes)
        || attempt_record_decode(bytes.data, bytes.len, &record) < 0)
        return false;
    is_same = record.verdict == verdict;
    attempt_record_release(&record);
    return is_same;
}

static void told_attempt(struct checker *c, struct ledger_run *r,
                         const struct action *a)
{
    struct ledger_task *t = ledger_find(r, &a->task);
    struct ledger_attempt *told = t ? ledger_attempt(t, a->attempt) : NULL;

    if (!told || !has_attempt(c, r, &a->task, a->attempt, a->u.tell.verdict)) {
        checker_violation(c, "durable", "an attempt of %s is told and not on the disk",
                          r->flow->steps[a->task.step].name);
        return;
    }
    told->is_told = true;
    t->was_told_done |= verdict_counts(told->verdict);
}

void checker_told(struct checker *c, const struct action *a)
{
    struct ledger_run *r = checker_run(c, &a->run);
    enum run_outcome outcome;

    switch (r ? a->u.tell.type : 0) {
    case TELL_RUN_ACCEPTED:
        if (!has_run(c, r))
            checker_violation(c, "durable", "run %u is accepted and not on the disk",
                              (unsigned)r->number);
        r->is_accepted = true;
        break;
    case TELL_TASK_ENDED:
        told_attempt(c, r, a);
        break;
    case TELL_RUN_ENDED:
        if (!has_end(c, r, &outcome) || outcome != a->u.tell.outcome)
            checker_violation(c, "durable", "run %u is told ended and not on the disk",
                              (unsigned)r->number);
        if (r->is_ended)
            checker_violation(c, "end-once", "run %u is told ended twice",
                              (unsigned)r->number);
        r->is_ended = true;
        break;
    default:
        break;
    }
}

static void check_survived(struct checker *c, const struct ledger_run *r)
{
    enum run_outcome outcome;

    if (r->is_accepted && !has_run(c, r))
        checker_violation(c, "lost", "run %u was accepted", (unsigned)r->number);
    if (r->is_ended && !has_end(c, r, &outcome))
        checker_violation(c, "lost", "the end of run %u was told", (unsigned)r->number);
    for (const struct ledger_task *t = r->tasks; t; t = t->hh.next)
        for (size_t i = 0; i < t->n_attempts; i++)
            if (t->attempts[i].is_told
                && !has_attempt(c, r, &t->id, t->attempts[i].attempt,
                                t->attempts[i].verdict))
                checker_violation(c, "lost", "the end of attempt %u of %s was told",
                                  t->attempts[i].attempt,
                                  r->flow->steps[t->id.step].name);
}

/* After disk_crash(). */
void checker_crash(struct checker *c)
{
    for (size_t i = 0; i < c->n_runs; i++) {
        check_survived(c, c->runs[i]);
        ledger_run_crash(c->runs[i]);
    }
    memset(c->slots, 0, sizeof(c->slots));
    c->last_ticket = 0;
    c->n_lost = 0;
    c->is_restoring = true;
    c->ending.run = NULL;
}

void checker_restore_run(struct checker *c, const struct run_record *record)
{
    struct ledger_run *r = checker_run(c, &record->run);

    if (!r) {
        checker_violation(c, "record", "a run nobody submitted is on the disk");
        return;
    }
    if (r->is_ended)
        checker_violation(c, "end-once", "run %u was told ended and goes on",
                          (unsigned)r->number);
    r->is_known = r->is_accepted = true;
    r->is_held = false;
    r->started = c->now;
}

void checker_restore_attempt(struct checker *c, const struct attempt_record *record)
{
    struct ledger_run *r = checker_run(c, &record->run);
    struct ledger_task *t;

    if (!r || record->task.step >= r->flow->n_all_steps) {
        checker_violation(c, "record", "an attempt of no run is on the disk");
        return;
    }
    checker_note_attempt(c, r, record, 0);
    t = ledger_find(r, &record->task);
    ledger_attempt(t, record->attempt)->is_told = true;
    t->was_told_done |= verdict_counts(record->verdict);
}

void checker_restore_lost(struct checker *c, const struct run_id *run,
                          const struct task_id *task)
{
    if (c->n_lost == CHECKER_LOST_MAX)
        return;
    c->lost[c->n_lost].run = *run;
    c->lost[c->n_lost++].task = *task;
}

void checker_restore_end(struct checker *c)
{
    c->is_restoring = false;
    for (size_t i = 0; i < c->n_runs; i++)
        for (const struct ledger_task *t = c->runs[i]->tasks; t; t = t->hh.next)
            if (t->was_told_done && !t->counted && c->runs[i]->is_known)
                checker_violation(c, "lost", "a task of %s was told done",
                                  c->runs[i]->flow->steps[t->id.step].name);
}

void checker_finish(struct checker *c)
{
    for (size_t i = 0; i < c->n_runs; i++) {
        const struct ledger_run *r = c->runs[i];
        enum run_outcome outcome;

        if (r->is_known || (r->is_accepted && !has_end(c, r, &outcome)))
            checker_violation(c, "liveness", "run %u does not end",
                              (unsigned)r->number);
        check_survived(c, r);
    }
}
