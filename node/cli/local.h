/* SPDX-License-Identifier: Apache-2.0 */
/* local - a run in this process while somebody watches it.
 *
 * local.c opens the node and submits; local_watch.c shows what happens and answers
 * signals and keys until the node's last run has ended; local_end.c tells what it came
 * to. */
#pragma once

#include "node/cli/order.h"
#include "node/cli/watch.h"

struct local {
    struct runtime *rt;
    struct watch *watch;
    const struct flow *flow; /* the order's */
    struct run_id run;
    uint64_t number;
    bool has_ended, has_company; /* other runs in this node */
    bool owes_summary;
    enum run_outcome outcome;
    unsigned interrupts;
    uv_signal_t on_int, on_term, on_hup, on_stop, on_continue, on_resize;
    uv_prepare_t prepare;
    uv_timer_t frame, linger;
    uv_poll_t keys;
    time_us waits_told; /* when each step's reason to wait was asked for */
};

/* Has the loop show what happens to l->run, which is submitted. 0 or -ENOMEM. */
int local_watch(struct local *l);
/* The loop has ended: shows what is left to show, and waits for the terminal. */
void local_watch_end(struct local *l);
/* The counts of the steps, for watch_source; arg is a struct local. */
void local_count(void *arg, struct progress *p);
