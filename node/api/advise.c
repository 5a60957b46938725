/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/advise: for each step what was asked, what its attempts used, and
 * what to ask for. Attempts come in the order of steps, so one step is held at a time.
 */
#include <errno.h>
#include <microhttpd.h>

#include "node/api/nouns.h"
#include "node/api/source.h"
#include "node/api/usage.h"

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

static int each_attempt(void *arg, struct span key, struct span value)
{
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct advising *a = arg;
    int error = attempt_record_decode(value.data, value.len, &record);

    if (error == 0)
        error = attempt_key_decode(key.data, key.len, &record.run, &record.task,
                                   &record.attempt);
    if (error < 0)
        return error;
    if (record.task.step >= a->request->flow->n_all_steps)
        return -EBADMSG;
    if (atomic_load(a->request->is_stopping))
        return -ECANCELED;
    while (a->step < record.task.step) {
        emit_step(a);
        a->step++;
    }
    return usage_add(&a->usage, &record);
}

int advise_work(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct emit e = { .out = &r->reply.body };
    struct advising a = { .request = r, .e = &e };
    struct record_key prefix = attempts_of_run(&r->run);
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
    error = writer_scan(runtime_writer(r->rt), STORE_RECORDS,
                        (struct span){ prefix.bytes, prefix.len },
                        (struct span){ NULL, 0 }, each_attempt, &a);
    for (; error == 0 && a.step < r->flow->n_all_steps; a.step++)
        emit_step(&a);
    usage_release(&a.usage);
    if (error < 0)
        return reply_errno(r, error, "an attempt's record");
    emit_close(&e, ']');
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
