/* SPDX-License-Identifier: Apache-2.0 */
/* runs - what is known of the runs that go on, or ended lately.
 *
 * The note of a run is one writer's at a time: its leader's. Ballots order leaders, so
 * the greater (generation, ballot, seq) replaces, whatever the order of arrival. */
#pragma once

#include "gossip/gossip.h"

enum { RUNS_MAX = 8192 };

struct run_row {
    struct run_note note; /* its user is owned */
    time_us heard;
    bool is_own;     /* told by this node, nobody else took over since */
    bool is_waiting; /* changed, but not enough to be told at once */
    time_us told;
    uint64_t told_ready;
};

struct runs {
    struct run_row **rows; /* ascending by id, that is by age */
    size_t n, cap;
    uint64_t seq; /* of what is told, in this boot */
};

void runs_release(struct runs *r);
struct run_row *runs_find(const struct runs *r, const struct run_id *run);

/* -1, 0, 1 by (generation, ballot, seq); that it has ended, and not tentatively, is
 * more than any other: the ballot of a tentative leader may be beyond those of the
 * sealed. */
int run_note_compare(const struct run_note *a, const struct run_note *b);
/* Copied if it is newer; ret_row is then its row, else NULL.
 * -ENOMEM */
int runs_learn(struct runs *r, const struct run_note *note, time_us now,
               struct run_row **ret_row);
/* Whether all should hear of this now, where they know `before`. */
bool run_is_urgent(const struct run_row *row, const struct run_note *before,
                   time_us now);
/* Whether what changed, or was renewed, of an own row has waited for long enough. */
bool run_is_due(const struct run_row *row, time_us now);
/* Forget what is old: what has ended after 10 min, what nobody renews after a minute,
 * for its leader is gone, or its end was not heard here. */
void runs_sweep(struct runs *r, time_us now);
