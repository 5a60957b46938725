/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "node/cli/order.h"

static const struct option_spec submit_options[] = {
    { "follow", 'f', NULL, "show what happens, and end with the run's result" },
    OPTION_QUIET,
    OPTION_TIMESTAMPS,
    OPTION_PLAIN,
    OPTION_COLOUR,
    OPTION_MAX_WORKERS,
    OPTION_ON_FAILURE,
    OPTION_TAGS,
    OPTION_SHARE,
    OPTION_AS,
    { "json", 0, NULL, "print JSON; with --follow each event as a line" },
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static int say_submitted(const struct options *o, const json_t *json)
{
    char name[RUN_NAME_SIZE];

    run_name_of(json_number(json, "number"), json_text(json, "run"), name);
    if (options_has(o, "json"))
        return json_print(json);
    printf("Submitted as run %s.\n"
           "  follow it: mesh follow %s\n"
           "  see it:    mesh status %s\n",
           name, name, name);
    return CLI_OK;
}

static int submit(const struct options *o)
{
    CLEANUP(flow_file_release) struct flow_file file = { .path = NULL };
    CLEANUP(order_release) struct order order = { .file = &file };
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *dir = cli_data_dir(o);
    int r = order_options(&order, o);

    if (r == 0)
        r = flow_file_open(o->operands[0], o, dir, &file);
    if (r == 0)
        r = client_open(o, CLIENT_NODE, &c);
    if (r == 0)
        r = remote_submit(c, &order, &json);
    if (r)
        return r;
    if (!options_has(o, "follow"))
        return say_submitted(o, json);
    return remote_follow(TAKE(c), o, json_text(json, "run"),
                         json_number(json, "number"), false);
}

const struct command command_submit = {
    .name = "submit",
    .synopsis = "FLOW [--PARAMETER VALUE ...] [--follow]",
    .summary = "hand a flow to a node that runs already",
    .about =
        "Checks the flow file FLOW, sends it with the files beside it (only what the\n"
        "node has not yet), and returns when the run is kept. With --follow it shows\n"
        "what happens; Ctrl-C then ends the following, not the run.\n"
        "\n"
        "Parameters are options of the flow's own names, as in mesh run.",
    .options = submit_options,
    .examples =
        "mesh submit train.mf --alpha 0.3\n"
        "mesh submit train.mf --follow\n"
        "mesh submit train.mf --json       # {\"run\": ..., \"number\": 42, ...}",
    .exits = EXITS_RUN | EXITS_FLOW | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .takes_parameters = true,
    .run = submit,
    .help_more = flow_file_help,
};
