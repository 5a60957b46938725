/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/elsewhere.h"
#include "node/api/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "node/api/auth.h"
#include "node/api/connection.h"
#include "node/api/forward.h"
#include "node/api/note.h"
#include "node/api/number.h"

enum {
    BLOCK_SIZE = 32 << 10,  /* of what is made while it is sent */
    DROPPED_MAX = 64 << 20, /* bytes of a refused body that are read, to be polite */
};

/* ---- threads ---- */

/* A job outlives its request when the api is stopped meanwhile. */
struct job {
    uv_work_t work;
    struct api *api;
    struct request *request;
    void (*run)(struct request *r);
};

static void job_run(uv_work_t *work)
{
    struct job *job = work->data;
    struct api *api = job->api;
    bool is_stopping;

    pthread_mutex_lock(&api->lock);
    is_stopping = atomic_load(&api->is_stopping);
    api->n_busy += !is_stopping;
    pthread_mutex_unlock(&api->lock);
    if (is_stopping)
        return;
    job->run(job->request);
    pthread_mutex_lock(&api->lock);
    if (--api->n_busy == 0)
        pthread_cond_signal(&api->idle);
    pthread_mutex_unlock(&api->lock);
}

static void job_done(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct api *api = job->api;

    (void)status;
    if (!atomic_load(&api->is_stopping)) {
        job->request->is_working = false;
        exchange_resume(job->request);
    }
    free(job);
    api_drop(api);
}

static void suspend(struct request *r)
{
    r->is_suspended = true;
    MHD_suspend_connection(r->connection);
}

/* Not while a thread works for it: what it works on would be freed under its hands. */
void exchange_resume(struct request *r)
{
    if (!r->is_suspended || r->is_working)
        return;
    r->is_suspended = false;
    MHD_resume_connection(r->connection);
    listener_kick(r->listener);
}

static int spawn(struct request *r, void (*run)(struct request *r))
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    *job = (struct job){ .api = r->api, .request = r, .run = run };
    job->work.data = job;
    if (uv_queue_work(runtime_loop(r->rt), &job->work, job_run, job_done) < 0) {
        free(job);
        return -EAGAIN;
    }
    r->api->n_refs++;
    r->is_working = true;
    suspend(r);
    return 0;
}

void request_wake(struct request *r)
{
    r->is_woken = true;
    exchange_resume(r);
}

void exchange_drop(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (info)
        shutdown(info->connect_fd, SHUT_RDWR);
    exchange_resume(r);
}

/* ---- what is made while it is sent ---- */

static void fill_stream(struct request *r)
{
    struct stream *s = &r->reply.stream;

    buffer_clear(&s->chunk);
    s->at = 0;
    s->state = s->fill(r, &s->chunk);
    if (s->state >= 0 && buffer_failed(&s->chunk))
        s->state = buffer_failed(&s->chunk);
}

static ssize_t read_stream(struct request *r, char *buf, size_t max)
{
    struct stream *s = &r->reply.stream;
    size_t n = min_size(max, s->chunk.len - s->at);

    if (n) {
        memcpy(buf, s->chunk.data + s->at, n);
        s->at += n;
        return (ssize_t)n;
    }
    if (s->state == 0)
        return READ_END;
    if (s->state < 0 || spawn(r, fill_stream) < 0)
        return READ_FAILED;
    return 0;
}

static ssize_t on_read(void *arg, uint64_t position, char *buf, size_t max)
{
    struct request *r = arg;
    ssize_t n = r->reply.read ? r->reply.read(r, buf, max) : read_stream(r, buf, max);

    (void)position;
    if (n == READ_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == READ_FAILED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == 0 && !r->is_suspended)
        suspend(r);
    return n;
}

/* ---- the reply ---- */

static struct MHD_Response *make_response(struct request *r)
{
    struct reply *reply = &r->reply;
    struct MHD_Response *response;
    size_t len = reply->body.len;
    char *data;

    if (reply->read || reply->stream.fill)
        return MHD_create_response_from_callback(reply->read_bytes ? reply->read_bytes
                                                                   : MHD_SIZE_UNKNOWN,
                                                 BLOCK_SIZE, on_read, r, NULL);
    if (reply->fd >= 0) {
        response = MHD_create_response_from_fd_at_offset64(reply->part.len, reply->fd,
                                                           reply->part.offset);
        if (response)
            reply->fd = -1;
        return response;
    }
    if (len == 0)
        return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    data = buffer_take(&reply->body);
    response = MHD_create_response_from_buffer_with_free_callback(len, data, free);
    if (!response)
        free(data);
    return response;
}

/* What a home says of a run whose leader is silent. */
static void add_age(const struct request *r, struct MHD_Response *response)
{
    char text[24];

    if (!r->age_s)
        return;
    snprintf(text, sizeof(text), "%" PRIu64, r->age_s);
    MHD_add_response_header(response, MHD_HTTP_HEADER_AGE, text);
}

static enum MHD_Result send_reply(struct request *r)
{
    struct reply *reply = &r->reply;
    struct MHD_Response *response;
    enum MHD_Result sent;

    if (!reply->status)
        reply_errno(r, -ENOMEM, "the answer");
    note_request(r);
    response = make_response(r);
    if (!response)
        return MHD_NO;
    r->stage = STAGE_SENDING;
    if (reply->content_type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                reply->content_type);
    for (size_t i = 0; i < reply->n_headers; i++)
        MHD_add_response_header(response, reply->headers[i].name,
                                reply->headers[i].value);
    add_age(r, response);
    meter_count(&r->api->meter, r->route, reply->status, uv_hrtime() / 1000 - r->began);
    if (r->peer)
        connection_await_nothing(r->peer);
    if (reply->read)
        MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    sent = MHD_queue_response(r->connection, reply->status, response);
    MHD_destroy_response(response);
    return sent;
}

/* ---- the stages ---- */

/* What a stage returned decides the next one; `next` follows on REQUEST_NEXT. */
static void take_result(struct request *r, int result, int next)
{
    if (result == REQUEST_NEXT && next != STAGE_REPLY)
        r->stage = (__typeof__(r->stage))next;
    else if (result == REQUEST_WAIT)
        r->stage = STAGE_END;
    else if (result == REQUEST_WORK)
        r->stage = STAGE_WORK;
    else
        r->stage = STAGE_REPLY;
    if (result < 0)
        reply_errno(r, result, "the request");
}

static void run_work(struct request *r)
{
    int (*work)(struct request *) = r->work ? r->work : r->route->work;

    take_result(r, work(r), STAGE_END);
}

/* Whether another node answers it: then that is all that is done here. */
static int run_forward(struct request *r)
{
    int result = r->stage == STAGE_BEGIN ? forward_begin(r) : forward_end(r);

    if (result == REQUEST_NEXT) {
        forward_free(TAKE(r->forward));
        r->is_here = true;
        r->stage = STAGE_BEGIN;
    } else {
        take_result(r, result, STAGE_REPLY);
    }
    return result;
}

static int run_loop_stage(struct request *r)
{
    int (*run)(struct request *) =
        r->stage == STAGE_BEGIN ? r->route->begin : r->route->end;
    int result;

    if (!r->is_here)
        return run_forward(r);
    if (r->stage == STAGE_END && r->elsewhere.is_wanted)
        run = elsewhere_end;
    result = run ? run(r) : REQUEST_NEXT;
    take_result(r, result, r->stage == STAGE_BEGIN ? STAGE_WORK : STAGE_REPLY);
    return result;
}

static enum MHD_Result advance(struct request *r)
{
    for (;;) {
        switch (r->stage) {
        case STAGE_AUTH:
        case STAGE_BODY:
            r->stage = STAGE_BEGIN;
            break;
        case STAGE_BEGIN:
        case STAGE_END:
            r->is_woken = false;
            if (run_loop_stage(r) == REQUEST_WAIT && !r->is_woken) {
                suspend(r);
                return MHD_YES;
            }
            break;
        case STAGE_WORK:
            if (!r->route->work && !r->work)
                r->stage = STAGE_END;
            else if (spawn(r, run_work) == 0)
                return MHD_YES;
            else
                take_result(r, -ENOMEM, STAGE_REPLY);
            break;
        case STAGE_REPLY:
            return send_reply(r);
        case STAGE_SENDING:
            return MHD_YES;
        }
    }
}

/* ---- the first line ---- */

static enum MHD_Result check_query(void *arg, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct request *r = arg;

    (void)kind;
    if (r->reply.status)
        return MHD_NO;
    if (!word_is_among(name, r->route->query))
        reply_error(r, MHD_HTTP_BAD_REQUEST, r->route->query,
                    "there is no '?%.64s' here", name);
    else if (!value)
        reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "'?%.64s=' has no value", name);
    return MHD_YES;
}

static bool refuse_path(struct request *r, const char *method, const char *path,
                        const struct route_match *m)
{
    struct route_match other;
    char hint[160];
    bool is_elsewhere = r->is_task ? router_find(user_routes, n_user_routes,
                                                 method_parse(method), path, &other)
                                         == 0
                                   : router_find(task_routes, n_task_routes,
                                                 method_parse(method), path, &other)
                                         == 0;

    if (is_elsewhere && r->is_task)
        reply_error(r, MHD_HTTP_FORBIDDEN, NULL, "a task may not %s %.200s", method,
                    path);
    else if (is_elsewhere)
        reply_error(r, MHD_HTTP_FORBIDDEN, "ask from inside a task, by $MESH_CHANNEL",
                    "%.200s is for tasks", path);
    else {
        if (m->nearest)
            snprintf(hint, sizeof(hint), "did you mean %s?", m->nearest);
        reply_error(r, MHD_HTTP_NOT_FOUND, m->nearest ? hint : NULL,
                    "there is nothing at %.200s", path);
    }
    return false;
}

static bool refuse_method(struct request *r, const char *method, const char *path,
                          unsigned allowed)
{
    char names[64] = "";

    for (unsigned m = METHOD_GET; m < METHODS_END; m++) {
        if (!(allowed & (1u << m)))
            continue;
        strcat(names, names[0] ? ", " : "");
        strcat(names, m == METHOD_GET ? "GET, HEAD" : method_name((enum method)m));
    }
    reply_error(r, MHD_HTTP_METHOD_NOT_ALLOWED, names, "%.16s does not go with %.200s",
                method, path);
    reply_header(r, MHD_HTTP_HEADER_ALLOW, names);
    return false;
}

static bool find_route(struct request *r, const char *method, const char *path)
{
    const struct route *routes = r->is_task ? task_routes : user_routes;
    size_t n = r->is_task ? n_task_routes : n_user_routes;
    struct route_match m;
    int error = router_find(routes, n, method_parse(method), path, &m);

    if (error == -ENOENT)
        return refuse_path(r, method, path, &m);
    if (error < 0)
        return refuse_method(r, method, path, m.allowed);
    r->route = m.route;
    for (size_t i = 0; i < m.n_params; i++) {
        r->params[i] = strndup(m.params[i].data, m.params[i].len);
        if (!r->params[i]) {
            reply_errno(r, -ENOMEM, "the request");
            return false;
        }
    }
    if (!auth_role(r))
        return false;
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, check_query, r);
    return !r->reply.status;
}

static bool refuse_size(struct request *r, uint64_t max)
{
    if (max)
        reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, NULL,
                    "the body is larger than %" PRIu64 " bytes", max);
    else
        reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, NULL, "this request has no body");
    return false;
}

/* A blob that cannot fit is refused before it is sent. */
static bool has_room(struct request *r, uint64_t size)
{
    struct blobs_usage usage;

    if (blobs_usage(runtime_blobs(r->rt), &usage) < 0)
        return true;
    if (size < usage.disk_free_bytes
        && (!usage.quota_bytes
            || (usage.bytes < usage.quota_bytes
                && size <= usage.quota_bytes - usage.bytes)))
        return true;
    reply_errno(r, -ENOSPC, "the content");
    return false;
}

static bool check_length(struct request *r)
{
    const char *text = request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t size = 0;

    body_init(&r->body, r->route->body, r->route->body_bytes_max, r->api->spool_dir);
    if (!text)
        return true;
    if (number_parse(text, UINT64_MAX, &size) < 0 || size > r->route->body_bytes_max)
        return refuse_size(r, r->route->body_bytes_max);
    return r->route->body < BODY_SPOOL || size <= BODY_MEMORY_MAX || has_room(r, size);
}

/* 0; REQUEST_WAIT: once more, when it was resumed; REQUEST_REPLIED. */
static int open_request(struct request *r, const char *method, const char *path)
{
    int result;

    if (atomic_load(&r->api->is_stopping)) {
        reply_errno(r, -ECANCELED, "");
        return REQUEST_REPLIED;
    }
    result = auth_request(r, r->peer ? r->peer->peer : PEER_UNKNOWN);
    if (result)
        return result;
    return find_route(r, method, path) && check_length(r) ? 0 : REQUEST_REPLIED;
}

static enum MHD_Result begin_request(struct request *r, const char *method,
                                     const char *path)
{
    int result = open_request(r, method, path);

    if (result == REQUEST_REPLIED)
        return send_reply(r);
    r->stage = result == REQUEST_WAIT ? STAGE_AUTH : STAGE_BODY;
    if (result == REQUEST_WAIT)
        suspend(r);
    return MHD_YES;
}

static struct request *request_new(struct listener *l,
                                   struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct request *r = calloc(1, sizeof(*r));
    struct api *api = l->api;

    if (!r)
        return NULL;
    r->began = uv_hrtime() / 1000;
    r->peer = info ? info->socket_context : NULL;
    if (r->peer)
        connection_await_body(r->peer);
    r->api = api;
    r->rt = api->rt;
    r->connection = connection;
    r->listener = l;
    r->is_task = l->door == DOOR_TASK;
    r->stage = STAGE_AUTH;
    r->reply.fd = -1;
    r->body.fd = -1;
    r->is_stopping = &api->is_stopping;
    r->next = api->requests;
    r->link = &api->requests;
    if (r->next)
        r->next->link = &r->next;
    api->requests = r;
    return r;
}

/* ---- MHD's callbacks ---- */

static enum MHD_Result add_body(struct request *r, const char *upload, size_t *size)
{
    size_t len = *size;

    *size = 0;
    if (r->peer)
        r->peer->body_bytes += len;
    if (body_add(&r->body, upload, len) < 0)
        r->n_dropped += len;
    return r->n_dropped <= DROPPED_MAX ? MHD_YES : MHD_NO;
}

enum MHD_Result exchange_on_request(void *listener, struct MHD_Connection *connection,
                                    const char *url, const char *method,
                                    const char *version, const char *upload,
                                    size_t *upload_size, void **state)
{
    struct request *r = *state;

    (void)version;
    if (!r) {
        r = *state = request_new(listener, connection);
        if (!r)
            return MHD_NO;
        return begin_request(r, method, url);
    }
    if (r->stage == STAGE_AUTH)
        return begin_request(r, method, url);
    if (*upload_size)
        return add_body(r, upload, upload_size);
    if (r->stage == STAGE_BODY && r->body.error) {
        if (r->body.error == -E2BIG)
            refuse_size(r, r->body.bytes_max);
        else
            reply_errno(r, r->body.error, "the body");
        r->stage = STAGE_REPLY;
    }
    if (r->peer)
        connection_await_nothing(r->peer);
    return advance(r);
}

void exchange_on_completed(void *listener, struct MHD_Connection *connection,
                           void **state, enum MHD_RequestTerminationCode why)
{
    struct request *r = *state;

    (void)listener, (void)connection;
    if (!r)
        return;
    if (r->peer) {
        connection_await_head(r->peer);
        r->peer->is_whole = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    }
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    request_release(r);
    free(r);
    *state = NULL;
}

void exchange_on_connection(void *listener, struct MHD_Connection *connection,
                            void **peer, enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        connection_close(TAKE(*peer));
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        *peer = connection_open(listener, info->connect_fd);
}
