/* SPDX-License-Identifier: Apache-2.0 */
#include "node/merge.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>

/* One name over all branches. */
struct candidate {
    struct artifact artifact; /* of the first branch that has it */
    struct task_id maker;
    uint64_t last_branch; /* counted from 1; a branch sees a name once */
    bool differs;
    UT_hash_handle hh;
};

struct merge {
    const struct artifacts *artifacts;
    const struct flow *flow;
    const struct run_id *run;
    const struct step *step;
    const struct attempt_record *own;
    const char *only; /* NULL: all names */
    struct candidate *names;
    uint64_t branch;
};

static bool in_list(char *const *list, const char *name)
{
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static bool is_own(const struct merge *m, const char *name)
{
    for (size_t i = 0; i < m->own->n_outputs; i++)
        if (strcmp(m->own->outputs[i].name, name) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct merge *m, const char *name)
{
    if (m->only && strcmp(m->only, name) != 0)
        return false;
    if (m->step->merge_include && !in_list(m->step->merge_include, name))
        return false;
    return !in_list(m->step->merge_exclude, name) && !is_own(m, name);
}

static int see_artifact(struct merge *m, const struct artifact *a,
                        const struct task_id *maker)
{
    struct candidate *c;

    HASH_FIND_STR(m->names, a->name, c);
    if (c) {
        if (c->last_branch != m->branch && !digest_equal(&c->artifact.id, &a->id))
            c->differs = true;
        c->last_branch = m->branch;
        return 0;
    }
    c = calloc(1, sizeof(*c));
    if (!c || artifact_copy(a, &c->artifact) < 0) {
        free(c);
        return -ENOMEM;
    }
    c->maker = *maker;
    c->last_branch = m->branch;
    HASH_ADD_KEYPTR(hh, m->names, c->artifact.name, strlen(c->artifact.name), c);
    return 0;
}

/* All that one branch sees: its last task's artifacts, then those behind it, where a
 * nearer one hides a farther one of the same name. */
static int see_branch(void *arg, const struct attempt_record *last)
{
    struct merge *m = arg;
    struct attempt_record at = { .attempt = 0 };
    const struct attempt_record *r = last;
    int error = 0;

    m->branch++;
    while (error == 0) {
        struct attempt_record before;

        for (size_t i = 0; error == 0 && i < r->n_outputs; i++)
            if (is_wanted(m, r->outputs[i].name))
                error = see_artifact(m, &r->outputs[i], &r->task);
        if (error < 0)
            break;
        error =
            artifacts_attempt_before(m->artifacts, m->flow, m->run, &r->task, &before);
        if (error < 0)
            break;
        attempt_record_release(&at);
        at = before;
        r = &at;
    }
    attempt_record_release(&at);
    return error == -ENOENT ? 0 : error;
}

static int check_include(const struct merge *m, struct error *ret_error)
{
    for (char *const *name = m->step->merge_include; name && *name; name++) {
        struct candidate *c;

        HASH_FIND_STR(m->names, *name, c);
        if (!c && !is_own(m, *name))
            return fail(ret_error, -EINVAL, "merge: no branch has an artifact '%s'",
                        *name);
    }
    return 0;
}

static int check_differing(const struct merge *m, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer names = BUFFER_INIT;
    struct candidate *c, *next;

    HASH_ITER (hh, m->names, c, next)
        if (c->differs)
            buffer_printf(&names, "%s'%s'", names.len ? ", " : "", c->artifact.name);
    if (names.len == 0)
        return 0;
    return fail(ret_error, -EINVAL,
                "merge: the branches differ in %s; set it in the step or exclude it",
                buffer_text(&names));
}

static int append(struct merge *m, struct attempt_record *attempt,
                  struct error *ret_error)
{
    size_t n = attempt->n_outputs + HASH_COUNT(m->names);
    struct artifact *outputs;
    struct candidate *c, *next;

    if (n > RECORD_OUTPUTS_MAX)
        return fail(ret_error, -E2BIG, "merge: %zu artifacts, and a task may have %d",
                    n, RECORD_OUTPUTS_MAX);
    outputs = realloc(attempt->outputs, (n + 1) * sizeof(*outputs));
    if (!outputs)
        return -ENOMEM;
    attempt->outputs = outputs;
    HASH_ITER (hh, m->names, c, next) {
        c->artifact.is_inherited = true;
        outputs[attempt->n_outputs++] = c->artifact;
        c->artifact = (struct artifact){ .name = NULL };
    }
    return 0;
}

static void forget(struct merge *m)
{
    struct candidate *c, *next;

    HASH_ITER (hh, m->names, c, next) {
        HASH_DELETE(hh, m->names, c);
        artifact_release(&c->artifact);
        free(c);
    }
}

int merge_find(const struct artifacts *a, const struct flow *flow,
               const struct run_id *run, const struct task_id *task, const char *name,
               struct artifact *ret, struct task_id *ret_maker, struct error *ret_error)
{
    const struct attempt_record nothing = { .n_outputs = 0 };
    struct merge m = { .artifacts = a,
                       .flow = flow,
                       .run = run,
                       .own = &nothing,
                       .only = name,
                       .step = &flow->steps[task->step] };
    int r =
        m.step->has_merge ? artifacts_inputs(a, flow, run, task, see_branch, &m) : 0;

    if (r == 0 && !m.names)
        r = -ENOENT;
    if (r == 0 && m.names->differs)
        r = fail(ret_error, -ENOENT, "the branches differ in '%s'", name);
    if (r == 0) {
        *ret_maker = m.names->maker;
        r = artifact_copy(&m.names->artifact, ret);
    }
    forget(&m);
    return r;
}

int merge_branches(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   struct attempt_record *attempt, struct error *ret_error)
{
    struct merge m = { .artifacts = a,
                       .flow = flow,
                       .run = run,
                       .own = attempt,
                       .step = &flow->steps[task->step] };
    int r = artifacts_inputs(a, flow, run, task, see_branch, &m);

    if (r == 0)
        r = check_include(&m, ret_error);
    if (r == 0)
        r = check_differing(&m, ret_error);
    if (r == 0)
        r = append(&m, attempt, ret_error);
    forget(&m);
    return r;
}
