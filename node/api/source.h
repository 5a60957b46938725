/* SPDX-License-Identifier: Apache-2.0 */
/* source - the run, the flow and the task that a path names.
 *
 * A run that is active lends its flow; that of an ended one is read from its record, on
 * a thread because a flow file may be long. */
#pragma once

#include "node/api/request.h"

/* For `begin`: finds params[0]; REQUEST_NEXT, or 0 when there is none. */
int source_begin(struct request *r);
/* For `work`: sees to r->flow. False with the reply set. */
bool source_flow(struct request *r);
/* Needs r->flow. False with the reply set. */
bool source_step(struct request *r, const char *name, uint32_t *ret_step);
bool source_task(struct request *r, const char *step, const char *task,
                 struct task_id *ret_task);

/* The keys of the attempts that ?step= and ?task= name; needs r->flow. */
bool source_prefix(struct request *r, struct record_key *ret_prefix);
/* The first key behind ?after=STEP/TASK/ATTEMPT, where the page before ended; length 0
 * when it was not asked for. */
bool source_after(struct request *r, struct record_key *ret_key);

/* The record of a run; -ENOENT. Any thread. */
int source_record(struct request *r, const struct run_id *run,
                  struct run_record *ret_record);
int source_end(struct request *r, const struct run_id *run,
               struct run_end_record *ret_end);
/* -ENOENT: nobody changed the run. */
int source_state(struct request *r, const struct run_id *run,
                 struct run_state_record *ret_state);
/* The next attempt that can be read, as attempt_reader_next(): what is damaged counts
 * for nothing here, verify tells of it. -ECANCELED: the node is stopping. On a thread.
 */
struct attempt_reader;
int source_attempt(struct request *r, struct attempt_reader *reader,
                   const struct attempt_record **ret_attempt);
uint32_t source_depth(const struct flow *f, uint32_t step);
/* Attempts of all runs that run now. */
uint64_t source_count_running(const struct node *n);
