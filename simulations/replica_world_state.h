/* SPDX-License-Identifier: Apache-2.0 */
/* replica_world_state - the inside of a replica_world, shared by replica_world*.c only.
 *
 *     replica_world.c         what happens when: the network, faults, what is asked for
 *     replica_world_home.c    a home: carries out what its replica asks, its disk
 *     replica_world_check.c   what must hold */
#pragma once

#include "base/prng.h"
#include "scheduler/replica.h"
#include "simulations/replica_world.h"

enum {
    NODES = 8, /* homes and those that may become some */
    GENERATIONS = 64,
    LEADS = 512,
    INSTALL_ROWS = 4, /* of a part */
    WRITES = 256,     /* of a disk, not yet synced */
};

/* An entry: a number that was asked for once; with homes: of the next generation. */
struct sim_row {
    struct ballot ballot;
    uint64_t value;
    unsigned homes; /* bits of nodes */
};

struct sim_log {
    struct sim_row *rows; /* rows[i - 1] is at index i */
    size_t n, cap;
};

/* What a disk holds. */
struct sim_image {
    struct replica_state state;
    struct sim_log log;
    uint64_t rows_from; /* before it there are only the values, not the entries */
    bool is_there;
};

struct sim_write {
    uint64_t ticket;
    bool has_state;
    struct replica_state state;
    bool has_rows; /* the log is cut before `lo`, then has these */
    bool is_install;
    uint64_t lo;
    struct sim_row *rows;
    size_t n_rows;
    uint64_t rows_from;
};

struct sim_home {
    struct node_id id;
    struct replica *replica; /* NULL: it is down, or knows nothing of the group */
    bool is_down, is_dead, is_damaged;
    uint64_t life, tick_serial;
    time_us paused_until;
    struct sim_image seen, disk;
    struct sim_write writes[WRITES];
    size_t n_writes;
    bool is_syncing;
    uint64_t generation; /* as it was told last */
};

enum incident_type {
    INCIDENT_MESSAGE = 1, /* to, from */
    INCIDENT_READ,        /* node: entries are read, then sent to `peer` */
    INCIDENT_TICK,        /* node, serial */
    INCIDENT_SYNC,        /* node, life */
    INCIDENT_RESTART,
    INCIDENT_ASK, /* somebody has something to be decided */
    INCIDENT_MOVE,
    INCIDENT_FAULT,
    INCIDENT_HEAL,
    INCIDENT_GOSSIP, /* node */
    INCIDENT_CALM,
    INCIDENT_END,
};

struct packet {
    struct message message;
    struct log_entry *entries;
    uint64_t *bytes; /* what the entries point to */
    uint64_t lo, hi; /* INCIDENT_READ */
};

struct incident {
    time_us at;
    uint64_t order;
    enum incident_type type;
    unsigned node, peer;
    uint64_t serial;
    struct packet *packet;
};

/* What is known of an index by all that was ever told. */
struct truth {
    bool is_decided;
    uint64_t value;
    unsigned homes;
};

struct sim_lead {
    struct ballot ballot;
    uint64_t generation, life;
    unsigned node;
};

struct replica_world {
    const struct replica_world_config *config;
    struct replica_world_result *result;
    struct prng prng;
    unsigned faults;
    uint64_t loss, twice, delay_max, sync_max; /* how bad it is; of 100, us */
    bool is_calm, is_over;
    time_us now;
    uint64_t order;
    struct incident *heap;
    size_t n_heap, cap_heap;
    struct sim_home homes[NODES];
    bool is_cut[NODES][NODES]; /* [from][to] */
    struct replica_outbox out;
    uint64_t next_value;
    bool is_moving; /* a move was asked for since the newest generation began */
    int error;

    struct truth *truth; /* by index */
    size_t n_truth, cap_truth;
    uint64_t newest;                 /* generation */
    unsigned homes_of[GENERATIONS];  /* bits */
    uint64_t closed_at[GENERATIONS]; /* index */
    struct sim_lead leads[LEADS];
    size_t n_leads;
    struct replica_world_entry *entries; /* a table of all that ever was in a log */
    size_t n_entries, cap_entries;
};

static inline uint64_t sim_draw(struct replica_world *w, uint64_t bound)
{
    return prng_below(&w->prng, bound);
}
static inline bool sim_chance(struct replica_world *w, uint64_t percent)
{
    return sim_draw(w, 100) < percent;
}
static inline bool sim_may(const struct replica_world *w, enum replica_fault f)
{
    return !w->is_calm && w->faults & f;
}

void sim_trace(struct replica_world *w, const char *format, ...) PRINTF_LIKE(2, 3);
struct incident *sim_later(struct replica_world *w, time_us delay,
                           enum incident_type type, unsigned node, uint64_t serial);
void sim_post(struct replica_world *w, unsigned from, unsigned to,
              const struct message *m);
unsigned sim_node(const struct node_id *id); /* NODES: none of ours */
unsigned sim_bits(const struct node_id *homes, size_t n);
uint32_t sim_list(unsigned bits, struct node_id *ret_homes);
const char *sim_text(unsigned bits); /* "1 2 4"; borrowed until the next call */
struct packet *packet_new(const struct message *m, size_t n_entries);
void packet_free(struct packet *p);

void home_found(struct replica_world *w, unsigned node, unsigned homes);
void home_deliver(struct replica_world *w, unsigned node, unsigned from,
                  const struct message *m);
void home_tick(struct replica_world *w, unsigned node);
void home_sync(struct replica_world *w, unsigned node);
void home_read(struct replica_world *w, unsigned node, unsigned peer,
               const struct packet *p);
void home_ask(struct replica_world *w, unsigned node, size_t n);
void home_move(struct replica_world *w, unsigned node, unsigned homes);
void home_hear(struct replica_world *w, unsigned node, unsigned live, bool is_isolated);
void home_crash(struct replica_world *w, unsigned node);
void home_start(struct replica_world *w, unsigned node, bool is_damaged);
void home_trim(struct replica_world *w, unsigned node, uint64_t index);
void home_release(struct sim_home *h);

void group_check_fail(struct replica_world *w, const char *rule, const char *format,
                      ...) PRINTF_LIKE(3, 4);
bool group_check_failed(const struct replica_world *w);
void group_check_row(struct replica_world *w, unsigned node, uint64_t index);
void group_check_decided(struct replica_world *w, unsigned node, uint64_t index);
void group_check_lead(struct replica_world *w, unsigned node);
void group_check_homes(struct replica_world *w, unsigned node);
void group_check_told(struct replica_world *w, unsigned node, const struct message *m);
void group_check_disk(struct replica_world *w, unsigned node,
                      const struct ballot *before);
void group_check_installed(struct replica_world *w, unsigned node);
void group_check_end(struct replica_world *w);
