/* SPDX-License-Identifier: Apache-2.0 */
/* workbench - the folder of a task, laid out again for somebody who looks into it.
 *
 *     DIR/exec/NAME/session   whose it is; locked by who works there
 *     DIR/exec/NAME/code      the package       in, out, tmp   as the task had them
 *     DIR/exec/NAME/rerun     a script that does what the task did
 *
 * Its token is good at the task's channel for reading what the task could read; what is
 * put goes to `out` and is kept nowhere. All that a node knows of it is in its folder:
 * another node of the same data folder serves it as well, and removes it when nobody
 * holds the lock any more. Any thread. */
#pragma once

#include "node/launch.h"

struct workbench_order {
    const struct launch_config *config;
    const struct artifacts *artifacts;
    const struct run_record *record;
    struct flow *flow;
    char **take_values; /* of the parameters */
    struct task_id task;
    uint32_t attempt;
};

struct workbench {
    char *dir, *work_path, *code_path;
    char *rerun;   /* the script; NULL: there is nothing to run */
    char *problem; /* why not; NULL: nothing */
    char **argv;   /* of the task; NULL-terminated */
    struct variables env;
};

void workbench_release(struct workbench *b);

/* On failure nothing is left. The text names what is missing. */
int workbench_make(const struct workbench_order *order, struct workbench *ret,
                   struct error *ret_error);

/* Whose the token is. */
struct workbench_session {
    char token[SLOT_TOKEN_SIZE];
    struct run_id run;
    char *step, *task; /* as text */
    uint32_t attempt;
    char *out_dir;
};
void workbench_session_release(struct workbench_session *s);
/* -EACCES: there is none with this token. */
int workbench_find(const char *data_dir, const char *token,
                   struct workbench_session *ret);

/* Remove those that nobody works at. */
void workbench_sweep(const char *data_dir);
