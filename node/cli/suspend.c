/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "node/cli/client.h"

static const struct option_spec suspend_options[] = { OPTION_JSON, OPTION_SOCKET,
                                                      OPTION_DATA, OPTION_HELP,
                                                      OPTION_END };

static int change(const struct options *o, const char *format, json_t **ret_json)
{
    CLEANUP(freep) char *path = client_path(format, o->operands[0]);
    CLEANUP(client_closep) struct client *c = NULL;
    int r = client_open(o, CLIENT_LOOK, &c);

    return r ? r : client_json(c, "POST", path, NULL, 0, ret_json);
}

static int suspend(const struct options *o)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = change(o, "/v1/runs/%s/suspend", &json);

    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("Run %s is suspended: what runs is finished, nothing starts.\n"
           "  to go on: mesh unsuspend %s\n",
           o->operands[0], o->operands[0]);
    return CLI_OK;
}

static int unsuspend(const struct options *o)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = change(o, "/v1/runs/%s/unsuspend", &json);

    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("Run %s goes on.\n", o->operands[0]);
    return CLI_OK;
}

const struct command command_suspend = {
    .name = "suspend",
    .synopsis = "RUN",
    .summary = "let a run start nothing for a while",
    .about =
        "Starts no more tasks of RUN until mesh unsuspend RUN; those that run are\n"
        "finished. It holds over restarts of the node, and a run that no node runs "
        "can\n"
        "be suspended too: then the next node does not go on with it. The timeout of\n"
        "the run stands still meanwhile; those of its tasks do not. A suspended run "
        "can\n"
        "be cancelled.",
    .options = suspend_options,
    .examples = "mesh suspend 42\nmesh unsuspend 42",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = suspend,
};

const struct command command_unsuspend = {
    .name = "unsuspend",
    .synopsis = "RUN",
    .summary = "let a suspended run go on",
    .about = "Undoes mesh suspend RUN. A run that no node runs goes on when one is "
             "started.",
    .options = suspend_options,
    .examples = "mesh unsuspend 42",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = unsuspend,
};
