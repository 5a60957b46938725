/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_warm.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/process.h"
#include "node/runtime_internal.h"

enum {
    LOST_MAX = 3,           /* servers of a group; then its tasks are plain */
    LOOK_EVERY = 64,        /* answers: how large the server is by now */
    GROWN_BYTES = 64 << 20, /* and twice what it was: it leaks */
    LOG_READ_SIZE = 512,
    LOG_BYTES_MAX = 64 << 10, /* of a server's output in the node's log */
};

/* ---- groups ---- */

static struct warm_group *new_group(struct runtime *rt, struct run_context *c,
                                    uint32_t step)
{
    unsigned n_of_run = 0;
    uint32_t index = WARM_GROUPS_MAX;
    struct warm_group *g;

    for (uint32_t i = WARM_GROUPS_MAX; i-- > 0;) {
        if (!rt->warm[i])
            index = i;
        else if (rt->warm[i]->run == c)
            n_of_run++;
    }
    if (index == WARM_GROUPS_MAX || n_of_run == WARM_GROUPS_OF_RUN_MAX
        || !warm_is_worth(c->flow, &c->flow->steps[step]))
        return NULL;
    g = warm_group_new(c, step, rt->n_slots);
    if (!g)
        return NULL;
    g->index = index;
    rt->warm[index] = g;
    return g;
}

static void free_group(struct runtime *rt, struct warm_group *g)
{
    rt->warm[g->index] = NULL;
    warm_group_free(g);
}

/* The group of a step is looked for once. NULL: it is always plain. */
static struct warm_group *group_of(struct runtime *rt, struct run_context *c,
                                   uint32_t step)
{
    struct step_launch *l = &c->steps[step];

    if (l->warm)
        return l->warm == WARM_NEVER ? NULL : rt->warm[l->warm - 1];
    l->warm = WARM_NEVER;
    if (!warm_step(&c->flow->steps[step]))
        return NULL;
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++) {
        struct warm_group *g = rt->warm[i];

        if (g && g->run == c && warm_group_serves(g, &c->flow->steps[step]))
            l->warm = i + 1;
    }
    if (l->warm == WARM_NEVER) {
        struct warm_group *g = new_group(rt, c, step);

        l->warm = g ? g->index + 1 : WARM_NEVER;
    }
    return l->warm == WARM_NEVER ? NULL : rt->warm[l->warm - 1];
}

/* ---- the server's start ---- */

static int watch_server(struct runtime *rt, struct warm_group *g)
{
    struct warm_server *w = &g->server;
    int r = runtime_watch(rt, w->pidfd, g->index, READY_SERVER_EXIT);

    if (r == 0)
        r = runtime_watch(rt, w->socket, g->index, READY_SERVER);
    return r < 0 ? r : runtime_watch(rt, w->log, g->index, READY_SERVER_LOG);
}

static int start_server(struct runtime *rt, struct warm_group *g,
                        const struct step_launch *l, struct error *why)
{
    CLEANUP(variables_release) struct variables env = { .all = NULL };
    struct warm_config config = { .program = l->path,
                                  .cwd = g->run->code_path,
                                  .as = g->run->has_account ? &g->run->account : NULL,
                                  .env = &env,
                                  .files_max = rt->files_before.rlim_cur,
                                  .files_hard_max = rt->files_before.rlim_max };
    int r;

    runtime_token(rt, g->server.token);
    r = warm_group_variables(g, l, &env);
    if (r < 0)
        return fail(why, r, "its variables: %s", strerror(-r));
    if (g->server.cgroup.v2_dir < 0)
        cgroup_slot_open(&rt->cgroups, rt->n_slots + g->index, &g->server.cgroup);
    r = warm_start(&g->server, &config, why);
    if (r < 0)
        return r;
    r = watch_server(rt, g);
    if (r == 0)
        return 0;
    warm_kill(&g->server);
    warm_reap(&g->server);
    warm_close(&g->server);
    return fail(why, r, "it cannot be watched: %s", strerror(-r));
}

static void start(struct runtime *rt, struct warm_group *g, const struct step_launch *l)
{
    struct error why = { .text = "" };

    if (start_server(rt, g, l, &why) < 0) {
        g->state = WARM_OFF;
        runtime_log(rt, "python.plain", "run=%" PRIu64 " no server: %s", g->run->number,
                    why.text);
        return;
    }
    g->state = WARM_STARTING;
    g->has_grown = g->has_ended = false;
    g->n_answers = g->resident = 0;
    g->log_bytes = 0;
}

/* ---- those who wait ---- */

/* 0, or why it cannot be sent: -EAGAIN is not now, anything else not at all. */
static int send_request(struct runtime *rt, struct warm_group *g, struct slot *s)
{
    const struct step_launch *l = &s->run->steps[s->task.step];
    const int fds[] = { rt->null_fd, s->pipe_write[0], s->pipe_write[1],
                        s->cgroup.v2_dir };
    char **envp;
    int r = launch_environment(&rt->scratch, s->run, l, s, &rt->items, &rt->artifacts,
                               &envp);

    buffer_clear(&rt->request);
    if (r == 0)
        r = warm_request(l->work_path, envp, &rt->request);
    return r < 0
               ? r
               : warm_send(&g->server, &rt->request, fds, 3 + (s->cgroup.v2_dir >= 0));
}

/* Asks for all that wait, as far as the socket takes it. */
static void ask(struct runtime *rt, struct warm_group *g)
{
    while (g->state == WARM_READY && g->server.pidfd >= 0 && !g->has_grown
           && g->n_sent < g->n) {
        struct slot *s = rt->slots[warm_group_at(g, g->n_sent)];
        int r = send_request(rt, g, s);

        if (r == 0) {
            g->n_sent++;
            continue;
        }
        if ((r == -EAGAIN && g->n_sent) || r == -EPIPE)
            return; /* an answer, or its end, wakes us */
        warm_group_remove(g, g->n_sent);
        runtime_start_plain(rt, s);
    }
}

bool runtime_warm_take(struct runtime *rt, struct slot *s)
{
    const struct step *step = &s->flow->steps[s->task.step];
    struct warm_group *g = group_of(rt, s->run, s->task.step);

    if (!g || g->state == WARM_OFF)
        return false;
    /* A limit that no v2 group keeps is set by the process itself before it begins. */
    if (step->has_limits && !rt->cgroups.v2_has_memory)
        return false;
    if (g->state == WARM_COLD)
        start(rt, g, &s->run->steps[s->task.step]);
    if (g->state == WARM_OFF)
        return false;
    if (g->state == WARM_STARTING && g->beside == WARM_NO_SLOT) {
        g->beside = s->index;
        return false;
    }
    cgroup_slot_limit(&rt->cgroups, &s->cgroup,
                      step->has_limits ? step->resources.memory_bytes : 0);
    s->state = SLOT_STARTING;
    warm_group_add(g, s->index);
    ask(rt, g);
    return true;
}

void runtime_warm_left(struct runtime *rt, const struct slot *s)
{
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++)
        if (rt->warm[i] && rt->warm[i]->beside == s->index)
            rt->warm[i]->beside = WARM_NO_SLOT;
}

/* ---- its log ---- */

void runtime_warm_on_log(struct runtime *rt, uint32_t index)
{
    struct warm_group *g = index < WARM_GROUPS_MAX ? rt->warm[index] : NULL;
    char text[LOG_READ_SIZE + 1];
    ssize_t n = g ? read(g->server.log, text, LOG_READ_SIZE) : 0;

    if (n <= 0) {
        if (g && n == 0) /* all who held it have gone */
            runtime_unwatch(rt, g->server.log);
        return;
    }
    g->log_bytes += (size_t)n;
    if (g->log_bytes > LOG_BYTES_MAX || !g->run)
        return;
    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = ' ';
    text[n] = '\0';
    runtime_log(rt, "python.says", "run=%" PRIu64 " pid=%d %s", g->run->number,
                g->server.pid, text);
}

/* ---- its end ---- */

static bool is_known(void *arg, pid_t pid)
{
    return runtime_is_known(arg, pid);
}

/* What its imports started goes with it, and the socket that they may hold open. */
static void kill_left(struct runtime *rt, struct warm_group *g)
{
    if (g->server.cgroup.v2_events >= 0) {
        cgroup_slot_kill(&g->server.cgroup);
        cgroup_slot_renew(&rt->cgroups, &g->server.cgroup);
    } else {
        process_kill_orphans(rt->children_fd, g->server.pid, g->server.token, is_known,
                             rt);
    }
}

/* What the server's end means for the next tasks. */
static void note_loss(struct runtime *rt, struct warm_group *g)
{
    uint64_t run = g->run->number;

    if (g->state == WARM_STARTING && g->exit_code >= 0) {
        g->state = WARM_OFF;
        runtime_log(rt, "python.plain", "run=%" PRIu64 " %s", run,
                    g->exit_code == WARM_CANNOT
                        ? "tasks cannot be forked from its files"
                        : "the fork server gave up while it imported");
    } else if (g->has_grown) {
        g->state = WARM_COLD;
        runtime_log(rt, "python.grown", "run=%" PRIu64 " the fork server is replaced",
                    run);
    } else {
        g->state = ++g->n_lost < LOST_MAX ? WARM_COLD : WARM_OFF;
        runtime_log(rt, "python.lost", "run=%" PRIu64 " the fork server died%s", run,
                    g->state == WARM_OFF ? ", once too often" : "");
    }
}

/* Whoever was to be killed while it waited has not begun and does not. */
static void start_unforked(struct runtime *rt, struct slot *s)
{
    if (s->kill_reason)
        runtime_fail_task(rt, s, s->kill_reason, "");
    else
        runtime_start_plain(rt, s);
}

static void start_waiting(struct runtime *rt, struct warm_group *g)
{
    while (g->n)
        start_unforked(rt, rt->slots[warm_group_take(g)]);
}

/* The process has gone, and nobody is left who could answer for it. */
static void conclude(struct runtime *rt, struct warm_group *g)
{
    runtime_warm_on_log(rt, g->index);
    runtime_unwatch(rt, g->server.log);
    warm_close(&g->server);
    if (g->state == WARM_ENDING) {
        free_group(rt, g);
        return;
    }
    note_loss(rt, g);
    start_waiting(rt, g);
}

/* ---- answers ---- */

/* A file that the server imports could answer in its place: the number must be that of
 * a child of ours which is nobody's. */
static int adopt(struct runtime *rt, struct slot *s, pid_t pid)
{
    siginfo_t info = { 0 };
    int pidfd = runtime_is_known(rt, pid) ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);

    if (pidfd < 0
        || waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
        if (pidfd >= 0)
            close(pidfd);
        return -ECHILD;
    }
    s->pid = pid;
    s->pidfd = pidfd;
    return 0;
}

static void on_answer(struct runtime *rt, struct warm_group *g, int32_t answer)
{
    struct error why = { .text = "" };
    struct slot *s;

    if (answer > 0 && runtime_is_known(rt, answer))
        return; /* said again by a child whose server died */
    if (!g->n_sent) {
        warm_kill(&g->server); /* nobody asked */
        return;
    }
    s = rt->slots[warm_group_take(g)];
    if (answer <= 0 || adopt(rt, s, answer) < 0) {
        start_unforked(rt, s);
    } else if (runtime_task_begins(rt, s, &why) < 0) {
        runtime_fail_task(rt, s, REASON_START, why.text);
    } else if (s->kill_signal) {
        runtime_signal_task(s, s->kill_signal);
    }
    if (++g->n_answers % LOOK_EVERY == 0
        && warm_resident(&g->server) > 2 * g->resident + GROWN_BYTES)
        g->has_grown = true;
}

/* Up to now; true when nobody can say more. */
static bool read_answers(struct runtime *rt, struct warm_group *g)
{
    for (;;) {
        int32_t answer;

        switch (warm_receive(&g->server, &answer)) {
        case WARM_IS_READY:
            if (g->state == WARM_STARTING) {
                g->state = WARM_READY;
                g->resident = warm_resident(&g->server);
            }
            break;
        case WARM_ANSWERED:
            on_answer(rt, g, answer);
            break;
        case WARM_NOTHING:
            return false;
        case WARM_GONE:
            return true;
        }
    }
}

/* Reads what was said; false when the socket has ended. */
static bool hear(struct runtime *rt, struct warm_group *g)
{
    if (!g->has_ended && read_answers(rt, g)) {
        runtime_unwatch(rt, g->server.socket);
        g->has_ended = true;
    }
    return !g->has_ended;
}

void runtime_warm_on_answer(struct runtime *rt, uint32_t index)
{
    struct warm_group *g = index < WARM_GROUPS_MAX ? rt->warm[index] : NULL;

    if (!g || g->server.socket < 0)
        return;
    if (!hear(rt, g)) {
        if (g->server.pidfd < 0)
            conclude(rt, g);
        else
            warm_kill(&g->server);
        return;
    }
    ask(rt, g);
    if (g->has_grown && !g->n_sent)
        warm_dismiss(&g->server);
}

void runtime_warm_catch_up(struct runtime *rt, const struct slot *s)
{
    struct warm_group *g =
        s->state == SLOT_STARTING ? group_of(rt, s->run, s->task.step) : NULL;

    if (g)
        runtime_warm_on_answer(rt, g->index);
}

/* Who has begun is known before the others are killed. */
void runtime_warm_on_exit(struct runtime *rt, uint32_t index)
{
    struct warm_group *g = index < WARM_GROUPS_MAX ? rt->warm[index] : NULL;
    bool may_hear;

    if (!g || g->server.pidfd < 0)
        return;
    may_hear = hear(rt, g);
    runtime_unwatch(rt, g->server.pidfd);
    g->exit_code = warm_reap(&g->server);
    kill_left(rt, g);
    if (!may_hear)
        conclude(rt, g);
}

void runtime_warm_kill(struct runtime *rt, struct slot *s, int signal)
{
    struct warm_group *g = group_of(rt, s->run, s->task.step);
    uint32_t i = 0;

    while (warm_group_at(g, i) != s->index)
        i++;
    if (i >= g->n_sent) {
        warm_group_remove(g, i);
        runtime_fail_task(rt, s, s->kill_reason, "");
        return;
    }
    s->kill_signal = signal;
    if (signal != SIGKILL)
        return;
    warm_kill(&g->server); /* it has had its time to answer */
    cgroup_slot_kill(&s->cgroup);
}

void runtime_warm_forget(struct runtime *rt, const struct run_context *c)
{
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++) {
        struct warm_group *g = rt->warm[i];

        if (!g || g->run != c)
            continue;
        assert(g->n == 0);
        g->run = NULL;
        g->state = WARM_ENDING;
        if (g->server.socket < 0)
            free_group(rt, g);
        else
            warm_kill(&g->server);
    }
}

bool runtime_warm_is_server(const struct runtime *rt, pid_t pid)
{
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++)
        if (rt->warm[i] && rt->warm[i]->server.pidfd >= 0
            && rt->warm[i]->server.pid == pid)
            return true;
    return false;
}

bool runtime_warm_is_asking(const struct runtime *rt)
{
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++)
        if (rt->warm[i] && rt->warm[i]->n_sent)
            return true;
    return false;
}

void runtime_warm_kill_all(struct runtime *rt)
{
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++)
        if (rt->warm[i] && rt->warm[i]->server.pidfd >= 0)
            warm_kill(&rt->warm[i]->server);
}

void runtime_warm_close(struct runtime *rt)
{
    for (uint32_t i = 0; i < WARM_GROUPS_MAX; i++) {
        struct warm_group *g = rt->warm[i];

        if (!g)
            continue;
        warm_kill(&g->server);
        warm_reap(&g->server);
        read_answers(rt, g);
        warm_close(&g->server);
        kill_left(rt, g);
        free_group(rt, g);
    }
}
