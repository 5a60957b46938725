/* SPDX-License-Identifier: Apache-2.0 */
/* `mesh next` and `mesh inputs`: what a task asks of its node. */
#include <errno.h>
#include <stdio.h>

#include "node/cli/client.h"

static const struct option_spec next_options[] = {
    { "case", 0, "NAME", "the case that the switch takes" },
    OPTION_HELP,
    OPTION_END,
};
static const struct option_spec inputs_options[] = { OPTION_JSON, OPTION_HELP,
                                                     OPTION_END };

static int next(const struct options *o)
{
    const char *name = options_text(o, "case");
    CLEANUP(freep) char *path = client_path("/v1/task/next?case=%s", name ? name : "");
    CLEANUP(client_closep) struct client *c = NULL;
    int r;

    if (!name)
        return cli_usage("next: say which: mesh next --case NAME");
    r = client_open_channel(&c);
    return r ? r : client_json(c, "PUT", path, NULL, 0, NULL);
}

static int print_body(void *arg, const char *data, size_t len)
{
    (void)arg;
    return fwrite(data, 1, len, stdout) == len ? 0 : -EPIPE;
}

static int inputs(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    int r = client_open_channel(&c);

    (void)o;
    if (r)
        return r;
    r = client_request(c,
                       &(struct request){ .method = "GET",
                                          .path = "/v1/task/inputs",
                                          .on_body = print_body },
                       &a, &error);
    if (r == -EPIPE)
        return CLI_FAILED;
    if (r < 0)
        return client_lost(r, &error);
    return a.status >= 300 ? client_refused(&a) : CLI_OK;
}

const struct command command_next = {
    .name = "next",
    .synopsis = "--case NAME",
    .summary = "in a step: say which case its switch takes",
    .about =
        "Works in the script of a step with `switch`. The last word counts; it counts\n"
        "when the task exits 0.",
    .options = next_options,
    .examples = "if test \"$loss\" -lt 5; then mesh next --case good; fi",
    .exits = EXITS_REFUSED | EXITS_NODE,
    .run = next,
};

const struct command command_inputs = {
    .name = "inputs",
    .summary = "in a join: list the tasks it joins",
    .about = "Works in the script of a step that joins. Prints a line of JSON for each "
             "task\n"
             "that came here, in the order of the split:\n"
             "  {step, index, task, attempt, ok, artifacts: {name: {id, type, size, "
             "value}}}\n"
             "value is there for JSON up to 64 KiB.",
    .options = inputs_options,
    .examples = "mesh inputs | jq -s 'map(.artifacts.score.value) | add'",
    .exits = EXITS_REFUSED | EXITS_NODE,
    .run = inputs,
};
