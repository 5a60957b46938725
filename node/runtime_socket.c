/* SPDX-License-Identifier: Apache-2.0 */
/* The two sockets of a node, and the module that serves them.
 *
 * The sockets are there from the start; the module, which brings a dozen libraries, is
 * loaded when the first client knocks. A run that nobody watches never pays for it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "flow/parameters.h"
#include "node/process.h"
#include "node/module.h"
#include "node/runtime_internal.h"
#include "node/runtime_peer.h"

enum {
    LISTEN_BACKLOG = 1024,
    IDLE_CHECK_MS = 250, /* of an inspecting node */
    IDLE_ROUNDS = 2,
    FIRST_CLIENT_ROUNDS = 40,
    ANCESTORS_MAX = 4096,
    LOOKS_MAX = 8, /* at who asks, while its ancestors come and go */
};

static int listen_on(const char *path, mode_t mode, int *ret_fd,
                     struct error *ret_error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    mode_t before;
    int fd, r;

    if (strlen(path) >= sizeof(address.sun_path))
        return fail(
            ret_error, -ENAMETOOLONG,
            "the socket's path is longer than %zu bytes: %s; give --socket or a "
            "shorter --data",
            sizeof(address.sun_path) - 1, path);
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(ret_error, -errno, "cannot make a socket: %s", strerror(errno));
    unlink(path); /* the store's lock says that nobody else uses it */
    before = umask(0777 & ~mode);
    r = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(before);
    if (r < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        r = fail(ret_error, -errno, "cannot listen on %s: %s", path, strerror(errno));
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

/* Of what the interface finds when it is loaded, that which is told at the start. */
static int check_key(const struct runtime *rt, struct error *ret_error)
{
    CLEANUP(freep) char *path = NULL;
    struct stat st;

    if (asprintf(&path, "%s/tls.pem", rt->dir) < 0)
        return -ENOMEM;
    if (lstat(path, &st) < 0 || !(st.st_mode & 077))
        return 0;
    return fail(ret_error, -EACCES, "others can read the key in %s: chmod 600 %s", path,
                path);
}

/* Port 0 becomes one that is free. */
static int listen_tcp(struct runtime *rt, struct error *ret_error)
{
    struct address a;
    int fd, on = 1, r = address_parse(rt->config.listen, &a, ret_error);

    if (r == 0 && a.is_secure)
        r = check_key(rt, ret_error);
    if (r < 0)
        return r;
    fd = socket(a.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(ret_error, -errno, "cannot make a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a.socket, a.len) < 0
        || listen(fd, LISTEN_BACKLOG) < 0
        || getsockname(fd, (struct sockaddr *)&a.socket, &a.len) < 0) {
        r = fail(ret_error, -errno, "cannot listen on %s: %s", rt->config.listen,
                 strerror(errno));
        close(fd);
        return r;
    }
    address_text(&a, rt->listen);
    rt->config.listen = rt->listen;
    rt->config.listens_by_tls = a.is_secure;
    rt->tcp_fd = fd;
    return 0;
}

/* ---- the module ---- */

static int load_module(struct runtime *rt, struct error *ret_error)
{
    rt->api_module = module_load("mesh-http.so", "mesh_http_module", ret_error);
    if (!rt->api_module)
        return -ENOENT;
    return rt->api_module->start(rt,
                                 &(struct api_sockets){ .user_fd = rt->user_fd,
                                                        .task_fd = rt->task_fd,
                                                        .tcp_fd = rt->tcp_fd },
                                 &rt->api, ret_error);
}

void runtime_load_interface(struct runtime *rt)
{
    struct error error = { .text = "" };

    if (rt->api || !rt->is_listening)
        return;
    uv_poll_stop(&rt->user_poll);
    uv_poll_stop(&rt->task_poll);
    if (rt->tcp_fd >= 0)
        uv_poll_stop(&rt->tcp_poll);
    rt->idle_rounds = 0; /* loading may take longer than it waits for clients */
    if (load_module(rt, &error) < 0) {
        fprintf(stderr, "mesh: the interface cannot be served: %s\n", error.text);
        if (rt->config.is_inspect)
            runtime_stop(rt);
    }
}

static void on_first_client(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    runtime_load_interface(poll->data);
}

struct peer_desk **runtime_peer_desk(struct runtime *rt)
{
    return &rt->peer_desk;
}

/* An inspecting node ends when nobody asks any more. */
static void on_idle_check(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;
    unsigned enough = rt->api ? IDLE_ROUNDS : FIRST_CLIENT_ROUNDS;

    if (rt->api && rt->api_module->clients(rt->api) > 0)
        rt->idle_rounds = 0;
    else if (++rt->idle_rounds >= enough)
        runtime_stop(rt);
}

static void poll_socket(struct runtime *rt, uv_poll_t *poll, int fd)
{
    uv_poll_init(&rt->loop, poll, fd);
    poll->data = rt;
    uv_poll_start(poll, UV_READABLE, on_first_client);
}

void runtime_sockets_listen(struct runtime *rt)
{
    uv_poll_start(&rt->user_poll, UV_READABLE, on_first_client);
    uv_poll_start(&rt->task_poll, UV_READABLE, on_first_client);
    if (rt->tcp_fd >= 0)
        uv_poll_start(&rt->tcp_poll, UV_READABLE, on_first_client);
}

/* A folder that others cannot pass through hides the socket in it. */
static void warn_of_closed(const struct runtime *rt)
{
    CLEANUP(freep) char *path = strdup(rt->user_socket);
    struct stat st;

    for (char *slash; path && (slash = strrchr(path, '/')) && slash != path;) {
        *slash = '\0';
        if (stat(path, &st) == 0 && !(st.st_mode & S_IXOTH))
            runtime_log(rt, "socket.hidden",
                        "path=%s: other users cannot pass through it; give --socket",
                        path);
    }
}

/* Others come as far as the socket: the folder can be passed through, and what else is
 * in it is the owner's alone by its own mode. */
static int let_others_in(const struct runtime *rt, struct error *ret_error)
{
    struct stat st;

    bool is_shared = rt->config.conf && rt->config.conf->is_shared;

    if (!is_shared && !rt->has_accounts)
        return 0;
    if (stat(rt->dir, &st) < 0 || chmod(rt->dir, (st.st_mode & 07777) | 0011) < 0)
        return fail(ret_error, -errno, "cannot let others pass through %s: %s", rt->dir,
                    strerror(errno));
    if (is_shared)
        warn_of_closed(rt);
    return 0;
}

/* The sockets are those of the program before: who connected meanwhile is waiting. */
static int inherit_all(struct runtime *rt, struct error *ret_error)
{
    struct address a;
    int r;

    rt->user_fd = rt->before->user_fd;
    rt->task_fd = rt->before->task_fd;
    rt->tcp_fd = rt->before->tcp_fd;
    if (rt->tcp_fd < 0 || !rt->config.listen)
        return rt->config.listen ? listen_tcp(rt, ret_error) : 0;
    r = address_parse(rt->config.listen, &a, ret_error);
    if (r < 0)
        return r;
    getsockname(rt->tcp_fd, (struct sockaddr *)&a.socket, &a.len);
    address_text(&a, rt->listen);
    rt->config.listen = rt->listen;
    rt->config.listens_by_tls = a.is_secure;
    return 0;
}

static int open_all(struct runtime *rt, struct error *ret_error)
{
    bool is_shared = rt->config.conf && rt->config.conf->is_shared;
    int r;

    if (rt->before && rt->before->user_fd >= 0 && rt->before->task_fd >= 0)
        return inherit_all(rt, ret_error);
    r = rt->config.listen ? listen_tcp(rt, ret_error) : 0;
    if (r == 0)
        r = let_others_in(rt, ret_error);
    if (r == 0)
        r = listen_on(rt->user_socket, is_shared ? 0666 : 0600, &rt->user_fd,
                      ret_error);
    if (r < 0)
        return r;
    r = listen_on(rt->task_socket, rt->has_accounts ? 0666 : 0600, &rt->task_fd,
                  ret_error);
    if (r < 0) {
        unlink(rt->user_socket);
        close(rt->user_fd);
    }
    return r;
}

int runtime_sockets_open(struct runtime *rt, struct error *ret_error)
{
    int r = open_all(rt, ret_error);

    if (r < 0) {
        if (rt->tcp_fd >= 0)
            close(rt->tcp_fd);
        return r;
    }
    rt->is_listening = true;
    if (rt->tcp_fd >= 0)
        poll_socket(rt, &rt->tcp_poll, rt->tcp_fd);
    poll_socket(rt, &rt->user_poll, rt->user_fd);
    poll_socket(rt, &rt->task_poll, rt->task_fd);
    if (rt->config.is_inspect) {
        uv_timer_init(&rt->loop, &rt->idle_check);
        rt->idle_check.data = rt;
        uv_timer_start(&rt->idle_check, on_idle_check, IDLE_CHECK_MS, IDLE_CHECK_MS);
    }
    return 0;
}

void runtime_sockets_close(struct runtime *rt)
{
    if (rt->api)
        rt->api_module->stop(rt->api);
    rt->api = NULL;
    if (!rt->is_listening)
        return;
    unlink(rt->user_socket);
    unlink(rt->task_socket);
}

void runtime_sockets_release(struct runtime *rt)
{
    if (!rt->is_listening)
        return;
    if (rt->tcp_fd >= 0)
        close(rt->tcp_fd);
    close(rt->user_fd);
    close(rt->task_fd);
}

/* ---- who asks ---- */

bool runtime_is_token(const char *a, const char *b)
{
    unsigned char differs = 0;

    if (strlen(a) != SLOT_TOKEN_SIZE - 1 || b[0] == '\0')
        return false;
    for (size_t i = 0; i < SLOT_TOKEN_SIZE - 1; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

int runtime_channel(struct runtime *rt, const char *token, struct channel_attempt *ret)
{
    for (uint32_t i = 0; i < rt->n_slots; i++) {
        const struct slot *s = rt->slots[i];

        if (!s || !runtime_is_token(token, s->token))
            continue;
        runtime_warm_catch_up(rt, s); /* who knows the token has begun */
        runtime_drain(rt);
        if (s->state != SLOT_RUNNING)
            return -EACCES;
        *ret = (struct channel_attempt){ .run = s->run->id,
                                         .task = s->task,
                                         .attempt = s->attempt,
                                         .slot = i,
                                         .flow = s->flow,
                                         .out_dir = s->out.path };
        return 0;
    }
    return runtime_bench_channel(rt, token, ret);
}

static bool has_case(const struct step *step, const char *name)
{
    for (uint32_t i = 0; step->switch_by && i < step->n_cases; i++)
        if (strcmp(step->cases[i].name, name) == 0)
            return true;
    return false;
}

int runtime_choose(struct runtime *rt, const struct channel_attempt *a,
                   const char *name)
{
    struct slot *s;

    if (!has_case(&a->flow->steps[a->task.step], name))
        return -EINVAL;
    if (a->slot == NODE_SLOT_NONE)
        return 0;
    s = rt->slots[a->slot];
    free(s->choice);
    s->choice = strdup(name);
    return s->choice ? 0 : -ENOMEM;
}

int runtime_parameter(struct runtime *rt, uint32_t slot, const char *name,
                      struct buffer *out)
{
    const struct run_context *c;

    if (slot == NODE_SLOT_NONE)
        return runtime_bench_parameter(rt, name, out);
    c = rt->slots[slot]->run;
    for (size_t i = 0; i < c->flow->n_parameters; i++)
        if (c->values[i] && strcmp(c->flow->parameters[i].name, name) == 0)
            return parameter_write_json(&c->flow->parameters[i], c->values[i], out);
    return -ENOENT;
}

int runtime_output_type(struct runtime *rt, uint32_t slot, const char *name,
                        const char *type)
{
    struct slot *s = slot == NODE_SLOT_NONE ? NULL : rt->slots[slot];
    struct output_type *t = s ? calloc(1, sizeof(*t)) : NULL;

    if (!s)
        return 0; /* at a workbench nothing is kept */
    if (t) {
        t->name = strdup(name);
        t->type = strdup(type);
    }
    if (!t || !t->name || !t->type) {
        if (t) {
            free(t->name);
            free(t->type);
        }
        free(t);
        return -ENOMEM;
    }
    t->next = s->types; /* the newest is found first */
    s->types = t;
    return 0;
}

/* We are the subreaper of all that a task starts, so whoever descends from a task has
 * us among its ancestors, however it forked or changed its session. One that cannot be
 * read and is there is another user's. -ESRCH: one has gone, and what it left has
 * another parent now. */
static int descends_from(pid_t ancestor, pid_t pid)
{
    struct process p;

    for (int depth = 0; pid > 1 && depth < ANCESTORS_MAX; depth++) {
        if (process_read(pid, &p) < 0)
            return kill(pid, 0) < 0 && errno == ESRCH ? -ESRCH : 0;
        pid = p.parent;
        if (pid == ancestor)
            return 1;
    }
    return pid > 1 ? -ESRCH : 0;
}

/* Who connected and went before anybody looked may have left the socket to a task. */
bool runtime_is_task_process(struct runtime *rt, pid_t pid)
{
    int r = pid == rt->pid ? 0 : -ESRCH;

    for (int i = 0; r < 0 && i < LOOKS_MAX; i++)
        r = descends_from(rt->pid, pid);
    return r != 0;
}
