/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/note.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/api/connection.h"
#include "node/api/serve.h"
#include "node/api/server.h"
#include "node/runtime_audit.h"
#include "node/runtime_members.h"

enum { FROM_SIZE = 80 };

void note_about(struct request *r, const char *format, ...)
{
    va_list args;

    free(r->about);
    va_start(args, format);
    if (vasprintf(&r->about, format, args) < 0)
        r->about = NULL;
    va_end(args);
}

/* ---- who ---- */

static void client_address(const struct request *r, char *ret)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;

    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr,
                  ret, FROM_SIZE);
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  ret, FROM_SIZE);
}

static void peer_name(const struct request *r, char *ret)
{
    struct node_id id;
    struct member_view m;

    if (!serve_peer(r, &id))
        return;
    if (runtime_member(r->rt, &id, &m) && m.note->has_card && m.note->card.name)
        snprintf(ret, FROM_SIZE, "%s", m.note->card.name);
    else
        node_id_text(&id, ret);
}

/* An uid that was not asked for is nobody's. */
static void fill_who(const struct request *r, struct audit_entry *e, char *from)
{
    e->user = r->user ? r->user : r->peer ? r->peer->user : "";
    e->from = from;
    switch (r->listener->door) {
    case DOOR_USER:
        e->way = AUDIT_BY_SOCKET;
        if (r->peer && r->peer->peer != PEER_UNKNOWN)
            snprintf(from, FROM_SIZE, "%u", r->peer->uid);
        break;
    case DOOR_TCP:
        e->way = AUDIT_BY_TOKEN;
        if (r->token_used.id[0])
            snprintf(from, FROM_SIZE, "%s", r->token_used.id);
        else
            client_address(r, from);
        break;
    case DOOR_PEER:
        e->way = AUDIT_BY_PEER;
        peer_name(r, from);
        break;
    case DOOR_TASK:
        e->way = AUDIT_BY_TASK;
        if (r->flow)
            run_id_text(&r->run, from);
        break;
    }
}

/* ---- what became of it ---- */

static enum audit_verdict verdict_of(unsigned status)
{
    if (status < MHD_HTTP_BAD_REQUEST)
        return AUDIT_DONE;
    return status < MHD_HTTP_INTERNAL_SERVER_ERROR ? AUDIT_REFUSED : AUDIT_FAILED;
}

/* The sentence of an error, and the first thing that is wrong with a flow. */
static char *why_of(const struct request *r)
{
    const struct buffer *body = &r->reply.body;
    json_t *json = r->reply.status >= MHD_HTTP_BAD_REQUEST && body->len
                       ? json_loadb(body->data, body->len, 0, NULL)
                       : NULL;
    const char *sentence = json_string_value(json_object_get(json, "error"));
    const json_t *first = json_array_get(json_object_get(json, "diagnostics"), 0);
    const char *message = json_string_value(json_object_get(first, "message"));
    char *why = NULL;

    if (sentence
        && asprintf(&why, "%s%s%s", sentence, message ? ": " : "",
                    message ? message : "")
               < 0)
        why = NULL;
    json_decref(json);
    return why;
}

static const char *about_of(const struct request *r, char *ret_run)
{
    static const struct run_id none;

    if (r->about)
        return r->about;
    if (!r->is_task && !run_id_equal(&r->run, &none)) {
        run_id_text(&r->run, ret_run);
        return ret_run;
    }
    return r->params[0];
}

/* Of requests that change nothing, those that somebody may not make. */
static bool is_noted(const struct request *r)
{
    unsigned status = r->reply.status;

    return (r->route && r->route->verb) || status == MHD_HTTP_UNAUTHORIZED
           || status == MHD_HTTP_FORBIDDEN || status == MHD_HTTP_MISDIRECTED_REQUEST;
}

void note_request(struct request *r)
{
    struct audit_entry e = { .verdict = verdict_of(r->reply.status) };
    char from[FROM_SIZE] = "", run[RUN_ID_TEXT_SIZE];
    CLEANUP(freep) char *why = NULL;
    bool is_known = r->role || r->flow;

    if (!is_noted(r))
        return;
    fill_who(r, &e, from);
    e.verb = r->verb                      ? r->verb
             : r->route && r->route->verb ? r->route->verb
                                          : "request";
    e.about = about_of(r, run);
    if (!e.about && r->route)
        e.about = r->route->pattern;
    e.why = why = why_of(r);
    if (is_known && r->route && r->route->verb)
        runtime_audit(r->rt, &e);
    else
        runtime_audit_stranger(r->rt, &e);
}

/* ---- tokens ---- */

static bool was_seen(struct request *r)
{
    struct buffer *seen = &r->api->seen;
    const char *id = r->token_used.id;

    for (size_t i = 0; i + TOKEN_ID_SIZE <= seen->len; i += TOKEN_ID_SIZE)
        if (memcmp(seen->data + i, id, TOKEN_ID_SIZE) == 0)
            return true;
    return buffer_append(seen, id, TOKEN_ID_SIZE) < 0;
}

void note_login(struct request *r)
{
    struct audit_entry e = { .verb = "login", .verdict = AUDIT_DONE };
    char from[FROM_SIZE] = "", address[FROM_SIZE] = "";

    if (was_seen(r))
        return;
    fill_who(r, &e, from);
    client_address(r, address);
    e.about = address;
    runtime_audit(r->rt, &e);
}
