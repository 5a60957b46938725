/* SPDX-License-Identifier: Apache-2.0 */
#include "node/launch.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/parameters.h"
#include "node/python.h"
#include "scheduler/gpus.h"

/* Programs that use GPUs see these and no others. */
static const char gpus_variable[] = "CUDA_VISIBLE_DEVICES";
static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

static void free_list(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

static char **copy_list(char *const *list, size_t n)
{
    char **copy = calloc(n + 1, sizeof(*copy));

    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(list[i]);
        if (!copy[i]) {
            free_list(copy);
            return NULL;
        }
    }
    return copy;
}

/* ---- a run ---- */

/* What a task inherits of the node's environment: all but what names this node. */
static int inherit(struct run_context *c)
{
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "MESH_", 5) != 0 && strchr(*e, '=')) {
            int r = variables_set(&c->env, strdup(*e));

            if (r < 0)
                return r;
        }
    return 0;
}

/* The running mesh's own folder comes last, for steps that call mesh. */
static int set_path(struct run_context *c, const char *program_dir)
{
    const char *path = variables_find(&c->env, "PATH");

    return variables_printf(&c->env, "PATH=%s:%s", path && *path ? path : default_path,
                            program_dir);
}

static int set_pairs(const struct run_context *c, const struct pair *pairs,
                     size_t n_pairs, struct variables *env)
{
    for (size_t i = 0; i < n_pairs; i++) {
        CLEANUP(freep)
        char *value = parameters_substitute(c->flow, c->values, pairs[i].value);
        int r = value ? variables_printf(env, "%s=%s", pairs[i].name, value) : -ENOMEM;

        if (r < 0)
            return r;
    }
    return 0;
}

/* One that is too long for the environment is had by `inputs` alone: with it no task
 * could be started at all. */
static int set_parameters(struct run_context *c)
{
    for (size_t i = 0; i < c->flow->n_parameters; i++) {
        CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
        int r;

        if (!c->values[i])
            continue;
        r = parameter_variable(c->flow->parameters[i].name, &name);
        if (r == 0 && name.len + strlen(c->values[i]) + 2 > VARIABLE_BYTES_MAX)
            continue;
        if (r == 0)
            r = variables_printf(&c->env, "%s=%s", buffer_text(&name), c->values[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_account(struct run_context *c, const struct account *a)
{
    int r = 0;

    if (!a)
        return 0;
    c->account = *a;
    c->has_account = true;
    r = variables_printf(&c->env, "HOME=%s", a->home);
    if (r == 0)
        r = variables_printf(&c->env, "USER=%s", a->name);
    return r < 0 ? r : variables_printf(&c->env, "LOGNAME=%s", a->name);
}

static int make_environment(struct run_context *c, const struct launch_config *config)
{
    int r = inherit(c);

    if (r == 0)
        r = set_account(c, config->account);

    if (r == 0)
        r = set_path(c, config->program_dir);
    if (r == 0)
        r = set_pairs(c, c->flow->environment, c->flow->n_environment, &c->env);
    if (r == 0)
        r = set_parameters(c);
    if (r == 0)
        r = variables_printf(&c->env, "MESH_RUN=%" PRIu64, c->number);
    if (r == 0)
        r = variables_printf(&c->env, "MESH_RUN_ID=%s", c->id_text);
    if (r == 0)
        r = variables_printf(&c->env, "MESH_CODE=%s", c->code_path);
    if (r == 0)
        r = variables_printf(&c->env, "MESH_DATA=%s", config->data_dir);
    if (r == 0)
        r = variables_printf(&c->env, "MESH_CHANNEL=%s", config->task_socket);
    return r;
}

static char *code_path_of(const struct launch_config *config, const char *run)
{
    char *path;

    if (config->code_path)
        return strdup(config->code_path);
    return asprintf(&path, "%s/code/%s", config->data_dir, run) < 0 ? NULL : path;
}

int run_context_new(const struct launch_config *config, const struct run_record *record,
                    struct flow *flow, char **take_values,
                    struct run_context **ret_context)
{
    struct run_context *c = calloc(1, sizeof(*c));
    int r;

    if (!c) {
        parameters_free(flow, take_values);
        return -ENOMEM;
    }
    c->id = record->run;
    c->number = record->number;
    c->package = record->package;
    c->has_gpus = config->has_gpus;
    c->flow = flow_ref(flow);
    c->values = take_values;
    run_id_text(&c->id, c->id_text);
    c->user = strdup(record->user ? record->user : "");
    c->tags = copy_list(record->tags, record->n_tags);
    c->steps = calloc(flow->n_all_steps, sizeof(*c->steps));
    c->python_dir = python_folder(config->program_dir);
    c->node_name = config->node_name ? strdup(config->node_name) : NULL;
    if (!c->steps || (config->node_name && !c->node_name) || !c->user || !c->tags
        || !c->python_dir || !(c->code_path = code_path_of(config, c->id_text)))
        r = -ENOMEM;
    else
        r = make_environment(c, config);
    if (r == 0)
        r = redact_init(&c->redact, flow, take_values);
    if (r < 0) {
        run_context_free(c);
        return r;
    }
    *ret_context = c;
    return 0;
}

void run_context_free(struct run_context *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; c->steps && i < c->flow->n_all_steps; i++) {
        free(c->steps[i].path);
        free(c->steps[i].work_path);
        free_list(c->steps[i].argv);
        variables_release(&c->steps[i].env);
    }
    free(c->steps);
    redact_release(&c->redact);
    variables_release(&c->env);
    parameters_free(c->flow, c->values);
    flow_unref(c->flow);
    free(c->code_path);
    free(c->python_dir);
    free(c->node_name);
    free(c->user);
    free_list(c->tags);
    free(c);
}

/* ---- a step ---- */

bool launch_is_program(const char *path)
{
    struct stat st;

    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* As execvp() looks for it, but in the task's PATH and from its folder. */
static char *find_program(const char *name, const struct step_launch *s)
{
    const char *path = variables_find(&s->env, "PATH");
    char *found = NULL;

    if (name[0] == '/')
        return launch_is_program(name) ? strdup(name) : NULL;
    if (strchr(name, '/')) {
        if (asprintf(&found, "%s/%s", s->work_path, name) < 0)
            return NULL;
        if (!launch_is_program(found))
            free(TAKE(found));
        return found;
    }
    for (const char *dir = path ? path : default_path; *dir;) {
        size_t len = strcspn(dir, ":");

        if (len && asprintf(&found, "%.*s/%s", (int)len, dir, name) > 0) {
            if (launch_is_program(found))
                return found;
            free(TAKE(found));
        }
        dir += len + (dir[len] == ':');
    }
    return NULL;
}

static int make_shell_argv(const struct step *step, char ***ret_argv)
{
    const char *const sh[] = { "/bin/sh", "-euc", step->script, "sh" };
    const char *const bash[] = { "/bin/bash", "-euo",       "pipefail",
                                 "-c",        step->script, "bash" };
    bool is_bash = step->shell == SHELL_BASH;

    *ret_argv = copy_list((char *const *)(is_bash ? bash : sh),
                          is_bash ? ARRAY_SIZE(bash) : ARRAY_SIZE(sh));
    return *ret_argv ? 0 : -ENOMEM;
}

/* What finds no interpreter is told with the other programs that are not there. */
static int make_python_argv(const char *path, char ***ret_argv)
{
    CLEANUP(freep) char *program = python_find(path ? path : default_path);

    *ret_argv = python_task_argv(program ? program : "python3");
    return *ret_argv ? 0 : -ENOMEM;
}

static int make_argv(const struct run_context *c, const struct step *step,
                     const char *path, char ***ret_argv)
{
    size_t n = 0;
    char **argv;

    if (step->action == STEP_RUN_SHELL)
        return make_shell_argv(step, ret_argv);
    if (step->action == STEP_PYTHON)
        return make_python_argv(path, ret_argv);
    while (step->argv[n])
        n++;
    argv = calloc(n + 1, sizeof(*argv));
    for (size_t i = 0; argv && i < n; i++) {
        argv[i] = parameters_substitute(c->flow, c->values, step->argv[i]);
        if (!argv[i]) {
            free_list(argv);
            return -ENOMEM;
        }
    }
    *ret_argv = argv;
    return argv ? 0 : -ENOMEM;
}

static int prepare_step(struct run_context *c, const struct step *step,
                        struct step_launch *s, struct error *ret_error)
{
    struct stat st;
    int r;

    if (variables_copy(&c->env, &s->env) < 0
        || asprintf(&s->work_path, "%s%s%s", c->code_path, step->workdir ? "/" : "",
                    step->workdir ? step->workdir : "")
               < 0)
        return -ENOMEM;
    r = set_pairs(c, step->environment, step->n_environment, &s->env);
    if (c->has_gpus)
        variables_unset(&s->env, gpus_variable);
    if (r == 0)
        r = variables_printf(&s->env, "MESH_STEP=%s", step->name);
    if (r == 0 && step->action == STEP_PYTHON)
        r = python_set_variables(c, step, &s->env);
    if (r == 0)
        r = make_argv(c, step, variables_find(&s->env, "PATH"), &s->argv);
    if (r < 0)
        return r;
    if (stat(s->work_path, &st) < 0 || !S_ISDIR(st.st_mode))
        return fail(ret_error, -ENOENT, "there is no folder '%s' in the package",
                    step->workdir ? step->workdir : ".");
    s->path = find_program(s->argv[0], s);
    if (!s->path)
        return fail(ret_error, -ENOENT,
                    "cannot run '%s': no such program, or not executable", s->argv[0]);
    return 0;
}

static void forget_step(struct step_launch *s)
{
    free(s->path);
    free(s->work_path);
    free_list(s->argv);
    variables_release(&s->env);
    *s = (struct step_launch){ .is_ready = false };
}

int launch_step(struct run_context *c, uint32_t step, struct step_launch **ret_step,
                struct error *ret_error)
{
    struct step_launch *s = &c->steps[step];

    if (!s->is_ready) {
        int r = prepare_step(c, &c->flow->steps[step], s, ret_error);

        if (r < 0) {
            forget_step(s);
            return r;
        }
        s->is_ready = true;
    }
    *ret_step = s;
    return 0;
}

/* ---- a task ---- */

void launch_scratch_release(struct launch_scratch *s)
{
    buffer_release(&s->text);
    free(s->offsets);
    free(s->envp);
    *s = (struct launch_scratch){ .cap = 0 };
}

/* A variable is a short name and at most a path and a task. */
enum { TASK_VARIABLES_MAX = 20, VARIABLE_MAX = 4096 + TASK_TEXT_SIZE + 64 };

static int reserve(struct launch_scratch *s, size_t n)
{
    size_t *offsets;
    char **envp;

    if (n <= s->cap)
        return 0;
    offsets = realloc(s->offsets, n * sizeof(*offsets));
    if (offsets)
        s->offsets = offsets;
    envp = realloc(s->envp, n * sizeof(*envp));
    if (envp)
        s->envp = envp;
    if (!offsets || !envp)
        return -ENOMEM;
    s->cap = n;
    return 0;
}

/* A JSON string becomes its text; anything else stays compact JSON. */
static void put_item_text(struct buffer *out, const char *item)
{
    json_t *value = item[0] == '"' ? json_loads(item, JSON_DECODE_ANY, NULL) : NULL;

    if (value)
        buffer_append(out, json_string_value(value), json_string_length(value));
    else
        buffer_puts(out, item);
    json_decref(value);
}

/* Ends the variable that begins at `from`, or takes it back when it is too long. */
static void end_item(struct launch_scratch *s, size_t *n, size_t from)
{
    buffer_append(&s->text, "", 1);
    if (s->text.len - from <= VARIABLE_BYTES_MAX)
        s->offsets[(*n)++] = from;
    else
        s->text.len = from;
}

/* MESH_INPUT and MESH_INPUTS, unless they are too long for the environment. */
static int put_items(struct launch_scratch *scratch, size_t *n, const struct slot *slot,
                     struct items *items, const struct artifacts *a)
{
    CLEANUP(buffer_release) struct buffer all = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer item = BUFFER_INIT;
    struct buffer *text = &scratch->text;
    size_t from;

    for (uint32_t level = 0; level < slot->task.depth; level++) {
        int r;

        buffer_clear(&item);
        r = items_get(items, a, slot->flow, &slot->run->id, &slot->task, level, &item);
        if (r < 0)
            return r;
        buffer_printf(&all, "%s%s", level ? "," : "[", buffer_text(&item));
    }
    from = text->len;
    buffer_puts(text, "MESH_INPUT=");
    put_item_text(text, buffer_text(&item));
    end_item(scratch, n, from);
    from = text->len;
    buffer_printf(text, "MESH_INPUTS=%s]", buffer_text(&all));
    end_item(scratch, n, from);
    return buffer_failed(&all) ? buffer_failed(&all) : buffer_failed(text);
}

PRINTF_LIKE(3, 4)
static void put(struct launch_scratch *s, size_t *n, const char *format, ...)
{
    va_list args;
    char *at = buffer_reserve(&s->text, VARIABLE_MAX);
    int len;

    if (!at)
        return;
    va_start(args, format);
    len = vsnprintf(at, VARIABLE_MAX, format, args);
    va_end(args);
    s->offsets[(*n)++] = s->text.len;
    s->text.len += min_size((size_t)len, VARIABLE_MAX - 1) + 1;
}

int launch_environment(struct launch_scratch *scratch, const struct run_context *c,
                       const struct step_launch *step, const struct slot *slot,
                       struct items *items, const struct artifacts *artifacts,
                       char ***ret_envp)
{
    const struct task_id *t = &slot->task;
    char task[TASK_TEXT_SIZE];
    size_t n = 0;
    int r = reserve(scratch, step->env.n + TASK_VARIABLES_MAX + 1);

    if (r < 0)
        return r;
    buffer_clear(&scratch->text);
    task_id_text(t, task);
    put(scratch, &n, "MESH_TASK=%s", task);
    put(scratch, &n, "MESH_ATTEMPT=%" PRIu32, slot->attempt);
    put(scratch, &n, "MESH_INDEX=%" PRIu64, t->depth ? t->path[t->depth - 1] : 0);
    put(scratch, &n, "MESH_ITERATION=%" PRIu32, t->iteration);
    put(scratch, &n, "MESH_OUT=%s", slot->out.path);
    put(scratch, &n, "MESH_TEMPDIR=%s", slot->tmp.path);
    put(scratch, &n, "MESH_IN=%s", slot->in_path);
    put(scratch, &n, "MESH_TOKEN=%s", slot->token);
    if (c->has_gpus) {
        char gpus[GPUS_TEXT_SIZE];

        gpus_text(slot->gpus, gpus);
        put(scratch, &n, "MESH_GPUS=%s", gpus);
        put(scratch, &n, "%s=%s", gpus_variable, gpus);
    }
    put(scratch, &n, "MESH_IDEMPOTENCY_KEY=%s/%s/%s", c->id_text,
        c->flow->steps[t->step].name, task);
    if (c->node_name) {
        put(scratch, &n, "MESH_NODE=%s", c->node_name);
        put(scratch, &n, "MESH_EPOCH=%" PRIu64 ".%" PRIu64, slot->generation,
            slot->ballot);
    }
    if (c->node_name || slot->fence)
        put(scratch, &n, "MESH_FENCE=%" PRIu64, slot->fence);
    r = t->depth ? put_items(scratch, &n, slot, items, artifacts) : 0;
    if (r < 0)
        return r;
    if (buffer_failed(&scratch->text))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        scratch->envp[i] = scratch->text.data + scratch->offsets[i];
    memcpy(scratch->envp + n, step->env.all,
           (step->env.n + 1) * sizeof(*scratch->envp));
    *ret_envp = scratch->envp;
    return 0;
}

/* ---- why it did not start ---- */

/* The first text that is too long for one; else how long all are together. */
static const char *find_too_long(char *const *list, size_t *total)
{
    for (; *list; list++) {
        size_t size = strlen(*list) + 1;

        if (size > VARIABLE_BYTES_MAX)
            return *list;
        *total += size + sizeof(*list);
    }
    return NULL;
}

static int explain_too_long(const struct step_launch *step, char *const *envp,
                            struct error *ret_error)
{
    size_t total = 0;
    const char *text = find_too_long(step->argv, &total);

    if (text)
        return fail(
            ret_error, -E2BIG,
            "cannot run '%s': an argument has %zu bytes, and the system takes %d; "
            "put a long script into a file of the package",
            step->path, strlen(text) + 1, VARIABLE_BYTES_MAX);
    text = find_too_long(envp, &total);
    if (text)
        return fail(ret_error, -E2BIG,
                    "cannot run '%s': the variable %.*s has %zu bytes, and the system "
                    "takes %d; put long data into a file of the package",
                    step->path, (int)min_size(strcspn(text, "="), 100), text,
                    strlen(text) + 1, VARIABLE_BYTES_MAX);
    return fail(ret_error, -E2BIG,
                "cannot run '%s': arguments and environment have %zu bytes together, "
                "which is more than the system takes (see ulimit -s)",
                step->path, total);
}

int launch_explain(const struct step_launch *step, char *const *envp,
                   const char *failed_in, int error, struct error *ret_error)
{
    bool in_exec = strcmp(failed_in, "exec") == 0;

    if (error == -E2BIG)
        return explain_too_long(step, envp, ret_error);
    if (in_exec && error == -ENOEXEC)
        return fail(ret_error, error,
                    "cannot run '%s': it is neither a program nor does it begin with a "
                    "line '#!'",
                    step->path);
    if (in_exec && error == -ENOENT)
        return fail(ret_error, error,
                    "cannot run '%s': the interpreter that it names is not there",
                    step->path);
    if (strcmp(failed_in, "chdir") == 0)
        return fail(
            ret_error, error,
            "cannot enter the working folder %s: %s; did another task change it?",
            step->work_path, strerror(-error));
    return fail(ret_error, error, "cannot run '%s': %s: %s", step->path, failed_in,
                strerror(-error));
}
