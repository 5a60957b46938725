/* SPDX-License-Identifier: Apache-2.0 */
/* replica_world - the homes of one group, their disks and the network, in virtual time.
 *
 * The real replicas are driven; their callers, disks, what gossip tells them and who
 * asks for other homes are simulated and drawn from one seed. While it is stormy homes
 * crash, stop, are cut off and die for good; then it is calm, and the group must work
 * again.
 *
 *     decided     what is decided at an index never changes, and is the same everywhere
 *     durable     it is on the disks of a majority of the generation's homes
 *     promise     ballots promised on a disk never decrease; what is told is on it
 *     leader      a ballot is led once, by the node in it, in one generation
 *     logs        entries of one index and ballot are one entry with one before it
 *     told        only a leader decides; the others are told what was decided
 *     closed      a closed generation decides nothing more, the next has the homes
 * named liveness    when it is calm: a leader, and all homes have all that was asked
 * for */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum replica_fault {
    REPLICA_FAULT_LOSS = 1 << 0,
    REPLICA_FAULT_TWICE = 1 << 1, /* messages arrive twice */
    REPLICA_FAULT_DELAY = 1 << 2, /* some take seconds */
    REPLICA_FAULT_CUT = 1 << 3,   /* two parts that do not hear each other */
    REPLICA_FAULT_ONE_WAY = 1 << 4,
    REPLICA_FAULT_CRASH = 1 << 5,   /* what was not synced is lost, but for a prefix */
    REPLICA_FAULT_PAUSE = 1 << 6,   /* a process stops and goes on */
    REPLICA_FAULT_DEATH = 1 << 7,   /* with its disk, for good */
    REPLICA_FAULT_DISK = 1 << 8,    /* slow */
    REPLICA_FAULT_DAMAGE = 1 << 9,  /* the log's rows are lost, the state is there */
    REPLICA_FAULT_GOSSIP = 1 << 10, /* what it says of who lives is wrong */
    REPLICA_FAULT_MOVE = 1 << 11,   /* other homes are asked for */
    REPLICA_FAULT_TRIM = 1 << 12,   /* rows go though somebody may want them */
    REPLICA_FAULT_RIVALS =
        1 << 13, /* homes stand when they hear nothing for a moment */
    REPLICA_FAULTS_ALL = (1 << 14) - 1,
};

struct replica_world_config {
    uint64_t seed;
    bool is_traced;  /* write ret->trace */
    bool is_verbose; /* with every message */
};

struct replica_world_result {
    uint64_t n_events, n_crashes, n_decided, n_leads, n_generations, n_installs;
    uint64_t virtual_us;
    uint64_t hash;                  /* of all that happened */
    unsigned faults;                /* that this seed drew */
    char violation[ERROR_TEXT_MAX]; /* "": none */
    struct buffer trace;
};
void replica_world_result_release(struct replica_world_result *r);

/* Live through one seed. 0 (a violation is in the result) or -ENOMEM. */
int replica_world_run(const struct replica_world_config *config,
                      struct replica_world_result *ret);
