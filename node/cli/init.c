/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/membership.h"

static const struct option_spec init_options[] = {
    { "name", 0, "NAME", "what the mesh is called (else mesh)" },
    { "node-name", 0, "NAME", "what this node is called (else the host's name)" },
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static void say_made(const struct options *o, const struct identity *i)
{
    const char *dir = options_text(o, "data"), *front = dir ? " --data " : "";
    struct node_id id = identity_node(i);
    char text[NODE_ID_TEXT_SIZE];

    node_id_text(&id, text);
    printf("Mesh %s is made, and this node is its authority: %s, %s.\n",
           identity_root(i)->name, identity_chain(i)->leaf.name, text);
    printf("  start it:       mesh node%s%s\n", front, dir ? dir : "");
    printf("  let others in:  mesh invite%s%s\n", front, dir ? dir : "");
    printf(
        "  keep a copy of: identity/authority, in its folder: without it nobody makes "
        "issuers\n");
}

static int init(const struct options *o)
{
    CLEANUP(freep) char *dir = cli_data_dir(o);
    CLEANUP(identity_freep) struct identity *i = NULL;
    const char *mesh = options_text(o, "name"), *node = options_text(o, "node-name");
    struct error error = { .text = "" };
    char host[MEMBER_NAME_MAX + 1];
    int r;

    if (!dir)
        return CLI_NO_NODE;
    membership_host_name(host);
    r = membership_make_folder(dir);
    if (r)
        return r;
    r = identity_found(dir, mesh ? mesh : "mesh", node ? node : host, cli_now(), &i,
                       &error);
    if (r == -EINVAL)
        return cli_usage("%s", error.text);
    if (r < 0)
        return cli_failed(r, &error);
    say_made(o, i);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

const struct command command_init = {
    .name = "init",
    .synopsis = "[--name NAME] [--data DIR]",
    .summary = "make a mesh, with this node as the first",
    .about =
        "Makes the mesh's own authority, an Ed25519 key that signs for its nodes, and\n"
        "the keys of this node. They lie in DIR/identity, for their owner alone. The\n"
        "node is a worker, a home of runs, and may let others in.\n"
        "\n"
        "A node that runs in DIR is of the mesh when it is started again.",
    .options = init_options,
    .examples = "mesh init --name lab\n"
                "mesh init --name lab --data /var/lib/mesh",
    .exits = EXITS_REFUSED,
    .run = init,
};
