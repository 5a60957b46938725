/* SPDX-License-Identifier: Apache-2.0 */
/* `mesh show` and `mesh graph`: what a flow is, from its file or from a run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "flow/read.h"
#include "node/cli/client.h"
#include "node/cli/flow_file.h"

static const struct option_spec show_options[] = { OPTION_COLOUR, OPTION_JSON,
                                                   OPTION_SOCKET, OPTION_DATA,
                                                   OPTION_HELP,   OPTION_END };
static const struct option_spec graph_options[] = {
    { "format", 0, "WHICH", "`dot` (as it is without this) or `json`" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static int read_of_run(const struct options *o, const char *run, struct flow_file *ret)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/flow", run);
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    size_t len;
    char *text;
    int r = path ? client_open(o, CLIENT_LOOK, &c) : cli_failed(-ENOMEM, NULL);

    if (r)
        return r;
    r = client_request(c, &(struct request){ .method = "GET", .path = path }, &a,
                       &error);
    if (r < 0)
        return client_lost(r, &error);
    if (a.status >= 300)
        return client_refused(&a);
    len = a.body.len;
    text = buffer_take(&a.body);
    return text ? flow_file_read_text(run, text, len, ret) : CLI_FAILED;
}

/* A file when there is one of that name, else a run. */
static int read_operand(const struct options *o, struct flow_file *ret)
{
    const char *name = o->operands[0];
    struct stat st;
    bool is_run = strspn(name, "0123456789abcdef") == strlen(name);

    return is_run && stat(name, &st) < 0 ? read_of_run(o, name, ret)
                                         : flow_file_read(name, ret);
}

typedef int write_fn(const struct flow *f, struct buffer *out);

static int print(const struct options *o, write_fn *write)
{
    CLEANUP(flow_file_release) struct flow_file file = { .path = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    int r = read_operand(o, &file);

    if (r)
        return r;
    r = write(file.flow, &out);
    if (r < 0)
        return cli_failed(r, NULL);
    fwrite(buffer_text(&out), 1, out.len, stdout);
    if (out.len && out.data[out.len - 1] != '\n')
        putchar('\n');
    return CLI_OK;
}

static int show(const struct options *o)
{
    return print(o, options_has(o, "json") ? flow_write_json : flow_write_text);
}

static int graph(const struct options *o)
{
    const char *format = options_text(o, "format");

    if (format && strcmp(format, "dot") != 0 && strcmp(format, "json") != 0)
        return cli_usage("--format must be dot or json, not '%.80s'", format);
    return print(o, options_has(o, "json") || (format && strcmp(format, "json") == 0)
                        ? flow_write_json
                        : flow_write_dot);
}

const struct command command_show = {
    .name = "show",
    .synopsis = "FLOW|RUN",
    .summary = "print a flow's steps and parameters",
    .about =
        "Prints the steps of the flow file FLOW, or of the flow that RUN ran, in the\n"
        "order they run, with what each waits for, and the parameters.",
    .options = show_options,
    .examples = "mesh show train.mf\nmesh show 42",
    .exits = EXITS_FLOW | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = show,
};

const struct command command_graph = {
    .name = "graph",
    .synopsis = "FLOW|RUN [--format dot|json]",
    .summary = "print a flow's graph for other programs",
    .about = "Prints the graph of the flow file FLOW, or of the flow that RUN ran, as\n"
             "Graphviz dot, or as JSON.",
    .options = graph_options,
    .examples = "mesh graph train.mf | dot -Tsvg >train.svg\n"
                "mesh graph 42 --format json",
    .exits = EXITS_FLOW | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = graph,
};
