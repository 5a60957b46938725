/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/runs: one run, its flow file, its graph, its end. */
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "flow/read.h"
#include "node/api/auth.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/past.h"
#include "node/api/source.h"

static const char *state_name(enum run_state s)
{
    static const char *const names[] = {
        [RUN_STATE_HELD] = "running",
        [RUN_STATE_RUNNING] = "running",
        [RUN_STATE_STOPPING] = "stopping",
        [RUN_STATE_SUSPENDED] = "suspended",
    };

    return names[s];
}

static void fill_view(struct run_about *about, const struct run_view *view)
{
    about->record = view->record;
    about->state = state_name(view->state);
    about->is_suspended = view->is_suspended;
    about->started = view->started_wall;
    about->attempts = view->n_attempts;
    about->tasks = (struct task_counts){
        .done = view->n_done,
        .running = view->n_running,
        .failed = view->n_failed,
        .waiting = view->n_waiting,
        .skipped = view->n_skipped,
        .adopted = view->n_adopted,
    };
}

/* One that cannot be read changes nothing of what is shown. */
static void fill_changed(struct request *r, struct run_about *about,
                         const struct run_id *run, struct run_state_record *state)
{
    if (source_state(r, run, state) < 0)
        return;
    about->changed = state;
    about->is_suspended = state->is_suspended;
}

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

static int reply_run(struct request *r, struct run_about *about,
                     const struct steps_about *steps)
{
    struct emit e = { .out = &r->reply.body };

    about->steps = steps->all;
    about->n_steps = steps->n;
    encode_run(&e, about);
    return reply_json(r, MHD_HTTP_OK);
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
    if (!node_run(n, &r->run, &view))
        return REQUEST_NEXT;
    error = name_steps(view.flow, &steps);
    if (error < 0)
        return error;
    for (uint32_t i = 0; i < steps.n; i++)
        view_step(n, &r->run, i, &steps.all[i]);
    fill_changed(r, &about, &r->run, &state);
    fill_view(&about, &view);
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
                        end_error == 0 ? &end : NULL, r->is_stopping, &e);
    if (error < 0)
        return reply_errno(r, error, "the run's record");
    return reply_json(r, MHD_HTTP_OK);
}

/* ---- GET /v1/runs ---- */

enum { RUNS_MAX = 500 };

struct run_row {
    struct run_record record;
    struct run_end_record end;
    struct run_state_record state;
    bool has_end, has_state;
};

static void row_release(struct run_row *row)
{
    run_record_release(&row->record);
    if (row->has_end)
        run_end_record_release(&row->end);
    if (row->has_state)
        run_state_record_release(&row->state);
}

struct run_list {
    struct run_row *rows;
    uint64_t n, limit;
    char *flow, *tag;
    bool has_before;
};

static void run_list_release(void *data)
{
    struct run_list *list = data;

    for (uint64_t i = 0; i < list->n; i++)
        row_release(&list->rows[i]);
    free(list->rows);
    free(list->flow);
    free(list->tag);
}

int runs_list(struct request *r)
{
    const char *flow = request_query(r, "flow"), *before = request_query(r, "before");
    const char *tag = request_query(r, "tag");
    struct run_list *list = request_data(r, sizeof(*list), run_list_release);

    if (!list)
        return -ENOMEM;
    if (!request_number(r, "limit", 100, RUNS_MAX, &list->limit)
        || (before && !request_find_run(r, before)))
        return 0;
    list->has_before = before != NULL;
    list->flow = flow ? strdup(flow) : NULL;
    list->tag = tag ? strdup(tag) : NULL;
    list->rows = calloc(list->limit + 1, sizeof(*list->rows));
    return list->rows && (!flow || list->flow) && (!tag || list->tag) ? REQUEST_NEXT
                                                                      : -ENOMEM;
}

static int stop_at_first(void *arg, struct span key, struct span value)
{
    (void)arg, (void)key, (void)value;
    return 1;
}

/* 1 if a run has this number or a larger one, 0, or a negative errno. */
static int is_any_from(struct writer *w, uint64_t number)
{
    struct record_key all = number_key(0), from = number_key(number);

    return writer_scan(w, STORE_RECORDS, (struct span){ all.bytes, 1 },
                       (struct span){ from.bytes, from.len }, stop_at_first, NULL);
}

/* Numbers are read forwards only, so the newest is searched for by halves. */
static int newest_number(struct writer *w, uint64_t *ret_number)
{
    uint64_t lo = 0, step = 1; /* some run has lo (or lo is 0) */
    int r = 1;

    while (r > 0 && step < UINT64_MAX / 4) {
        r = is_any_from(w, lo + step);
        if (r > 0) {
            lo += step;
            step *= 2;
        }
    }
    for (step /= 2; r >= 0 && step; step /= 2) {
        r = is_any_from(w, lo + step);
        if (r > 0)
            lo += step;
    }
    *ret_number = lo;
    return r < 0 ? r : 0;
}

static int read_row(struct request *r, uint64_t number, struct run_row *ret)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = number_key(number);
    struct run_id run;
    int error = writer_get(runtime_writer(r->rt), STORE_RECORDS,
                           (struct span){ key.bytes, key.len }, &value);

    if (error < 0)
        return error;
    if (value.len != RUN_ID_SIZE)
        return -EBADMSG;
    memcpy(run.bytes, value.data, RUN_ID_SIZE);
    error = source_record(r, &run, &ret->record);
    if (error < 0)
        return error;
    free(TAKE(ret->record.flow_text)); /* a list of large files is not needed */
    ret->record.flow_text_len = 0;
    ret->has_state = source_state(r, &run, &ret->state) == 0;
    error = source_end(r, &run, &ret->end);
    ret->has_end = error == 0;
    if (error == 0 || error == -ENOENT)
        return 0;
    row_release(ret);
    return error;
}

static bool has_tag(const struct run_row *row, const char *tag)
{
    bool is_changed = row->has_state && row->state.has_tags;
    char *const *tags = is_changed ? row->state.tags : row->record.tags;
    size_t n = is_changed ? row->state.n_tags : row->record.n_tags;

    for (size_t i = 0; i < n; i++)
        if (strcmp(tags[i], tag) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct run_list *list, const struct run_row *row)
{
    return (!list->flow || strcmp(list->flow, row->record.flow_name) == 0)
           && (!list->tag || has_tag(row, list->tag));
}

static int start_number(struct request *r, const struct run_list *list,
                        uint64_t *ret_number)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int error;

    if (!list->has_before)
        return newest_number(runtime_writer(r->rt), ret_number);
    error = source_record(r, &r->run, &record);
    *ret_number = record.number ? record.number - 1 : 0;
    return error;
}

int runs_list_work(struct request *r)
{
    struct run_list *list = r->data;
    uint64_t number;
    int error = start_number(r, list, &number);

    for (; error == 0 && number && list->n < list->limit; number--) {
        struct run_row *row = &list->rows[list->n];

        if (atomic_load(r->is_stopping))
            return -ECANCELED;
        *row = (struct run_row){ .has_end = false };
        error = read_row(r, number, row);
        list->n += error == 0; /* so that what was read is released */
        if (error == 0 && !is_wanted(list, row)) {
            list->n--;
            row_release(row);
        }
        if (error == -ENOENT)
            error = 0; /* a number that was given and never used */
    }
    return error < 0 ? reply_errno(r, error, "a run's record") : REQUEST_NEXT;
}

/* On the loop, where a run is either active or has its end in the store. */
static void describe(struct request *r, struct run_row *row, struct run_about *about)
{
    struct run_view view;

    if (row->has_state) {
        about->changed = &row->state;
        about->is_suspended = row->state.is_suspended;
    }
    if (!row->has_end && node_run(runtime_node(r->rt), &row->record.run, &view)) {
        fill_view(about, &view);
        return;
    }
    if (!row->has_end)
        row->has_end = source_end(r, &row->record.run, &row->end) == 0;
    about->record = &row->record;
    about->state = "interrupted";
    if (row->has_end)
        past_fill_end(about, &row->end);
}

/* What to ask for next: nothing behind a page that is not full. */
static void emit_before(struct emit *e, const struct run_list *list)
{
    char number[24];

    if (list->n == 0 || list->n < list->limit) {
        emit_null(e, "before");
        return;
    }
    snprintf(number, sizeof(number), "%" PRIu64, list->rows[list->n - 1].record.number);
    emit_text(e, "before", number);
}

int runs_list_end(struct request *r)
{
    struct run_list *list = r->data;
    struct emit e = { .out = &r->reply.body };

    emit_open(&e, NULL, '{');
    emit_open(&e, "runs", '[');
    for (uint64_t i = 0; i < list->n; i++) {
        struct run_about about = { .state = NULL };

        describe(r, &list->rows[i], &about);
        encode_run(&e, &about);
    }
    emit_close(&e, ']');
    emit_before(&e, list);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
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
