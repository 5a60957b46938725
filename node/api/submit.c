/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/runs: answered when the run is durable, which is when followers are told. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <unistd.h>

#include "flow/read.h"
#include "node/api/auth.h"
#include "node/api/bodies.h"
#include "node/api/encode.h"
#include "node/api/events.h"
#include "node/api/note.h"
#include "node/api/nouns.h"
#include "node/api/server.h"

enum {
    NUMBER_WAIT_MS = 300, /* in a mesh the number comes a little later */
    ACCEPT_WAIT_MS =
        30 * 1000 /* homes that died are found dead, and others lead, by then */
};

struct submitting {
    struct submission_body body;
    struct diagnostics diagnostics;
    struct flow *flow;
    struct request *request;
    struct feed_subscriber *subscriber;
    uint64_t number, seq;
    struct run_id origin;
    bool is_submitted, is_durable, is_answered, is_refused;
    uv_timer_t *timer; /* while homes, or then a number, are waited for */
};

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

static void submitting_release(void *data)
{
    struct submitting *s = data;

    if (s->subscriber)
        feed_unsubscribe(runtime_feed(s->request->rt), s->subscriber);
    if (s->timer)
        uv_close((uv_handle_t *)s->timer, free_timer);
    submission_body_release(&s->body);
    flow_unref(s->flow);
    diagnostics_release(&s->diagnostics);
}

static int reply_bad_flow(struct request *r, const struct submitting *s,
                          const char *sentence)
{
    struct emit e = { .out = &r->reply.body };

    emit_open(&e, NULL, '{');
    emit_text(&e, "error", sentence);
    encode_diagnostics(&e, "diagnostics", &s->diagnostics);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_UNPROCESSABLE_CONTENT);
}

int submit_work(struct request *r)
{
    struct submitting *s = request_data(r, sizeof(*s), submitting_release);
    struct error why = { .text = "" };
    int error;

    if (!s)
        return -ENOMEM;
    if (runtime_configuration(r->rt)->is_inspect)
        return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL,
                           "this process only shows the store, and runs nothing");
    s->request = r;
    error = submission_body_read(buffer_text(&r->body.memory), r->body.memory.len,
                                 &s->body, &why);
    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    if (error < 0)
        return error;
    error = flow_read(s->body.flow, strlen(s->body.flow), &s->flow, &s->diagnostics);
    if (error == -EINVAL)
        return reply_bad_flow(r, s, "the flow is bad: nothing was started");
    return error < 0 ? reply_errno(r, error, "the flow file") : REQUEST_NEXT;
}

static int reply_refused(struct request *r, const struct submitting *s, int code,
                         const struct error *why)
{
    const char *sentence = why->text[0] ? why->text : strerror(-code);

    if (code == -EINVAL || code == -E2BIG)
        return reply_bad_flow(r, s, sentence);
    if (code == -ENOENT)
        return reply_error(r, MHD_HTTP_NOT_FOUND, NULL, "%s", sentence);
    if (code == -EBUSY)
        return reply_error(r, MHD_HTTP_CONFLICT,
                           "wait until it has ended, or cancel it first", "%s",
                           sentence);
    return reply_errno(r, code, sentence);
}

static int reply_started(struct request *r, const struct submitting *s)
{
    struct emit e = { .out = &r->reply.body };

    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_u64(&e, "number", s->number);
    emit_u64(&e, "seq", events_number(r->api->events, s->seq));
    encode_diagnostics(&e, "diagnostics", &s->diagnostics);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_CREATED);
}

/* Homes that we cannot hear may have taken it. */
static int reply_undecided(struct request *r)
{
    char run[RUN_ID_TEXT_SIZE];
    CLEANUP(freep) char *hint = NULL;

    run_id_text(&r->run, run);
    if (asprintf(&hint, "when they are back, see whether it is there: mesh status %s",
                 run)
        < 0)
        return -ENOMEM;
    return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, hint,
                       "most of the run's homes do not answer: "
                       "whether they took it is not known yet");
}

/* For the audit log: whose, and which, as far as it is known. */
static void note_run(struct request *r, const struct submitting *s)
{
    char run[RUN_ID_TEXT_SIZE] = "";

    if (s->is_submitted)
        run_id_text(&r->run, run);
    if (s->body.origin)
        r->verb = "resume";
    note_about(r, "%s%sflow %s%s%s%s%s", run, *run ? ", " : "", s->flow->name,
               s->body.origin ? ", from run " : "",
               s->body.origin ? s->body.origin : "", s->body.user ? ", for " : "",
               s->body.user ? s->body.user : "");
}

static void answer(struct submitting *s)
{
    if (s->is_answered)
        return;
    s->is_answered = true;
    request_wake(s->request);
}

static void on_timer(uv_timer_t *timer)
{
    answer(timer->data);
}

static int start_timer(struct submitting *s)
{
    s->timer = calloc(1, sizeof(*s->timer));
    if (!s->timer)
        return -ENOMEM;
    uv_timer_init(runtime_loop(s->request->rt), s->timer);
    s->timer->data = s;
    uv_timer_start(s->timer, on_timer, ACCEPT_WAIT_MS, 0);
    return 0;
}

static void on_event(void *arg, const struct feed_event *event)
{
    struct submitting *s = arg;

    if (s->is_refused)
        return;
    if (!s->seq)
        s->seq = event->seq - 1; /* ?since= this tells all of the run */
    if (event->type == FEED_RUN_NUMBERED)
        s->number = event->number;
    else if (event->type == FEED_RUN_STARTED)
        s->is_durable = true;
    else if (event->type == FEED_RUN_ENDED)
        s->is_refused = !s->is_durable;
    else
        return; /* a task may write before a majority has the run */
    if (s->is_refused)
        request_wake(s->request);
    if (!s->is_durable)
        return;
    if (s->number)
        answer(s);
    else if (event->type == FEED_RUN_STARTED) /* without it, if it does not come soon */
        uv_timer_start(s->timer, on_timer, NUMBER_WAIT_MS, 0);
}

static int submit(struct request *r, struct submitting *s)
{
    const struct submission_body *b = &s->body;
    uint64_t newest = feed_newest(runtime_feed(r->rt));
    struct error why = { .text = "" };
    struct submission submission = {
        .flow_text = b->flow,
        .flow_text_len = strlen(b->flow),
        .flow = s->flow,
        .flow_path = b->path ? b->path : "flow.mf",
        .package = b->has_package ? &b->package : NULL,
        .parameters = b->parameters,
        .n_parameters = b->n_parameters,
        .tags = b->tags,
        .user = b->user ? b->user : r->user,
        .is_remote = r->listener->door != DOOR_USER,
        .share = b->share,
        .max_workers = b->max_workers,
        .on_failure = b->on_failure,
        .clamp = b->clamp,
        .origin = b->origin ? &s->origin : NULL,
        .origin_step = b->step,
    };
    int error;

    if (runtime_configuration(r->rt)->is_inspect)
        return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "start one that does: mesh node",
                           "this node only shows the store and runs nothing");
    if (writer_is_full(runtime_writer(r->rt)))
        return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "try again in a moment",
                           "the disk does not keep up");
    if (b->user && !auth_root(r))
        return reply_error(r, MHD_HTTP_FORBIDDEN, NULL,
                           "only root may submit for another user");
    if (b->origin) {
        if (!request_find_run(r, b->origin))
            return 0;
        s->origin = r->run;
    }
    error =
        runtime_submit(r->rt, &submission, &r->run, &s->number, &s->diagnostics, &why);
    if (error < 0)
        return reply_refused(r, s, error, &why);
    s->is_submitted = true;
    error = start_timer(s);
    if (error < 0)
        return error;
    s->subscriber = feed_subscribe(runtime_feed(r->rt), &r->run,
                                   newest ? newest : FEED_SINCE_OLDEST, on_event, s);
    return s->subscriber ? REQUEST_WAIT : -ENOMEM;
}

static int end(struct request *r, struct submitting *s)
{
    if (s->is_refused)
        return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "submit it again",
                           "no majority of the run's homes took it");
    if (s->is_submitted && !s->is_durable)
        return reply_undecided(r);
    return s->is_submitted ? reply_started(r, s) : submit(r, s);
}

int submit_end(struct request *r)
{
    struct submitting *s = r->data;
    int result = end(r, s);

    if (result == 0)
        note_run(r, s);
    return result;
}
