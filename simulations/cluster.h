/* SPDX-License-Identifier: Apache-2.0 */
/* cluster - some nodes, their disks, tasks, users and the network, in virtual time.
 *
 * The real mesh_step() of each node is driven; all around it is drawn from one seed:
 *
 *     frames --> mesh_step() --> persist      --> a disk each; a crash loses what was
 *        ^            |                           not synced
 *        |            |          send         --> lost, twice, late, cut off
 *        |            |          start, kill  --> tasks, whose outputs tell what they
 *        |            |                           consumed
 *        '------------'          tell         --> the checkers
 *
 * First it is stormy, then calm: then every run that was accepted must end.
 *
 *     durable   (I3, I6)  what is told is on the disks of a majority of the homes
 *     once      (I2)      a task is told done once, and that attempt stays the one, but
 *                         for one whose outputs were lost
 *     same      (I1)      homes that hold a run that ended hold the same of it
 *     history   (I7, I8)  an attempt that counts consumed what counts
 *     starts    (I7)      a task starts only after what it waits for
 *     exclusive (I9)      of a task with `effect: exclusive` one attempt lives at a
 * time, each with a greater fence, that a majority had decided capacity  (I14)     a
 * node runs no more than it has room for bounded   (I19)     what a step answers, and
 * what waits, is bounded counts    (I20)     the end of a run counts its tasks as its
 * records do replay    (I21)     a seed is one history linear              registers of
 * the mesh group: as if one by one numbers             a run has one number, and no
 * other run has it answer              who submitted a run hears first, once, what
 * becomes of it liveness  (L1, L2)  every run that was accepted ends when it is calm */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { CLUSTER_NODES_MAX = 9 };

enum cluster_fault {
    CLUSTER_LOSS = 1 << 0,
    CLUSTER_TWICE = 1 << 1,
    CLUSTER_REORDER = 1 << 2,
    CLUSTER_SPIKE = 1 << 3, /* some frames take seconds */
    CLUSTER_CUT = 1 << 4,   /* parts that do not hear each other */
    CLUSTER_ONE_WAY = 1 << 5,
    CLUSTER_FLAP = 1 << 6, /* cuts come and go */
    CLUSTER_CRASH = 1 << 7,
    CLUSTER_PAUSE = 1 << 8, /* as SIGSTOP */
    CLUSTER_DEATH = 1 << 9, /* with its disk, for good */
    CLUSTER_SLOW_DISK = 1 << 10,
    CLUSTER_SKEW = 1 << 11,   /* monotonic clocks begin anywhere, wall clocks differ */
    CLUSTER_FAIL = 1 << 12,   /* tasks fail */
    CLUSTER_FICKLE = 1 << 13, /* a task that runs again makes something else */
    CLUSTER_FAULTS_ALL = (1 << 14) - 1,
    /* By name only: bytes of what nodes made or keep are gone, here or everywhere. */
    CLUSTER_ROT = 1 << 14,
    /* By name only: one node after the other is gone, with its disk, for good, and
     * tasks take long. Before each it is asserted that copies were made anew. */
    CLUSTER_DEATHS = 1 << 15,
};
const char *cluster_fault_name(enum cluster_fault f);
/* "loss,crash"; "all"; "none". -EINVAL */
int cluster_faults_parse(const char *text, unsigned *ret_faults);

/* Ways to be wrong, for tests of the checkers. */
enum cluster_mutant {
    CLUSTER_MUTANT_NONE = 0,
    CLUSTER_MUTANT_NO_SYNC,      /* what is said to be on the disk is not */
    CLUSTER_MUTANT_FORGET,       /* a crash loses a record that was synced */
    CLUSTER_MUTANT_FORGET_GROUP, /* a restart does not see who the homes are */
    CLUSTER_MUTANT_NO_VOTES,     /* none arrives */
    CLUSTER_MUTANT_OTHER_INPUT,  /* a task consumes something else */
    CLUSTER_MUTANT_SWALLOW_END,  /* the end of a task is not told to its node */
    CLUSTER_MUTANT_LOOSE_CPU,    /* a node believes that it has more of it */
    CLUSTER_MUTANT_OTHER_RECORD, /* one node writes down an attempt differently */
    CLUSTER_MUTANT_NEW_REQUEST,  /* who asks the mesh group again asks for more */
    CLUSTER_MUTANT_NO_GUARD,     /* what is permitted no more goes on */
    CLUSTER_MUTANTS_END,
};

enum { CLUSTER_STRIKES_MAX = 256, CLUSTER_USERS_MAX = 3 };

/* What a seed draws, and what is left out of it: see shrink.h. What is left out changes
 * little of the rest, for strikes, users and the network draw from streams of their
 * own.
 */
struct cluster_config {
    uint64_t seed;
    uint64_t
        vary; /* chances of all but strikes and users are other ones; 0: the seed's */
    enum cluster_mutant mutant;
    unsigned n_nodes;    /* 2 .. CLUSTER_NODES_MAX */
    unsigned faults;     /* the seed draws among these */
    bool has_no_clients; /* of the mesh group, which is not there then */
    bool has_no_user[CLUSTER_USERS_MAX];
    bool has_no_strike[CLUSTER_STRIKES_MAX];
    unsigned steps_max; /* of a flow; 0: any */
    bool is_traced;     /* write ret->trace */
    bool is_verbose;    /* with every frame */
};

struct cluster_result {
    uint64_t n_events, n_frames, n_crashes, n_runs, n_starts, n_told;
    uint64_t virtual_us;
    uint64_t hash;
    unsigned faults;                /* that this seed drew */
    unsigned n_users, n_strikes;    /* likewise */
    char violation[ERROR_TEXT_MAX]; /* "": none */
    struct buffer trace;
};
void cluster_result_release(struct cluster_result *r);

/* Live through one seed. 0 (a violation is in the result) or -ENOMEM. */
int cluster_run(const struct cluster_config *config, struct cluster_result *ret);
