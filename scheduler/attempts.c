/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/attempts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/readiness.h"
#include "scheduler/remake.h"

enum { EXIT_CODE_NEVER_AGAIN = 202 };

static const double delay_max_us = 1e15; /* 31 years: a double still counts them all */

void attempts_next(const struct span *s, uint64_t index, uint32_t *ret_iteration,
                   uint32_t *ret_attempt)
{
    const struct exception *e = span_exception(s, index);

    *ret_iteration = e ? e->iteration : 0;
    *ret_attempt = e ? e->n_attempts : 0;
}

/* ---- judging ---- */

static int refuse(struct attempt_record *record, enum reason reason, const char *format,
                  ...) PRINTF_LIKE(3, 4);
static int refuse(struct attempt_record *record, enum reason reason, const char *format,
                  ...)
{
    char *message;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&message, format, args);
    va_end(args);
    if (n < 0)
        return -ENOMEM;
    free(record->message);
    record->message = message;
    record->reason = reason;
    record->is_judged = true;
    return 0;
}

static bool may_iterate(const struct step *s, uint32_t step, uint32_t iteration,
                        uint32_t taken)
{
    return switch_target(s, taken) != step || iteration + 1 < s->iterations_max;
}

static int check_choice(const struct step *s, struct attempt_record *record,
                        uint32_t taken)
{
    if (taken == FLOW_NONE)
        return record->choice ? refuse(record, REASON_CHOICE,
                                       "the switch has no case '%s'", record->choice)
                              : refuse(record, REASON_CHOICE, "it chose no case");
    if (!may_iterate(s, record->task.step, record->task.iteration, taken))
        return refuse(record, REASON_CHOICE,
                      "it chose itself once more after %u iterations",
                      s->iterations_max);
    return 0;
}

void attempts_set_width(const struct step *s, struct attempt_record *record)
{
    if (record->reason != REASON_OK || s->switch_by || !s->foreach.kind
        || s->foreach.kind == FOREACH_ARTIFACT)
        return;
    record->has_width = true;
    record->width = s->foreach.width;
}

static int check_result(const struct step *s, struct attempt_record *record,
                        uint32_t taken)
{
    if (s->switch_by)
        return check_choice(s, record, taken);
    if (s->foreach.kind == FOREACH_ARTIFACT && !record->has_width)
        return refuse(record, REASON_WIDTH, "'%s' is no list", s->foreach.artifact);
    attempts_set_width(s, record);
    return 0;
}

static bool is_among(const struct retry *retry, int code)
{
    if (!retry->exit_codes)
        return true;
    for (size_t i = 0; i < retry->n_exit_codes; i++)
        if (retry->exit_codes[i] == code)
            return true;
    return false;
}

static bool may_follow(const struct retry *retry, enum reason reason, int exit_code)
{
    switch (reason) {
    case REASON_CANCELLED:
        return false;
    case REASON_TIMEOUT:
        return retry->when & RETRY_TIMEOUT;
    case REASON_OOM:
        return retry->when & RETRY_OOM;
    case REASON_LOST:
        return retry->when & RETRY_LOST;
    case REASON_EXIT:
        return retry->when & RETRY_ERROR && exit_code != EXIT_CODE_NEVER_AGAIN
               && is_among(retry, exit_code);
    default:
        return retry->when & RETRY_ERROR;
    }
}

static bool is_retried(const struct step *s, uint32_t n_failed,
                       const struct attempt_record *record)
{
    return n_failed <= s->retry.times
           && may_follow(&s->retry, record->reason, record->exit_code);
}

static time_us delay_of(const struct retry *retry, uint32_t n_failed)
{
    double delay = (double)retry->delay_us;

    for (uint32_t i = 1;
         i < n_failed && retry->backoff > 1 && delay > 0 && delay < delay_max_us; i++)
        delay *= retry->backoff;
    return (time_us)(delay < delay_max_us ? delay : delay_max_us);
}

static void judge_failure(const struct step *s, const struct exception *e,
                          bool is_ended, const struct attempt_record *record,
                          struct judgement *j)
{
    uint32_t n_failed = (e ? e->n_failed : 0) + 1, n_lost = (e ? e->n_lost : 0) + 1;

    if (record->reason == REASON_LOST && n_lost < s->retry.lost_max) {
        j->verdict = VERDICT_LOST;
        return;
    }
    j->verdict = VERDICT_FAILED;
    if (!is_ended && is_retried(s, n_failed, record)) {
        j->delay = delay_of(&s->retry, n_failed);
        return;
    }
    j->is_final = true;
    j->taken = s->switch_by ? switch_case_of(s, NULL) : FLOW_NONE;
    if (!is_ended && s->catch_var && record->reason != REASON_CANCELLED
        && may_iterate(s, record->task.step, record->task.iteration, j->taken))
        j->verdict = VERDICT_CAUGHT;
}

static void judge_iteration(const struct step *s, uint32_t step, struct judgement *j)
{
    if ((j->verdict != VERDICT_DONE && j->verdict != VERDICT_CAUGHT)
        || switch_target(s, j->taken) != step)
        return;
    j->is_again = true;
    j->is_final = false;
}

int attempts_judge(const struct run *r, const struct span *s, uint64_t index,
                   bool is_ended, struct attempt_record *record, struct judgement *ret)
{
    const struct step *step = r->steps[s->step].step;
    struct judgement j = { .verdict = VERDICT_DONE,
                           .is_final = true,
                           .taken = FLOW_NONE };

    if (step->switch_by)
        j.taken = switch_case_of(step, record->choice);
    if (record->reason == REASON_OK && check_result(step, record, j.taken) < 0)
        return -ENOMEM;
    if (record->reason != REASON_OK) {
        /* What a failed attempt chose or counted leads nowhere. */
        free(record->choice);
        record->choice = NULL;
        record->has_width = false;
        j.is_final = false;
        judge_failure(step, span_exception(s, index), is_ended, record, &j);
    }
    judge_iteration(step, s->step, &j);
    record->verdict = j.verdict;
    *ret = j;
    return 0;
}

/* ---- the first failure, in a sentence ---- */

static void describe_task(const struct run *r, const struct attempt_record *record,
                          struct buffer *out)
{
    char text[TASK_TEXT_SIZE];

    buffer_printf(out, "step '%s'", r->flow->steps[record->task.step].name);
    if (record->task.depth || record->task.iteration) {
        task_id_text(&record->task, text);
        buffer_printf(out, ", task %s", text);
    }
}

static void describe_reason(const struct attempt_record *record, struct buffer *out)
{
    if (record->reason == REASON_EXIT)
        buffer_printf(out, ": exit code %d", record->exit_code);
    else if (record->reason == REASON_SIGNAL)
        buffer_printf(out, ": signal %d", record->signal);
    else
        buffer_printf(out, ": %s", reason_name(record->reason));
    if (record->message && *record->message)
        buffer_printf(out, ", %s", record->message);
    if (record->attempt)
        buffer_printf(out, ", after %u attempts", record->attempt + 1);
}

static int keep_message(struct run *r, const struct attempt_record *record)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    /* Records are read in the order of their keys, not of their ends. What the run
     * itself ended did not fail first, unless nothing else is known. */
    if (r->phase == RUN_LOADING ? r->message && record->ended_wall >= r->message_wall
                                : r->message || record->reason == REASON_CANCELLED)
        return 0;
    describe_task(r, record, &out);
    describe_reason(record, &out);
    free(r->message);
    r->message = buffer_take(&out);
    r->message_wall = record->ended_wall;
    return r->message ? 0 : -ENOMEM;
}

/* ---- applying ---- */

static bool is_hook(const struct run *r, const struct span *s)
{
    return r->steps[s->step].step->is_hook;
}

static int apply_failed(struct run *r, struct span *s, uint64_t index,
                        const struct attempt_record *record)
{
    run_unexcept(r, s, index);
    if (iset_add(&s->released, index) < 0 || iset_add(&s->failed, index) < 0)
        return -ENOMEM;
    r->steps[s->step].n_failed++;
    if (is_hook(r, s))
        return 0;
    r->n_failed++;
    r->has_given_up = r->has_given_up || record->reason == REASON_OUTPUT_LOST
                      || remake_find(r, &record->task);
    if (remake_close(r, &record->task) < 0)
        return -ENOMEM;
    return keep_message(r, record);
}

static int apply_again(struct run *r, struct span *s, uint64_t index)
{
    struct exception *e = run_except(r, s, index);

    if (!e)
        return -ENOMEM;
    e->iteration++;
    e->n_attempts = e->n_later; /* no two of one number */
    e->n_failed = e->n_lost = e->n_gone = e->n_refused = 0;
    e->fence = e->ended_fence = e->alive_until = 0;
    return 0;
}

static int apply_tried(struct run *r, struct span *s, uint64_t index,
                       const struct attempt_record *record)
{
    struct exception *e = run_except(r, s, index);

    if (!e)
        return -ENOMEM;
    e->n_attempts = record->attempt + 1;
    /* Of one that was lost nobody knows whether it has ended. */
    if (record->reason != REASON_LOST && record->fence > e->ended_fence)
        e->ended_fence = record->fence;
    if (record->verdict == VERDICT_LOST)
        e->n_lost++;
    else
        e->n_failed++;
    return 0;
}

static int apply_done(struct run *r, struct span *s, uint64_t index,
                      const struct attempt_record *record, uint32_t taken)
{
    const struct step *step = r->steps[s->step].step;
    int error = 0;

    run_unexcept(r, s, index);
    if (step->foreach.kind && remake_is_split_over(r, s, index))
        error = 0; /* it was made again, and what came of it is done */
    else if (step->foreach.kind == FOREACH_ARTIFACT)
        error =
            readiness_note_width(r, s, index, record->has_width ? record->width : 0);
    else if (step->foreach.kind)
        error = readiness_note_width(r, s, index, step->foreach.width);
    if (error < 0)
        return error;
    r->steps[s->step].n_done++;
    r->n_final += !step->is_hook;
    error = remake_close(r, &record->task);
    return error ? error : readiness_note_done(r, s, index, taken);
}

void attempts_forgive_losses(struct span *s, uint64_t index)
{
    struct exception *e = span_exception(s, index);

    if (e)
        e->n_lost = 0;
}

int attempts_apply(struct run *r, struct span *s, uint64_t index,
                   const struct attempt_record *record, const struct judgement *j)
{
    r->n_attempts++;
    if (record->verdict == VERDICT_FAILED || record->verdict == VERDICT_LOST)
        return j->is_final ? apply_failed(r, s, index, record)
                           : apply_tried(r, s, index, record);
    if (record->verdict == VERDICT_ADOPTED)
        r->n_adopted++;
    else
        r->n_done++;
    return j->is_again ? apply_again(r, s, index)
                       : apply_done(r, s, index, record, j->taken);
}

/* ---- reading back ---- */

/* A written verdict is not judged again, but for what follows from it. */
static bool judge_record(const struct run *r, const struct span *s,
                         const struct exception *e, const struct attempt_record *record,
                         struct judgement *ret)
{
    const struct step *step = r->steps[s->step].step;
    struct judgement j = { .verdict = record->verdict, .taken = FLOW_NONE };

    switch (record->verdict) {
    case VERDICT_LOST:
        break;
    case VERDICT_FAILED:
        j.is_final = record->reason == REASON_OUTPUT_LOST
                     || !is_retried(step, (e ? e->n_failed : 0) + 1, record);
        break;
    case VERDICT_DONE:
    case VERDICT_ADOPTED:
    case VERDICT_CAUGHT:
        j.is_final = true;
        if (step->switch_by)
            j.taken = switch_case_of(step, record->choice);
        if (step->switch_by && j.taken == FLOW_NONE && record->reason == REASON_OK)
            return false;
        j.is_again = switch_target(step, j.taken) == s->step;
        break;
    }
    *ret = j;
    return true;
}

static void count_later(struct run *r, const struct attempt_record *record)
{
    r->n_attempts++;
    r->n_done += record->verdict == VERDICT_DONE || record->verdict == VERDICT_CAUGHT;
    r->n_adopted += record->verdict == VERDICT_ADOPTED;
}

/* Of an iteration that is not due: one before it was undone, so it is a number, and
 * where that failed one of so many. */
static void note_later(struct run *r, const struct span *s, uint64_t index,
                       const struct attempt_record *record)
{
    struct exception *e = span_exception(s, index);
    bool is_undone =
        record->reason == REASON_STALE || record->reason == REASON_OUTPUT_LOST;

    if (iset_has(&s->failed, index))
        count_later(r, record);
    if (!e || !is_undone || record->task.iteration <= e->iteration)
        return;
    r->n_attempts++;
    e->n_later = record->attempt >= e->n_later ? record->attempt + 1 : e->n_later;
}

int attempts_load(struct run *r, const struct attempt_record *record,
                  bool *ret_is_taken)
{
    struct exception *e;
    struct remake *remake;
    struct judgement j;
    struct span *s;
    uint64_t index;
    int error = run_locate(r, &record->task, true, &s, &index);

    *ret_is_taken = false;
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    e = span_exception(s, index);
    note_later(r, s, index, record);
    if (iset_has(&s->done, index) || iset_has(&s->failed, index)
        || record->task.iteration != (e ? e->iteration : 0)
        || !judge_record(r, s, e, record, &j))
        return 0;
    *ret_is_taken = true;
    error = attempts_apply(r, s, index, record, &j);
    attempts_forgive_losses(s, index);
    if (error == 0 && record->reason == REASON_OUTPUT_LOST)
        error = remake_note(r, record, &remake);
    if (error == 0 && record->reason == REASON_OUTPUT_LOST && j.is_final)
        error = remake_close(r, &record->task);
    return error;
}

int attempts_load_fence(struct run *r, const struct task_id *task, uint64_t fence,
                        time_us alive_until)
{
    struct exception *e;
    struct span *s;
    uint64_t index;
    int error = run_locate(r, task, true, &s, &index);

    if (fence > r->last_fence)
        r->last_fence = fence;
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    e = span_exception(s, index);
    if (iset_has(&s->done, index) || iset_has(&s->failed, index)
        || task->iteration != (e ? e->iteration : 0) || (e && e->ended_fence >= fence))
        return 0;
    e = run_except(r, s, index);
    if (!e)
        return -ENOMEM;
    e->fence = fence;
    e->alive_until = alive_until;
    return 0;
}
