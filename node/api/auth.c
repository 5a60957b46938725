/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/auth.h"

#include <errno.h>
#include <microhttpd.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/api/connection.h"
#include "node/api/host.h"
#include "node/api/note.h"
#include "node/api/serve.h"
#include "node/api/server.h"
#include "node/api/shared_tokens.h"
#include "node/api/tokens.h"

static const char scheme[] = "Bearer ";

static bool is_shared(const struct runtime *rt)
{
    const struct conf *c = runtime_configuration(rt)->conf;

    return c && c->is_shared;
}

enum peer auth_peer(struct runtime *rt, int fd, uid_t *ret_uid)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return PEER_UNKNOWN;
    *ret_uid = who.uid;
    /* First of all: a task may have an account of its own, or that of a guest. */
    if (runtime_is_task_process(rt, who.pid))
        return PEER_TASK;
    if (who.uid == geteuid() || who.uid == 0)
        return PEER_OWN;
    return is_shared(rt) ? PEER_GUEST : PEER_STRANGER;
}

void auth_user_name(uid_t uid, char *ret_name, size_t size)
{
    struct passwd entry, *found = NULL;
    char text[4096];

    if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found)
        snprintf(ret_name, size, "%s", entry.pw_name);
    else
        snprintf(ret_name, size, "%u", uid);
}

bool auth_root(const struct request *r)
{
    return r->listener->door == DOOR_USER && r->peer && r->peer->uid == 0;
}

static bool auth_user(struct request *r, enum peer peer)
{
    if (peer == PEER_OWN || peer == PEER_GUEST) {
        r->role = peer == PEER_OWN ? ROLE_OPERATOR : ROLE_SUBMITTER;
        r->user = r->peer->user;
        return true;
    }
    if (peer == PEER_TASK)
        reply_error(r, MHD_HTTP_FORBIDDEN,
                    "a task speaks through $MESH_CHANNEL: mesh artifact, inputs, next",
                    "a task may not use the user's socket");
    else
        reply_error(r, MHD_HTTP_FORBIDDEN,
                    "its owner lets others submit by `shared_uid: yes` in mesh.conf",
                    "this node belongs to another user");
    return false;
}

static const char *bearer(struct request *r)
{
    const char *header = request_header(r, MHD_HTTP_HEADER_AUTHORIZATION);

    return header && strncasecmp(header, scheme, sizeof(scheme) - 1) == 0
               ? header + sizeof(scheme) - 1
               : NULL;
}

/* sentence NULL: there was none. */
static bool refuse_token(struct request *r, const char *hint, const char *sentence)
{
    reply_error(r, MHD_HTTP_UNAUTHORIZED, hint, "%s",
                sentence ? sentence : "there is no 'Authorization: Bearer TOKEN'");
    reply_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    return false;
}

static bool auth_task(struct request *r)
{
    const char *token = bearer(r);

    if (token && runtime_channel(r->rt, token, &r->attempt) == 0) {
        r->token = strdup(token);
        r->out_dir = strdup(r->attempt.out_dir);
        r->attempt.out_dir = r->out_dir;
        r->run = r->attempt.run;
        r->flow = flow_ref(r->attempt.flow);
        return r->token && r->out_dir;
    }
    return refuse_token(r, "a token is $MESH_TOKEN of an attempt, and ends with it",
                        token ? "this token belongs to no attempt that runs" : NULL);
}

/* ---- TCP ---- */

static bool is_meant_for_us(struct request *r)
{
    const char *host = request_header(r, MHD_HTTP_HEADER_HOST);
    const char *origin = request_header(r, MHD_HTTP_HEADER_ORIGIN);

    /* By TLS the certificate has told whom the client meant. */
    if (!r->api->tls && !host_is_ours(host, runtime_configuration(r->rt)->listen))
        reply_error(r, MHD_HTTP_MISDIRECTED_REQUEST,
                    "ask 127.0.0.1, [::1] or localhost",
                    "this node does not answer to the name '%.100s'", host ? host : "");
    else if (!origin_is_ours(origin, host, r->api->tls != NULL))
        reply_error(r, MHD_HTTP_FORBIDDEN, NULL,
                    "pages from '%.100s' may not ask this node", origin);
    else
        return true;
    return false;
}

/* 0; REQUEST_WAIT; or why not: -EHOSTUNREACH, and as tokens_check(). */
static int check_token(struct request *r, const char *text)
{
    struct shared_tokens *shared = r->api->shared_tokens;
    int error = tokens_check(r->api->tokens, text, &r->token_used);

    if (error != -ENOENT || !shared_tokens_exist(shared))
        return error;
    if (shared_tokens_may_open(shared, r))
        error = shared_tokens_check(shared, text, &r->token_used);
    if (error != -ENOENT || shared_tokens_are_of(shared, r))
        return error;
    error = shared_tokens_read(shared);
    if (error < 0)
        return error;
    return shared_tokens_are_of(shared, r)
               ? shared_tokens_check(shared, text, &r->token_used)
               : REQUEST_WAIT;
}

static void refuse_unknown(struct request *r)
{
    reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE,
                "who owns the node may ask it over its socket",
                "whether this token holds cannot be known: this node does not reach a "
                "majority of those that keep the tokens of the mesh");
}

static int auth_tcp(struct request *r)
{
    const char *text = bearer(r);
    int error;

    if (!is_meant_for_us(r))
        return REQUEST_REPLIED;
    error = text ? check_token(r, text) : -ENOENT;
    if (error > 0)
        return error;
    if (error == 0) {
        r->role = r->token_used.role;
        r->user = r->token_used.name;
        note_login(r);
        return 0;
    }
    if (error == -EHOSTUNREACH)
        refuse_unknown(r);
    else
        refuse_token(r, "who owns the node makes one: mesh token create NAME",
                     !text                   ? NULL
                     : error == -EKEYEXPIRED ? "this token has expired"
                     : shared_tokens_exist(r->api->shared_tokens)
                         ? "this token is none of this mesh's"
                         : "this token is none of this node's");
    return REQUEST_REPLIED;
}

/* ---- by door ---- */

static int told(bool is_known)
{
    return is_known ? 0 : REQUEST_REPLIED;
}

int auth_request(struct request *r, enum peer peer)
{
    switch (r->listener->door) {
    case DOOR_TCP:
        return auth_tcp(r);
    case DOOR_TASK:
        if (peer == PEER_OWN || peer == PEER_TASK)
            return told(auth_task(r));
        break;
    case DOOR_PEER:
        return told(serve_auth(r));
    case DOOR_USER:
        break;
    }
    return told(auth_user(r, peer));
}

/* What names who asks. A peer says who asked it, and tells no token from a user. */
static const char *kind_of(const struct request *r)
{
    return r->listener->door == DOOR_TCP ? "token" : "user";
}

bool auth_role(struct request *r)
{
    enum role needed = route_role(r->route);

    if (r->is_task || r->role >= needed)
        return true;
    reply_error(r, MHD_HTTP_FORBIDDEN, NULL, "this takes the role %s; %s '%s' is %s",
                role_name(needed), kind_of(r), r->user, role_name(r->role));
    return false;
}

bool auth_owner(struct request *r, const char *user, const char *what)
{
    if (r->role >= ROLE_OPERATOR || (user && strcmp(user, r->user) == 0))
        return true;
    reply_error(r, MHD_HTTP_FORBIDDEN, NULL,
                "%s belongs to '%.64s'; %s '%s' may change only its own", what,
                user ? user : "", kind_of(r), r->user);
    return false;
}
