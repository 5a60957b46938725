/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/process.h"
#include "node/running.h"
#include "node/spawn.h"

static pid_t leader;

static bool is_leader(void *arg, pid_t pid)
{
    (void)arg;
    return pid == leader;
}

/* A shell that leaves a process in a session of its own. Returns when that one runs and
 * the shell is reaped. */
static void leave_daemon(char *const *envp, int pipe_fds[2])
{
    char *const argv[] = { "/bin/sh", "-c", "setsid sh -c 'echo; sleep 1000' & wait $!",
                           NULL };
    struct spawn s = { .self = getpid(),
                       .path = argv[0],
                       .argv = argv,
                       .envp = envp,
                       .cwd = "/",
                       .cgroup_dir = -1,
                       .cgroup_procs = -1 };
    const char *failed_in;
    int pidfd;
    char c;

    assert_int_equal(pipe(pipe_fds), 0);
    s.stdio[0] = pipe_fds[0];
    s.stdio[1] = s.stdio[2] = pipe_fds[1];
    assert_int_equal(spawn_task(&s, &leader, &pidfd, &failed_in), 0);
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    kill(leader, SIGKILL);
    waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){ 0 }, WEXITED);
    close(pidfd);
}

static size_t left(int children, const char *token)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return process_kill_orphans(children, leader, token, is_leader, NULL);
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void test_daemon_is_found_by_its_token(void **state)
{
    char *const envp[] = { "PATH=/usr/bin:/bin", "MESH_TOKEN=abc", NULL };
    int children = process_open_children(), fds[2];

    (void)state;
    if (children < 0)
        skip();
    leave_daemon(envp, fds);
    assert_int_equal(left(children, "ab"), 0); /* another task's */
    assert_int_not_equal(left(children, "abc"), 0);
    while (left(children, "abc"))
        poll(NULL, 0, 1);
    close_both(fds);
    close(children);
}

static void test_leaders_are_left_alone(void **state)
{
    char *const argv[] = { "/bin/sh", "-c", "echo; read x", NULL };
    char *const envp[] = { "PATH=/usr/bin:/bin", "MESH_TOKEN=abc", NULL };
    struct spawn s = { .self = getpid(),
                       .path = argv[0],
                       .argv = argv,
                       .envp = envp,
                       .cwd = "/",
                       .cgroup_dir = -1,
                       .cgroup_procs = -1 };
    int children = process_open_children(), in[2], out[2], pidfd;
    const char *failed_in;
    siginfo_t info;
    char c;

    (void)state;
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    s.stdio[0] = in[0];
    s.stdio[1] = s.stdio[2] = out[1];
    assert_int_equal(spawn_task(&s, &leader, &pidfd, &failed_in), 0);
    assert_int_equal(read(out[0], &c, 1), 1);
    assert_int_equal(left(children, "abc"), 0);
    assert_int_equal(write(in[1], "\n", 1), 1);
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
    assert_int_equal(info.si_code, CLD_EXITED);
    close(pidfd);
    close_both(in);
    close_both(out);
    close(children);
}

static void test_restart_ends_what_the_last_node_left(void **state)
{
    char data[64], more[72]; /* of this test alone: others may run it beside us */
    char *const ours[] = { "PATH=/usr/bin:/bin", data, "MESH_TOKEN=1", NULL };
    char *const like_it[] = { "PATH=/usr/bin:/bin", more, "MESH_TOKEN=2", NULL };
    int children = process_open_children(), one[2], two[2];

    (void)state;
    if (children < 0)
        skip();
    snprintf(data, sizeof(data), "MESH_DATA=/tmp/mesh-unit-%d", getpid());
    snprintf(more, sizeof(more), "%s/x", data);
    leave_daemon(ours, one);
    leave_daemon(like_it, two);
    running_kill_orphans(data + strlen("MESH_DATA="));
    while (left(children, "1"))
        poll(NULL, 0, 1);
    assert_int_not_equal(left(children, "2"), 0);
    while (left(children, "2"))
        poll(NULL, 0, 1);
    close_both(one);
    close_both(two);
    close(children);
}

static void test_reads_itself(void **state)
{
    struct process p;

    (void)state;
    assert_int_equal(process_read(getpid(), &p), 0);
    assert_int_equal(p.parent, getppid());
    assert_int_equal(p.session, getsid(0));
    assert_int_equal(p.state, 'R');
    assert_false(p.is_exiting);
    assert_true(process_read(0, &p) < 0);
}

static void test_environment_is_compared_whole(void **state)
{
    static char bytes[] = "A=1\0XMESH_DATA=/d\0MESH_DATA=/d/e\0B=2";
    struct buffer e = { .data = bytes, .len = sizeof(bytes) - 1 };

    (void)state;
    assert_false(environment_has(&e, "MESH_DATA=/d", false));
    assert_true(environment_has(&e, "MESH_DATA=/d", true));
    assert_true(environment_has(&e, "MESH_DATA=/d/e", false));
    assert_true(environment_has(&e, "B=2", false));
    assert_false(environment_has(&e, "B=22", true));
    assert_false(environment_has(&(struct buffer){ .len = 0 }, "A", true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemon_is_found_by_its_token),
        cmocka_unit_test(test_leaders_are_left_alone),
        cmocka_unit_test(test_restart_ends_what_the_last_node_left),
        cmocka_unit_test(test_reads_itself),
        cmocka_unit_test(test_environment_is_compared_whole),
    };

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
