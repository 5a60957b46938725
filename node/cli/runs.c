/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "node/cli/client.h"
#include "node/cli/words.h"

enum { RUNS_LIMIT = 100, RUNS_LIMIT_MAX = 10000 };

static const struct option_spec runs_options[] = {
    { "flow", 'f', "NAME", "only runs of this flow" },
    { "tag", 't', "TAG", "only runs with this tag" },
    { "limit", 'n', "N", "so many, the newest first (else 100)" },
    OPTION_COLOUR,
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

char *runs_path(uint64_t limit, const char *flow, const char *tag, const char *before)
{
    const struct {
        const char *format, *value;
    } parts[] = { { "&flow=%s", flow }, { "&tag=%s", tag }, { "&before=%s", before } };
    char *path = client_path("/v1/runs?limit=%u", limit);

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
    bool is_tagged = has_tags(runs);
    CLEANUP(table_release)
    struct table t = { .n_columns = is_tagged ? 8 : 7, .elastic = is_tagged ? 7 : 1 };
    const json_t *run, *tasks;
    size_t i;

    t.is_right[0] = t.is_right[4] = t.is_right[5] = true;
    table_add(&t, COLOUR_DIM, "RUN");
    table_add(&t, COLOUR_DIM, "FLOW");
    table_add(&t, COLOUR_DIM, "STATE");
    table_add(&t, COLOUR_DIM, "SUBMITTED");
    table_add(&t, COLOUR_DIM, "TOOK");
    table_add(&t, COLOUR_DIM, "TASKS");
    table_add(&t, COLOUR_DIM, "USER");
    if (is_tagged)
        table_add(&t, COLOUR_DIM, "TAGS");
    json_array_foreach(runs, i, run)
    {
        const char *colour, *state = words_state(run, &colour);

        tasks = json_object_get(run, "tasks");
        table_printf(&t, COLOUR_BOLD, "%" PRIu64, json_number(run, "number"));
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

static int runs(const struct options *o)
{
    const char *flow = options_text(o, "flow"), *tag = options_text(o, "tag");
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *path = NULL;
    struct error error = { .text = "" };
    uint64_t limit;
    int r;

    if (options_number(o, "limit", RUNS_LIMIT_MAX, &limit, &error) < 0)
        return cli_usage("%s", error.text);
    if (!limit)
        limit = RUNS_LIMIT;
    path = runs_path(limit, flow, tag, NULL);
    r = client_open(o, CLIENT_LOOK, &c);
    if (r == 0)
        r = client_get_json(c, path, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    if (json_array_size(json_object_get(json, "runs")) == 0) {
        printf("Nothing ran yet%s%s%s%s.\n", flow ? " of the flow " : "",
               flow ? flow : "", tag ? " with the tag " : "", tag ? tag : "");
        return CLI_OK;
    }
    return print_runs(json_object_get(json, "runs"));
}

const struct command command_runs = {
    .name = "runs",
    .summary = "list what ran and runs",
    .about = "Lists the runs in the store, the newest first. No node has to be there.",
    .options = runs_options,
    .examples = "mesh runs\nmesh runs --flow Train --limit 5\nmesh runs --tag best\n"
                "mesh runs --json",
    .exits = EXITS_NODE,
    .run = runs,
};
