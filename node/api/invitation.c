/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/mesh/invitations and /v1/mesh/revocations: who may be of the mesh. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/bodies.h"
#include "node/api/emit.h"
#include "node/api/exchange.h"
#include "node/api/note.h"
#include "node/api/nouns.h"
#include "node/runtime_admission.h"
#include "node/runtime_identity.h"
#include "node/runtime_members.h"

static unsigned status_of(int error)
{
    switch (error) {
    case -EINVAL:
        return MHD_HTTP_BAD_REQUEST;
    case -EACCES:
        return MHD_HTTP_FORBIDDEN;
    case -ENOTSUP:
    case -ENOSPC:
    case -EEXIST:
        return MHD_HTTP_CONFLICT;
    case -EHOSTUNREACH:
    case -EBUSY:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

static int reply_failed(struct request *r, int error, const struct error *why)
{
    if (!why->text[0])
        return reply_errno(r, error, "the identity of the node");
    return reply_error(r, status_of(error), NULL, "%s", why->text);
}

/* ---- POST /v1/mesh/invitations ---- */

static void emit_roles(struct emit *e, uint32_t roles)
{
    emit_open(e, "roles", '[');
    for (size_t i = 0; member_roles[i].name; i++)
        if (roles & member_roles[i].bit)
            emit_text(e, NULL, member_roles[i].name);
    emit_close(e, ']');
}

struct asked_invitation {
    struct request *r;
    uint64_t id;
    bool is_over;
    int status;
    struct join_token token;
    struct error why;
};

static void asked_release(void *data)
{
    struct asked_invitation *a = data;

    if (!a->is_over)
        runtime_invite_cancel(a->r->rt, a->id);
    join_token_release(&a->token);
}

static void on_invited(void *arg, int status, const struct join_token *token,
                       const struct error *why)
{
    struct asked_invitation *a = arg;

    a->is_over = true;
    a->status = status;
    if (status == 0)
        a->token = *token;
    else
        a->why = *why;
    request_wake(a->r);
}

int invitation_create(struct request *r)
{
    struct asked_invitation *a = request_data(r, sizeof(*a), asked_release);
    struct inviting inviting = { .done = on_invited, .arg = a };
    struct invitation_body b;
    struct error why = { .text = "" };
    int error;

    if (!a)
        return -ENOMEM;
    *a = (struct asked_invitation){ .r = r, .is_over = true };
    error = invitation_body_read(buffer_text(&r->body.memory), r->body.memory.len, &b,
                                 &why);
    if (error < 0)
        return reply_failed(r, error, &why);
    inviting.invite = (struct invite){ .roles = b.roles,
                                       .uses = b.uses,
                                       .expires_in_s = b.expires_in_s };
    note_about(r, "%s%s%s, uses %u, for %us", b.roles & ROLE_WORKER ? "worker " : "",
               b.roles & ROLE_HOME ? "home " : "",
               b.roles & ROLE_ISSUER ? "issuer" : "", b.uses, b.expires_in_s);
    a->is_over = false;
    error = runtime_invite(r->rt, &inviting, &a->id, &why);
    if (error == 0)
        return REQUEST_WAIT;
    a->is_over = true;
    return reply_failed(r, error, &why);
}

int invitation_create_end(struct request *r)
{
    const struct asked_invitation *a = r->data;
    struct emit e = { .out = &r->reply.body };
    char text[JOIN_TOKEN_TEXT_SIZE];

    if (a->status < 0)
        return reply_failed(r, a->status, &a->why);
    join_token_text(&a->token, text);
    emit_open(&e, NULL, '{');
    emit_text(&e, "token", text);
    emit_roles(&e, a->token.roles);
    emit_u64(&e, "uses", a->token.uses);
    emit_time(&e, "expires", a->token.expires);
    emit_close(&e, '}');
    explicit_bzero(text, sizeof(text));
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return reply_json(r, MHD_HTTP_CREATED);
}

/* ---- POST /v1/mesh/revocations ---- */

static int reply_unknown(struct request *r, int error, const char *name)
{
    if (error == -ENOTUNIQ)
        return reply_error(r, MHD_HTTP_CONFLICT, "give more of its id",
                           "several members are called '%.64s'", name);
    return reply_error(r, MHD_HTTP_NOT_FOUND, "mesh members names them",
                       "there is no member '%.64s'", name);
}

/* An id in full need not be known: of a node that nobody has seen for long, say. */
static int find_node(struct request *r, const char *name, struct node_id *ret)
{
    struct member_view view;
    int error;

    if (node_id_parse(name, ret) == 0)
        return 0;
    error = runtime_find_member(r->rt, name, &view);
    if (error == 0)
        *ret = view.note->id;
    return error;
}

static int revoke_node(struct request *r, const struct node_id *node)
{
    struct emit e = { .out = &r->reply.body };
    struct error why = { .text = "" };
    char text[NODE_ID_TEXT_SIZE];
    int error = runtime_revoke(r->rt, node, &why);

    if (error < 0)
        return reply_failed(r, error, &why);
    node_id_text(node, text);
    emit_open(&e, NULL, '{');
    emit_text(&e, "node", text);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_CREATED);
}

int revocation_create(struct request *r)
{
    struct revocation_body b = { .json = NULL };
    struct error why = { .text = "" };
    struct node_id node;
    int error = revocation_body_read(buffer_text(&r->body.memory), r->body.memory.len,
                                     &b, &why);

    if (error < 0)
        return reply_failed(r, error, &why);
    note_about(r, "%s", b.node);
    error = find_node(r, b.node, &node);
    if (error < 0)
        error = reply_unknown(r, error, b.node);
    else
        error = revoke_node(r, &node);
    revocation_body_release(&b);
    return error;
}
