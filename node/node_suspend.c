/* SPDX-License-Identifier: Apache-2.0 */
/* A run that starts nothing for a while.
 *
 * All that goes on, goes on: attempts that run, their timeouts, the delays of retries.
 * Only the run's own timeout stands still, because it bounds how long the run may take
 * when it may. A suspended run that has nothing left to start ends as any other. */
#include <errno.h>

#include "node/node_internal.h"

int node_on_suspend(struct node *n, struct run *r)
{
    if (r->is_suspended)
        return 0;
    r->is_suspended = true;
    if (r->timer.position) {
        r->timeout_left = r->timer.at > n->now ? r->timer.at - n->now : 1;
        timers_cancel(&n->timers, &r->timer);
    }
    run_sync_queues(r);
    return node_recall_waiting(n, r);
}

int node_on_unsuspend(struct node *n, struct run *r)
{
    time_us left = r->timeout_left;

    if (!r->is_suspended)
        return 0;
    if (left && timers_set(&n->timers, &r->timer, n->now + left) < 0)
        return -ENOMEM;
    r->timeout_left = 0;
    r->is_suspended = false;
    run_sync_queues(r);
    return 0;
}
