/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ITERATIONS_MAX = 1000000, ITERATIONS_DEFAULT = 1000, PRIORITY_DEFAULT = 4 };

/* What the keys of a step are read into. */
struct draft {
    struct step step;
    struct step_source source;
};

#define STEP(field) offsetof(struct draft, step.field)
#define SOURCE(field) offsetof(struct draft, source.field)

static void read_argv(struct check *c, const struct value *v, struct step *step)
{
    size_t n = 0;
    char **argv;

    if (!v->n) {
        complain(c, v, NULL, "'run' in %s is empty", c->where);
        return;
    }
    argv = check_alloc(c, v->n + 1, sizeof(*argv));
    for (const struct value *item = v->u.first; item && !c->error; item = item->next) {
        if (!expect(c, item, VALUE_STRING))
            continue;
        check_template_argument(c, item);
        if (item == v->u.first && !item->n)
            complain(c, item, NULL, "the program that 'run' in %s names is empty",
                     c->where);
        argv[n++] = check_copy(c, item->text, item->n);
    }
    step->action = STEP_RUN_ARGV;
    step->argv = argv;
    step->script = NULL;
    step->python_file = step->python_function = NULL;
}

static void read_run(struct check *c, const struct value *v, void *field)
{
    struct step *step = field;

    if (v->type == VALUE_SEQUENCE) {
        read_argv(c, v, step);
    } else if (v->type != VALUE_STRING) {
        complain(c, v, NULL, "'run' in %s must be a text or a list of texts, not %s",
                 c->where, value_type_name(v->type));
    } else if (v->text[strspn(v->text, " \t\r\n")] == '\0') {
        complain(c, v, NULL, "'run' in %s is empty", c->where);
    } else {
        check_template_shell(c, v);
        step->action = STEP_RUN_SHELL;
        step->script = check_copy(c, v->text, v->n);
        step->argv = NULL;
        step->python_file = step->python_function = NULL;
    }
}

static void read_shell(struct check *c, const struct value *v, void *field)
{
    static const char *const words[] = { "sh", "bash" };
    static const enum shell shells[] = { SHELL_SH, SHELL_BASH };
    size_t which;

    if (expect_word(c, v, words, ARRAY_SIZE(words), &which))
        *(enum shell *)field = shells[which];
}

static void read_effect(struct check *c, const struct value *v, void *field)
{
    static const char *const words[] = { "pure", "idempotent", "exclusive" };
    static const enum effect effects[] = { EFFECT_PURE, EFFECT_IDEMPOTENT,
                                           EFFECT_EXCLUSIVE };
    size_t which;

    if (expect_word(c, v, words, ARRAY_SIZE(words), &which))
        *(enum effect *)field = effects[which];
}

static void read_cache(struct check *c, const struct value *v, void *object)
{
    static const struct key keys[] = {
        { "files", read_texts, offsetof(struct step, cache_files), NULL },
    };
    struct draft *draft = object;

    draft->step.cache_files = NULL;
    if (v->type == VALUE_MAPPING)
        READ_MAPPING(c, v, keys, &draft->step);
    draft->step.has_cache =
        v->type == VALUE_MAPPING || (expect(c, v, VALUE_BOOL) && v->u.boolean);
}

static void read_workdir(struct check *c, const struct value *v, void *field)
{
    if (expect_relative(c, v))
        *(char **)field = check_copy(c, v->text, v->n);
}

static void read_catch_var(struct check *c, const struct value *v, void *field)
{
    if (!expect_text(c, v))
        return;
    if (is_artifact_name(v->text))
        *(char **)field = check_copy(c, v->text, v->n);
    else
        complain(c, v, NULL, "'%.130s' cannot be the name of an artifact", v->text);
}

static void read_catch(struct check *c, const struct value *v, void *object)
{
    static const struct key keys[] = {
        { "var", read_catch_var, 0, NULL },
        { "print", NULL, 0, "whether to show the failure" },
    };
    struct draft *draft = object;
    char *usual = check_copy(c, "failure", 7);

    draft->source.catch = v;
    if (v->type == VALUE_MAPPING) {
        draft->step.catch_var = usual;
        READ_MAPPING(c, v, keys, &draft->step.catch_var);
    } else if (expect(c, v, VALUE_BOOL)) {
        draft->step.catch_var = v->u.boolean ? usual : NULL;
    }
}

static void read_artifacts(struct check *c, const struct value *v, void *field)
{
    read_texts(c, v, field);
    if (v->type != VALUE_SEQUENCE)
        return;
    for (const struct value *item = v->u.first; item; item = item->next)
        if (item->type == VALUE_STRING && item->n && !is_artifact_name(item->text))
            complain(c, item, NULL, "'%.130s' cannot be the name of an artifact",
                     item->text);
}

static void read_merge(struct check *c, const struct value *v, void *object)
{
    static const struct key keys[] = {
        { "include", read_artifacts, offsetof(struct step, merge_include), NULL },
        { "exclude", read_artifacts, offsetof(struct step, merge_exclude), NULL },
    };
    struct draft *draft = object;

    draft->source.merge = v;
    draft->step.has_merge = true;
    READ_MAPPING(c, v, keys, &draft->step);
    if (draft->step.merge_include && draft->step.merge_exclude)
        complain(c, v, NULL, "'merge' in %s has include or exclude, not both",
                 c->where);
}

static bool check_output(struct check *c, const struct value *v)
{
    bool is_absolute = v->type == VALUE_STRING && *v->text == '/';

    if (!is_artifact_name(v->key->text)) {
        complain(c, v->key, NULL, "'%.130s' cannot be the name of an artifact",
                 v->key->text);
        return false;
    }
    if (!is_absolute)
        return expect_relative(c, v);
    check_template_none(c, v);
    return true;
}

static void read_outputs(struct check *c, const struct value *v, void *field)
{
    struct pairs *pairs = field;
    size_t n_older = pairs->n;

    if (!expect(c, v, VALUE_MAPPING) || !pairs_reserve(c, pairs, v->n))
        return;
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next) {
        char *name, *path;

        if (!check_output(c, child))
            continue;
        name = check_copy(c, child->key->text, child->key->n);
        path = check_copy(c, child->text, child->n);
        if (!c->error)
            pairs_set(pairs, n_older, name, path);
    }
}

static void read_cases(struct check *c, const struct value *v, void *field)
{
    struct step *step = field;

    if (!expect(c, v, VALUE_MAPPING))
        return;
    if (!v->n)
        complain(c, v, NULL, "the switch of %s has no cases", c->where);
    step->cases = check_alloc(c, v->n, sizeof(*step->cases));
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next) {
        if (!child->key->n)
            complain(c, child->key, NULL, "a case of %s has no name", c->where);
        if (!expect_text(c, child))
            continue;
        step->cases[step->n_cases].name =
            check_copy(c, child->key->text, child->key->n);
        step->cases[step->n_cases++].target = FLOW_NONE;
    }
}

static void read_iterations(struct check *c, const struct value *v, void *field)
{
    int64_t number;

    if (expect_integer(c, v, 1, ITERATIONS_MAX, &number))
        *(uint32_t *)field = (uint32_t)number;
}

static void read_by(struct check *c, const struct value *v, void *field)
{
    read_catch_var(c, v, field);
}

static void read_default_case(struct check *c, const struct value *v, void *field)
{
    (void)field; /* its name is resolved with the edges */
    expect_text(c, v);
}

static void read_switch(struct check *c, const struct value *v, void *object)
{
    static const struct key keys[] = {
        { "by", read_by, offsetof(struct step, switch_by), NULL },
        { "cases", read_cases, 0, NULL },
        { "default", read_default_case, 0, NULL },
        { "max_iterations", read_iterations, offsetof(struct step, iterations_max),
          NULL },
    };
    static const char *const required[] = { "by", "cases" };
    struct draft *draft = object;

    draft->source.switches = v;
    draft->step.iterations_max = ITERATIONS_DEFAULT;
    READ_MAPPING(c, v, keys, &draft->step);
    for (size_t i = 0; v->type == VALUE_MAPPING && i < ARRAY_SIZE(required); i++)
        if (!value_get(v, required[i]))
            complain(c, v->key, NULL, "the switch of %s has no '%s'", c->where,
                     required[i]);
}

static void read_step_foreach(struct check *c, const struct value *v, void *object)
{
    struct draft *draft = object;

    draft->source.foreach = v;
    read_foreach(c, v, &draft->step.foreach);
    if (!draft->step.foreach.kind) /* it was meant to open a scope */
        draft->step.foreach.kind = FOREACH_RANGE;
}

static void read_step_inputs(struct check *c, const struct value *v, void *object)
{
    struct draft *draft = object;

    draft->source.inputs = v;
    read_inputs(c, v, &draft->step);
}

static void refuse_default(struct check *c, const struct value *v, void *object)
{
    (void)object;
    complain(c, v->key, NULL, "'%s' belongs to one step, it cannot be a default",
             v->key->text);
}

#define KEYS_OF_ANY_STEP                                                               \
    { "run", read_run, STEP(name), NULL }, { "shell", read_shell, STEP(shell), NULL }, \
        { "workdir", read_workdir, STEP(workdir), NULL },                              \
        { "description", read_any, STEP(description), NULL },                          \
        { "outputs", read_outputs, STEP(outputs), NULL },                              \
        { "resources", read_resources, STEP(resources), NULL },                        \
        { "environment", read_environment, STEP(environment), NULL },                  \
        { "retry", read_retry, STEP(retry), NULL },                                    \
        { "timeout", read_duration, STEP(timeout_us), NULL },                          \
        { "catch", read_catch, 0, NULL },                                              \
        { "effect", read_effect, STEP(effect), NULL },                                 \
        { "cache", read_cache, 0, NULL },                                              \
        { "concurrency", read_count, STEP(concurrency), NULL },                        \
        { "priority", read_priority, STEP(priority), NULL },                           \
        { "tags", read_tags, STEP(tags), NULL },                                       \
        { "python", read_python, STEP(name), NULL },                                   \
        { "warm", read_bool, STEP(is_warm), NULL },                                    \
        { "gang", NULL, 0, "tasks that start together" },                              \
        { "image", NULL, 0, "containers" },                                            \
        { "tmpfs", NULL, 0, "a folder in memory" }, { "swap", NULL, 0, "swap space" }, \
        { "spot", NULL, 0, "machines that may be taken away" },                        \
        { "secrets", NULL, 0, "secrets from a manager" },                              \
        { "place", NULL, 0, "where a step runs" }, { "batch", NULL, 0, "AWS Batch" },  \
        { "kubernetes", NULL, 0, "Kubernetes" }, { "slurm", NULL, 0, "Slurm" },        \
        { "durable", NULL, 0, "copies of what a step keeps" },                         \
    {                                                                                  \
        "on_quorum_loss", NULL, 0, "runs on several nodes"                             \
    }

static const struct key step_keys[] = {
    KEYS_OF_ANY_STEP,
    { "next", read_value, SOURCE(next), NULL },
    { "needs", read_value, SOURCE(needs), NULL },
    { "join", read_value, SOURCE(join), NULL },
    { "foreach", read_step_foreach, 0, NULL },
    { "switch", read_switch, 0, NULL },
    { "inputs", read_step_inputs, 0, NULL },
    { "merge", read_merge, 0, NULL },
};

static const struct key default_keys[] = {
    KEYS_OF_ANY_STEP,
    { "next", refuse_default, 0, NULL },
    { "needs", refuse_default, 0, NULL },
    { "join", refuse_default, 0, NULL },
    { "foreach", refuse_default, 0, NULL },
    { "switch", refuse_default, 0, NULL },
    { "inputs", refuse_default, 0, NULL },
    { "merge", refuse_default, 0, NULL },
};

static const struct key hook_keys[] = {
    { "run", read_run, STEP(name), NULL },
    { "shell", read_shell, STEP(shell), NULL },
    { "workdir", read_workdir, STEP(workdir), NULL },
    { "python", read_python, STEP(name), NULL },
};

static struct step blank_step(void)
{
    return (struct step){
        .shell = SHELL_SH,
        .is_warm = true,
        .joins = FLOW_NONE,
        .closes = FLOW_NONE,
        .switch_default = FLOW_NONE,
        .resources = { .cpu_milli = 1000 },
        .retry = { .backoff = 1,
                   .when = RETRY_ERROR | RETRY_TIMEOUT | RETRY_LOST | RETRY_OOM,
                   .lost_max = 3 },
        .effect = EFFECT_PURE,
        .priority = PRIORITY_DEFAULT,
    };
}

static void check_one_action(struct check *c, const struct value *v)
{
    const struct value *python = value_get(v, "python");

    if (python && value_get(v, "run"))
        complain(c, python->key, "take one of them away",
                 "both 'run' and 'python' in %s", c->where);
}

void check_defaults(struct check *c, const struct value *v)
{
    struct draft draft = { .step = blank_step() };

    c->where = "the defaults";
    if (v && expect_mapping(c, v)) {
        READ_MAPPING(c, v, default_keys, &draft);
        check_one_action(c, v);
    }
    c->defaults = check_alloc(c, 1, sizeof(*c->defaults));
    if (c->defaults)
        *c->defaults = draft.step;
}

/* One step's body, or a hook's. */
static struct draft read_body(struct check *c, const struct value *v,
                              const struct step *base, const struct key *keys,
                              size_t n_keys)
{
    struct draft draft = { .step = *base };

    draft.source.value = v;
    draft.step.line = v->key->at.line;
    draft.step.column = v->key->at.column;
    if (expect_mapping(c, v)) {
        read_mapping(c, v, keys, n_keys, &draft);
        check_one_action(c, v);
    }
    draft.step.has_limits = draft.step.resources.memory_bytes > 0;
    if (v->type == VALUE_MAPPING && !draft.step.action && !value_get(v, "run")
        && !value_get(v, "python"))
        complain(c, v->key, "write `run: COMMAND` or `python: FILE.py:FUNCTION`",
                 "%s does nothing", c->where);
    return draft;
}

static void read_step(struct check *c, const struct value *v, uint32_t i)
{
    struct step *step = &c->flow->steps[i];
    char *name = step->name;
    char where[160];
    struct draft draft;

    snprintf(where, sizeof(where), "step '%.130s'", v->key->text);
    c->where = where;
    draft = read_body(c, v, c->defaults, step_keys, ARRAY_SIZE(step_keys));
    c->where = NULL;
    *step = draft.step;
    step->name = name;
    c->sources[i] = draft.source;
}

/* All names first, because steps speak of later ones. */
static bool name_steps(struct check *c, const struct value *v)
{
    struct flow *f = c->flow;
    uint32_t i = 0;

    for (const struct value *child = v->u.first; child; child = child->next, i++) {
        struct step *step = &f->steps[i];
        int r;

        if (!is_step_name(child->key->text))
            complain(c, child->key,
                     "a letter, then letters, digits and _, 128 characters at most",
                     "'%.130s' cannot be the name of a step", child->key->text);
        step->name = check_copy(c, child->key->text, child->key->n);
        if (c->error)
            return false;
        r = names_add(f->names, step->name, i);
        if (r == -ENOMEM) {
            c->error = r;
            return false;
        }
        c->has_twins = c->has_twins || r == -EEXIST;
    }
    return true;
}

void check_steps(struct check *c, const struct value *v)
{
    struct flow *f = c->flow;
    uint32_t i = 0;

    c->where = "the flow";
    if (!expect(c, v, VALUE_MAPPING))
        return;
    if (!v->n) {
        complain(c, v, NULL, "a flow has at least one step");
        return;
    }
    f->steps = check_alloc(c, v->n + 2, sizeof(*f->steps)); /* and two hooks */
    c->sources = check_alloc(c, v->n, sizeof(*c->sources));
    if (c->error)
        return;
    f->n_steps = f->n_all_steps = v->n;
    if (!name_steps(c, v))
        return;
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next)
        read_step(c, child, i++);
}

static void read_hook(struct check *c, const struct value *v, uint32_t *ret_hook,
                      const char *name)
{
    const struct step blank = blank_step();
    struct flow *f = c->flow;
    struct draft draft;
    struct step *step;

    if (!v)
        return;
    c->where = name;
    draft = read_body(c, v, &blank, hook_keys, ARRAY_SIZE(hook_keys));
    if (!f->steps || c->error)
        return;
    step = &f->steps[f->n_all_steps];
    *step = draft.step;
    step->is_hook = true;
    step->name = check_copy(c, name, strlen(name));
    if (c->error || names_add(f->names, step->name, f->n_all_steps) < 0)
        c->error = -ENOMEM;
    *ret_hook = f->n_all_steps++;
}

void check_hooks(struct check *c, const struct value *on_exit)
{
    static const struct key keys[] = {
        { "success", read_value, 0, NULL },
        { "error", read_value, sizeof(void *), NULL },
    };
    const struct value *hooks[2] = { NULL, NULL };

    c->where = "on_exit";
    if (!on_exit)
        return;
    READ_MAPPING(c, on_exit, keys, hooks);
    read_hook(c, hooks[0], &c->flow->on_success, "on_exit.success");
    read_hook(c, hooks[1], &c->flow->on_error, "on_exit.error");
}
