/* SPDX-License-Identifier: Apache-2.0 */
/* warm - one fork server: a Python process that has imported the files of a run's steps
 * and makes a child of ours for each request. docs/python-steps.md is the contract.
 *
 *     us                         server                         child
 *     warm_start()         -->   imports
 *     WARM_IS_READY        <--   "ready", or it leaves with WARM_CANNOT
 *     warm_send(request)   -->   clone3(CLONE_PARENT)      -->  waits
 *     WARM_ANSWERED pid    <--   answers, then lets it go  -->  runs the task
 *
 * It answers requests in turn. A child runs nothing of the user's before it was let go;
 * when the server dies first it says its own number, maybe again, and goes. So when the
 * socket has ended, which a child holds open until then, all that began are known. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "node/cgroup.h"
#include "node/variables.h"

enum {
    WARM_CANNOT = 75, /* the exit code that says: start plain processes */
    WARM_REQUEST_BYTES_MAX = 192 << 10,
    WARM_FDS_MAX = 4,
    WARM_TOKEN_SIZE = 33,
};

struct warm_server {
    pid_t pid;
    int pidfd;  /* -1: there is no such process */
    int socket; /* does not block */
    int log;    /* the pipe that it writes to; does not block */
    struct cgroup_slot cgroup;
    char token[WARM_TOKEN_SIZE]; /* in its environment, and opens nothing */
};

#define WARM_SERVER_NONE   \
    ((struct warm_server){ \
        .pidfd = -1, .socket = -1, .log = -1, .cgroup = CGROUP_SLOT_NONE })

struct warm_config {
    const char *program; /* the interpreter */
    const char *cwd;
    const struct account *as;                /* NULL: as we are */
    const struct variables *env;             /* all but MESH_TOKEN */
    unsigned long files_max, files_hard_max; /* as of struct spawn */
};

/* w->token and w->cgroup are the caller's to fill in before. On failure nothing is left
 * running and what is not the caller's is as in WARM_SERVER_NONE. */
int warm_start(struct warm_server *w, const struct warm_config *config,
               struct error *ret_error);

/* Append a request. -EMSGSIZE: it is too long for one. */
int warm_request(const char *cwd, char *const *envp, struct buffer *out);
/* -EAGAIN: the socket is full. -EPIPE: the server has gone. */
int warm_send(struct warm_server *w, const struct buffer *request, const int *fds,
              size_t n_fds);

enum warm_event {
    WARM_NOTHING, /* not now */
    WARM_IS_READY,
    WARM_ANSWERED, /* *ret_pid: of the child, or a negative errno */
    WARM_GONE,     /* it closed its end, or said what no server says */
};
enum warm_event warm_receive(struct warm_server *w, int32_t *ret_pid);

/* Bytes resident; 0: not to be seen. */
uint64_t warm_resident(const struct warm_server *w);
/* Kills the server, but not its children; its pidfd tells when it has gone. */
void warm_kill(struct warm_server *w);
/* Lets it go when it has done what it was asked for. */
void warm_dismiss(struct warm_server *w);
/* Reaps it, which waits until it has gone. Its exit code, or -1 if a signal ended it.
 */
int warm_reap(struct warm_server *w);
/* Closes what is left of one that was reaped, but for its cgroup. */
void warm_close(struct warm_server *w);
