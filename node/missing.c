/* SPDX-License-Identifier: Apache-2.0 */
#include "node/missing.h"

#include <errno.h>
#include <string.h>

#include "node/inputs.h"
#include "store/tree.h"

void missing_release(struct missing *m)
{
    free(m->ids);
    *m = (struct missing){ .ids = NULL };
}

static int add(struct missing *m, const struct digest *id)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 8;
        struct digest *ids = realloc(m->ids, cap * sizeof(*ids));

        if (!ids)
            return -ENOMEM;
        m->ids = ids;
        m->cap = cap;
    }
    m->ids[m->n++] = *id;
    return 0;
}

/* 0: it is here; 1: it was added. */
static int check(struct blobs *b, const struct digest *id, struct missing *m)
{
    uint64_t size;
    int r = blobs_stat(b, id, &size);

    if (r != -ENOENT)
        return r;
    r = add(m, id);
    return r < 0 ? r : 1;
}

int missing_of_blob(struct blobs *b, const struct digest *id, struct missing *m)
{
    int r = check(b, id, m);

    return r < 0 ? r : 0;
}

int missing_of_tree(struct blobs *b, const struct digest *id, struct missing *m)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    int r = check(b, id, m);

    if (r)
        return r < 0 ? r : 0;
    r = tree_get(b, id, &t);
    for (size_t i = 0; r == 0 && i < t.n; i++)
        r = missing_of_blob(b, &t.entries[i].id, m);
    return r;
}

static int of_artifact(struct blobs *b, const struct artifact *a, struct missing *m)
{
    if (a->encoding == ENCODING_TREE)
        return missing_of_tree(b, &a->id, m);
    return a->inline_data || a->size == 0 ? 0 : missing_of_blob(b, &a->id, m);
}

static bool is_file(const struct flow *flow, const char *parameter)
{
    for (size_t i = 0; i < flow->n_parameters; i++)
        if (strcmp(flow->parameters[i].name, parameter) == 0)
            return flow->parameters[i].type == PARAMETER_FILE;
    return false;
}

int missing_of_run(struct blobs *b, const struct flow *flow,
                   const struct run_record *record, struct missing *m)
{
    static const struct digest none;
    int r = digest_equal(&record->package, &none)
                ? 0
                : missing_of_tree(b, &record->package, m);

    for (size_t i = 0; r == 0 && i < record->n_parameters; i++) {
        const struct record_parameter *p = &record->parameters[i];
        struct digest id;

        if (!p->is_secret && p->value && is_file(flow, p->name)
            && digest_parse(p->value, &id) == 0)
            r = missing_of_blob(b, &id, m);
    }
    return r;
}

static int of_found(const struct artifacts *a, int found, struct artifact *artifact,
                    struct missing *m)
{
    int r;

    if (found < 0) /* whoever starts the task finds the same, and says so */
        return found == -ENOMEM ? found : 0;
    r = of_artifact(a->blobs, artifact, m);
    artifact_release(artifact);
    return r;
}

static int of_list(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *opener, bool own,
                   struct missing *m)
{
    const struct foreach *f = &flow->steps[opener->step].foreach;
    struct artifact list = { .name = NULL };
    struct task_id maker;

    if (f->kind != FOREACH_ARTIFACT)
        return 0;
    return of_found(a,
                    artifacts_find(a, flow, run, opener, f->artifact, own, &list,
                                   &maker),
                    &list, m);
}

/* From the task's own scope outwards. */
static int of_scopes(const struct artifacts *a, const struct flow *flow,
                     const struct run_id *run, const struct task_id *task,
                     struct missing *m)
{
    const struct scope *s = &flow->scopes[flow->steps[task->step].scope];
    int r = 0;

    for (; r == 0 && s->depth; s = &flow->scopes[s->parent]) {
        struct task_id opener = { .step = s->opener, .depth = s->depth - 1 };

        memcpy(opener.path, task->path, opener.depth * sizeof(opener.path[0]));
        r = of_list(a, flow, run, &opener, true, m);
    }
    return r;
}

int missing_of_task(const struct artifacts *a, const struct flow *flow,
                    const struct run_id *run, const struct task_id *task,
                    struct missing *m)
{
    const struct step *step = &flow->steps[task->step];
    int r = of_scopes(a, flow, run, task, m);

    if (r == 0)
        r = of_list(a, flow, run, task, false, m);
    for (size_t i = 0; r == 0 && i < step->n_inputs; i++) {
        struct artifact artifact = { .name = NULL };

        if (!step->inputs[i].url)
            r = of_found(a,
                         inputs_find(a, flow, run, task, &step->inputs[i], &artifact),
                         &artifact, m);
    }
    return r;
}

int missing_of_attempt(struct blobs *b, const struct attempt_record *attempt,
                       struct missing *m)
{
    int r = attempt->log.has_blob ? missing_of_blob(b, &attempt->log.blob, m) : 0;

    for (size_t i = 0; r == 0 && i < attempt->n_outputs; i++)
        r = of_artifact(b, &attempt->outputs[i], m);
    return r;
}
