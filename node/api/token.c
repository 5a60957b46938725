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
#include "node/api/shared_tokens.h"
#include "node/api/tokens.h"

static void emit_token(struct emit *e, const struct token *t)
{
    emit_text(e, "id", t->id);
    emit_text(e, "name", t->name);
    emit_text(e, "role", role_name(t->role));
    emit_time(e, "created", t->created);
    emit_time(e, "expires", t->expires);
    emit_text(e, "scope", t->is_shared ? "mesh" : "node");
}

/* ---- those of the mesh ---- */

struct shared_change {
    struct request *r;
    struct token_change change;
    char text[TOKEN_TEXT_SIZE];
    int status;
};

static void shared_release(void *data)
{
    struct shared_change *c = data;

    shared_tokens_cancel(&c->change);
    explicit_bzero(c->text, sizeof(c->text));
}

static void on_changed(void *arg, int status)
{
    struct shared_change *c = arg;

    c->status = status;
    request_wake(c->r);
}

static int change_shared(struct shared_change *c)
{
    int error;

    c->change.done = on_changed;
    c->change.arg = c;
    error = shared_tokens_change(c->r->api->shared_tokens, &c->change);
    return error < 0 ? error : REQUEST_WAIT;
}

static struct shared_change *shared_change_new(struct request *r)
{
    struct shared_change *c = request_data(r, sizeof(*c), shared_release);

    if (c)
        c->r = r;
    return c;
}

static int reply_shared(struct request *r, int error)
{
    if (error == -EHOSTUNREACH)
        return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "try again when it can",
                           "this node does not reach a majority of those that keep the "
                           "tokens of the mesh");
    return reply_errno(r, error, "the tokens of the mesh");
}

/* ---- GET /v1/tokens ---- */

int tokens_list_begin(struct request *r)
{
    struct shared_tokens *shared = r->api->shared_tokens;
    int error;

    if (!shared_tokens_exist(shared) || shared_tokens_are_of(shared, r))
        return REQUEST_NEXT;
    r->awaits_tokens = true;
    error = shared_tokens_read(shared);
    return error < 0 ? error : REQUEST_WAIT;
}

static void emit_tokens(struct emit *e, const struct token_list *list, bool is_shared)
{
    for (size_t i = 0; i < list->n; i++) {
        struct token one = list->all[i];

        one.is_shared = is_shared;
        emit_open(e, NULL, '{');
        emit_token(e, &one);
        emit_close(e, '}');
    }
}

int tokens_list_end(struct request *r)
{
    CLEANUP(token_list_release) struct token_list own = { .n = 0 };
    struct shared_tokens *shared = r->api->shared_tokens;
    struct emit e = { .out = &r->reply.body };
    int error = tokens_list(r->api->tokens, &own);

    if (error < 0)
        return error;
    if (shared_tokens_exist(shared) && shared_tokens_status(shared) < 0)
        return reply_shared(r, shared_tokens_status(shared));
    emit_open(&e, NULL, '{');
    emit_open(&e, "tokens", '[');
    emit_tokens(&e, &own, false);
    emit_tokens(&e, shared_tokens_list(shared), true);
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

static int reply_full(struct request *r, int max)
{
    return reply_error(r, MHD_HTTP_CONFLICT, "revoke one: mesh token list",
                       "there are %d tokens, and no more can be", max);
}

/* A node of a mesh makes one that holds at all of its nodes. */
int token_create(struct request *r)
{
    CLEANUP(token_body_release) struct token_body b = { .json = NULL };
    struct shared_change *c;

    if (!shared_tokens_exist(r->api->shared_tokens))
        return REQUEST_NEXT;
    if (!read_body(r, &b))
        return 0;
    c = shared_change_new(r);
    if (!c)
        return -ENOMEM;
    c->change.token.role = b.role;
    strcpy(c->change.token.name, b.name);
    token_draw(&c->change.token, b.expires_in_s, c->text);
    c->change.token.is_shared = true;
    note_about(r, "%s for %s, %s", c->change.token.id, b.name, role_name(b.role));
    return change_shared(c);
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
        return reply_full(r, TOKENS_MAX);
    if (error < 0)
        return reply_errno(r, error, "the file of tokens");
    note_about(r, "%s for %s, %s", token.id, token.name, role_name(token.role));
    return reply_created(r, &token, text);
}

int token_create_end(struct request *r)
{
    const struct shared_change *c = r->data;

    if (c->status == 0)
        return reply_created(r, &c->change.token, c->text);
    return c->status == -ENOSPC ? reply_full(r, SHARED_TOKENS_MAX)
                                : reply_shared(r, c->status);
}

/* ---- POST /v1/tokens/ID/revoke ---- */

int token_revoke(struct request *r)
{
    struct error why = { .text = "" };
    struct shared_change *c;

    if (empty_body_read(buffer_text(&r->body.memory), r->body.memory.len, &why) < 0)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    c = shared_change_new(r);
    if (!c)
        return -ENOMEM;
    c->status = -ENOENT;
    if (!shared_tokens_exist(r->api->shared_tokens)
        || strlen(r->params[0]) >= sizeof(c->change.token.id))
        return REQUEST_NEXT;
    c->change.is_revocation = true;
    strcpy(c->change.token.id, r->params[0]);
    return change_shared(c);
}

int token_revoke_work(struct request *r)
{
    struct shared_change *c = r->data;
    int error = tokens_revoke(r->api->tokens, r->params[0], &c->change.token);

    if (error == -ENOENT)
        return reply_error(r, MHD_HTTP_NOT_FOUND, "mesh token list names them",
                           "there is no token '%.64s'", r->params[0]);
    if (error < 0)
        return reply_errno(r, error, "the file of tokens");
    c->status = 0;
    return REQUEST_NEXT;
}

/* What was begun with it ends: streams of events would go on for days. */
int token_revoke_end(struct request *r)
{
    const struct shared_change *c = r->data;
    const struct token *revoked = &c->change.token;
    struct emit e = { .out = &r->reply.body };

    if (c->status == -ENOENT) {
        r->work = token_revoke_work; /* one that this node made when it was alone */
        return REQUEST_WORK;
    }
    if (c->status < 0)
        return reply_shared(r, c->status);
    note_about(r, "%s of %s", revoked->id, revoked->name);
    for (struct request *other = r->api->requests; other; other = other->next)
        if (other != r && strcmp(other->token_used.id, revoked->id) == 0)
            exchange_drop(other);
    emit_open(&e, NULL, '{');
    emit_token(&e, revoked);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
