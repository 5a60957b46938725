/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_state - the inside of a cluster, shared by cluster*.c only.
 *
 *     cluster.c          what happens when; storm and calm
 *     cluster_net.c      frames, connections, cuts
 *     cluster_node.c     a node: events in, actions carried out, its disk
 *     cluster_read.c     what a node reads of its own disk
 *     cluster_tasks.c    processes, what they consume and make
 *     cluster_fence.c    what `effect: exclusive` promises
 *     cluster_lost.c     who has which bytes, and what is made again
 *     cluster_users.c    flows and who submits them
 *     cluster_registers.c  clients of the mesh group, and numbers of runs
 *     cluster_check.c    what must hold
 *
 * Without memory it aborts: what is simulated is small. */
#pragma once

#include "base/prng.h"
#include "node/mesh.h"
#include "proto/rows.h"
#include "simulations/cluster.h"
#include "simulations/disk.h"
#include "simulations/linear.h"
#include "simulations/tasks.h"

enum {
    NODES = CLUSTER_NODES_MAX,
    SLOTS = 3,
    RUNS = 8,
    REGISTERS = 2,
    TRIES = 6, /* of a user whose node went before it answered */
};

enum incident_type {
    INCIDENT_FRAME = 1,
    INCIDENT_EVENT,
    INCIDENT_SYNC,
    INCIDENT_TASK,
    INCIDENT_GUARD, /* ends what is permitted no more, also of a node that stops */
    INCIDENT_TICK,
    INCIDENT_START, /* a node, again */
    INCIDENT_STRIKE,
    INCIDENT_SUBMIT,
    INCIDENT_CALM,
    INCIDENT_GIVE_UP,
    INCIDENT_CLIENT,   /* `node`: looks after what it asked */
    INCIDENT_ASK,      /* of the client `from` */
    INCIDENT_ANSWERED, /* to the client `node` */
    INCIDENT_LOST,     /* `serial` is an enum lost_question */
};

struct incident {
    time_us at;
    uint64_t order;
    enum incident_type type;
    unsigned node, from;
    uint32_t boot; /* of the node it is for; 0: any */
    uint64_t value, serial;
    uint8_t *bytes;
    size_t len;
    struct mesh_event event;
    struct log_entry *entries; /* own what they point to */
    size_t n_entries;
};

struct process {
    bool is_used;
    uint64_t serial;
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    uint64_t guest;
    struct task_plan plan;
    uint64_t consumed;
    bool has_consumed; /* not while nothing of it is written, as on an island */
    bool is_fickle;
    enum reason why;
    int signal;
    uint64_t fence; /* not 0: it begins with its first permit */
    bool is_begun;
    time_us ends, until; /* by itself; by its permit */
};

struct prepared { /* a guest that has not started */
    uint64_t guest, consumed;
};

struct held { /* an action that waits for its ticket */
    struct action action;
    uint8_t *bytes;
    size_t len;
};

struct cluster_node {
    unsigned index;
    struct node_id id;
    struct member_card card;
    struct mesh *mesh; /* NULL: it is down */
    uint32_t boot;
    bool is_dead;
    time_us paused_until, skew;
    struct disk *disk;
    uint64_t last_ticket, durable;
    bool is_syncing;
    struct store_write *writes; /* of a transaction that is not complete */
    size_t n_writes, cap_writes;
    struct held *held;
    size_t n_held, cap_held;
    struct process slots[SLOTS], lost[SLOTS];
    bool is_connected[NODES];
    uint64_t tick_serial;
    struct prepared *prepared;
    size_t n_prepared, cap_prepared;
};

struct run {
    struct buffer text;
    struct flow *flow;
    struct run_id id;
    unsigned user, at; /* the node it was submitted to */
    uint32_t boot;     /* of that node then */
    bool is_submitted, is_accepted, is_refused, is_abandoned;
    uint64_t number;          /* 0: none is told */
    enum run_outcome outcome; /* 0: not told */
    bool is_tentative;        /* as the end was told */
};

/* Who asks the mesh group, one thing at a time, from where a node is. */
struct cluster_client {
    struct node_id id;
    bool is_waiting;
    unsigned reg; /* the register */
    size_t op;
    uint64_t request;
    time_us asked_at;
    unsigned asked, hint; /* nodes */
    bool has_hint;
    struct {
        bool has_value;
        uint64_t value;
    } known[REGISTERS]; /* what it heard last */
};
struct cluster_register {
    struct linear_op ops[LINEAR_OPS_MAX];
    size_t n;
};

struct cluster_user {
    unsigned run; /* the newest */
    unsigned n_tries;
};

struct told {
    unsigned run;
    struct task_id task;
    uint32_t attempt;
};
struct fence { /* the last one that a task began with */
    struct run_id run;
    struct task_id task;
    uint64_t fence;
};
/* What an output was made of. */
struct made {
    struct digest id;
    uint64_t consumed;
    bool has_consumed;
};

/* What an attempt had made that was undone: its record has but a digest of it. */
struct undone {
    struct run_id run;
    unsigned node; /* that said so */
    struct digest made;
    struct digest *outputs;
    size_t n_outputs;
};

struct cluster {
    const struct cluster_config *config;
    struct cluster_result *result;
    struct prng prng, others; /* others: while prng is a stream of its own */
    unsigned n_strikes;
    unsigned faults;
    unsigned loss, twice; /* of 100 */
    time_us delay_max, sync_max;
    struct tasks_config tasks;
    time_us now, calm_at;
    bool is_calm;
    uint64_t order, serial;
    struct incident *heap;
    size_t n_heap, cap_heap;
    struct cluster_node nodes[NODES];
    unsigned n_nodes;
    bool is_cut[NODES][NODES]; /* [from][to] */
    struct run runs[RUNS * TRIES];
    unsigned n_runs;
    struct cluster_user users[RUNS];
    unsigned n_users;
    bool has_registers;
    struct prng client_prng;
    struct cluster_client clients[NODES];
    struct cluster_register registers[REGISTERS];
    uint64_t moment;
    struct told *told;
    size_t n_told, cap_told;
    struct fence *fences;
    size_t n_fences, cap_fences;
    struct made *made;
    size_t n_made, cap_made;
    size_t n_made_before; /* the last of CLUSTER_DEATHS */
    time_us next_death;
    struct undone *undone;
    size_t n_undone, cap_undone;
    struct digest *blobs[NODES]; /* who has which */
    size_t n_blobs[NODES], cap_blobs[NODES];
};

static inline uint64_t draw(struct cluster *c, uint64_t bound)
{
    return prng_below(&c->prng, bound);
}
static inline bool chance(struct cluster *c, uint64_t percent)
{
    return draw(c, 100) < percent;
}
static inline bool may(const struct cluster *c, enum cluster_fault f)
{
    return !c->is_calm && c->faults & f;
}

/* ---- cluster.c ---- */

void *cluster_grow(void *items, size_t n, size_t *cap, size_t size);
void *cluster_copy(const void *data, size_t len);
void trace(struct cluster *c, const char *format, ...) PRINTF_LIKE(2, 3);
/* Takes what it points to. */
void later(struct cluster *c, time_us delay, const struct incident *i);
unsigned node_of(const struct cluster *c, const struct node_id *id);

/* Until it ends all is drawn from a stream that depends on the seed and this alone. */
enum stream { STREAM_USER = 1, STREAM_STRIKE };
void stream_begin(struct cluster *c, enum stream stream, uint64_t number);
void stream_end(struct cluster *c);

/* ---- cluster_net.c ---- */

time_us net_delay(struct cluster *c);
bool net_passes(const struct cluster *c, unsigned from, unsigned to);
void net_send(struct cluster *c, unsigned from, unsigned to, const void *bytes,
              size_t len);
void net_connect(struct cluster *c, unsigned from, unsigned to);
void net_gone(struct cluster *c, unsigned node);
void net_deliver(struct cluster *c, const struct incident *i);
void net_strike(struct cluster *c);
void net_heal(struct cluster *c);

/* ---- cluster_node.c ---- */

void node_start(struct cluster *c, unsigned i);
void node_crash(struct cluster *c, unsigned i);
void node_release(struct cluster_node *n);
void node_tell(struct cluster *c, unsigned i, struct mesh_event *event);
void node_flush(struct cluster *c, unsigned i); /* then its next tick */
void node_sync(struct cluster *c, unsigned i);

/* ---- cluster_read.c ---- */

int read_scan(struct cluster *c, unsigned i, const void *prefix, size_t len,
              int (*each)(void *, struct span, struct span), void *arg);
bool read_has(struct cluster *c, unsigned i, const struct record_key *key);
void read_back(struct cluster *c, unsigned i);
void read_answer(struct cluster *c, unsigned i, const struct held *h);
bool read_witness(struct cluster *c, unsigned i, const struct run *r,
                  const struct task_id *task, struct digest *ret);
uint64_t read_consumed(struct cluster *c, unsigned i, const struct run *r,
                       const struct task_id *task);

/* ---- cluster_tasks.c ---- */

const char *task_text(const struct cluster *c, const struct run_id *run,
                      const struct task_id *task); /* until the next call */
void task_start(struct cluster *c, unsigned i, const struct action *a);
void task_permit(struct cluster *c, unsigned i, const struct action *a);
void task_guard(struct cluster *c, unsigned i, uint32_t slot);
void task_kill(struct cluster *c, unsigned i, const struct action *a);
void task_end(struct cluster *c, unsigned i, uint32_t slot, uint64_t serial);
void task_prepare(struct cluster *c, unsigned i, const struct action *a);
void task_keep(struct cluster *c, unsigned i, const struct held *h);
/* What runs that go on kept before the last death is on two nodes that are not dead. */
void lost_check_copies(struct cluster *c);
const struct made *task_made(const struct cluster *c, const struct digest *id);

/* ---- cluster_fence.c ---- */

void fence_begin(struct cluster *c, unsigned node, const struct process *p);

/* ---- cluster_lost.c ---- */

void blob_add(struct cluster *c, unsigned i, const struct digest *id);
/* From whoever has it and can be heard. 0; -ENOENT: nobody; -EHOSTUNREACH: somebody who
 * cannot be heard may. */
int blob_get(struct cluster *c, unsigned i, unsigned holder, const struct digest *id);
/* What the steps right before a task made, by the records of `from`, is got: as above.
 */
int lost_get_inputs(struct cluster *c, unsigned i, unsigned from, const struct run *r,
                    const struct task_id *task);
void lost_rot(struct cluster *c, unsigned i);
/* Answers that come a little later. */
enum lost_question {
    LOST_START = 1, /* with its slot: it lacks something */
    LOST_LOOK,
    LOST_GONE, /* with its token */
    LOST_STALE,
    LOST_TORN,
};
void lost_ask(struct cluster *c, unsigned i, enum lost_question what,
              const struct run_id *run, const struct task_id *task, uint64_t value);
void lost_happen(struct cluster *c, const struct incident *i);
/* Of a record that was written again as its outputs were lost; NULL: of no such one. */
const struct undone *lost_undone(const struct cluster *c,
                                 const struct attempt_record *r);
/* Whether a node found that something of the run is lost. */
bool lost_any(const struct cluster *c, unsigned i, const struct run_id *run);
/* Whether this record says that the attempt counted once and does not any more. */
bool lost_is_undone(struct cluster *c, unsigned i, const struct run_id *run,
                    const struct task_id *task, uint32_t attempt);

/* ---- cluster_users.c ---- */

void users_draw(struct cluster *c);
void users_submit(struct cluster *c, unsigned user);
void users_accepted(struct cluster *c, struct run *r);
void users_refused(struct cluster *c, struct run *r);
void users_gone(struct cluster *c, unsigned node);
/* Who waits for an answer for long does not wait on. */
void users_give_up(struct cluster *c);
struct run *run_of(struct cluster *c, const struct run_id *id);

/* ---- cluster_registers.c ---- */

void clients_draw(struct cluster *c);
void client_act(struct cluster *c, unsigned client);
void client_ask(struct cluster *c, const struct incident *i);
void client_answered(struct cluster *c, const struct incident *i);
/* Whether a frame is for a client; it is on its way then. */
bool clients_take(struct cluster *c, unsigned from, const struct node_id *to,
                  const void *bytes, size_t len);
bool clients_are_idle(const struct cluster *c);
void registers_check(struct cluster *c);
void numbers_told(struct cluster *c, struct run *r, uint64_t number);

/* ---- cluster_check.c ---- */

void check_fail(struct cluster *c, const char *rule, const char *format, ...)
    PRINTF_LIKE(3, 4);
static inline bool check_failed(const struct cluster *c)
{
    return *c->result->violation;
}
void check_told(struct cluster *c, unsigned node, const struct action *a);
void check_start(struct cluster *c, unsigned node, const struct action *a);
void check_end(struct cluster *c);
/* The newest homes that any disk knows of; false: whoever has the run has it alone. */
bool check_homes(const struct cluster *c, const struct run_id *run,
                 struct replica_state *ret);
/* Whether all runs that were accepted have ended, and all have heard of it. */
bool check_is_over(struct cluster *c);
/* Whether no run would lose the majority of its homes with this node. */
bool check_may_die(struct cluster *c, unsigned node);
