/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/advise: for each step what was asked, what its attempts used, and
 * what to ask for. Attempts come in the order of steps, so one step is held at a time.
 */
#include <errno.h>
#include <microhttpd.h>

#include "node/api/nouns.h"
#include "node/api/source.h"
#include "node/api/usage.h"
#include "node/attempt_reader.h"

struct advising {
    struct request *request;
    struct emit *e;
    struct usage usage;
    uint32_t step; /* that is read */
};

static void emit_step(struct advising *a)
{
    const struct flow *flow = a->request->flow;

    usage_emit(a->e, &a->usage, flow, &flow->steps[a->step]);
    usage_release(&a->usage);
    a->usage = (struct usage){ .n = 0 };
}

static int read_attempts(struct advising *a)
{
    CLEANUP(attempt_reader_release) struct attempt_reader reader = { .n = 0 };
    struct request *r = a->request;
    struct record_key prefix = attempts_of_run(&r->run);
    const struct attempt_record *attempt;
    int error = 0, n = 0;

    attempt_reader_init(&reader, runtime_writer(r->rt), &prefix);
    while (error == 0 && (n = source_attempt(r, &reader, &attempt)) > 0) {
        if (attempt->task.step >= r->flow->n_all_steps)
            break;
        for (; a->step < attempt->task.step; a->step++)
            emit_step(a);
        error = usage_add(&a->usage, attempt);
    }
    return n < 0 ? n : error;
}

int advise_work(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct emit e = { .out = &r->reply.body };
    struct advising a = { .request = r, .e = &e };
    int error;

    if (!source_flow(r))
        return 0;
    error = source_record(r, &r->run, &record);
    if (error < 0)
        return reply_errno(r, error, "the run's record");
    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_u64(&e, "number", record.number);
    emit_text(&e, "flow", record.flow_name);
    emit_text(&e, "path", record.flow_path);
    emit_open(&e, "steps", '[');
    error = read_attempts(&a);
    for (; error == 0 && a.step < r->flow->n_all_steps; a.step++)
        emit_step(&a);
    usage_release(&a.usage);
    if (error < 0)
        return reply_errno(r, error, "an attempt's record");
    emit_close(&e, ']');
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
