/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/gather.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "node/api/emit.h"
#include "node/api/forward_plan.h"
#include "node/runtime_peer.h"

struct asked {
    struct gathered about;
    struct gather *all;
    uint64_t ask;
    bool is_waiting;
};

struct gather {
    struct request *r;
    struct asked *asked;
    size_t n, n_waiting;
    uv_timer_t *timer;
};

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

static void stop_waiting(struct asked *a)
{
    if (!a->is_waiting)
        return;
    a->is_waiting = false;
    a->all->n_waiting--;
}

static void give_up(struct gather *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->asked[i].is_waiting)
            runtime_peer_cancel(g->r->rt, g->asked[i].ask);
        stop_waiting(&g->asked[i]);
    }
}

void gather_free(struct gather *g)
{
    if (!g)
        return;
    give_up(g);
    for (size_t i = 0; i < g->n; i++)
        buffer_release(&g->asked[i].about.body);
    if (g->timer)
        uv_close((uv_handle_t *)g->timer, free_timer);
    free(g->asked);
    free(g);
}

static void on_timer(uv_timer_t *timer)
{
    struct gather *g = timer->data;

    give_up(g);
    request_wake(g->r);
}

static void on_part(struct asked *a, const struct reply_message *part)
{
    struct gathered *about = &a->about;

    if (part->part == 0 && part->status != MHD_HTTP_OK)
        about->body.error = -EBADMSG;
    buffer_append(&about->body, part->body, part->body_len);
    if (!part->is_last) {
        runtime_peer_took(a->all->r->rt, a->ask, 1);
        return;
    }
    about->has_answered = !part->is_cut_off && !buffer_failed(&about->body);
    stop_waiting(a);
}

static void on_reply(void *arg, const struct reply_message *part, int error)
{
    struct asked *a = arg;

    (void)error;
    if (part)
        on_part(a, part);
    else
        stop_waiting(a);
    if (a->all->n_waiting == 0)
        request_wake(a->all->r);
}

static void ask(struct gather *g, const struct member_view *m, const char *target)
{
    struct request *r = g->r;
    struct asked *a = &g->asked[g->n++];
    struct request_message q = { .method = (char *)"GET",
                                 .target = (char *)target,
                                 .user = (char *)r->user,
                                 .role = r->role };

    a->all = g;
    a->about.id = m->note->id;
    a->about.body = (struct buffer){ .bytes_max = GATHER_BYTES_MAX };
    snprintf(a->about.name, sizeof(a->about.name), "%s",
             m->note->has_card && m->note->card.name ? m->note->card.name : "");
    a->is_waiting = runtime_peer_ask(r->rt, &m->note->id, &q, TIME_MS(GATHER_MS),
                                     on_reply, a, &a->ask)
                    == 0;
    g->n_waiting += a->is_waiting;
}

static int set_timer(struct gather *g)
{
    g->timer = calloc(1, sizeof(*g->timer));
    if (!g->timer)
        return -ENOMEM;
    uv_timer_init(runtime_loop(g->r->rt), g->timer);
    g->timer->data = g;
    return uv_timer_start(g->timer, on_timer, GATHER_MS, 0);
}

int gather_begin(struct request *r, const char *target)
{
    size_t most = runtime_members(r->rt);
    struct gather *g = calloc(1, sizeof(*g));
    struct member_view m;

    if (!g)
        return -ENOMEM;
    r->gather = g;
    g->r = r;
    g->asked = calloc(most + 1, sizeof(*g->asked));
    if (!g->asked)
        return -ENOMEM;
    for (size_t i = 0; i < most && runtime_member_at(r->rt, i, &m); i++)
        if (!m.is_self && plan_is_live(&m))
            ask(g, &m, target);
    return g->n_waiting ? set_timer(g) : 0;
}

bool gather_is_done(const struct request *r)
{
    return !r->gather || r->gather->n_waiting == 0;
}

const struct gathered *gather_at(const struct request *r, size_t i)
{
    return r->gather && i < r->gather->n ? &r->gather->asked[i].about : NULL;
}

void gather_emit_silent(const struct request *r, struct emit *e)
{
    const struct gathered *g;

    emit_open(e, "silent", '[');
    for (size_t i = 0; (g = gather_at(r, i)); i++)
        if (!g->has_answered)
            emit_text(e, NULL, g->name);
    emit_close(e, ']');
}
