/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/words.h"

enum { CHANGES_SHOWN = 20, VALUE_SHOWN = 60 };

static const struct option_spec explain_options[] = {
    { "against", 0, "RUN", "compare with this run (else the one it goes on from)" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

/* ---- what changed ---- */

static void print_value(const char *value)
{
    printf("%.*s%s", (int)terminal_fit(value, VALUE_SHOWN), value,
           terminal_columns(value) > VALUE_SHOWN ? "…" : "");
}

/* A parameter has values; the others have ids, which say nothing to a person. */
static void print_change(const json_t *change)
{
    CLEANUP(buffer_release) struct buffer before = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer after = BUFFER_INIT;
    const char *kind = json_text(change, "kind");

    printf("  %-10s", kind);
    terminal_print(json_text(change, "name"));
    if (strcmp(kind, "parameter") == 0) {
        terminal_escape(json_text(change, "before"),
                        strlen(json_text(change, "before")), &before);
        terminal_escape(json_text(change, "after"), strlen(json_text(change, "after")),
                        &after);
        printf(": ");
        print_value(before.len ? buffer_text(&before) : "(none)");
        printf(" -> ");
        print_value(after.len ? buffer_text(&after) : "(none)");
    } else {
        printf(": %s", json_text(change, "change"));
    }
    if (strcmp(kind, "code") == 0 && json_is_true(json_object_get(change, "own")))
        printf(", and the step names it");
    putchar('\n');
}

static void print_others(const json_t *explained, uint64_t n)
{
    if (n)
        printf("  code      %" PRIu64 " file%s that the step does not name: mesh diff "
               "%" PRIu64 " %" PRIu64 "\n",
               n, n == 1 ? "" : "s",
               json_number(json_object_get(explained, "against"), "number"),
               json_number(explained, "number"));
}

/* Of one task files that its step does not name are only counted. */
static void print_changes(const json_t *explained, bool is_task)
{
    uint64_t from = json_number(json_object_get(explained, "against"), "number");
    uint64_t n_other = 0, n_shown = 0, n = json_number(explained, "n_changes");
    const json_t *change;
    char title[64];
    size_t i;

    if (!from)
        return;
    snprintf(title, sizeof(title), "Changed since run %" PRIu64, from);
    words_heading(title);
    if (n == 0)
        printf("  nothing that it is made of\n");
    json_array_foreach(json_object_get(explained, "changes"), i, change)
    {
        bool is_other = is_task && json_is(change, "kind", "code")
                        && !json_is_true(json_object_get(change, "own"));

        n_other += is_other;
        if (!is_other && n_shown++ < CHANGES_SHOWN)
            print_change(change);
    }
    /* Beyond those that are listed is code, which comes last. */
    if (is_task)
        n_other = n - n_shown;
    else
        n_shown = n;
    if (n_shown > CHANGES_SHOWN)
        printf("  and %" PRIu64 " more: mesh diff %" PRIu64 " %" PRIu64 "\n",
               n_shown - CHANGES_SHOWN, from, json_number(explained, "number"));
    print_others(explained, n_other);
}

/* ---- why it failed ---- */

static void print_texts(const json_t *list, const char *front)
{
    const json_t *text;
    size_t i;

    json_array_foreach(list, i, text)
    {
        fputs(front, stdout);
        terminal_print(json_string_value(text) ? json_string_value(text) : "");
        putchar('\n');
    }
}

static void print_failure(const json_t *explained)
{
    const json_t *failure = json_object_get(explained, "failure");
    const json_t *tail = json_object_get(explained, "log_tail");
    const char *paste = json_text(failure, "paste");

    printf("  ");
    terminal_print(json_text(failure, "sentence"));
    printf(" (reason: %s)\n", json_text(failure, "reason"));
    print_texts(json_object_get(failure, "advice"), "  - ");
    if (*paste)
        printf("  In the flow file, at step %s:  %s\n", json_text(explained, "step"),
               paste);
    if (json_array_size(tail))
        printf("  It printed last:\n");
    print_texts(tail, "    ");
}

/* ---- attempts ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* 0: it was too small to be told from the node's own. */
static void add_memory(struct table *t, uint64_t bytes)
{
    if (bytes)
        words_bytes(t, bytes);
    else
        table_add(t, COLOUR_DIM, "-");
}

/* Only tasks of steps with `effect: exclusive` have any. */
static bool has_fences(const json_t *attempts)
{
    const json_t *a;
    size_t i;

    json_array_foreach(attempts, i, a)
    {
        if (json_number(a, "fence"))
            return true;
    }
    return false;
}

static void print_attempts(const json_t *attempts)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    bool with_fences = has_fences(attempts);
    const json_t *a;
    size_t i;

    if (json_array_size(attempts) == 0)
        return;
    table_head(&t, with_fences
                       ? ">ATTEMPT|ENDED|~REASON|STARTED|>TOOK|>CPU|>MEMORY|>FENCE"
                       : ">ATTEMPT|ENDED|~REASON|STARTED|>TOOK|>CPU|>MEMORY");
    json_array_foreach(attempts, i, a)
    {
        CLEANUP(buffer_release) struct buffer cpu = BUFFER_INIT;

        terminal_duration(json_number(a, "cpu_us"), &cpu);
        table_printf(&t, NULL, "%" PRIu64, json_number(a, "attempt"));
        table_add(&t, json_is(a, "verdict", "failed") ? COLOUR_RED : NULL,
                  json_text(a, "verdict"));
        table_add(&t, NULL, json_text(a, "reason"));
        words_time(&t, json_text(a, "started"));
        words_span(&t, json_text(a, "started"), json_text(a, "ended"));
        table_add(&t, NULL, buffer_text(&cpu));
        add_memory(&t, larger(json_number(a, "max_rss_bytes"),
                              json_number(a, "memory_peak_bytes")));
        if (with_fences)
            table_printf(&t, NULL, "%" PRIu64, json_number(a, "fence"));
    }
    words_heading("Attempts");
    table_print(&t);
}

/* ---- one task ---- */

static bool has_own_changes(const json_t *explained)
{
    const json_t *change;
    size_t i;

    json_array_foreach(json_object_get(explained, "changes"), i, change)
    {
        if (!json_is(change, "kind", "code")
            || json_is_true(json_object_get(change, "own")))
            return true;
    }
    return false;
}

static void print_headline(const json_t *x)
{
    static const struct {
        const char *state, *words;
    } table[] = {
        { "done", "is done" },
        { "caught", "failed, and its step catches that" },
        { "adopted", "was taken over" },
        { "failed", "failed" },
        { "lost", "was lost with its node" },
        { "running", "is running" },
        { "waiting", "waits" },
        { "not_started", "was not started" },
    };
    const char *state = json_text(x, "state"), *words = state;

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (strcmp(table[i].state, state) == 0)
            words = table[i].words;
    printf("%" PRIu64 "/%s/%s %s", json_number(x, "number"), json_text(x, "step"),
           json_text(x, "task"), words);
    if (*json_text(x, "waits")) {
        printf(": ");
        terminal_print(json_text(x, "waits"));
    }
    printf(".\n");
}

static int print_task(const json_t *x)
{
    const json_t *why = json_object_get(x, "why");
    bool is_adopted = json_is(why, "cause", "adopted");
    bool is_taken_over = is_adopted || json_is(why, "cause", "cached");

    print_headline(x);
    if (why && !json_is_null(why)) {
        words_heading(is_taken_over ? "Why it did not run" : "Why it ran");
        printf("  ");
        terminal_print(json_text(why, "sentence"));
        putchar('\n');
    }
    print_changes(x, true);
    if (is_adopted && has_own_changes(x))
        printf("  Its results are of then. To make them anew: mesh resume %" PRIu64
               " %s\n",
               json_number(x, "number"), json_text(x, "step"));
    if (!json_is_null(json_object_get(x, "failure"))) {
        words_heading("Why it failed");
        print_failure(x);
    }
    print_attempts(json_object_get(x, "attempts"));
    return CLI_OK;
}

/* ---- a run, or one of its steps ---- */

static void add_why(struct table *t, const json_t *step)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const json_t *name, *own = json_object_get(step, "own_changes");
    const char *waits = json_text(step, "waits");
    size_t i;

    buffer_puts(&text,
                *waits ? waits : json_text(json_object_get(step, "why"), "sentence"));
    json_array_foreach(own, i, name)
        buffer_printf(&text, "%s%s", i ? ", " : "; changed: ", json_string_value(name));
    table_add(t, NULL, buffer_text(&text));
}

static void add_number(struct table *t, uint64_t n, const char *colour)
{
    if (n)
        table_printf(t, colour, "%" PRIu64, n);
    else
        table_add(t, COLOUR_DIM, "-");
}

static void print_steps(const json_t *steps, const char *only)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *step;
    size_t i;

    table_head(&t, "STEP|>RAN|>TAKEN OVER|>FAILED|~WHY");
    json_array_foreach(steps, i, step)
    {
        if (only && !json_is(step, "step", only))
            continue;
        table_add(&t, NULL, json_text(step, "step"));
        add_number(&t, json_number(step, "ran"), NULL);
        add_number(&t, json_number(step, "adopted"), NULL);
        add_number(&t, json_number(step, "failed"), COLOUR_RED);
        add_why(&t, step);
    }
    putchar('\n');
    table_print(&t);
}

static void print_failures(const json_t *x, const char *only)
{
    const json_t *failure;
    size_t i;

    json_array_foreach(json_object_get(x, "failures"), i, failure)
    {
        uint64_t others = json_number(failure, "tasks") - 1;
        char title[256];

        if (only && !json_is(failure, "step", only))
            continue;
        snprintf(title, sizeof(title), "%" PRIu64 "/%.100s/%.60s failed",
                 json_number(x, "number"), json_text(failure, "step"),
                 json_text(failure, "task"));
        words_heading(title);
        if (others)
            printf("  and %" PRIu64 " more task%s of the step in the same way\n",
                   others, others == 1 ? "" : "s");
        print_failure(failure);
    }
}

static int print_run(const json_t *x, const char *only)
{
    const char *outcome = json_text(x, "outcome");

    printf("Run %" PRIu64 " of %s: %s", json_number(x, "number"), json_text(x, "flow"),
           *outcome ? outcome : json_text(x, "state"));
    if (*json_text(x, "message")) {
        printf(", ");
        terminal_print(json_text(x, "message"));
    }
    putchar('\n');
    if (!only)
        print_changes(x, false);
    print_steps(json_object_get(x, "steps"), only);
    print_failures(x, only);
    if (!only && json_array_size(json_object_get(x, "failures")))
        printf("\nAbout one task: mesh explain %" PRIu64 "/STEP/TASK\n",
               json_number(x, "number"));
    return CLI_OK;
}

/* ---- what is asked ---- */

static int ask(struct client *c, char *take_path, const char *against, json_t **ret)
{
    CLEANUP(freep) char *front = take_path;
    CLEANUP(freep) char *back = against ? client_path("?against=%s", against) : NULL;
    CLEANUP(freep) char *path = NULL;

    if (!front || (against && !back)
        || asprintf(&path, "%s%s", front, back ? back : "") < 0) {
        path = NULL;
        return cli_failed(-ENOMEM, NULL);
    }
    return client_get_json(c, path, ret);
}

/* Whether a step is in a foreach: then its name alone is no task's. */
static int is_in_foreach(struct client *c, const struct task_name *n, bool *ret)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/graph", n->run);
    CLEANUP(json_decrefp) json_t *graph = NULL;
    const json_t *step;
    int r = client_get_json(c, path, &graph);
    size_t i;

    *ret = false;
    json_array_foreach(json_object_get(graph, "steps"), i, step)
    {
        const json_t *scope = json_array_get(json_object_get(graph, "scopes"),
                                             json_number(step, "scope"));

        if (json_is(step, "name", n->step))
            *ret = json_number(scope, "depth") > 0;
    }
    return r;
}

static int explain_named(struct client *c, const struct options *o, struct task_name *n)
{
    const char *against = options_text(o, "against");
    CLEANUP(json_decrefp) json_t *json = NULL;
    bool in_foreach = false;
    int r = 0;

    if (n->step && !n->task)
        r = is_in_foreach(c, n, &in_foreach);
    if (r)
        return r;
    if (n->step && !n->task && !in_foreach)
        n->task = "0";
    if (n->task)
        r = ask(c, client_path("/v1/runs/%s/explain/%s/%s", n->run, n->step, n->task),
                against, &json);
    else
        r = ask(c, client_path("/v1/runs/%s/explain", n->run), against, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    return n->task ? print_task(json) : print_run(json, n->step);
}

/* `42 fit 3` is what `42/fit/3` is. */
static int read_name(const struct options *o, struct task_name *ret,
                     struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    for (size_t i = 0; i < o->n_operands; i++)
        buffer_printf(&text, "%s%s", i ? "/" : "", o->operands[i]);
    return task_name_parse(buffer_text(&text), ret, ret_error);
}

static int explain(const struct options *o)
{
    CLEANUP(task_name_release) struct task_name name = { .run = NULL };
    CLEANUP(client_closep) struct client *c = NULL;
    struct error error = { .text = "" };
    int r;

    if (read_name(o, &name, &error) < 0)
        return cli_usage("%s", error.text);
    r = client_open(o, CLIENT_LOOK, &c);
    return r ? r : explain_named(c, o, &name);
}

const struct command command_explain = {
    .name = "explain",
    .synopsis = "RUN[/STEP[/TASK]]",
    .summary = "tell why a task ran again, waits or failed",
    .about =
        "Of a task: why it ran or was taken over from the run before, and what "
        "changed\n"
        "since then: parameters, keys of its step, files of the code, artifacts that "
        "it\n"
        "reads; why it waits; why it failed, what to do about it, and what it printed\n"
        "last. Of a run: the same in short for each step, and each way of failing "
        "once.\n"
        "\n"
        "What changed is found by hashes in the records: nothing is run. A run that "
        "goes\n"
        "on from no other is compared with none, unless --against names one.",
    .options = explain_options,
    .examples = "mesh explain 42\n"
                "mesh explain 42/fit/3\n"
                "mesh explain 42/train --against 41   # two runs, neither of which "
                "resumes",
    .exits = EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 3,
    .run = explain,
};
