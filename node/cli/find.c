/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the node that holds a store, or starts one that only shows it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/client.h"

enum {
    READY_FD = 3,
    READY_TIMEOUT_MS = 30000,
    RETRY_PAUSE_NS = 20000000,
    GOING_PAUSE_NS = 300000000, /* as often as it looks whether anybody asks */
    GOING_TRIES = 20,
    RETRIES_MAX = 500, /* ten seconds: a node may be just starting, or just ending */
};

/* What the child said over the pipe: "ready", "busy" and a sentence, or a sentence. */
static int read_ready(int fd, char *text, size_t size)
{
    size_t len = 0;

    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, READY_TIMEOUT_MS);
        ssize_t got;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ETIMEDOUT;
        got = read(fd, text + len, size - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -EPIPE;
        len += (size_t)got;
        text[len] = '\0';
        if (text[len - 1] == '\n' || len == size - 1) {
            text[strcspn(text, "\n")] = '\0';
            return 0;
        }
    }
}

extern char **environ;

/* Starts `mesh node --inspect` and waits until it listens. -EBUSY: the store is held by
 * another process, which may be listening by now. */
static int start_inspecting(const char *dir, struct error *ret_error)
{
    char *const args[] = { "mesh",      "node",       "--inspect", "--data",
                           (char *)dir, "--ready-fd", "3",         NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char text[ERROR_TEXT_MAX] = "";
    int pipe_fds[2], r;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], READY_FD);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    r = -posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(pipe_fds[1]);
    if (r == 0)
        r = read_ready(pipe_fds[0], text, sizeof(text));
    close(pipe_fds[0]);
    if (r < 0)
        return fail(ret_error, r, "a node to show %s cannot be started: %s", dir,
                    strerror(-r));
    if (strcmp(text, "ready") == 0)
        return 0;
    if (strncmp(text, "busy ", 5) == 0)
        return fail(ret_error, -EBUSY, "%s", text + 5);
    return fail(ret_error, -EIO, "%s", text);
}

static bool is_nobody(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR;
}

static int say_unreachable(const char *path, int r)
{
    if (is_nobody(r)) {
        cli_say("no node listens at %s", path);
        cli_hint("start one:            mesh node --dev");
        cli_hint("or run without one:   mesh run FLOW.mf");
    } else {
        cli_say("the node at %s cannot be reached: %s", path, strerror(-r));
        if (r == -EACCES)
            cli_hint("its owner lets others submit by `shared_uid: yes` in mesh.conf");
    }
    return CLI_NO_NODE;
}

/* Starts a node that shows the store, until it or another one answers. */
static int look(const char *dir, const char *path, struct client **ret,
                struct error *ret_error)
{
    struct timespec pause = { .tv_nsec = RETRY_PAUSE_NS };
    int r = -EBUSY;

    for (int i = 0; r == -EBUSY && i < RETRIES_MAX; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        r = i % 10 == 0 ? start_inspecting(dir, ret_error) : -EBUSY;
        if (r == 0 || r == -EBUSY) {
            int connected = client_connect(path, ret);

            r = is_nobody(connected) ? -EBUSY : connected;
        }
    }
    if (r == -EBUSY) {
        struct error why = *ret_error;

        fail(ret_error, r, "%s, but nobody listens at %s", why.text, path);
    } else if (r < 0 && !ret_error->text[0]) {
        fail(ret_error, r, "%s", strerror(-r));
    }
    return r;
}

int client_look(const char *dir, struct client **ret, struct error *ret_error)
{
    CLEANUP(freep) char *path = NULL;
    int r;

    if (asprintf(&path, "%s/mesh.sock", dir) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = client_connect(path, ret);
    if (is_nobody(r))
        return look(dir, path, ret, ret_error);
    return r < 0 ? fail(ret_error, r, "the node at %s cannot be reached: %s", path,
                        strerror(-r))
                 : 0;
}

static int look_or_say(const char *dir, const char *path, struct client **ret)
{
    struct error error = { .text = "" };

    if (look(dir, path, ret, &error) == 0)
        return 0;
    cli_say("%s", error.text);
    return CLI_NO_NODE;
}

/* ---- over TCP ---- */

static int say_no_login(const char *url, const struct error *e, bool is_secure)
{
    if (e->text[0]) {
        cli_say("%s", e->text);
        return CLI_USAGE;
    }
    cli_say("a node's TCP port wants a token: set MESH_TOKEN_FILE to a file of one, or "
            "keep one by mesh login %s",
            url);
    cli_hint("who owns the node makes one: mesh token create NAME%s",
             is_secure ? "" : " >FILE");
    return CLI_USAGE;
}

static int say_unheard(const char *url, const struct error *e, int code)
{
    if (e->text[0])
        cli_say("%s", e->text);
    else
        cli_say("no node listens at %s: %s", url, strerror(-code));
    if (code == -EKEYREJECTED)
        cli_hint("mesh login %s --fingerprint, with what the node's owner tells", url);
    else
        cli_hint("start one that does: mesh node --listen HOST:PORT");
    return CLI_NO_NODE;
}

static int open_address(const char *url, struct client **ret)
{
    struct error error = { .text = "" };
    struct address address;
    struct login login;
    int r;

    if (!strstr(url, "://"))
        return cli_usage("'%.80s' is no address of a node: write http://127.0.0.1:PORT "
                         "or https://HOST:PORT",
                         url);
    if (address_parse(url, &address, &error) < 0)
        return cli_usage("%s", error.text);
    r = login_find(&address, &login, &error);
    if (r < 0)
        return say_no_login(url, &error, address.is_secure);
    r = client_connect_tcp(&address, &login, ret, &error);
    explicit_bzero(&login, sizeof(login));
    return r < 0 ? say_unheard(url, &error, r) : 0;
}

/* ---- where it is ---- */

static const char *address_of(const struct options *o)
{
    const char *given = options_text(o, "address"), *socket = getenv("MESH_SOCKET");

    if (given || options_has(o, "data") || (socket && *socket))
        return given;
    given = getenv("MESH_ADDRESS");
    return given && *given ? given : NULL;
}

/* A node that only shows the store and ends by itself when nobody asks. */
static bool is_inspecting(struct client *c)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(json_decrefp) json_t *node = NULL;
    struct error error = { .text = "" };

    if (client_request(c, &(struct request){ .method = "GET", .path = "/v1/node" }, &a,
                       &error)
        < 0)
        return false;
    node = json_loadb(buffer_text(&a.body), a.body.len, 0, NULL);
    return json_is_true(json_object_get(node, "is_inspect"));
}

/* The node on a store that runs things: one that was only shown is waited for, because
 * the one that follows it may be waiting too. */
static int connect_to_node(const char *path, struct client **ret)
{
    struct timespec pause = { .tv_nsec = GOING_PAUSE_NS };
    int r = client_connect(path, ret);

    for (int i = 0; r == 0 && is_inspecting(*ret) && i < GOING_TRIES; i++) {
        client_close(TAKE(*ret));
        nanosleep(&pause, NULL);
        r = client_connect(path, ret);
    }
    return r;
}

int client_open(const struct options *o, enum client_want want, struct client **ret)
{
    const char *given = options_text(o, "socket"), *address = address_of(o);
    CLEANUP(freep) char *dir = NULL;
    CLEANUP(freep) char *path = NULL;
    int r;

    if (address && !given)
        return open_address(address, ret);
    if (!given && !options_has(o, "data"))
        given = getenv("MESH_SOCKET");
    if (given && *given) {
        r = client_connect(given, ret);
        return r < 0 ? say_unreachable(given, r) : 0;
    }
    dir = cli_data_dir(o);
    if (!dir)
        return CLI_NO_NODE;
    if (want == CLIENT_LOOK && options_has(o, "data") && access(dir, F_OK) < 0) {
        cli_say("there is no data folder %s", dir);
        return CLI_NO_NODE;
    }
    if (asprintf(&path, "%s/mesh.sock", dir) < 0) {
        path = NULL;
        return cli_failed(-ENOMEM, NULL);
    }
    r = want == CLIENT_LOOK ? client_connect(path, ret) : connect_to_node(path, ret);
    if (is_nobody(r) && want == CLIENT_LOOK)
        return look_or_say(dir, path, ret);
    return r < 0 ? say_unreachable(path, r) : 0;
}
