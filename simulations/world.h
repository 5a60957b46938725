/* SPDX-License-Identifier: Apache-2.0 */
/* world - a node, its disk, its tasks and its users in virtual time.
 *
 * The real node is driven through node_step(); everything around it is simulated and
 * drawn from one seed, so that a seed is a history that can be replayed:
 *
 *     events of virtual time --> node_step() --> start, kill   --> tasks
 *              ^                       |         persist       --> disk, in groups
 *              |                       |         tell          --> when it is durable
 *              '-- ends, commits, crashes, cancels             --> the checkers see all
 *
 * Faults end after a while; then every run must end too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "simulations/faults.h"

/* Ways to be wrong, for tests of the checkers. */
enum mutant {
    MUTANT_NONE = 0,
    MUTANT_TELL_EARLY,     /* the runtime tells before the record is durable */
    MUTANT_DROP_RECORD,    /* the runtime does not write an attempt's record */
    MUTANT_DISK_FORGETS,   /* a crash loses what was synced */
    MUTANT_DISK_FLIPS,     /* a crash changes what was synced */
    MUTANT_SKIP_ATTEMPT,   /* a restart does not read one of the attempts */
    MUTANT_SWALLOW_END,    /* the end of a task is not told to the node */
    MUTANT_NO_TICKS,       /* the node's deadlines are ignored */
    MUTANT_LOOSE_CAPACITY, /* the node believes that it has more than it has */
    MUTANT_LOOSE_SLOTS,
    MUTANT_LOOSE_CONCURRENCY, /* the node reads another flow than the checkers */
    MUTANT_LOOSE_WORKERS,
    MUTANT_LOOSE_RETRY,
    MUTANT_LOOSE_DELAY,
    MUTANT_LOOSE_TIMEOUT,
    MUTANT_LOOSE_FAILURE,
    MUTANT_OTHER_EDGES,
    MUTANT_OTHER_WIDTH,
    MUTANT_OTHER_HOOK,
    MUTANT_LOOSE_RUN_TIMEOUT,
    MUTANT_SHORT_GRACE,
    MUTANT_IGNORE_CANCEL,    /* a cancel does not reach the node */
    MUTANT_FORGET_END,       /* a restart does not see that a run has ended */
    MUTANT_WRONG_REASON,     /* the node is told that all went well */
    MUTANT_KEEP_TORN,        /* a torn record is not torn */
    MUTANT_IGNORE_SUSPEND,   /* that a run is suspended does not reach the node */
    MUTANT_IGNORE_UNSUSPEND, /* that it may go on does not */
    MUTANT_WAKE_SUSPENDED,   /* a restart forgets that a run was suspended */
    MUTANT_INVENT_LOSS,      /* a restart tells of a loss that was none */
    MUTANT_LOOSE_CAPS,       /* the node does not know what users may */
    MUTANT_SAME_GPU,         /* every task that asks for a GPU is given the first */
    MUTANTS_END,
};
const char *mutant_name(enum mutant m);

struct world_config {
    uint64_t seed;
    unsigned faults;      /* these and no others; the seed draws among them */
    uint64_t crash_after; /* crash after this event; 0: nothing */
    enum mutant mutant;
    bool is_traced; /* write ret->trace */
};

struct world_result {
    uint64_t n_events, n_crashes, n_runs, n_starts, n_checks;
    uint64_t virtual_us;
    uint64_t hash; /* of all that happened and of the node after each event */
    unsigned faults;
    char violation[ERROR_TEXT_MAX]; /* "": none */
    struct buffer trace;
};

void world_result_release(struct world_result *r);

/* Live through one seed. 0 (a violation is in the result) or -ENOMEM. */
int world_run(const struct world_config *config, struct world_result *ret);
