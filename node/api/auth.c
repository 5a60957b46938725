/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/auth.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static const char scheme[] = "Bearer ";

enum peer auth_peer(struct runtime *rt, int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return PEER_UNKNOWN;
    if (who.uid != geteuid() && who.uid != 0)
        return PEER_STRANGER;
    return runtime_is_task_process(rt, who.pid) ? PEER_TASK : PEER_OWN;
}

bool auth_user(struct request *r, enum peer peer)
{
    if (peer == PEER_OWN)
        return true;
    if (peer == PEER_TASK)
        reply_error(r, MHD_HTTP_FORBIDDEN,
                    "a task speaks through $MESH_CHANNEL: mesh artifact, inputs, next",
                    "a task may not use the user's socket");
    else
        reply_error(r, MHD_HTTP_FORBIDDEN, NULL, "this node belongs to another user");
    return false;
}

bool auth_task(struct request *r)
{
    const char *header = request_header(r, MHD_HTTP_HEADER_AUTHORIZATION);
    const char *token = NULL;

    if (header && strncasecmp(header, scheme, sizeof(scheme) - 1) == 0)
        token = header + sizeof(scheme) - 1;
    if (token && runtime_channel(r->rt, token, &r->attempt) == 0) {
        r->token = strdup(token);
        r->run = r->attempt.run;
        r->flow = flow_ref(r->attempt.flow);
        return r->token != NULL;
    }
    reply_error(r, MHD_HTTP_FORBIDDEN,
                "a token is $MESH_TOKEN of an attempt, and ends with it",
                token ? "this token belongs to no attempt that runs"
                      : "there is no 'Authorization: Bearer TOKEN'");
    return false;
}
