/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/explain: for each step whether it ran or was taken over, and why;
 * and what failed, once for each way of failing. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/cause.h"
#include "node/api/compare.h"
#include "node/api/encode.h"
#include "node/api/explain.h"
#include "node/api/nouns.h"
#include "node/attempt_reader.h"

enum { GROUPS_MAX = 20, OWN_FILES_MAX = 1000 };

/* What a run did of one step; a task counts by its last attempt. */
struct step_sum {
    uint64_t ran, adopted, failed;
    uint64_t cached;    /* of those adopted */
    enum reason reason; /* of the first that failed */
};

/* What is looked at of an attempt. */
struct glance {
    struct task_id task;
    uint32_t attempt;
    enum verdict verdict;
    enum reason reason;
    int exit_code, signal;
    bool is_taken_over;
};

/* Tasks of one step that failed in the same way; the first of them stands for all. */
struct failure_group {
    struct glance first;
    uint64_t n;
};

struct sums {
    struct step_sum *steps;
    struct glance last; /* of the task that is read */
    bool has_last;
    struct failure_group groups[GROUPS_MAX];
    size_t n_groups;
    uint64_t n_failed;
};

static bool is_alike(const struct glance *a, const struct glance *b)
{
    return a->task.step == b->task.step && a->reason == b->reason
           && a->exit_code == b->exit_code && a->signal == b->signal;
}

static void add_failure(struct sums *s, const struct glance *failed)
{
    s->n_failed++;
    for (size_t i = 0; i < s->n_groups; i++)
        if (is_alike(&s->groups[i].first, failed)) {
            s->groups[i].n++;
            return;
        }
    if (s->n_groups < GROUPS_MAX)
        s->groups[s->n_groups++] = (struct failure_group){ .first = *failed, .n = 1 };
}

/* The task that was read last is complete. */
static void count_last(struct sums *s)
{
    const struct glance *last = &s->last;
    struct step_sum *sum;

    if (!s->has_last)
        return;
    sum = &s->steps[last->task.step];
    s->has_last = false;
    if (last->is_taken_over) {
        sum->adopted++;
        sum->cached += last->verdict != VERDICT_ADOPTED;
        return;
    }
    sum->ran++;
    if (last->verdict != VERDICT_FAILED && last->verdict != VERDICT_LOST)
        return;
    sum->failed++;
    sum->reason = sum->reason ? sum->reason : last->reason;
    add_failure(s, last);
}

static void add_attempt(struct sums *s, const struct attempt_record *a)
{
    if (s->has_last && !task_id_equal(&s->last.task, &a->task))
        count_last(s);
    s->has_last = true;
    s->last = (struct glance){ .task = a->task,
                               .attempt = a->attempt,
                               .verdict = a->verdict,
                               .reason = a->reason,
                               .exit_code = a->exit_code,
                               .signal = a->signal,
                               .is_taken_over = attempt_is_taken_over(a) };
}

static int sum_up(struct request *r, const struct run_id *run, uint32_t n_steps,
                  struct sums *s)
{
    CLEANUP(attempt_reader_release) struct attempt_reader reader = { .n = 0 };
    struct record_key prefix = attempts_of_run(run);
    const struct attempt_record *a;
    int n;

    s->steps = calloc((size_t)n_steps + 1, sizeof(*s->steps));
    if (!s->steps)
        return -ENOMEM;
    attempt_reader_init(&reader, runtime_writer(r->rt), &prefix);
    while ((n = source_attempt(r, &reader, &a)) > 0)
        if (a->task.step < n_steps)
            add_attempt(s, a);
    count_last(s);
    return n;
}

/* ---- on the loop ---- */

struct run_explanation {
    struct against against;
    char **waits; /* by step, NULL for those that do not; the run is active */
    uint32_t n_steps;
    bool is_active;
};

static void run_explanation_release(void *data)
{
    struct run_explanation *x = data;

    for (uint32_t i = 0; x->waits && i < x->n_steps; i++)
        free(x->waits[i]);
    free(x->waits);
}

static int ask_node(struct request *r, struct run_explanation *x)
{
    x->is_active = true;
    x->n_steps = r->flow->n_all_steps;
    x->waits = calloc((size_t)x->n_steps + 1, sizeof(*x->waits));
    if (!x->waits)
        return -ENOMEM;
    for (uint32_t i = 0; i < x->n_steps; i++) {
        CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;

        if (node_why_waiting(runtime_node(r->rt), &r->run, i, &why))
            x->waits[i] = buffer_take(&why);
    }
    return REQUEST_NEXT;
}

int explain_run(struct request *r)
{
    struct run_explanation *x = request_data(r, sizeof(*x), run_explanation_release);
    int next;

    if (!x)
        return -ENOMEM;
    if (!against_read(r, &x->against))
        return 0;
    next = source_begin(r);
    return next == REQUEST_NEXT && r->flow ? ask_node(r, x) : next;
}

/* ---- on a thread ---- */

/* All that is told of a run. */
struct told {
    struct request *request;
    struct emit *e;
    const struct sides *sides; /* NULL: it is held against nothing */
    bool is_origin;            /* sides' before is what the run goes on from */
    struct sums now, before;
    const char *files[OWN_FILES_MAX]; /* that changed */
    size_t n_files;
};

static void told_release(struct told *t)
{
    free(t->now.steps);
    free(t->before.steps);
}

static int each_file(void *arg, const struct tree_entry *before,
                     const struct tree_entry *after)
{
    struct told *t = arg;

    t->files[t->n_files++] = before ? before->path : after->path;
    return t->n_files == OWN_FILES_MAX;
}

static int emit_key(void *arg, const char *key)
{
    const struct told *t = arg;

    emit_text(t->e, NULL, key);
    return 0;
}

/* Which of the changes are the step's own: keys in the flow file and files it names. */
static int emit_own(struct told *t, uint32_t step)
{
    const struct flow *flow = t->request->flow;
    uint32_t was = t->sides
                       ? flow_find_step(t->sides->flow_before, flow->steps[step].name)
                       : FLOW_NONE;
    int error = 0;

    emit_open(t->e, "own_changes", '[');
    if (was != FLOW_NONE)
        error = compare_steps(t->sides->flow_before, was, flow, step, emit_key, t);
    for (size_t i = 0; i < t->n_files; i++)
        if (step_names_file(&flow->steps[step], t->files[i]))
            emit_text(t->e, NULL, t->files[i]);
    emit_close(t->e, ']');
    return error;
}

static uint32_t find_remade(const struct told *t, uint32_t step)
{
    const struct step *s = &t->request->flow->steps[step];

    for (uint32_t i = 0; i < s->n_before; i++)
        if (t->now.steps[s->before[i]].ran)
            return s->before[i];
    return FLOW_NONE;
}

static void emit_step_why(struct told *t, uint32_t step)
{
    CLEANUP(buffer_release) struct buffer sentence = BUFFER_INIT;
    const struct step_sum *now = &t->now.steps[step];
    struct cause_facts facts = { .flow = t->request->flow,
                                 .step = step,
                                 .is_adopted = now->adopted && !now->ran,
                                 .is_cached = now->cached && !now->ran,
                                 .remade = find_remade(t, step) };

    if (!now->ran && !now->adopted) {
        emit_null(t->e, "why");
        return;
    }
    if (t->is_origin) {
        uint32_t was =
            flow_find_step(t->sides->flow_before, facts.flow->steps[step].name);

        facts.before = t->sides->flow_before;
        facts.number = t->sides->before.number;
        if (was != FLOW_NONE) {
            facts.was_done = t->before.steps[was].ran + t->before.steps[was].adopted
                             && !t->before.steps[was].failed && !now->adopted;
            facts.failed = t->before.steps[was].reason;
        }
    }
    cause_say(&facts, &sentence);
    emit_open(t->e, "why", '{');
    emit_text(t->e, "cause", cause_name(cause_of(&facts)));
    emit_text(t->e, "sentence", buffer_text(&sentence));
    emit_close(t->e, '}');
}

static int emit_steps(struct told *t, const struct run_explanation *x)
{
    int error = 0;

    emit_open(t->e, "steps", '[');
    for (uint32_t i = 0; error == 0 && i < t->request->flow->n_all_steps; i++) {
        emit_open(t->e, NULL, '{');
        emit_text(t->e, "step", t->request->flow->steps[i].name);
        emit_u64(t->e, "ran", t->now.steps[i].ran);
        emit_u64(t->e, "adopted", t->now.steps[i].adopted);
        emit_u64(t->e, "failed", t->now.steps[i].failed);
        emit_text(t->e, "waits", x->waits ? x->waits[i] : NULL);
        emit_step_why(t, i);
        error = emit_own(t, i);
        emit_close(t->e, '}');
    }
    emit_close(t->e, ']');
    return error;
}

static int emit_failure(struct told *t, const struct failure_group *group)
{
    CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    const struct glance *first = &group->first;
    struct record_key key = attempt_key(&t->request->run, &first->task, first->attempt);
    int error = writer_get(runtime_writer(t->request->rt), STORE_RECORDS,
                           (struct span){ key.bytes, key.len }, &value);

    if (error == 0)
        error = attempt_record_decode(value.data, value.len, &a);
    if (error < 0)
        return error;
    a.task = first->task; /* the key has it, the record has not */
    emit_open(t->e, NULL, '{');
    emit_text(t->e, "step", t->request->flow->steps[a.task.step].name);
    emit_task(t->e, "task", &a.task);
    emit_u64(t->e, "attempt", first->attempt);
    emit_u64(t->e, "tasks", group->n);
    error = explain_failure(t->request, t->e, &a);
    emit_close(t->e, '}');
    return error;
}

static int emit_failures(struct told *t)
{
    int error = 0;

    emit_open(t->e, "failures", '[');
    for (size_t i = 0; error == 0 && i < t->now.n_groups; i++)
        error = emit_failure(t, &t->now.groups[i]);
    emit_close(t->e, ']');
    emit_u64(t->e, "n_failed", t->now.n_failed);
    return error;
}

static int emit_run_changes(struct told *t)
{
    struct changes c = { .e = t->e };
    int error = 0;

    emit_open(t->e, "changes", '[');
    if (t->sides)
        error = sides_emit_parameters(t->sides, &c);
    if (t->sides && error == 0)
        error = sides_emit_flow(t->sides, &c);
    if (t->sides && error == 0)
        error = sides_emit_code(t->sides, &c);
    emit_close(t->e, ']');
    emit_u64(t->e, "n_changes", c.n);
    return error;
}

static int emit_outcome(struct told *t, const struct run_explanation *x)
{
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    int error = source_end(t->request, &t->request->run, &end);

    if (error < 0 && error != -ENOENT)
        return error;
    emit_text(t->e, "state",
              error == 0     ? "ended"
              : x->is_active ? "running"
                             : "interrupted");
    emit_text(t->e, "outcome", error == 0 ? run_outcome_name(end.outcome) : NULL);
    emit_text(t->e, "message", end.message);
    return 0;
}

static int tell(struct told *t, const struct run_explanation *x,
                const struct run_record *record)
{
    struct request *r = t->request;
    int error = sum_up(r, &r->run, r->flow->n_all_steps, &t->now);

    if (error == 0 && t->is_origin)
        error = sum_up(r, &t->sides->before.run, t->sides->flow_before->n_all_steps,
                       &t->before);
    if (error < 0)
        return error;
    if (t->sides)
        compare_trees(&t->sides->tree_before, &t->sides->tree_after, each_file, t);
    emit_open(t->e, NULL, '{');
    emit_run(t->e, "run", &r->run);
    emit_u64(t->e, "number", record->number);
    emit_text(t->e, "flow", record->flow_name);
    error = emit_outcome(t, x);
    against_emit(t->e, t->sides, t->sides != NULL);
    if (error == 0)
        error = emit_run_changes(t);
    if (error == 0)
        error = emit_steps(t, x);
    if (error == 0)
        error = emit_failures(t);
    emit_close(t->e, '}');
    return error;
}

int explain_run_work(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(sides_release) struct sides sides = { .flow_before = NULL };
    CLEANUP(told_release) struct told t = { .request = r };
    const struct run_explanation *x = r->data;
    struct emit e = { .out = &r->reply.body };
    bool has_sides;
    int error;

    if (!source_flow(r))
        return 0;
    error = source_record(r, &r->run, &record);
    if (error < 0)
        return reply_errno(r, error, "the run's record");
    if (!against_sides(r, &x->against, &record, &sides, &has_sides))
        return 0;
    t.e = &e;
    t.sides = has_sides ? &sides : NULL;
    t.is_origin = has_sides && record.has_origin
                  && run_id_equal(&sides.before.run, &record.origin);
    error = tell(&t, x, &record);
    return error < 0 ? reply_errno(r, error, "what the run consisted of")
                     : reply_json(r, MHD_HTTP_OK);
}
