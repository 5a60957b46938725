/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/source.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "flow/read.h"
#include "node/attempt_reader.h"
#include "node/api/number.h"
#include "node/api/past.h"

static int get(struct request *r, const struct record_key *key, struct buffer *ret)
{
    return writer_get(runtime_writer(r->rt), STORE_RECORDS,
                      (struct span){ key->bytes, key->len }, ret);
}

int source_record(struct request *r, const struct run_id *run,
                  struct run_record *ret_record)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_key(run);
    int error = get(r, &key, &value);

    return error < 0 ? error : run_record_decode(value.data, value.len, ret_record);
}

int source_end(struct request *r, const struct run_id *run,
               struct run_end_record *ret_end)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_end_key(run);
    int error = get(r, &key, &value);

    return error < 0 ? error : run_end_record_decode(value.data, value.len, ret_end);
}

int source_state(struct request *r, const struct run_id *run,
                 struct run_state_record *ret_state)
{
    return past_state(runtime_writer(r->rt), run, ret_state);
}

int source_begin(struct request *r)
{
    struct run_view view;

    if (!request_find_run(r, r->params[0]))
        return 0;
    if (node_run(runtime_node(r->rt), &r->run, &view) && view.flow)
        r->flow = flow_ref((struct flow *)view.flow);
    return REQUEST_NEXT;
}

bool source_flow(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };
    int error;

    if (r->flow)
        return true;
    error = source_record(r, &r->run, &record);
    if (error == 0)
        error = flow_read(record.flow_text, record.flow_text_len, &r->flow, &d);
    if (error == 0)
        return true;
    if (error == -EINVAL)
        reply_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL,
                    "the flow file of this run cannot be read any more: %s",
                    d.n ? d.all[0].message : "");
    else
        reply_errno(r, error, "the run's record");
    return false;
}

bool source_step(struct request *r, const char *name, uint32_t *ret_step)
{
    *ret_step = flow_find_step(r->flow, name);
    if (*ret_step != FLOW_NONE)
        return true;
    reply_error(r, MHD_HTTP_NOT_FOUND, "GET /v1/runs/RUN lists its steps",
                "the flow '%.64s' has no step '%.64s'", r->flow->name, name);
    return false;
}

int source_attempt(struct request *r, struct attempt_reader *reader,
                   const struct attempt_record **ret_attempt)
{
    int n;

    do {
        if (atomic_load(r->is_stopping))
            return -ECANCELED;
        n = attempt_reader_next(reader, ret_attempt);
    } while (n == -EBADMSG || n == -EPROTONOSUPPORT);
    return n;
}

uint32_t source_depth(const struct flow *f, uint32_t step)
{
    return f->scopes[f->steps[step].scope].depth;
}

bool source_task(struct request *r, const char *step, const char *task,
                 struct task_id *ret_task)
{
    uint32_t index, depth;

    if (!source_step(r, step, &index))
        return false;
    depth = source_depth(r->flow, index);
    if (task_id_parse(task, index, depth, ret_task) == 0)
        return true;
    reply_error(r, MHD_HTTP_NOT_FOUND,
                depth ? "a task is its index in each foreach around it: 17, or 3.1"
                      : "the task of a step outside of any foreach is 0",
                "step '%.64s' has no task '%.64s'", step, task);
    return false;
}

bool source_after(struct request *r, struct record_key *ret_key)
{
    const char *text = request_query(r, "after");
    CLEANUP(freep) char *copy = text ? strdup(text) : NULL;
    char *task = copy ? strchr(copy, '/') : NULL;
    char *attempt = task ? strchr(task + 1, '/') : NULL;
    struct task_id id;
    uint64_t n;

    ret_key->len = 0;
    if (!text)
        return true;
    if (!attempt || number_parse(attempt + 1, UINT32_MAX, &n) < 0) {
        reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                    "'after' must be STEP/TASK/ATTEMPT, not '%.200s'", text);
        return false;
    }
    *task++ = *attempt = '\0';
    if (!source_task(r, copy, task, &id))
        return false;
    *ret_key = attempt_key(&r->run, &id, (uint32_t)n);
    ret_key->bytes[ret_key->len++] = 0; /* the first key behind it */
    return true;
}

bool source_prefix(struct request *r, struct record_key *ret_prefix)
{
    const char *step = request_query(r, "step"), *task = request_query(r, "task");
    struct task_id id;

    *ret_prefix = attempts_of_run(&r->run);
    if (!step && !task)
        return true;
    if (!step) {
        reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "'task' needs 'step'");
        return false;
    }
    if (!task) {
        if (!source_step(r, step, &id.step))
            return false;
        *ret_prefix = attempts_of_step(&r->run, id.step);
        return true;
    }
    if (!source_task(r, step, task, &id))
        return false;
    *ret_prefix = attempts_of_task(&r->run, &id);
    return true;
}

uint64_t source_count_running(const struct node *n)
{
    struct run_view view;
    uint64_t sum = 0;

    for (size_t i = 0; i < node_runs(n); i++)
        if (node_run_at(n, i, &view))
            sum += view.n_running;
    return sum;
}
