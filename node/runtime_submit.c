/* SPDX-License-Identifier: Apache-2.0 */
/* New runs, and runs that go on where another one failed. */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "flow/parameters.h"
#include "flow/read.h"
#include "node/fit.h"
#include "node/runtime_internal.h"
#include "store/tree.h"

enum { ID_PREFIX_MIN = 4 };

/* ---- names ---- */

struct prefix_search {
    const char *text;
    struct run_id found;
    size_t n;
};

static int match_prefix(void *arg, struct span key, struct span value)
{
    struct prefix_search *p = arg;
    struct run_id id;
    char text[RUN_ID_TEXT_SIZE];

    (void)value;
    if (key.len != 1 + RUN_ID_SIZE)
        return 0;
    memcpy(id.bytes, (const uint8_t *)key.data + 1, RUN_ID_SIZE);
    run_id_text(&id, text);
    if (strncmp(text, p->text, strlen(p->text)) != 0)
        return 0;
    p->found = id;
    return ++p->n > 1;
}

/* Bytes of the key that whole pairs of digits give; the scan compares the rest. */
static size_t prefix_bytes(const char *text, uint8_t ret_key[1 + RUN_ID_SIZE])
{
    size_t n = 1;

    ret_key[0] = 'r';
    for (size_t i = 0; text[i] && text[i + 1] && n < 1 + RUN_ID_SIZE; i += 2) {
        unsigned byte;

        if (sscanf(text + i, "%2x", &byte) != 1)
            break;
        ret_key[n++] = (uint8_t)byte;
    }
    return n;
}

/* In a mesh a run may be listed under a number that is not its own. */
static bool has_number(struct runtime *rt, const struct run_id *run, uint64_t number)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };

    return !rt->mesh
           || (runtime_read_record(rt, run, &record) == 0 && record.number == number);
}

static int find_by_number(struct runtime *rt, const char *name, struct run_id *ret_run)
{
    uint64_t number = strtoull(name, NULL, 10);
    struct record_key key = number_key(number);
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    int r = writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                       &value);

    if (r < 0)
        return r;
    if (value.len != RUN_ID_SIZE)
        return -EBADMSG;
    memcpy(ret_run->bytes, value.data, RUN_ID_SIZE);
    return has_number(rt, ret_run, number) ? 0 : -ENOENT;
}

int runtime_find_run(struct runtime *rt, const char *name, struct run_id *ret_run)
{
    struct prefix_search p = { .text = name };
    uint8_t key[1 + RUN_ID_SIZE];
    size_t len = strlen(name);
    int r;

    /* A number may have four digits or more too: numbers come first. */
    if (len && len < 20 && strspn(name, "0123456789") == len) {
        r = find_by_number(rt, name, ret_run);
        if (r != -ENOENT)
            return r;
    }
    if (len < ID_PREFIX_MIN || len >= RUN_ID_TEXT_SIZE
        || strspn(name, "0123456789abcdef") != len)
        return -ENOENT;
    r = writer_scan(rt->writer, STORE_RECORDS,
                    (struct span){ key, prefix_bytes(name, key) },
                    (struct span){ NULL, 0 }, match_prefix, &p);
    if (r < 0)
        return r;
    if (p.n != 1)
        return p.n ? -ENOTUNIQ : -ENOENT;
    *ret_run = p.found;
    return 0;
}

/* ---- a new run ---- */

int runtime_add_context(struct runtime *rt, const struct run_record *record,
                        struct flow *flow, char **take_values)
{
    struct launch_config config = { .data_dir = rt->dir,
                                    .task_socket = rt->task_socket,
                                    .program_dir = rt->program_dir,
                                    .has_gpus = rt->capacity.gpu_milli > 0,
                                    .node_name = runtime_node_name(rt) };
    struct error why = { .text = "" };
    struct account account;
    struct run_context *c;
    int r = 0;

    if (rt->has_accounts) {
        r = account_of(rt->config.conf, record->user ? record->user : "", &account,
                       &why);
        config.account = &account;
    }
    if (r < 0) {
        runtime_log(rt, "run.account", "user=%s: %s", record->user, why.text);
        parameters_free(flow, take_values);
        return r;
    }
    r = run_context_new(&config, record, flow, take_values, &c);
    if (r < 0)
        return r;
    c->refusal = runtime_refusal(rt, record, c->flow, NULL);
    HASH_ADD(hh, rt->runs, id, sizeof(c->id), c);
    return 0;
}

/* The items of a foreach over files are the package's paths that match. */
int runtime_fill_globs(struct runtime *rt, struct flow *flow,
                       const struct digest *package)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    CLEANUP(freep) char **paths = NULL;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < flow->n_steps; i++) {
        const struct foreach *f = &flow->steps[i].foreach;
        size_t n = 0;

        if (f->kind != FOREACH_GLOB)
            continue;
        if (!paths) {
            r = tree_get(rt->blobs, package, &t);
            paths = calloc(t.n + 1, sizeof(*paths));
            if (r < 0 || !paths)
                return r < 0 ? r : -ENOMEM;
        }
        for (size_t k = 0; k < t.n; k++)
            if (fnmatch(f->artifact, t.entries[k].path, FNM_PATHNAME | FNM_PERIOD) == 0)
                paths[n++] = t.entries[k].path;
        r = flow_set_glob_items(flow, i, paths, n);
    }
    return r;
}

/* The join follows at once, which is seldom what was meant. */
static void note_empty_globs(const struct flow *flow, struct diagnostics *d)
{
    for (uint32_t i = 0; i < flow->n_steps; i++) {
        const struct step *s = &flow->steps[i];

        if (s->foreach.kind == FOREACH_GLOB && s->foreach.width == 0)
            diagnostics_add(d, SEVERITY_NOTE, s->line, s->column, 0,
                            "patterns are relative to the folder of the flow file",
                            "no file matches the glob '%s' of step '%s': it gets no "
                            "tasks behind it",
                            s->foreach.artifact, s->name);
    }
}

static void fit(const struct runtime *rt, const struct submission *s, struct flow *flow,
                struct diagnostics *d)
{
    static const struct user_limits none = { .weight = 1 };
    const struct conf *c = rt->config.conf;

    if (s->clamp)
        fit_flow(flow, &rt->capacity, rt->custom_names,
                 c ? sharing_of(&c->sharing, s->user ? s->user : "") : &none, d);
}

/* What this node's policy forbids, all at once. */
static void check_policy(const struct runtime *rt, const struct submission *s,
                         const struct flow *flow, struct diagnostics *d)
{
    const struct conf *c = rt->config.conf;
    const struct policy_question q = { .flow = flow,
                                       .user = s->user,
                                       .is_remote = s->is_remote };

    if (c)
        policy_check(&c->policy, c->path, &q, d);
}

enum refusal runtime_refusal(const struct runtime *rt, const struct run_record *record,
                             const struct flow *flow, struct error *ret_error)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    const struct conf *c = rt->config.conf;
    const struct policy_question q = { .flow = flow,
                                       .user = record->user,
                                       .is_remote = record->is_remote };
    enum refusal r = c ? policy_check(&c->policy, c->path, &q, &d) : REFUSAL_NONE;

    if (r && d.n)
        fail(ret_error, -EPERM, "%s; %s", d.all[0].message,
             d.all[0].hint ? d.all[0].hint : "");
    return r;
}

static int keep_parameter(struct runtime *rt, const struct parameter *p,
                          const char *value, struct record_parameter *ret)
{
    char text[DIGEST_TEXT_SIZE];
    struct digest id;

    ret->name = strdup(p->name);
    ret->is_secret = p->is_secret;
    if (p->is_secret) {
        ret->value = strdup("");
    } else if (p->type == PARAMETER_FILE) {
        int r = blobs_put(rt->blobs, value, strlen(value), &id);

        if (r < 0)
            return r;
        digest_text(&id, text);
        ret->value = strdup(text);
    } else {
        ret->value = strdup(value);
    }
    return ret->name && ret->value ? 0 : -ENOMEM;
}

static int fill_parameters(struct runtime *rt, const struct flow *flow,
                           char *const *values, struct run_record *record)
{
    record->parameters = calloc(flow->n_parameters + 1, sizeof(*record->parameters));
    if (!record->parameters)
        return -ENOMEM;
    for (size_t i = 0; i < flow->n_parameters; i++) {
        int r;

        if (!values[i])
            continue;
        r = keep_parameter(rt, &flow->parameters[i], values[i],
                           &record->parameters[record->n_parameters++]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int fill_tags(char *const *tags, struct run_record *record)
{
    size_t n = 0;

    while (tags && tags[n])
        n++;
    record->tags = calloc(n + 1, sizeof(*record->tags));
    if (!record->tags)
        return -ENOMEM;
    for (; record->n_tags < n; record->n_tags++) {
        record->tags[record->n_tags] = strdup(tags[record->n_tags]);
        if (!record->tags[record->n_tags])
            return -ENOMEM;
    }
    return 0;
}

static char *copy_or_empty(const char *text)
{
    return strdup(text ? text : "");
}

/* The id of the empty package, kept like any other. */
static int package_of(struct runtime *rt, const struct submission *s,
                      struct digest *ret_package)
{
    struct tree empty = { .entries = NULL };
    CLEANUP(tree_release) struct tree t = { .entries = NULL };

    if (!s->package)
        return tree_put(rt->blobs, &empty, ret_package);
    *ret_package = *s->package;
    return tree_get(rt->blobs, s->package, &t);
}

static int fill_record(struct runtime *rt, const struct submission *s,
                       const struct flow *flow, char *const *values,
                       struct run_record *record)
{
    uint8_t random[10];
    int r = package_of(rt, s, &record->package);

    if (r < 0)
        return r;
    runtime_random(rt, random, sizeof(random));
    record->submitted_wall = runtime_wall();
    record->run = run_id_make(record->submitted_wall / 1000, random);
    record->number =
        rt->mesh ? 0 : rt->next_number; /* a mesh counts for all its nodes */
    record->flow_name = copy_or_empty(flow->name);
    record->flow_path = copy_or_empty(s->flow_path);
    record->flow_text = strndup(s->flow_text, s->flow_text_len);
    record->flow_text_len = s->flow_text_len;
    record->user = copy_or_empty(s->user);
    record->max_workers = s->max_workers;
    record->on_failure = s->on_failure ? strdup(s->on_failure) : NULL;
    record->share = s->share;
    record->is_remote = s->is_remote;
    record->has_origin = s->origin != NULL;
    if (s->origin)
        record->origin = *s->origin;
    if (!record->flow_name || !record->flow_path || !record->flow_text || !record->user)
        return -ENOMEM;
    r = fill_tags(s->tags, record);
    return r < 0 ? r : fill_parameters(rt, flow, values, record);
}

/* ---- resume ---- */

struct resume {
    struct runtime *rt;
    struct flow *flow, *before;
    struct run_id run;
    uint32_t *now_of; /* by step before: the step now, or FLOW_NONE: not adopted */
};

/* A step's finished tasks are taken over when it stands where it stood: the same name,
 * the same foreach around it and the same steps before it, all of them taken over too,
 * and it is not asked for anew. */
static bool is_same_place(const struct resume *r, uint32_t was, uint32_t now)
{
    const struct step *a = &r->before->steps[was], *b = &r->flow->steps[now];

    if (a->n_before != b->n_before || a->foreach.kind != b->foreach.kind
        || r->before->scopes[a->scope].depth != r->flow->scopes[b->scope].depth)
        return false;
    for (uint32_t i = 0; i < a->n_before; i++) {
        uint32_t before = r->now_of[a->before[i]];
        bool found = false;

        for (uint32_t k = 0; before != FLOW_NONE && k < b->n_before; k++)
            found = found || b->before[k] == before;
        if (!found)
            return false;
    }
    return true;
}

/* Steps in an order in which each stands behind those it waits for. */
static uint32_t *order_steps(const struct flow *f)
{
    uint32_t *order = calloc(2 * (size_t)f->n_steps + 1, sizeof(*order));
    uint32_t *missing = order ? order + f->n_steps : NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; order && i < f->n_steps; i++) {
        missing[i] = f->steps[i].n_before;
        if (missing[i] == 0)
            order[n++] = i;
    }
    for (uint32_t at = 0; order && at < n; at++) {
        const struct step *s = &f->steps[order[at]];

        for (uint32_t k = 0; k < s->n_after; k++)
            if (s->after[k] != order[at] && --missing[s->after[k]] == 0)
                order[n++] = s->after[k];
    }
    return order;
}

static int choose_steps(struct resume *r, uint32_t from)
{
    CLEANUP(freep) uint32_t *order = order_steps(r->before);

    r->now_of = malloc((r->before->n_all_steps + 1) * sizeof(*r->now_of));
    if (!order || !r->now_of)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->before->n_all_steps; i++)
        r->now_of[i] = FLOW_NONE;
    for (uint32_t i = 0; i < r->before->n_steps; i++) {
        uint32_t was = order[i];
        uint32_t now = flow_find_step(r->flow, r->before->steps[was].name);

        if (now != FLOW_NONE && now != from && is_same_place(r, was, now))
            r->now_of[was] = now;
    }
    return 0;
}

static int adopt(void *arg, struct span key, struct span value)
{
    struct resume *r = arg;
    struct attempt_record record;
    int error = attempt_record_decode(value.data, value.len, &record);

    if (error < 0)
        return error;
    error = attempt_key_decode(key.data, key.len, &record.run, &record.task,
                               &record.attempt);
    if (error == 0 && record.verdict != VERDICT_FAILED && record.verdict != VERDICT_LOST
        && record.task.step < r->before->n_steps
        && r->now_of[record.task.step] != FLOW_NONE) {
        record.task.step = r->now_of[record.task.step];
        if (!record.has_origin)
            record.origin = record.run;
        record.has_origin = true;
        runtime_event(r->rt, &(struct event){ .type = EVENT_ADOPT,
                                              .run = r->run,
                                              .u.attempt = &record });
    }
    attempt_record_release(&record);
    return error;
}

static int read_origin(struct runtime *rt, const struct run_id *origin,
                       struct flow **ret_flow, struct error *ret_error)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct run_view view;
    int r;

    if (node_run(rt->node, origin, &view))
        return fail(ret_error, -EBUSY,
                    "the run to resume has not ended: wait for it, or cancel it");
    r = runtime_read_run(rt, origin, &record, ret_flow);
    return r < 0 ? fail(ret_error, r, "the run to resume cannot be read: %s",
                        strerror(-r))
                 : 0;
}

/* What is needed before anything is started, so that a refusal starts nothing. */
static int prepare_resume(struct runtime *rt, const struct submission *s,
                          struct flow *flow, struct resume *ret,
                          struct error *ret_error)
{
    uint32_t from = FLOW_NONE;
    int r;

    *ret = (struct resume){ .rt = rt, .flow = flow };
    if (s->origin_step) {
        from = flow_find_step(flow, s->origin_step);
        if (from == FLOW_NONE)
            return fail(ret_error, -ENOENT, "the flow has no step '%s'",
                        s->origin_step);
    }
    r = read_origin(rt, s->origin, &ret->before, ret_error);
    return r < 0 ? r : choose_steps(ret, from);
}

static void resume_release(struct resume *r)
{
    flow_unref(r->before);
    free(r->now_of);
}

static int adopt_all(struct runtime *rt, struct resume *resume,
                     const struct run_id *origin, const struct run_id *run)
{
    struct record_key attempts = attempts_of_run(origin);

    resume->run = *run;
    return writer_scan(rt->writer, STORE_RECORDS,
                       (struct span){ attempts.bytes, attempts.len },
                       (struct span){ NULL, 0 }, adopt, resume);
}

/* ---- submit ---- */

static int start_run(struct runtime *rt, const struct submission *s,
                     const struct run_record *record, struct flow *flow,
                     struct resume *resume)
{
    struct event e = { .type = EVENT_SUBMIT, .run = record->run };

    e.u.submit.record = record;
    e.u.submit.flow = flow;
    e.u.submit.is_held = s->origin != NULL;
    rt->next_number += !rt->mesh;
    runtime_event(rt, &e);
    if (s->origin) {
        int r = adopt_all(rt, resume, s->origin, &record->run);

        if (r < 0) {
            runtime_cancel(rt, &record->run);
            return r;
        }
        runtime_event(rt, &(struct event){ .type = EVENT_RELEASE, .run = record->run });
    }
    return 0;
}

int runtime_submit(struct runtime *rt, const struct submission *s,
                   struct run_id *ret_run, uint64_t *ret_number,
                   struct diagnostics *ret_diagnostics, struct error *ret_error)
{
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(resume_release) struct resume resume = { .rt = rt };
    CLEANUP(freep) struct pair *given = calloc(s->n_parameters + 1, sizeof(*given));
    struct blobs_hold hold = { .since = 0 };
    char **values;
    int r;

    if (!given)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_parameters; i++)
        given[i] = (struct pair){ s->parameters[i].name, s->parameters[i].value };
    flow = s->flow ? flow_ref(s->flow) : NULL;
    r = flow ? 0 : flow_read(s->flow_text, s->flow_text_len, &flow, ret_diagnostics);
    if (r == 0)
        fit(rt, s, flow, ret_diagnostics);
    if (r == 0)
        check_policy(rt, s, flow, ret_diagnostics);
    if (r == 0 && diagnostics_errors(ret_diagnostics))
        r = -EINVAL;
    if (r == 0)
        r = parameters_resolve(flow, given, s->n_parameters, &values, ret_diagnostics);
    if (r < 0)
        return fail(ret_error, r,
                    "the flow or a parameter is bad: nothing was started");
    blobs_hold_begin(rt->blobs, &hold); /* of the values that are files */
    r = fill_record(rt, s, flow, values, &record);
    if (r == 0)
        r = runtime_fill_globs(rt, flow, &record.package);
    if (r == 0)
        note_empty_globs(flow, ret_diagnostics);
    if (r == 0 && s->origin)
        r = prepare_resume(rt, s, flow, &resume, ret_error);
    if (r < 0) {
        blobs_hold_end(rt->blobs, &hold);
        parameters_free(flow, values);
        return ret_error->text[0]
                   ? r
                   : fail(ret_error, r, "the run cannot be kept: %s", strerror(-r));
    }
    r = runtime_add_context(rt, &record, flow, values);
    if (r == 0)
        r = start_run(rt, s, &record, flow, &resume);
    blobs_hold_end(rt->blobs, &hold);
    if (r < 0)
        return fail(ret_error, r, "the run cannot be started: %s", strerror(-r));
    *ret_run = record.run;
    *ret_number = record.number;
    return 0;
}
