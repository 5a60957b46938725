/* SPDX-License-Identifier: Apache-2.0 */
/* slot - what one task in flight needs, made once and used again.
 *
 *     DIR/slots/N/out   $MESH_OUT: what a task leaves there becomes its artifacts
 *     DIR/slots/N/tmp   $MESH_TEMPDIR
 *     DIR/slots/N/in    $MESH_IN, only while a task with inputs runs
 *     DIR/slots/N/log   what the log has beyond LOG_INLINE_MAX
 *
 *     idle -> starting -> running -> leaving -> keeping -> ended -> told -> idle
 *      |         |           ^                               ^
 *      |         |           |                               |
 *      '---------'-----------'-- it could not be started ----'
 *
 *     starting: a fork server was asked for its process, see runtime_warm.h; or what it
 *              needs is got from other nodes first: fetching
 *     leaving: the leader is gone, others of its tree are not yet
 *     keeping: outputs are hashed, maybe in another thread
 *     ended:   the event waits for the node; told: the node has it, followers read it
 *
 * We keep the write ends of the two pipes open ourselves, so a task's exit raises no
 * hang-up: a silent task wakes the loop once, by its pidfd. A slot is used again only
 * when nobody of the attempt before lives who could write into the next one's log. */
#pragma once

#include "base/error.h"
#include "base/time.h"
#include "flow/flow.h"
#include "node/cgroup.h"
#include "node/feed.h"
#include "node/remove.h"
#include "proto/record.h"
#include "store/blobs.h"

enum { SLOT_TOKEN_SIZE = 33 };

enum slot_state {
    SLOT_IDLE = 1,
    SLOT_FETCHING,
    SLOT_STARTING,
    SLOT_RUNNING,
    SLOT_LEAVING,
    SLOT_KEEPING,
    SLOT_ENDED,
    SLOT_TOLD,
};

/* `mesh artifact put` told a type for an output. */
struct output_type {
    char *name, *type;
    struct output_type *next;
};

/* A blob that an input was linked to, and where. */
struct input_link {
    struct digest id;
    char *path;
};

/* A folder of the slot that most tasks leave empty; see slot_dir_is_clean(). */
struct slot_dir {
    char *path;
    struct timespec ctime; /* when we last saw it empty */
    bool is_settled;       /* it was old enough then to show any later change */
    bool is_looked_at;     /* it was clean when nobody was left to write to it */
};

struct slot_log {
    struct buffer pieces; /* up to LOG_INLINE_MAX, then flushed to the file */
    int fd;               /* of the file; -1: not begun */
    uint64_t bytes;       /* of text, so far */
    uint64_t bytes_max;
    bool is_truncated;
};

/* What the processes of the attempt use, as it was last looked at. */
struct slot_use {
    time_us at; /* 0: not yet */
    uint64_t memory_bytes, cpu_milli;
    uint64_t cpu_us; /* since the start */
};

struct slot {
    uint32_t index;
    enum slot_state state;
    char *dir;
    struct slot_dir out, tmp;
    uid_t owner; /* of both, and of `in` while a task runs; 0: we, as root */
    char *in_path, *log_path;
    int pipe_read[2], pipe_write[2];
    struct cgroup_slot cgroup;

    int pidfd; /* -1: reaped */
    pid_t pid;
    struct run_context *run; /* node/launch.h; borrowed */
    struct flow *flow;       /* a reference while not idle */
    struct task_id task;
    uint32_t attempt;
    uint64_t gpus;               /* which it has, a bit for each */
    uint64_t fetch;              /* of SLOT_FETCHING: which one */
    bool is_guest;               /* its run is led by another node */
    uint64_t fence;              /* effect: exclusive; 0: pure */
    bool awaits_permit;          /* a task with a fence, in SLOT_FETCHING */
    time_us permit_until;        /* the runtime's clock; TIME_NEVER: no end */
    int guard_fd;                /* to its guard; 0: it has none */
    uint64_t generation, ballot; /* of who led the run when it started */
    time_us started, started_wall;
    enum reason kill_reason; /* why we sent a signal; 0: we did not */
    int kill_signal;         /* to be sent when a starting task begins */
    bool has_start_told; /* while it was starting: followers are told when it begins */
    uint64_t start_ticket;
    char token[SLOT_TOKEN_SIZE];
    char *choice; /* of `mesh next` */
    struct output_type *types;
    struct input_link *links;
    size_t n_links;
    struct slot_log log;
    bool has_log_file; /* handed over: log.fd is to be opened again */
    struct slot_use use;
    struct attempt_record record; /* filled in as the attempt ends */
    bool has_cache_key;           /* the task ran: enter its attempt under the key */
    struct digest cache_key;
    struct blobs_hold hold; /* of its outputs and log, until the record is written */
};

#define SLOT_NONE                               \
    ((struct slot){ .state = SLOT_IDLE,         \
                    .pidfd = -1,                \
                    .pipe_read = { -1, -1 },    \
                    .pipe_write = { -1, -1 },   \
                    .cgroup = CGROUP_SLOT_NONE, \
                    .log = { .fd = -1 } })

/* Makes the folders and pipes. On failure the slot is released. */
int slot_open(struct slot *s, uint32_t index, const char *data_dir,
              const struct cgroups *cgroups, struct error *ret_error);
/* A slot that the program before has handed over, with its task in it: finds its
 * folders and its group, and keeps what is in them. On failure it is to be released. */
int slot_reopen(struct slot *s, const char *data_dir);
void slot_release(struct slot *s);

/* New pipes, when a survivor may hold the old ones. */
int slot_renew_pipes(struct slot *s);

/* The next task's folders are this account's. */
int slot_give(struct slot *s, uid_t uid, gid_t gid);

/* Forgets the attempt; keeps what the next one can use. */
void slot_reset(struct slot *s);

/* Whether nothing was put into the folder since it was last empty. Costs one stat when
 * the folder is settled, one listing else. */
bool slot_dir_is_clean(struct slot_dir *d, time_us wall);
/* The same at the end of an attempt, when its process tree is gone: looked at once. */
bool slot_dir_is_left_clean(struct slot_dir *d, time_us wall);
/* Empties a path that the next task needs: 0; 1 when what was there could not be
 * removed and was put aside, beside it; or a negative errno. */
int slot_clear_path(const char *path);
/* The same for a folder, which is there and empty after it. */
int slot_dir_clean(struct slot_dir *d, time_us wall);

/* Takes what was read from a pipe: counted, cut at bytes_max with a marker. Returns how
 * many of the bytes count. */
size_t slot_log_add(struct slot *s, enum log_stream stream, time_us since_start,
                    const void *data, size_t len);
