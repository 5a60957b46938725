/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/sides.h"

#include <errno.h>
#include <string.h>

#include "flow/read.h"
#include "node/api/compare.h"

void sides_release(struct sides *s)
{
    run_record_release(&s->before);
    run_record_release(&s->after);
    flow_unref(TAKE(s->flow_before));
    tree_release(&s->tree_before);
    tree_release(&s->tree_after);
}

/* Packages that are the same are not read. */
static int read_trees(struct request *r, struct sides *s)
{
    struct blobs *blobs = runtime_blobs(r->rt);
    int error;

    if (digest_equal(&s->before.package, &s->after.package))
        return 0;
    error = tree_get(blobs, &s->before.package, &s->tree_before);
    return error < 0 ? error : tree_get(blobs, &s->after.package, &s->tree_after);
}

int sides_read(struct request *r, const struct run_id *before,
               const struct run_id *after, struct flow *flow_after, struct sides *ret)
{
    CLEANUP(sides_release) struct sides s = { .flow_after = flow_after };
    CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };
    int error = source_record(r, before, &s.before);

    if (error == 0)
        error = source_record(r, after, &s.after);
    if (error == 0)
        error =
            flow_read(s.before.flow_text, s.before.flow_text_len, &s.flow_before, &d);
    if (error == 0)
        error = read_trees(r, &s);
    if (error < 0)
        return error;
    *ret = s;
    s = (struct sides){ .flow_before = NULL };
    return 0;
}

/* ---- one change ---- */

void change_emit(struct changes *c, const char *kind, const char *name, bool is_own,
                 const char *before, const char *after)
{
    c->n_own += is_own;
    if (++c->n > CHANGES_LISTED_MAX)
        return;
    emit_open(c->e, NULL, '{');
    emit_text(c->e, "kind", kind);
    emit_text(c->e, "name", name);
    emit_text(c->e, "change",
              before && after ? "changed"
              : after         ? "added"
                              : "removed");
    emit_text(c->e, "before", before);
    emit_text(c->e, "after", after);
    emit_bool(c->e, "own", is_own);
    emit_close(c->e, '}');
}

static const char *value_of(const struct record_parameter *p)
{
    if (!p)
        return NULL;
    return p->is_secret ? "(secret)" : p->value;
}

static int each_parameter(void *arg, const struct record_parameter *before,
                          const struct record_parameter *after)
{
    struct changes *c = arg;

    change_emit(c, "parameter", before ? before->name : after->name, false,
                value_of(before), value_of(after));
    return buffer_failed(c->e->out);
}

int sides_emit_parameters(const struct sides *s, struct changes *c)
{
    return compare_parameters(&s->before, &s->after, each_parameter, c);
}

static const char *id_of(const struct digest *id, char text[DIGEST_TEXT_SIZE])
{
    if (!id)
        return NULL;
    digest_text(id, text);
    return text;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_same_flow(const struct run_record *a, const struct run_record *b)
{
    return a->flow_text_len == b->flow_text_len
           && memcmp(a->flow_text, b->flow_text, a->flow_text_len) == 0;
}

int sides_emit_flow(const struct sides *s, struct changes *c)
{
    if (!is_same_flow(&s->before, &s->after))
        change_emit(c, "flow", file_name(s->after.flow_path), false, "", "");
    return buffer_failed(c->e->out);
}

struct files {
    const struct sides *sides;
    struct changes *changes;
};

/* The package is the folder of the flow file, which is told by itself. */
static bool is_flow_file(const struct sides *s, const char *path)
{
    return strcmp(path, file_name(s->before.flow_path)) == 0
           || strcmp(path, file_name(s->after.flow_path)) == 0;
}

static int each_file(void *arg, const struct tree_entry *before,
                     const struct tree_entry *after)
{
    struct files *f = arg;
    struct changes *c = f->changes;
    const char *path = before ? before->path : after->path;
    char was[DIGEST_TEXT_SIZE], is[DIGEST_TEXT_SIZE];

    if (is_flow_file(f->sides, path))
        return 0;
    change_emit(c, "code", path, c->step && step_names_file(c->step, path),
                id_of(before ? &before->id : NULL, was),
                id_of(after ? &after->id : NULL, is));
    return buffer_failed(c->e->out);
}

int sides_emit_code(const struct sides *s, struct changes *c)
{
    struct files f = { .sides = s, .changes = c };

    return compare_trees(&s->tree_before, &s->tree_after, each_file, &f);
}

/* A key's text may be long and its value structured: that it differs is told. */
static int each_key(void *arg, const char *key)
{
    struct changes *c = arg;

    change_emit(c, "step", key, true, "", "");
    return buffer_failed(c->e->out);
}

int sides_emit_step(const struct sides *s, uint32_t step, struct changes *c)
{
    uint32_t was = flow_find_step(s->flow_before, s->flow_after->steps[step].name);

    return was == FLOW_NONE
               ? 0
               : compare_steps(s->flow_before, was, s->flow_after, step, each_key, c);
}

/* ---- inputs ---- */

struct inputs {
    const struct artifacts *artifacts;
    const struct sides *sides;
    struct changes *changes;
    const char *step; /* of the attempt that is compared */
    char task[TASK_TEXT_SIZE];
};

static int each_output(void *arg, const struct artifact *before,
                       const struct artifact *after)
{
    struct inputs *in = arg;
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    char was[DIGEST_TEXT_SIZE], is[DIGEST_TEXT_SIZE];

    if (before && after && artifact_is_same(before, after))
        return 0;
    buffer_printf(&name, "%s/%s %s", in->step, in->task,
                  before ? before->name : after->name);
    change_emit(in->changes, "input", buffer_text(&name), false,
                id_of(before ? &before->id : NULL, was),
                id_of(after ? &after->id : NULL, is));
    return buffer_failed(in->changes->e->out);
}

/* Compares what a task made that this one builds on, with what it made before. */
static int compare_made(struct inputs *in, const struct attempt_record *after)
{
    CLEANUP(attempt_record_release) struct attempt_record before = { .attempt = 0 };
    struct task_id task = after->task;
    int error;

    in->step = in->sides->flow_after->steps[task.step].name;
    task.step = flow_find_step(in->sides->flow_before, in->step);
    if (task.step == FLOW_NONE)
        return 0;
    error = artifacts_attempt(in->artifacts, &in->sides->before.run, &task, &before);
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    task_id_text(&after->task, in->task);
    return compare_artifacts(&before, after, each_output, in);
}

static int each_joined(void *arg, const struct attempt_record *attempt)
{
    return compare_made(arg, attempt);
}

static int compare_edge(struct inputs *in, const struct task_id *task)
{
    CLEANUP(attempt_record_release) struct attempt_record before = { .attempt = 0 };
    const struct sides *s = in->sides;
    int error = artifacts_attempt_before(in->artifacts, s->flow_after, &s->after.run,
                                         task, &before);

    if (error == 0)
        return compare_made(in, &before);
    if (error != -ENOENT)
        return error;
    error = artifacts_inputs(in->artifacts, s->flow_after, &s->after.run, task,
                             each_joined, in);
    return error == -ENOENT || error == -EINVAL ? 0 : error;
}

static int find_input(struct inputs *in, const struct flow *flow,
                      const struct run_id *run, const struct task_id *task,
                      const struct step_input *input, struct artifact *ret,
                      struct task_id *ret_maker)
{
    if (input->step == FLOW_NONE)
        return artifacts_find(in->artifacts, flow, run, task, input->artifact, false,
                              ret, ret_maker);
    return artifacts_find_from(in->artifacts, flow, run, task, input->step, NULL,
                               input->artifact, ret, ret_maker);
}

/* Whether the edge brings what this step made: then it was compared there. */
static bool is_on_edge(const struct step *step, uint32_t maker)
{
    for (uint32_t i = 0; i < step->n_before; i++)
        if (step->before[i] == maker)
            return true;
    return false;
}

/* One of `inputs` that comes from further up than the edge reaches. */
static int compare_input(struct inputs *in, const struct task_id *task,
                         const struct step_input *input)
{
    CLEANUP(artifact_release) struct artifact before = { .name = NULL };
    CLEANUP(artifact_release) struct artifact after = { .name = NULL };
    const struct sides *s = in->sides;
    const struct step *step = &s->flow_after->steps[task->step];
    struct step_input input_before = *input;
    struct task_id maker, task_before = *task, ignored;
    int error;

    if (input->url
        || find_input(in, s->flow_after, &s->after.run, task, input, &after, &maker) < 0
        || is_on_edge(step, maker.step))
        return 0;
    task_before.step = flow_find_step(s->flow_before, step->name);
    if (input->step != FLOW_NONE)
        input_before.step =
            flow_find_step(s->flow_before, s->flow_after->steps[input->step].name);
    if (task_before.step == FLOW_NONE
        || source_depth(s->flow_before, task_before.step) != task->depth
        || (input->step != FLOW_NONE && input_before.step == FLOW_NONE))
        return 0;
    error = find_input(in, s->flow_before, &s->before.run, &task_before, &input_before,
                       &before, &ignored);
    if (error < 0)
        return 0; /* the run before did not get so far */
    in->step = s->flow_after->steps[maker.step].name;
    task_id_text(&maker, in->task);
    return each_output(in, &before, &after);
}

int sides_emit_inputs(struct request *r, const struct sides *s,
                      const struct task_id *task, struct changes *c)
{
    struct inputs in = { .artifacts = runtime_artifacts(r->rt),
                         .sides = s,
                         .changes = c };
    const struct step *step = &s->flow_after->steps[task->step];
    int error = compare_edge(&in, task);

    for (size_t i = 0; error == 0 && i < step->n_inputs; i++)
        error = compare_input(&in, task, &step->inputs[i]);
    return error;
}
