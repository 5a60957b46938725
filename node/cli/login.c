/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"

static const struct option_spec login_options[] = {
    { "fingerprint", 0, "SHA256", "of the node's certificate, as its owner tells it" },
    { "token-file", 0, "PATH",
      "the token, in a file that only you can read; else it is "
      "read from standard input" },
    OPTION_HELP,
    OPTION_END,
};

static const struct option_spec logout_options[] = { OPTION_HELP, OPTION_END };

static int read_input(struct login *ret, struct error *ret_error)
{
    if (isatty(STDIN_FILENO))
        fputs("Token: ", stderr);
    if (!fgets(ret->token, sizeof(ret->token), stdin))
        ret->token[0] = '\0';
    ret->token[strcspn(ret->token, " \t\r\n")] = '\0';
    return ret->token[0] ? 0 : fail(ret_error, -EINVAL, "there is no token");
}

static int refuse(const struct error *e, int code)
{
    cli_say("%s", e->text);
    if (code == -EKEYREJECTED)
        cli_hint("if the node's owner tells the same (mesh status --json, mesh token "
                 "create), give it by --fingerprint");
    return code == -EKEYREJECTED || code == -EPROTO ? CLI_NO_NODE : CLI_USAGE;
}

/* Shown to the node before it is kept: what does not open now will not later. */
static int try_out(const struct address *a, const struct login *l)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *node = NULL;
    struct error error = { .text = "" };
    int r = client_connect_tcp(a, l, &c, &error);

    if (r < 0 && error.text[0])
        return refuse(&error, r);
    if (r < 0) {
        cli_say("no node listens there: %s", strerror(-r));
        return CLI_NO_NODE;
    }
    return client_get_json(c, "/v1/node", &node);
}

static int login(const struct options *o)
{
    const char *file = options_text(o, "token-file");
    const char *print = options_text(o, "fingerprint");
    struct login l = { .token = "" };
    struct error error = { .text = "" };
    struct address a;
    int r = address_parse(o->operands[0], &a, &error);

    if (r < 0)
        return cli_usage("%s", error.text);
    if (print && !login_is_fingerprint(print))
        return cli_usage("--fingerprint must be sha256: and 64 digits, not '%.80s'",
                         print);
    if (print)
        strcpy(l.fingerprint, print);
    r = file ? login_read_token(file, &l, &error) : read_input(&l, &error);
    if (r < 0)
        return cli_usage("%s", error.text);
    r = try_out(&a, &l);
    if (r)
        return r;
    r = login_keep(&a, &l, &error);
    explicit_bzero(&l, sizeof(l));
    return r < 0 ? cli_failed(r, &error) : CLI_OK;
}

static int logout(const struct options *o)
{
    struct error error = { .text = "" };
    struct address a;

    if (address_parse(o->operands[0], &a, &error) < 0)
        return cli_usage("%s", error.text);
    if (login_forget(&a) < 0) {
        cli_say("there is no login for %s", o->operands[0]);
        return CLI_NOT_FOUND;
    }
    return CLI_OK;
}

const struct command command_login = {
    .name = "login",
    .synopsis = "ADDRESS [--fingerprint SHA256] [--token-file PATH]",
    .summary = "keep a token for a node elsewhere",
    .about =
        "Shows the token to the node, and keeps it for `--address ADDRESS`, or\n"
        "MESH_ADDRESS, with the fingerprint of the node's certificate. Both come from\n"
        "whoever may make tokens there: `mesh token create` prints them.",
    .options = login_options,
    .examples = "mesh login https://node7:8372 --fingerprint sha256:9f2c... <token\n"
                "mesh runs --address https://node7:8372",
    .exits = EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = login,
};

const struct command command_logout = {
    .name = "logout",
    .synopsis = "ADDRESS",
    .summary = "forget a token again",
    .about = "The token itself stays good until it ends or is revoked.",
    .options = logout_options,
    .examples = "mesh logout https://node7:8372",
    .exits = EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = logout,
};
