/* SPDX-License-Identifier: Apache-2.0 */
/* watch - what somebody sees who follows a run: lines, or in a terminal the live view.
 *
 * Lines go through a console. The live view keeps them until the next frame, shows the
 * newest of them above its block, and never waits for the terminal: one that is slow
 * gets fewer frames and fewer lines, and is told how many are left out.
 *
 *     event -> console -> lines --.
 *     counts -> progress -> view --+-> paint -> tty
 *     keys -> what is selected ----'
 *
 * Whoever owns the loop calls watch_frame() when watch_due() says so, and watch_keys()
 * when there is something to read. */
#pragma once

#include "node/cli/console.h"
#include "node/cli/options.h"
#include "node/cli/progress.h"

enum {
    WATCH_FRAME_MS = 80,    /* between two frames when something happens */
    WATCH_FRAME_LINES = 60, /* more lines than that between two frames are left out */
};

enum watch_asks {
    WATCH_NOTHING = 0,
    WATCH_CANCEL = 1, /* the run shall be cancelled */
    WATCH_SUSPEND,    /* it shall start nothing for a while, or go on */
    WATCH_LEAVE,      /* `q` of one that may */
};

struct watch_source {
    /* Brings the counts of all steps up to date, before each frame. */
    void (*count)(void *arg, struct progress *p);
    void *arg;
    bool can_detach; /* the run goes on without us */
    bool is_owner;   /* Ctrl-C is the run's */
};

struct watch;

/* Live if the options do not forbid it and standard output is a terminal that can. */
struct watch *watch_new(const struct options *o, const struct watch_source *source);
void watch_free(struct watch *w); /* leaves the terminal as it was */
CLEANUP_POINTER(struct watch, watch_free);

bool watch_is_live(const struct watch *w);
bool watch_is_quiet(const struct watch *w); /* --quiet */
/* To be told the names of the steps: see progress_begin(). */
struct progress *watch_progress(struct watch *w);

/* As for a console. */
void watch_event(struct watch *w, const struct feed_event *event);
void watch_event_of(struct watch *w, const struct feed_event *event, const char *task);
void watch_json(struct watch *w, const char *name, const char *data, size_t len);

/* Lines are to be shown. */
bool watch_has_lines(const struct watch *w);
/* When a frame, or the next writing of lines, is due: wall time. */
time_us watch_due(const struct watch *w);
/* Draws; without a live view writes the lines. */
void watch_frame(struct watch *w, time_us now);
/* The block goes, all lines are written: something else is to be said. The next frame
 * brings it back. */
void watch_hide(struct watch *w);
/* The view is over: as if --plain had been given. */
void watch_end(struct watch *w);

/* The descriptor to read keys from, which comes and goes with each frame, -1: none; and
 * what they ask for. */
int watch_keys_fd(const struct watch *w);
enum watch_asks watch_keys(struct watch *w, time_us now);
/* Ctrl-Z: puts the terminal back, stops the process, returns when it goes on. */
void watch_stop(struct watch *w);
/* SIGCONT: another program may have used the terminal. */
void watch_continue(struct watch *w);
/* After the end: the terminal has not taken all of it yet. watch_wait() waits for it.
 */
bool watch_is_stuck(const struct watch *w);
void watch_wait(struct watch *w);
/* The terminal went away: nobody sees anything any more. */
bool watch_is_gone(const struct watch *w);
