/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/remove.h"
#include "node/running.h"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/mesh-unit-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return remove_tree(dir);
}

static void test_restart_finds_what_ran(void **state)
{
    struct running running;
    struct running_entry *before;
    uint32_t n;

    (void)state;
    assert_int_equal(running_open(dir, 4, &running, &before, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(before);
    running.entries[2] = (struct running_entry){ .is_used = 1,
                                                 .run = { { 7 } },
                                                 .task = { .step = 3, .depth = 1 },
                                                 .attempt = 2,
                                                 .pid = 99 };
    running_close(&running); /* as a crash would leave it */
    assert_int_equal(running_open(dir, 2, &running, &before, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_false(before[0].is_used);
    assert_true(before[2].is_used);
    assert_int_equal(before[2].run.bytes[0], 7);
    assert_int_equal(before[2].task.step, 3);
    assert_int_equal(before[2].attempt, 2);
    assert_int_equal(before[2].pid, 99);
    free(before);
    assert_false(running.entries[0].is_used);
    running_close(&running);
    assert_int_equal(running_open(dir, 4, &running, &before, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_false(before[1].is_used);
    free(before);
    running_close(&running);
}

/* A store into a hole of a file on a full disk is a SIGBUS. */
static void test_file_has_its_blocks(void **state)
{
    struct running running;
    struct running_entry *before;
    char path[128];
    struct stat st;
    uint32_t n;

    (void)state;
    assert_int_equal(running_open(dir, 1000, &running, &before, &n, NULL), 0);
    snprintf(path, sizeof(path), "%s/running", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1000 * sizeof(struct running_entry));
    assert_true(st.st_blocks * 512 >= st.st_size);
    free(before);
    running_close(&running);
}

static void test_cut_file_is_read_as_far_as_it_goes(void **state)
{
    struct running running;
    struct running_entry *before;
    char path[128];
    uint32_t n;

    (void)state;
    assert_int_equal(running_open(dir, 2, &running, &before, &n, NULL), 0);
    free(before);
    running.entries[0].is_used = 1;
    running_close(&running);
    snprintf(path, sizeof(path), "%s/running", dir);
    assert_int_equal(truncate(path, sizeof(struct running_entry) + 5), 0);
    assert_int_equal(running_open(dir, 2, &running, &before, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_true(before[0].is_used);
    free(before);
    running_close(&running);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_restart_finds_what_ran),
        TEST(test_file_has_its_blocks),
        TEST(test_cut_file_is_read_as_far_as_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
