/* SPDX-License-Identifier: Apache-2.0 */
/* run_plan - what a run computes of its flow once: edges, order, classes. */
#pragma once

#include "scheduler/run.h"

/* Fills in steps, edges, queues and scope_spans. -ENOMEM. */
int run_plan(struct run *r);
/* The queues anew, after r->refusals changed. -ENOMEM, and the run is of no use. */
int run_plan_queues(struct run *r);
/* A half-made plan is fine. */
void run_plan_release(struct run *r);
