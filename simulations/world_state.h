/* SPDX-License-Identifier: Apache-2.0 */
/* world_state - the inside of a world, shared by world*.c only.
 *
 *     world.c          the heap of events, and faults
 *     world_draw.c     what the seed draws: flows, node, disk, faults, users
 *     world_users.c    submit, release, cancel, resume
 *     world_runtime.c  carries the node's actions out: tasks, writer, tells
 *     world_life.c     starts, crashes and restores the node
 */
#pragma once

#include "base/prng.h"
#include "node/node.h"
#include "simulations/checkers.h"
#include "simulations/tasks.h"
#include "simulations/world.h"

enum {
    WORLD_RUNS_MAX = 3,
    WORLD_NAMES = 2, /* of users: some have several runs */
    WORLD_STALE_MAX = 4,
    WORLD_LOST_MAX = CHECKER_SLOTS_MAX + WORLD_STALE_MAX,
    WORLD_START_S = 1000, /* virtual time at the beginning */
};

enum happening_type {
    HAPPENING_SUBMIT = 1, /* user */
    HAPPENING_RELEASE,    /* user: a run that was submitted held */
    HAPPENING_CANCEL,     /* user */
    HAPPENING_RESUME,     /* user */
    HAPPENING_SUSPEND,    /* user */
    HAPPENING_UNSUSPEND,  /* user */
    HAPPENING_TASK_ENDS,  /* slot, serial */
    HAPPENING_FENCED,     /* slot, fence */
    HAPPENING_COMMIT,     /* the commit window ends; life */
    HAPPENING_COMMITTED,  /* life */
    HAPPENING_TICK,       /* serial */
    HAPPENING_RESTART,
    HAPPENING_DISK_FULL,
    HAPPENING_DISK_FREE,
    HAPPENING_FSYNC_FAILS,
    HAPPENING_STRAY,
};

struct happening {
    time_us at;
    uint64_t order; /* of those at one time, the one made first */
    enum happening_type type;
    uint32_t index;  /* user, slot */
    uint64_t serial; /* stale unless it is the newest of its kind */
};

/* Somebody who wants one flow run, and cancels it maybe. */
struct user {
    struct buffer text;
    struct flow *flow;      /* as the checkers know it */
    struct flow *node_flow; /* as the node gets it: the same, but for a mutant */
    struct run_id run;      /* of the newest submission */
    uint64_t number;
    bool has_submitted, is_accepted, has_resumed;
    bool is_waiting; /* for the answer to a submission */
    unsigned n_cancels;
    bool is_cancelled, is_suspended; /* as the runtime keeps it over a restart */
    const char *name;
    uint32_t max_workers, share; /* overrides, as in struct run_record */
    const char *on_failure;
};

struct sim_slot {
    bool is_used;
    struct user *user;
    struct task_id task;
    uint32_t attempt;
    uint64_t serial;
    struct task_plan plan;
    time_us started, ends;
    enum reason why; /* of a kill; 0: none */
    int signal;
};

struct lost_task {
    struct run_id run;
    struct task_id task;
};

struct queued_write {
    struct record_key key;
    struct buffer value;
    uint64_t ticket;
};

struct world {
    const struct world_config *config;
    struct world_result *result;
    struct prng prng;
    unsigned faults;
    struct tasks_config tasks;

    time_us now, calm_at;
    time_us clock_back; /* how much less the node's monotonic clock shows */
    uint64_t order, serial;
    struct happening *heap;
    size_t n_heap, cap_heap;

    struct node_config node_config, true_config;
    struct sharing sharing;
    struct user_limits limits[WORLD_NAMES];
    struct node *node; /* NULL while it is down */
    struct outbox outbox;
    uint64_t life, tick_serial;
    struct checker checker;
    struct sim_slot slots[CHECKER_SLOTS_MAX];
    struct user users[WORLD_RUNS_MAX];
    uint32_t n_users;
    uint64_t next_number;

    struct disk *disk;
    struct queued_write *queue; /* not yet handed to the disk */
    size_t n_queue, cap_queue;
    uint64_t written_ticket, durable_ticket;
    bool is_committing, is_window_open;
    bool is_reading;      /* the store is being read: commits wait */
    struct action *tells; /* in order, waiting for their tickets */
    size_t n_tells, cap_tells;

    struct lost_task lost[WORLD_LOST_MAX]; /* what ran when the node died */
    uint32_t n_lost;
    struct lost_task
        stale[WORLD_STALE_MAX]; /* what ended last, and looks as if it ran */
    uint32_t n_stale;
    unsigned n_crashes_left;
    uint64_t crash_in;  /* a crash after one in so many events */
    uint64_t n_skipped; /* by MUTANT_SKIP_ATTEMPT */
    int error;          /* -ENOMEM: the world ends */
};

static inline bool world_may(const struct world *w, enum fault fault)
{
    return w->faults & fault && w->now < w->calm_at;
}

static inline uint64_t world_draw(struct world *w, uint64_t bound)
{
    return prng_below(&w->prng, bound);
}

void world_trace(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);
void world_later(struct world *w, time_us delay, enum happening_type type,
                 uint32_t index, uint64_t serial);

struct user *world_user(struct world *w, const struct run_id *run);
void world_submit(struct world *w, struct user *u);
void world_release(struct world *w, struct user *u);
void world_cancel(struct world *w, struct user *u);
void world_suspend(struct world *w, struct user *u);
void world_unsuspend(struct world *w, struct user *u);
/* Submit an ended run again, with what was done in it. */
void world_resume(struct world *w, struct user *u);

/* 0, -ENOMEM, or -EINVAL: no flow that was drawn can be read. */
int world_draw_all(struct world *w);

/* Tell the node, check and carry out what it answers. */
void world_step(struct world *w, struct event *event);
/* The task in the slot ends now. */
void world_end_task(struct world *w, uint32_t slot);
void world_commit(struct world *w);
void world_committed(struct world *w);
void world_drop_writes(struct world *w);

void world_start_node(struct world *w);
void world_crash(struct world *w, const char *why);
