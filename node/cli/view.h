/* SPDX-License-Identifier: Apache-2.0 */
/* view - the block at the bottom of the terminal while a run is followed.
 *
 *     Train, run 42, for 1 min 12 s: 412 done, 4 running, 2 failed, 586 waiting, 98/s
 *      ✓ start  ━━━━━━━━━━━━━━━━━━━━      1/1
 *     ›• fit    ━━━━━━━━╸             412/1,000  4 running  2 failed  98/s  6.0 s left
 *          fit/411 for 1.2 s (pid 4711)
 *        join                           0/1      it waits for 'fit'
 *        … 12 more steps: 12 waiting
 *     ? keys
 *
 * Never taller or wider than it may be: steps are folded (those that failed or run stay
 * longest), texts are cut by the columns they take.
 *
 * Pure: from what is known, the size and the time to lines. */
#pragma once

#include "node/cli/progress.h"

enum view_mode {
    VIEW_STEPS = 1,
    VIEW_HELP,   /* what the keys do */
    VIEW_CANCEL, /* asks whether the run shall be cancelled */
};

enum { VIEW_NONE = UINT32_MAX };

struct view {
    enum view_mode mode;
    uint32_t selected;    /* a step's index, or VIEW_NONE */
    const char *followed; /* `fit/3`: the one task whose lines are shown; NULL: all */
    bool is_paused;       /* lines wait */
    bool can_detach;      /* `q` leaves, and the run goes on */
    bool is_owner;        /* Ctrl-C cancels, else it leaves */
    const char *notice;   /* a sentence instead of the hint about keys; NULL: none */
    size_t width, height; /* of the terminal */
    bool has_colour, has_unicode;
};

/* Append the lines of the block, each ended by \n and at most width - 1 columns wide,
 * at most height - 1 of them. Nothing for a terminal without room. */
void view_render(const struct view *v, const struct progress *p, time_us now,
                 struct buffer *out);

/* The step that `j` (by 1) or `k` (by -1) goes to from one: of those that are shown at
 * all. VIEW_NONE: there is none. */
uint32_t view_next_step(const struct progress *p, uint32_t from, int by);
