/* SPDX-License-Identifier: Apache-2.0 */
/* board - what `mesh top` shows: a node, its runs, the steps that are at work.
 *
 *     Node 4711 on /home/me/.local/state/mesh                              14:05:09
 *       tasks      ━━━━━━━━━━━━━━━━━━━━╸───────────  6 of 8, of 2 runs, 98/s
 *       processor  ━━━━━━━━━━━━━━━━────────────────  3.9 of 8
 *       memory     ━━╸─────────────────────────────  1.2 GiB of 31.3 GiB
 *       store      3.4 GiB, 120.0 GiB free on the disk
 *
 * Of a mesh it begins with all of its nodes instead:
 *
 *     Mesh of 3 nodes                                                       14:05:09
 *       tasks      ━━━━━━━━━━━━━━━━━━━━╸───────────  6 of 8 slots, 2 runs, 98/s
 *
 *     NODE  STATE  TASKS  WAITING  RATE  LOAD         IN        OUT    STORE      FREE
 *     n1    alive    2/2        1  49/s   1.9  1.2 MiB/s   12 KiB/s  3.4 GiB  120 GiB
 *
 *     RUN  FLOW   STATE    FOR          DONE  RUNNING  FAILED  WAITING  RATE   LEFT
 *      42  Train  running  1 min 12 s    412        4       2      586  98/s
 *            fit                         412        4       2      584  98/s  6.0 s
 *
 * Pure: from what is known, the size and the time to lines. */
#pragma once

#include "node/cli/progress.h"

enum board_order { BOARD_BY_RUN = 1, BOARD_BY_RUNNING, BOARD_BY_RATE, BOARD_BY_AGE };

struct board_run {
    struct progress p;
    char state[16];
    bool is_seen; /* in the newest look; the others are dropped */
};

/* A member of the mesh. */
struct board_node {
    char name[64], state[24]; /* state: also that it drains, or that its disk is full */
    bool is_heard;            /* it said something of itself: what is below */
    uint64_t slots, used, waiting; /* waiting: tasks of others, for a slot */
    uint64_t load_milli, store_bytes, disk_free_bytes;
    uint64_t n_executed, in_bytes, out_bytes; /* so far */
    time_us sampled;                          /* 0: not yet */
    double rate, in_rate, out_rate;           /* a second, between two looks */
    bool is_seen;
};

struct board {
    struct board_node *nodes; /* by name; shown when there are several */
    size_t n_nodes, nodes_cap;
    /* The node. */
    uint64_t pid, slots, n_running, cpu_milli, memory_bytes;
    uint64_t store_bytes, quota_bytes, disk_free_bytes;
    char *dir;
    /* What its process tree uses; has_usage: it could be seen. */
    bool has_usage;
    uint64_t used_milli, used_bytes;

    struct board_run *runs;
    size_t n_runs, runs_cap;

    /* How it is shown. */
    enum board_order order;
    bool has_steps, has_help;
    bool has_colour, has_unicode;
    size_t width, height; /* height 0: as long as it is */
};

void board_release(struct board *b);
/* The run of that id, made if there is none. NULL without memory; good until the next
 * call. */
struct board_run *board_run(struct board *b, const struct run_id *run);
/* Likewise a node. */
struct board_node *board_node(struct board *b, const char *name);
/* What it has done so far, at this time. */
void board_sample(struct board_node *n, uint64_t n_executed, uint64_t in_bytes,
                  uint64_t out_bytes, time_us now);
/* Lets go of runs and nodes that were not seen, and forgets which were. */
void board_drop_unseen(struct board *b);

/* Appends lines that end in \n. clock: the time of day, as text. */
void board_render(struct board *b, time_us now, const char *clock, struct buffer *out);
