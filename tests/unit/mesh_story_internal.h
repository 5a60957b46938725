/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a mesh story.
 *
 *     mesh_story.c         what a test calls
 *     mesh_story_node.c    a node: events in, actions carried out
 *     mesh_story_read.c    what a node reads of its own disk
 *     mesh_story_tasks.c   what tasks do and consume
 *     mesh_story_sign.c    signatures, and who lies
 *     mesh_story_queue.c   what comes when */
#pragma once

#include "node/mesh.h"
#include "proto/rows.h"
#include "tests/unit/mesh_story.h"
#include "tests/unit/mesh_story_disk.h"

enum {
    NODES_MAX = 16,
    RUNS_MAX = 64,
    NAME_SIZE = TASK_TEXT_SIZE + 80,
};
static const time_us SYNC = TIME_MS(1);
static const time_us WALL = TIME_S(1000000);

struct happening {
    time_us at;
    uint64_t order;
    unsigned node;
    uint32_t boot; /* of the node that it is for; 0: any */
    enum what {
        WHAT_MESSAGE = 1,
        WHAT_EVENT,
        WHAT_DURABLE,
        WHAT_TASK,
        WHAT_GUARD,
        WHAT_TICK,
    } what;
    unsigned from;
    uint8_t *bytes;
    size_t len;
    struct mesh_event event; /* of what its type needs */
    struct log_entry *entries;
    size_t n_entries;
    uint64_t value; /* a ticket; a slot */
    uint64_t serial;
};

struct behaviour {
    time_us takes;
    enum reason reason;
    int exit_code;
    uint64_t width, blob;
    bool has_width, is_varied;
};
struct rule {
    char *prefix, *behaviour;
};

struct process {
    bool is_used;
    uint64_t serial;
    char name[NAME_SIZE];
    struct run_id run;
    struct task_id task;
    struct behaviour behaviour;
    enum reason why;
    int signal;
    uint64_t fence; /* not 0: it begins with its first permit */
    bool is_begun;
    time_us until;
};

struct held_action { /* waits for a ticket */
    uint64_t ticket;
    enum action_type type;
    struct action action;
    uint8_t *bytes;
    size_t len;
};

struct story_node {
    char name;
    struct node_id id;
    struct mesh *mesh;
    uint32_t boot;
    bool is_up, is_paused;
    struct disk_map disk, latest;
    struct disk_write *writes;
    size_t n_writes, cap_writes;
    uint64_t last_ticket, durable, asked, serial;
    struct held_action *held;
    size_t n_held, cap_held;
    struct process *slots;
    struct process *lost; /* that ran when it died */
    size_t n_lost;
    bool is_connected[NODES_MAX];
    bool is_dialling[NODES_MAX]; /* it is connected again when the other one is there */
    struct happening *paused;
    size_t n_paused;
    unsigned n_starts;
    const char *lie; /* what is wrong with what it offers, so many times more */
    unsigned n_lies;
    struct outbox out;
};

struct told {
    unsigned run;
    struct task_id task;
};

struct mesh_story {
    struct story_node nodes[NODES_MAX];
    unsigned n_nodes;
    uint32_t n_slots;
    struct member_card card[NODES_MAX];
    time_us now;
    struct prng prng;
    struct happening *queue; /* a heap */
    size_t n_queue, cap_queue;
    uint64_t n_orders, n_serials;
    bool is_cut[NODES_MAX];
    bool is_deaf[NODES_MAX][NODES_MAX]; /* [from][to] */
    unsigned lost, doubled, delayed;
    struct flow *flows[RUNS_MAX];
    struct run_id runs[RUNS_MAX];
    enum run_outcome outcomes[RUNS_MAX];
    bool is_accepted[RUNS_MAX]; /* told to be */
    uint64_t numbers[RUNS_MAX]; /* told to have */
    bool has_numbers;
    bool has_signatures, signs[NODES_MAX];
    uint64_t floors[NODES_MAX];
    unsigned n_runs, n_starts;
    struct told *told;
    size_t n_told;
    struct rule *rules;
    size_t n_rules;
    struct digest *blobs[NODES_MAX]; /* who has which */
    size_t n_blobs[NODES_MAX];
    uint64_t n_messages[64];
    const char *words;
    struct buffer trace, shown;
};

/* ---- mesh_story_queue.c ---- */

/* Takes what it points to. */
void queue_push(struct mesh_story *s, const struct happening *h);
bool queue_pop(struct mesh_story *s, struct happening *ret);
time_us queue_next(const struct mesh_story *s);
void happening_release(struct happening *h);
void network_send(struct mesh_story *s, unsigned from, unsigned to, const void *bytes,
                  size_t len);
bool network_passes(const struct mesh_story *s, unsigned from, unsigned to);

/* ---- mesh_story_node.c ---- */

void node_boot(struct mesh_story *s, unsigned i);
void node_down(struct mesh_story *s, unsigned i);
void node_tell(struct mesh_story *s, unsigned i, struct mesh_event *event);
void node_on_durable(struct mesh_story *s, unsigned i, uint64_t ticket);
void node_plan(struct mesh_story *s, unsigned i); /* its next tick */
void story_numbered(struct mesh_story *s, unsigned i, unsigned run, uint64_t number);
unsigned node_index(const struct mesh_story *s, const struct node_id *id);
void story_say(struct mesh_story *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- mesh_story_read.c ---- */

void read_back(struct mesh_story *s, unsigned i); /* at the start */
void read_run(struct mesh_story *s, unsigned i, const struct action *a);
void read_entries(struct mesh_story *s, unsigned i, const struct action *a);
void read_records(struct mesh_story *s, unsigned i, const struct action *a,
                  const uint8_t *from, size_t len);
void read_end(struct mesh_story *s, unsigned i, const struct action *a);

/* ---- mesh_story_tasks.c ---- */

unsigned run_number(const struct mesh_story *s, const struct run_id *run);
void task_name(const struct mesh_story *s, const struct run_id *run,
               const struct task_id *task, char ret[NAME_SIZE]);
void task_start(struct mesh_story *s, unsigned i, const struct action *a);
void task_permit(struct mesh_story *s, unsigned i, const struct action *a);
void task_guard(struct mesh_story *s, unsigned i, uint32_t slot);
void task_kill(struct mesh_story *s, unsigned i, const struct action *a);
void task_end(struct mesh_story *s, unsigned i, uint32_t slot, uint64_t serial);
/* What a task would consume by the records of a disk; false: not all is there. */
bool task_witness(const struct mesh_story *s, const struct disk_map *disk,
                  const struct run_id *run, const struct task_id *task,
                  struct digest *ret);
void task_prepare(struct mesh_story *s, unsigned i, const struct action *a);
void blob_add(struct mesh_story *s, unsigned i, const struct digest *id);
bool blob_has(const struct mesh_story *s, unsigned i, const struct digest *id);

/* ---- mesh_story_sign.c ---- */

struct mesh_signer sign_signer(struct story_node *n);
/* It is what its node signed, or there was nobody who could. */
void sign_check_kept(const struct mesh_story *s, const struct attempt_record *r);
/* What goes out instead of these bytes; false: these. */
bool sign_lie(struct mesh_story *s, unsigned i, const void *data, size_t len,
              struct buffer *ret);
