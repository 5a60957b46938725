/* SPDX-License-Identifier: Apache-2.0 */
/* warm_group - the Python steps of a run that one fork server serves, and the tasks
 * that wait for it.
 *
 * The steps of a group have one environment, so one process may stand for them all. The
 * queue holds numbers of slots; the first n_sent of them were asked for, in this order,
 * and are answered in this order. */
#pragma once

#include "node/launch.h"
#include "node/warm.h"

enum { WARM_NO_SLOT = UINT32_MAX };

enum warm_state {
    WARM_COLD = 1, /* no server */
    WARM_STARTING,
    WARM_READY,
    WARM_OFF,
    WARM_ENDING, /* its run has ended */
};

struct warm_group {
    struct run_context *run; /* borrowed; NULL when ending */
    uint32_t index;          /* in the runtime's list */
    uint32_t step;           /* the first of those it serves */
    enum warm_state state;
    struct warm_server server;
    int exit_code;  /* of a server that was reaped, while its socket is open yet */
    bool has_ended; /* its socket, while the process is there yet */
    unsigned n_lost;
    uint32_t beside;   /* the slot of the task that runs while it starts, or
                          WARM_NO_SLOT */
    uint32_t *waiting; /* slots, a ring of as many places as the runtime has slots */
    uint32_t n_places, head, n, n_sent;
    uint64_t resident, n_answers;
    bool has_grown;
    size_t log_bytes;
};

/* For the steps that have the environment of this one. NULL without memory. */
struct warm_group *warm_group_new(struct run_context *run, uint32_t step,
                                  uint32_t n_slots);
/* The server must be reaped and closed. */
void warm_group_free(struct warm_group *g);

/* Whether the step may be forked at all; by this group's server; and whether steps with
 * the environment of `first` have more than one task, which is worth a server. */
bool warm_step(const struct step *s);
bool warm_group_serves(const struct warm_group *g, const struct step *s);
bool warm_is_worth(const struct flow *flow, const struct step *first);

/* The server's variables, by those of one of its steps. -E2BIG: too many files. */
int warm_group_variables(const struct warm_group *g, const struct step_launch *l,
                         struct variables *ret);

/* ---- the queue ---- */

uint32_t warm_group_at(const struct warm_group *g, uint32_t i);
void warm_group_add(struct warm_group *g, uint32_t slot);
uint32_t warm_group_take(struct warm_group *g); /* the first */
void warm_group_remove(struct warm_group *g, uint32_t i);
