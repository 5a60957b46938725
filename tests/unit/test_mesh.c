/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of some nodes and their runs, when all goes well. */
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

static const char fan[] = "split foreach=6\n"
                          "fit: split\n"
                          "join: fit join=split\n";

static void a_flow_runs_over_three_nodes(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 1, 1);
    char homes[8];

    (void)state;
    mesh_story_show(s, "start told run");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', fan);
    assert_true(mesh_story_run_until(s, "start a split", 1000));
    assert_int_equal(mesh_story_homes(s, 1, homes), 3);
    assert_true(mesh_story_run(s, 20000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 2020] start a fit/5#0\n"
                                             "[ 2021] start b fit/3#0\n"
                                             "[ 2021] start c fit/4#0\n"
                                             "[ 2021] told a fit/0#0 done\n"
                                             "[ 2023] told a fit/1#0 done\n"
                                             "[ 2023] told a fit/2#0 done\n"
                                             "[ 2031] told a fit/5#0 done\n"
                                             "[ 2032] start a join/0#0\n"
                                             "[ 2033] told a fit/3#0 done\n"
                                             "[ 2033] told a fit/4#0 done\n"
                                             "[ 2043] told a join/0#0 done\n"
                                             "[ 2044] run a 1 ok\n");
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    mesh_story_free(s);
}

static void a_node_alone_has_one_home_and_no_rows(void **state)
{
    struct mesh_story *s = mesh_story_new(1, 2, 1);

    (void)state;
    mesh_story_show(s, "start told run");
    mesh_story_submit(s, 'a',
                      "a\n"
                      "b: a\n");
    assert_true(mesh_story_run_until(s, "start a b", 1000));
    assert_int_equal(mesh_story_rows(s), 0);
    assert_true(mesh_story_run(s, 1000));
    assert_string_equal(mesh_story_trace(s), "[    0] start a a/0#0\n"
                                             "[   10] start a b/0#0\n"
                                             "[   11] told a a/0#0 done\n"
                                             "[   21] told a b/0#0 done\n"
                                             "[   21] run a 1 ok\n");
    mesh_story_free(s);
}

/* What a task made has a second copy before its run ends. */
static void kept_outputs_are_on_two_nodes(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 1, 3);

    (void)state;
    mesh_story_show(s, "keep run");
    mesh_story_task(s, "fit", "30 blob 5000");
    mesh_story_meet(s);
    mesh_story_submit(s, 'b', fan);
    assert_true(mesh_story_run(s, 20000));
    assert_string_equal(mesh_story_trace(s), "[ 2040] keep c from b\n"
                                             "[ 2042] keep b from a\n"
                                             "[ 2043] keep b from c\n"
                                             "[ 2070] keep c from b\n"
                                             "[ 2072] keep b from a\n"
                                             "[ 2073] keep b from c\n"
                                             "[ 2084] run b 1 ok\n");
    mesh_story_free(s);
}

static void two_nodes_have_one_home(void **state)
{
    struct mesh_story *s = mesh_story_new(2, 1, 1);
    char homes[8];

    (void)state;
    mesh_story_meet(s);
    mesh_story_submit(s, 'b', fan);
    assert_true(mesh_story_run_until(s, "start b split", 1000));
    assert_int_equal(mesh_story_homes(s, 1, homes), 1);
    assert_true(mesh_story_run(s, 20000));
    assert_true(mesh_story_starts_of(s, 'a') > 0);
    assert_int_equal(mesh_story_starts(s), 8);
    mesh_story_free(s);
}

static void a_run_is_cancelled_everywhere(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 2, 1);

    (void)state;
    mesh_story_show(s, "start end run");
    mesh_story_task(s, "fit", "60000");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 1000);
    mesh_story_cancel(s, 'a', 1);
    assert_true(mesh_story_run(s, 5000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_CANCELLED);
    assert_int_equal(mesh_story_starts(s), 7);
    mesh_story_free(s);
}

/* All have the same to do until the end, and no task costs more than a message each
 * way. */
static void a_burst_is_shared(void **state)
{
    struct mesh_story *s = mesh_story_new(4, 2, 1);

    (void)state;
    mesh_story_show(s, "run");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a',
                      "split foreach=2000\n"
                      "fit: split\n"
                      "join: fit join=split\n");
    assert_true(mesh_story_run(s, 60000));
    assert_true(mesh_story_messages(s, MESSAGE_GRANT) < 2000);
    assert_true(mesh_story_messages(s, MESSAGE_COMMIT) < 2000);
    for (char c = 'a'; c <= 'd'; c++)
        assert_in_range(mesh_story_starts_of(s, c), 490, 510);
    /* 2,500 ms are needed; what follows the end is not counted */
    assert_string_equal(mesh_story_trace(s), "[ 4527] run a 1 ok\n");
    mesh_story_free(s);
}

/* What failed is tried again, also where it failed: that attempt is not offered once
 * more in the place of the next one. */
static void each_retry_is_a_process(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 2, 1);

    (void)state;
    mesh_story_task(s, "fit", "exit 1");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a',
                      "split foreach=9\n"
                      "fit: split retry=3\n"
                      "join: fit join=split\n");
    assert_true(mesh_story_run_until(s, "start b fit/1#1", 1000));
    assert_true(mesh_story_run_until(s, "start c fit/5#1", 1000));
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_FAILED);
    mesh_story_free(s);
}

static void a_run_is_led_where_it_was_submitted(void **state)
{
    struct mesh_story *s = mesh_story_new(5, 1, 9);
    char homes[8];

    (void)state;
    mesh_story_meet(s);
    for (char c = 'a'; c <= 'e'; c++) {
        unsigned run = mesh_story_submit(s, c, fan);

        mesh_story_run_for(s, 5);
        assert_int_equal(mesh_story_leader(s, run), c);
        assert_int_equal(mesh_story_homes(s, run, homes), 3);
        assert_int_equal(homes[0], c);
    }
    assert_true(mesh_story_run(s, 20000));
    mesh_story_free(s);
}

static void the_same_seed_is_the_same_story(void **state)
{
    uint64_t hashes[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct mesh_story *s = mesh_story_new(4, 2, 77);

        mesh_story_network(s, 20, 20, 20);
        mesh_story_meet(s);
        mesh_story_submit(s, 'c', fan);
        mesh_story_run_for(s, 30);
        mesh_story_kill(s, 'c');
        mesh_story_run_for(s, 3000);
        hashes[i] = mesh_story_hash(s);
        mesh_story_free(s);
    }
    assert_int_equal(hashes[0], hashes[1]);
}

/* No node has what `odd` and `rare` ask for: both end when it is known, the first
 * caught, so that `next` starts, which the end of the other kills in the same moment.
 */
static void what_starts_and_is_killed_at_once_does_not_run(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 2, 5);

    (void)state;
    mesh_story_show(s, "start end told run");
    mesh_story_task(s, "next", "60000");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a',
                      "flow on_failure=kill\n"
                      "odd licence=1000 catch\n"
                      "next: odd\n"
                      "rare licence=1000\n");
    assert_true(mesh_story_run_until(s, "run a 1", 400000));
    assert_string_equal(mesh_story_trace(s), "[302000] start a next/0#0\n"
                                             "[302001] end a next/0\n"
                                             "[302001] told a odd/0#0 failed\n"
                                             "[302001] told a rare/0#0 failed\n"
                                             "[302002] told a next/0#0 failed\n"
                                             "[302003] run a 1 failed\n");
    mesh_story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_runs_over_three_nodes),
        cmocka_unit_test(a_node_alone_has_one_home_and_no_rows),
        cmocka_unit_test(kept_outputs_are_on_two_nodes),
        cmocka_unit_test(two_nodes_have_one_home),
        cmocka_unit_test(a_run_is_cancelled_everywhere),
        cmocka_unit_test(a_burst_is_shared),
        cmocka_unit_test(each_retry_is_a_process),
        cmocka_unit_test(a_run_is_led_where_it_was_submitted),
        cmocka_unit_test(the_same_seed_is_the_same_story),
        cmocka_unit_test(what_starts_and_is_killed_at_once_does_not_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
