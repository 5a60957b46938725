/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/use.h"

#define MIB ((uint64_t)1 << 20)

static void processor_time_is_read_behind_any_name(void **state)
{
    uint64_t cpu_us = 0;

    (void)state;
    assert_int_equal(use_parse_stat("7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 10 20 30 "
                                    "40 20 0 1 0 100",
                                    100, &cpu_us),
                     0);
    assert_int_equal(cpu_us, 1000000);
    assert_int_equal(use_parse_stat("7 (sh) S 1 7 7 0 -1 4194304 1 2 3 4 10 20", 100,
                                    &cpu_us),
                     -EBADMSG);
    assert_int_equal(use_parse_stat("7 sh S", 100, &cpu_us), -EBADMSG);
}

static void proportional_sets_are_read(void **state)
{
    (void)state;
    assert_int_equal(use_parse_pss("00400000-7fff [rollup]\nRss:     20 kB\n"
                                   "Pss:     12 kB\nPss_Dirty: 5 kB\n"),
                     12 << 10);
    assert_int_equal(use_parse_pss("SwapPss: 5 kB\n"), 0);
    assert_int_equal(use_parse_pss(""), 0);
}

static void no_process_uses_nothing(void **state)
{
    struct use use;

    (void)state;
    assert_int_equal(use_read(1 << 22, NULL, &use), -ESRCH);
    assert_int_equal(use_read(1, "/nowhere", &use), -ESRCH);
}

enum { CHILDREN = 2 };

/* A child of the leader's: 64 MiB are shared with it and its sibling, 16 are its own.
 * It tells its id and waits for the end of a pipe. */
static void be_child(int gate, int ready)
{
    char *own = malloc(16 * MIB), c;
    pid_t pid = getpid();

    memset(own, 1, 16 * MIB);
    if (write(ready, &pid, sizeof(pid)) != sizeof(pid) || read(gate, &c, 1) != 0)
        _exit(1);
    _exit(own[1] - 1);
}

static pid_t start_tree(const int gate[2], int ready)
{
    pid_t leader = fork();
    char *shared;

    if (leader)
        return leader;
    close(gate[1]);
    shared = malloc(64 * MIB);
    memset(shared, 1, 64 * MIB);
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0)
            be_child(gate[0], ready);
    while (wait(NULL) > 0)
        ;
    _exit(shared[1] - 1);
}

static void a_tree_is_counted_with_shared_pages_once(void **state)
{
    struct use tree = { .n_processes = 0 }, child;
    uint64_t children = 0;
    int gate[2], ready[2];
    pid_t leader, pid;

    (void)state;
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(ready), 0);
    leader = start_tree(gate, ready[1]);
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(read(ready[0], &pid, sizeof(pid)), sizeof(pid));
        assert_int_equal(use_read(pid, NULL, &child), 0);
        assert_int_equal(child.n_processes, 1);
        children += child.memory_bytes;
    }
    assert_int_equal(use_read(leader, NULL, &tree), 0);
    assert_int_equal(tree.n_processes, 1 + CHILDREN);
    assert_true(children > 2 * 80 * MIB);
    assert_true(tree.memory_bytes > 96 * MIB);
    assert_true(tree.memory_bytes < children);
    close(gate[1]);
    waitpid(leader, NULL, 0);
    close(gate[0]);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processor_time_is_read_behind_any_name),
        cmocka_unit_test(proportional_sets_are_read),
        cmocka_unit_test(no_process_uses_nothing),
        cmocka_unit_test(a_tree_is_counted_with_shared_pages_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
