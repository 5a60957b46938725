/* SPDX-License-Identifier: Apache-2.0 */
/* checkers - what must hold of a node at every moment, whatever happened to it.
 *
 * The world tells what it does to the node (before the step) and what the node answers
 * (each action, in order). The first thing that must not be is kept in `violation`. The
 * rules are listed in docs/simulation.md; the names there stand in front of each text.
 */
#pragma once

#include "base/error.h"
#include "node/node.h"
#include "simulations/disk.h"
#include "simulations/ledger.h"

enum { CHECKER_SLOTS_MAX = 16, CHECKER_LOST_MAX = 32 };

struct checker_slot {
    struct ledger_run *run; /* NULL: free */
    struct ledger_task *task;
    uint32_t attempt;
    time_us since, termed, killed; /* 0: not yet */
    uint64_t gpus;                 /* a bit for each that it was given */
    uint32_t gpu_shared;           /* the one of these that it has a part of */
    enum reason why;
    bool is_fencing; /* taken, but nothing runs in it yet */
};

struct checker {
    const struct node_config *config;
    struct disk *disk;
    time_us slack; /* how late ticks may come */
    time_us now;
    struct ledger_run **runs;
    size_t n_runs;
    struct checker_slot slots[CHECKER_SLOTS_MAX];
    uint64_t last_ticket;
    bool is_restoring; /* the node has not seen all records yet */
    struct {
        struct ledger_run *run; /* NULL: no attempt is ending in this step */
        struct task_id task;
        uint32_t attempt;
        enum reason reason, why; /* as it ended; of a kill */
        bool is_written;
    } ending;
    struct {
        struct run_id run;
        struct task_id task;
    } lost[CHECKER_LOST_MAX]; /* what a restart told to be lost */
    size_t n_lost;
    uint64_t n_checks;
    char violation[ERROR_TEXT_MAX]; /* "": none */
};

void checker_release(struct checker *c);
void checker_violation(struct checker *c, const char *rule, const char *format, ...)
    PRINTF_LIKE(3, 4);
static inline bool checker_failed(const struct checker *c)
{
    return c->violation[0] != '\0';
}

/* NULL if it does not know such a run. */
struct ledger_run *checker_run(const struct checker *c, const struct run_id *id);

/* ---- what the world does, before node_step() ---- */

/* Takes a reference to the flow. NULL without memory. */
struct ledger_run *checker_submit(struct checker *c, const struct run_record *record,
                                  struct flow *flow, bool is_held);
void checker_cancel(struct checker *c, const struct run_id *run);
/* Also at a restart, before checker_restore_end(), of a run that was suspended. */
void checker_suspend(struct checker *c, const struct run_id *run);
void checker_unsuspend(struct checker *c, const struct run_id *run);
void checker_ended(struct checker *c, uint32_t slot, enum reason reason);
void checker_crash(struct checker *c);
void checker_restore_run(struct checker *c, const struct run_record *record);
void checker_restore_attempt(struct checker *c, const struct attempt_record *record);
void checker_restore_lost(struct checker *c, const struct run_id *run,
                          const struct task_id *task);
void checker_restore_end(struct checker *c);

/* ---- what the node does ---- */

/* Also of ACTION_FENCED, which takes the slot. */
void checker_start(struct checker *c, const struct action *a);
/* The node is about to hear that it is durable: it starts, or the slot is free. */
void checker_fenced(struct checker *c, uint32_t slot);
void checker_kill(struct checker *c, const struct action *a);
void checker_persist(struct checker *c, const struct action *a);
void checker_tell(struct checker *c, const struct action *a);
/* The tell's ticket became durable, says the writer: now others hear of it. */
void checker_told(struct checker *c, const struct action *a);
void checker_stepped(struct checker *c, const struct node *n);
/* Nothing is left to happen. */
void checker_finish(struct checker *c);

/* ---- shared by checkers*.c ---- */

bool checker_timed_out(const struct checker *c, const struct ledger_run *r);
bool checker_has_error_hook(const struct ledger_run *r);
/* Whether on_failure, a cancel or the run's own timeout may keep ready tasks of the run
 * from being started. */
bool checker_may_leave_ready(const struct checker *c, const struct ledger_run *r);
/* An attempt's end was written, or read (then the ticket is 0). */
void checker_note_attempt(struct checker *c, struct ledger_run *r,
                          const struct attempt_record *record, uint64_t ticket);
