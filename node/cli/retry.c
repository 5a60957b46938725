/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "node/cli/order.h"

static const struct option_spec retry_options[] = {
    { "code", 0, "WHICH", "`same`: the files of then; `now`: as they are" },
    { "flow", 0, "FILE",
      "with --code now: the flow file, when it is not where it was" },
    OPTIONS_OF_GOING_ON,
};

static int retry(const struct options *o)
{
    CLEANUP(task_name_release) struct task_name name = { .storage = NULL };
    const char *code = options_text(o, "code");
    struct error error = { .text = "" };
    struct going_on how = { .is_retry = true };

    if (task_name_parse(o->operands[0], &name, &error) < 0)
        return cli_usage("%s", error.text);
    if (name.task)
        return cli_usage("retry: a whole step is tried again: mesh retry %.40s/%.80s",
                         name.run, name.step);
    how.run = name.run;
    how.step = name.step;
    how.is_same_code = !code || strcmp(code, "same") == 0;
    if (!how.is_same_code && strcmp(code, "now") != 0)
        return cli_usage("--code must be same or now, not '%.80s'", code);
    return order_go_on(o, &how);
}

const struct command command_retry = {
    .name = "retry",
    .synopsis = "RUN[/STEP]",
    .summary = "try again what failed, with the same code",
    .about =
        "Starts a new run that takes over every finished task of RUN, tries again "
        "those\n"
        "that failed, and does the rest: with the code and the parameters of then. "
        "For\n"
        "when the world was wrong, not the code: a full disk, a server that was down.\n"
        "With STEP that step and all behind it are done again, whatever became of "
        "them.\n"
        "\n"
        "When the code was wrong: mend it, then mesh resume RUN. Secrets, which are "
        "not\n"
        "kept, are given again.",
    .options = retry_options,
    .examples = "mesh retry 42\n"
                "mesh retry 42/fit                # fit and all behind it\n"
                "mesh retry 42 --code now         # as mesh resume 42",
    .exits = EXITS_RUN | EXITS_FLOW | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .takes_parameters = true,
    .run = retry,
};
