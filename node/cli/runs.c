/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "node/cli/client.h"
#include "node/cli/words.h"

enum { RUNS_LIMIT = 100, RUNS_LIMIT_MAX = 10000 };

static const struct option_spec runs_options[] = {
    { "flow", 'f', "NAME", "only runs of this flow" },
    { "tag", 't', "TAG", "only runs with this tag" },
    { "user", 'u', "NAME", "only runs of this user" },
    { "state", 's', "STATE",
      "only running, suspended, interrupted, ok, failed, cancelled or ended ones" },
    { "limit", 'n', "N", "so many, the newest first (else 100)" },
    OPTION_COLOUR,
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

char *runs_path(const struct runs_wanted *w)
{
    const struct {
        const char *format, *value;
    } parts[] = { { "&flow=%s", w->flow },
                  { "&tag=%s", w->tag },
                  { "&user=%s", w->user },
                  { "&state=%s", w->state },
                  { "&before=%s", w->before } };
    char *path = client_path("/v1/runs?limit=%u", w->limit);

    for (size_t i = 0; path && i < ARRAY_SIZE(parts); i++) {
        CLEANUP(freep) char *head = NULL;
        CLEANUP(freep) char *tail = NULL;

        if (!parts[i].value)
            continue;
        head = TAKE(path);
        tail = client_path(parts[i].format, parts[i].value);
        if (tail && asprintf(&path, "%s%s", head, tail) < 0)
            path = NULL;
    }
    return path;
}

static bool has_tags(const json_t *runs)
{
    const json_t *run;
    size_t i;

    json_array_foreach(runs, i, run) if (json_array_size(
                                             json_object_get(run, "tags"))) return true;
    return false;
}

static void add_tags(struct table *t, const json_t *run)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    words_tags(run, &text);
    table_add(t, NULL, buffer_text(&text));
}

static int print_runs(const json_t *runs)
{
    char name[RUN_NAME_SIZE];
    bool is_tagged = has_tags(runs);
    CLEANUP(table_release)
    struct table t = { .n = 0 };
    const json_t *run, *tasks;
    size_t i;

    table_head(&t, is_tagged ? ">RUN|FLOW|STATE|SUBMITTED|>TOOK|>TASKS|USER|~TAGS"
                             : ">RUN|~FLOW|STATE|SUBMITTED|>TOOK|>TASKS|USER");
    json_array_foreach(runs, i, run)
    {
        const char *colour, *state = words_state(run, &colour);

        tasks = json_object_get(run, "tasks");
        table_add(&t, COLOUR_BOLD,
                  run_name_of(json_number(run, "number"), json_text(run, "run"), name));
        table_add(&t, NULL, json_text(run, "flow"));
        table_add(&t, colour, state);
        words_time(&t, json_text(run, "submitted"));
        words_span(&t, json_text(run, "started"), json_text(run, "ended"));
        table_printf(&t, NULL, "%" PRIu64,
                     json_number(tasks, "done") + json_number(tasks, "adopted"));
        table_add(&t, NULL, json_text(run, "user"));
        if (is_tagged)
            add_tags(&t, run);
    }
    return table_print(&t) < 0 ? CLI_FAILED : CLI_OK;
}

static int print_none(const struct runs_wanted *w)
{
    bool is_any = !w->flow && !w->tag && !w->user && !w->state;

    puts(is_any ? "Nothing ran yet." : "No run is like that.");
    return CLI_OK;
}

static int runs(const struct options *o)
{
    struct runs_wanted wanted = { .flow = options_text(o, "flow"),
                                  .tag = options_text(o, "tag"),
                                  .user = options_text(o, "user"),
                                  .state = options_text(o, "state") };
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *path = NULL;
    struct error error = { .text = "" };
    int r;

    if (options_number(o, "limit", RUNS_LIMIT_MAX, &wanted.limit, &error) < 0)
        return cli_usage("%s", error.text);
    if (!wanted.limit)
        wanted.limit = RUNS_LIMIT;
    path = runs_path(&wanted);
    r = client_open(o, CLIENT_LOOK, &c);
    if (r == 0)
        r = client_get_json(c, path, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    if (json_array_size(json_object_get(json, "runs")) == 0)
        return print_none(&wanted);
    return print_runs(json_object_get(json, "runs"));
}

const struct command command_runs = {
    .name = "runs",
    .summary = "list what ran and runs",
    .about = "Lists the runs in the store, the newest first. No node has to be there.",
    .options = runs_options,
    .examples = "mesh runs\nmesh runs --flow Train --limit 5\nmesh runs --tag best\n"
                "mesh runs --state failed\n"
                "mesh runs --json",
    .exits = EXITS_NODE,
    .run = runs,
};
