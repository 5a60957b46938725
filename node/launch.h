/* SPDX-License-Identifier: Apache-2.0 */
/* launch - what to exec for a task: program, arguments, environment, folder.
 *
 * All that is equal for the tasks of a step is worked out once a run: the path of the
 * program, arguments with parameters put in, most of the environment. A task adds a
 * dozen variables in one buffer, which is used again after each exec. */
#pragma once

#include <uthash.h>

#include "node/account.h"
#include "node/items.h"
#include "node/redact.h"
#include "node/slot.h"
#include "node/variables.h"

/* What Linux takes of one argument or variable, its name and NUL included
 * (MAX_ARG_STRLEN). Longer items are for `mesh artifact get input`. */
enum { VARIABLE_BYTES_MAX = 128 << 10 };

struct step_launch {
    bool is_ready;
    uint32_t warm; /* which of the node's fork servers, from 1; see runtime_warm.h */
    char *path, *work_path;
    char **argv;          /* NULL-terminated */
    struct variables env; /* of the step: the run's, with the step's on top */
    bool has_cache_digest;
    struct digest cache_digest; /* of node/cache.h: what is equal for all its tasks */
};

enum { WARM_NEVER = UINT32_MAX };

/* A run that this node executes. */
struct run_context {
    struct run_id id;
    uint64_t number;
    char id_text[RUN_ID_TEXT_SIZE];
    struct flow *flow;
    char **values;   /* of the parameters */
    char *code_path; /* the package, laid out */
    bool is_laid_out;
    enum refusal refusal; /* what the node's policy says of it */
    bool is_leaving;      /* it goes when nothing here needs it any more */
    bool has_gpus;        /* the node: tasks are told which are theirs */
    size_t n_files;       /* of the package */
    struct digest package;
    char *user;
    char **tags;          /* NULL-terminated */
    struct redact redact; /* what is not to stand in a log */
    struct account account;
    bool has_account;     /* its tasks have this one, not ours */
    char *python_dir;     /* where the package `mesh` lies */
    char *node_name;      /* among others; NULL: the node is alone */
    struct variables env; /* of every task */
    struct step_launch *steps;
    UT_hash_handle hh;
};

struct launch_config {
    const char *data_dir, *task_socket, *program_dir; /* of mesh itself, for PATH */
    bool has_gpus;
    const char *node_name;         /* among others; NULL: it is alone */
    const struct account *account; /* of its tasks; NULL: ours */
    const char
        *code_path; /* where the package is laid out; NULL: the run's own place */
};

/* Takes a reference of the flow and the parameters' values. */
int run_context_new(const struct launch_config *config, const struct run_record *record,
                    struct flow *flow, char **take_values,
                    struct run_context **ret_context);
void run_context_free(struct run_context *c);

/* Whether it is a file that may be executed. */
bool launch_is_program(const char *path);

/* Works out a step, once. -ENOENT: there is no such program; the text names it. */
int launch_step(struct run_context *c, uint32_t step, struct step_launch **ret_step,
                struct error *ret_error);

/* One for a node. */
struct launch_scratch {
    struct buffer text;
    size_t *offsets;
    char **envp;
    size_t cap;
};
void launch_scratch_release(struct launch_scratch *s);

/* The environment of the slot's task, valid until the next call. */
int launch_environment(struct launch_scratch *scratch, const struct run_context *c,
                       const struct step_launch *step, const struct slot *slot,
                       struct items *items, const struct artifacts *artifacts,
                       char ***ret_envp);

/* Says what spawn_task() could not do for a task of this step; returns error. */
int launch_explain(const struct step_launch *step, char *const *envp,
                   const char *failed_in, int error, struct error *ret_error);
