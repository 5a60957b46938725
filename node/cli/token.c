/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/client.h"
#include "node/cli/duration.h"
#include "node/cli/words.h"

enum { DAY_S = 24 * 3600, EXPIRES_DEFAULT_S = 30 * DAY_S };

static const struct option_spec token_options[] = {
    { "role", 0, "ROLE", "create: viewer (unless told), submitter or operator" },
    { "expires", 0, "TIME", "create: 30d (unless told), 12h, 15m, 90s or never" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static void say_created(const json_t *json)
{
    CLEANUP(buffer_release) struct buffer expires = BUFFER_INIT;
    const char *text = json_text(json, "expires");

    if (*text)
        terminal_time(text, &expires);
    cli_say("token %s for %s, %s, %s%s%s", json_text(json, "id"),
            json_text(json, "name"), json_text(json, "role"),
            *text ? "until " : "without an end", buffer_text(&expires),
            strcmp(json_text(json, "scope"), "mesh") == 0
                ? ", at every node of the mesh"
                : "");
    cli_hint("it is shown this once; keep it in a file that only its user can read");
}

/* Whoever is elsewhere needs to know the node by more than its name. */
static void say_fingerprint(struct client *c)
{
    CLEANUP(json_decrefp) json_t *node = NULL;

    if (client_get_json(c, "/v1/node", &node) == 0 && *json_text(node, "tls"))
        cli_hint("mesh login https://%s --fingerprint %s", json_text(node, "listen"),
                 json_text(node, "tls"));
}

static int create_token(const struct options *o, struct client *c)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    const char *role = options_text(o, "role");
    const char *expires = options_text(o, "expires");
    uint32_t expires_in_s = EXPIRES_DEFAULT_S;
    int r;

    if (expires && !duration_parse(expires, &expires_in_s))
        return cli_usage("--expires must be a time such as 30d, 12h or never, not "
                         "'%.80s'",
                         expires);
    body = json_pack("{s:s, s:s, s:I}", "name", o->operands[1], "role",
                     role ? role : "viewer", "expires_in_s", (json_int_t)expires_in_s);
    if (!body)
        return cli_failed(-ENOMEM, NULL);
    r = client_json(c, "POST", "/v1/tokens", body, 0, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("%s\n", json_text(json, "token"));
    fflush(stdout);
    say_created(json);
    say_fingerprint(c);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

static int list_tokens(const struct options *o, struct client *c)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    CLEANUP(json_decrefp) json_t *json = NULL;
    const json_t *token;
    size_t i;
    int r = client_get_json(c, "/v1/tokens", &json);

    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    table_head(&t, "ID|~NAME|ROLE|CREATED|EXPIRES|WHERE");
    json_array_foreach(json_object_get(json, "tokens"), i, token)
    {
        table_add(&t, COLOUR_BOLD, json_text(token, "id"));
        table_add(&t, NULL, json_text(token, "name"));
        table_add(&t, NULL, json_text(token, "role"));
        words_time(&t, json_text(token, "created"));
        if (*json_text(token, "expires"))
            words_time(&t, json_text(token, "expires"));
        else
            table_add(&t, COLOUR_DIM, "never");
        table_add(&t, NULL,
                  strcmp(json_text(token, "scope"), "mesh") == 0 ? "mesh" : "here");
    }
    return table_print(&t) < 0 ? CLI_FAILED : CLI_OK;
}

static int revoke_token(const struct options *o, struct client *c)
{
    CLEANUP(freep) char *path = client_path("/v1/tokens/%s/revoke", o->operands[1]);
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_json(c, "POST", path, NULL, 0, &json);

    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    printf("Token %s of %s opens nothing any more.\n", json_text(json, "id"),
           json_text(json, "name"));
    return CLI_OK;
}

static int token(const struct options *o)
{
    static const struct {
        const char *name;
        size_t n_operands;
        int (*run)(const struct options *o, struct client *c);
    } actions[] = { { "create", 2, create_token },
                    { "list", 1, list_tokens },
                    { "revoke", 2, revoke_token } };
    CLEANUP(client_closep) struct client *c = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (strcmp(o->operands[0], actions[i].name) == 0
            && o->n_operands == actions[i].n_operands) {
            int r = client_open(o, CLIENT_LOOK, &c);

            return r ? r : actions[i].run(o, c);
        }
    cli_say("token: say what: create NAME, list, or revoke ID");
    cli_hint("all about it: mesh token --help");
    return CLI_USAGE;
}

const struct command command_token = {
    .name = "token",
    .synopsis = "create NAME [--role ROLE] [--expires TIME]\n"
                "list\n"
                "revoke ID",
    .summary = "say who may use the TCP port of a node or a mesh",
    .about =
        "A node that was started with --listen asks who comes over TCP for a token.\n"
        "create makes one and prints it, once; of what is kept nobody can make it\n"
        "again. NAME is whose runs those are that are started with it.\n"
        "\n"
        "  viewer     looks at everything\n"
        "  submitter  also starts runs; cancels, suspends, tags and removes its own\n"
        "  operator   does everything, also with tokens\n"
        "\n"
        "At a node of a mesh the token holds at all of its nodes, and any of them "
        "revokes\n"
        "it: a second later it opens nothing any more. A node that does not reach a\n"
        "majority of those that keep the tokens makes none, and takes none either.\n"
        "\n"
        "Whoever uses it keeps it by mesh login, or puts it into a file that nobody\n"
        "else can read, names that file in MESH_TOKEN_FILE and the node in\n"
        "MESH_ADDRESS or by --address.",
    .options = token_options,
    .examples = "mesh token create ci --role submitter --expires 90d >ci.token\n"
                "mesh token list\n"
                "mesh token revoke 5d0e92c1\n"
                "MESH_TOKEN_FILE=ci.token mesh runs --address http://127.0.0.1:8372",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 2,
    .run = token,
};
