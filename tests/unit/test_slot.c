/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/log.h"
#include "node/slot.h"

static char dir[64];
static struct slot slot;

static int set_up(void **state)
{
    struct cgroups none = { .v2 = NULL };
    char path[128];

    (void)state;
    strcpy(dir, "/tmp/mesh-slot-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/slots", dir);
    mkdir(path, 0700);
    return slot_open(&slot, 3, dir, &none, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    slot_release(&slot);
    return remove_tree(dir);
}

static void put_file(const char *folder, const char *name)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* The file's time is older than any clock step when it is noted as settled, so a later
 * file always shows. `wall` is our own: nothing waits for a clock. */
static void test_file_is_seen_in_settled_folder(void **state)
{
    const time_us much_later = UINT64_MAX / 2;

    (void)state;
    assert_true(slot_dir_is_clean(&slot.out, much_later));
    assert_true(slot.out.is_settled);
    assert_true(slot_dir_is_clean(&slot.out, much_later));
    put_file(slot.out.path, "x");
    /* The kernel stamps folders by a coarse clock: as if it had moved on. */
    slot.out.ctime.tv_sec = 1;
    assert_false(slot_dir_is_clean(&slot.out, much_later));
    assert_int_equal(slot_dir_clean(&slot.out, much_later), 0);
    assert_true(slot_dir_is_clean(&slot.out, much_later));
}

/* A folder that was emptied a moment ago may be stamped with the tick in which the next
 * task writes: it is listed until that cannot be. */
static void test_fresh_folder_is_not_trusted(void **state)
{
    (void)state;
    assert_true(slot_dir_is_clean(&slot.out, 0));
    assert_false(slot.out.is_settled);
    put_file(slot.out.path, "x");
    assert_false(slot_dir_is_clean(&slot.out, 0));
}

static void test_removes_what_the_task_made_unreadable(void **state)
{
    char path[256];

    (void)state;
    snprintf(path, sizeof(path), "%s/locked", slot.out.path);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(path, "x");
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(slot_dir_clean(&slot.out, 0), 0);
    assert_true(slot_dir_is_clean(&slot.out, 0));
}

/* The next task gets a folder with its rights, whatever the last one did to it. */
static void test_folder_is_given_back_its_rights(void **state)
{
    const time_us much_later = UINT64_MAX / 2;
    struct stat st;

    (void)state;
    assert_true(slot_dir_is_clean(&slot.tmp, much_later));
    assert_int_equal(chmod(slot.tmp.path, 0), 0);
    slot.tmp.ctime.tv_sec = 1; /* as if the kernel's clock had moved on */
    assert_false(slot_dir_is_clean(&slot.tmp, much_later));
    assert_int_equal(slot_dir_clean(&slot.tmp, much_later), 0);
    assert_int_equal(stat(slot.tmp.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_folder_that_went_or_is_another_comes_back(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rmdir(slot.out.path), 0);
    assert_false(slot_dir_is_clean(&slot.out, 0));
    assert_int_equal(slot_dir_clean(&slot.out, 0), 0);
    assert_int_equal(rmdir(slot.out.path), 0);
    assert_int_equal(symlink("/", slot.out.path), 0);
    assert_false(slot_dir_is_clean(&slot.out, 0));
    assert_int_equal(slot_dir_clean(&slot.out, 0), 0);
    assert_int_equal(lstat(slot.out.path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_true(slot_dir_is_clean(&slot.out, 0));
}

/* Deeper than we go: as good as files of another user. */
static void test_what_cannot_be_removed_is_put_aside(void **state)
{
    char path[256];
    int at = open(slot.out.path, O_RDONLY | O_DIRECTORY);

    (void)state;
    for (int i = 0; i < REMOVE_DEPTH_MAX + 10; i++) {
        int below;

        assert_int_equal(mkdirat(at, "d", 0700), 0);
        below = openat(at, "d", O_RDONLY | O_DIRECTORY);
        close(at);
        at = below;
    }
    close(at);
    assert_int_equal(slot_dir_clean(&slot.out, 0), 1);
    assert_true(slot_dir_is_clean(&slot.out, 0));
    snprintf(path, sizeof(path), "%s.unclean-0/d/d", slot.out.path);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "rm -r '%s.unclean-0'", slot.out.path);
    assert_int_equal(system(path), 0);
}

static void test_short_log_stays_in_memory(void **state)
{
    struct log_piece piece;

    (void)state;
    slot.log.bytes_max = 1 << 20;
    assert_int_equal(slot_log_add(&slot, LOG_STDERR, 5, "oh", 2), 2);
    assert_int_equal(slot.log.fd, -1);
    assert_int_not_equal(log_piece_decode((uint8_t *)slot.log.pieces.data,
                                          slot.log.pieces.len, &piece),
                         0);
    assert_int_equal(piece.stream, LOG_STDERR);
    assert_int_equal(piece.since_start, 5);
    assert_memory_equal(piece.data, "oh", 2);
}

static void test_long_log_goes_to_a_file(void **state)
{
    static char text[LOG_INLINE_MAX + 1];

    (void)state;
    slot.log.bytes_max = 1 << 20;
    memset(text, 'x', sizeof(text));
    slot_log_add(&slot, LOG_STDOUT, 0, text, sizeof(text));
    assert_true(slot.log.fd >= 0);
    assert_int_equal(slot.log.pieces.len, 0);
    slot_reset(&slot);
    assert_int_equal(slot.log.fd, -1);
    assert_int_equal(access(slot.log_path, F_OK), -1);
}

static void test_flood_is_cut_once_and_marked(void **state)
{
    const char *text;

    (void)state;
    slot.log.bytes_max = 10;
    assert_int_equal(slot_log_add(&slot, LOG_STDOUT, 0, "0123456", 7), 7);
    assert_int_equal(slot_log_add(&slot, LOG_STDOUT, 0, "789abc", 6), 3);
    assert_true(slot.log.is_truncated);
    assert_int_equal(slot_log_add(&slot, LOG_STDOUT, 0, "more", 4), 0);
    assert_int_equal(slot.log.bytes, 10);
    text = memmem(slot.log.pieces.data, slot.log.pieces.len, "the log was cut", 15);
    assert_non_null(text);
    text++;
    assert_null(memmem(text,
                       slot.log.pieces.len - (size_t)(text - slot.log.pieces.data),
                       "the log was cut", 15));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_is_seen_in_settled_folder, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fresh_folder_is_not_trusted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_removes_what_the_task_made_unreadable,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folder_is_given_back_its_rights, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_folder_that_went_or_is_another_comes_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_removed_is_put_aside,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_log_stays_in_memory, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_long_log_goes_to_a_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_flood_is_cut_once_and_marked, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
