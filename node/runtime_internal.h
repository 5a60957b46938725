/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_internal - the fields of a runtime, for the files that make it up:
 *
 *     runtime.c          opening, the loop, events in, actions out
 *     runtime_task.c     a task's start, and its slot before and after
 *     runtime_warm.c     tasks that are forked from a Python process
 *     runtime_exit.c     its exit, and the descriptors that tell of it
 *     runtime_use.c      what it uses in between
 *     runtime_keep.c     its outputs and log, and how the node is told
 *     runtime_store.c    records and their tickets; what a restart finds
 *     runtime_state.c    what users change of a run: cancel, suspend, tag, remove
 *     runtime_bench.c    workbenches
 *     runtime_restart.c  a planned restart, up to the next program
 *     runtime_adopt.c    what the program before has left
 *     runtime_room.c     what goes when the quota is full
 *     runtime_submit.c   new runs, resumed runs
 *     runtime_audit.c    who did what
 *     runtime_socket.c   the sockets, and the module that serves them */
#pragma once

#include <stdatomic.h>
#include <sys/resource.h>

#include "node/cache.h"
#include "node/address.h"
#include "node/audit_log.h"
#include "node/items.h"
#include "node/handover.h"
#include "node/launch.h"
#include "node/running.h"
#include "node/runtime.h"
#include "node/runtime_warm.h"
#include "node/slot.h"
#include "node/workbench.h"

enum { SLOTS_MAX = 1024, RANDOM_POOL_SIZE = 4096 };

/* Which of the writer's tickets makes one of the node's durable. */
struct ticket_pair {
    uint64_t node, writer;
};

struct ticket_queue {
    struct ticket_pair *pairs; /* a ring */
    size_t head, n, cap;
    uint64_t durable; /* of the node's */
};

/* What waits for its fence: EVENT_FENCED. */
struct fenced {
    uint64_t ticket;
    struct run_id run;
    uint32_t slot;
    uint64_t fence;
};

struct fence_queue {
    struct fenced *all; /* no more than there are slots and leases */
    size_t n, cap;
};

struct runtime {
    struct runtime_config config;
    char *dir, *user_socket, *task_socket, *program_dir, *program;
    struct handover *before;     /* after a planned restart, until all is taken up */
    struct restart *restart;     /* runtime_restart.c; NULL: none is under way */
    struct error restart_failed; /* why the last one was given up; "": it was not */
    unsigned n_restarts;         /* tried, in this program */
    time_us started_wall;        /* the program */
    bool holds_exits;            /* tasks that end wait for the next program */
    struct resources capacity;
    pid_t pid; /* ours */
    char *custom_names[RESOURCES_CUSTOM_MAX + 1];

    uv_loop_t loop;
    bool has_loop, is_stopping, is_running;
    bool has_accounts;      /* tasks run under others than ours */
    atomic_bool is_closing; /* for threads that work for long */
    int result;             /* of runtime_run() */
    uv_timer_t deadline, leaving, looking;
    bool is_looking; /* the timer runs, or its work does */
    time_us deadline_set;
    uv_async_t durable_async;
    atomic_int writer_error;

    struct store *store;
    struct writer *writer;
    struct blobs *blobs;
    struct artifacts artifacts;
    struct node *own_node;     /* NULL: the mesh core has it */
    const struct node *node;   /* for questions */
    struct runtime_mesh *mesh; /* node/runtime_mesh.h; NULL: a node alone */
    struct outbox outbox;
    struct {
        pthread_mutex_t lock;
        time_us vain_until; /* nothing could be freed: do not look before; 0: do */
    } room;
    struct feed *feed;
    struct counters counters;
    struct {
        struct audit_log *log; /* NULL: nothing was written or read yet */
        struct audit_gate gate;
        uv_timer_t sync;
        bool has_failed; /* the last entry could not be written */
    } audit;
    struct ticket_queue tickets;
    struct fence_queue fences;
    uint64_t next_number;
    struct run_end_record last_end; /* of the run whose end is being told */

    struct event *events; /* a queue: actions may cause more */
    size_t event_head, n_events, events_cap;

    struct run_context *runs; /* by id */
    struct slot **slots;      /* opened at first use */
    uint32_t n_slots;
    struct rlimit files_before; /* what tasks get; rlim_cur 0: we changed nothing */
    int tasks_epoll;            /* pidfds and pipes; one descriptor for libuv */
    uv_poll_t tasks_poll;
    bool is_polling;
    uint64_t n_exits; /* of tasks, so far */
    struct cgroups cgroups;
    int children_fd; /* see node/process.h; only used without a cgroup v2 */
    struct running running;
    struct warm_group *warm[WARM_GROUPS_MAX];
    struct buffer request; /* to one of them */
    struct items items;
    struct cache cache;
    struct launch_scratch scratch;
    struct {
        struct workbench_session session;
        struct flow *flow; /* NULL: none is remembered */
    } bench;
    int null_fd;
    uint8_t random[RANDOM_POOL_SIZE];
    size_t random_left;

    int user_fd, task_fd, tcp_fd; /* tcp_fd -1: none */
    uv_poll_t user_poll, task_poll, tcp_poll;
    char listen[ADDRESS_TEXT_SIZE];
    bool is_listening;
    const struct api_module *api_module;
    struct api *api;
    struct peer_desk *peer_desk; /* runtime_peer.c; NULL: a node alone */
    uv_timer_t idle_check;       /* of an inspecting node */
    unsigned idle_rounds;
};

time_us runtime_now(const struct runtime *rt);
time_us runtime_wall(void);
void runtime_random(struct runtime *rt, void *data, size_t len);
/* A new one, SLOT_TOKEN_SIZE with its NUL. */
void runtime_token(struct runtime *rt, char *ret);

/* Give the node this event after those that wait, and carry out what it says. Not from
 * inside the carrying out: only queue there. */
void runtime_event(struct runtime *rt, const struct event *event);
void runtime_queue(struct runtime *rt, const struct event *event);
void runtime_drain(struct runtime *rt);
/* What the outbox says. */
void runtime_carry_out(struct runtime *rt);
void runtime_node_config(struct runtime *rt, struct node_config *ret);
/* The node cannot go on: stop, with this result. */
void runtime_give_up(struct runtime *rt, int error, const char *what);
PRINTF_LIKE(3, 4)
void runtime_log(const struct runtime *rt, const char *id, const char *format, ...);

/* Among others; NULL: it is alone. */
const char *runtime_node_name(const struct runtime *rt);
struct run_context *runtime_context(struct runtime *rt, const struct run_id *run);
void runtime_forget_run(struct runtime *rt, const struct run_id *run);

/* runtime_task.c */
void runtime_start_task(struct runtime *rt, const struct action *a);
/* Its inputs are here. */
void runtime_start_prepared(struct runtime *rt, struct slot *s);

/* Once for a run. */
int runtime_lay_out_code(struct runtime *rt, struct run_context *c, struct error *why);
void runtime_kill_task(struct runtime *rt, const struct action *a);
/* Start it as a process of its own, or end it when that cannot be done. */
void runtime_start_plain(struct runtime *rt, struct slot *s);
/* Its process is there, s->pid and s->pidfd: from now on it runs. */
int runtime_task_begins(struct runtime *rt, struct slot *s, struct error *ret_error);
/* What a node that dies leaves for the next one. */
void runtime_note_running(struct runtime *rt, const struct slot *s);
void runtime_signal_task(struct slot *s, int signal);
/* Followers are told that the task has started, once this ticket is durable. */
void runtime_tell_start(struct runtime *rt, const struct slot *s, uint64_t ticket);
/* The node has the attempt's record and followers were told: use the slot again. */
void runtime_free_slot(struct runtime *rt, struct slot *slot);

/* runtime_guard.c */
/* ACTION_FENCED; some tickets are durable; ACTION_PERMIT. */
void runtime_fenced(struct runtime *rt, const struct action *a);
void runtime_fences_durable(struct runtime *rt);
void runtime_permit(struct runtime *rt, const struct action *a);
/* The guard of a task that is about to start: its standard input, which the caller
 * closes, and what to exec. The strings stay the step's. */
int runtime_guard_open(struct runtime *rt, struct slot *s, int *ret_fd);
int runtime_guard_argv(const struct step_launch *l, char ***ret_argv);
/* Whether it, or its warning, may have been what ended the task. */
bool runtime_guard_has_ended_it(const struct runtime *rt, const struct slot *s);

/* runtime_exit.c */
int runtime_tasks_open(struct runtime *rt, struct error *ret_error);
/* Kill what runs; then, when the loop has ended, let go of the slots. */
void runtime_tasks_kill(struct runtime *rt);
void runtime_tasks_close(struct runtime *rt);
void runtime_pause_tasks(struct runtime *rt, bool paused);
/* NULL: no such slot, or not opened yet. */
struct slot *runtime_slot(struct runtime *rt, uint32_t index);
/* Descriptors of tasks, in one epoll set; what became ready of which slot. */
enum ready {
    READY_EXIT,
    READY_STDOUT,
    READY_STDERR,
    READY_EMPTY,
    READY_SERVER, /* of a fork server, and then the index is its own */
    READY_SERVER_EXIT,
    READY_SERVER_LOG,
};
int runtime_watch(struct runtime *rt, int fd, uint32_t index, enum ready what);
void runtime_unwatch(struct runtime *rt, int fd);
int runtime_watch_pipes(struct runtime *rt, const struct slot *s);

/* Whether this child is the leader of a task, or a fork server. */
bool runtime_is_known(const struct runtime *rt, pid_t pid);

/* runtime_use.c */
void runtime_use_open(struct runtime *rt);
/* A task has started: look at what it uses when it has run for a second. */
void runtime_use_watch(struct runtime *rt);

/* Ends a process whose exit nobody would see. */
void runtime_abandon(struct slot *s);

/* runtime_keep.c */
void runtime_keep_task(struct runtime *rt, struct slot *s);
/* An equal task was done before: it takes over what that one made. */
void runtime_adopt_task(struct runtime *rt, struct slot *s,
                        const struct attempt_record *equal);
/* It did not start because something that it needs is nowhere: it is given back, and,
 * when it is sure that nobody has it, made again. False: all that it needs is here. */
bool runtime_give_back(struct runtime *rt, struct slot *s, bool is_sure);
/* Who made what the task needs and is not here makes it again, if it is sure that
 * nobody has it. How many there are, or a negative errno. */
int runtime_lost(struct runtime *rt, const struct run_context *c,
                 const struct task_id *task, bool is_sure);
/* What this task made is made again; false: it is here. */
bool runtime_gone(struct runtime *rt, const struct run_id *run,
                  const struct task_id *task);
/* What was done behind this task is told by EVENT_STALE. */
void runtime_stale(struct runtime *rt, const struct run_id *run,
                   const struct task_id *task);
/* Alone: the run is dropped, what runs of it ends, and it is read back. */
void runtime_read_again(struct runtime *rt, const struct run_id *run);
/* The node was told of EVENT_UNDO or EVENT_STALE: what it points to goes. */
void runtime_undo_told(const struct event *event);
/* It could not be started: this is its end. */
void runtime_fail_task(struct runtime *rt, struct slot *s, enum reason reason,
                       const char *message);

/* runtime_store.c */
int runtime_store_open(struct runtime *rt, int *ret_pid, struct error *ret_error);
void runtime_store_close(struct runtime *rt);
/* Up to here, at least: the write that keeps the count. What it points to is
 * overwritten by the next call. */
struct store_write runtime_count_to(struct runtime *rt, uint64_t number);
/* This ticket of the writer's makes that one of the node's durable. */
int runtime_push_ticket(struct runtime *rt, uint64_t node, uint64_t writer);
/* Reads a run back into the engine: its record and its attempts. -ENOENT. */
int runtime_load_run(struct runtime *rt, const struct run_id *id);
void runtime_persist(struct runtime *rt, const struct action *a);
/* A run that is cancelled and not active becomes so for a moment, in which it ends. */
int runtime_end_interrupted(struct runtime *rt, const struct run_id *run);
int runtime_restore(struct runtime *rt, struct error *ret_error);
/* A run's record. The caller releases it. */
int runtime_read_record(struct runtime *rt, const struct run_id *id,
                        struct run_record *record);
/* A run's record and the flow in it. The caller releases both, also on failure. */
int runtime_read_run(struct runtime *rt, const struct run_id *id,
                     struct run_record *record, struct flow **ret_flow);
/* The values of a run's parameters, as its record has them. */
int runtime_values(struct runtime *rt, const struct flow *flow,
                   const struct run_record *record, char ***ret_values);

/* runtime_room.c */
void runtime_room_open(struct runtime *rt);
/* A run was removed: there may be something to free now. */
void runtime_room_changed(struct runtime *rt);

/* runtime_bench.c */
int runtime_bench_channel(struct runtime *rt, const char *token,
                          struct channel_attempt *ret);
/* Of the run whose workbench asked last; -ENOENT. */
int runtime_bench_parameter(struct runtime *rt, const char *name, struct buffer *out);
void runtime_bench_forget(struct runtime *rt);

/* runtime_state.c */
/* What the end of a run makes of the record of its state: true if there is anything to
 * write. The write points to key and value. */
bool runtime_state_at_end(struct runtime *rt, const struct run_id *run,
                          struct record_key *key, struct buffer *value,
                          struct store_write *ret_write);
/* Tell the node of a run that is being read back. */
void runtime_restore_state(struct runtime *rt, const struct run_id *run);
/* Go on removing what a crash left, in another thread. */
void runtime_restore_removals(struct runtime *rt);

/* runtime_submit.c */
/* What this node's policy says of a run that was submitted elsewhere, or before; the
 * text names the line. */
enum refusal runtime_refusal(const struct runtime *rt, const struct run_record *record,
                             const struct flow *flow, struct error *ret_error);
int runtime_add_context(struct runtime *rt, const struct run_record *record,
                        struct flow *flow, char **take_values);

int runtime_fill_globs(struct runtime *rt, struct flow *flow,
                       const struct digest *package);

/* runtime_restart.c */
void runtime_restart_close(struct runtime *rt);

/* runtime_adopt.c: after a planned restart, in this order; without one each does
 * nothing. */
void runtime_adopt_open(struct runtime *rt);
/* A folder for each run or slot: those that nothing runs in go. */
int runtime_adopt_folders(struct runtime *rt, const char *name, const char *path);
void runtime_adopt_groups(struct runtime *rt, const char *name);
/* The run's context, before anybody loads it. */
int runtime_adopt_runs(struct runtime *rt);
/* Its tasks are in their slots, watched, and the core knows them. */
int runtime_adopt_slots(struct runtime *rt);
/* The core has read back all there is: what it does not want ends. */
void runtime_adopt_end(struct runtime *rt);
/* The value of a secret parameter; NULL: not known. */
const char *runtime_adopt_secret(const struct runtime *rt, const struct run_id *run,
                                 const char *name);

/* runtime_socket.c */
/* Serve clients again as at the start. */
void runtime_sockets_listen(struct runtime *rt);
/* Compares in a time that does not tell how much was right. */
bool runtime_is_token(const char *a, const char *b);
int runtime_sockets_open(struct runtime *rt, struct error *ret_error);
/* Nobody comes in any more. */
void runtime_sockets_close(struct runtime *rt);
/* After the loop let go of the descriptors: it takes what it polls out of its set by
 * number, and a number that was closed may be a file of another thread by then. */
void runtime_sockets_release(struct runtime *rt);
