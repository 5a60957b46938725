/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/members, /v1/drain, /v1/undrain, /v1/leave: who is here, and who goes. */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "node/api/about.h"
#include "node/api/bodies.h"
#include "node/api/emit.h"
#include "node/api/forward_plan.h"
#include "node/api/gather.h"
#include "node/api/nouns.h"

static const char *state_name(enum member_state s)
{
    static const char *const names[] = {
        [MEMBER_ALIVE] = "alive",
        [MEMBER_SUSPECT] = "suspect",
        [MEMBER_DEAD] = "dead",
        [MEMBER_LEFT] = "left",
    };

    return names[s];
}

static void emit_roles(struct emit *e, uint32_t roles)
{
    emit_open(e, "roles", '[');
    if (roles & ROLE_WORKER)
        emit_text(e, NULL, "worker");
    if (roles & ROLE_HOME)
        emit_text(e, NULL, "home");
    if (roles & ROLE_ISSUER)
        emit_text(e, NULL, "issuer");
    emit_close(e, ']');
}

static void emit_card(struct emit *e, const struct member_card *c)
{
    emit_text(e, "name", c->name);
    emit_text(e, "address", c->address);
    emit_text(e, "zone", c->zone);
    emit_text(e, "version", c->version);
    emit_roles(e, c->roles);
    emit_bool(e, "draining", c->is_draining);
    emit_u64(e, "slots", c->slots);
    emit_u64(e, "cpu_milli", c->cpu_milli);
    emit_u64(e, "memory_bytes", c->memory_bytes);
    emit_u64(e, "disk_free_bytes", c->disk_bytes);
    emit_u64(e, "gpus", c->n_gpus);
    emit_open(e, "resources", '{');
    for (size_t i = 0; i < c->n_custom; i++)
        emit_u64(e, c->custom[i].name, c->custom[i].milli);
    emit_close(e, '}');
}

static const struct gathered *find_answer(const struct request *r,
                                          const struct node_id *id)
{
    const struct gathered *g;

    for (size_t i = 0; (g = gather_at(r, i)); i++)
        if (node_id_equal(&g->id, id))
            return g->has_answered ? g : NULL;
    return NULL;
}

/* What it says of itself, if it was asked and said something. */
static void emit_detail(struct emit *e, struct request *r, const struct member_view *m)
{
    const struct gathered *g = find_answer(r, &m->note->id);

    if (m->is_self)
        about_emit(r, e, "node");
    else if (g)
        emit_raw(e, "node", g->body.data, g->body.len);
    else
        emit_null(e, "node");
}

static void emit_member(struct emit *e, struct request *r, const struct member_view *m,
                        bool has_detail)
{
    char id[NODE_ID_TEXT_SIZE];

    node_id_text(&m->note->id, id);
    emit_open(e, NULL, '{');
    emit_text(e, "id", id);
    emit_text(e, "state", state_name(m->note->state));
    emit_u64(e, "since_s", (uint64_t)(runtime_state_age(r->rt, m) / TIME_S(1)));
    emit_u64(e, "life", m->note->incarnation >> 32);
    emit_bool(e, "self", m->is_self);
    if (m->note->has_card)
        emit_card(e, &m->note->card);
    if (has_detail && plan_is_live(m))
        emit_detail(e, r, m);
    emit_close(e, '}');
}

/* A node alone is a mesh of one. */
static void emit_alone(struct emit *e, struct request *r, bool has_detail)
{
    const struct runtime_config *config = runtime_configuration(r->rt);
    char name[MEMBER_NAME_MAX + 1] = "";

    gethostname(name, sizeof(name) - 1);
    emit_open(e, NULL, '{');
    emit_null(e, "id");
    emit_text(e, "state", "alive");
    emit_bool(e, "self", true);
    emit_card(e, &(struct member_card){ .name = name,
                                        .version = (char *)mesh_version(),
                                        .roles = ROLE_WORKER | ROLE_HOME,
                                        .slots = config->slots_max,
                                        .cpu_milli = config->cpu_milli,
                                        .memory_bytes = config->memory_bytes,
                                        .n_gpus = config->n_gpus });
    if (has_detail)
        about_emit(r, e, "node");
    emit_close(e, '}');
}

static bool wants_detail(struct request *r)
{
    const char *text = request_query(r, "detail");

    return text && strcmp(text, "true") == 0;
}

int members_get(struct request *r)
{
    const char *text = request_query(r, "detail");

    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "'detail' must be true or false, not '%.64s'", text);
    if (wants_detail(r)) {
        int error = gather_begin(r, "/v1/node");

        if (error < 0)
            return error;
    }
    return gather_is_done(r) ? REQUEST_NEXT : REQUEST_WAIT;
}

int members_get_end(struct request *r)
{
    struct emit e = { .out = &r->reply.body };
    bool has_detail = wants_detail(r);
    struct member_view m;

    emit_open(&e, NULL, '{');
    emit_open(&e, "members", '[');
    for (size_t i = 0; runtime_member_at(r->rt, i, &m); i++)
        emit_member(&e, r, &m, has_detail);
    if (runtime_members(r->rt) == 0)
        emit_alone(&e, r, has_detail);
    emit_close(&e, ']');
    gather_emit_silent(r, &e);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

/* ---- who goes ---- */

static int reply_going(struct request *r, int error, const char *key, bool value)
{
    struct emit e = { .out = &r->reply.body };

    if (error == -ENOTSUP)
        return reply_error(r, MHD_HTTP_CONFLICT, "end it, and what ran goes on later",
                           "this node is alone: nobody takes over what it has");
    if (error < 0)
        return reply_errno(r, error, "the node");
    emit_open(&e, NULL, '{');
    emit_bool(&e, key, value);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_ACCEPTED);
}

static bool has_no_body(struct request *r)
{
    struct error why = { .text = "" };

    if (empty_body_read(buffer_text(&r->body.memory), r->body.memory.len, &why) == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    return false;
}

int drain_post(struct request *r)
{
    return has_no_body(r)
               ? reply_going(r, runtime_drain_node(r->rt, true), "draining", true)
               : 0;
}

int undrain_post(struct request *r)
{
    return has_no_body(r)
               ? reply_going(r, runtime_drain_node(r->rt, false), "draining", false)
               : 0;
}

/* Who asked is answered before its program is asked whether it can go on. */
int restart_post(struct request *r)
{
    struct error why = { .text = "" };
    int error = has_no_body(r) ? runtime_restart(r->rt, &why) : 1;

    if (error == 1)
        return 0;
    if (error == -ENOTSUP)
        return reply_error(r, MHD_HTTP_CONFLICT, NULL, "%s", why.text);
    return reply_going(r, error == -EALREADY ? 0 : error, "restarting", true);
}

int leave_post(struct request *r)
{
    return has_no_body(r) ? reply_going(r, runtime_leave_mesh(r->rt), "leaving", true)
                          : 0;
}
