/* SPDX-License-Identifier: Apache-2.0 */
/* mesh invite and mesh revoke: who may come in, and who may not any more. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/client.h"
#include "node/cli/duration.h"
#include "node/cli/terminal.h"

enum { HOUR_S = 3600, USES_MAX = 1000 };

static const struct option_spec invite_options[] = {
    { "roles", 0, "ROLES", "worker (unless told), home, issuer, with commas between" },
    { "uses", 0, "N", "how many nodes may join by it (else 1)" },
    { "expires", 0, "TIME", "1h (unless told), 30d, 15m, 90s" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static json_t *roles_of(const char *text)
{
    CLEANUP(freep) char *copy = strdup(text);
    char *rest = NULL;
    json_t *roles = json_array();

    for (char *one = copy ? strtok_r(copy, ",", &rest) : NULL; one;
         one = strtok_r(NULL, ",", &rest))
        json_array_append_new(roles, json_string(one));
    return roles;
}

static void say_invited(const json_t *json)
{
    CLEANUP(buffer_release) struct buffer expires = BUFFER_INIT;
    uint64_t uses = json_number(json, "uses");

    terminal_time(json_text(json, "expires"), &expires);
    if (uses == 1)
        cli_say("one node may join by it until %s: mesh node --join -",
                buffer_text(&expires));
    else
        cli_say("%d nodes may join by it until %s: mesh node --join -", (int)uses,
                buffer_text(&expires));
    cli_hint(
        "it is shown this once; who has it may join, so hand it on like a password");
}

static int invite(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    const char *roles = options_text(o, "roles"), *expires = options_text(o, "expires");
    struct error error = { .text = "" };
    uint32_t expires_in_s = HOUR_S;
    uint64_t uses;
    int r;

    if (options_number(o, "uses", USES_MAX, &uses, &error) < 0)
        return cli_usage("%s", error.text);
    if (expires && (!duration_parse(expires, &expires_in_s) || !expires_in_s))
        return cli_usage("--expires must be a time such as 1h or 30d, not '%.80s'",
                         expires);
    r = client_open(o, CLIENT_NODE, &c);
    if (r)
        return r;
    body = json_pack("{s:o, s:I, s:I}", "roles", roles_of(roles ? roles : "worker"),
                     "uses", (json_int_t)(options_has(o, "uses") ? uses : 1),
                     "expires_in_s", (json_int_t)expires_in_s);
    if (!body)
        return cli_failed(-ENOMEM, NULL);
    r = client_json(c, "POST", "/v1/mesh/invitations", body, 0, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("%s\n", json_text(json, "token"));
    fflush(stdout);
    say_invited(json);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

const struct command command_invite = {
    .name = "invite",
    .synopsis = "[--roles ROLES] [--uses N] [--expires TIME]",
    .summary = "make a token by which nodes may join the mesh",
    .about =
        "Prints a token, once. A machine that is given it joins by mesh node --join.\n"
        "The node that made it has to run then, or another issuer that ran when it was\n"
        "made: one of them signs for who comes. The mesh counts how often it is used, so\n"
        "where a node does not reach a majority nobody is invited or let in.\n"
        "\n"
        "  worker  carries out tasks\n"
        "  home    also keeps the records of runs\n"
        "  issuer  also lets others in, and shuts them out\n"
        "\n"
        "Only issuers invite, and only the node where mesh init ran invites issuers.",
    .options = invite_options,
    .examples = "mesh invite\n"
                "mesh invite --roles worker,home --uses 10 --expires 1d >mesh.token\n"
                "mesh node --join - <mesh.token",
    .exits = EXITS_REFUSED | EXITS_NODE,
    .run = invite,
};

/* ---- revoke ---- */

static const struct option_spec revoke_options[] = {
    OPTION_JSON, OPTION_SOCKET, OPTION_DATA, OPTION_HELP, OPTION_END,
};

static int shut_out(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_open(o, CLIENT_NODE, &c);

    if (r)
        return r;
    body = json_pack("{s:s}", "node", o->operands[0]);
    if (!body)
        return cli_failed(-ENOMEM, NULL);
    r = client_json(c, "POST", "/v1/mesh/revocations", body, 0, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("Node %s is shut out, for good.\n", json_text(json, "node"));
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

const struct command command_revoke = {
    .name = "revoke",
    .synopsis = "NODE",
    .summary = "shut a node out of the mesh, for good",
    .about =
        "NODE is the name of a member, its id, or four or more characters its id "
        "begins\n"
        "with. All nodes that can be reached know within about a second; the others "
        "as\n"
        "soon as they meet one that knows. What it runs is given to others. With an\n"
        "issuer falls what it signed: who joined through it has to join again.\n"
        "\n"
        "A node is not let in again with the same keys; with a folder of its own it "
        "can\n"
        "join as another one.",
    .options = revoke_options,
    .examples = "mesh revoke worker-7\n"
                "mesh revoke 5d0e92c1",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = shut_out,
};
