/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/forward_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/api/forward.h"
#include "node/api/server.h"

void plan_release(struct plan *p)
{
    free(p->whom);
}

bool plan_is_live(const struct member_view *m)
{
    return m->note->state == MEMBER_ALIVE || m->note->state == MEMBER_SUSPECT;
}

static int add(struct runtime *rt, struct plan *p, const struct node_id *id)
{
    struct member_view m;
    struct node_id *more;

    if (!runtime_member(rt, id, &m) || m.is_self || !plan_is_live(&m))
        return 0;
    for (size_t i = 0; i < p->n; i++)
        if (node_id_equal(&p->whom[i], id))
            return 0;
    more = realloc(p->whom, (p->n + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    p->whom = more;
    p->whom[p->n++] = *id;
    return 0;
}

static int add_all(struct runtime *rt, struct plan *p)
{
    struct member_view m;
    int r = 0;

    for (size_t i = 0; r == 0 && runtime_member_at(rt, i, &m); i++)
        if (m.note->card.roles & ROLE_HOME)
            r = add(rt, p, &m.note->id);
    p->is_search = true;
    p->verdict = p->n ? PLAN_ASK : PLAN_HERE;
    return r;
}

/* ---- which run ---- */

static const char *named_run(struct request *r)
{
    static const char front[] = "/v1/runs/RUN";

    if (r->route->is_here)
        return NULL;
    if (strncmp(r->route->pattern, front, sizeof(front) - 1) == 0)
        return r->params[0];
    return strcmp(r->route->pattern, "/v1/events") == 0 ? request_query(r, "run")
                                                        : NULL;
}

static bool is_events(const struct request *r)
{
    return strcmp(r->route->pattern, "/v1/events") == 0;
}

static bool is_reading(const struct request *r)
{
    return r->route->method == METHOD_GET;
}

static bool has_ended_here(struct request *r, const struct run_id *run)
{
    CLEANUP(buffer_release) struct buffer end = BUFFER_INIT;
    struct record_key key = run_end_key(run);

    return writer_get(runtime_writer(r->rt), STORE_RECORDS,
                      (struct span){ key.bytes, key.len }, &end)
           == 0;
}

/* ---- whom to ask ---- */

static int ask_leader(struct request *r, struct plan *p, const struct run_where *w)
{
    struct member_view m;
    int error;

    if (!runtime_member(r->rt, &w->leader, &m))
        return 0;
    if (m.note->has_card && m.note->card.name)
        snprintf(p->leader, sizeof(p->leader), "%s", m.note->card.name);
    error = add(r->rt, p, &w->leader);
    return error;
}

/* Homes know what was decided, not what runs, and one of them may know more than this
 * one does; nobody but the leader has the events. */
static int ask_homes(struct request *r, struct plan *p, const struct run_where *w)
{
    int error = 0;

    if (!is_reading(r) || is_events(r))
        return 0;
    for (uint32_t i = 0; error == 0 && i < w->n_homes; i++)
        error = add(r->rt, p, &w->homes[i]);
    return error;
}

static int ask_by_where(struct request *r, struct plan *p, const struct run_where *w)
{
    int error = ask_leader(r, p, w);

    p->is_kept_here = w->place == RUN_PLACE_HOME;
    if (error == 0)
        error = ask_homes(r, p, w);
    if (p->n)
        p->verdict = PLAN_ASK;
    else if (p->is_kept_here && is_reading(r) && !is_events(r))
        p->verdict = PLAN_HERE;
    else
        p->verdict = PLAN_NOBODY;
    return error;
}

/* A peer has chosen this node; only a wrong choice is refused. */
static void serve_by_where(struct request *r, struct plan *p, const struct run_where *w)
{
    bool is_fit = w->place == RUN_PLACE_LEADS || w->place == RUN_PLACE_UNKNOWN
                  || (w->place == RUN_PLACE_HOME && is_reading(r) && !is_events(r))
                  || has_ended_here(r, &p->run);

    p->verdict = is_fit ? PLAN_HERE : PLAN_MISDIRECTED;
}

static int plan_run(struct request *r, struct plan *p, const char *name)
{
    bool is_peer = r->listener->door == DOOR_PEER;
    struct run_where w = { .place = RUN_PLACE_UNKNOWN };
    int found = runtime_find_run(r->rt, name, &p->run);
    int told = found == 0 ? 0 : runtime_find_told(r->rt, name, &p->run);

    p->verdict = PLAN_HERE;
    p->has_run = found == 0 || told == 0;
    if (found == -ENOTUNIQ || told == -ENOTUNIQ)
        return 0;
    if (p->has_run)
        runtime_where(r->rt, &p->run, &w);
    if (is_peer && p->has_run)
        serve_by_where(r, p, &w);
    if (is_peer || w.place == RUN_PLACE_LEADS)
        return 0;
    if (w.place == RUN_PLACE_HOME || w.place == RUN_PLACE_ELSEWHERE)
        return found == 0 && has_ended_here(r, &p->run) ? 0 : ask_by_where(r, p, &w);
    return found == 0 ? 0 : add_all(r->rt, p);
}

/* ?node=NAME: that one and no other. */
static int plan_node(struct request *r, struct plan *p, const char *name)
{
    struct member_view m;
    int error = runtime_find_member(r->rt, name, &m);

    p->verdict = PLAN_HERE;
    if (error == -ENOTUNIQ)
        fail(&p->why, error, "several members are called '%.64s'; give an id", name);
    else if (error < 0)
        fail(&p->why, error, "there is no member '%.64s'", name);
    else if (!m.is_self && !plan_is_live(&m))
        fail(&p->why, -ENOTCONN, "member '%.64s' is not there", name);
    if (error < 0 || m.is_self || !plan_is_live(&m))
        return 0;
    p->verdict = PLAN_ASK;
    return add(r->rt, p, &m.note->id);
}

int plan_make(struct request *r, struct plan *ret)
{
    const char *node =
        word_is_among("node", r->route->query) ? request_query(r, "node") : NULL;
    const char *run = named_run(r);

    *ret = (struct plan){ .verdict = PLAN_HERE };
    if (r->listener->door == DOOR_TASK || runtime_members(r->rt) == 0)
        return 0;
    if (node && r->listener->door != DOOR_PEER)
        return plan_node(r, ret, node);
    return run ? plan_run(r, ret, run) : 0;
}

uint64_t plan_age_s(struct runtime *rt, const struct run_id *run)
{
    struct run_where w;
    struct member_view m;

    if (!runtime_where(rt, run, &w) || w.place == RUN_PLACE_LEADS
        || !runtime_member(rt, &w.leader, &m) || m.note->state == MEMBER_ALIVE)
        return 0;
    return (uint64_t)(runtime_silence(rt, &m) / TIME_S(1));
}
