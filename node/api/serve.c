/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/api/connection.h"
#include "node/api/encode.h"
#include "node/api/exchange.h"
#include "node/api/forward_text.h"
#include "node/runtime_peer.h"

enum {
    AGAIN_MS = 10, /* when the peer's queue is full */
    HEAD_MAX = PEER_PART_BYTES,
};

struct served {
    struct served *next, **link;
    struct serves *all;
    struct api *api;
    struct node_id peer;
    uint64_t number;
    enum role role;
    char user[64];

    int fd;       /* our end of the pair */
    int their_fd; /* MHD's: what the connection is found by */
    uv_poll_t poll;
    uv_timer_t again;
    int n_handles;
    struct connection *connection; /* NULL: it is gone */
    bool is_whole;                 /* the answer was, when it went */

    struct buffer out; /* of the request, what MHD has not taken yet */
    size_t out_at;
    struct buffer in; /* of the answer, what was not sent yet */
    struct answer_head head;
    bool has_head, is_ended, is_over;
    uint64_t n_parts, window;
};

struct serves {
    struct api *api;
    struct listener *listener;
    struct served *first;
    size_t n;
};

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct served *s = handle->data;
    struct api *api = s->api;

    if (--s->n_handles == 0) {
        close(s->fd); /* not before: the loop takes it out of its set by number */
        buffer_release(&s->out);
        buffer_release(&s->in);
        answer_head_release(&s->head);
        free(s);
    }
    api_drop(api);
}

/* Nobody waits for its answer any more, whatever it is doing. */
static void drop_request(const struct served *s)
{
    for (struct request *r = s->api->requests; r; r = r->next)
        if (r->peer == s->connection) {
            exchange_drop(r);
            return;
        }
}

static void end_served(struct served *s)
{
    s->is_over = true;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    s->all->n--;
    if (s->connection) {
        drop_request(s);
        s->connection->served = NULL;
    }
    shutdown(s->fd, SHUT_RDWR);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->again, on_closed);
}

/* ---- the answer ---- */

static void pump(struct served *s);

static void on_again(uv_timer_t *timer)
{
    pump(timer->data);
}

static bool is_open(const struct served *s)
{
    return s->n_parts < s->window && !uv_is_active((const uv_handle_t *)&s->again);
}

static int fill(struct served *s)
{
    while (!s->is_ended && s->in.len < PEER_PART_BYTES) {
        ssize_t n;

        if (!buffer_reserve(&s->in, PEER_PART_BYTES))
            return -ENOMEM;
        n = recv(s->fd, s->in.data + s->in.len, PEER_PART_BYTES - s->in.len, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            s->is_ended = true;
        else
            s->in.len += (size_t)n;
    }
    return 0;
}

/* Cuts the head off. False: there is none yet. An end without one is an answer too. */
static bool has_head(struct served *s)
{
    int r = s->has_head ? 1 : answer_head_read(&s->in, &s->head);

    if (s->has_head || (r == 0 && !s->is_ended && s->in.len < HEAD_MAX))
        return s->has_head;
    s->has_head = true;
    if (r == 1) {
        memmove(s->in.data, s->in.data + s->head.len, s->in.len - s->head.len);
        s->in.len -= s->head.len;
    } else {
        s->head.status = MHD_HTTP_SERVICE_UNAVAILABLE;
        s->is_ended = true;
        buffer_clear(&s->in);
    }
    return true;
}

static bool is_whole(const struct served *s)
{
    return s->connection ? s->connection->is_whole : s->is_whole;
}

static int send_part(struct served *s)
{
    struct reply_message part = { .request = s->number,
                                  .part = s->n_parts,
                                  .body = (uint8_t *)s->in.data,
                                  .body_len = s->in.len,
                                  .is_last = s->is_ended,
                                  .is_cut_off = s->is_ended && !is_whole(s) };

    if (s->n_parts == 0) {
        part.status = s->head.status;
        part.content_type = s->head.type;
        part.headers = (char *)buffer_text(&s->head.headers);
    }
    return runtime_peer_answer(s->api->rt, &s->peer, &part);
}

static void set_poll(struct served *s);

static void pump(struct served *s)
{
    while (is_open(s)) {
        int r = fill(s);

        if (r == 0 && !has_head(s))
            break;
        if (r == 0 && s->n_parts && !s->in.len && !s->is_ended)
            break;
        if (r == 0)
            r = send_part(s);
        if (r == -EAGAIN) {
            uv_timer_start(&s->again, on_again, AGAIN_MS, 0);
            break;
        }
        if (r < 0 || s->is_ended) {
            end_served(s);
            return;
        }
        s->n_parts++;
        buffer_clear(&s->in);
    }
    set_poll(s);
}

/* ---- the request ---- */

static int write_out(struct served *s)
{
    while (s->out_at < s->out.len) {
        ssize_t n =
            send(s->fd, s->out.data + s->out_at, s->out.len - s->out_at, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n < 0)
            return -errno;
        s->out_at += (size_t)n;
    }
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct served *s = poll->data;

    (void)status;
    if (events & UV_WRITABLE && write_out(s) < 0)
        s->out_at = s->out.len; /* it was refused meanwhile: there is an answer */
    pump(s);
}

static void set_poll(struct served *s)
{
    int events = (s->out_at < s->out.len ? UV_WRITABLE : 0)
                 | (is_open(s) && !s->is_ended ? UV_READABLE : 0);

    if (events)
        uv_poll_start(&s->poll, events, on_poll);
    else
        uv_poll_stop(&s->poll);
}

static bool is_target(const char *text)
{
    if (*text != '/')
        return false;
    for (; *text; text++)
        if (*text < 0x21 || *text > 0x7e)
            return false;
    return true;
}

static int write_request(const struct request_message *q, struct buffer *out)
{
    CLEANUP(freep) char *headers = strdup(q->headers ? q->headers : "");
    char *at = headers, *name, *value;

    if (!headers)
        return -ENOMEM;
    if (!method_parse(q->method) || !q->target || !is_target(q->target))
        return -EINVAL;
    buffer_printf(out, "%s %s HTTP/1.0\r\nHost: mesh\r\n", q->method, q->target);
    while (header_next(&at, &name, &value))
        if (header_is_asked(name))
            buffer_printf(out, "%s: %s\r\n", name, value);
    buffer_printf(out, "Content-Length: %zu\r\n\r\n", q->body_len);
    buffer_append(out, q->body, q->body_len);
    return buffer_failed(out);
}

static struct served *served_new(struct serves *all, const struct node_id *peer,
                                 const struct request_message *q)
{
    struct served *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->all = all;
    s->api = all->api;
    s->peer = *peer;
    s->number = q->request;
    s->window = q->window;
    s->role = (enum role)q->role;
    snprintf(s->user, sizeof(s->user), "%s", q->user ? q->user : "");
    s->out = s->in = s->head.headers = BUFFER_INIT;
    return s;
}

/* From now on it is ended by end_served() alone. */
static int open_pair(struct served *s)
{
    uv_loop_t *loop = runtime_loop(s->api->rt);
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    if (uv_poll_init(loop, &s->poll, fds[0]) < 0) {
        close(fds[0]);
        close(fds[1]);
        return -ENOMEM;
    }
    uv_timer_init(loop, &s->again);
    s->fd = fds[0];
    s->their_fd = fds[1];
    s->poll.data = s->again.data = s;
    s->n_handles = 2;
    s->api->n_refs += 2;
    s->next = s->all->first;
    s->link = &s->all->first;
    if (s->next)
        s->next->link = &s->next;
    s->all->first = s;
    s->all->n++;
    return 0;
}

static int connect_served(struct served *s)
{
    struct sockaddr_un nowhere = { .sun_family = AF_UNIX };
    struct serves *all = s->all;
    int r = 0;

    if (!all->listener)
        r = listener_start_for_peers(all->api, &all->listener);
    if (r < 0) {
        close(s->their_fd);
        return r;
    }
    /* It closes the socket itself when it fails. */
    if (MHD_add_connection(all->listener->daemon, s->their_fd,
                           (struct sockaddr *)&nowhere, sizeof(nowhere))
        != MHD_YES)
        return -EMFILE;
    listener_kick(all->listener);
    return 0;
}

static void refuse(struct serves *all, const struct node_id *peer, uint64_t number,
                   unsigned status, const char *sentence)
{
    CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
    struct emit e = { .out = &body };

    encode_error(&e, sentence, NULL);
    runtime_peer_answer(all->api->rt, peer,
                        &(struct reply_message){ .request = number,
                                                 .status = status,
                                                 .content_type =
                                                     (char *)"application/json",
                                                 .is_last = true,
                                                 .body = (uint8_t *)body.data,
                                                 .body_len = body.len });
}

static int serve(struct serves *all, const struct node_id *peer,
                 const struct request_message *q)
{
    struct served *s = served_new(all, peer, q);
    int r = s ? write_request(q, &s->out) : -ENOMEM;

    if (r == 0)
        r = open_pair(s);
    if (r < 0) {
        if (s)
            buffer_release(&s->out);
        free(s);
        return r;
    }
    r = connect_served(s);
    if (r < 0)
        end_served(s);
    else
        set_poll(s);
    return r;
}

static void on_request(void *arg, const struct node_id *peer,
                       const struct request_message *q)
{
    struct serves *all = arg;
    int r;

    if (q->role < ROLE_VIEWER || q->role > ROLE_OPERATOR) {
        refuse(all, peer, q->request, MHD_HTTP_FORBIDDEN, "there is no such role");
        return;
    }
    r = all->n < PEER_SERVED_MAX ? serve(all, peer, q) : -EMFILE;
    if (r == -EINVAL)
        refuse(all, peer, q->request, MHD_HTTP_BAD_REQUEST, "this is no request");
    else if (r < 0)
        refuse(all, peer, q->request, MHD_HTTP_SERVICE_UNAVAILABLE,
               "this node has too much to answer");
}

/* ---- what peers say about it ---- */

static struct served *find(const struct serves *all, const struct node_id *peer,
                           uint64_t number)
{
    struct served *s = all->first;

    while (s && (s->number != number || !node_id_equal(&s->peer, peer)))
        s = s->next;
    return s;
}

static void on_window(void *arg, const struct node_id *peer, uint64_t request,
                      uint64_t window)
{
    struct served *s = find(arg, peer, request);

    if (!s || window <= s->window)
        return;
    s->window = window;
    pump(s);
}

static void on_cancel(void *arg, const struct node_id *peer, uint64_t request)
{
    struct served *s = find(arg, peer, request);

    if (s)
        end_served(s);
}

static void on_gone(void *arg, const struct node_id *peer)
{
    struct serves *all = arg;

    for (struct served *s = all->first, *next; s; s = next) {
        next = s->next;
        if (node_id_equal(&s->peer, peer))
            end_served(s);
    }
}

/* ---- the connection ---- */

void serve_connected(struct connection *c)
{
    const struct serves *all = c->listener->api->serves;

    for (struct served *s = all->first; s; s = s->next)
        if (s->their_fd == c->fd && !s->connection) {
            s->connection = c;
            c->served = s;
            snprintf(c->name, sizeof(c->name), "%s", s->user);
            return;
        }
}

void serve_disconnected(struct connection *c)
{
    if (!c->served)
        return;
    c->served->is_whole = c->is_whole;
    c->served->connection = NULL;
    c->served->their_fd = -1; /* the number may be another's from now on */
}

bool serve_auth(struct request *r)
{
    if (r->peer && r->peer->served) {
        r->role = r->peer->served->role;
        r->user = r->peer->user;
        return true;
    }
    reply_error(r, MHD_HTTP_FORBIDDEN, NULL, "nobody waits for this answer");
    return false;
}

bool serve_peer(const struct request *r, struct node_id *ret)
{
    if (!r->peer || !r->peer->served)
        return false;
    *ret = r->peer->served->peer;
    return true;
}

/* ---- all of them ---- */

struct serves *serves_new(struct api *api)
{
    struct serves *s = calloc(1, sizeof(*s));

    if (s)
        s->api = api;
    return s;
}

void serves_start(struct serves *s)
{
    runtime_peer_serve(s->api->rt, &(struct peer_server){ .on_request = on_request,
                                                          .on_window = on_window,
                                                          .on_cancel = on_cancel,
                                                          .on_gone = on_gone,
                                                          .arg = s });
}

void serves_stop(struct serves *s)
{
    if (!s)
        return;
    runtime_peer_serve(s->api->rt, NULL);
    while (s->first)
        end_served(s->first);
}

void serves_free(struct serves *s)
{
    free(s);
}
