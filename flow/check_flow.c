/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/check.h"

#include "flow/text.h"

#include <string.h>

enum { PRIORITY_DEFAULT = 4 };

struct top {
    const struct value *mesh, *flow, *description, *start, *end, *tags, *parameters,
        *defaults, *limits, *environment, *package, *on_exit, *steps;
};

static const struct key top_keys[] = {
    { "mesh", read_value, offsetof(struct top, mesh), NULL },
    { "flow", read_value, offsetof(struct top, flow), NULL },
    { "description", read_value, offsetof(struct top, description), NULL },
    { "start", read_value, offsetof(struct top, start), NULL },
    { "end", read_value, offsetof(struct top, end), NULL },
    { "tags", read_value, offsetof(struct top, tags), NULL },
    { "parameters", read_value, offsetof(struct top, parameters), NULL },
    { "defaults", read_value, offsetof(struct top, defaults), NULL },
    { "limits", read_value, offsetof(struct top, limits), NULL },
    { "environment", read_value, offsetof(struct top, environment), NULL },
    { "package", read_value, offsetof(struct top, package), NULL },
    { "on_exit", read_value, offsetof(struct top, on_exit), NULL },
    { "steps", read_value, offsetof(struct top, steps), NULL },
    { "project", NULL, 0, "names by project and branch" },
    { "datastore", NULL, 0, "where artifacts are written through to" },
    { "schedule", NULL, 0, "runs by the clock" },
    { "triggers", NULL, 0, "runs by events" },
    { "notify", NULL, 0, "messages about a run's end" },
    { "secrets", NULL, 0, "secrets from a manager" },
    { "durable", NULL, 0, "copies of what a run keeps" },
    { "on_quorum_loss", NULL, 0, "runs on several nodes" },
};

static void read_on_failure(struct check *c, const struct value *v, void *field)
{
    static const char *const words[] = { "stop", "finish", "kill" };
    static const enum on_failure values[] = { ON_FAILURE_STOP, ON_FAILURE_FINISH,
                                              ON_FAILURE_KILL };
    size_t which;

    if (expect_word(c, v, words, ARRAY_SIZE(words), &which))
        *(enum on_failure *)field = values[which];
}

static void check_limits(struct check *c, const struct value *v)
{
    static const struct key keys[] = {
        { "max_workers", read_count, offsetof(struct flow, max_workers), NULL },
        { "timeout", read_duration, offsetof(struct flow, timeout_us), NULL },
        { "priority", read_priority, offsetof(struct flow, priority), NULL },
        { "max_log_size", read_size, offsetof(struct flow, max_log_bytes), NULL },
        { "on_failure", read_on_failure, offsetof(struct flow, on_failure), NULL },
    };

    c->where = "limits";
    if (v && expect_mapping(c, v))
        READ_MAPPING(c, v, keys, c->flow);
}

static void read_patterns(struct check *c, const struct value *v, void *field)
{
    read_texts(c, v, field);
    if (v->type != VALUE_SEQUENCE)
        return;
    for (const struct value *item = v->u.first; item; item = item->next)
        if (item->type == VALUE_STRING && item->n)
            expect_relative(c, item);
}

static void check_package(struct check *c, const struct value *v)
{
    static const struct key keys[] = {
        { "include", read_patterns, offsetof(struct flow, package_include), NULL },
        { "exclude", read_patterns, offsetof(struct flow, package_exclude), NULL },
    };

    c->where = "package";
    if (v && expect_mapping(c, v))
        READ_MAPPING(c, v, keys, c->flow);
}

static void check_version(struct check *c, const struct value *v)
{
    if (v->type != VALUE_INT || v->u.integer != 1)
        complain(c, v, "write `mesh: 1`", "'mesh' is the version of the format, 1");
}

static void check_name(struct check *c, const struct value *v)
{
    if (!expect_text(c, v))
        return;
    if (is_step_name(v->text))
        c->flow->name = check_copy(c, v->text, v->n);
    else
        complain(c, v, "a letter, then letters, digits and _, 128 characters at most",
                 "'%.130s' cannot be the name of a flow", v->text);
}

static void check_required(struct check *c, const struct top *top)
{
    struct place at = { c->doc.root->at.line, c->doc.root->at.column, 0 };

    if (!top->mesh)
        complain_at(c, at, "begin with `mesh: 1`", "the key 'mesh' is missing");
    if (!top->flow)
        complain_at(c, at, "write `flow: NAME`", "the key 'flow' is missing");
    if (!top->steps)
        complain_at(c, at, "write `steps:` and, below it, each step",
                    "the key 'steps' is missing");
}

/* A key that was pushed will be pushed again with the log: do not show it there. */
static void complain_credential(struct check *c, size_t at, const char *what)
{
    struct cursor cursor = {
        .text = c->doc.text, .len = c->doc.len, .line = 1, .column = 1
    };

    cursor_go(&cursor, at);
    complain_at(
        c, (struct place){ cursor.line, 0, 0 },
        "take it out, and withdraw it where it was issued: it has been in a file",
        "%s is written in the file", what);
}

static bool is_access_key(const char *text, size_t len)
{
    enum { AFTER_PREFIX = 16 };

    if (len < 4 + AFTER_PREFIX)
        return false;
    for (size_t i = 4; i < 4 + AFTER_PREFIX; i++)
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'A' && text[i] <= 'Z'))
            return false;
    return true;
}

static void check_credentials(struct check *c)
{
    const char *text = c->doc.text, *end = text + c->doc.len;
    const char *at = text;

    while ((at = memmem(at, (size_t)(end - at), "AKIA", 4))) {
        if (is_access_key(at, (size_t)(end - at)))
            complain_credential(c, (size_t)(at - text), "an AWS access key");
        at += 4;
        if (diagnostics_errors(c->d) >= DIAGNOSTICS_MAX)
            break;
    }
    at = memmem(text, (size_t)(end - text), "-----BEGIN", 10);
    if (at)
        complain_credential(c, (size_t)(at - text), "a private key or certificate");
}

static void check_head(struct check *c, const struct top *top)
{
    c->where = "the flow";
    check_required(c, top);
    if (top->mesh)
        check_version(c, top->mesh);
    if (top->flow)
        check_name(c, top->flow);
    if (top->description)
        read_any(c, top->description, &c->flow->description);
    if (top->tags)
        read_tags(c, top->tags, &c->flow->tags);
}

static void set_defaults(struct flow *f)
{
    f->start = f->end = f->on_success = f->on_error = FLOW_NONE;
    f->priority = PRIORITY_DEFAULT;
    f->max_log_bytes = UINT64_C(64) << 20;
    f->on_failure = ON_FAILURE_STOP;
}

void check_flow(struct check *c)
{
    struct top top = { .mesh = NULL };
    struct pairs environment = { .all = NULL };

    set_defaults(c->flow);
    c->where = "the flow";
    check_credentials(c);
    if (!expect_mapping(c, c->doc.root))
        return;
    READ_MAPPING(c, c->doc.root, top_keys, &top);
    check_head(c, &top);
    check_parameters(c, top.parameters);
    check_limits(c, top.limits);
    check_package(c, top.package);
    c->where = "the flow";
    if (top.environment)
        read_environment(c, top.environment, &environment);
    c->flow->environment = environment.all;
    c->flow->n_environment = environment.n;
    check_defaults(c, top.defaults);
    if (top.steps && !c->error)
        check_steps(c, top.steps);
    if (c->flow->n_steps && !c->error)
        check_graph(c, top.start, top.end);
    if (!c->error)
        check_hooks(c, top.on_exit);
}
