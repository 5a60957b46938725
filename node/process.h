/* SPDX-License-Identifier: Apache-2.0 */
/* process - what /proc tells of a process, and who of them a task left behind.
 *
 * A cgroup v2 knows all processes of a task. Where there is none, a process that left
 * its session is found as a child of ours (we are the subreaper of all that tasks
 * start) that carries its task's token in its environment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"

struct process {
    char state; /* 'R', 'S', 'Z', ... */
    pid_t parent, session;
    bool is_exiting;
};

/* -ESRCH: there is none. */
int process_read(pid_t pid, struct process *ret);
/* Its environment as NUL-ended texts; "" when we may not or it is gone. */
void process_environment(pid_t pid, struct buffer *ret);
/* Whether one of the texts is this, or with is_prefix begins with it. */
bool environment_has(const struct buffer *environment, const char *text,
                     bool is_prefix);

/* Where our children are listed; -1 if the kernel does not. Main thread. */
int process_open_children(void);

/* The kinds of child that are no orphans, such as the leaders of other tasks. */
typedef bool process_is_known_fn(void *arg, pid_t pid);

/* Kills those of our children that a task left behind: of its session, or with this
 * token. Returns how many are still there; 0: none, also none on its way out. */
size_t process_kill_orphans(int children_fd, pid_t session, const char *token,
                            process_is_known_fn *is_known, void *arg);
