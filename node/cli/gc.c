/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "node/cli/client.h"
#include "node/cli/terminal.h"

static const struct option_spec gc_options[] = {
    { "dry-run", 'n', NULL, "only tell what would go" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static int gc(const struct options *o)
{
    bool is_dry = options_has(o, "dry-run");
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:b}", "dry_run", is_dry);
    CLEANUP(buffer_release) struct buffer freed = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer kept = BUFFER_INIT;
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_open(o, CLIENT_LOOK, &c);

    if (r == 0)
        r = client_json(c, "POST", "/v1/gc", body, -1, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    terminal_bytes(json_number(json, "bytes_freed"), &freed);
    terminal_bytes(json_number(json, "bytes_kept"), &kept);
    printf("%s %" PRIu64 " blobs, %s; %" PRIu64 " are named by runs, %s.\n",
           is_dry ? "Would free" : "Freed", json_number(json, "n_freed"),
           buffer_text(&freed), json_number(json, "n_kept"), buffer_text(&kept));
    return CLI_OK;
}

const struct command command_gc = {
    .name = "gc",
    .summary = "free what no run names any more",
    .about =
        "Deletes the bytes in the store that no run, no log and no running task names.",
    .options = gc_options,
    .examples = "mesh gc --dry-run\nmesh gc",
    .exits = EXITS_REFUSED | EXITS_NODE,
    .run = gc,
};
