/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of runs that go on without a majority of their homes. */
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

static const char fan[] = "split foreach=4\n"
                          "fit: split\n"
                          "join: fit join=split\n";

static struct mesh_story *begin(const char *fit)
{
    struct mesh_story *s = mesh_story_new(3, 2, 5);

    mesh_story_show(s, "start told run crash");
    mesh_story_task(s, "fit", fit);
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 500);
    return s;
}

/* It goes on, says so, and what it did is sealed when the others are back: not done
 * again. */
static void all_but_one_die(void **state)
{
    struct mesh_story *s = begin("3000");

    (void)state;
    mesh_story_kill(s, 'a');
    mesh_story_kill(s, 'b');
    assert_true(mesh_story_run_until(s, "run c 1 ok, tentative", 60000));
    assert_int_equal(mesh_story_outcome(s, 1), 0);
    mesh_story_start(s, 'a');
    mesh_story_start(s, 'b');
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 2500] crash a\n"
                                             "[ 2500] crash b\n"
                                             "[17500] start c fit/0#0\n"
                                             "[17500] start c fit/1#0\n"
                                             "[20500] start c fit/2#0\n"
                                             "[20500] start c fit/3#0\n"
                                             "[20501] told c fit/0#0 done, tentative\n"
                                             "[20501] told c fit/1#0 done, tentative\n"
                                             "[23500] start c join/0#0\n"
                                             "[23501] told c fit/2#0 done, tentative\n"
                                             "[23501] told c fit/3#0 done, tentative\n"
                                             "[23511] told c join/0#0 done, tentative\n"
                                             "[23511] run c 1 ok, tentative\n"
                                             "[23628] start c join/0#0\n"
                                             "[23630] told c fit/2#0 done\n"
                                             "[23630] told c fit/0#0 done\n"
                                             "[23630] told c fit/1#0 done\n"
                                             "[23630] told c fit/3#0 done\n"
                                             "[23640] told c join/0#0 done\n"
                                             "[23641] run c 1 ok\n");
    assert_int_equal(mesh_story_same(s, 1, "abc"), 6);
    mesh_story_free(s);
}

/* Both sides go on; the side with the majority decides. */
static void a_home_is_cut_off(void **state)
{
    struct mesh_story *s = begin("9000");

    (void)state;
    mesh_story_cut(s, "a");
    mesh_story_run_for(s, 40000);
    mesh_story_cut(s, NULL);
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 6000] start c fit/3#0\n"
                                             "[ 7423] start b fit/0#0\n"
                                             "[11013] told c fit/2#0 done\n"
                                             "[11014] told c fit/1#0 done\n"
                                             "[15001] told c fit/3#0 done\n"
                                             "[16424] start c join/0#0\n"
                                             "[16425] told c fit/0#0 done\n"
                                             "[16435] told c join/0#0 done\n"
                                             "[16436] run c 1 ok\n"
                                             "[17500] start a fit/1#0\n"
                                             "[17500] start a fit/2#0\n"
                                             "[17501] told a fit/0#0 done, tentative\n"
                                             "[17501] told a fit/3#0 done, tentative\n"
                                             "[26500] start a join/0#0\n"
                                             "[26501] told a fit/1#0 done, tentative\n"
                                             "[26501] told a fit/2#0 done, tentative\n"
                                             "[26511] told a join/0#0 done, tentative\n"
                                             "[26511] run a 1 ok, tentative\n");
    mesh_story_free(s);
}

/* What was written beside the records goes also when the node died meanwhile. */
static void the_tentative_leader_dies(void **state)
{
    struct mesh_story *s = begin("3000");

    (void)state;
    mesh_story_kill(s, 'a');
    mesh_story_kill(s, 'b');
    assert_true(mesh_story_run_until(s, ", tentative", 60000));
    mesh_story_run_for(s, 100);
    mesh_story_kill(s, 'c');
    for (char c = 'a'; c <= 'c'; c++)
        mesh_story_start(s, c);
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 2500] crash a\n"
                                             "[ 2500] crash b\n"
                                             "[17500] start c fit/0#0\n"
                                             "[17500] start c fit/1#0\n"
                                             "[20500] start c fit/2#0\n"
                                             "[20500] start c fit/3#0\n"
                                             "[20501] told c fit/0#0 done, tentative\n"
                                             "[20501] told c fit/1#0 done, tentative\n"
                                             "[20601] crash c\n"
                                             "[24601] start c fit/0#0\n"
                                             "[24601] start c fit/3#1\n"
                                             "[24601] start a fit/1#0\n"
                                             "[24601] start b fit/2#1\n"
                                             "[24602] told c fit/2#0 lost\n"
                                             "[24602] told c fit/3#0 lost\n"
                                             "[24603] told c fit/0#0 done\n"
                                             "[24603] told c fit/1#0 done\n"
                                             "[24603] told c fit/2#1 done\n"
                                             "[27601] start c join/0#0\n"
                                             "[27602] told c fit/3#1 done\n"
                                             "[27612] told c join/0#0 done\n"
                                             "[27613] run c 1 ok\n");
    assert_int_equal(mesh_story_same(s, 1, "abc"), 8);
    mesh_story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_but_one_die),
        cmocka_unit_test(a_home_is_cut_off),
        cmocka_unit_test(the_tentative_leader_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
