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

static int reply_token(struct request *r, struct join_token *token)
{
    char text[JOIN_TOKEN_TEXT_SIZE];
    struct emit e = { .out = &r->reply.body };

    join_token_text(token, text);
    emit_open(&e, NULL, '{');
    emit_text(&e, "token", text);
    emit_roles(&e, token->roles);
    emit_u64(&e, "uses", token->uses);
    emit_time(&e, "expires", token->expires);
    emit_close(&e, '}');
    join_token_release(token);
    explicit_bzero(text, sizeof(text));
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return reply_json(r, MHD_HTTP_CREATED);
}

int invitation_create(struct request *r)
{
    struct invitation_body b;
    struct invite invite;
    struct error why = { .text = "" };
    struct join_token token;
    int error = invitation_body_read(buffer_text(&r->body.memory), r->body.memory.len,
                                     &b, &why);

    if (error < 0)
        return reply_failed(r, error, &why);
    invite = (struct invite){ .roles = b.roles,
                              .uses = b.uses,
                              .expires_in_s = b.expires_in_s };
    note_about(r, "%s%s%s, uses %u, for %us",
               invite.roles & ROLE_WORKER ? "worker " : "",
               invite.roles & ROLE_HOME ? "home " : "",
               invite.roles & ROLE_ISSUER ? "issuer" : "", invite.uses,
               invite.expires_in_s);
    error = runtime_invite(r->rt, &invite, &token, &why);
    return error < 0 ? reply_failed(r, error, &why) : reply_token(r, &token);
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
