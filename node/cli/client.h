/* SPDX-License-Identifier: Apache-2.0 */
/* client - asks a node over its unix socket or its TCP port, and finds the node.
 *
 * Blocking, one request at a time, on a connection that is kept. A library for this
 * would take longer to load than the node to answer. */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <jansson.h>

#include "node/address.h"
#include "node/cli/cli.h"
#include "node/cli/logins.h"
#include "node/cli/reply.h"

enum { CLIENT_TIMEOUT_MS = 60000, CLIENT_ANSWER_MAX = 1 << 30 };

enum client_want {
    CLIENT_NODE = 1, /* a node that is there */
    CLIENT_LOOK,     /* or one that is started to show the store, and ends by itself */
};

struct client;

/* Finds the node by the options --socket, --address and --data, or says why there is
 * none and returns the exit code. 0 is success. */
int client_open(const struct options *o, enum client_want want, struct client **ret);
/* The node that holds the store in dir, or one that is started to show it. A negative
 * errno with the reason; nothing is said. */
int client_look(const char *dir, struct client **ret, struct error *ret_error);
/* The node behind a socket. -ECONNREFUSED, -ENOENT, -EACCES ... */
int client_connect(const char *socket_path, struct client **ret);
/* The node that listens there. As above; -EKEYREJECTED: by TLS, and it is another one.
 */
int client_connect_tcp(const struct address *a, const struct login *login,
                       struct client **ret, struct error *ret_error);
/* The task's own channel, with its token. Says why not and returns the exit code. */
int client_open_channel(struct client **ret);
void client_close(struct client *c);
/* Whether the node behind the socket runs as this user. What it says to do may be done
 * then: it could do so itself. */
bool client_is_own(const struct client *c);
CLEANUP_POINTER(struct client, client_close);

typedef int client_body_fn(void *arg, const char *data, size_t len);

/* What else is looked after while an answer comes. */
struct client_beside {
    int (*fd)(void *arg);      /* to be read from: on_wake; -1: none */
    int (*due_ms)(void *arg);  /* until on_wake is to be called; -1: never */
    int (*on_wake)(void *arg); /* not 0 ends the request with it */
};

struct request {
    const char *method, *path; /* the path as it is sent: see client_path() */
    const void *body;          /* body_len bytes, or NULL */
    size_t body_len;
    int body_fd; /* if has_body_fd: body_len bytes of an open file */
    bool has_body_fd;
    const char *content_type;
    const char *header; /* one more, without the line's end; NULL: none */
    int timeout_ms;     /* between bytes; 0: CLIENT_TIMEOUT_MS; -1: none */
    /* For the body of an answer that is not an error, whose status and headers are in
     * *ret by then; NULL: it goes to answer.body. */
    client_body_fn *on_body;
    void *arg;
    /* While it waits: counts interruptions; a change calls on_signal. NULL: none. */
    const volatile sig_atomic_t *signals;
    int (*on_signal)(void *arg);
    const struct client_beside *beside; /* NULL: nothing */
};

struct answer {
    int status;
    char type[128], artifact_type[64], artifact_encoding[16], artifact_id[72];
    struct buffer body;
};

void answer_release(struct answer *a);

/* 0 and an answer, which may be an error of the node's; what on_body or on_signal
 * returned if not 0; or -ECONNRESET, -ETIMEDOUT, -EBADMSG with the reason. A request
 * that found the kept connection closed is sent again, once. */
int client_request(struct client *c, const struct request *request, struct answer *ret,
                   struct error *ret_error);

/* The path of a request: %s for texts, which are escaped; %u for uint64_t. NULL without
 * memory; the caller frees. */
char *client_path(const char *format, ...);
/* Of a noun that the first operand, a member, answers; without one, the node that is
 * asked. Likewise. */
char *client_node_path(const char *path, const struct options *o);

/* The path that lists runs. Likewise. */
struct runs_wanted {
    uint64_t limit;
    const char *flow, *tag, *user, *state, *before; /* NULL: any */
};
char *runs_path(const struct runs_wanted *w);

/* Asks, says what is wrong if something is, and returns the exit code. *ret_json (may
 * be NULL) is the answer's. */
int client_json(struct client *c, const char *method, const char *path, json_t *body,
                int timeout_ms, json_t **ret_json);
int client_get_json(struct client *c, const char *path, json_t **ret_json);
/* Says what an answer that is an error tells; the exit code for its status. */
int client_refused(const struct answer *a);
/* Says that asking failed; the exit code. */
int client_lost(int code, const struct error *e);

/* "" and 0 for what is absent, null or of another type. */
const char *json_text(const json_t *object, const char *key);
bool json_is(const json_t *object, const char *key, const char *text);
uint64_t json_number(const json_t *object, const char *key);
/* Pretty, to standard output. */
int json_print(const json_t *json);
