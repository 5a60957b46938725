/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_warm - which Python tasks are forked from a server, and what becomes of them.
 *
 * A run has a server for each environment of its steps. While it imports, one task at a
 * time is started plain beside it, so that a light step does not wait for the heavy
 * imports of a later one; others wait. A slot in `starting` waits for its server:
 *
 *     queued ---> sent ---> answered: the slot runs
 *        |          |
 *        '----------'-- the server has gone or cannot: a plain process
 *
 *     cold -> starting -> ready -> cold (it was lost, or has grown) -> ...
 *                |          '----> off  (it was lost too often: all are plain)
 *                '---------------> off  (it says that it cannot)
 */
#pragma once

#include "node/warm_group.h"

struct runtime;

enum {
    WARM_GROUPS_MAX = 64, /* of a node */
    WARM_GROUPS_OF_RUN_MAX = 4,
};

/* Whether the slot's task waits for its server now; else it is to be started plain. */
bool runtime_warm_take(struct runtime *rt, struct slot *s);
/* Something of this server is ready: what it says, its end, its log. */
void runtime_warm_on_answer(struct runtime *rt, uint32_t index);
void runtime_warm_on_exit(struct runtime *rt, uint32_t index);
void runtime_warm_on_log(struct runtime *rt, uint32_t index);
/* A starting slot's child may have begun: read the answers. */
void runtime_warm_catch_up(struct runtime *rt, const struct slot *s);
/* A signal for a slot that is starting. */
void runtime_warm_kill(struct runtime *rt, struct slot *s, int signal);
/* The slot's task has ended. */
void runtime_warm_left(struct runtime *rt, const struct slot *s);
void runtime_warm_forget(struct runtime *rt, const struct run_context *c);
/* Whether this process is a server; whether one was asked and has not answered, so that
 * a child whom nobody knows may be a task. */
bool runtime_warm_is_server(const struct runtime *rt, pid_t pid);
bool runtime_warm_is_asking(const struct runtime *rt);
/* The servers are not handed over: each ends when it can, and is replaced when this
 * process does not become another program after all. No slot is starting. */
void runtime_warm_kill_all(struct runtime *rt);
/* Ends all; slots whose child has begun are running then. */
void runtime_warm_close(struct runtime *rt);
