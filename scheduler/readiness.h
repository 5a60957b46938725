/* SPDX-License-Identifier: Apache-2.0 */
/* readiness - what becomes ready, or is skipped, when a task is done.
 *
 * A task is released when all edges into it are resolved: ready if one of them at
 * least is alive, skipped if all are dead. An edge is dead when its task was skipped,
 * or is a switch that took another way.
 *
 *     EDGE_SAME    index i waits for index i
 *     EDGE_DOWN    all of an instance wait for one task above it
 *     EDGE_CLOSE   one task waits for all of the instance below it; alive if one of
 *                  these is, or if there is none (an empty foreach)
 *
 * Changes spread by a work list, never by recursion over steps, and as ranges: a
 * million tasks become ready, or are skipped, in one move. */
#pragma once

#include "scheduler/run.h"

/* The case of a switch that an attempt took: its number, n_cases for the default, or
 * FLOW_NONE if there is none. */
uint32_t switch_case_of(const struct step *s, const char *choice);
/* Where the case leads; FLOW_NONE: nowhere. */
uint32_t switch_target(const struct step *s, uint32_t taken);

/* Note that a task is done: its case and width. Nothing follows yet. -ENOMEM. */
int readiness_note_done(struct run *r, struct span *s, uint64_t index, uint32_t taken);
/* The width of the scope that an opener's done task opens; its instance is made. */
int readiness_note_width(struct run *r, struct span *s, uint64_t index, uint64_t width);

/* The task was noted as done: release what waited for it. -ENOMEM. */
int readiness_done(struct run *r, struct span *s, uint64_t index);
/* Open the root of a run that was loaded, and all that is below done openers. -ENOMEM.
 */
int readiness_open(struct run *r);
