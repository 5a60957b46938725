/* SPDX-License-Identifier: Apache-2.0 */
/* flow - what was asked: a checked flow, ready to be scheduled.
 *
 * flow_read() (read.h) makes one from the text of a .mf file; everything in it is then
 * valid: names resolve, the graph is acyclic but for a switch step that returns to
 * itself, and every foreach is closed. Immutable after that and counted by reference,
 * because runs, the interface and the runtime hold it together.
 *
 * Scopes. A foreach step opens a scope; the steps behind it run once for each item
 * until a step with `join` closes it. Scope 0 is the root. Scopes nest:
 *
 *     start --foreach--> group --foreach--> fit --> inner_join --> outer_join --> end
 *     |    scope 0     | | scope 1        | | 2 | |   scope 1   | |     scope 0     |
 *
 * An edge's kind follows from the scopes of its two ends; see flow_edge_kind().
 *
 * Switches. Every case of a switch step is an edge to its target, but for a case that
 * returns to the step itself: that is no edge, it makes the step's next iteration. When
 * the step is done, the edges to targets it did not choose are dead. A step whose
 * incoming edges are all dead is skipped, and its own edges are dead then; one that has
 * an edge alive runs as soon as every edge is either dead or done. What waits for a
 * switch step is always the target of a case or of its default.
 *
 * Hooks are called `on_exit.success` and `on_exit.error`; no step can be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"
#include "base/macros.h"
#include "base/time.h"

struct arena;
struct names;

enum { FLOW_NONE = UINT32_MAX, RESOURCES_CUSTOM_MAX = 6 };

enum step_action {
    STEP_RUN_SHELL = 1, /* script, by `shell` */
    STEP_RUN_ARGV,      /* argv, no shell */
    STEP_PYTHON,        /* a function of a file of the package */
};

enum shell { SHELL_SH = 1, SHELL_BASH };

enum foreach_kind {
    FOREACH_NONE = 0, /* the step opens no scope */
    FOREACH_ARTIFACT, /* width known when the step is done */
    FOREACH_ITEMS,    /* the others: width known before anything runs */
    FOREACH_RANGE,
    FOREACH_GLOB,   /* items filled in by flow_set_glob_items() at submit */
    FOREACH_MATRIX, /* items are the combinations, last key fastest */
};

struct foreach {
    enum foreach_kind kind;
    char *artifact; /* FOREACH_ARTIFACT; the pattern for FOREACH_GLOB */
    uint64_t width; /* all but FOREACH_ARTIFACT */
    char **items;   /* width of them, each compact JSON; NULL for FOREACH_RANGE */
    uint32_t scope; /* the scope it opens */
};

/* What a task needs of a node, as a vector: it fits when it fits in each entry. */
struct resources {
    uint64_t cpu_milli;
    uint64_t memory_bytes; /* 0: no limit asked */
    uint64_t disk_bytes;
    uint64_t gpu_milli;
    struct {
        uint32_t name; /* index in flow->custom_names */
        uint64_t milli;
    } custom[RESOURCES_CUSTOM_MAX];
    uint32_t n_custom;
};

struct pair {
    char *name, *value;
};

/* {name: SOURCE} of `inputs`; laid out at $MESH_IN/<as>. */
struct step_input {
    char *name, *as;
    uint32_t step; /* an ancestor; FLOW_NONE: what came along the edge, or a url */
    char *artifact;
    char *url; /* file: only, so far */
};

struct switch_case {
    char *name;
    uint32_t target;
};

enum retry_when { RETRY_ERROR = 1, RETRY_TIMEOUT = 2, RETRY_LOST = 4, RETRY_OOM = 8 };

struct retry {
    uint32_t times;
    time_us delay_us;
    double backoff;  /* the delay is multiplied by it for each further retry; >= 1 */
    uint32_t when;   /* enum retry_when, or-ed */
    int *exit_codes; /* only these are retried; NULL: all but 202 */
    size_t n_exit_codes;
    uint32_t lost_max; /* so many losses count as a failure */
};

enum effect { EFFECT_PURE = 1, EFFECT_IDEMPOTENT, EFFECT_EXCLUSIVE };

struct step {
    char *name, *description;
    uint32_t line, column; /* where it stands in the file, from 1 */

    enum step_action action;
    char *script;
    char **argv; /* NULL-terminated; may hold ${{ params.x }} */
    enum shell shell;
    char *python_file, *python_function; /* the file's path from the package's top */
    bool is_warm;  /* may be forked from a process that has imported its file */
    char *workdir; /* relative to the package; NULL: its top */

    uint32_t scope;   /* the scope its tasks live in */
    uint32_t *before; /* steps it waits for, ascending */
    uint32_t *after;  /* steps that wait for it, as written */
    uint32_t n_before, n_after;
    struct foreach foreach;
    uint32_t joins;  /* the step whose split it closes, or FLOW_NONE */
    uint32_t closes; /* the scope it closes, or FLOW_NONE (a static branch) */
    bool has_inputs; /* `inputs` of its function: it joins, or several steps lead to
                        it and not one of them alone, or it `needs` some */
    bool has_merge;
    char **merge_include, **merge_exclude; /* NULL-terminated, or NULL */

    char *switch_by; /* artifact that names the case; NULL: not a switch */
    struct switch_case *cases;
    uint32_t n_cases;
    uint32_t switch_default; /* FLOW_NONE: no matching case fails the task */
    uint32_t iterations_max; /* of a switch that returns to itself */

    struct step_input *inputs;
    size_t n_inputs;
    struct pair *outputs; /* artifact name, path below the working folder or absolute */
    size_t n_outputs;

    struct resources resources;
    bool has_limits; /* the file asked for memory: a cgroup is worth its cost */
    struct pair *environment;
    size_t n_environment;
    struct retry retry;
    time_us timeout_us; /* of an attempt; 0: none */
    char *catch_var;    /* NULL: no catch */
    enum effect effect;
    bool has_cache;
    char **cache_files; /* paths or globs in the package; NULL: those that run names */
    uint32_t concurrency; /* tasks of this step at once; 0: no cap */
    uint32_t priority;    /* 0..9 */
    char **tags;          /* NULL-terminated, or NULL */
    bool is_hook;         /* on_exit: behind the others in steps[], in no graph */
};

struct scope {
    uint32_t parent; /* FLOW_NONE for the root */
    uint32_t depth;  /* 0 for the root */
    uint32_t opener; /* the foreach step, in the parent scope */
    uint32_t closer; /* the step that joins it, in the parent scope */
    uint32_t *steps; /* the steps of this scope, ascending */
    uint32_t n_steps;
};

enum parameter_type {
    PARAMETER_STRING = 1,
    PARAMETER_INT,
    PARAMETER_FLOAT,
    PARAMETER_BOOL,
    PARAMETER_JSON,
    PARAMETER_FILE,
    PARAMETER_DATETIME,
};

struct parameter {
    char *name, *help, *separator;
    enum parameter_type type;
    char *default_text; /* as given on the command line would be; NULL: none */
    bool is_required, is_secret;
    char **choices; /* NULL-terminated, or NULL */
    bool has_min, has_max;
    double min, max;
};

enum on_failure { ON_FAILURE_STOP = 1, ON_FAILURE_FINISH, ON_FAILURE_KILL };

struct flow {
    uint32_t refs;
    char *name, *description;
    char **tags;
    bool is_needs; /* edges were written with `needs`: nothing passes implicitly */

    struct step *steps; /* as written; then the hooks */
    uint32_t n_steps;   /* without the hooks */
    uint32_t n_all_steps;
    uint32_t start, end;           /* FLOW_NONE when there are several */
    uint32_t on_success, on_error; /* hooks, or FLOW_NONE */
    struct scope *scopes;
    uint32_t n_scopes;

    struct parameter *parameters;
    size_t n_parameters;
    char **custom_names; /* of custom resources */
    size_t n_custom_names;

    uint32_t max_workers; /* 0: no cap */
    time_us timeout_us;   /* of the run; 0: none */
    uint32_t priority;
    uint64_t max_log_bytes;
    enum on_failure on_failure;
    struct pair *environment;
    size_t n_environment;
    char **package_include, **package_exclude; /* NULL-terminated, or NULL */

    struct arena *arena; /* owns all of the above */
    struct names *names; /* of the steps and hooks */
};

struct flow *flow_ref(struct flow *f);
void flow_unref(struct flow *f);
CLEANUP_POINTER(struct flow, flow_unref);

/* FLOW_NONE if there is no such step. O(1). */
uint32_t flow_find_step(const struct flow *f, const char *name);

enum edge_kind {
    EDGE_SAME = 1, /* both in one scope: index i waits for index i */
    EDGE_DOWN,     /* from an enclosing scope: all indexes below wait for the one */
    EDGE_CLOSE,    /* from the scope that the second step closes: waits for all */
};
enum edge_kind flow_edge_kind(const struct flow *f, uint32_t from, uint32_t to);

/* The files a FOREACH_GLOB step matched in the package, sorted. Takes a copy; may be
 * called once for each such step, before the flow is submitted. 0 or -ENOMEM. */
int flow_set_glob_items(struct flow *f, uint32_t step, char *const *paths, size_t n);
