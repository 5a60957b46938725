/* SPDX-License-Identifier: Apache-2.0 */
/* A task's exit. The order is a rule: kill what is left of the session, reap, see that
 * nobody lives, take the log, and only then keep the outputs and tell the node. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/process.h"
#include "node/runtime_internal.h"

enum {
    EVENTS_AT_ONCE = 64,
    PIPE_READ_SIZE = 64 << 10,
    PIPE_READS_AT_END = 17, /* F_SETPIPE_SZ ends at 1 MiB without privileges */
    LEAVING_POLL_MS = 1,    /* only where no cgroup tells that a tree is empty */
    REAP_EVERY = 64,        /* exits: what is dead and ours may wait, but not pile up */
};

/* The bits of an epoll datum below the slot: enum ready. */
enum { READY_BITS = 3 };

struct slot *runtime_slot(struct runtime *rt, uint32_t index)
{
    return index < rt->n_slots ? rt->slots[index] : NULL;
}

int runtime_watch(struct runtime *rt, int fd, uint32_t index, enum ready what)
{
    struct epoll_event e = { .events = what == READY_EMPTY ? EPOLLPRI : EPOLLIN,
                             .data.u64 = (uint64_t)index << READY_BITS | what };

    return epoll_ctl(rt->tasks_epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* A child forked since may hold a copy of the descriptor: closing is not enough. */
void runtime_unwatch(struct runtime *rt, int fd)
{
    epoll_ctl(rt->tasks_epoll, EPOLL_CTL_DEL, fd, NULL);
}

int runtime_watch_pipes(struct runtime *rt, const struct slot *s)
{
    int r = runtime_watch(rt, s->pipe_read[0], s->index, READY_STDOUT);

    return r < 0 ? r : runtime_watch(rt, s->pipe_read[1], s->index, READY_STDERR);
}

/* ---- the exit ---- */

static void tell_log(struct runtime *rt, const struct slot *s, enum log_stream stream,
                     const char *data, size_t len)
{
    struct feed_event e = { .type = FEED_LOG,
                            .wall = runtime_wall(),
                            .run = s->run->id,
                            .number = s->run->number,
                            .task = s->task,
                            .attempt = s->attempt,
                            .pid = (uint32_t)s->pid,
                            .step = s->flow->steps[s->task.step].name,
                            .stream = stream,
                            .data = data,
                            .len = len };

    rt->counters.log_bytes += len;
    feed_publish(rt->feed, &e, 0);
}

/* Takes what a pipe holds, in at most `reads` of them: a task that writes as fast as we
 * read must not keep the loop from its timers. A read that does not fill the buffer has
 * emptied the pipe. What a survivor writes when the log is closed is thrown away. */
static void drain(struct runtime *rt, struct slot *s, enum log_stream stream, int reads)
{
    static char data[PIPE_READ_SIZE];
    ssize_t n = sizeof(data);

    runtime_warm_catch_up(rt, s); /* who writes has begun */
    while (n == sizeof(data) && reads-- > 0) {
        size_t taken;

        n = read(s->pipe_read[stream == LOG_STDERR], data, sizeof(data));
        if (n <= 0 || (s->state != SLOT_RUNNING && s->state != SLOT_LEAVING))
            continue;
        redact_bytes(&s->run->redact, data, (size_t)n);
        taken = slot_log_add(s, stream, runtime_now(rt) - s->started, data, (size_t)n);
        if (taken)
            tell_log(rt, s, stream, data, taken);
    }
}

/* At the end: all that a pipe may hold, however much a task has made it hold. */
static void drain_both(struct runtime *rt, struct slot *s)
{
    drain(rt, s, LOG_STDOUT, PIPE_READS_AT_END);
    drain(rt, s, LOG_STDERR, PIPE_READS_AT_END);
}

bool runtime_is_known(const struct runtime *rt, pid_t pid)
{
    for (uint32_t i = 0; i < rt->n_slots; i++)
        if (rt->slots[i] && rt->slots[i]->pidfd >= 0 && rt->slots[i]->pid == pid)
            return true;
    return runtime_warm_is_server(rt, pid);
}

static bool is_leader(void *arg, pid_t pid)
{
    return runtime_is_known(arg, pid);
}

/* Orphans of a task come to us as the subreaper: when they are dead they want reaping.
 * Leaders are left alone, their exit is told by their pidfd. */
static void reap_orphans(struct runtime *rt)
{
    siginfo_t info = { 0 };

    if (runtime_warm_is_asking(rt))
        return; /* one whom we do not know may be a task that we are about to know */
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        if (is_leader(rt, info.si_pid))
            return;
        waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
        info.si_pid = 0;
    }
}

static void set_reason(const struct runtime *rt, struct slot *s, const siginfo_t *info)
{
    struct attempt_record *r = &s->record;
    /* Asked whatever the end was: what this attempt does not take is told of the next.
     */
    bool had_oom = s->cgroup.memory_max && cgroup_slot_had_oom(&s->cgroup);

    if (info->si_code == CLD_EXITED)
        r->exit_code = info->si_status;
    else
        r->signal = info->si_status;
    if (s->kill_reason)
        r->reason = s->kill_reason;
    else if ((info->si_code != CLD_EXITED || info->si_status)
             && runtime_guard_has_ended_it(rt, s)) {
        r->reason = REASON_LOST;
        r->message = strdup("its leader did not permit it to go on: it could not be "
                            "reached, or has no majority");
    } else if (info->si_code == CLD_EXITED && info->si_status == 0)
        r->reason = REASON_OK;
    else if (had_oom)
        r->reason = REASON_OOM;
    else
        r->reason = info->si_code == CLD_EXITED ? REASON_EXIT : REASON_SIGNAL;
}

/* A child that shares our memory until it execs inherits the size of it as its own peak
 * (exec_mmap() in Linux), so what is not above ours says nothing of the task. */
static uint64_t own_peak(const struct rusage *used)
{
    struct rusage ours;

    if (getrusage(RUSAGE_SELF, &ours) == 0 && used->ru_maxrss <= ours.ru_maxrss)
        return 0;
    return (uint64_t)used->ru_maxrss * 1024;
}

/* Reaps the leader. The rest of its session is killed first, while its number cannot
 * belong to anybody else. */
static void reap(struct runtime *rt, struct slot *s)
{
    siginfo_t info = { 0 };
    struct rusage used = { .ru_maxrss = 0 };

    kill(-s->pid, SIGKILL);
    syscall(SYS_waitid, P_PIDFD, s->pidfd, &info, WEXITED, &used);
    runtime_unwatch(rt, s->pidfd);
    close(s->pidfd);
    s->pidfd = -1;
    rt->counters.tasks_executed++;
    if (++rt->n_exits % REAP_EVERY == 0)
        reap_orphans(rt);
    drain_both(rt, s);
    set_reason(rt, s, &info);
    s->record.max_rss_bytes = own_peak(&used);
    s->record.cpu_us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000
                       + (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static bool has_survivors(struct runtime *rt, const struct slot *s)
{
    if (s->cgroup.v2_events >= 0)
        return cgroup_slot_is_populated(&s->cgroup);
    if (kill(-s->pid, 0) == 0 || errno != ESRCH)
        return true;
    return process_kill_orphans(rt->children_fd, s->pid, s->token, is_leader, rt) > 0;
}

/* The tree is gone: nobody writes to the log or the outputs any more. */
static void finish(struct runtime *rt, struct slot *s)
{
    if (s->state == SLOT_LEAVING) {
        if (s->cgroup.v2_events >= 0)
            runtime_unwatch(rt, s->cgroup.v2_events);
        drain_both(rt, s);
        reap_orphans(rt);
    }
    runtime_keep_task(rt, s);
}

static void on_leaving_timer(uv_timer_t *timer);

static void leave(struct runtime *rt, struct slot *s)
{
    s->state = SLOT_LEAVING;
    cgroup_slot_kill(&s->cgroup);
    if (s->cgroup.v2_events < 0
        || runtime_watch(rt, s->cgroup.v2_events, s->index, READY_EMPTY) < 0)
        uv_timer_start(&rt->leaving, on_leaving_timer, LEAVING_POLL_MS, 0);
    else if (!has_survivors(rt, s)) /* it emptied before we began to watch */
        finish(rt, s);
}

static void on_exit_ready(struct runtime *rt, struct slot *s)
{
    if (s->state != SLOT_RUNNING)
        return;
    if (rt->holds_exits) {
        runtime_unwatch(rt, s->pidfd);
        return;
    }
    reap(rt, s);
    if (has_survivors(rt, s))
        leave(rt, s);
    else
        finish(rt, s);
}

static void on_empty_ready(struct runtime *rt, struct slot *s)
{
    if (s->state == SLOT_LEAVING && !has_survivors(rt, s))
        finish(rt, s);
}

static void on_leaving_timer(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;
    bool again = false;

    for (uint32_t i = 0; i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (!s || s->state != SLOT_LEAVING)
            continue;
        reap_orphans(rt);
        if (has_survivors(rt, s)) {
            if (s->cgroup.v2_events < 0)
                kill(-s->pid, SIGKILL);
            again = true;
        } else {
            finish(rt, s);
        }
    }
    if (again)
        uv_timer_start(timer, on_leaving_timer, LEAVING_POLL_MS, 0);
    runtime_drain(rt);
}

static void on_slot_ready(struct runtime *rt, struct slot *s, enum ready what)
{
    if (!s)
        return;
    if (what == READY_EXIT)
        on_exit_ready(rt, s);
    else if (what == READY_EMPTY)
        on_empty_ready(rt, s);
    else
        drain(rt, s, what == READY_STDOUT ? LOG_STDOUT : LOG_STDERR, 1);
}

static void on_ready(struct runtime *rt, uint32_t index, enum ready what)
{
    switch (what) {
    case READY_EXIT:
    case READY_STDOUT:
    case READY_STDERR:
    case READY_EMPTY:
        on_slot_ready(rt, runtime_slot(rt, index), what);
        break;
    case READY_SERVER:
        runtime_warm_on_answer(rt, index);
        break;
    case READY_SERVER_EXIT:
        runtime_warm_on_exit(rt, index);
        break;
    case READY_SERVER_LOG:
        runtime_warm_on_log(rt, index);
        break;
    }
}

static void on_tasks_ready(uv_poll_t *poll, int status, int events)
{
    struct runtime *rt = poll->data;
    struct epoll_event ready[EVENTS_AT_ONCE];
    int n = epoll_wait(rt->tasks_epoll, ready, EVENTS_AT_ONCE, 0);

    (void)status, (void)events;
    for (int i = 0; i < n; i++) {
        on_ready(rt, (uint32_t)(ready[i].data.u64 >> READY_BITS),
                 (enum ready)(ready[i].data.u64 & ((1 << READY_BITS) - 1)));
        runtime_drain(rt);
    }
    if (writer_is_full(rt->writer))
        runtime_pause_tasks(rt, true);
}

/* While the writer is behind nothing new is taken in; it wakes us when it is not. */
void runtime_pause_tasks(struct runtime *rt, bool paused)
{
    if (paused == !rt->is_polling)
        return;
    rt->is_polling = !paused;
    if (paused)
        uv_poll_stop(&rt->tasks_poll);
    else
        uv_poll_start(&rt->tasks_poll, UV_READABLE, on_tasks_ready);
}

void runtime_abandon(struct slot *s)
{
    cgroup_slot_kill(&s->cgroup);
    kill(-s->pid, SIGKILL);
    waitid(P_PIDFD, (id_t)s->pidfd, &(siginfo_t){ 0 }, WEXITED);
    close(s->pidfd);
    s->pidfd = -1;
}

/* ---- opening and closing ---- */

int runtime_tasks_open(struct runtime *rt, struct error *ret_error)
{
    char name[32];
    struct stat st;

    rt->slots = calloc(rt->n_slots, sizeof(*rt->slots));
    if (!rt->slots)
        return -ENOMEM;
    uv_timer_init(&rt->loop, &rt->leaving);
    rt->leaving.data = rt;
    runtime_use_open(rt);
    if (rt->config.is_inspect)
        return 0;
    rt->tasks_epoll = epoll_create1(EPOLL_CLOEXEC);
    rt->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (rt->tasks_epoll < 0 || rt->null_fd < 0 || stat(rt->dir, &st) < 0)
        return fail(ret_error, -errno, "cannot watch tasks: %s", strerror(errno));
    /* One name for a data folder: a restart finds what the last node left. */
    snprintf(name, sizeof(name), "%" PRIx64 "-%" PRIx64, (uint64_t)st.st_dev,
             (uint64_t)st.st_ino);
    runtime_adopt_groups(rt, name);
    rt->children_fd = process_open_children();
    uv_poll_init(&rt->loop, &rt->tasks_poll, rt->tasks_epoll);
    rt->tasks_poll.data = rt;
    runtime_pause_tasks(rt, false);
    return 0;
}

void runtime_tasks_kill(struct runtime *rt)
{
    runtime_warm_close(rt);
    for (uint32_t i = 0; rt->slots && i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (s && s->pidfd >= 0)
            runtime_abandon(s);
    }
}

void runtime_tasks_close(struct runtime *rt)
{
    for (uint32_t i = 0; rt->slots && i < rt->n_slots; i++) {
        if (!rt->slots[i])
            continue;
        slot_release(rt->slots[i]);
        free(rt->slots[i]);
    }
    free(TAKE(rt->slots));
    running_close(&rt->running);
    cgroups_close(&rt->cgroups);
    if (rt->tasks_epoll >= 0)
        close(rt->tasks_epoll);
    if (rt->null_fd >= 0)
        close(rt->null_fd);
    if (rt->children_fd >= 0)
        close(rt->children_fd);
}
