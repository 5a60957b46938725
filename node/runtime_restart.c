/* SPDX-License-Identifier: Apache-2.0 */
/* A planned restart, up to the next program.
 *
 *     asking  -- it can go on --> quiet -- what is under way is over --> settled -->
 * exec
 *        '-- it cannot ----------'-- something takes too long ---------------'-- fails
 *                                        all goes on as before
 *
 * asking:  the program that is on disk now is run once, with --check
 * quiet:   nothing starts, nothing is granted; who exits waits for the next program
 * settled: no run is led here any more, and what was said is on its way
 *
 * Descriptors close by themselves when a program is executed, so nothing is torn down
 * before: until that call the node can go on. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/version.h"
#include "node/runtime_mesh.h"
#include "node/runtime_peer.h"
#include "store/lmdb.h"

enum {
    LOOK_MS = 20, /* also for what was said last to leave */
    CHECK_MAX_S = 20,
    CHECK_TEXT_MAX = 1024,
    ARGUMENTS_MAX = 64 << 10,
};

static const time_us QUIET_MAX = TIME_S(60);
static const time_us SETTLE_MAX = TIME_S(2);

struct restart {
    struct runtime *rt;
    uv_work_t work;
    uv_timer_t timer;
    bool has_timer, is_settled;
    time_us begun;
    char *arguments; /* each with its NUL */
    char **argv;     /* with one more place before the NULL */
    size_t n_argv;
    struct error failed;
    char version[CHECK_TEXT_MAX];
};

/* ---- the program, and what it was called with ---- */

static int read_arguments(struct restart *x)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n, len = 0;

    x->arguments = calloc(1, ARGUMENTS_MAX + 1);
    if (fd < 0 || !x->arguments) {
        if (fd >= 0)
            close(fd);
        return -ENOMEM;
    }
    while ((n = read(fd, x->arguments + len, (size_t)(ARGUMENTS_MAX - len))) > 0)
        len += n;
    close(fd);
    for (ssize_t i = 0; i < len; i++)
        x->n_argv += x->arguments[i] == '\0';
    x->argv = calloc(x->n_argv + 2, sizeof(*x->argv));
    if (!x->argv || !x->n_argv || len == ARGUMENTS_MAX)
        return x->argv ? -E2BIG : -ENOMEM;
    for (size_t i = 0, at = 0; i < x->n_argv; i++) {
        x->argv[i] = x->arguments + at;
        at += strlen(x->argv[i]) + 1;
    }
    return 0;
}

static void restart_free(struct restart *x)
{
    free(x->arguments);
    free(x->argv);
    free(x);
}

/* ---- asking, in a thread: it must not hold up the loop ---- */

/* The program's output up to its end. */
static int read_answer(int fd, char *ret, size_t size)
{
    time_us end = uv_hrtime() / 1000 + TIME_S(CHECK_MAX_S);
    size_t len = 0;

    for (;;) {
        time_us now = uv_hrtime() / 1000;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (now >= end || poll(&p, 1, (int)((end - now) / 1000)) == 0)
            return -ETIMEDOUT;
        n = read(fd, ret + len, size - 1 - len);
        if (n <= 0 || len == size - 1)
            break;
        len += (size_t)n;
    }
    ret[len] = '\0';
    return 0;
}

static int spawn_check(struct restart *x, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r;

    x->argv[x->n_argv] = "--check";
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    r = posix_spawn(ret_pid, x->rt->program, &actions, NULL, x->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    x->argv[x->n_argv] = NULL;
    return -r;
}

/* What it says counts, not its exit: the loop may reap it as an orphan. */
static void judge(struct restart *x, const char *answer)
{
    const char *says = strstr(answer, "handover ");

    if (says && strtol(says + strlen("handover "), NULL, 10) == HANDOVER_FORMAT) {
        snprintf(x->version, sizeof(x->version), "%.*s", (int)strcspn(answer, ",\n"),
                 answer);
        return;
    }
    if (says)
        fail(&x->failed, -EPROTONOSUPPORT,
             "%s does not understand what this node would hand over: end it and start "
             "it again",
             x->rt->program);
    else
        fail(&x->failed, -ENOEXEC, "%s would not start: %.*s", x->rt->program,
             (int)strcspn(answer, "\n"), answer[0] ? answer : "it said nothing");
}

static void check_in_thread(uv_work_t *work)
{
    struct restart *x = work->data;
    char answer[CHECK_TEXT_MAX] = "";
    int fds[2], pidfd, r;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        fail(&x->failed, -errno, "no pipe: %s", strerror(errno));
        return;
    }
    r = spawn_check(x, fds[1], &pid);
    close(fds[1]);
    if (r < 0) {
        fail(&x->failed, r, "%s would not start: %s", x->rt->program, strerror(-r));
        close(fds[0]);
        return;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    r = read_answer(fds[0], answer, sizeof(answer));
    close(fds[0]);
    if (r < 0 && pidfd >= 0)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    if (pidfd >= 0) {
        waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){ 0 }, WEXITED);
        close(pidfd);
    }
    if (r < 0)
        fail(&x->failed, r, "%s --check does not end", x->rt->program);
    else
        judge(x, answer);
}

/* ---- giving it up ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    restart_free(handle->data);
}

static void let_go(struct runtime *rt)
{
    struct restart *x = TAKE(rt->restart);

    if (x->has_timer)
        uv_close((uv_handle_t *)&x->timer, on_timer_closed);
    else
        restart_free(x);
}

static void set_paused(struct runtime *rt, bool is_on)
{
    struct mesh_event mesh = { .type = MESH_EVENT_PAUSE, .u.is_on = is_on };

    rt->holds_exits = is_on;
    if (rt->mesh)
        runtime_mesh_event(rt, &mesh);
    else
        runtime_event(rt, &(struct event){ .type = EVENT_PAUSE, .u.is_paused = is_on });
}

static void watch_exits(struct runtime *rt)
{
    for (uint32_t i = 0; i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (s && s->state == SLOT_RUNNING && s->pidfd >= 0)
            runtime_watch(rt, s->pidfd, i, READY_EXIT); /* most are: -EEXIST */
    }
}

static void give_up(struct runtime *rt)
{
    rt->restart_failed = rt->restart->failed;
    runtime_log(rt, "restart.failed", "%s", rt->restart_failed.text);
    let_go(rt);
    if (!rt->holds_exits)
        return;
    set_paused(rt, false);
    watch_exits(rt);
    runtime_drain(rt);
}

/* ---- until nothing is under way ---- */

/* What cannot be handed over yet; NULL: nothing. */
static const char *find_busy(const struct runtime *rt)
{
    for (uint32_t i = 0; i < rt->n_slots; i++) {
        const struct slot *s = rt->slots[i];

        switch (s ? s->state : SLOT_IDLE) {
        case SLOT_FETCHING:
            return "a task waits for its inputs";
        case SLOT_STARTING:
            return "a task is being started";
        case SLOT_LEAVING:
            return "processes of a task that ended do not go";
        case SLOT_KEEPING:
        case SLOT_ENDED:
            return "outputs of a task are being kept";
        default:
            break;
        }
    }
    if (rt->api && rt->api_module->tasks(rt->api))
        return "a task is being answered";
    return writer_is_full(rt->writer) ? "the disk is behind" : NULL;
}

static bool step_down(struct runtime *rt)
{
    struct mesh_event e = { .type = MESH_EVENT_STEP_DOWN };

    if (!rt->mesh)
        return true;
    e.u.is_on = runtime_now(rt) > rt->restart->begun + SETTLE_MAX;
    runtime_mesh_event(rt, &e);
    return mesh_leads_nothing(rt->mesh->core);
}

/* ---- what is handed over ---- */

static int add_secrets(const struct run_context *c, struct handover *h)
{
    for (size_t i = 0; i < c->flow->n_parameters; i++) {
        struct handover_secret *all;

        if (!c->flow->parameters[i].is_secret || !c->values[i])
            continue;
        all = realloc(h->secrets, (h->n_secrets + 1) * sizeof(*all));
        if (!all)
            return -ENOMEM;
        h->secrets = all;
        all[h->n_secrets++] = (struct handover_secret){
            .run = c->id, .name = c->flow->parameters[i].name, .value = c->values[i]
        };
    }
    return 0;
}

static void add_task(struct runtime *rt, struct slot *s, struct handover *h)
{
    struct handover_task *t = &h->tasks[h->n_tasks++];

    *t = (struct handover_task){ .slot = s,
                                 .run = s->run->id,
                                 .n_files = s->run->n_files };
    t->has_guest = rt->mesh && mesh_guest_in(rt->mesh->core, s->index, &t->guest);
}

static int fill(struct runtime *rt, struct handover *h)
{
    struct run_context *c, *next;
    int r = 0;

    h->tasks = calloc(rt->n_slots + 1U, sizeof(*h->tasks));
    if (!h->tasks)
        return -ENOMEM;
    for (uint32_t i = 0; i < rt->n_slots; i++)
        if (rt->slots[i] && rt->slots[i]->state == SLOT_RUNNING)
            add_task(rt, rt->slots[i], h);
    HASH_ITER (hh, rt->runs, c, next)
        if (r == 0)
            r = add_secrets(c, h);
    if (r < 0 || !rt->mesh)
        return r;
    h->boot = rt->mesh->boot;
    h->is_draining = rt->mesh->card.is_draining;
    h->bulk_port = (uint16_t)rt->mesh->peers_module->bulk_port(rt->mesh->peers);
    return 0;
}

/* Where it listens now, though the options may say: a port that is free. */
static char *listen_text(const struct runtime *rt)
{
    const char *asked = rt->config.peer_listen;
    const char *bound = rt->mesh->peers_module->address(rt->mesh->peers);
    const char *port = strrchr(bound, ':'), *colon = strrchr(asked, ':');
    char *text;

    if (!port || !colon
        || asprintf(&text, "%.*s%s", (int)(colon - asked), asked, port) < 0)
        return NULL;
    return text;
}

static int encode(struct runtime *rt, struct buffer *out)
{
    CLEANUP(freep) char *peer_listen = rt->mesh ? listen_text(rt) : NULL;
    CLEANUP(handover_release)
    struct handover h = { .pid = getpid(),
                          .dir = rt->dir,
                          .version = (char *)mesh_version(),
                          .lock_fd = lmdb_lock_fd(rt->store),
                          .user_fd = rt->user_fd,
                          .task_fd = rt->task_fd,
                          .tcp_fd = rt->tcp_fd,
                          .peer_listen = peer_listen };
    int r = rt->mesh && !peer_listen ? -ENOMEM : fill(rt, &h);

    return r < 0 ? r : handover_encode(&h, out);
}

/* ---- the next program ---- */

static void inherit(int fd, bool is_on)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, is_on ? 0 : FD_CLOEXEC);
}

/* To its guard too, which would end the task if the other end of its pipe were closed.
 */
static void inherit_slot(const struct slot *s, bool is_on)
{
    for (int k = 0; k < 2; k++) {
        inherit(s->pipe_read[k], is_on);
        inherit(s->pipe_write[k], is_on);
    }
    if (s->guard_fd > 0)
        inherit(s->guard_fd, is_on);
}

static void set_inherited(const struct runtime *rt, bool is_on)
{
    inherit(lmdb_lock_fd(rt->store), is_on);
    inherit(rt->user_fd, is_on);
    inherit(rt->task_fd, is_on);
    inherit(rt->tcp_fd, is_on);
    for (uint32_t i = 0; i < rt->n_slots; i++)
        if (rt->slots[i])
            inherit_slot(rt->slots[i], is_on && rt->slots[i]->state == SLOT_RUNNING);
}

/* All that was queued is on disk. */
static int sync_store(struct runtime *rt)
{
    struct store_write count = runtime_count_to(rt, 0);
    uint64_t ticket = writer_put(rt->writer, &count, 1, true);

    return ticket ? writer_wait(rt->writer, ticket) : -ENOMEM;
}

static void stop_interface(struct runtime *rt)
{
    if (rt->api)
        rt->api_module->stop(TAKE(rt->api));
}

/* Returns only when it could not. */
static int execute(struct runtime *rt, const struct buffer *text)
{
    struct rlimit files;
    int fd, r;

    handover_keep_files();
    r = handover_put(text, &fd);
    if (r < 0)
        return r;
    getrlimit(RLIMIT_NOFILE, &files);
    if (rt->files_before.rlim_cur)
        setrlimit(RLIMIT_NOFILE, &rt->files_before);
    set_inherited(rt, true);
    fflush(NULL);
    execv(rt->program, rt->restart->argv);
    r = -errno;
    set_inherited(rt, false);
    setrlimit(RLIMIT_NOFILE, &files);
    handover_forget(fd);
    return r;
}

static void become(struct runtime *rt)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int r;

    stop_interface(rt);
    runtime_warm_kill_all(rt);
    r = sync_store(rt);
    if (r == 0)
        r = encode(rt, &text);
    if (r == 0)
        r = execute(rt, &text);
    if (text.data)
        explicit_bzero(text.data, text.len);
    fail(&rt->restart->failed, r, "%s cannot be executed: %s", rt->program,
         strerror(-r));
    runtime_sockets_listen(rt);
    give_up(rt);
}

static void on_look(uv_timer_t *timer)
{
    struct restart *x = timer->data;
    struct runtime *rt = x->rt;
    const char *busy = find_busy(rt);

    if (!busy && x->is_settled) {
        become(rt);
        return;
    }
    if (!busy) {
        x->is_settled = step_down(rt);
        return;
    }
    x->is_settled = false;
    if (runtime_now(rt) > x->begun + QUIET_MAX) {
        fail(&x->failed, -ETIMEDOUT, "for a minute already: %s", busy);
        give_up(rt);
    }
}

static void after_check(uv_work_t *work, int status)
{
    struct restart *x = work->data;
    struct runtime *rt = x->rt;

    if (status == UV_ECANCELED || !rt || rt->restart != x) {
        restart_free(x);
        return;
    }
    if (x->failed.text[0]) {
        give_up(rt);
        return;
    }
    runtime_log(rt, "restart.begins", "with=%s program=%s", x->version, rt->program);
    uv_timer_init(&rt->loop, &x->timer);
    x->timer.data = x;
    x->has_timer = true;
    x->begun = runtime_now(rt);
    uv_timer_start(&x->timer, on_look, LOOK_MS, LOOK_MS);
    set_paused(rt, true);
}

int runtime_restart(struct runtime *rt, struct error *ret_error)
{
    struct restart *x;
    int r;

    if (!rt->config.may_restart)
        return fail(ret_error, -ENOTSUP,
                    "this node is a part of a command and ends with it");
    if (rt->restart)
        return -EALREADY;
    x = calloc(1, sizeof(*x));
    if (!x)
        return -ENOMEM;
    x->rt = rt;
    x->work.data = x;
    r = read_arguments(x);
    if (r < 0) {
        restart_free(x);
        return r;
    }
    rt->restart = x;
    rt->restart_failed.text[0] = '\0';
    rt->n_restarts++;
    uv_queue_work(&rt->loop, &x->work, check_in_thread, after_check);
    return 0;
}

void runtime_restart_view(const struct runtime *rt, struct restart_view *ret)
{
    *ret = (struct restart_view){ .is_under_way = rt->restart != NULL,
                                  .started_wall = rt->started_wall,
                                  .n_tried = rt->n_restarts,
                                  .failed = rt->restart_failed.text[0]
                                                ? rt->restart_failed.text
                                                : NULL };
}

/* One whose program is being asked frees itself when that is over. */
void runtime_restart_close(struct runtime *rt)
{
    struct restart *x = rt->restart;

    if (!x)
        return;
    if (x->has_timer)
        let_go(rt);
    rt->restart = NULL;
}
