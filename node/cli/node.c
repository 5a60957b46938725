/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "node/cli/conf_file.h"
#include "node/cli/membership.h"
#include "node/cli/order.h"
#include "node/handover.h"
#include "node/runtime_identity.h"

static const struct option_spec node_options[] = {
    { "dev", 0, NULL, "to try things: by itself, or on loopback with --peer-listen" },
    { "inspect", 0, NULL, "show a store and run nothing; end when nobody asks" },
    { "check", 0, NULL, "read options and configuration, say so, and end" },
    { "ready-fd", 0, "N", "write `ready` to this descriptor when it listens" },
    { "socket", 0, "PATH", "listen here (else DIR/mesh.sock)" },
    { "listen", 0, "HOST:PORT", "also on this TCP port; see mesh token" },
    OPTION_MEMBERSHIP,
    OPTION_DATA,
    OPTION_SLOTS,
    OPTION_CPU,
    OPTION_MEMORY,
    OPTION_GPUS,
    OPTION_RESOURCE,
    OPTION_QUOTA,
    OPTION_CONFIG,
    OPTION_HELP,
    OPTION_END,
};

static void tell_ready(int fd, const char *text)
{
    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        cli_say("cannot write to --ready-fd: %s", strerror(errno));
    close(fd);
}

/* Who waits tries again when it is only busy. */
static void tell_failure(int fd, int r, const struct error *why)
{
    char text[ERROR_TEXT_MAX + 1];

    snprintf(text, sizeof(text), "%s\n",
             why->text[0]       ? why->text
             : r == CLI_NO_NODE ? "busy the store cannot be opened"
                                : "the options are wrong");
    tell_ready(fd, text);
}

/* Where other nodes find it: what --contact takes there. */
static void say_mesh(const struct runtime *rt)
{
    const struct identity *i = runtime_identity(rt);
    char text[CONTACT_TEXT_SIZE];
    struct join_contact own;

    if (!i || runtime_contact(rt, &own) < 0)
        return;
    join_contact_text(&own, text);
    printf("  of the mesh:    %s, as %s, at %s\n", identity_root(i)->name,
           identity_chain(i)->leaf.name, text);
}

static void say_where(const struct options *o, const char *dir,
                      const struct runtime *rt)
{
    const char *listen = runtime_configuration(rt)->listen;
    CLEANUP(freep) char *full = realpath(dir, NULL);
    const char *socket = options_text(o, "socket");

    printf("mesh %s, process %d, listens at ", mesh_version(), (int)getpid());
    if (socket)
        printf("%s\n", socket);
    else
        printf("%s/mesh.sock\n", full ? full : dir);
    if (listen)
        printf("  for programs:   http%s://%s, with a token: mesh token create NAME\n",
               runtime_configuration(rt)->listens_by_tls ? "s" : "", listen);
    say_mesh(rt);
    if (socket)
        printf("  hand it a flow: mesh submit --socket %s FLOW.mf --follow\n", socket);
    else if (options_has(o, "data"))
        printf("  hand it a flow: mesh submit --data %s FLOW.mf --follow\n", dir);
    else
        printf("  hand it a flow: mesh submit FLOW.mf --follow\n");
    printf("  end it:         Ctrl-C; what ran goes on when it is started again\n");
    fflush(stdout);
}

/* Another node has the store. */
static int refuse(const char *dir, struct client *c, int ready_fd)
{
    CLEANUP(json_decrefp) json_t *json = NULL;

    if (client_get_json(c, "/v1/node", &json) != 0)
        return CLI_NO_NODE;
    cli_say("process %d is a node on the store in %s already",
            (int)json_number(json, "pid"), dir);
    cli_hint("hand it a flow: mesh submit FLOW.mf");
    tell_ready(ready_fd, "busy another node holds the store\n");
    return CLI_NO_NODE;
}

/* What a planned restart asks the program that it would become. */
static int check(const struct options *o, const char *dir)
{
    CLEANUP(conf_unrefp) struct conf *conf = NULL;
    struct error error = { .text = "" };
    struct address address;
    int r = conf_file_open(o, dir, &conf);

    if (r)
        return r;
    if (options_has(o, "listen")
        && address_parse(options_text(o, "listen"), &address, &error) < 0)
        return cli_usage("%s", error.text);
    printf("mesh %s, handover %d\n", mesh_version(), HANDOVER_FORMAT);
    return CLI_OK;
}

/* In a planned restart nobody waits for it to be ready, and its number may be that of
 * any file. */
static int take_ready_fd(const struct options *o, int *ret)
{
    struct error error = { .text = "" };
    uint64_t fd;

    *ret = -1;
    if (!options_has(o, "ready-fd"))
        return CLI_OK;
    if (options_number(o, "ready-fd", 1 << 20, &fd, &error) < 0)
        return cli_usage("%s", error.text);
    if (handover_is_there())
        return CLI_OK;
    *ret = (int)fd;
    fcntl(*ret, F_SETFD, FD_CLOEXEC);
    return CLI_OK;
}

static int node(const struct options *o)
{
    CLEANUP(freep) char *dir = cli_data_dir(o);
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(membership_release) struct membership m = { .identity = NULL };
    struct error error = { .text = "" };
    struct runtime *rt = NULL;
    bool is_restarted = handover_is_there();
    int ready_fd, r;

    if (!dir)
        return CLI_NO_NODE;
    if (options_has(o, "dev") && options_has(o, "inspect"))
        return cli_usage("--dev and --inspect do not go together");
    if (options_has(o, "check"))
        return check(o, dir);
    r = take_ready_fd(o, &ready_fd);
    if (r)
        return r;
    r = membership_open(o, dir, &m);
    if (r == 0)
        r = local_open(o, dir, &m, &rt, &c, &error);
    if (r) {
        tell_failure(ready_fd, r, &error);
        return r;
    }
    if (!rt)
        return refuse(dir, c, ready_fd);
    tell_ready(ready_fd, "ready\n");
    if (!options_has(o, "inspect") && !is_restarted)
        say_where(o, dir, rt);
    return local_serve(rt);
}

const struct command command_node = {
    .name = "node",
    .synopsis = "[--join TOKEN] [--data DIR]\n"
                "--dev [--data DIR]",
    .summary = "be a node that takes runs until it is ended",
    .about =
        "Opens the store in DIR, goes on with what was interrupted there, and "
        "takes runs\n"
        "from mesh submit and from programs (docs/interface.md) until it gets "
        "SIGTERM or\n"
        "Ctrl-C. One process at a time has a store.\n"
        "\n"
        "It listens on a unix socket that is its owner's alone. With --listen also on "
        "a\n"
        "TCP port, for programs that show a token (mesh token create): 127.0.0.1:8372 "
        "as\n"
        "it is, any other address, or https://127.0.0.1:8372, by TLS. Its certificate "
        "is\n"
        "made once, in DIR/tls.pem; clients know it by its fingerprint (mesh login).\n"
        "\n"
        "It is of the mesh that its folder says: mesh init makes one there, --join "
        "joins\n"
        "one, by a token of mesh invite. Other nodes reach it at --peers and at a "
        "second\n"
        "port that it tells them; both ends prove who they are. What it knew of the\n"
        "others it dials again, and --contact and --discover name more.\n"
        "\n"
        "With --dev it is alone, of no mesh; with --dev --peer-listen 127.0.0.1:0 it "
        "makes "
        "a\n"
        "mesh of its own in DIR, for others on this machine to join.",
    .options = node_options,
    .examples = "mesh node --join - <mesh.token\n"
                "mesh node --advertise node7.example.org --zone rack-3\n"
                "mesh node --dev\n"
                "mesh node --dev --data /var/tmp/mesh --cpu 4 --memory 8G --quota 100G",
    .exits = EXITS_NODE,
    .run = node,
};
