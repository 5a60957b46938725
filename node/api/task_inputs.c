/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/task/inputs: what a join sees of the tasks that it joins. */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/number.h"
#include "node/api/source.h"
#include "node/api/value.h"
#include "node/cache.h"

enum { VALUE_BYTES_MAX = 64 << 10 }; /* of JSON that is shown */

struct input_list {
    struct request *r;
    struct emit e;
    bool with_passed;
};

/* A name that an input has, with the nearest artifact of it. */
struct seen_name {
    UT_hash_handle hh;
    char name[];
};

static void seen_release(struct seen_name **seen)
{
    struct seen_name *s, *next;

    HASH_ITER (hh, *seen, s, next) {
        HASH_DELETE(hh, *seen, s);
        free(s);
    }
}

/* 1: for the first time; 0: again. */
static int see(struct seen_name **seen, const char *name)
{
    size_t size = strlen(name) + 1;
    struct seen_name *s;

    HASH_FIND_STR(*seen, name, s);
    if (s)
        return 0;
    s = malloc(sizeof(*s) + size);
    if (!s)
        return -ENOMEM;
    memcpy(s->name, name, size);
    HASH_ADD_STR(*seen, name, s);
    return 1;
}

static void open_artifact(struct emit *e, const struct artifact *a)
{
    emit_open(e, a->name, '{');
    emit_digest(e, "id", &a->id);
    emit_text(e, "type", a->type);
    emit_text(e, "encoding", encoding_name(a->encoding));
    emit_u64(e, "size", a->size);
}

static int emit_input_artifact(struct request *r, struct emit *e,
                               const struct artifact *a)
{
    int error = 0;

    open_artifact(e, a);
    if (a->size <= VALUE_BYTES_MAX)
        error = value_emit(runtime_artifacts(r->rt), e, a);
    emit_close(e, '}');
    return error < 0 ? error : 0;
}

/* What one attempt made and no nearer one did. */
static int emit_unseen(struct emit *e, const struct attempt_record *a,
                       struct seen_name **seen)
{
    for (size_t i = 0; i < a->n_outputs; i++) {
        int is_new = see(seen, a->outputs[i].name);

        if (is_new < 0)
            return is_new;
        if (is_new && e) {
            open_artifact(e, &a->outputs[i]);
            emit_close(e, '}');
        }
    }
    return 0;
}

/* What was passed to the input along its edges: it has that too. */
static int emit_passed(struct request *r, struct emit *e,
                       const struct attempt_record *input)
{
    const struct artifacts *a = runtime_artifacts(r->rt);
    CLEANUP(seen_release) struct seen_name *seen = NULL;
    struct task_id at = input->task;
    int error = emit_unseen(NULL, input, &seen);

    emit_open(e, "passed", '{');
    while (error == 0) {
        CLEANUP(attempt_record_release) struct attempt_record before = { .attempt = 0 };

        error = artifacts_attempt_before(a, r->flow, &r->run, &at, &before);
        if (error == 0)
            error = emit_unseen(e, &before, &seen);
        at = before.task;
    }
    emit_close(e, '}');
    return error == -ENOENT ? 0 : error;
}

static int add_input(void *arg, const struct attempt_record *a)
{
    struct input_list *list = arg;
    struct request *r = list->r;
    struct emit *e = &list->e;
    int error = 0;

    if (atomic_load(r->is_stopping))
        return -ECANCELED;
    e->needs_comma = false;
    emit_open(e, NULL, '{');
    emit_text(e, "step", r->flow->steps[a->task.step].name);
    if (a->task.depth > r->attempt.task.depth)
        emit_u64(e, "index", a->task.path[a->task.depth - 1]);
    else
        emit_null(e, "index");
    emit_task(e, "task", &a->task);
    emit_u64(e, "attempt", a->attempt);
    emit_bool(e, "ok", a->verdict != VERDICT_CAUGHT);
    emit_open(e, "artifacts", '{');
    for (size_t i = 0; error == 0 && i < a->n_outputs; i++)
        error = emit_input_artifact(r, e, &a->outputs[i]);
    emit_close(e, '}');
    if (error == 0 && list->with_passed)
        error = emit_passed(r, e, a);
    emit_close(e, '}');
    buffer_putc(e->out, '\n');
    return error ? error : buffer_failed(e->out);
}

int task_inputs_work(struct request *r)
{
    struct input_list list = { .r = r, .e.out = &r->reply.body };
    uint64_t with_passed = 0;
    int error;

    if (!request_number(r, "passed", 0, 1, &with_passed))
        return 0;
    if (!cache_may_list(r->flow, r->attempt.task.step))
        return reply_error(r, MHD_HTTP_FORBIDDEN, "name what it reads in its 'inputs'",
                           "the step has 'cache' and is no join");
    /* What only passed a branch is no part of what an equal task is known by. */
    list.with_passed = with_passed && !r->flow->steps[r->attempt.task.step].has_cache;
    error = artifacts_inputs(runtime_artifacts(r->rt), r->flow, &r->run,
                             &r->attempt.task, add_input, &list);

    if (error < 0)
        return reply_errno(r, error, "an input");
    return reply_body(r, MHD_HTTP_OK, "application/x-ndjson");
}
