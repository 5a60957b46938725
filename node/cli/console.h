/* SPDX-License-Identifier: Apache-2.0 */
/* console - what a follower reads: a line for each start, end and line of output.
 *
 *     Workflow starting (run-id 40):
 *     [40/start/0 (pid 52979)] Task is starting.
 *     [40/start/0 (pid 52979)] Mesh says: Hi!
 *     [40/start/0 (pid 52979)] Task finished successfully.
 *     Workflow ended: OK in 1.2 s, 1 task.
 *
 * Told by a feed in the same process or by events that came over a socket. A line that
 * is not whole waits for its end, or for the end of its attempt. Lines are collected
 * and written by console_flush(), or when CONSOLE_BYTES are there: who follows ten
 * thousand tasks must not slow them. */
#pragma once

#include "base/buffer.h"
#include "node/feed.h"

enum {
    CONSOLE_BYTES = 64 << 10,
    CONSOLE_LINE_MAX = 64 << 10, /* longer lines are cut into several */
    CONSOLE_LAST_LINES = 8,      /* of the first failure, in the summary */
};

struct console_config {
    int fd;
    /* Takes the lines in place of fd; NULL: fd. */
    void (*sink)(void *arg, const char *lines, size_t len);
    void *sink_arg;
    bool has_colour;
    bool is_quiet;       /* only failures, the start and the end */
    bool has_timestamps; /* local time before each line */
    bool is_plain;       /* only what tasks wrote: `mesh logs` */
    bool is_json; /* each event as it is, a line of JSON; the others say nothing */
};

struct console;

struct console *console_new(const struct console_config *config);
void console_free(struct console *c); /* flushes */
CLEANUP_POINTER(struct console, console_free);

/* As it is told by node/feed.h. */
void console_event(struct console *c, const struct feed_event *event);
/* The same for one that names its task by text: the event's task is not looked at.
 * Not for a console that is_json. */
void console_event_of(struct console *c, const struct feed_event *event,
                      const char *task);
/* An event that came as JSON, for a console that is_json. */
void console_json(struct console *c, const char *name, const char *data, size_t len);
/* From now on only the lines of this task of the run are shown, and what is said of it:
 * `fit/3`, first the last ones that were seen. NULL: of all. */
void console_only(struct console *c, const char *run, const char *task);
/* From now on lines are written to the descriptor. */
void console_unsink(struct console *c);
/* Lines that were not ended are whole now. */
void console_end_lines(struct console *c);

bool console_is_empty(const struct console *c);
/* 0, or what write() said; then nothing is written any more. */
int console_flush(struct console *c);

/* The sentence on why an attempt failed: `exit code 3`, `killed by SIGSEGV`. */
void console_reason(const struct feed_event *event, struct buffer *out);
