/* SPDX-License-Identifier: Apache-2.0 */
/* mesh restart: a node goes on as the program that is on disk now. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/cli/client.h"

enum { LOOK_MS = 50, PATIENCE_S = 120 };

static const struct option_spec restart_options[] = {
    OPTION_JSON, OPTION_SOCKET, OPTION_DATA, OPTION_HELP, OPTION_END,
};

/* What the node says of itself. A node of which nothing is heard for a moment may be
 * on its way; NULL then. */
static int look(struct client *c, const char *path, json_t **ret)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    struct request q = { .method = "GET", .path = path };
    int r = client_request(c, &q, &a, &error);

    *ret = NULL;
    if (r == -ENOMEM)
        return r;
    if (r == 0 && a.status == 200)
        *ret = json_loadb(a.body.data, a.body.len, 0, NULL);
    return 0;
}

static bool is_other_program(const json_t *before, const json_t *now)
{
    return json_number(before, "program_started_ms")
           != json_number(now, "program_started_ms");
}

static int refuse(const json_t *now)
{
    const json_t *restart = json_object_get(now, "restart");

    cli_say("it goes on as it was: %s", json_text(restart, "failed"));
    return CLI_FAILED;
}

/* Until it is another program, or says that it gave up. */
static int await(struct client *c, const char *path, const json_t *before,
                 json_t **ret_now)
{
    const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
    time_us end = cli_now() + TIME_S(PATIENCE_S);

    while (cli_now() < end) {
        CLEANUP(json_decrefp) json_t *now = NULL;
        const json_t *restart;

        nanosleep(&pause, NULL);
        if (look(c, path, &now) < 0)
            return cli_failed(-ENOMEM, NULL);
        if (!now)
            continue;
        if (is_other_program(before, now)) {
            *ret_now = TAKE(now);
            return CLI_OK;
        }
        restart = json_object_get(now, "restart");
        if (!json_is_true(json_object_get(restart, "under_way")))
            return refuse(now);
    }
    cli_say("it has not answered for two minutes");
    return CLI_NO_NODE;
}

static int restart(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *before = NULL, *json = NULL, *now = NULL;
    CLEANUP(freep) char *about = client_node_path("/v1/node", o);
    CLEANUP(freep) char *path = client_node_path("/v1/restart", o);
    int r = client_open(o, CLIENT_NODE, &c);

    if (r == 0 && (!path || !about))
        r = cli_failed(-ENOMEM, NULL);
    if (r == 0)
        r = client_get_json(c, about, &before);
    if (r == 0)
        r = client_json(c, "POST", path, NULL, 0, &json);
    if (r == 0)
        r = await(c, about, before, &now);
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(now);
    printf("%s is mesh %s now (it was %s), still process %d.\n",
           o->n_operands ? o->operands[0] : "this node", json_text(now, "version"),
           json_text(before, "version"), (int)json_number(now, "pid"));
    return CLI_OK;
}

const struct command command_restart = {
    .name = "restart",
    .synopsis = "[NODE]",
    .summary = "let a node go on as the program on disk, with what runs",
    .about =
        "NODE (a name, or the front of an id; else the node that is asked) becomes "
        "the\n"
        "program that is installed now, in the same process: after an upgrade, or for "
        "a\n"
        "changed mesh.conf. Its tasks go on and notice nothing; their logs go on "
        "where\n"
        "they were. The program is asked first whether it can (mesh node --check): if "
        "it\n"
        "cannot, or something takes longer than a minute, the node goes on as it was.",
    .options = restart_options,
    .examples = "mesh restart\nmesh restart n3",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_max = 1,
    .run = restart,
};
