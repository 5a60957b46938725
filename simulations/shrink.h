/* SPDX-License-Identifier: Apache-2.0 */
/* shrink - makes a failing seed of the cluster a small story.
 *
 * Leaves out what the seed drew, a piece at a time: clients, users, faults, strikes
 * (halves first, then smaller parts: A. Zeller, R. Hildebrandt, Simplifying and
 * Isolating Failure-Inducing Input, 2002), nodes, steps of flows; and keeps what still
 * violates the same rule. A chance of the network that came at the right moment may
 * come at another one then, so each piece is tried with some other chances too. */
#pragma once

#include "simulations/cluster.h"

/* *config fails with `rule`, as in a violation's text before ':'. 0, with *config as
 * small as it got and, in *ret_lives, how many histories that took; -ENOMEM. */
int shrink(struct cluster_config *config, const char *rule, uint64_t *ret_lives);
