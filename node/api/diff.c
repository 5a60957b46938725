/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/diff/OTHER: from RUN to OTHER: parameters, the flow file, code,
 * steps with their times, artifacts, outcome. Artifacts are told from two scans that go
 * side by side, so that wide runs cost no memory. */
#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/compare.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/sides.h"
#include "node/attempt_reader.h"

enum { ARTIFACTS_LISTED_MAX = 10000 };

struct side {
    const struct flow *flow;
    const struct run_record *record;
    struct run_end_record end;
    bool has_end;
    struct attempt_reader reader;
    const struct attempt_record *attempt; /* the one that counts for the next task */
    /* Of the step that is read: */
    uint64_t n_tasks, n_adopted, n_failed_attempts, took_us, cpu_us;
};

struct diff {
    struct run_id other;
    uint64_t limit;
    bool has_values, has_same;
    struct request *request;
    struct emit *e;
    struct side before, after;
    struct sides sides;
    const char *step;
    char task[TASK_TEXT_SIZE];
    uint64_t n_listed, n_same, n_changed, n_added, n_removed;
    uint64_t n_step; /* of the step: artifacts that are not the same */
};

static void side_release(struct side *s)
{
    run_end_record_release(&s->end);
    attempt_reader_release(&s->reader);
}

static void diff_release(void *data)
{
    struct diff *d = data;

    side_release(&d->before);
    side_release(&d->after);
    sides_release(&d->sides);
}

static bool read_bool(struct request *r, const char *name, bool *ret)
{
    const char *text = request_query(r, name);

    *ret = text && strcmp(text, "true") == 0;
    if (!text || *ret || strcmp(text, "false") == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                "'%s' must be true or false, not '%.64s'", name, text);
    return false;
}

int diff_get(struct request *r)
{
    struct diff *d = request_data(r, sizeof(*d), diff_release);

    if (!d)
        return -ENOMEM;
    if (!request_number(r, "limit", 1000, ARTIFACTS_LISTED_MAX, &d->limit)
        || !read_bool(r, "values", &d->has_values)
        || !read_bool(r, "same", &d->has_same) || !request_find_run(r, r->params[1]))
        return 0;
    d->other = r->run;
    return request_find_run(r, r->params[0]) ? REQUEST_NEXT : 0;
}

/* ---- artifacts ---- */

/* Small ones lie in the record: JSON as it is, text that shows itself as a string. */
static void emit_value(struct emit *e, const struct artifact *a)
{
    const uint8_t *data = a->inline_data;
    json_t *json = NULL;

    if (!data)
        return;
    if (a->encoding == ENCODING_JSON)
        json = json_loadb((const char *)data, a->size, JSON_DECODE_ANY, NULL);
    for (uint64_t at = 0, n; !json && at < a->size; at += n) {
        n = utf8_length(data + at, a->size - at);
        if (n == 0 || (data[at] < ' ' && !strchr("\t\r\n", data[at])))
            return;
    }
    if (json)
        emit_raw(e, "value", (const char *)data, a->size);
    else
        emit_bytes(e, "value", data, a->size);
    json_decref(json);
}

static void emit_side(const struct diff *d, const char *key, const struct artifact *a)
{
    struct emit *e = d->e;

    if (!a) {
        emit_null(e, key);
        return;
    }
    emit_open(e, key, '{');
    emit_text(e, "type", a->type);
    emit_text(e, "encoding", encoding_name(a->encoding));
    emit_u64(e, "size", a->size);
    emit_digest(e, "id", &a->id);
    if (d->has_values)
        emit_value(e, a);
    emit_close(e, '}');
}

static int each_artifact(void *arg, const struct artifact *before,
                         const struct artifact *after)
{
    struct diff *d = arg;
    bool is_same = before && after && artifact_is_same(before, after);
    uint64_t *count = is_same           ? &d->n_same
                      : before && after ? &d->n_changed
                      : after           ? &d->n_added
                                        : &d->n_removed;

    ++*count;
    d->n_step += !is_same;
    if ((is_same && !d->has_same) || d->n_listed == d->limit)
        return 0;
    d->n_listed++;
    emit_open(d->e, NULL, '{');
    emit_text(d->e, "step", d->step);
    emit_text(d->e, "task", d->task);
    emit_text(d->e, "name", before ? before->name : after->name);
    emit_text(d->e, "change",
              is_same           ? "same"
              : before && after ? "changed"
              : after           ? "added"
                                : "removed");
    emit_side(d, "before", before);
    emit_side(d, "after", after);
    emit_close(d->e, '}');
    return buffer_failed(d->e->out);
}

/* The next task that is done, and counts the attempts on the way. */
static int advance(struct diff *d, struct side *s)
{
    int n;

    s->attempt = NULL;
    while ((n = source_attempt(d->request, &s->reader, &s->attempt)) > 0) {
        const struct attempt_record *a = s->attempt;

        if (a->verdict == VERDICT_FAILED || a->verdict == VERDICT_LOST) {
            s->n_failed_attempts++;
            continue;
        }
        s->n_tasks++;
        s->n_adopted += attempt_is_taken_over(a);
        if (attempt_is_taken_over(a))
            return 0;
        s->cpu_us += a->cpu_us;
        if (a->ended_wall > a->started_wall)
            s->took_us += a->ended_wall - a->started_wall;
        return 0;
    }
    s->attempt = NULL;
    return n;
}

/* By indexes and iteration: a step may have another number in each flow. */
static int order_of(const struct attempt_record *a, const struct attempt_record *b)
{
    struct task_id left = a->task, right = b->task;
    uint8_t x[TASK_ID_SIZE_MAX], y[TASK_ID_SIZE_MAX];
    size_t n, m;
    int order;

    left.step = right.step = 0;
    n = task_id_encode(&left, x);
    m = task_id_encode(&right, y);
    order = memcmp(x, y, min_size(n, m));
    return order ? order : (n > m) - (n < m);
}

static int compare_tasks(struct diff *d)
{
    static const struct attempt_record none = { .attempt = 0 };
    const struct attempt_record *a = d->before.attempt, *b = d->after.attempt;
    int order = !b ? -1 : !a ? 1 : order_of(a, b);
    int error;

    task_id_text(order <= 0 ? &a->task : &b->task, d->task);
    error = compare_artifacts(order <= 0 ? a : &none, order >= 0 ? b : &none,
                              each_artifact, d);
    if (error == 0 && order <= 0)
        error = advance(d, &d->before);
    if (error == 0 && order >= 0)
        error = advance(d, &d->after);
    return error;
}

static int open_side(struct diff *d, struct side *s, uint32_t step)
{
    struct record_key prefix = attempts_of_step(&s->record->run, step);

    s->n_tasks = s->n_adopted = s->n_failed_attempts = s->took_us = s->cpu_us = 0;
    s->attempt = NULL;
    attempt_reader_release(&s->reader);
    if (step == FLOW_NONE)
        return 0;
    attempt_reader_init(&s->reader, runtime_writer(d->request->rt), &prefix);
    return advance(d, s);
}

/* ---- steps ---- */

static void emit_step_side(struct emit *e, const char *key, const struct side *s,
                           uint32_t step)
{
    if (step == FLOW_NONE) {
        emit_null(e, key);
        return;
    }
    emit_open(e, key, '{');
    emit_u64(e, "tasks", s->n_tasks);
    emit_u64(e, "adopted", s->n_adopted);
    emit_u64(e, "failed_attempts", s->n_failed_attempts);
    emit_u64(e, "took_us", s->took_us);
    emit_u64(e, "cpu_us", s->cpu_us);
    emit_close(e, '}');
}

static int each_key(void *arg, const char *key)
{
    emit_text(arg, NULL, key);
    return 0;
}

/* Artifacts go to the list that is open, the step's row to `steps`. */
static int compare_step(struct diff *d, struct emit *steps, uint32_t was, uint32_t is)
{
    int error = open_side(d, &d->before, was);

    d->n_step = 0;
    d->step = was != FLOW_NONE ? d->before.flow->steps[was].name
                               : d->after.flow->steps[is].name;
    if (error == 0)
        error = open_side(d, &d->after, is);
    while (error == 0 && (d->before.attempt || d->after.attempt))
        error = compare_tasks(d);
    if (error < 0)
        return error;
    emit_open(steps, NULL, '{');
    emit_text(steps, "step", d->step);
    emit_open(steps, "keys", '[');
    if (was != FLOW_NONE && is != FLOW_NONE)
        error = compare_steps(d->before.flow, was, d->after.flow, is, each_key, steps);
    emit_close(steps, ']');
    emit_u64(steps, "artifacts", d->n_step);
    emit_step_side(steps, "before", &d->before, was);
    emit_step_side(steps, "after", &d->after, is);
    emit_close(steps, '}');
    return error;
}

static int compare_all_steps(struct diff *d, struct buffer *rows)
{
    const struct flow *f = d->before.flow, *g = d->after.flow;
    struct emit steps = { .out = rows };
    int error = 0;

    emit_open(&steps, NULL, '[');
    for (uint32_t i = 0; error == 0 && i < g->n_all_steps; i++)
        error = compare_step(d, &steps, flow_find_step(f, g->steps[i].name), i);
    for (uint32_t i = 0; error == 0 && i < f->n_all_steps; i++)
        if (flow_find_step(g, f->steps[i].name) == FLOW_NONE)
            error = compare_step(d, &steps, i, FLOW_NONE);
    emit_close(&steps, ']');
    return error < 0 ? error : buffer_failed(rows);
}

/* ---- the whole ---- */

static int read_end(struct diff *d, struct side *s)
{
    int error = source_end(d->request, &s->record->run, &s->end);

    s->has_end = error == 0;
    return error == -ENOENT ? 0 : error;
}

static void emit_run_side(struct emit *e, const char *key, const struct side *s)
{
    const struct run_record *r = s->record;

    emit_open(e, key, '{');
    emit_run(e, "run", &r->run);
    emit_u64(e, "number", r->number);
    emit_text(e, "flow", r->flow_name);
    emit_text(e, "path", r->flow_path);
    emit_text(e, "user", r->user);
    emit_digest(e, "package", &r->package);
    emit_time(e, "submitted", r->submitted_wall);
    emit_text(e, "outcome", s->has_end ? run_outcome_name(s->end.outcome) : NULL);
    emit_text(e, "message", s->has_end ? s->end.message : NULL);
    if (s->has_end)
        emit_u64(e, "took_us", s->end.ended_wall - s->end.started_wall);
    else
        emit_null(e, "took_us");
    emit_close(e, '}');
}

static int emit_artifacts(struct diff *d, struct buffer *rows)
{
    int error;

    emit_open(d->e, "artifacts", '[');
    error = compare_all_steps(d, rows);
    emit_close(d->e, ']');
    emit_open(d->e, "n_artifacts", '{');
    emit_u64(d->e, "same", d->n_same);
    emit_u64(d->e, "changed", d->n_changed);
    emit_u64(d->e, "added", d->n_added);
    emit_u64(d->e, "removed", d->n_removed);
    emit_u64(d->e, "listed", d->n_listed);
    emit_close(d->e, '}');
    return error;
}

static int tell(struct diff *d)
{
    CLEANUP(buffer_release) struct buffer rows = BUFFER_INIT;
    struct changes c = { .e = d->e };
    bool is_same;
    int error;

    emit_open(d->e, NULL, '{');
    emit_run_side(d->e, "before", &d->before);
    emit_run_side(d->e, "after", &d->after);
    emit_open(d->e, "changes", '[');
    error = sides_emit_parameters(&d->sides, &c);
    if (error == 0)
        error = sides_emit_flow(&d->sides, &c);
    if (error == 0)
        error = sides_emit_code(&d->sides, &c);
    emit_close(d->e, ']');
    emit_u64(d->e, "n_changes", c.n);
    if (error == 0)
        error = emit_artifacts(d, &rows);
    if (error < 0)
        return error;
    emit_raw(d->e, "steps", buffer_text(&rows), rows.len);
    is_same = c.n == 0 && d->n_changed + d->n_added + d->n_removed == 0
              && d->before.has_end == d->after.has_end
              && d->before.end.outcome == d->after.end.outcome;
    emit_bool(d->e, "is_same", is_same);
    emit_close(d->e, '}');
    return 0;
}

int diff_get_work(struct request *r)
{
    struct diff *d = r->data;
    struct run_id before = r->run;
    struct emit e = { .out = &r->reply.body };
    int error;

    d->request = r;
    d->e = &e;
    r->run = d->other;
    if (!source_flow(r))
        return 0;
    error = sides_read(r, &before, &d->other, r->flow, &d->sides);
    if (error == 0) {
        d->before.flow = d->sides.flow_before;
        d->after.flow = d->sides.flow_after;
        d->before.record = &d->sides.before;
        d->after.record = &d->sides.after;
        error = read_end(d, &d->before);
    }
    if (error == 0)
        error = read_end(d, &d->after);
    if (error == 0)
        error = tell(d);
    return error < 0 ? reply_errno(r, error, "a run") : reply_json(r, MHD_HTTP_OK);
}
