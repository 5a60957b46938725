/* SPDX-License-Identifier: Apache-2.0 */
/* handover - what a node tells the process that it becomes by a planned restart.
 *
 * The process goes on under its number and executes its program anew, so what it runs
 * are its children still. All that the new program cannot find in the store or by
 * asking the system is written into a file in memory, as JSON; the environment names
 * its descriptor. Members that are not known are passed over and those that are missing
 * are nothing, so that the version before and the next one understand each other; what
 * they do not, HANDOVER_FORMAT tells, before anything is given up: see node/restart.h.
 */
#pragma once

#include "node/mesh.h"
#include "node/slot.h"

enum { HANDOVER_FORMAT = 1, HANDOVER_BYTES_MAX = 256 << 20 };

/* A task that runs. */
struct handover_task {
    struct slot *slot;       /* what is no pointer into the old process */
    struct run_id run;       /* its task and attempt are the slot's */
    uint64_t n_files;        /* of the run's code, which lies where it lay */
    bool has_guest;          /* the node is one among others */
    struct mesh_guest guest; /* its run, task, attempt and slot are those above */
};

/* A parameter's value that is in no record. */
struct handover_secret {
    struct run_id run;
    char *name, *value;
};

struct handover {
    int pid;
    char *dir, *version;
    uint32_t boot; /* of a node among others; 0: alone */
    bool is_draining;
    int lock_fd;                  /* of the store */
    int user_fd, task_fd, tcp_fd; /* -1: none */
    char *peer_listen;            /* NULL: alone */
    uint16_t bulk_port;
    struct handover_task *tasks;
    size_t n_tasks;
    struct handover_secret *secrets;
    size_t n_secrets;
    bool owns; /* what was decoded: the slots and the texts */
};

/* Frees what was decoded, except slots that were taken (set to NULL). */
void handover_release(struct handover *h);

/* -ENOMEM. */
int handover_encode(const struct handover *h, struct buffer *out);
/* *ret is to be released, also on failure.
 * -EPROTONOSUPPORT  another format; -EBADMSG  it makes no sense; -ENOMEM */
int handover_decode(const char *text, size_t len, struct handover *ret);

/* No program that this process starts, or becomes, gets any file but the standard ones:
 * then those that it is to get are let through again. */
void handover_keep_files(void);
/* Into a file in memory, which the next program gets, named in the environment. 0 or a
 * negative errno; *ret_fd is the caller's until then. */
int handover_put(const struct buffer *text, int *ret_fd);
/* It got none: the file goes. */
void handover_forget(int take_fd);
/* Whether the environment names one; it is taken when the node opens. */
bool handover_is_there(void);
/* What the program before left for this process and this data folder. -ENOENT: nothing;
 * else as handover_decode(). The environment names it no more. */
int handover_take(const char *dir, struct handover *ret);
