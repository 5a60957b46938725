/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/texts.h"
#include "node/cli/words.h"

enum { DIFF_SAME = CLI_OK, DIFF_DIFFERS = 1, VALUE_SHOWN = 60, ARTIFACTS_SHOWN = 50 };

static const struct option_spec diff_options[] = {
    { "code", 'c', NULL, "show how the flow file and files of the code differ" },
    { "values", 'v', NULL, "show small artifacts" },
    { "all", 'a', NULL, "list artifacts that are the same too" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static void print_short(const char *value)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    terminal_escape(value, strlen(value), &text);
    printf("%.*s%s", (int)terminal_fit(buffer_text(&text), VALUE_SHOWN),
           buffer_text(&text),
           terminal_columns(buffer_text(&text)) > VALUE_SHOWN ? "…" : "");
}

/* ---- the two runs ---- */

static void print_run(const char *front, const json_t *run)
{
    CLEANUP(buffer_release) struct buffer took = BUFFER_INIT;
    const char *outcome = json_text(run, "outcome");

    terminal_time(json_text(run, "submitted"), &took);
    if (json_number(run, "took_us")) {
        buffer_puts(&took, ", ");
        terminal_duration(json_number(run, "took_us"), &took);
    }
    printf("%s run %" PRIu64 " of %s: %s, %s", front, json_number(run, "number"),
           json_text(run, "flow"), *outcome ? outcome : "not ended",
           buffer_text(&took));
    if (*json_text(run, "message")) {
        printf(", ");
        terminal_print(json_text(run, "message"));
    }
    putchar('\n');
}

/* ---- parameters, flow file, code ---- */

static void print_parameters(const json_t *changes)
{
    bool is_first = true;
    const json_t *c;
    size_t i;

    json_array_foreach(changes, i, c)
    {
        const json_t *before = json_object_get(c, "before");
        const json_t *after = json_object_get(c, "after");

        if (!json_is(c, "kind", "parameter"))
            continue;
        if (is_first)
            words_heading("Parameters");
        is_first = false;
        printf("  ");
        terminal_print(json_text(c, "name"));
        printf(": ");
        print_short(json_is_string(before) ? json_string_value(before) : "(none)");
        printf(" -> ");
        print_short(json_is_string(after) ? json_string_value(after) : "(none)");
        putchar('\n');
    }
}

static void print_files(const json_t *diff)
{
    bool is_first = true;
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(diff, "changes"), i, c)
    {
        bool is_flow = json_is(c, "kind", "flow");

        if (!is_flow && !json_is(c, "kind", "code"))
            continue;
        if (is_first)
            words_heading("Code");
        is_first = false;
        printf("  %-8s  ", json_text(c, "change"));
        terminal_print(json_text(c, "name"));
        printf("%s\n", is_flow ? "  (the flow file)" : "");
    }
    if (json_number(diff, "n_changes")
        > json_array_size(json_object_get(diff, "changes")))
        printf("  and more: %" PRIu64 " in all\n", json_number(diff, "n_changes"));
}

/* ---- steps ---- */

static void add_both(struct table *t, const json_t *step, const char *key)
{
    uint64_t before = json_number(json_object_get(step, "before"), key);
    uint64_t after = json_number(json_object_get(step, "after"), key);

    if (before == after)
        table_printf(t, NULL, "%" PRIu64, after);
    else
        table_printf(t, COLOUR_YELLOW, "%" PRIu64 " -> %" PRIu64, before, after);
}

static void add_times(struct table *t, const json_t *step)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    terminal_duration(json_number(json_object_get(step, "before"), "took_us"), &text);
    buffer_puts(&text, " -> ");
    terminal_duration(json_number(json_object_get(step, "after"), "took_us"), &text);
    table_add(t, NULL, buffer_text(&text));
}

static void add_what(struct table *t, const json_t *step)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const char *front = "";
    uint64_t n = json_number(step, "artifacts");
    const json_t *key;
    size_t i;

    if (json_is_null(json_object_get(step, "before")))
        buffer_puts(&text, "a new step");
    else if (json_is_null(json_object_get(step, "after")))
        buffer_puts(&text, "no longer a step");
    json_array_foreach(json_object_get(step, "keys"), i, key)
    {
        buffer_printf(&text, "%s%s", front, json_string_value(key));
        front = ", ";
    }
    if (n)
        buffer_printf(&text, "%s%" PRIu64 " artifact%s", text.len ? "; " : "", n,
                      n == 1 ? "" : "s");
    table_add(t, NULL, buffer_text(&text));
}

static void print_steps(const json_t *steps)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *step;
    size_t i;

    table_head(&t, "STEP|>TASKS|>TAKEN OVER|>FAILED|>IN ALL|~DIFFERS");
    json_array_foreach(steps, i, step)
    {
        table_add(&t, NULL, json_text(step, "step"));
        add_both(&t, step, "tasks");
        add_both(&t, step, "adopted");
        add_both(&t, step, "failed_attempts");
        add_times(&t, step);
        add_what(&t, step);
    }
    words_heading("Steps");
    table_print(&t);
}

/* ---- artifacts ---- */

static void print_side(const json_t *side, bool has_values)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const json_t *value = json_object_get(side, "value");
    CLEANUP(freep) char *json = NULL;

    if (!side || json_is_null(side)) {
        printf("(none)");
        return;
    }
    if (has_values && value) {
        json = json_is_string(value) && !json_is(side, "encoding", "json")
                   ? strdup(json_string_value(value))
                   : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (json)
            json[strcspn(json, "\n")] = '\0';
        print_short(json ? json : "");
        return;
    }
    terminal_bytes(json_number(side, "size"), &text);
    printf("%s", buffer_text(&text));
}

static void print_artifacts(const json_t *diff, bool has_values)
{
    const json_t *counts = json_object_get(diff, "n_artifacts");
    const json_t *list = json_object_get(diff, "artifacts"), *a;
    uint64_t n_changed = json_number(counts, "changed");
    uint64_t n_added = json_number(counts, "added");
    uint64_t n_removed = json_number(counts, "removed");
    size_t i;

    words_heading("Artifacts");
    json_array_foreach(list, i, a)
    {
        if (i == ARTIFACTS_SHOWN)
            break;
        printf("  %-8s  %s/%s ", json_text(a, "change"), json_text(a, "step"),
               json_text(a, "task"));
        terminal_print(json_text(a, "name"));
        printf(": ");
        print_side(json_object_get(a, "before"), has_values);
        printf(" -> ");
        print_side(json_object_get(a, "after"), has_values);
        putchar('\n');
    }
    if (json_array_size(list) > ARTIFACTS_SHOWN)
        printf("  …\n");
    printf("  %" PRIu64 " the same, %" PRIu64 " changed, %" PRIu64 " added, %" PRIu64
           " removed\n",
           json_number(counts, "same"), n_changed, n_added, n_removed);
}

/* ---- --code ---- */

/* The bytes at a path, "" for NULL. */
static int fetch(struct client *c, char *take_path, struct answer *ret)
{
    CLEANUP(freep) char *path = take_path;
    struct error error = { .text = "" };
    int r = path ? client_request(c, &(struct request){ .method = "GET", .path = path },
                                  ret, &error)
                 : -ENOMEM;

    if (r < 0)
        return client_lost(r, &error);
    return ret->status >= 300 ? client_refused(ret) : 0;
}

static int print_text_diff(const char *name, const char *label_before,
                           const struct answer *before, const char *label_after,
                           const struct answer *after)
{
    int r = texts_print_diff(label_before, &before->body, label_after, &after->body);

    if (r == -ENOENT) {
        cli_say("there is no program 'diff', which shows how %s differs", name);
        return CLI_FAILED;
    }
    return r < 0 ? cli_failed(r, NULL) : 0;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int print_flow_diff(struct client *c, const json_t *diff)
{
    const json_t *before = json_object_get(diff, "before");
    const json_t *after = json_object_get(diff, "after");
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(answer_release) struct answer b = { .status = 0 };
    char left[300], right[300];
    int r = fetch(c, client_path("/v1/runs/%s/flow", json_text(before, "run")), &a);

    if (r == 0)
        r = fetch(c, client_path("/v1/runs/%s/flow", json_text(after, "run")), &b);
    if (r)
        return r;
    snprintf(left, sizeof(left), "%" PRIu64 "/%.250s", json_number(before, "number"),
             file_name(json_text(before, "path")));
    snprintf(right, sizeof(right), "%" PRIu64 "/%.250s", json_number(after, "number"),
             file_name(json_text(after, "path")));
    return print_text_diff("the flow file", left, &a, right, &b);
}

static int print_file_diff(struct client *c, const json_t *change,
                           uint64_t number_before, uint64_t number_after)
{
    const char *name = json_text(change, "name"), *was = json_text(change, "before"),
               *is = json_text(change, "after");
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(answer_release) struct answer b = { .status = 0 };
    CLEANUP(freep) char *left = NULL;
    CLEANUP(freep) char *right = NULL;
    int r = *was ? fetch(c, client_path("/v1/blobs/%s", was), &a) : 0;

    if (r == 0 && *is)
        r = fetch(c, client_path("/v1/blobs/%s", is), &b);
    if (r)
        return r;
    if (asprintf(&left, "%" PRIu64 "/%s", number_before, name) < 0)
        left = NULL;
    if (asprintf(&right, "%" PRIu64 "/%s", number_after, name) < 0)
        right = NULL;
    if (!left || !right)
        return cli_failed(-ENOMEM, NULL);
    if (a.body.len > TEXTS_BYTES_MAX || b.body.len > TEXTS_BYTES_MAX) {
        printf("%s and %s differ, and are too long to show how\n", left, right);
        return 0;
    }
    return print_text_diff(name, *was ? left : "/dev/null", &a,
                           *is ? right : "/dev/null", &b);
}

static int print_code(struct client *c, const json_t *diff)
{
    uint64_t before = json_number(json_object_get(diff, "before"), "number");
    uint64_t after = json_number(json_object_get(diff, "after"), "number");
    const json_t *change;
    size_t i;
    int r = 0;

    putchar('\n');
    json_array_foreach(json_object_get(diff, "changes"), i, change)
    {
        if (r == 0 && json_is(change, "kind", "flow"))
            r = print_flow_diff(c, diff);
        if (r == 0 && json_is(change, "kind", "code"))
            r = print_file_diff(c, change, before, after);
    }
    return r;
}

/* ---- the verb ---- */

static void print_diff(const json_t *diff, const struct options *o)
{
    print_run("from", json_object_get(diff, "before"));
    print_run("to  ", json_object_get(diff, "after"));
    print_parameters(json_object_get(diff, "changes"));
    print_files(diff);
    print_steps(json_object_get(diff, "steps"));
    print_artifacts(diff, options_has(o, "values"));
}

static int diff(const struct options *o)
{
    CLEANUP(freep)
    char *path =
        client_path("/v1/runs/%s/diff/%s?values=%s&same=%s", o->operands[0],
                    o->operands[1], options_has(o, "values") ? "true" : "false",
                    options_has(o, "all") ? "true" : "false");
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = path ? client_open(o, CLIENT_LOOK, &c) : cli_failed(-ENOMEM, NULL);

    if (r == 0)
        r = client_get_json(c, path, &json);
    if (r)
        return r == CLI_FAILED ? CLI_USAGE : r; /* 1 says that they differ */
    if (options_has(o, "json")) {
        json_print(json);
    } else {
        print_diff(json, o);
        r = options_has(o, "code") ? print_code(c, json) : 0;
    }
    if (r)
        return r;
    return json_is_true(json_object_get(json, "is_same")) ? DIFF_SAME : DIFF_DIFFERS;
}

const struct command command_diff = {
    .name = "diff",
    .synopsis = "RUN OTHER",
    .summary = "tell what differs between two runs",
    .about = "Tells how OTHER differs from RUN: parameters, the flow file, files of "
             "the code,\n"
             "steps with their tasks and times, artifacts by their content, outcome.\n"
             "\n"
             "Like diff it ends with 0 when the two are the same and with 1 when they "
             "differ;\n"
             "times do not count.",
    .options = diff_options,
    .examples = "mesh diff 41 42\n"
                "mesh diff 41 42 --code --values\n"
                "mesh diff 41 42 --json | jq .changes",
    .exits = EXITS_DIFFER | EXITS_NAMES | EXITS_NODE,
    .operands_min = 2,
    .operands_max = 2,
    .run = diff,
};
