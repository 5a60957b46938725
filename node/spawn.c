/* SPDX-License-Identifier: Apache-2.0 */
#include "node/spawn.h"

#include "node/account.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_STACK_SIZE = 64 << 10, STDIO = 3 };

/* Where the three lie for the child to take, and null, on which they rest between two
 * births; 0: not opened yet. */
static struct {
    int low[STDIO], null;
} pads;

/* Shared with the child, which runs in our memory until it execs. */
struct birth {
    const struct spawn *spawn;
    int stdio[STDIO]; /* descriptors for it to take */
    bool shares_files;
    bool joins_group; /* the child itself: clone() cannot put it into one */
    int error;
    const char *failed_in;
};

static int give_up(struct birth *b, const char *failed_in)
{
    b->error = errno;
    b->failed_in = failed_in;
    _exit(127);
}

static bool join_group(int dir)
{
    int fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    bool is_in = fd >= 0 && write(fd, "0", 1) == 1;

    if (fd >= 0)
        close(fd);
    return is_in;
}

/* A table of our own, of what lies up to the pads. Slots and clients make the node's
 * thousands of entries long: to copy it, and to close the copies at exec, took half of
 * the time of a start. */
static bool leave_files(const struct birth *b)
{
    unsigned last = 0;

    for (int i = 0; i < STDIO; i++)
        last = (unsigned)b->stdio[i] > last ? (unsigned)b->stdio[i] : last;
    return close_range(last + 1, ~0U, CLOSE_RANGE_UNSHARE) == 0
           || unshare(CLONE_FILES) == 0;
}

/* By the kernel's calls: those of the C library would change all our threads. */
static bool become(const struct account *a)
{
    return syscall(SYS_setgroups, (size_t)a->n_groups, a->groups) == 0
           && syscall(SYS_setresgid, a->gid, a->gid, a->gid) == 0
           && syscall(SYS_setresuid, a->uid, a->uid, a->uid) == 0;
}

/* Between clone and exec: system calls only, nothing that takes a lock or allocates. */
static int child(void *arg)
{
    struct birth *b = arg;
    const struct spawn *s = b->spawn;
    const struct rlimit no_core = { 1, 1 }; /* 0 is no bound for a pipe: core(5) */
    const struct rlimit files = { s->files_max, s->files_hard_max };
    struct rlimit address_space = { s->address_space_max, s->address_space_max };
    struct sigaction ignored_by_us = { .sa_handler = SIG_DFL };
    sigset_t none;

    sigaction(SIGPIPE, &ignored_by_us, NULL);
    if (setsid() < 0)
        return give_up(b, "setsid");
    if (setrlimit(RLIMIT_CORE, &no_core) < 0)
        return give_up(b, "setrlimit");
    if (s->address_space_max && setrlimit(RLIMIT_AS, &address_space) < 0)
        return give_up(b, "setrlimit");
    if (s->files_max && setrlimit(RLIMIT_NOFILE, &files) < 0)
        return give_up(b, "setrlimit");
    if (b->joins_group && !join_group(s->cgroup_dir))
        return give_up(b, "cgroup");
    if (s->cgroup_procs >= 0 && write(s->cgroup_procs, "0", 1) != 1)
        return give_up(b, "cgroup");
    if (s->as && !become(s->as))
        return give_up(b, "setuid");
    /* Behind the change of accounts, which forgets the first of the two. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return give_up(b, "prctl");
    if (getppid() != s->self)
        _exit(127); /* the node died before the prctl */
    if (b->shares_files && !leave_files(b))
        return give_up(b, "unshare");
    for (int i = 0; i < STDIO; i++)
        if (dup2(b->stdio[i], i) < 0)
            return give_up(b, "dup2");
    if (chdir(s->cwd) < 0)
        return give_up(b, "chdir");
    /* Ours are closed by exec, but not what we were started with. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(s->path, s->argv, s->envp);
    return give_up(b, "exec");
}

#if defined(__x86_64__)
/* glibc 2.36 has no wrapper for clone3. The child begins on its own stack, so it cannot
 * touch the frame in which the parent wakes up; rdx and r8 survive the system call. */
static long clone3_call(struct clone_args *args, int (*fn)(void *), void *arg)
{
    register int (*fn_in_rdx)(void *) __asm__("rdx") = fn;
    register void *arg_in_r8 __asm__("r8") = arg;
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r8, %%rdi\n\t"
                     "call *%%rdx\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(args), "S"(sizeof(*args)),
                       "r"(fn_in_rdx), "r"(arg_in_r8)
                     : "rcx", "r11", "memory", "cc");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
#elif defined(__aarch64__)
static long clone3_call(struct clone_args *args, int (*fn)(void *), void *arg)
{
    register long number __asm__("x8") = SYS_clone3;
    register struct clone_args *args_in_x0 __asm__("x0") = args;
    register size_t size_in_x1 __asm__("x1") = sizeof(*args);
    register int (*fn_in_x9)(void *) __asm__("x9") = fn;
    register void *arg_in_x10 __asm__("x10") = arg;
    register long result __asm__("x0");

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x0, x10\n\t"
                     "blr x9\n\t"
                     "brk #0\n"
                     "1:"
                     : "=r"(result)
                     : "r"(number), "r"(args_in_x0), "r"(size_in_x1), "r"(fn_in_x9),
                       "r"(arg_in_x10)
                     : "memory", "cc");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
#else
static long clone3_call(struct clone_args *args, int (*fn)(void *), void *arg)
{
    (void)args, (void)fn, (void)arg;
    errno = ENOSYS;
    return -1;
}
#endif

/* CLONE_CLEAR_SIGHAND gives the child default handlers without a call each. */
static pid_t start(struct birth *b, int *ret_pidfd)
{
    static _Alignas(16) char stack[CHILD_STACK_SIZE];
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND
                 | (b->shares_files ? (unsigned)CLONE_FILES : 0u),
        .pidfd = (uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
        .stack = (uintptr_t)stack,
        .stack_size = sizeof(stack),
    };
    long pid;

    if (b->spawn->cgroup_dir >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)b->spawn->cgroup_dir;
    }
    pid = clone3_call(&args, child, b);
    if (pid >= 0 || errno != ENOSYS)
        return (pid_t)pid;
    /* Some container runtimes refuse clone3. All signals are blocked, so no handler of
     * ours runs in the child before exec resets it. */
    b->joins_group = b->spawn->cgroup_dir >= 0;
    return clone(child, stack + sizeof(stack),
                 CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD
                     | (b->shares_files ? CLONE_FILES : 0),
                 b, ret_pidfd);
}

/* As low as there is room: the child's table reaches up to them. */
static bool open_pads(void)
{
    if (pads.null)
        return pads.null > 0;
    pads.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < STDIO && pads.null > 0; i++) {
        pads.low[i] = fcntl(pads.null, F_DUPFD_CLOEXEC, STDIO);
        if (pads.low[i] < 0)
            pads.null = -1;
    }
    return pads.null > 0;
}

/* Without pads the child copies our table, as any does. */
static void lay_out(struct birth *b)
{
    b->shares_files = open_pads();
    for (int i = 0; i < STDIO; i++) {
        b->stdio[i] = b->spawn->stdio[i];
        if (b->shares_files && dup3(b->spawn->stdio[i], pads.low[i], O_CLOEXEC) < 0)
            b->shares_files = false;
    }
    for (int i = 0; i < STDIO && b->shares_files; i++)
        b->stdio[i] = pads.low[i];
}

/* Who reads the other end of a pipe waits for the last to close this one. */
static void clear_pads(const struct birth *b)
{
    for (int i = 0; i < STDIO && b->shares_files; i++)
        dup3(pads.null, pads.low[i], O_CLOEXEC);
}

int spawn_task(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd,
               const char **ret_failed_in)
{
    struct birth b = { .spawn = s };
    sigset_t all, before;
    int pidfd = -1, clone_errno;
    pid_t pid;

    assert(s->self > 0); /* else the child takes us for dead */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    lay_out(&b);
    pid = start(&b, &pidfd);
    clone_errno = errno;
    clear_pads(&b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        *ret_failed_in = "clone";
        return -clone_errno;
    }
    if (b.error) {
        waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){ 0 }, WEXITED);
        close(pidfd);
        *ret_failed_in = b.failed_in;
        return -b.error;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
