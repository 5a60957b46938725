/* SPDX-License-Identifier: Apache-2.0 */
/* prepare - gets all that a task of a run which another node leads needs, before it is
 * started here.
 *
 *     opening  the run's record, its code package and the parameters that are files;
 *              once for a run
 *     records  the attempts of the tasks before it that it can see: node/witness.h;
 *              each range of keys once, by parts
 *     blobs    its inputs, and the lists that it is one item of
 *
 * Records come from who leads the run, or else from its homes, and are kept in the
 * store beside the node's own, so that what finds artifacts needs to know nothing of
 * it. Many tasks are prepared at once; what several wait for is asked for once. A task
 * for which something cannot be had is given back with a status.
 *
 * It is told the time and what arrived; what leaves goes through a table of functions,
 * so that tests can be the peers. None of them may call back, but for on_done. */
#pragma once

#include "base/time.h"
#include "node/artifacts.h"
#include "proto/message.h"

enum {
    PREPARE_ASKED_MAX = 64,     /* questions for records at once */
    PREPARE_RANGES_MAX = 65536, /* that are known to be here; beyond, asked anew */
    PREPARE_PART_BYTES = 256 << 10,
};

struct prepared {
    uint64_t guest;
    struct run_id run;
    int status;        /* 0, or why it cannot be carried out here */
    const char *text;  /* with a status: for a person */
    struct flow *flow; /* borrowed for the call */
    struct digest witness;
};

struct prepare_ops {
    /* Negative: it is not there; somebody else is asked. */
    int (*get_records)(void *arg, const struct node_id *peer,
                       const struct records_get_message *get);
    /* Keep the records of a run; durability is not needed.
     * -EAGAIN: this node keeps the run's log itself, and they are not there yet: they
     * are asked for again a moment later. */
    int (*keep)(void *arg, const struct run_id *run, const struct log_entry *entries,
                size_t n);
    /* The run's record and flow are here, and nothing else was got yet: whether this
     * node may carry it out. -EPERM with the reason. */
    int (*may_open)(void *arg, const struct run_record *record, const struct flow *flow,
                    struct error *ret_error);
    /* The package and the parameters are here: have the run ready to start tasks. */
    int (*open_run)(void *arg, const struct run_record *record, struct flow *flow,
                    struct error *ret_error);
    /* The flow of a run that is ready, borrowed; NULL: it is not. */
    struct flow *(*find_run)(void *arg, const struct run_id *run);
    /* Get a blob that is not here; preparer_on_blob() tells, later. 1: it is by now. */
    int (*get_blob)(void *arg, const struct run_id *run, const struct node_id *leader,
                    const struct digest *id);
    /* Who else keeps the run's records, at most HOMES_MAX; returns how many. */
    size_t (*find_homes)(void *arg, const struct run_id *run, struct node_id *ret);
    /* May call preparer_start() and preparer_cancel(). */
    void (*on_done)(void *arg, const struct prepared *prepared);
    void *arg;
};

struct preparer;

/* NULL without memory. The artifacts are borrowed. */
struct preparer *preparer_new(const struct artifacts *artifacts,
                              const struct prepare_ops *ops);
void preparer_free(struct preparer *p);
CLEANUP_POINTER(struct preparer, preparer_free);

/* All return 0 or -ENOMEM, after which the node must be given up. */

/* A guest is a number that is in no use. */
int preparer_start(struct preparer *p, uint64_t guest, const struct run_id *run,
                   const struct task_id *task, const struct node_id *leader,
                   time_us now);
/* Nobody wants it any more; on_done is not called for it. */
int preparer_cancel(struct preparer *p, uint64_t guest, time_us now);
int preparer_on_records(struct preparer *p, const struct node_id *from,
                        const struct records_message *records, time_us now);
int preparer_on_blob(struct preparer *p, const struct digest *id, int status,
                     time_us now);
/* Who was asked there will not answer. */
int preparer_on_gone(struct preparer *p, const struct node_id *peer, time_us now);
int preparer_on_tick(struct preparer *p, time_us now);
time_us preparer_deadline(const struct preparer *p);

/* What was got of a run counts no more: it was decided anew, or it is over. */
void preparer_forget(struct preparer *p, const struct run_id *run);
