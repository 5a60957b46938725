/* SPDX-License-Identifier: Apache-2.0 */
/* request - one request, from its first line to its reply.
 *
 *     auth: a token may have to be looked up elsewhere, then
 *     refused ---------------------------------------------.
 *     body -> begin -> work -> end -------------------------> reply
 *              |  ^                                      ^
 *              |  '-- request_wake() --.                 |
 *              '-- REQUEST_WAIT ----> (suspended) -------'
 *
 * `begin` and `end` run on the loop and must be quick; `work` runs on a thread of the
 * pool while the connection is suspended, and may touch only the request itself and
 * what any thread may call: writer.h, blobs.h, tree.h, artifacts.h, flow/. */
#pragma once

#include <stdatomic.h>

#include "base/buffer.h"
#include "node/api/body.h"
#include "node/api/router.h"
#include "node/api/range.h"
#include "node/api/token_list.h"
#include "node/runtime.h"

struct MHD_Connection;
struct connection;
struct forward;
struct gather;
struct listener;

enum {
    REQUEST_NEXT = 1, /* go on with the route's next stage */
    REQUEST_WAIT,     /* suspended until request_wake(), then `end` */
    REQUEST_WORK,     /* r->work is done on a thread of the pool, then `end` */
    REQUEST_REPLIED,  /* as 0, where that says something else */
};

enum { REPLY_HEADERS_MAX = 10 };

/* Bytes that are made while they are sent: `fill` is called on a thread of the pool to
 * append some more; 1: more may come, 0: that was all, negative: give up. */
struct stream {
    int (*fill)(struct request *r, struct buffer *out);
    struct buffer chunk;
    size_t at; /* in chunk: the first byte not sent */
    int state; /* what fill returned */
};

struct reply {
    unsigned status; /* 0: not set */
    const char *content_type;
    struct {
        const char *name;
        char *value;
    } headers[REPLY_HEADERS_MAX];
    size_t n_headers;
    struct buffer body;
    int fd; /* -1, or a file whose `part` is the body */
    struct range part;
    struct stream stream;
    /* An event stream reads here; sets how long it waits itself. */
    ssize_t (*read)(struct request *r, char *buf, size_t max);
    uint64_t read_bytes; /* that `read` will give; UINT64_MAX or 0: not known */
};

enum { READ_END = -1, READ_FAILED = -2 };

/* node/api/elsewhere.h */
struct elsewhere {
    struct digest id;
    bool is_tree, is_wanted, is_asked;
    uint64_t fetch; /* that is under way */
    int status;
};

struct request {
    struct api *api;
    struct listener *listener;
    struct runtime *rt;
    struct MHD_Connection *connection;
    struct connection *peer; /* NULL: there was no memory to look who it is */
    const struct route *route;
    char *params[ROUTE_PARAMS_MAX];
    bool is_task;                   /* it came over the task socket */
    enum role role;                 /* who asks: how much they may, */
    const char *user;               /* and whose the runs are that they start */
    struct token token_used;        /* over TCP */
    time_us began;                  /* on the loop's clock */
    struct channel_attempt attempt; /* is_task */
    char *token, *out_dir;          /* the attempt's; a workbench is soon forgotten */
    struct body body;
    struct reply reply;
    void *data; /* the handler's own */
    void (*data_release)(void *data);
    struct run_id run;
    struct flow *flow; /* a reference, taken and given up on the loop */
    const atomic_bool *is_stopping;
    struct forward *forward;        /* another node is asked; NULL: not so */
    struct gather *gather;          /* all others were asked; NULL: not so */
    bool awaits_tokens;             /* of the mesh: shared_tokens.h */
    bool is_here;                   /* it is for this node, that is known */
    struct elsewhere elsewhere;     /* what the work found to be missing here */
    int (*work)(struct request *r); /* of REQUEST_WORK */
    const char *verb;               /* for the audit log; NULL: the route's */
    char *about;                    /* what it is done to, there; node/api/note.h */
    const char *state; /* of a run without an end that is not active here */
    uint64_t age_s;    /* how old what is answered may be */

    /* server.c's */
    enum {
        STAGE_AUTH = 1, /* who asks is being found out */
        STAGE_BODY,
        STAGE_BEGIN,
        STAGE_WORK,
        STAGE_END,
        STAGE_REPLY,
        STAGE_SENDING,
    } stage;
    bool is_suspended, is_woken;
    bool is_working;              /* a thread has it: it is neither resumed nor freed */
    size_t n_dropped;             /* bytes of a body that is refused */
    struct request *next, **link; /* in the api's list */
};

/* Zeroed memory of the handler, freed with the request. `release` may be NULL. */
void *request_data(struct request *r, size_t size, void (*release)(void *data));
void request_release(struct request *r);

/* ---- what was asked ---- */

const char *request_query(struct request *r, const char *name); /* NULL: not given */
const char *request_header(struct request *r, const char *name);
/* These set an error reply and return false when what is there does not fit. */
bool request_number(struct request *r, const char *name, uint64_t otherwise,
                    uint64_t max, uint64_t *ret_value);
bool request_find_run(struct request *r, const char *name);
bool request_digest(struct request *r, const char *text, struct digest *ret_id);

/* ---- what is answered; all return 0, the result of a stage that is done ---- */

int reply_error(struct request *r, unsigned status, const char *hint,
                const char *format, ...) PRINTF_LIKE(4, 5);
/* A fitting status for what a function returned; `what` is the thing it was about. */
int reply_errno(struct request *r, int code, const char *what);
/* What was appended to reply.body is the answer; an error if that had failed. */
int reply_body(struct request *r, unsigned status, const char *content_type);
int reply_json(struct request *r, unsigned status);
int reply_empty(struct request *r, unsigned status);
/* The bytes of a blob, or of data when it is not NULL, as far as the client's range
 * asks for; nothing if the client has them already. Called on a thread: it reads the
 * store. */
int reply_bytes(struct request *r, const struct digest *id, const void *data,
                uint64_t size);
int reply_header(struct request *r, const char *name, const char *value);
/* What reply.stream.fill makes. */
int reply_stream(struct request *r, const char *content_type);

/* ---- server.c ---- */

/* Go on with a request that waits. On the loop. */
void request_wake(struct request *r);
