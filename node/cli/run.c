/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/order.h"

static const struct option_spec run_options[] = {
    OPTION_DATA,   OPTION_QUIET,      OPTION_TIMESTAMPS,  OPTION_PLAIN,
    OPTION_COLOUR, OPTION_JSON_LINES, OPTION_MAX_WORKERS, OPTION_ON_FAILURE,
    OPTION_TAGS,   OPTION_SLOTS,      OPTION_CPU,         OPTION_MEMORY,
    OPTION_GPUS,   OPTION_RESOURCE,   OPTION_QUOTA,       OPTION_SHARE,
    OPTION_AS,     OPTION_HELP,       OPTION_END,
};

static int run(const struct options *o)
{
    CLEANUP(flow_file_release) struct flow_file file = { .path = NULL };
    CLEANUP(order_release) struct order order = { .file = &file, .clamp = true };
    CLEANUP(freep) char *dir = cli_data_dir(o);
    struct runtime *rt = NULL;
    struct client *c = NULL;
    int r = dir ? order_options(&order, o) : CLI_NO_NODE;

    if (r == 0)
        r = flow_file_open(o->operands[0], o, dir, &file);
    if (r == 0)
        r = local_open(o, dir, NULL, &rt, &c, NULL);
    if (r)
        return r;
    return rt ? local_run(rt, &order, o) : remote_run(c, &order, o);
}

const struct command command_run = {
    .name = "run",
    .synopsis = "FLOW [--PARAMETER VALUE ...]",
    .summary = "run a flow here and now",
    .about =
        "Runs the flow file FLOW and shows what happens. No node has to be there: "
        "this\n"
        "process is one, for as long as the run takes. When another process has the\n"
        "store, the run is handed to that one and followed.\n"
        "\n"
        "The file is checked first; all its errors are told and nothing is started. "
        "The\n"
        "parameters of the flow are options: --alpha 0.3, before or after FLOW. A "
        "value\n"
        "@FILE is read from a file and - from standard input; secret ones must be.\n"
        "The files beside FLOW go along as its code: what git tracks, or the folder "
        "by\n"
        ".gitignore and .meshignore.\n"
        "\n"
        "In a terminal a bar for each step stands below the newest lines; ? tells the "
        "keys.\n"
        "Ctrl-C cancels the run and tells how to resume it; twice kills. So does a\n"
        "terminal that closes, but for nohup, and but for a run that another process\n"
        "has.",
    .options = run_options,
    .examples = "mesh run hello.mf\n"
                "mesh run train.mf --alpha 0.3 --max-workers 4\n"
                "mesh run deploy.mf --password @secret.txt\n"
                "mesh run train.mf --help          # with the flow's parameters",
    .exits = EXITS_RUN | EXITS_FLOW | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .takes_parameters = true,
    .run = run,
    .help_more = flow_file_help,
};
