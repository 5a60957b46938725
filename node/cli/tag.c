/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "node/cli/client.h"
#include "node/cli/terminal.h"

static const struct option_spec tag_options[] = { OPTION_JSON, OPTION_SOCKET,
                                                  OPTION_DATA, OPTION_HELP,
                                                  OPTION_END };

static int print_tags(const struct options *o, const json_t *json)
{
    const json_t *tag;
    size_t i;

    if (options_has(o, "json"))
        return json_print(json);
    json_array_foreach(json_object_get(json, "tags"), i, tag)
    {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        terminal_escape(json_string_value(tag), json_string_length(tag), &text);
        puts(buffer_text(&text));
    }
    return CLI_OK;
}

static int list(const struct options *o, struct client *c)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", o->operands[0]);
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(json_decrefp) json_t *tags = NULL;
    int r = client_get_json(c, path, &json);

    if (r)
        return r;
    tags = json_pack("{s:O, s:O}", "run", json_object_get(json, "run"), "tags",
                     json_object_get(json, "tags"));
    return tags ? print_tags(o, tags) : CLI_FAILED;
}

static int change(const struct options *o, struct client *c)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/tags", o->operands[0]);
    CLEANUP(json_decrefp) json_t *body = json_object();
    CLEANUP(json_decrefp) json_t *json = NULL;
    json_t *tags = json_array();
    int r;

    for (size_t i = 2; i < o->n_operands; i++)
        if (json_array_append_new(tags, json_string(o->operands[i])) < 0) {
            json_decref(tags);
            return cli_usage("tag: '%.80s' is not UTF-8", o->operands[i]);
        }
    json_object_set_new(body, o->operands[1], tags);
    r = client_json(c, "PATCH", path, body, 0, &json);
    return r ? r : print_tags(o, json);
}

static int tag(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    const char *how = o->n_operands > 1 ? o->operands[1] : NULL;
    int r;

    if (how && strcmp(how, "add") != 0 && strcmp(how, "remove") != 0
        && strcmp(how, "set") != 0)
        return cli_usage("tag: it must be add, remove or set, not '%.80s'", how);
    if (how && o->n_operands == 2 && strcmp(how, "set") != 0)
        return cli_usage("tag: which tags shall it %s?", how);
    r = client_open(o, CLIENT_LOOK, &c);
    if (r)
        return r;
    return how ? change(o, c) : list(o, c);
}

const struct command command_tag = {
    .name = "tag",
    .synopsis = "RUN\nRUN add TAG ...\nRUN remove TAG ...\nRUN set [TAG ...]",
    .summary = "show or change the tags of a run",
    .about =
        "Tags are words to find runs by: mesh runs --tag TAG. They are given to a run\n"
        "with --tags when it is started, and can be changed while it runs and after "
        "it\n"
        "ended. Prints the tags as they are then, a line each.",
    .options = tag_options,
    .examples = "mesh tag 42\n"
                "mesh tag 42 add best 'for the paper'\n"
                "mesh tag 42 set                  # none",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = tag,
};
