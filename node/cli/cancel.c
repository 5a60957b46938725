/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "node/cli/client.h"

static const struct option_spec cancel_options[] = {
    { "now", 0, NULL, "kill at once, without the time to tidy up" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static int cancel(const struct options *o)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/cancel", o->operands[0]);
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_open(o, CLIENT_LOOK, &c);

    if (r == 0)
        r = client_json(c, "POST", path, NULL, 0, &json);
    if (r == 0 && options_has(o, "now"))
        r = client_json(c, "POST", path, NULL, 0, NULL);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("Run %s is being cancelled.\n", o->operands[0]);
    return CLI_OK;
}

const struct command command_cancel = {
    .name = "cancel",
    .synopsis = "RUN",
    .summary = "end a run",
    .about =
        "Starts no more tasks of RUN and ends those that run: SIGTERM, then SIGKILL\n"
        "after 30 s. Asked a second time, or with --now, it kills at once. What was\n"
        "done is kept: mesh resume goes on from there.",
    .options = cancel_options,
    .examples = "mesh cancel 42\nmesh cancel 42 --now",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = cancel,
};
