/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/forward.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/events.h"
#include "node/api/exchange.h"
#include "node/api/forward_plan.h"
#include "node/api/forward_text.h"
#include "node/api/number.h"
#include "node/api/tokens.h"
#include "node/runtime_peer.h"

struct forward {
    struct request *r;
    struct plan plan;
    size_t next; /* of plan.whom */
    unsigned n_silent;
    uint64_t ask;
    bool is_asked;
    uv_timer_t *again;
    uint64_t patient_until_ms;
    int result; /* of the stage that goes on; 0: none yet, or the answer is there */

    /* the answer */
    bool has_answer, is_last, is_cut_off;
    bool is_events, is_second_source;
    unsigned status;
    char *type, *headers;
    struct buffer queue;
    size_t at;         /* in queue: the first byte not taken */
    uint64_t n_queued; /* parts in the queue */
};

static void step(struct forward *f);

static uint64_t now_ms(const struct forward *f)
{
    return uv_now(runtime_loop(f->r->rt));
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

void forward_free(struct forward *f)
{
    if (!f)
        return;
    if (f->is_asked)
        runtime_peer_cancel(f->r->rt, f->ask);
    if (f->again)
        uv_close((uv_handle_t *)f->again, free_timer);
    plan_release(&f->plan);
    free(f->type);
    free(f->headers);
    buffer_release(&f->queue);
    free(f);
}

/* Go on with the request; `result` as of a stage. */
static void wake(struct forward *f, int result)
{
    f->result = result;
    request_wake(f->r);
}

/* ---- what is asked ---- */

struct query {
    struct forward *f;
    struct buffer *out;
    char mark;
};

static enum MHD_Result add_query(void *arg, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct query *q = arg;
    const struct forward *f = q->f;
    char id[RUN_ID_TEXT_SIZE];

    (void)kind;
    if (strcmp(name, "node") == 0
        || (f->is_second_source && strcmp(name, "since") == 0))
        return MHD_YES;
    if (f->plan.has_run && strcmp(name, "run") == 0) {
        run_id_text(&f->plan.run, id);
        value = id;
    }
    buffer_printf(q->out, "%c%s=", q->mark, name);
    target_escape(value ? value : "", q->out);
    q->mark = '&';
    return MHD_YES;
}

/* The run by its id: its number may be known here only. */
static int write_target(struct forward *f, struct buffer *out)
{
    struct request *r = f->r;
    char *params[ROUTE_PARAMS_MAX];
    struct query q = { .f = f, .out = out, .mark = '?' };
    char id[RUN_ID_TEXT_SIZE];

    memcpy(params, r->params, sizeof(params));
    if (f->plan.has_run && params[0]) {
        run_id_text(&f->plan.run, id);
        params[0] = id;
    }
    target_path(r->route->pattern, params, out);
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, add_query, &q);
    if (f->is_second_source)
        buffer_printf(out, "%csince=1", q.mark);
    return buffer_failed(out);
}

struct headers {
    const struct forward *f;
    struct buffer *out;
};

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    const struct headers *h = arg;

    (void)kind;
    if (header_is_asked(name) && value
        && !(h->f->is_second_source && strcmp(name, "Last-Event-ID") == 0))
        header_add(h->out, name, value);
    return MHD_YES;
}

static void on_reply(void *arg, const struct reply_message *part, int error);

static int ask(struct forward *f, const struct node_id *peer)
{
    CLEANUP(buffer_release) struct buffer target = BUFFER_INIT, headers = BUFFER_INIT;
    struct request *r = f->r;
    struct headers h = { .f = f, .out = &headers };
    struct request_message m = { .method = (char *)method_name(r->route->method),
                                 .user = (char *)r->user,
                                 .role = r->role,
                                 .body = (uint8_t *)r->body.memory.data,
                                 .body_len = r->body.memory.len };
    int error = write_target(f, &target);

    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, add_header, &h);
    if (error == 0)
        error = buffer_failed(&headers);
    if (error < 0)
        return error;
    m.target = (char *)buffer_text(&target);
    m.headers = (char *)buffer_text(&headers);
    m.content_type = (char *)"application/json";
    error = runtime_peer_ask(r->rt, peer, &m, TIME_MS(FORWARD_FIRST_MS), on_reply, f,
                             &f->ask);
    f->is_asked = error == 0;
    return error;
}

/* ---- whom ---- */

static void on_again(uv_timer_t *timer)
{
    step(timer->data);
}

static int wait_a_little(struct forward *f)
{
    if (!f->again) {
        f->again = calloc(1, sizeof(*f->again));
        if (!f->again)
            return -ENOMEM;
        uv_timer_init(runtime_loop(f->r->rt), f->again);
        f->again->data = f;
    }
    return uv_timer_start(f->again, on_again, FORWARD_AGAIN_MS, 0);
}

static int refuse_without_leader(struct forward *f)
{
    return reply_error(f->r, MHD_HTTP_SERVICE_UNAVAILABLE,
                       "mesh members shows who is there; try again",
                       f->plan.leader[0] ? "%s, which leads the run, does not answer"
                                         : "nobody leads the run at the moment%s",
                       f->plan.leader);
}

static int answer_here(struct forward *f)
{
    struct request *r = f->r;

    if (f->plan.why.text[0])
        return reply_error(r, MHD_HTTP_NOT_FOUND, "mesh members names them", "%s",
                           f->plan.why.text);
    if (f->plan.has_run)
        r->age_s = plan_age_s(r->rt, &f->plan.run);
    return REQUEST_NEXT;
}

/* Nobody of the plan is left to be asked. */
static int after_all(struct forward *f)
{
    bool is_reading = f->r->route->method == METHOD_GET && !f->is_events;

    if (f->plan.verdict == PLAN_HERE || f->plan.is_search
        || (f->plan.is_kept_here && is_reading))
        return answer_here(f);
    if (now_ms(f) < f->patient_until_ms && wait_a_little(f) == 0)
        return REQUEST_WAIT;
    return refuse_without_leader(f);
}

static int ask_next(struct forward *f)
{
    while (f->next < f->plan.n) {
        int error = ask(f, &f->plan.whom[f->next++]);

        if (error == 0)
            return REQUEST_WAIT;
        if (error == -E2BIG || error == -ENOMEM)
            return error;
        f->n_silent++;
    }
    return after_all(f);
}

/* Look again who may answer, and ask. */
static int try(struct forward *f)
{
    int error;

    plan_release(&f->plan);
    f->next = 0;
    error = plan_make(f->r, &f->plan);
    if (error < 0)
        return error;
    if (f->plan.verdict == PLAN_MISDIRECTED)
        return reply_error(f->r, MHD_HTTP_MISDIRECTED_REQUEST, NULL,
                           "another node leads this run");
    return ask_next(f);
}

/* From a callback, for a request that waits. */
static void go_on(struct forward *f, int result)
{
    if (result == REQUEST_WAIT)
        return;
    if (f->has_answer) { /* of events, and there will be no more */
        f->is_last = f->is_cut_off = true;
        exchange_resume(f->r);
        return;
    }
    wake(f, result == 0 ? REQUEST_REPLIED : result);
}

static void step(struct forward *f)
{
    go_on(f, try(f));
}

int forward_begin(struct request *r)
{
    struct forward *f;

    if (r->listener->door == DOOR_TASK || runtime_members(r->rt) == 0)
        return REQUEST_NEXT;
    f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    r->forward = f;
    f->r = r;
    f->queue = BUFFER_INIT;
    f->is_events = strcmp(r->route->pattern, "/v1/events") == 0;
    f->patient_until_ms = now_ms(f) + FORWARD_PATIENCE_MS;
    return try(f);
}

/* ---- the answer ---- */

/* What one that is in trouble says, another one may know better. */
static bool is_tried_elsewhere(const struct forward *f, unsigned status)
{
    bool is_no_answer = status == MHD_HTTP_NOT_FOUND
                        || (status == MHD_HTTP_SERVICE_UNAVAILABLE
                            && f->r->route->method == METHOD_GET);

    return (is_no_answer && f->next < f->plan.n)
           || status == MHD_HTTP_MISDIRECTED_REQUEST;
}

static void cancel_ask(struct forward *f)
{
    if (f->is_asked)
        runtime_peer_cancel(f->r->rt, f->ask);
    f->is_asked = false;
}

/* The events of the next leader, behind those of the one before; not for a client that
 * does not read. */
static void change_source(struct forward *f)
{
    cancel_ask(f);
    if (f->queue.len - f->at > EVENTS_QUEUE_MAX) {
        exchange_drop(f->r);
        return;
    }
    f->is_second_source = true;
    f->patient_until_ms = now_ms(f) + FORWARD_PATIENCE_MS;
    step(f);
}

static int keep_head(struct forward *f, const struct reply_message *part)
{
    f->status = part->status;
    f->type =
        part->content_type && *part->content_type ? strdup(part->content_type) : NULL;
    f->headers = strdup(part->headers ? part->headers : "");
    f->has_answer = true;
    return f->headers ? 0 : -ENOMEM;
}

static void on_part(struct forward *f, const struct reply_message *part)
{
    bool is_first = part->part == 0, had_answer = f->has_answer;
    int error = 0;

    if (part->is_last)
        f->is_asked = false;
    if (f->is_events && tokens_is_expired(&f->r->token_used)) {
        exchange_drop(f->r);
        return;
    }
    if (is_first && had_answer && part->status != MHD_HTTP_OK) {
        change_source(f);
        return;
    }
    if (is_first && !had_answer && is_tried_elsewhere(f, part->status)) {
        cancel_ask(f);
        go_on(f, ask_next(f));
        return;
    }
    if (is_first && !had_answer)
        error = keep_head(f, part);
    if (error == 0)
        error = buffer_append(&f->queue, part->body, part->body_len);
    f->n_queued++;
    f->is_last = part->is_last && !(f->is_events && part->is_cut_off);
    f->is_cut_off = part->is_cut_off || error < 0;
    if (part->is_last && !f->is_last)
        change_source(f);
    else if (had_answer)
        exchange_resume(f->r);
    else
        wake(f, 0);
}

static void on_silence(struct forward *f, int error)
{
    struct request *r = f->r;

    f->is_asked = false;
    f->n_silent++;
    if (f->has_answer && f->is_events) {
        change_source(f);
    } else if (f->has_answer) {
        f->is_last = f->is_cut_off = true;
        exchange_resume(r);
    } else if (r->route->method != METHOD_GET) {
        reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE,
                    "look, and ask again if it was not", "%s %s; maybe it was done",
                    f->plan.has_run ? "the node that leads the run"
                                    : "the node that was asked",
                    error == -ETIMEDOUT ? "did not answer in time" : "went away");
        wake(f, REQUEST_REPLIED);
    } else {
        go_on(f, ask_next(f));
    }
}

static void on_reply(void *arg, const struct reply_message *part, int error)
{
    struct forward *f = arg;

    if (part)
        on_part(f, part);
    else
        on_silence(f, error);
}

/* ---- to who asked ---- */

static void took_all(struct forward *f)
{
    buffer_release(&f->queue);
    f->queue = BUFFER_INIT;
    f->at = 0;
    if (f->is_asked)
        runtime_peer_took(f->r->rt, f->ask, f->n_queued);
    f->n_queued = 0;
}

static ssize_t read_forward(struct request *r, char *buf, size_t max)
{
    struct forward *f = r->forward;
    size_t n = min_size(max, f->queue.len - f->at);

    if (n) {
        memcpy(buf, f->queue.data + f->at, n);
        f->at += n;
    }
    if (f->at == f->queue.len)
        took_all(f);
    if (n)
        return (ssize_t)n;
    if (!f->is_last)
        return 0;
    return f->is_cut_off ? READ_FAILED : READ_END;
}

static void tell_headers(struct forward *f, uint64_t *ret_length)
{
    char *at = f->headers, *name, *value;

    *ret_length = UINT64_MAX;
    while (header_next(&at, &name, &value)) {
        if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
            number_parse(value, UINT64_MAX - 1, ret_length);
        else
            reply_header(f->r, name, value);
    }
}

static int reply_forward(struct forward *f)
{
    struct request *r = f->r;
    uint64_t length;

    tell_headers(f, &length);
    r->reply.status = f->status;
    r->reply.content_type = f->type;
    if (f->is_last && !f->is_cut_off) {
        r->reply.body = f->queue;
        f->queue = BUFFER_INIT;
        return 0;
    }
    r->reply.read = read_forward;
    r->reply.read_bytes = length;
    return 0;
}

int forward_end(struct request *r)
{
    struct forward *f = r->forward;

    if (f->has_answer)
        return reply_forward(f);
    return f->result == REQUEST_REPLIED ? 0 : f->result;
}
