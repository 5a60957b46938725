/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_peer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

enum { RETRY_MS = 20 }; /* of what found the peer's queue full */

struct ask {
    struct ask *next;
    uint64_t id;
    struct node_id peer;
    peer_reply_fn *on_reply; /* NULL: cancelled, but the peer does not know yet */
    void *arg;
    uint64_t deadline_ms;  /* of the first part; 0: it has come */
    uint64_t n_parts;      /* that came */
    uint64_t window, told; /* the end of it, and what the peer knows of that */
};

struct peer_desk {
    struct runtime *rt;
    peer_send_fn *send;
    struct peer_server server;
    bool has_server;
    struct ask *asks;
    size_t n_asks;
    uint64_t last_id;
    uv_timer_t timer;
};

static struct peer_desk *desk_of(struct runtime *rt)
{
    return *runtime_peer_desk(rt);
}

static uint64_t now_ms(const struct peer_desk *d)
{
    return uv_now(runtime_loop(d->rt));
}

static struct ask **find(struct peer_desk *d, uint64_t id)
{
    struct ask **at = &d->asks;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

/* Takes it out of the list; the caller frees it. */
static struct ask *take_out(struct peer_desk *d, struct ask **at)
{
    struct ask *a = *at;

    *at = a->next;
    d->n_asks--;
    return a;
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

static bool has_news(const struct ask *a)
{
    return !a->on_reply || a->window - a->told >= PEER_WINDOW / 2;
}

static void set_timer(struct peer_desk *d)
{
    uint64_t now = now_ms(d), next = UINT64_MAX;

    for (const struct ask *a = d->asks; a; a = a->next) {
        uint64_t due = has_news(a)      ? now + RETRY_MS
                       : a->deadline_ms ? a->deadline_ms
                                        : UINT64_MAX;

        next = due < next ? due : next;
    }
    if (next == UINT64_MAX)
        uv_timer_stop(&d->timer);
    else
        uv_timer_start(&d->timer, on_timer, next > now ? next - now : 0, 0);
}

/* Tells the peer of a larger window, or that nobody waits. True: the ask is over. */
static bool tell(struct peer_desk *d, struct ask *a)
{
    struct message m = { .type = MESSAGE_REQUEST,
                         .u.request = { .request = a->id,
                                        .window = a->window,
                                        .is_cancelled = !a->on_reply } };
    int r = d->send(d->rt, &a->peer, &m);

    if (r == 0)
        a->told = a->window;
    return !a->on_reply && r != -EAGAIN;
}

static void end_ask(struct ask *take_ask, int error)
{
    CLEANUP(freep) struct ask *a = take_ask;

    if (a->on_reply)
        a->on_reply(a->arg, NULL, error);
}

static void on_timer(uv_timer_t *timer)
{
    struct peer_desk *d = timer->data;
    uint64_t now = now_ms(d);

    for (struct ask **at = &d->asks; *at;) {
        struct ask *a = *at;

        if (a->on_reply && a->deadline_ms && now >= a->deadline_ms) {
            struct message m = { .type = MESSAGE_REQUEST,
                                 .u.request = { .request = a->id,
                                                .is_cancelled = true } };

            d->send(d->rt, &a->peer, &m);
            end_ask(take_out(d, at), -ETIMEDOUT);
            at = &d->asks; /* who was told may have changed the list */
        } else if (has_news(a) && tell(d, a)) {
            free(take_out(d, at));
        } else {
            at = &a->next;
        }
    }
    set_timer(d);
}

/* ---- asking ---- */

int runtime_peer_ask(struct runtime *rt, const struct node_id *peer,
                     struct request_message *request, time_us timeout,
                     peer_reply_fn *on_reply, void *arg, uint64_t *ret_id)
{
    struct peer_desk *d = desk_of(rt);
    CLEANUP(freep) struct ask *a = NULL;
    int r;

    if (!d)
        return -ENOTCONN;
    if (request->body_len > PEER_BODY_MAX)
        return -E2BIG;
    if (d->n_asks == PEER_ASKS_MAX)
        return -EAGAIN;
    a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    *a = (struct ask){ .id = d->last_id + 1,
                       .peer = *peer,
                       .on_reply = on_reply,
                       .arg = arg,
                       .window = PEER_WINDOW,
                       .told = PEER_WINDOW,
                       .deadline_ms = now_ms(d) + timeout / TIME_MS(1) + 1 };
    request->request = a->id;
    request->window = a->window;
    r = d->send(rt, peer,
                &(struct message){ .type = MESSAGE_REQUEST, .u.request = *request });
    if (r < 0)
        return r;
    *ret_id = d->last_id = a->id;
    a->next = d->asks;
    d->asks = TAKE(a);
    d->n_asks++;
    set_timer(d);
    return 0;
}

void runtime_peer_took(struct runtime *rt, uint64_t id, uint64_t n_parts)
{
    struct peer_desk *d = desk_of(rt);
    struct ask *a = d ? *find(d, id) : NULL;

    if (!a)
        return;
    a->window += n_parts;
    if (has_news(a))
        tell(d, a);
    set_timer(d);
}

void runtime_peer_cancel(struct runtime *rt, uint64_t id)
{
    struct peer_desk *d = desk_of(rt);
    struct ask **at = d ? find(d, id) : NULL;

    if (!at || !*at)
        return;
    (*at)->on_reply = NULL;
    (*at)->deadline_ms = 0;
    if (tell(d, *at))
        free(take_out(d, at));
    set_timer(d);
}

/* ---- answering ---- */

void runtime_peer_serve(struct runtime *rt, const struct peer_server *server)
{
    struct peer_desk *d = desk_of(rt);

    if (!d)
        return;
    d->has_server = server != NULL;
    if (server)
        d->server = *server;
}

int runtime_peer_answer(struct runtime *rt, const struct node_id *peer,
                        const struct reply_message *part)
{
    struct peer_desk *d = desk_of(rt);

    return d ? d->send(rt, peer,
                       &(struct message){ .type = MESSAGE_REPLY, .u.reply = *part })
             : -ENOTCONN;
}

static void on_request(struct peer_desk *d, const struct node_id *peer,
                       const struct request_message *q)
{
    const struct peer_server *s = &d->server;

    if (!d->has_server && !q->is_cancelled && q->method && q->method[0])
        runtime_load_interface(d->rt);
    if (!d->has_server)
        return;
    if (q->is_cancelled)
        s->on_cancel(s->arg, peer, q->request);
    else if (q->method && q->method[0])
        s->on_request(s->arg, peer, q);
    else
        s->on_window(s->arg, peer, q->request, q->window);
}

/* ---- carrying ---- */

/* A part that is none of this peer's, or not the next one, is nothing. */
static void on_reply(struct peer_desk *d, const struct node_id *peer,
                     const struct reply_message *part)
{
    struct ask **at = find(d, part->request), *a = *at;

    if (!a || !node_id_equal(&a->peer, peer) || part->part != a->n_parts)
        return;
    a->n_parts++;
    a->deadline_ms = 0;
    if (part->is_last) {
        CLEANUP(freep) struct ask *last = take_out(d, at);

        if (last->on_reply)
            last->on_reply(last->arg, part, 0);
    } else if (a->on_reply) {
        a->on_reply(a->arg, part, 0);
    }
    set_timer(d);
}

void runtime_peer_on_message(struct runtime *rt, const struct node_id *peer,
                             const struct message *m)
{
    struct peer_desk *d = desk_of(rt);

    if (!d)
        return;
    if (m->type == MESSAGE_REQUEST)
        on_request(d, peer, &m->u.request);
    else if (m->type == MESSAGE_REPLY)
        on_reply(d, peer, &m->u.reply);
}

void runtime_peer_on_gone(struct runtime *rt, const struct node_id *peer)
{
    struct peer_desk *d = desk_of(rt);

    for (struct ask **at = d ? &d->asks : NULL; at && *at;) {
        if (!node_id_equal(&(*at)->peer, peer)) {
            at = &(*at)->next;
            continue;
        }
        end_ask(take_out(d, at), -ECONNRESET);
        at = &d->asks;
    }
    if (d && d->has_server)
        d->server.on_gone(d->server.arg, peer);
    if (d)
        set_timer(d);
}

int runtime_peer_open(struct runtime *rt, peer_send_fn *send)
{
    struct peer_desk *d = calloc(1, sizeof(*d));

    assert(!desk_of(rt));
    if (!d)
        return -ENOMEM;
    d->rt = rt;
    d->send = send;
    /* An answer to what an earlier life of this node asked is none to this one. */
    d->last_id = uv_hrtime();
    uv_timer_init(runtime_loop(rt), &d->timer);
    d->timer.data = d;
    *runtime_peer_desk(rt) = d;
    return 0;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

void runtime_peer_close(struct runtime *rt)
{
    struct peer_desk *d = desk_of(rt);

    if (!d)
        return;
    *runtime_peer_desk(rt) = NULL;
    uv_timer_stop(&d->timer);
    while (d->asks)
        end_ask(take_out(d, &d->asks), -ECONNRESET);
    uv_close((uv_handle_t *)&d->timer, on_closed);
}
