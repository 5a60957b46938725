/* SPDX-License-Identifier: Apache-2.0 */
/* `mesh follow`, also called attach: from wherever, into a run that goes on. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/order.h"
#include "node/cli/summary.h"

static const struct option_spec follow_options[] = {
    OPTION_PLAIN,  OPTION_COLOUR, OPTION_QUIET, OPTION_TIMESTAMPS, OPTION_JSON_LINES,
    OPTION_SOCKET, OPTION_DATA,   OPTION_HELP,  OPTION_END,
};

/* There is nothing to wait for: how it ended is all there is to say. */
static int say_ended(struct client *c, const struct options *o, json_t *run)
{
    const char *outcome = json_text(run, "outcome");

    if (options_has(o, "json")) {
        CLEANUP(freep) char *text = NULL;

        json_object_set(run, "time",
                        json_object_get(run, "ended")); /* as events have */
        text = json_dumps(run, JSON_COMPACT);
        printf("{\"event\":\"run_ended\",\"data\":%s}\n", text ? text : "null");
    } else {
        status_print(c, run);
    }
    return strcmp(outcome, "ok") == 0       ? CLI_OK
           : strcmp(outcome, "failed") == 0 ? CLI_FAILED
                                            : CLI_CANCELLED;
}

static int follow(const struct options *o)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", o->operands[0]);
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *run = NULL;
    const char *state;
    int r = client_open(o, CLIENT_LOOK, &c);

    if (r == 0)
        r = client_get_json(c, path, &run);
    if (r)
        return r;
    state = json_text(run, "state");
    if (strcmp(state, "ended") == 0)
        return say_ended(c, o, run);
    if (strcmp(state, "interrupted") == 0) {
        cli_say("run %" PRIu64 " was interrupted; it goes on when a node is started",
                json_number(run, "number"));
        cli_hint("here: mesh resume %" PRIu64 "; or a node that stays: mesh node --dev",
                 json_number(run, "number"));
        return CLI_NO_NODE;
    }
    return remote_follow(TAKE(c), o, json_text(run, "run"), json_number(run, "number"),
                         false);
}

const struct command command_follow = {
    .name = "follow",
    .alias = "attach",
    .synopsis = "RUN",
    .summary = "watch a run until it ends",
    .about =
        "Shows what happens in RUN, wherever it was started: in a terminal a bar for\n"
        "each step below the newest lines, else lines. Ends with the run's result. q "
        "or\n"
        "Ctrl-C end the watching, not the run; ? tells all keys. Of a run that has\n"
        "ended it prints how.",
    .options = follow_options,
    .examples = "mesh follow 42\n"
                "mesh follow 42 --quiet           # only failures and the end\n"
                "mesh follow 42 --json            # each event as a line of JSON",
    .exits = EXITS_RUN | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = follow,
};
