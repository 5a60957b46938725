/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/runs/RUN/exec: a task on a workbench, for who looks into it. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/auth.h"
#include "node/api/bodies.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/server.h"
#include "node/api/source.h"
#include "node/attempt_reader.h"
#include "node/workbench.h"

struct candidate {
    struct task_id task;
    uint32_t attempt;
    enum verdict verdict; /* 0: there is none yet */
};

struct executing {
    struct exec_body body;
    struct task_id asked; /* body.task, when it is given */
    struct candidate chosen;
};

static void executing_release(void *data)
{
    exec_body_release(&((struct executing *)data)->body);
}

int exec_post(struct request *r)
{
    struct executing *x = request_data(r, sizeof(*x), executing_release);
    struct error why = { .text = "" };
    int error;

    if (!x)
        return -ENOMEM;
    if (r->listener->door != DOOR_USER)
        return reply_error(r, MHD_HTTP_FORBIDDEN, "ask over the node's unix socket",
                           "a task is laid out on this machine, for who is here");
    error = exec_body_read(buffer_text(&r->body.memory), r->body.memory.len, &x->body,
                           &why);
    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    return error < 0 ? error : source_begin(r);
}

/* ---- which attempt ---- */

static bool is_failed(enum verdict v)
{
    return v == VERDICT_FAILED || v == VERDICT_LOST;
}

static bool is_same_task(const struct task_id *a, const struct task_id *b)
{
    return a->depth == b->depth
           && memcmp(a->path, b->path, a->depth * sizeof(a->path[0])) == 0;
}

/* The first of all, until one comes that failed: true. */
static bool offer(struct executing *x, const struct candidate *c)
{
    if (c->verdict && (!x->chosen.verdict || is_failed(c->verdict)))
        x->chosen = *c;
    return is_failed(c->verdict);
}

/* The last attempt of each task is offered, or the one that is asked for. Of a task
 * that came back to itself that is one of its last iteration. */
static int choose(struct request *r, struct executing *x, struct attempt_reader *reader)
{
    struct candidate last = { .verdict = 0 };
    const struct attempt_record *a;
    int error;

    while ((error = attempt_reader_next(reader, &a)) > 0) {
        if (atomic_load(r->is_stopping))
            return -ECANCELED;
        if (!is_same_task(&last.task, &a->task)) {
            if (offer(x, &last))
                return 0;
            last = (struct candidate){ .task = a->task };
        }
        if (!x->body.has_attempt || x->body.attempt == a->attempt)
            last = (struct candidate){ a->task, a->attempt, a->verdict };
    }
    offer(x, &last);
    return error < 0 ? error : x->chosen.verdict ? 0 : -ENOENT;
}

static int choose_of(struct request *r, struct executing *x,
                     const struct record_key *prefix)
{
    CLEANUP(freep) struct attempt_reader *reader = malloc(sizeof(*reader));
    int error;

    if (!reader)
        return -ENOMEM;
    attempt_reader_init(reader, runtime_writer(r->rt), prefix);
    error = choose(r, x, reader);
    attempt_reader_release(reader);
    return error;
}

static bool find_attempt(struct request *r, struct executing *x)
{
    struct record_key of;
    uint32_t step;
    int error;

    if (!source_step(r, x->body.step, &step))
        return false;
    if (x->body.task && !source_task(r, x->body.step, x->body.task, &x->asked))
        return false;
    of = x->body.task ? attempts_of_task(&r->run, &x->asked)
                      : attempts_of_step(&r->run, step);
    error = choose_of(r, x, &of);
    if (error == -ENOENT)
        reply_error(r, MHD_HTTP_NOT_FOUND, "GET /v1/runs/RUN/tasks lists what ran",
                    "no such attempt of '%.64s' has ended", x->body.step);
    else if (error < 0)
        reply_errno(r, error, "an attempt's record");
    return error == 0;
}

/* ---- the answer ---- */

static void emit_environment(struct emit *e, const struct variables *env)
{
    emit_open(e, "env", '{');
    for (size_t i = 0; i < env->n; i++) {
        char *name = env->all[i], *value = strchr(name, '=');

        *value = '\0';
        emit_text(e, name, value + 1);
        *value = '=';
    }
    emit_close(e, '}');
}

static void emit_secrets(struct emit *e, const struct flow *f)
{
    emit_open(e, "secrets", '[');
    for (size_t i = 0; i < f->n_parameters; i++)
        if (f->parameters[i].is_secret)
            emit_text(e, NULL, f->parameters[i].name);
    emit_close(e, ']');
}

static int reply_bench(struct request *r, const struct executing *x,
                       const struct workbench *b)
{
    struct emit e = { .out = &r->reply.body };

    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_text(&e, "step", x->body.step);
    emit_task(&e, "task", &x->chosen.task);
    emit_u64(&e, "attempt", x->chosen.attempt);
    emit_text(&e, "verdict", verdict_name(x->chosen.verdict));
    emit_text(&e, "dir", b->dir);
    emit_text(&e, "cwd", b->work_path);
    emit_text(&e, "rerun", b->rerun);
    emit_text(&e, "problem", b->problem);
    emit_open(&e, "argv", '[');
    for (char **a = b->argv; *a; a++)
        emit_text(&e, NULL, *a);
    emit_close(&e, ']');
    emit_environment(&e, &b->env);
    emit_secrets(&e, r->flow);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_CREATED);
}

int exec_post_work(struct request *r)
{
    CLEANUP(workbench_release) struct workbench b = { .dir = NULL };
    struct executing *x = r->data;
    struct error why = { .text = "" };
    int error;

    if (!source_flow(r) || !find_attempt(r, x))
        return 0;
    error = runtime_bench_make(r->rt, &r->run, &x->chosen.task, x->chosen.attempt, &b,
                               &why);
    if (error < 0)
        return reply_error(r,
                           error == -ENOENT ? MHD_HTTP_CONFLICT
                                            : MHD_HTTP_INTERNAL_SERVER_ERROR,
                           NULL, "the task cannot be laid out: %s",
                           why.text[0] ? why.text : strerror(-error));
    return reply_bench(r, x, &b);
}
