/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_OF(names, value) \
    ((size_t)(value) < ARRAY_SIZE(names) && (names)[value] ? (names)[value] : "unknown")

static const char *const event_names[] = {
    [FEED_RUN_STARTED] = "run_started",
    [FEED_TASK_STARTED] = "task_started",
    [FEED_LOG] = "log",
    [FEED_TASK_ENDED] = "task_ended",
    [FEED_RUN_ENDED] = "run_ended",
    [FEED_RUN_SUSPENDED] = "run_suspended",
    [FEED_RUN_UNSUSPENDED] = "run_unsuspended",
    [FEED_RUN_NUMBERED] = "run_numbered",
};

const char *event_name(enum feed_type type)
{
    return NAME_OF(event_names, type);
}

enum feed_type event_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(event_names); i++)
        if (event_names[i] && strcmp(event_names[i], name) == 0)
            return (enum feed_type)i;
    return (enum feed_type)0;
}

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {
        [VERDICT_DONE] = "done",       [VERDICT_FAILED] = "failed",
        [VERDICT_LOST] = "lost",       [VERDICT_CAUGHT] = "caught",
        [VERDICT_ADOPTED] = "adopted",
    };

    return NAME_OF(names, v);
}

const char *stream_name(enum log_stream s)
{
    static const char *const names[] = {
        [LOG_STDOUT] = "stdout",
        [LOG_STDERR] = "stderr",
    };

    return NAME_OF(names, s);
}

/* ---- runs ---- */

static void encode_step(struct emit *e, const struct step_about *s)
{
    emit_open(e, NULL, '{');
    emit_text(e, "name", s->name);
    emit_u64(e, "known", s->known);
    emit_u64(e, "done", s->done);
    emit_u64(e, "running", s->running);
    emit_u64(e, "failed", s->failed);
    emit_u64(e, "ready", s->ready);
    emit_u64(e, "skipped", s->skipped);
    emit_text(e, "waits", s->waits);
    if (s->past) {
        emit_u64(e, "median_us", s->past->median_us);
        emit_u64(e, "max_us", s->past->max_us);
        emit_u64(e, "cpu_us", s->past->cpu_us);
    }
    emit_close(e, '}');
}

static void encode_notable(struct emit *e, const char *key,
                           const struct notable_task *tasks, size_t n)
{
    emit_open(e, key, '[');
    for (size_t i = 0; i < n; i++) {
        emit_open(e, NULL, '{');
        emit_text(e, "step", tasks[i].step);
        emit_task(e, "task", &tasks[i].task);
        emit_u64(e, "attempt", tasks[i].attempt);
        emit_u64(e, "span_us", tasks[i].span_us);
        emit_text(e, "reason", reason_name(tasks[i].reason));
        emit_i64(e, "exit_code", tasks[i].exit_code);
        emit_i64(e, "signal", tasks[i].signal);
        emit_text(e, "message", tasks[i].message);
        emit_close(e, '}');
    }
    emit_close(e, ']');
}

static void encode_summary(struct emit *e, const struct run_summary *s)
{
    emit_open(e, "summary", '{');
    emit_u64(e, "cpu_us", s->cpu_us);
    emit_u64(e, "artifacts", s->n_artifacts);
    emit_u64(e, "artifact_bytes", s->artifact_bytes);
    emit_u64(e, "log_bytes", s->log_bytes);
    encode_notable(e, "slowest", s->slowest, s->n_slowest);
    encode_notable(e, "failures", s->failures, s->n_failures);
    emit_close(e, '}');
}

void encode_tags(struct emit *e, const struct run_record *r,
                 const struct run_state_record *changed)
{
    bool is_changed = changed && changed->has_tags;
    size_t n = is_changed ? changed->n_tags : r->n_tags;

    emit_open(e, "tags", '[');
    for (size_t i = 0; i < n; i++)
        emit_text(e, NULL, is_changed ? changed->tags[i] : r->tags[i]);
    emit_close(e, ']');
}

static void encode_parameters(struct emit *e, const struct run_record *r)
{
    emit_open(e, "parameters", '[');
    for (size_t i = 0; i < r->n_parameters; i++) {
        const struct record_parameter *p = &r->parameters[i];

        emit_open(e, NULL, '{');
        emit_text(e, "name", p->name);
        emit_text(e, "value", p->is_secret ? NULL : p->value);
        if (p->is_secret)
            emit_bool(e, "secret", true);
        emit_close(e, '}');
    }
    emit_close(e, ']');
}

static void encode_counts(struct emit *e, const struct task_counts *c)
{
    emit_open(e, "tasks", '{');
    emit_u64(e, "done", c->done);
    emit_u64(e, "running", c->running);
    emit_u64(e, "failed", c->failed);
    emit_u64(e, "waiting", c->waiting);
    emit_u64(e, "skipped", c->skipped);
    emit_u64(e, "adopted", c->adopted);
    emit_close(e, '}');
}

static void encode_origin(struct emit *e, bool has_origin, const struct run_id *origin)
{
    if (has_origin)
        emit_run(e, "origin", origin);
    else
        emit_null(e, "origin");
}

void encode_run(struct emit *e, const struct run_about *run)
{
    const struct run_record *r = run->record;
    const struct run_end_record *end = run->end;

    emit_open(e, NULL, '{');
    emit_run(e, "run", &r->run);
    emit_u64(e, "number", r->number);
    emit_text(e, "flow", r->flow_name);
    emit_text(e, "state", run->state);
    emit_text(e, "outcome", end ? run_outcome_name(end->outcome) : NULL);
    emit_time(e, "submitted", r->submitted_wall);
    emit_time(e, "started", run->started);
    emit_time(e, "ended", end ? end->ended_wall : 0);
    emit_text(e, "user", r->user);
    emit_u64(e, "share", r->share ? r->share : 1);
    emit_bool(e, "suspended", run->is_suspended);
    encode_tags(e, r, run->changed);
    encode_parameters(e, r);
    encode_origin(e, r->has_origin, &r->origin);
    emit_digest(e, "package", &r->package);
    emit_text(e, "path", r->flow_path);
    emit_text(e, "message", end ? end->message : NULL);
    encode_counts(e, &run->tasks);
    emit_u64(e, "attempts", run->attempts);
    if (run->steps) {
        emit_open(e, "steps", '[');
        for (size_t i = 0; i < run->n_steps; i++)
            encode_step(e, &run->steps[i]);
        emit_close(e, ']');
    }
    if (run->summary)
        encode_summary(e, run->summary);
    emit_close(e, '}');
}

/* ---- attempts ---- */

void encode_gpus(struct emit *e, uint64_t indexes)
{
    emit_open(e, "gpus", '[');
    for (uint32_t i = 0; i < 64; i++)
        if (indexes >> i & 1)
            emit_u64(e, NULL, i);
    emit_close(e, ']');
}

void encode_artifact_about(struct emit *e, const struct artifact *a)
{
    emit_text(e, "type", a->type);
    emit_text(e, "encoding", encoding_name(a->encoding));
    emit_u64(e, "size", a->size);
    emit_digest(e, "id", &a->id);
    if (a->is_inherited)
        emit_bool(e, "inherited", true);
}

void encode_artifact(struct emit *e, const char *key, const struct artifact *a)
{
    emit_open(e, key, '{');
    if (!key)
        emit_text(e, "name", a->name);
    encode_artifact_about(e, a);
    emit_close(e, '}');
}

/* Absent where nobody looked: the task was over too soon. */
static void encode_peak(struct emit *e, const char *key, uint64_t value)
{
    if (value)
        emit_u64(e, key, value);
    else
        emit_null(e, key);
}

void encode_attempt(struct emit *e, const char *step, const struct attempt_record *a)
{
    emit_open(e, NULL, '{');
    emit_text(e, "step", step);
    emit_task(e, "task", &a->task);
    emit_u64(e, "attempt", a->attempt);
    emit_text(e, "verdict", verdict_name(a->verdict));
    emit_text(e, "reason", reason_name(a->reason));
    emit_i64(e, "exit_code", a->exit_code);
    emit_i64(e, "signal", a->signal);
    emit_text(e, "message", a->message);
    emit_time(e, "started", a->started_wall);
    emit_time(e, "ended", a->ended_wall);
    emit_u64(e, "pid", a->pid);
    emit_u64(e, "max_rss_bytes", a->max_rss_bytes);
    emit_u64(e, "cpu_us", a->cpu_us);
    encode_peak(e, "memory_peak_bytes", a->memory_peak_bytes);
    encode_peak(e, "cpu_peak_milli", a->cpu_peak_milli);
    if (a->has_width)
        emit_u64(e, "width", a->width);
    else
        emit_null(e, "width");
    emit_text(e, "choice", a->choice);
    encode_gpus(e, a->gpus);
    if (a->fence)
        emit_u64(e, "fence", a->fence);
    emit_open(e, "artifacts", '[');
    for (size_t i = 0; i < a->n_outputs; i++)
        encode_artifact(e, NULL, &a->outputs[i]);
    emit_close(e, ']');
    emit_u64(e, "log_bytes", a->log.size);
    emit_bool(e, "log_truncated", a->log.is_truncated);
    encode_origin(e, a->has_origin, &a->origin);
    emit_close(e, '}');
}

/* ---- diagnostics and errors ---- */

static void encode_diagnostic(struct emit *e, const struct diagnostic *d)
{
    emit_open(e, NULL, '{');
    emit_text(e, "severity", d->severity == SEVERITY_NOTE ? "note" : "error");
    emit_u64(e, "line", d->line);
    emit_u64(e, "column", d->column);
    emit_u64(e, "width", d->width);
    emit_text(e, "message", d->message);
    emit_text(e, "hint", d->hint);
    emit_text(e, "excerpt", d->excerpt);
    emit_close(e, '}');
}

void encode_diagnostics(struct emit *e, const char *key, const struct diagnostics *d)
{
    emit_open(e, key, '[');
    for (size_t i = 0; i < d->n; i++)
        encode_diagnostic(e, &d->all[i]);
    if (d->n_more) {
        char text[64];

        snprintf(text, sizeof(text), "%zu more errors", d->n_more);
        encode_diagnostic(e, &(struct diagnostic){ .severity = SEVERITY_ERROR,
                                                   .message = text });
    }
    emit_close(e, ']');
}

void encode_error(struct emit *e, const char *sentence, const char *hint)
{
    emit_open(e, NULL, '{');
    emit_text(e, "error", sentence);
    if (hint)
        emit_text(e, "hint", hint);
    emit_close(e, '}');
}

/* ---- events ---- */

static void encode_ended(struct emit *e, const struct feed_event *event)
{
    emit_text(e, "verdict", verdict_name(event->verdict));
    emit_text(e, "reason", reason_name(event->reason));
    emit_i64(e, "exit_code", event->exit_code);
    emit_i64(e, "signal", event->signal);
    emit_text(e, "message", event->message);
    emit_time(e, "started", event->started_wall);
    emit_bool(e, "retried", event->is_retried);
    emit_u64(e, "retry_in_us", event->retry_in_us);
}

static void encode_task_event(struct emit *e, const struct feed_event *event)
{
    emit_text(e, "step", event->step);
    emit_task(e, "task", &event->task);
    emit_u64(e, "attempt", event->attempt);
    emit_u64(e, "pid", event->pid);
    if (event->node)
        emit_text(e, "node", event->node);
    if (event->type == FEED_LOG) {
        emit_text(e, "stream", stream_name(event->stream));
        emit_bytes(e, "text", event->data, event->len);
    } else if (event->type == FEED_TASK_ENDED) {
        encode_ended(e, event);
    }
}

void encode_event(struct emit *e, const struct feed_event *event)
{
    emit_open(e, NULL, '{');
    emit_time(e, "time", event->wall);
    emit_run(e, "run", &event->run);
    emit_u64(e, "number", event->number);
    switch (event->type) {
    case FEED_RUN_STARTED:
    case FEED_RUN_SUSPENDED:
    case FEED_RUN_UNSUSPENDED:
    case FEED_RUN_NUMBERED:
        emit_text(e, "flow", event->flow);
        break;
    case FEED_RUN_ENDED:
        emit_text(e, "outcome", run_outcome_name(event->outcome));
        emit_text(e, "message", event->message);
        emit_time(e, "started", event->started_wall);
        break;
    case FEED_TASK_STARTED:
    case FEED_LOG:
    case FEED_TASK_ENDED:
        encode_task_event(e, event);
        break;
    }
    emit_close(e, '}');
}
