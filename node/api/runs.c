/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/runs: one run, its flow file, its graph, its end. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "flow/read.h"
#include "node/api/auth.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/past.h"
#include "node/api/run_about.h"
#include "node/api/source.h"
#include "node/api/where.h"

/* ---- GET /v1/runs/RUN ---- */

struct steps_about {
    struct step_about *all;
    uint32_t n;
};

static void steps_release(struct steps_about *s)
{
    for (uint32_t i = 0; s->all && i < s->n; i++)
        free(s->all[i].waits);
    free(s->all);
}

static int name_steps(const struct flow *f, struct steps_about *ret)
{
    ret->all = calloc(f->n_all_steps + 1, sizeof(*ret->all));
    if (!ret->all)
        return -ENOMEM;
    ret->n = f->n_all_steps;
    for (uint32_t i = 0; i < ret->n; i++)
        ret->all[i].name = f->steps[i].name;
    return 0;
}

static void view_step(const struct node *n, const struct run_id *run, uint32_t step,
                      struct step_about *about)
{
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;
    struct step_view v;

    if (!node_step_of(n, run, step, &v))
        return;
    about->known = v.n_known;
    about->done = v.n_done;
    about->running = v.n_running;
    about->failed = v.n_failed;
    about->ready = v.n_ready;
    about->skipped = v.n_skipped;
    if (node_why_waiting(n, run, step, &why))
        about->waits = buffer_take(&why);
}

/* The object that was written, with what is known of its nodes. */
int runs_get_end(struct request *r)
{
    struct emit e = { .out = &r->reply.body, .needs_comma = true };

    if (r->reply.body.len) {
        r->reply.body.len--;
        where_emit(r, &r->run, &e);
        buffer_putc(&r->reply.body, '}');
    }
    return reply_json(r, MHD_HTTP_OK);
}

static int reply_run(struct request *r, struct run_about *about,
                     const struct steps_about *steps)
{
    struct emit e = { .out = &r->reply.body };

    about->steps = steps->all;
    about->n_steps = steps->n;
    encode_run(&e, about);
    return runs_get_end(r);
}

/* An active run is known to the node alone, the others to the store alone. */
int runs_get(struct request *r)
{
    CLEANUP(steps_release) struct steps_about steps = { .all = NULL };
    const struct node *n = runtime_node(r->rt);
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    struct run_about about = { .state = NULL };
    struct run_view view;
    int error;

    if (!request_find_run(r, r->params[0]))
        return 0;
    r->state = where_state(r, &r->run);
    if (!node_run(n, &r->run, &view))
        return REQUEST_NEXT;
    error = name_steps(view.flow, &steps);
    if (error < 0)
        return error;
    for (uint32_t i = 0; i < steps.n; i++)
        view_step(n, &r->run, i, &steps.all[i]);
    run_about_changed(r, &r->run, &about, &state);
    run_about_view(&about, &view);
    return reply_run(r, &about, &steps);
}

int runs_get_work(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    struct emit e = { .out = &r->reply.body };
    int error, end_error;

    if (!source_flow(r))
        return 0;
    error = source_record(r, &r->run, &record);
    if (error < 0)
        return reply_errno(r, error, "the run's record");
    end_error = source_end(r, &r->run, &end);
    if (end_error < 0 && end_error != -ENOENT)
        return reply_errno(r, end_error, "the record of the run's end");
    error = past_encode(runtime_writer(r->rt), &record, r->flow,
                        end_error == 0 ? &end : NULL, r->state, r->is_stopping, &e);
    return error < 0 ? reply_errno(r, error, "the run's record") : REQUEST_NEXT;
}

/* ---- GET /v1/runs/RUN/flow, /graph ---- */

int runs_flow_work(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int error = source_record(r, &r->run, &record);

    if (error < 0)
        return reply_errno(r, error, "the run's record");
    buffer_append(&r->reply.body, record.flow_text, record.flow_text_len);
    return reply_body(r, MHD_HTTP_OK, "text/plain; charset=utf-8");
}

int runs_graph(struct request *r)
{
    const char *format = request_query(r, "format");

    if (format && strcmp(format, "json") != 0 && strcmp(format, "dot") != 0)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "'format' must be json or dot, not '%.64s'", format);
    return source_begin(r);
}

int runs_graph_work(struct request *r)
{
    const char *format = request_query(r, "format");
    bool is_dot = format && strcmp(format, "dot") == 0;

    if (!source_flow(r))
        return 0;
    if (is_dot)
        flow_write_dot(r->flow, &r->reply.body);
    else
        flow_write_json(r->flow, &r->reply.body);
    return reply_body(r, MHD_HTTP_OK,
                      is_dot ? "text/vnd.graphviz" : "application/json");
}
