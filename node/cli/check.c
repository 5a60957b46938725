/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "flow/read.h"
#include "node/cli/client.h"
#include "node/cli/flow_file.h"

static const struct option_spec check_options[] = { OPTION_JSON, OPTION_HELP,
                                                    OPTION_END };

static json_t *text_or_null(const char *text)
{
    json_t *json = text ? json_string(text) : NULL;

    return json ? json : json_null();
}

static int print_json(const struct flow_file *file, int r)
{
    CLEANUP(json_decrefp)
    json_t *json = json_pack("{s:b, s:[]}", "ok", r == 0, "diagnostics");
    json_t *list = json_object_get(json, "diagnostics");

    for (size_t i = 0; i < file->diagnostics.n; i++) {
        const struct diagnostic *d = &file->diagnostics.all[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o}",
                                        "severity",
                                        d->severity == SEVERITY_NOTE ? "note" : "error",
                                        "line", (int)d->line, "column", (int)d->column,
                                        "width", (int)d->width, "message",
                                        text_or_null(d->message), "hint",
                                        text_or_null(d->hint), "excerpt",
                                        text_or_null(d->excerpt)));
    }
    json_print(json);
    return r;
}

static int check(const struct options *o)
{
    CLEANUP(flow_file_release) struct flow_file file = { .path = NULL };
    int r = flow_file_read(o->operands[0], &file);

    if (r == 0)
        r = flow_file_collect(&file, NULL);
    if (options_has(o, "json"))
        return print_json(&file, r);
    if (r == 0)
        printf("%s is fine: %s, %u step%s, %zu file%s of code.\n", file.path,
               file.flow->name, file.flow->n_steps, file.flow->n_steps == 1 ? "" : "s",
               file.package.n, file.package.n == 1 ? "" : "s");
    return r;
}

const struct command command_check = {
    .name = "check",
    .synopsis = "FLOW",
    .summary = "say what is wrong with a flow file",
    .about =
        "Reads FLOW and tells all its errors (20 at most) with line and column, and\n"
        "whether the scripts it runs are there, executable and part of its code. "
        "Nothing\n"
        "is started and no node is asked.",
    .options = check_options,
    .examples = "mesh check train.mf\nmesh check train.mf --json",
    .exits = EXITS_FLOW,
    .operands_min = 1,
    .operands_max = 1,
    .run = check,
};
