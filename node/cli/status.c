/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/summary.h"
#include "node/cli/words.h"

static const struct option_spec status_options[] = {
    OPTION_COLOUR, OPTION_JSON, OPTION_SOCKET, OPTION_DATA, OPTION_HELP, OPTION_END,
};

/* ---- one run ---- */

static void print_line(const char *name, const char *text)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    if (!text || !*text)
        return;
    terminal_escape(text, strlen(text), &out);
    printf("  %-11s%s\n", name, buffer_text(&out));
}

static void print_when(const json_t *run)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    time_us from = terminal_parse_time(json_text(run, "started"));
    time_us to = terminal_parse_time(json_text(run, "ended"));

    if (!from)
        from = terminal_parse_time(json_text(run, "submitted"));
    terminal_time(json_text(run, *json_text(run, "started") ? "started" : "submitted"),
                  &text);
    if (!to && strcmp(json_text(run, "state"), "interrupted") != 0)
        to = cli_now();
    if (to > from) {
        buffer_puts(&text, ", for ");
        terminal_duration(to - from, &text);
    }
    print_line("started", buffer_text(&text));
}

static void print_counts(const json_t *run)
{
    static const char *const names[] = { "done",   "running", "waiting",
                                         "failed", "skipped", "adopted" };
    const json_t *tasks = json_object_get(run, "tasks");
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        uint64_t n = json_number(tasks, names[i]);

        if (n || i == 0)
            buffer_printf(&text, "%s%" PRIu64 " %s", text.len ? ", " : "", n, names[i]);
    }
    print_line("tasks", buffer_text(&text));
}

static void print_parameters(const json_t *run)
{
    const json_t *p;
    size_t i;

    json_array_foreach(json_object_get(run, "parameters"), i, p)
    {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
        bool is_secret = json_is_true(json_object_get(p, "secret"));

        buffer_printf(&text, "%s = %.200s", json_text(p, "name"),
                      is_secret ? "(secret)" : json_text(p, "value"));
        print_line(i ? "" : "parameters", buffer_text(&text));
    }
}

static void add_count(struct table *t, const json_t *step, const char *key,
                      const char *colour)
{
    uint64_t n = json_number(step, key);

    if (n)
        table_printf(t, colour, "%" PRIu64, n);
    else
        table_add(t, COLOUR_DIM, "-");
}

static void print_steps(const json_t *steps)
{
    static const char *const head[] = { "STEP",    "TASKS",  "DONE",
                                        "RUNNING", "FAILED", "WAITS FOR" };
    CLEANUP(table_release)
    struct table t = { .n_columns = ARRAY_SIZE(head), .elastic = ARRAY_SIZE(head) - 1 };
    const json_t *step;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(head); i++) {
        t.is_right[i] = i > 0 && i < ARRAY_SIZE(head) - 1;
        table_add(&t, COLOUR_DIM, head[i]);
    }
    json_array_foreach(steps, i, step)
    {
        table_add(&t, NULL, json_text(step, "name"));
        add_count(&t, step, "known", NULL);
        add_count(&t, step, "done", COLOUR_GREEN);
        add_count(&t, step, "running", COLOUR_BOLD);
        add_count(&t, step, "failed", COLOUR_RED);
        table_add(&t, NULL, json_text(step, "waits"));
    }
    putchar('\n');
    table_print(&t);
}

static void print_tags(const json_t *run)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    words_tags(run, &text);
    print_line("tags", buffer_text(&text));
}

static void add_member(const json_t *m, struct buffer *text)
{
    const char *name = json_text(m, "name");

    buffer_printf(text, "%s%s", *name ? name : json_text(m, "id"),
                  json_is_false(json_object_get(m, "alive")) ? " (gone)" : "");
}

/* Who leads and keeps it, and how far that can be relied on. */
static void print_mesh(const json_t *run)
{
    const json_t *mesh = json_object_get(run, "mesh"), *home;
    const json_t *leader = json_object_get(mesh, "leader");
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t age_s = json_number(mesh, "age_s");
    size_t i;

    if (!mesh)
        return;
    if (json_is_object(leader))
        add_member(leader, &text);
    else
        buffer_puts(&text, "nobody at the moment");
    if (json_is_true(json_object_get(mesh, "tentative")))
        buffer_puts(&text, ", tentatively: most of its homes cannot be reached");
    print_line("led by", buffer_text(&text));
    buffer_clear(&text);
    json_array_foreach(json_object_get(mesh, "homes"), i, home)
    {
        buffer_puts(&text, i ? ", " : "");
        add_member(home, &text);
    }
    print_line("kept by", buffer_text(&text));
    buffer_clear(&text);
    terminal_duration(TIME_S(age_s), &text);
    buffer_puts(&text, " old: who leads it does not answer");
    if (age_s)
        print_line("this is", buffer_text(&text));
}

static void print_what_to_do(const json_t *run, const char *state)
{
    char name[RUN_NAME_SIZE];

    run_name_of(json_number(run, "number"), json_text(run, "run"), name);
    if (strcmp(state, "FAILED") == 0 || strcmp(state, "CANCELLED") == 0)
        printf("\nGo on from here: mesh resume %s\n", name);
    else if (json_is_true(json_object_get(run, "suspended")))
        printf("\nIt is suspended. Let it go on: mesh unsuspend %s\n", name);
    else if (strcmp(json_text(run, "state"), "interrupted") == 0)
        printf("\nIt was interrupted. Let it go on: mesh resume %s\n", name);
}

void status_print(struct client *c, const json_t *run)
{
    bool has_colour = terminal_has_colour(STDOUT_FILENO);
    const char *colour, *state = words_state(run, &colour);
    char name[RUN_NAME_SIZE];

    printf("Run %s of %s: %s%s%s\n",
           run_name_of(json_number(run, "number"), json_text(run, "run"), name),
           json_text(run, "flow"), has_colour && colour ? colour : "", state,
           has_colour && colour ? COLOUR_OFF : "");
    print_line("id", json_text(run, "run"));
    print_line("file", json_text(run, "path"));
    print_line("by", json_text(run, "user"));
    print_when(run);
    print_counts(run);
    print_mesh(run);
    print_tags(run);
    print_parameters(run);
    print_line("goes on", json_text(run, "origin"));
    print_line("reason", json_text(run, "message"));
    if (json_object_get(run, "summary")) {
        summary_steps(run);
        summary_totals(run);
        summary_failures(c, run);
    } else {
        print_steps(json_object_get(run, "steps"));
    }
    print_what_to_do(run, state);
}

static int status_of_run(struct client *c, const struct options *o)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", o->operands[0]);
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_get_json(c, path, &json);

    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    status_print(c, json);
    return CLI_OK;
}

/* ---- the node ---- */

/* GPUs, and what the node's owner named. */
static void add_resources(const json_t *node, struct buffer *text)
{
    uint64_t gpus = json_number(node, "gpus");
    const char *name;
    const json_t *milli;

    if (gpus)
        buffer_printf(text, ", %" PRIu64 " gpu%s", gpus, gpus == 1 ? "" : "s");
    json_object_foreach(json_object_get(node, "resources"), name, milli)
        buffer_printf(text, ", %g %s", (double)json_integer_value(milli) / 1000, name);
}

static void add_cap(struct table *t, const json_t *user, const char *key, bool is_milli)
{
    const json_t *cap = json_object_get(user, key);
    double value = (double)json_integer_value(cap);

    if (json_is_integer(cap))
        table_printf(t, NULL, "%g", is_milli ? value / 1000 : value);
    else
        table_add(t, COLOUR_DIM, "-");
}

/* Who has runs here. */
static void print_users(const json_t *users)
{
    static const char *const head[] = { "USER",      "WEIGHT",   "RUNS",   "RUNNING",
                                        "MAX TASKS", "USES CPU", "MAX CPU" };
    CLEANUP(table_release)
    struct table t = { .n_columns = ARRAY_SIZE(head), .elastic = 0 };
    const json_t *user;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(head); i++) {
        t.is_right[i] = i > 0;
        table_add(&t, COLOUR_DIM, head[i]);
    }
    json_array_foreach(users, i, user)
    {
        table_add(&t, COLOUR_BOLD, json_text(user, "name"));
        table_printf(&t, NULL, "%" PRIu64, json_number(user, "weight"));
        table_printf(&t, NULL, "%" PRIu64, json_number(user, "n_runs"));
        table_printf(&t, NULL, "%" PRIu64, json_number(user, "n_running"));
        add_cap(&t, user, "max_tasks", false);
        table_printf(&t, NULL, "%g", (double)json_number(user, "cpu_milli") / 1000);
        add_cap(&t, user, "max_cpu_milli", true);
    }
    if (json_array_size(users)) {
        putchar('\n');
        table_print(&t);
    }
}

static void print_node(const json_t *node)
{
    const json_t *store = json_object_get(node, "store");
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t quota = json_number(store, "quota_bytes");

    printf("Node %" PRIu64 ", mesh %s, on %s\n", json_number(node, "pid"),
           json_text(node, "version"), json_text(node, "dir"));
    printf("  running    %" PRIu64 " tasks of %" PRIu64 " runs\n",
           json_number(node, "n_running"), json_number(node, "n_runs"));
    buffer_printf(&text, "%g processors, ",
                  (double)json_number(node, "cpu_milli") / 1000);
    terminal_bytes(json_number(node, "memory_bytes"), &text);
    buffer_puts(&text, " of memory");
    add_resources(node, &text);
    print_line("gives", buffer_text(&text));
    buffer_clear(&text);
    terminal_bytes(json_number(store, "bytes"), &text);
    if (quota) {
        buffer_puts(&text, " of ");
        terminal_bytes(quota, &text);
    }
    buffer_puts(&text, ", ");
    terminal_bytes(json_number(store, "disk_free_bytes"), &text);
    buffer_puts(&text, " free on the disk");
    print_line("store", buffer_text(&text));
}

static void print_node_mesh(const json_t *mesh)
{
    const json_t *guests = json_object_get(mesh, "guests");
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (!mesh)
        return;
    buffer_printf(&text, "%s, one of %" PRIu64, json_text(mesh, "name"),
                  json_number(mesh, "n_live"));
    if (json_number(mesh, "n_gone"))
        buffer_printf(&text, ", %" PRIu64 " gone", json_number(mesh, "n_gone"));
    if (*json_text(mesh, "zone"))
        buffer_printf(&text, ", in zone %s", json_text(mesh, "zone"));
    if (json_is_true(json_object_get(mesh, "draining")))
        buffer_puts(&text, "; it drains: it takes no work");
    if (json_is_true(json_object_get(mesh, "disk_full")))
        buffer_puts(&text, "; its disk is full: it asks for no work");
    print_line("mesh", buffer_text(&text));
    buffer_clear(&text);
    buffer_printf(&text,
                  "%" PRIu64 " tasks run, %" PRIu64 " wait, %" PRIu64 " are prepared",
                  json_number(guests, "running"), json_number(guests, "waiting"),
                  json_number(guests, "preparing"));
    print_line("for others", buffer_text(&text));
}

static bool is_active(const json_t *run)
{
    const char *state = json_text(run, "state");

    return strcmp(state, "running") == 0 || strcmp(state, "suspended") == 0
           || strcmp(state, "stopping") == 0;
}

static void print_active(const json_t *runs)
{
    char name[RUN_NAME_SIZE];
    CLEANUP(table_release) struct table t = { .n_columns = 6, .elastic = 1 };
    static const char *const head[] = {
        "RUN", "FLOW", "STATE", "FOR", "DONE", "RUNNING"
    };
    const json_t *run;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(head); i++) {
        t.is_right[i] = i == 0 || i > 2;
        table_add(&t, COLOUR_DIM, head[i]);
    }
    json_array_foreach(runs, i, run)
    {
        const json_t *tasks = json_object_get(run, "tasks");
        const char *colour, *state = words_state(run, &colour);

        if (!is_active(run))
            continue;
        table_add(&t, COLOUR_BOLD,
                  run_name_of(json_number(run, "number"), json_text(run, "run"), name));
        table_add(&t, NULL, json_text(run, "flow"));
        table_add(&t, colour, state);
        words_span(&t, json_text(run, "started"), "");
        table_printf(&t, NULL, "%" PRIu64, json_number(tasks, "done"));
        table_printf(&t, NULL, "%" PRIu64, json_number(tasks, "running"));
    }
    if (t.n > t.n_columns) {
        putchar('\n');
        table_print(&t);
    }
}

static int status_of_node(struct client *c, const struct options *o)
{
    CLEANUP(json_decrefp) json_t *node = NULL;
    CLEANUP(json_decrefp) json_t *runs = NULL;
    int r = client_get_json(c, "/v1/node", &node);

    if (r == 0)
        r = client_get_json(c, "/v1/runs?limit=500", &runs);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(node);
    print_node(node);
    print_node_mesh(json_object_get(node, "mesh"));
    print_users(json_object_get(node, "users"));
    print_active(json_object_get(runs, "runs"));
    return CLI_OK;
}

static int status(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    /* Nothing is active in a store that nobody holds. */
    int r = client_open(o, o->n_operands ? CLIENT_LOOK : CLIENT_NODE, &c);

    if (r)
        return r;
    return o->n_operands ? status_of_run(c, o) : status_of_node(c, o);
}

const struct command command_status = {
    .name = "status",
    .synopsis = "[RUN]",
    .summary = "show how a run stands, or the node",
    .about =
        "With RUN (a number, an id or the front of one): its steps and tasks, and why\n"
        "it waits or failed; of one that is over, what its steps took and what "
        "failed.\n"
        " Without: the node and its active runs.",
    .options = status_options,
    .examples = "mesh status 42\nmesh status\nmesh status 42 --json",
    .exits = EXITS_NAMES | EXITS_NODE,
    .operands_max = 1,
    .run = status,
};
