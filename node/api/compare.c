/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters ---- */

static const struct record_parameter *find_parameter(const struct run_record *r,
                                                     const char *name)
{
    for (size_t i = 0; i < r->n_parameters; i++)
        if (strcmp(r->parameters[i].name, name) == 0)
            return &r->parameters[i];
    return NULL;
}

int compare_parameters(const struct run_record *before, const struct run_record *after,
                       compare_parameter_fn *each, void *arg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < before->n_parameters; i++) {
        const struct record_parameter *a = &before->parameters[i];
        const struct record_parameter *b = find_parameter(after, a->name);

        if (!b || a->is_secret != b->is_secret || strcmp(a->value, b->value) != 0)
            r = each(arg, a, b);
    }
    for (size_t i = 0; r == 0 && i < after->n_parameters; i++)
        if (!find_parameter(before, after->parameters[i].name))
            r = each(arg, NULL, &after->parameters[i]);
    return r;
}

/* ---- files ---- */

static bool is_same_file(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->mode == b->mode && digest_equal(&a->id, &b->id);
}

int compare_trees(const struct tree *before, const struct tree *after,
                  compare_file_fn *each, void *arg)
{
    int r = 0;

    for (size_t i = 0, k = 0; r == 0 && (i < before->n || k < after->n);) {
        const struct tree_entry *a = i < before->n ? &before->entries[i] : NULL;
        const struct tree_entry *b = k < after->n ? &after->entries[k] : NULL;
        int order = !b ? -1 : !a ? 1 : strcmp(a->path, b->path);

        if (order != 0 || !is_same_file(a, b))
            r = each(arg, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
        i += order <= 0;
        k += order >= 0;
    }
    return r;
}

/* ---- artifacts ---- */

bool attempt_is_taken_over(const struct attempt_record *a)
{
    return a->verdict == VERDICT_ADOPTED || a->has_origin;
}

bool artifact_is_same(const struct artifact *a, const struct artifact *b)
{
    return a->encoding == b->encoding && digest_equal(&a->id, &b->id);
}

static int by_name(const void *a, const void *b)
{
    const struct artifact *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* Those that the attempt made itself, sorted; NULL without memory. */
static const struct artifact **sort_outputs(const struct attempt_record *r,
                                            size_t *ret_n)
{
    const struct artifact **all = r->n_outputs < SIZE_MAX / sizeof(*all)
                                      ? calloc(r->n_outputs + 1, sizeof(*all))
                                      : NULL;

    *ret_n = 0;
    for (size_t i = 0; all && i < r->n_outputs; i++)
        if (!r->outputs[i].is_inherited)
            all[(*ret_n)++] = &r->outputs[i];
    if (all)
        qsort(all, *ret_n, sizeof(*all), by_name);
    return all;
}

int compare_artifacts(const struct attempt_record *before,
                      const struct attempt_record *after, compare_artifact_fn *each,
                      void *arg)
{
    size_t n_left, n_right;
    CLEANUP(freep) const struct artifact **left = sort_outputs(before, &n_left);
    CLEANUP(freep) const struct artifact **right = sort_outputs(after, &n_right);
    int r = left && right ? 0 : -ENOMEM;

    for (size_t i = 0, k = 0; r == 0 && (i < n_left || k < n_right);) {
        const struct artifact *a = i < n_left ? left[i] : NULL;
        const struct artifact *b = k < n_right ? right[k] : NULL;
        int order = !b ? -1 : !a ? 1 : strcmp(a->name, b->name);

        r = each(arg, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
        i += order <= 0;
        k += order >= 0;
    }
    return r;
}

/* ---- steps ---- */

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_list(char *const *a, char *const *b)
{
    if (!a || !b)
        return !a && !b;
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return !*a && !*b;
}

static bool is_same_pairs(const struct pair *a, size_t n, const struct pair *b,
                          size_t m)
{
    if (n != m)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i].name, b[i].name) != 0 || !is_same_text(a[i].value, b[i].value))
            return false;
    return true;
}

static const char *name_of(const struct flow *f, uint32_t step)
{
    return step == FLOW_NONE ? "" : f->steps[step].name;
}

static bool is_same_input(const struct flow *f, const struct step_input *a,
                          const struct flow *g, const struct step_input *b)
{
    return is_same_text(a->name, b->name) && is_same_text(a->as, b->as)
           && is_same_text(a->artifact, b->artifact) && is_same_text(a->url, b->url)
           && strcmp(name_of(f, a->step), name_of(g, b->step)) == 0;
}

static bool is_same_inputs(const struct flow *f, const struct step *a,
                           const struct flow *g, const struct step *b)
{
    if (a->n_inputs != b->n_inputs)
        return false;
    for (size_t i = 0; i < a->n_inputs; i++)
        if (!is_same_input(f, &a->inputs[i], g, &b->inputs[i]))
            return false;
    return true;
}

static bool is_same_foreach(const struct foreach *a, const struct foreach *b)
{
    if (a->kind != b->kind || !is_same_text(a->artifact, b->artifact)
        || a->width != b->width || !a->items != !b->items)
        return false;
    for (uint64_t i = 0; a->items && i < a->width; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool is_same_switch(const struct flow *f, const struct step *a,
                           const struct flow *g, const struct step *b)
{
    if (!is_same_text(a->switch_by, b->switch_by) || a->n_cases != b->n_cases
        || strcmp(name_of(f, a->switch_default), name_of(g, b->switch_default)) != 0)
        return false;
    for (uint32_t i = 0; i < a->n_cases; i++)
        if (strcmp(a->cases[i].name, b->cases[i].name) != 0
            || strcmp(name_of(f, a->cases[i].target), name_of(g, b->cases[i].target))
                   != 0)
            return false;
    return true;
}

static bool is_same_action(const struct step *a, const struct step *b)
{
    return a->action == b->action && is_same_text(a->script, b->script)
           && is_same_list(a->argv, b->argv)
           && is_same_text(a->python_file, b->python_file)
           && is_same_text(a->python_function, b->python_function);
}

static bool is_same_merge(const struct step *a, const struct step *b)
{
    return a->has_merge == b->has_merge
           && is_same_list(a->merge_include, b->merge_include)
           && is_same_list(a->merge_exclude, b->merge_exclude);
}

/* What is of the flow is of each of its steps. */
static bool is_same_environment(const struct flow *f, const struct step *a,
                                const struct flow *g, const struct step *b)
{
    return is_same_pairs(a->environment, a->n_environment, b->environment,
                         b->n_environment)
           && is_same_pairs(f->environment, f->n_environment, g->environment,
                            g->n_environment);
}

int compare_steps(const struct flow *flow_before, uint32_t before,
                  const struct flow *flow_after, uint32_t after, compare_key_fn *each,
                  void *arg)
{
    const struct flow *f = flow_before, *g = flow_after;
    const struct step *a = &f->steps[before], *b = &g->steps[after];
    const struct {
        const char *key;
        bool is_same;
    } keys[] = {
        { b->action == STEP_PYTHON ? "python" : "run", is_same_action(a, b) },
        { "shell", a->action != STEP_RUN_SHELL || a->shell == b->shell },
        { "workdir", is_same_text(a->workdir, b->workdir) },
        { "environment", is_same_environment(f, a, g, b) },
        { "inputs", is_same_inputs(f, a, g, b) },
        { "outputs",
          is_same_pairs(a->outputs, a->n_outputs, b->outputs, b->n_outputs) },
        { "foreach", is_same_foreach(&a->foreach, &b->foreach) },
        { "merge", is_same_merge(a, b) },
        { "switch", is_same_switch(f, a, g, b) },
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
        if (!keys[i].is_same)
            r = each(arg, keys[i].key);
    return r;
}

/* ---- whose file ---- */

static bool is_of_path(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || (c && strchr("._-/", c));
}

/* Whether text has the path as a whole word; `./` may stand in front. */
static bool has_path(const char *text, const char *path)
{
    size_t len = strlen(path);

    for (const char *at = text; len && (at = strstr(at, path)); at++) {
        const char *front = at;

        if (front - text >= 2 && front[-1] == '/' && front[-2] == '.')
            front -= 2;
        if ((front == text || !is_of_path(front[-1])) && !is_of_path(at[len]))
            return true;
    }
    return false;
}

/* The path as a task in the step's working folder writes it. */
static const char *path_from(const char *workdir, const char *path)
{
    size_t len;

    if (!workdir)
        return path;
    while (strncmp(workdir, "./", 2) == 0)
        workdir += 2;
    len = strlen(workdir);
    while (len && workdir[len - 1] == '/')
        len--;
    if (strncmp(path, workdir, len) == 0 && path[len] == '/')
        return path + len + 1;
    return path;
}

bool step_names_file(const struct step *step, const char *path)
{
    const char *seen = path_from(step->workdir, path);

    if (step->python_file && strcmp(step->python_file, path) == 0)
        return true;
    if (step->script && has_path(step->script, seen))
        return true;
    for (char **word = step->argv; word && *word; word++)
        if (has_path(*word, seen))
            return true;
    return false;
}
