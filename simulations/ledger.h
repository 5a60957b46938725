/* SPDX-License-Identifier: Apache-2.0 */
/* ledger - what was seen of runs and tasks, kept beside the node to judge it.
 *
 * It is written from the records that the node persists and that a restart reads, never
 * from the node's own state. A crash empties it but for what was told. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/time.h"
#include "flow/flow.h"
#include "proto/record.h"

struct ledger_attempt {
    uint32_t attempt;
    enum verdict verdict;
    enum reason reason;
    int exit_code;
    uint64_t ticket; /* 0: read at a restart */
    bool is_told;
};

struct ledger_task {
    struct task_id id;
    uint8_t key[TASK_ID_SIZE_MAX];
    UT_hash_handle hh;

    struct ledger_attempt *attempts;
    size_t n_attempts, cap_attempts;
    enum verdict counted; /* of the attempt that counts; 0: none */
    bool has_width;
    uint64_t width;
    char *choice; /* NULL: none */

    bool was_told_done; /* survives a crash */
    bool is_running;
    uint32_t slot, running_attempt;
    time_us not_before; /* of the next attempt; 0: at once */
    uint64_t fence;     /* of the last attempt that started; survives a crash */
};

struct ledger_run {
    struct run_id id;
    uint64_t number;
    struct flow *flow;          /* a reference */
    enum on_failure on_failure; /* the flow's, or what the submission says */
    uint32_t max_workers;       /* likewise */
    char user[16];
    struct ledger_task *tasks;
    bool is_accepted, is_ended; /* told; these survive a crash */
    bool is_known;              /* the node has it in this life */
    bool is_held;
    bool has_end; /* its end record was persisted in this life, or found */
    uint64_t accept_ticket;
    struct run_end_record end;
    uint64_t end_ticket;
    time_us started;      /* of this life of the node */
    unsigned n_cancels;   /* of this life */
    bool was_cancelled;   /* in any life */
    bool is_suspended;    /* survives a crash */
    time_us suspended;    /* in this life; its timeout stands still since */
    bool is_cancel_old;   /* asked for in an earlier life, told again by the restart */
    bool cancel_was_late; /* all was resolved, or it was failing, by then */
    bool is_stopping;     /* on_failure forbids new starts */
    uint32_t n_running;
    uint32_t first_failed; /* step of the first failure; FLOW_NONE: none, or unclear */
    time_us first_failed_wall;
};

void ledger_run_release(struct ledger_run *r);
/* Forget what a crash loses. */
void ledger_run_crash(struct ledger_run *r);

/* NULL if there is none. */
struct ledger_task *ledger_find(const struct ledger_run *r, const struct task_id *id);
/* Made when there is none; NULL without memory. */
struct ledger_task *ledger_task(struct ledger_run *r, const struct task_id *id);
/* Write down an ended attempt; NULL without memory. */
struct ledger_attempt *ledger_add(struct ledger_run *r,
                                  const struct attempt_record *record);
struct ledger_attempt *ledger_attempt(const struct ledger_task *t, uint32_t attempt);
uint32_t ledger_count(const struct ledger_task *t, enum verdict verdict);
const struct ledger_attempt *ledger_last(const struct ledger_task *t);

static inline bool verdict_counts(enum verdict v)
{
    return v == VERDICT_DONE || v == VERDICT_CAUGHT || v == VERDICT_ADOPTED;
}
