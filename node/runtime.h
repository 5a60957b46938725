/* SPDX-License-Identifier: Apache-2.0 */
/* runtime - the loop and all input and output of a node.
 *
 * One libuv loop on one thread. It hands events to node_step() and carries the actions
 * out: starts and kills task processes, writes records through store/writer.h, tells
 * followers through feed.h, and keeps the interface's sockets. All functions here are
 * called on the loop thread. */
#pragma once

#include <uv.h>

#include "base/error.h"
#include "flow/diagnostic.h"
#include "node/artifacts.h"
#include "node/conf.h"
#include "node/counters.h"
#include "node/feed.h"
#include "node/node.h"

struct identity; /* node/identity.h */
struct runtime;
struct workbench; /* node/workbench.h */

struct runtime_config {
    const char *dir;                  /* the data folder */
    const char *socket;               /* NULL: DIR/mesh.sock */
    const char *listen;               /* also here: see node/address.h; NULL: no */
    bool listens_by_tls;              /* set when the runtime is open */
    uint32_t slots_max;               /* 0: a bound from the machine */
    uint64_t cpu_milli, memory_bytes; /* 0: the machine's */
    uint32_t n_gpus;                  /* set when the runtime is open */
    uint64_t quota_bytes;             /* of the store; 0: none */
    struct conf
        *conf; /* GPUs, custom resources, users; a reference is taken; or NULL */
    /* Of a node among others; NULL: alone. Borrowed while the runtime is open. */
    struct identity *identity;
    const char *peer_listen;    /* HOST:PORT for the other nodes */
    const char *peer_advertise; /* the HOST they reach it by; NULL: peer_listen's */
    bool is_inspect;            /* serve a store, run nothing, end when nobody asks */
    bool is_quiet;              /* no log lines on stderr */
    bool may_restart;           /* the process is the node's alone */
};

/* -EBUSY: another node holds the store, and *ret_pid says which. */
int runtime_open(const struct runtime_config *config, struct runtime **ret_runtime,
                 int *ret_pid, struct error *ret_error);
void runtime_close(struct runtime *rt);
CLEANUP_POINTER(struct runtime, runtime_close);

/* Until runtime_stop(). Returns 0, or what made the node give up (a failed disk). */
int runtime_run(struct runtime *rt);
void runtime_stop(struct runtime *rt);

/* ---- a planned restart: the process goes on as the program that is on disk now ----
 * What runs is handed over. Nothing has changed when it is given up. */

/* The program is asked whether it can go on; the rest follows. -EALREADY: one is under
 * way; -ENOTSUP, with the reason: not this node. */
int runtime_restart(struct runtime *rt, struct error *ret_error);
struct restart_view {
    bool is_under_way;
    time_us started_wall; /* the program began */
    unsigned n_tried;     /* since then */
    const char *failed;   /* why the last was given up; NULL: it was not */
};
void runtime_restart_view(const struct runtime *rt, struct restart_view *ret);

struct submission {
    const char *flow_text;
    size_t flow_text_len;
    struct flow *flow;            /* flow_read() of it, to save a second; or NULL */
    const char *flow_path;        /* for messages */
    const struct digest *package; /* a tree kept before; NULL: an empty one */
    const struct record_parameter *parameters; /* as given; checked here */
    size_t n_parameters;
    char *const *tags; /* NULL-terminated, or NULL */
    const char *user;
    bool is_remote;         /* not by a socket of this machine */
    uint32_t max_workers;   /* 0: as the flow says */
    const char *on_failure; /* NULL: as the flow says */
    uint32_t share;         /* its weight among its user's runs; 0: 1 */
    bool clamp;             /* cpu and memory to what this node has; told by `notes` */
    const struct run_id *origin; /* resume this run */
    const char *origin_step;     /* from this step on; NULL: the first that failed */
};

/* The run is durable when TELL_RUN_ACCEPTED was released; followers see
 * FEED_RUN_STARTED then. *ret_diagnostics holds all that is wrong (and notes), also on
 * success. -EINVAL: the flow or a parameter is bad; -ENOENT: no such package, origin or
 * step; -ENOSPC. */
int runtime_submit(struct runtime *rt, const struct submission *s,
                   struct run_id *ret_run, uint64_t *ret_number,
                   struct diagnostics *ret_diagnostics, struct error *ret_error);

/* ---- what users change of a run ----
 * A run that is interrupted (in the store, without an end and not active) is changed in
 * the store alone and goes on nowhere for it.
 * -ENOENT: no such run; -EALREADY: it has ended; -EBADMSG, ...: it cannot be read */

/* Durable when it returns. A second one kills at once. */
int runtime_cancel(struct runtime *rt, const struct run_id *run);
/* Durable when it returns; twice is once. Followers see FEED_RUN_SUSPENDED. */
int runtime_suspend(struct runtime *rt, const struct run_id *run, bool is_suspended);
/* All of its tags, also of a run that has ended; at most RECORD_TAGS_MAX. Durable with
 * the writer's ticket. */
int runtime_tag(struct runtime *rt, const struct run_id *run, char *const *tags,
                size_t n_tags, uint64_t *ret_ticket);
/* Nobody finds the run any more, durably with the writer's ticket; then
 * removal_finish() is to be called. -EBUSY: it is active. */
int runtime_remove(struct runtime *rt, const struct run_id *run, uint64_t *ret_ticket);

/* A run by number, by id, or by a prefix of four or more characters of its id.
 * -ENOENT; -ENOTUNIQ for a prefix of several. */
int runtime_find_run(struct runtime *rt, const char *name, struct run_id *ret_run);

uv_loop_t *runtime_loop(struct runtime *rt);
const struct node *runtime_node(const struct runtime *rt);
struct feed *runtime_feed(struct runtime *rt);
struct writer *runtime_writer(struct runtime *rt);
struct blobs *runtime_blobs(struct runtime *rt);
const struct artifacts *runtime_artifacts(struct runtime *rt);
const struct runtime_config *runtime_configuration(const struct runtime *rt);
const struct counters *runtime_counters(const struct runtime *rt);

/* Has a blob or a folder of a run here before somebody reads it. 1: it is here already,
 * or the node is alone; 0: `done` will be called, with 0 or why it cannot be had,
 * unless it is cancelled before. */
int runtime_fetch(struct runtime *rt, const struct run_id *run, const struct digest *id,
                  bool is_tree, void (*done)(void *arg, int status), void *arg,
                  uint64_t *ret_fetch);
void runtime_fetch_cancel(struct runtime *rt, uint64_t fetch);

/* What an attempt that runs uses; looked at once a second, 0 before the first time. */
struct task_use {
    uint32_t pid;
    time_us started_wall;
    uint64_t memory_bytes, memory_peak_bytes; /* of its whole process tree */
    uint64_t cpu_milli, cpu_peak_milli;       /* thousandths of a processor */
};
/* False: nothing runs in this slot. */
bool runtime_use(struct runtime *rt, uint32_t slot, struct task_use *ret);

/* ---- the task channel: what a task may ask, see api/task.c ---- */

/* The attempt a token belongs to, while it runs or lies on a workbench. -EACCES. */
struct channel_attempt {
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    uint32_t slot;     /* NODE_SLOT_NONE: at a workbench, where nothing is kept */
    struct flow *flow; /* borrowed, as the path: until the loop goes on */
    const char *out_dir;
};
int runtime_channel(struct runtime *rt, const char *token, struct channel_attempt *ret);
/* `mesh next --case NAME`: which case the attempt's switch takes. -EINVAL. */
int runtime_choose(struct runtime *rt, const struct channel_attempt *a,
                   const char *name);
/* Append the value of a parameter as JSON. -ENOENT: there is none, or it has no value.
 */
int runtime_parameter(struct runtime *rt, uint32_t slot, const char *name,
                      struct buffer *out);
/* `mesh artifact put`: the bytes go to out_dir; this tells the type. */
int runtime_output_type(struct runtime *rt, uint32_t slot, const char *name,
                        const char *type);
/* A workbench with the task on it; any thread. The text names what is missing. */
int runtime_bench_make(struct runtime *rt, const struct run_id *run,
                       const struct task_id *task, uint32_t attempt,
                       struct workbench *ret, struct error *ret_error);
/* Whether a process is this node's task or was started by one, however far below. */
bool runtime_is_task_process(struct runtime *rt, pid_t pid);

/* ---- the interface: a module, loaded after the first task was started ---- */

/* Defined in node/api/; build/mesh-http.so exports it under this name. Serves the
 * listening sockets: user_fd for people and programs, task_fd for tasks, and tcp_fd
 * (-1: none) for who has a token. */
struct api;
struct api_sockets {
    int user_fd, task_fd, tcp_fd;
};
typedef int api_start_fn(struct runtime *rt, const struct api_sockets *sockets,
                         struct api **ret_api, struct error *ret_error);
typedef void api_stop_fn(struct api *api);
/* Requests and streams open now: an inspecting node ends when there are none. */
typedef size_t api_clients_fn(const struct api *api);
/* Requests of tasks that are not answered yet. */
typedef size_t api_tasks_fn(const struct api *api);
struct api_module {
    api_start_fn *start;
    api_stop_fn *stop;
    api_clients_fn *clients;
    api_tasks_fn *tasks;
};
/* The symbol: const struct api_module mesh_http_module. */
