/* SPDX-License-Identifier: Apache-2.0 */
#include "node/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    NODE = STDIN_FILENO,
    CANNOT_START = 127,
    CHILDREN_SIZE = 64 << 10, /* of the list: what did not fit comes the next time */
};

struct guard {
    struct guard_deadline deadline;
    bool is_warned;
    int signals, timer;
    pid_t task;
};

static uint64_t boottime_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the end ---- */

/* What is killed gives its children to us, so in the end none is left. */
static void kill_children(void)
{
    static char list[CHILDREN_SIZE];
    char path[64];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, list, sizeof(list) - 1) : 0;
    if (fd >= 0)
        close(fd);
    list[n > 0 ? n : 0] = '\0';
    for (char *at = list, *end;; at = end) {
        pid_t pid = (pid_t)strtol(at, &end, 10);

        if (end == at)
            return;
        kill(pid, SIGKILL);
    }
}

static _Noreturn void die_of(int signal)
{
    const struct rlimit no_core = { 0, 0 };
    sigset_t this;

    setrlimit(RLIMIT_CORE, &no_core);
    (void)sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
    raise(signal);
    sigemptyset(&this);
    sigaddset(&this, signal);
    sigprocmask(SIG_UNBLOCK, &this, NULL);
    _exit(128 + signal);
}

/* Until nobody is left whose end is ours to see. */
static void kill_tree(void)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    pid_t pid;

    for (;;) {
        kill_children();
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0 && errno == ECHILD)
            return;
        nanosleep(&moment, NULL); /* until the kernel has ended them */
    }
}

static _Noreturn void end_tree(void)
{
    kill_tree();
    die_of(SIGKILL);
}

/* ---- what the node says, and the clock ---- */

static void set_timer(const struct guard *g)
{
    uint64_t at = g->deadline.at_ns - (g->is_warned ? 0 : g->deadline.warning_ns);
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / 1000000000u),
                                             .tv_nsec = (long)(at % 1000000000u) } };

    if (g->deadline.at_ns == UINT64_MAX)
        when.it_value = (struct timespec){ .tv_sec = 0 };
    timerfd_settime(g->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The newest; false: the node is gone. */
static bool hear(struct guard *g)
{
    struct guard_deadline d;
    ssize_t n = read(NODE, &d, sizeof(d));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n != sizeof(d))
        return false;
    g->deadline = d;
    g->is_warned = false;
    set_timer(g);
    return true;
}

static void look_at_clock(struct guard *g)
{
    uint64_t now = boottime_ns(), at = g->deadline.at_ns;

    if (at == UINT64_MAX)
        return;
    if (now >= at)
        end_tree();
    if (!g->is_warned && now + g->deadline.warning_ns >= at) {
        g->is_warned = true;
        if (g->task > 0)
            kill(0, SIGTERM); /* its group is ours; we do not take it */
        set_timer(g);
    }
}

/* ---- the task ---- */

static _Noreturn void become_task(char **argv)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t guard = getppid();
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard || null < 0 || dup2(null, STDIN_FILENO) < 0)
        _exit(CANNOT_START);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(argv[0], argv + 1);
    (void)fprintf(stderr, "mesh: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(CANNOT_START);
}

/* Its end is ours, and that of all that it leaves behind: the node may stand still. */
static void reap(const struct guard *g)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    (void)!read(g->signals, &info, sizeof(info));
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != g->task)
            continue;
        kill_tree();
        if (WIFSIGNALED(status))
            die_of(WTERMSIG(status));
        _exit(WEXITSTATUS(status));
    }
}

static bool open_all(struct guard *g)
{
    sigset_t ours;

    (void)sigfillset(&ours);
    sigprocmask(SIG_BLOCK, &ours, NULL);
    sigemptyset(&ours);
    sigaddset(&ours, SIGCHLD);
    g->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    g->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
    /* When the node dies the pipe tells; to die with it would leave the task alone. */
    return prctl(PR_SET_PDEATHSIG, 0) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
           && g->signals >= 0 && g->timer >= 0;
}

int guard_main(char **argv)
{
    struct guard g = { .deadline = { 0 } };

    if (!argv[0] || !argv[1] || !open_all(&g) || !hear(&g)
        || boottime_ns() >= g.deadline.at_ns)
        return CANNOT_START;
    g.task = fork();
    if (g.task < 0)
        return CANNOT_START;
    if (g.task == 0)
        become_task(argv);
    for (;;) {
        struct pollfd fds[] = { { .fd = NODE, .events = POLLIN },
                                { .fd = g.signals, .events = POLLIN },
                                { .fd = g.timer, .events = POLLIN } };

        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            end_tree();
        if (fds[1].revents)
            reap(&g);
        if (fds[0].revents && !hear(&g))
            end_tree();
        look_at_clock(&g);
    }
}
