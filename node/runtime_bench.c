/* SPDX-License-Identifier: Apache-2.0 */
/* Workbenches: made in any thread, and served at the channel of tasks. */
#include <errno.h>
#include <string.h>

#include "flow/parameters.h"
#include "node/runtime_internal.h"

/* A foreach over files has its items from the package. */
static int read_run(struct runtime *rt, const struct run_id *run,
                    struct run_record *record, struct flow **ret_flow)
{
    int r = runtime_read_run(rt, run, record, ret_flow);

    return r < 0 ? r : runtime_fill_globs(rt, *ret_flow, &record->package);
}

int runtime_bench_make(struct runtime *rt, const struct run_id *run,
                       const struct task_id *task, uint32_t attempt,
                       struct workbench *ret, struct error *ret_error)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    struct launch_config config = { .data_dir = rt->dir,
                                    .task_socket = rt->task_socket,
                                    .program_dir = rt->program_dir };
    struct workbench_order order = { .config = &config,
                                     .artifacts = &rt->artifacts,
                                     .record = &record,
                                     .task = *task,
                                     .attempt = attempt };
    int r = read_run(rt, run, &record, &flow);

    order.flow = flow;
    if (r == 0)
        r = runtime_values(rt, flow, &record, &order.take_values);
    if (r < 0)
        return fail(ret_error, r, "the run's record cannot be read: %s", strerror(-r));
    workbench_sweep(rt->dir);
    return workbench_make(&order, ret, ret_error);
}

/* ---- the channel ---- */

void runtime_bench_forget(struct runtime *rt)
{
    workbench_session_release(&rt->bench.session);
    flow_unref(TAKE(rt->bench.flow));
}

/* The last one that asked is remembered: a session asks more than once. */
static int open_bench(struct runtime *rt, const char *token)
{
    CLEANUP(workbench_session_release)
    struct workbench_session session = { .attempt = 0 };
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int r = workbench_find(rt->dir, token, &session);

    if (r < 0)
        return r;
    if (rt->bench.flow && strcmp(rt->bench.session.token, session.token) == 0)
        return 0;
    runtime_bench_forget(rt);
    r = read_run(rt, &session.run, &record, &rt->bench.flow);
    if (r < 0) {
        runtime_bench_forget(rt);
        return r;
    }
    rt->bench.session = session;
    session = (struct workbench_session){ .attempt = 0 };
    return 0;
}

int runtime_bench_channel(struct runtime *rt, const char *token,
                          struct channel_attempt *ret)
{
    struct workbench_session *s = &rt->bench.session;
    const struct flow *f;
    uint32_t step;
    int r = open_bench(rt, token);

    if (r < 0 || !runtime_is_token(token, s->token))
        return -EACCES;
    f = rt->bench.flow;
    step = flow_find_step(f, s->step);
    if (step == FLOW_NONE
        || task_id_parse(s->task, step, f->scopes[f->steps[step].scope].depth,
                         &ret->task)
               < 0)
        return -EACCES;
    ret->run = s->run;
    ret->attempt = s->attempt;
    ret->slot = NODE_SLOT_NONE;
    ret->flow = rt->bench.flow;
    ret->out_dir = s->out_dir;
    return 0;
}

int runtime_bench_parameter(struct runtime *rt, const char *name, struct buffer *out)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    char **values;
    int r = runtime_read_run(rt, &rt->bench.session.run, &record, &flow);

    if (r == 0)
        r = runtime_values(rt, flow, &record, &values);
    if (r < 0)
        return r;
    r = -ENOENT;
    for (size_t i = 0; i < flow->n_parameters; i++)
        if (values[i] && !flow->parameters[i].is_secret
            && strcmp(flow->parameters[i].name, name) == 0)
            r = parameter_write_json(&flow->parameters[i], values[i], out);
    parameters_free(flow, values);
    return r;
}
