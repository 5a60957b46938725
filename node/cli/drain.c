/* SPDX-License-Identifier: Apache-2.0 */
/* mesh drain, mesh leave: a node that is to be switched off. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/cli/client.h"

enum { LOOK_MS = 250 };

static const struct option_spec drain_options[] = {
    { "off", 0, NULL, "take work again" },
    { "wait", 0, NULL, "until nothing runs there any more" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static const struct option_spec leave_options[] = {
    { "wait", 0, NULL, "until it is gone" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

static const char *name_of(const struct options *o)
{
    return o->n_operands ? o->operands[0] : "this node";
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
}

static int read_running(struct client *c, const char *path, uint64_t *ret_n)
{
    CLEANUP(json_decrefp) json_t *node = NULL;
    int r = client_get_json(c, path, &node);
    const json_t *guests = json_object_get(json_object_get(node, "mesh"), "guests");

    *ret_n = json_number(node, "n_running") + json_number(guests, "running")
             + json_number(guests, "waiting") + json_number(guests, "preparing");
    return r;
}

static int wait_until_idle(struct client *c, const struct options *o)
{
    CLEANUP(freep) char *path = client_node_path("/v1/node", o);
    uint64_t n = 1;
    int r = path ? 0 : cli_failed(-ENOMEM, NULL);

    while (r == 0 && n) {
        r = read_running(c, path, &n);
        if (r == 0 && n)
            pause_a_little();
    }
    return r;
}

static int drain(const struct options *o)
{
    bool is_off = options_has(o, "off");
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep)
    char *path = client_node_path(is_off ? "/v1/undrain" : "/v1/drain", o);
    int r = client_open(o, CLIENT_NODE, &c);

    if (r == 0)
        r = path ? client_json(c, "POST", path, NULL, 0, &json)
                 : cli_failed(-ENOMEM, NULL);
    if (r == 0 && options_has(o, "wait") && !is_off)
        r = wait_until_idle(c, o);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    if (is_off)
        printf("%s takes work again.\n", name_of(o));
    else if (options_has(o, "wait"))
        printf("%s runs nothing and takes no work.\n", name_of(o));
    else
        printf("%s takes no more work; what runs there goes on.\n", name_of(o));
    return CLI_OK;
}

/* Gone is a node that others call so, or that does not answer any more itself. */
static int wait_until_gone(struct client *c, const struct options *o)
{
    CLEANUP(freep) char *path = client_node_path("/v1/node", o);

    for (;;) {
        CLEANUP(answer_release) struct answer a = { .status = 0 };
        struct error error = { .text = "" };
        struct request q = { .method = "GET", .path = path };
        int r = path ? client_request(c, &q, &a, &error) : -ENOMEM;

        if (r == -ENOMEM)
            return cli_failed(r, NULL);
        if (r < 0 || a.status == 404)
            return CLI_OK;
        pause_a_little();
    }
}

static int leave(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *path = client_node_path("/v1/leave", o);
    int r = client_open(o, CLIENT_NODE, &c);

    if (r == 0)
        r = path ? client_json(c, "POST", path, NULL, 0, &json)
                 : cli_failed(-ENOMEM, NULL);
    if (r == 0 && options_has(o, "wait"))
        r = wait_until_gone(c, o);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    if (options_has(o, "wait"))
        printf("%s has left.\n", name_of(o));
    else
        printf("%s hands over what it has, then it ends.\n", name_of(o));
    return CLI_OK;
}

const struct command command_drain = {
    .name = "drain",
    .synopsis = "[NODE]",
    .summary = "let a node take no more work",
    .about =
        "NODE (a name, or the front of an id; else the node that is asked) ends what\n"
        "it runs and takes nothing new. It stays a member and keeps what it has: "
        "then\n"
        "it can be restarted or upgraded. --off lets it work again.",
    .options = drain_options,
    .examples = "mesh drain n3 --wait\nmesh drain n3 --off",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_max = 1,
    .run = drain,
};

const struct command command_leave = {
    .name = "leave",
    .synopsis = "[NODE]",
    .summary = "take a node out of the mesh",
    .about =
        "NODE (else the node that is asked) drains, hands over the runs that it leads\n"
        "or keeps, tells the others, and ends. Its data folder stays. To switch a\n"
        "machine off for a while mesh drain is enough, or nothing at all.",
    .options = leave_options,
    .examples = "mesh leave --wait\nmesh leave n3",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_max = 1,
    .run = leave,
};
