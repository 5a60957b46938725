/* SPDX-License-Identifier: Apache-2.0 */
/* crowd - a node among workers, told event by event; what it answers is a trace.
 *
 *     struct crowd *c = crowd_new(2);
 *     crowd_worker(c, 1, &(struct crowd_worker){ .slots = 4 });
 *     crowd_submit(c, "a\n");               run 1, sketched as in story.h
 *     crowd_ended(c, "a/0", REASON_OK);     here or at its worker
 *     assert_string_equal(crowd_trace(c), "start a/0#0 slot 0\na/0#0 done\nrun 1
 * ok\n"); crowd_free(c);
 *
 * Tasks are named as in traces, without the attempt; those of other runs than the first
 * as `2:a/0`. A name that is not there fails the test. */
#pragma once

#include "node/node.h"

struct crowd;

struct crowd_worker {
    uint32_t slots, ahead_percent;                /* 0: 100 */
    uint64_t cpu_milli, gpu_milli, licence_milli; /* cpu 0: plenty */
};

/* So many slots here and plenty of all else; grace is 1 s. */
struct crowd *crowd_new(uint32_t slots);
/* Users have limits; kept by the caller. */
struct crowd *crowd_new_shared(uint32_t slots, const struct sharing *sharing);
void crowd_free(struct crowd *c);
struct node *crowd_node(const struct crowd *c);
/* Since the last call; valid until the next one. */
const char *crowd_trace(struct crowd *c);

/* Time goes on to this many ms; what is due happens. */
void crowd_at(struct crowd *c, uint64_t ms);

unsigned crowd_submit(struct crowd *c, const char *sketch);
/* EVENT_CANCEL, EVENT_SUSPEND, EVENT_UNSUSPEND, EVENT_DROP. */
void crowd_run_event(struct crowd *c, unsigned run, enum event_type type);
void crowd_keeping(struct crowd *c, unsigned run, int32_t change);
void crowd_drain(struct crowd *c, bool is_draining);
void crowd_members(struct crowd *c, bool has_others);

void crowd_worker(struct crowd *c, uint32_t number, const struct crowd_worker *w);
void crowd_gone(struct crowd *c, uint32_t number);
void crowd_started(struct crowd *c, const char *task);
void crowd_returned(struct crowd *c, const char *task);
/* A worker, or 0, this node, does not carry the run out by its policy. */
void crowd_refused(struct crowd *c, unsigned run, uint32_t worker);
void crowd_ended(struct crowd *c, const char *task, enum reason reason);
/* Of a foreach over an artifact. */
void crowd_ended_width(struct crowd *c, const char *task, uint64_t width);
void crowd_late(struct crowd *c, const char *task, enum reason reason);

/* All but the records is forgotten; then the runs are read back, and each held task is
 * told of: `NAME at WORKER` or `NAME waits at WORKER`, up to NULL. */
void crowd_take_over(struct crowd *c, uint32_t slots, const char *const *held);
/* EVENT_HELD of a run that goes on. */
void crowd_held(struct crowd *c, const char *held);

/* A lease of another leader: `task` of a flow sketched like this. */
void crowd_guest(struct crowd *c, uint64_t id, const char *sketch, const char *task);
void crowd_guest_end(struct crowd *c, uint64_t id, int signal);
/* What runs in this slot ended. */
void crowd_slot_ended(struct crowd *c, uint32_t slot, enum reason reason);
