/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_internal - the inside of a preparer, shared by node/prepare*.c only.
 *
 *     prepare.c        tasks, and the runs that are being opened for them
 *     prepare_range.c  records of others, by ranges of keys
 */
#pragma once

#include <uthash.h>

#include "node/missing.h"
#include "node/prepare.h"
#include "node/witness.h"

/* A task, or, guest 0, the opening of a run. */
struct waiter {
    uint64_t guest;
    struct run_id run;
};

struct waiters {
    struct waiter *all;
    size_t n, cap;
};
int waiters_add(struct waiters *w, const struct waiter *waiter);

enum range_state {
    RANGE_QUEUED = 1,
    RANGE_ASKED,
    RANGE_LATER, /* not decided here yet: asked again at `at` */
    RANGE_DONE,
};

/* Records under one prefix. */
struct range {
    struct record_key prefix; /* what stands behind its end is zero */
    struct run_id run;
    bool is_run; /* the record of the run itself */
    enum range_state state;
    struct node_id leader, asked;
    unsigned n_tries, n_delays;
    uint64_t request;
    time_us at, give_up;
    struct buffer from; /* where to go on; empty: from the beginning */
    struct witness_sum sum;
    struct digest part; /* RANGE_DONE */
    struct waiters waiters;
    struct range *prev, *next; /* of those in one state */
    UT_hash_handle hh;
};

/* A run's record, package and parameters. */
struct opening {
    struct run_id run;
    struct node_id leader;
    struct run_record record;
    struct flow *flow; /* NULL: its record is not here yet */
    size_t n_missing;
    unsigned n_rounds;
    struct waiters waiters;
    UT_hash_handle hh;
};

enum task_phase { TASK_OPENING = 1, TASK_RECORDS, TASK_BLOBS, TASK_DONE };

struct task {
    uint64_t guest;
    struct run_id run;
    struct task_id id;
    struct node_id leader;
    enum task_phase phase;
    struct flow *flow;  /* a reference, from TASK_RECORDS on */
    struct needs needs; /* likewise */
    size_t n_missing;   /* ranges or blobs */
    unsigned n_rounds;
    int status;
    char *text;
    struct digest witness;
    struct task *prev, *next; /* of those that are done */
    UT_hash_handle hh;
};

struct blob_wait {
    struct digest id;
    struct waiters waiters;
    UT_hash_handle hh;
};

struct preparer {
    const struct artifacts *artifacts;
    struct prepare_ops ops;
    struct task *tasks;
    struct task *done; /* to be told of */
    bool is_telling;
    struct opening *openings;
    struct range *ranges; /* the oldest first */
    struct range *queued, *asked, *later;
    size_t n_asked;
    struct blob_wait *blobs;
    uint64_t last_request;
};

/* ---- prepare.c ---- */

/* What one waited for is there, or, with a status, cannot be had. */
int preparer_wake(struct preparer *p, const struct waiter *w, int status,
                  const char *text, time_us now);
/* The run's record has come. */
int preparer_on_run_record(struct preparer *p, const struct run_id *run,
                           const struct log_entry *entry, time_us now);

/* ---- prepare_range.c ---- */

struct range_order {
    struct run_id run;
    struct node_id leader;
    struct record_key prefix;
    bool is_run;
    struct waiter waiter;
};
/* 1: it is here, and *ret_part says what it is; 0: the waiter will be told; -ENOMEM. */
int range_get(struct preparer *p, const struct range_order *order, time_us now,
              struct digest *ret_part);
/* Ask for what there is room for. */
int ranges_go(struct preparer *p, time_us now);
int ranges_on_tick(struct preparer *p, time_us now);
void range_free(struct preparer *p, struct range *range);
