/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/spawn.h"

static int null_fd;

static struct spawn program(const char *path, char *const *argv)
{
    return (struct spawn){ .path = path,
                           .argv = argv,
                           .envp = environ,
                           .self = getpid(),
                           .cwd = "/",
                           .stdio = { null_fd, null_fd, null_fd },
                           .cgroup_dir = -1,
                           .cgroup_procs = -1 };
}

static siginfo_t wait_for(int pidfd)
{
    siginfo_t info = { 0 };

    assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
    close(pidfd);
    return info;
}

static void test_exit_code_comes_back(void **state)
{
    char *argv[] = { "sh", "-c", "exit 7", NULL };
    struct spawn s = program("/bin/sh", argv);
    const char *failed_in;
    siginfo_t info;
    pid_t pid;
    int pidfd;

    (void)state;
    assert_int_equal(spawn_task(&s, &pid, &pidfd, &failed_in), 0);
    info = wait_for(pidfd);
    assert_int_equal(info.si_pid, pid);
    assert_int_equal(info.si_code, CLD_EXITED);
    assert_int_equal(info.si_status, 7);
}

/* A failed exec is an error of the call, and nothing is left to reap. */
static void test_failed_exec_is_told(void **state)
{
    char *argv[] = { "none", NULL };
    struct spawn s = program("/no/such/program", argv);
    const char *failed_in = NULL;
    pid_t pid;
    int pidfd;

    (void)state;
    assert_int_equal(spawn_task(&s, &pid, &pidfd, &failed_in), -ENOENT);
    assert_string_equal(failed_in, "exec");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_failed_chdir_is_told(void **state)
{
    char *argv[] = { "true", NULL };
    struct spawn s = program("/bin/true", argv);
    const char *failed_in = NULL;
    pid_t pid;
    int pidfd;

    (void)state;
    s.cwd = "/no/such/folder";
    assert_int_equal(spawn_task(&s, &pid, &pidfd, &failed_in), -ENOENT);
    assert_string_equal(failed_in, "chdir");
}

/* The child leads its own session, has no blocked or ignored signals that we had, no
 * core dumps, and no way to gain privileges. */
static void test_child_starts_clean(void **state)
{
    static const char script[] =
        "read pid comm st ppid pgrp session rest < /proc/self/stat\n"
        "[ \"$session\" = $$ ] || exit 1\n"
        "grep -q 'SigBlk:.0000000000000000' /proc/self/status || exit 2\n"
        "grep -q 'SigIgn:.0000000000000000' /proc/self/status || exit 3\n"
        "grep -q 'NoNewPrivs:.1' /proc/self/status || exit 4\n"
        "[ \"$(ulimit -c)\" = 0 ] || exit 5\n";
    char *argv[] = { "sh", "-c", (char *)script, NULL };
    struct spawn s = program("/bin/sh", argv);
    const char *failed_in;
    sigset_t blocked, before;
    siginfo_t info;
    pid_t pid;
    int pidfd;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    assert_int_equal(spawn_task(&s, &pid, &pidfd, &failed_in), 0);
    info = wait_for(pidfd);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(info.si_code, CLD_EXITED);
    assert_int_equal(info.si_status, 0);
}

static void test_address_space_is_limited(void **state)
{
    char *argv[] = { "sh", "-c", "[ \"$(ulimit -v)\" = 262144 ]", NULL };
    struct spawn s = program("/bin/sh", argv);
    const char *failed_in;
    pid_t pid;
    int pidfd;

    (void)state;
    s.address_space_max = 256ul << 20;
    assert_int_equal(spawn_task(&s, &pid, &pidfd, &failed_in), 0);
    assert_int_equal(wait_for(pidfd).si_status, 0);
}

/* Also where ours reach far beyond what it takes along, and one of them would be
 * inherited. */
static void test_child_has_the_three_descriptors(void **state)
{
    static const char script[] = "fd=3; while [ $fd -lt 1000 ]; do\n"
                                 "[ ! -e /proc/$$/fd/$fd ] || exit 1\n"
                                 "fd=$((fd + 1)); done; echo said";
    char *argv[] = { "sh", "-c", (char *)script, NULL };
    struct spawn s = program("/bin/sh", argv);
    int far = fcntl(null_fd, F_DUPFD, 900), ends[2], pidfd;
    const char *failed_in;
    char said[16] = "";
    pid_t pid;

    (void)state;
    assert_true(far >= 900);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    s.stdio[1] = fcntl(ends[1], F_DUPFD_CLOEXEC, 800);
    assert_int_equal(spawn_task(&s, &pid, &pidfd, &failed_in), 0);
    close(ends[1]);
    close(s.stdio[1]);
    /* To its end: nobody of us holds the pipe open. */
    assert_int_equal(read(ends[0], said, sizeof(said)), 5);
    assert_string_equal(said, "said\n");
    assert_int_equal(read(ends[0], said, sizeof(said)), 0);
    assert_int_equal(wait_for(pidfd).si_status, 0);
    /* And ours are as they were. */
    assert_int_equal(fcntl(far, F_GETFD), 0);
    assert_true(fcntl(0, F_GETFD) >= 0);
    close(far);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_code_comes_back),
        cmocka_unit_test(test_failed_exec_is_told),
        cmocka_unit_test(test_failed_chdir_is_told),
        cmocka_unit_test(test_child_starts_clean),
        cmocka_unit_test(test_address_space_is_limited),
        cmocka_unit_test(test_child_has_the_three_descriptors),
    };

    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
