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

/* A leader and its two children, which share the leader's 64 MiB and touch 16 of their
 * own; they wait for the end of a pipe. */
static pid_t start_tree(int gate, int ready)
{
    pid_t leader = fork();
    char *shared, c = 'r';

    if (leader)
        return leader;
    shared = malloc(64 * MIB);
    memset(shared, 1, 64 * MIB);
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            char *own = malloc(16 * MIB);

            memset(own, 1, 16 * MIB);
            if (write(ready, &c, 1) != 1 || read(gate, &c, 1) != 0)
                _exit(1);
            _exit(own[1] - 1);
        }
    }
    while (wait(NULL) > 0)
        ;
    _exit(0);
}

static void a_tree_is_counted_with_shared_pages_once(void **state)
{
    int gate[2], ready[2];
    struct use use = { .n_processes = 0 }, alone;
    pid_t leader;
    char c;

    (void)state;
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(ready), 0);
    leader = fork(); /* so that only the tree holds the gate's reading end open */
    if (leader == 0) {
        close(gate[1]);
        _exit(waitpid(start_tree(gate[0], ready[1]), NULL, 0) < 0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(use_read(leader, NULL, &use), 0);
    assert_int_equal(use.n_processes, 4);
    assert_true(use.memory_bytes > 96 * MIB);
    assert_true(use.memory_bytes < 140 * MIB); /* a sum is 220 and more */
    close(gate[1]);
    waitpid(leader, NULL, 0);
    assert_int_equal(use_read(getpid(), NULL, &alone), 0);
    assert_int_equal(alone.n_processes, 1);
    assert_true(alone.cpu_us < 60000000);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
    }
    close(gate[0]);
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
