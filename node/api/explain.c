/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/explain/STEP/TASK: why a task ran or was taken over, what it waits
 * for, why it failed, and its attempts. */
#include "node/api/explain.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/cause.h"
#include "node/api/compare.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/remedy.h"
#include "node/api/tail.h"
#include "node/attempt_reader.h"

/* ---- the run before ---- */

bool against_read(struct request *r, struct against *ret)
{
    const char *name = request_query(r, "against");

    *ret = (struct against){ .is_given = name != NULL };
    if (!name)
        return true;
    if (!request_find_run(r, name))
        return false;
    ret->run = r->run;
    return true;
}

bool against_sides(struct request *r, const struct against *a,
                   const struct run_record *record, struct sides *ret,
                   bool *ret_has_sides)
{
    const struct run_id *before = a->is_given ? &a->run : &record->origin;
    int error;

    *ret_has_sides = a->is_given || record->has_origin;
    if (!*ret_has_sides)
        return true;
    error = sides_read(r, before, &r->run, r->flow, ret);
    if (error == 0)
        return true;
    *ret_has_sides = false;
    if (!a->is_given && (error == -ENOENT || error == -EINVAL))
        return true; /* the run before was removed: the rest is still worth telling */
    reply_errno(r, error, "the run before");
    return false;
}

void against_emit(struct emit *e, const struct sides *sides, bool has_sides)
{
    if (!has_sides) {
        emit_null(e, "against");
        return;
    }
    emit_open(e, "against", '{');
    emit_run(e, "run", &sides->before.run);
    emit_u64(e, "number", sides->before.number);
    emit_close(e, '}');
}

int explain_failure(struct request *r, struct emit *e, const struct attempt_record *a)
{
    bool is_bad = a->reason && a->reason != REASON_OK;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int error = 0;

    if (is_bad)
        error = tail_read(runtime_blobs(r->rt), &a->log, EXPLAIN_LOG_LINES, &text);
    if (error == -ENOENT || error == -EIO)
        buffer_clear(&text); /* the log is damaged or gone */
    else if (error < 0)
        return error;
    remedy_emit(e, "failure", &r->flow->steps[a->task.step], a);
    tail_emit(e, "log_tail", &text);
    return buffer_failed(e->out);
}

/* ---- on the loop: what only the node knows ---- */

struct explanation {
    struct against against;
    bool is_active, is_running; /* the run; the task */
    struct buffer waits;        /* why tasks of its step wait */

    struct task_id task;
    const struct step *step;
    struct buffer attempts; /* as JSON */
    struct emit list;
    struct attempt_record last; /* of the attempts that ended */
    uint64_t n, n_failed;
    char *lost; /* why what it had made is gone; NULL: it is not */
};

static void explanation_release(void *data)
{
    struct explanation *x = data;

    free(x->lost);
    attempt_record_release(&x->last);
    buffer_release(&x->attempts);
    buffer_release(&x->waits);
}

static bool is_in_slot(struct request *r, const struct task_id *task)
{
    const struct node *n = runtime_node(r->rt);

    for (uint32_t i = 0; i < node_slots_end(n); i++) {
        struct run_id run;
        struct task_id running;
        uint32_t attempt;

        if (node_runs_slot(n, i, &run, &running, &attempt)
            && run_id_equal(&run, &r->run) && task_id_equal(&running, task))
            return true;
    }
    return false;
}

int explain_task(struct request *r)
{
    struct explanation *x = request_data(r, sizeof(*x), explanation_release);
    int next;

    if (!x)
        return -ENOMEM;
    if (!against_read(r, &x->against))
        return 0;
    next = source_begin(r);
    if (next != REQUEST_NEXT || !r->flow)
        return next;
    if (!source_task(r, r->params[1], r->params[2], &x->task))
        return 0;
    x->is_active = true;
    x->is_running = is_in_slot(r, &x->task);
    if (!x->is_running)
        node_why_waiting(runtime_node(r->rt), &r->run, x->task.step, &x->waits);
    return REQUEST_NEXT;
}

/* ---- on a thread: what the store knows ---- */

static int each_attempt(void *arg, struct span key, struct span value)
{
    struct explanation *x = arg;
    struct attempt_record a = { .attempt = 0 };
    int error = attempt_record_decode(value.data, value.len, &a);

    if (error == 0)
        error = attempt_key_decode(key.data, key.len, &a.run, &a.task, &a.attempt);
    if (error < 0) {
        attempt_record_release(&a);
        return error;
    }
    encode_attempt(&x->list, x->step->name, &a);
    if (a.reason == REASON_OUTPUT_LOST || a.reason == REASON_STALE) {
        free(x->lost);
        x->lost = a.message ? strdup(a.message) : NULL;
    }
    attempt_record_release(&x->last);
    x->last = a;
    x->n++;
    x->n_failed += a.verdict == VERDICT_FAILED;
    return 0;
}

static int scan_task(struct request *r, const struct run_id *run,
                     const struct task_id *task,
                     int (*each)(void *arg, struct span key, struct span value),
                     void *arg)
{
    struct record_key prefix = attempts_of_task(run, task);

    return writer_scan(runtime_writer(r->rt), STORE_RECORDS,
                       (struct span){ prefix.bytes, prefix.len },
                       (struct span){ NULL, 0 }, each, arg);
}

/* ---- the cause ---- */

/* How a task ended in the run before: by its last attempt. */
static int each_before(void *arg, struct span key, struct span value)
{
    CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };
    struct cause_facts *facts = arg;
    int error = attempt_record_decode(value.data, value.len, &a);

    (void)key;
    if (error < 0)
        return error;
    facts->was_done = a.verdict != VERDICT_FAILED && a.verdict != VERDICT_LOST;
    facts->failed = facts->was_done ? 0 : a.reason;
    return 0;
}

/* 1: a task of `step` that this one waits for, in the same scopes, ran in this run and
 * was not taken over; 0; a negative errno. */
static int was_remade(struct request *r, const struct task_id *task, uint32_t step)
{
    CLEANUP(attempt_reader_release) struct attempt_reader reader = { .n = 0 };
    uint32_t depth = source_depth(r->flow, step);
    uint32_t shared = depth < task->depth ? depth : task->depth;
    struct record_key prefix = attempts_of_step(&r->run, step);
    const struct attempt_record *a;
    int n;

    attempt_reader_init(&reader, runtime_writer(r->rt), &prefix);
    while ((n = source_attempt(r, &reader, &a)) > 0)
        if (!attempt_is_taken_over(a)
            && memcmp(a->task.path, task->path, shared * sizeof(task->path[0])) == 0)
            return 1;
    return n;
}

static int find_remade(struct request *r, const struct task_id *task,
                       uint32_t *ret_step)
{
    const struct step *s = &r->flow->steps[task->step];
    int found = 0;

    *ret_step = FLOW_NONE;
    for (uint32_t i = 0; found == 0 && i < s->n_before; i++) {
        found = was_remade(r, task, s->before[i]);
        if (found > 0)
            *ret_step = s->before[i];
    }
    return found < 0 ? found : 0;
}

/* 0: it is not there any more. */
static uint64_t number_of(struct request *r, const struct run_id *run)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };

    return source_record(r, run, &record) == 0 ? record.number : 0;
}

/* sides NULL: the run goes on from none. */
static int find_facts(struct request *r, const struct explanation *x,
                      const struct sides *sides, struct cause_facts *ret)
{
    struct task_id task = x->task;
    int error;

    *ret = (struct cause_facts){ .flow = r->flow,
                                 .step = x->task.step,
                                 .remade = FLOW_NONE,
                                 .lost = x->lost,
                                 .is_adopted =
                                     x->n && x->last.verdict == VERDICT_ADOPTED };
    /* By `cache`: done, and made elsewhere. */
    ret->is_cached = x->last.verdict == VERDICT_DONE && x->last.has_origin;
    if (ret->is_cached)
        ret->equal = number_of(r, &x->last.origin);
    if (!sides)
        return 0;
    ret->before = sides->flow_before;
    ret->number = sides->before.number;
    task.step = flow_find_step(sides->flow_before, x->step->name);
    if (task.step == FLOW_NONE)
        return 0;
    error = scan_task(r, &sides->before.run, &task, each_before, ret);
    return error < 0 ? error : find_remade(r, &x->task, &ret->remade);
}

/* Why it ran is asked of the run that this one goes on from, whatever it is held
 * against. */
static int emit_why(struct request *r, struct explanation *x,
                    const struct run_record *record, const struct sides *sides,
                    struct emit *e)
{
    CLEANUP(sides_release) struct sides own = { .flow_before = NULL };
    CLEANUP(buffer_release) struct buffer sentence = BUFFER_INIT;
    const struct sides *origin = sides;
    struct cause_facts facts;
    int error = 0;

    if (x->n == 0 && !x->is_running) {
        emit_null(e, "why");
        return 0;
    }
    if (!record->has_origin) {
        origin = NULL;
    } else if (!sides || !run_id_equal(&sides->before.run, &record->origin)) {
        error = sides_read(r, &record->origin, &r->run, r->flow, &own);
        origin = error == 0 ? &own : NULL;
    }
    error = find_facts(r, x, origin, &facts);
    if (error < 0)
        return error;
    cause_say(&facts, &sentence);
    emit_open(e, "why", '{');
    emit_text(e, "cause", cause_name(cause_of(&facts)));
    emit_text(e, "sentence", buffer_text(&sentence));
    emit_close(e, '}');
    return 0;
}

static int emit_changes(struct request *r, const struct explanation *x,
                        const struct sides *sides, struct emit *e)
{
    struct changes c = { .e = e, .step = x->step };
    int error = 0;

    emit_open(e, "changes", '[');
    if (sides) {
        error = sides_emit_step(sides, x->task.step, &c);
        if (error == 0)
            error = sides_emit_parameters(sides, &c);
        if (error == 0)
            error = sides_emit_inputs(r, sides, &x->task, &c);
        if (error == 0)
            error = sides_emit_code(sides, &c);
    }
    emit_close(e, ']');
    emit_u64(e, "n_changes", c.n);
    return error;
}

/* ---- how it stands ---- */

static bool is_retried(const struct explanation *x)
{
    return x->is_active
           && (x->last.verdict == VERDICT_LOST
               || (x->last.verdict == VERDICT_FAILED
                   && x->n_failed <= x->step->retry.times));
}

static const char *state_of(const struct explanation *x)
{
    if (x->is_running)
        return "running";
    if (x->n == 0)
        return x->is_active ? "waiting" : "not_started";
    return is_retried(x) ? "waiting" : verdict_name(x->last.verdict);
}

static int say_not_started(struct request *r, struct buffer *out)
{
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    int error = source_end(r, &r->run, &end);

    if (error == -ENOENT) {
        buffer_puts(out, "interrupted: its node ended; the next one goes on with it");
        return 0;
    }
    if (error < 0)
        return error;
    if (end.outcome == RUN_OK)
        buffer_puts(out,
                    "skipped: a switch went another way, or there is no such item");
    else
        buffer_printf(out, "%s: the run ended before it: %s",
                      run_outcome_name(end.outcome), end.message ? end.message : "");
    return 0;
}

/* What the node says is true of the step's next task. Of this one it is known which
 * task before it, in the same scopes, is not done. */
static int find_upstream(struct request *r, const struct explanation *x,
                         struct buffer *out)
{
    for (uint32_t i = 0; i < x->step->n_before; i++) {
        CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };
        struct task_id before = { .step = x->step->before[i] };
        char text[TASK_TEXT_SIZE];
        int error;

        if (flow_edge_kind(r->flow, before.step, x->task.step) == EDGE_CLOSE)
            continue;
        before.depth = source_depth(r->flow, before.step);
        memcpy(before.path, x->task.path, before.depth * sizeof(before.path[0]));
        error = artifacts_attempt(runtime_artifacts(r->rt), &r->run, &before, &a);
        if (error == 0)
            continue;
        if (error != -ENOENT)
            return error;
        task_id_text(&before, text);
        buffer_clear(out);
        return buffer_printf(out, "upstream: it waits for '%s', task %s",
                             r->flow->steps[before.step].name, text);
    }
    return 0;
}

static int emit_waits(struct request *r, struct explanation *x, const char *state,
                      struct emit *e)
{
    int error = 0;

    if (strcmp(state, "not_started") == 0)
        error = say_not_started(r, &x->waits);
    else if (strcmp(state, "waiting") != 0)
        buffer_clear(&x->waits);
    else if (x->n == 0)
        error = find_upstream(r, x, &x->waits);
    if (strcmp(state, "waiting") == 0 && x->waits.len == 0)
        buffer_puts(&x->waits, "upstream: it is not known yet whether it will run");
    emit_text(e, "waits", x->waits.len ? buffer_text(&x->waits) : NULL);
    return error;
}

static int emit_task_explained(struct request *r, struct explanation *x,
                               const struct run_record *record,
                               const struct sides *sides)
{
    struct emit e = { .out = &r->reply.body };
    const char *state = state_of(x);
    int error;

    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_u64(&e, "number", record->number);
    emit_text(&e, "flow", record->flow_name);
    emit_text(&e, "step", x->step->name);
    emit_task(&e, "task", &x->task);
    emit_text(&e, "state", state);
    error = emit_waits(r, x, state, &e);
    against_emit(&e, sides, sides != NULL);
    if (error == 0)
        error = emit_why(r, x, record, sides, &e);
    if (error == 0)
        error = emit_changes(r, x, sides, &e);
    if (error == 0)
        error = explain_failure(r, &e, &x->last);
    emit_raw(&e, "attempts", buffer_text(&x->attempts), x->attempts.len);
    emit_close(&e, '}');
    return error;
}

int explain_task_work(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(sides_release) struct sides sides = { .flow_before = NULL };
    struct explanation *x = r->data;
    bool has_sides;
    int error;

    if (!source_flow(r) || !source_task(r, r->params[1], r->params[2], &x->task))
        return 0;
    x->step = &r->flow->steps[x->task.step];
    error = source_record(r, &r->run, &record);
    if (error < 0)
        return reply_errno(r, error, "the run's record");
    x->list.out = &x->attempts;
    emit_open(&x->list, NULL, '[');
    error = scan_task(r, &r->run, &x->task, each_attempt, x);
    emit_close(&x->list, ']');
    if (error < 0)
        return reply_errno(r, error, "an attempt's record");
    if (!against_sides(r, &x->against, &record, &sides, &has_sides))
        return 0;
    error = emit_task_explained(r, x, &record, has_sides ? &sides : NULL);
    if (error < 0)
        return reply_errno(r, error, "what the run consisted of");
    return reply_json(r, MHD_HTTP_OK);
}
