/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/ledger.h"

#include <stdlib.h>
#include <string.h>

static void task_forget(struct ledger_task *t)
{
    free(t->attempts);
    free(t->choice);
    t->attempts = NULL;
    t->choice = NULL;
    t->n_attempts = t->cap_attempts = 0;
    t->counted = 0;
    t->has_width = t->is_running = false;
    t->not_before = 0;
}

void ledger_run_release(struct ledger_run *r)
{
    struct ledger_task *t, *next;

    HASH_ITER (hh, r->tasks, t, next) {
        HASH_DEL(r->tasks, t);
        task_forget(t);
        free(t);
    }
    run_end_record_release(&r->end);
    flow_unref(r->flow);
    *r = (struct ledger_run){ .flow = NULL };
}

void ledger_run_crash(struct ledger_run *r)
{
    for (struct ledger_task *t = r->tasks; t; t = t->hh.next)
        task_forget(t);
    run_end_record_release(&r->end);
    r->end = (struct run_end_record){ .message = NULL };
    r->is_known = r->has_end = r->is_stopping = false;
    r->cancel_was_late = r->is_cancel_old = false;
    r->n_cancels = 0;
    r->n_running = 0;
    r->started = r->suspended = 0;
    r->first_failed_wall = 0;
}

struct ledger_task *ledger_find(const struct ledger_run *r, const struct task_id *id)
{
    uint8_t key[TASK_ID_SIZE_MAX];
    size_t len = task_id_encode(id, key);
    struct ledger_task *t;

    HASH_FIND(hh, r->tasks, key, len, t);
    return t;
}

struct ledger_task *ledger_task(struct ledger_run *r, const struct task_id *id)
{
    struct ledger_task *t = ledger_find(r, id);
    size_t len;

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->id = *id;
    len = task_id_encode(id, t->key);
    HASH_ADD_KEYPTR(hh, r->tasks, t->key, len, t);
    return t;
}

struct ledger_attempt *ledger_add(struct ledger_run *r,
                                  const struct attempt_record *record)
{
    struct ledger_task *t = ledger_task(r, &record->task);
    struct ledger_attempt *a;

    if (!t)
        return NULL;
    if (t->n_attempts == t->cap_attempts) {
        size_t cap = t->cap_attempts ? 2 * t->cap_attempts : 4;

        a = realloc(t->attempts, cap * sizeof(*a));
        if (!a)
            return NULL;
        t->attempts = a;
        t->cap_attempts = cap;
    }
    a = &t->attempts[t->n_attempts++];
    *a = (struct ledger_attempt){ .attempt = record->attempt,
                                  .verdict = record->verdict,
                                  .reason = record->reason,
                                  .exit_code = record->exit_code };
    if (verdict_counts(record->verdict)) {
        t->counted = record->verdict;
        t->has_width = record->has_width;
        t->width = record->width;
        free(t->choice);
        t->choice = record->choice ? strdup(record->choice) : NULL;
    }
    return a;
}

struct ledger_attempt *ledger_attempt(const struct ledger_task *t, uint32_t attempt)
{
    for (size_t i = 0; i < t->n_attempts; i++)
        if (t->attempts[i].attempt == attempt)
            return &t->attempts[i];
    return NULL;
}

uint32_t ledger_count(const struct ledger_task *t, enum verdict verdict)
{
    uint32_t n = 0;

    for (size_t i = 0; i < t->n_attempts; i++)
        n += t->attempts[i].verdict == verdict;
    return n;
}

const struct ledger_attempt *ledger_last(const struct ledger_task *t)
{
    const struct ledger_attempt *last = NULL;

    for (size_t i = 0; i < t->n_attempts; i++)
        if (!last || t->attempts[i].attempt > last->attempt)
            last = &t->attempts[i];
    return last;
}
