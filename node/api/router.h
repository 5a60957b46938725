/* SPDX-License-Identifier: Apache-2.0 */
/* router - which route a method and a path name, and what the asker may have meant.
 *
 * A pattern's upper-case segments stand for any one segment and become parameters:
 *
 *     /v1/runs/RUN/logs/STEP/TASK    /v1/runs/42/logs/fit/3.1  ->  42, fit, 3.1
 *
 * Pure: handlers are only carried. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/api/role.h"

enum {
    ROUTE_PARAMS_MAX = 4,
    ROUTE_PARAM_BYTES_MAX = 1024,
};

enum method {
    METHOD_GET = 1,
    METHOD_PUT,
    METHOD_POST,
    METHOD_PATCH,
    METHOD_DELETE,
    METHODS_END
};

enum body_kind {
    BODY_NONE = 0,
    BODY_MEMORY, /* collected as it comes */
    BODY_SPOOL,  /* in memory while it is short, then in a file */
    BODY_FILE,   /* in a file from the first byte */
};

/* Where clients come in. */
enum door { DOOR_USER = 1, DOOR_TASK, DOOR_TCP, DOOR_PEER };

struct request;

/* A request goes through the stages that its route has: `begin` on the loop when the
 * body is there, `work` on a thread of the pool, `end` on the loop. Each returns 0 when
 * it has set the reply, REQUEST_NEXT or REQUEST_WAIT (request.h), or a negative errno,
 * which becomes an error reply. */
struct route {
    enum method method;
    const char *pattern;
    const char
        *query; /* the names that may be asked, with spaces between; NULL: none */
    enum body_kind body;
    uint64_t body_bytes_max;
    enum role role;   /* 0: viewers may GET, for all else it takes an operator */
    bool is_here;     /* of this node, though the path names a run */
    const char *verb; /* in the audit log; NULL: it changes nothing */
    int (*begin)(struct request *r);
    int (*work)(struct request *r);
    int (*end)(struct request *r);
};

struct route_match {
    const struct route *route;
    struct {
        const char *data; /* into the path */
        size_t len;
    } params[ROUTE_PARAMS_MAX];
    size_t n_params;
    unsigned allowed;    /* of -EOPNOTSUPP: 1 << enum method, or-ed */
    const char *nearest; /* of -ENOENT: a pattern, or NULL */
};

/* HEAD is GET without a body; 0 for a method that no route has. */
enum method method_parse(const char *name);
const char *method_name(enum method m);

/* 0
 * -ENOENT      no route has this path; ret->nearest is one that looks like it
 * -EOPNOTSUPP  it has other methods */
int router_find(const struct route *routes, size_t n, enum method method,
                const char *path, struct route_match *ret);

/* Who may ask it. */
enum role route_role(const struct route *route);

/* Whether `name` is one of the words in `words`. */
bool word_is_among(const char *name, const char *words);
