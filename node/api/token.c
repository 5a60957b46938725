/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/tokens: made, listed and revoked by who owns the node, or by an operator. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/bodies.h"
#include "node/api/emit.h"
#include "node/api/exchange.h"
#include "node/api/note.h"
#include "node/api/nouns.h"
#include "node/api/tokens.h"

static void emit_token(struct emit *e, const struct token *t)
{
    emit_text(e, "id", t->id);
    emit_text(e, "name", t->name);
    emit_text(e, "role", role_name(t->role));
    emit_time(e, "created", t->created);
    emit_time(e, "expires", t->expires);
}

/* ---- GET /v1/tokens ---- */

int tokens_list_work(struct request *r)
{
    CLEANUP(token_list_release) struct token_list list = { .n = 0 };
    struct emit e = { .out = &r->reply.body };
    int error = tokens_list(r->api->tokens, &list);

    if (error < 0)
        return error;
    emit_open(&e, NULL, '{');
    emit_open(&e, "tokens", '[');
    for (size_t i = 0; i < list.n; i++) {
        emit_open(&e, NULL, '{');
        emit_token(&e, &list.all[i]);
        emit_close(&e, '}');
    }
    emit_close(&e, ']');
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

/* ---- POST /v1/tokens ---- */

static bool read_body(struct request *r, struct token_body *ret)
{
    struct error why = { .text = "" };

    if (token_body_read(buffer_text(&r->body.memory), r->body.memory.len, ret, &why)
        == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    return false;
}

static int reply_created(struct request *r, const struct token *token, const char *text)
{
    struct emit e = { .out = &r->reply.body };

    emit_open(&e, NULL, '{');
    emit_text(&e, "token", text);
    emit_token(&e, token);
    emit_close(&e, '}');
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return reply_json(r, MHD_HTTP_CREATED);
}

int token_create_work(struct request *r)
{
    CLEANUP(token_body_release) struct token_body b = { .json = NULL };
    struct token token;
    char text[TOKEN_TEXT_SIZE];
    int error;

    if (!read_body(r, &b))
        return 0;
    token = (struct token){ .role = b.role };
    strcpy(token.name, b.name);
    note_about(r, "for %s, %s", b.name, role_name(b.role));
    error = tokens_create(r->api->tokens, &token, b.expires_in_s, text);
    if (error == -ENOSPC)
        return reply_error(r, MHD_HTTP_CONFLICT, "revoke one: mesh token list",
                           "there are %d tokens, and no more can be", TOKENS_MAX);
    if (error < 0)
        return reply_errno(r, error, "the file of tokens");
    note_about(r, "%s for %s, %s", token.id, token.name, role_name(token.role));
    return reply_created(r, &token, text);
}

/* ---- POST /v1/tokens/ID/revoke ---- */

int token_revoke(struct request *r)
{
    struct error why = { .text = "" };

    if (empty_body_read(buffer_text(&r->body.memory), r->body.memory.len, &why) == 0)
        return REQUEST_NEXT;
    return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
}

int token_revoke_work(struct request *r)
{
    struct token *revoked = request_data(r, sizeof(*revoked), NULL);
    int error;

    if (!revoked)
        return -ENOMEM;
    error = tokens_revoke(r->api->tokens, r->params[0], revoked);
    if (error == -ENOENT)
        return reply_error(r, MHD_HTTP_NOT_FOUND, "mesh token list names them",
                           "there is no token '%.64s'", r->params[0]);
    return error < 0 ? reply_errno(r, error, "the file of tokens") : REQUEST_NEXT;
}

/* What was begun with it ends: streams of events would go on for days. */
int token_revoke_end(struct request *r)
{
    const struct token *revoked = r->data;
    struct emit e = { .out = &r->reply.body };

    note_about(r, "%s of %s", revoked->id, revoked->name);
    for (struct request *other = r->api->requests; other; other = other->next)
        if (other != r && strcmp(other->token_used.id, revoked->id) == 0)
            exchange_drop(other);
    emit_open(&e, NULL, '{');
    emit_token(&e, revoked);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
