/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/remove.h"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/mesh-unit-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static void test_missing_and_plain(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/x", dir);
    assert_int_equal(remove_tree(path), 0);
    touch(path);
    assert_int_equal(remove_tree(path), 0);
    assert_false(is_there(path));
    assert_int_equal(remove_tree(dir), 0);
    assert_false(is_there(dir));
}

static void test_links_are_not_followed(void **state)
{
    char inside[128], outside[80];

    (void)state;
    snprintf(outside, sizeof(outside), "%s.precious", dir);
    assert_int_equal(mkdir(outside, 0700), 0);
    snprintf(inside, sizeof(inside), "%s/file", outside);
    touch(inside);
    snprintf(inside, sizeof(inside), "%s/link", dir);
    assert_int_equal(symlink(outside, inside), 0);
    assert_int_equal(remove_tree(dir), 0);
    snprintf(inside, sizeof(inside), "%s/file", outside);
    assert_true(is_there(inside));
    /* Nor when the path itself is one. */
    assert_int_equal(symlink(outside, dir), 0);
    assert_int_equal(remove_tree(dir), 0);
    assert_false(is_there(dir));
    assert_true(is_there(inside));
    assert_int_equal(remove_tree(outside), 0);
}

static void test_folders_without_rights(void **state)
{
    char path[256];

    (void)state;
    snprintf(path, sizeof(path), "%s/a", dir);
    mkdir(path, 0700);
    strcat(path, "/b");
    mkdir(path, 0700);
    strcat(path, "/c");
    touch(path);
    for (int i = 0; i < 2; i++) {
        *strrchr(path, '/') = '\0';
        assert_int_equal(chmod(path, 0), 0);
    }
    assert_int_equal(remove_tree(dir), 0);
    assert_false(is_there(dir));
}

/* Paths that no call takes as a whole. */
static void test_deep_and_long(void **state)
{
    char name[256];
    int at = open(dir, O_RDONLY | O_DIRECTORY);

    (void)state;
    memset(name, 'n', 255);
    name[255] = '\0';
    for (int i = 0; i < 100; i++) {
        int below;

        assert_int_equal(mkdirat(at, name, 0700), 0);
        below = openat(at, name, O_RDONLY | O_DIRECTORY);
        close(at);
        at = below;
    }
    close(at);
    assert_int_equal(remove_tree(dir), 0);
    assert_false(is_there(dir));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_missing_and_plain, set_up),
        cmocka_unit_test_setup(test_links_are_not_followed, set_up),
        cmocka_unit_test_setup(test_folders_without_rights, set_up),
        cmocka_unit_test_setup(test_deep_and_long, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
