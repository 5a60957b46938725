/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of nodes that die, pause, are cut off and come back. */
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

static const char fan[] = "split foreach=6\n"
                          "fit: split\n"
                          "join: fit join=split\n";

static struct mesh_story *begin(unsigned nodes, uint32_t slots, const char *fit)
{
    struct mesh_story *s = mesh_story_new(nodes, slots, 5);

    mesh_story_show(s, "start told run crash");
    mesh_story_task(s, "fit", fit);
    mesh_story_meet(s);
    return s;
}

/* What others run goes on, and what they did counts. */
static void the_leader_dies(void **state)
{
    struct mesh_story *s = begin(3, 2, "8000");

    (void)state;
    mesh_story_submit(s, 'a', fan);
    assert_true(mesh_story_run_until(s, "start b", 2000));
    mesh_story_run_for(s, 500);
    mesh_story_kill(s, 'a');
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start b fit/4#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2011] start c fit/5#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 2511] crash a\n"
                                             "[10011] start b fit/0#0\n"
                                             "[10011] start b fit/3#0\n"
                                             "[10013] told c fit/2#0 done\n"
                                             "[10013] told c fit/5#0 done\n"
                                             "[10014] told c fit/1#0 done\n"
                                             "[10014] told c fit/4#0 done\n"
                                             "[18012] start c join/0#0\n"
                                             "[18013] told c fit/0#0 done\n"
                                             "[18013] told c fit/3#0 done\n"
                                             "[18023] told c join/0#0 done\n"
                                             "[18024] run c 1 ok\n");
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    mesh_story_free(s);
}

static void the_leader_dies_and_comes_back(void **state)
{
    struct mesh_story *s = begin(3, 2, "4000");

    (void)state;
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 1000);
    mesh_story_kill(s, 'a');
    mesh_story_run_for(s, 300);
    mesh_story_start(s, 'a');
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start b fit/4#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2011] start c fit/5#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 3000] crash a\n"
                                             "[ 4113] start a fit/0#0\n"
                                             "[ 4113] start a fit/3#0\n"
                                             "[ 6013] told c fit/2#0 done\n"
                                             "[ 6013] told c fit/5#0 done\n"
                                             "[ 6014] told c fit/1#0 done\n"
                                             "[ 6014] told c fit/4#0 done\n"
                                             "[ 8114] start c join/0#0\n"
                                             "[ 8116] told c fit/0#0 done\n"
                                             "[ 8116] told c fit/3#0 done\n"
                                             "[ 8126] told c join/0#0 done\n"
                                             "[ 8127] run c 1 ok\n");
    mesh_story_free(s);
}

static void a_worker_dies(void **state)
{
    struct mesh_story *s = begin(3, 2, "1000");

    (void)state;
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 500);
    mesh_story_kill(s, 'b');
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start b fit/4#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2011] start c fit/5#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 2500] crash b\n"
                                             "[ 3011] told a fit/0#0 done\n"
                                             "[ 3011] told a fit/3#0 done\n"
                                             "[ 3013] told a fit/2#0 done\n"
                                             "[ 3013] told a fit/5#0 done\n"
                                             "[ 6122] start a fit/1#1\n"
                                             "[ 6123] start c fit/4#1\n"
                                             "[ 6124] told a fit/1#0 lost\n"
                                             "[ 6124] told a fit/4#0 lost\n"
                                             "[ 7124] told a fit/1#1 done\n"
                                             "[ 7124] start a join/0#0\n"
                                             "[ 7125] told a fit/4#1 done\n"
                                             "[ 7135] told a join/0#0 done\n"
                                             "[ 7136] run a 1 ok\n");
    mesh_story_free(s);
}

/* Its tasks are done by others meanwhile; what it kept loses. */
static void a_worker_pauses(void **state)
{
    struct mesh_story *s = begin(3, 2, "1000");

    (void)state;
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 500);
    mesh_story_pause(s, 'c');
    mesh_story_run_for(s, 20000);
    mesh_story_resume(s, 'c');
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2010] start a fit/3#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start b fit/4#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2011] start c fit/5#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 3011] told a fit/0#0 done\n"
                                             "[ 3011] told a fit/3#0 done\n"
                                             "[ 3013] told a fit/1#0 done\n"
                                             "[ 3013] told a fit/4#0 done\n"
                                             "[ 7474] start a fit/2#1\n"
                                             "[ 7475] start b fit/5#1\n"
                                             "[ 7475] told a fit/2#0 lost\n"
                                             "[ 7475] told a fit/5#0 lost\n"
                                             "[ 8475] told a fit/2#1 done\n"
                                             "[ 8476] start a join/0#0\n"
                                             "[ 8477] told a fit/5#1 done\n"
                                             "[ 8487] told a join/0#0 done\n"
                                             "[ 8488] run a 1 ok\n");
    mesh_story_free(s);
}

/* The majority goes on; what the other side did meanwhile is offered when it is back,
 * and not done again. */
static void a_partition_heals(void **state)
{
    struct mesh_story *s = begin(5, 1, "9000");

    (void)state;
    mesh_story_submit(s, 'a', "split foreach=9\nfit: split\njoin: fit join=split\n");
    mesh_story_run_for(s, 500);
    mesh_story_cut(s, "a");
    mesh_story_run_for(s, 12000);
    mesh_story_cut(s, NULL);
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 2111] start b fit/1#0\n"
                                             "[ 2111] start c fit/2#0\n"
                                             "[ 2111] start d fit/3#0\n"
                                             "[ 2111] start e fit/4#0\n"
                                             "[11111] start b fit/5#0\n"
                                             "[11111] start c fit/6#0\n"
                                             "[11111] start d fit/7#0\n"
                                             "[11111] start e fit/8#0\n"
                                             "[11114] told d fit/3#0 done\n"
                                             "[11115] told d fit/1#0 done\n"
                                             "[11115] told d fit/2#0 done\n"
                                             "[11115] told d fit/4#0 done\n"
                                             "[15001] told d fit/0#0 done\n"
                                             "[20114] start d join/0#0\n"
                                             "[20114] told d fit/7#0 done\n"
                                             "[20115] told d fit/5#0 done\n"
                                             "[20115] told d fit/6#0 done\n"
                                             "[20115] told d fit/8#0 done\n"
                                             "[20125] told d join/0#0 done\n"
                                             "[20126] run d 1 ok\n");
    mesh_story_free(s);
}

static void a_home_is_replaced(void **state)
{
    struct mesh_story *s = begin(5, 1, "20000");
    char homes[8], after[8];

    (void)state;
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 500);
    assert_int_equal(mesh_story_homes(s, 1, homes), 3);
    mesh_story_kill(s, homes[1]);
    mesh_story_run_for(s, 18000);
    assert_int_equal(mesh_story_homes(s, 1, after), 3);
    assert_null(strchr(after, homes[1]));
    mesh_story_kill(s, homes[2]); /* two of the first three are gone */
    assert_true(mesh_story_run(s, 90000));
    mesh_story_free(s);
}

/* Two nodes are too few for three homes; the third makes them. */
static void a_run_grows_to_three_homes(void **state)
{
    struct mesh_story *s = begin(3, 1, "5000");
    char homes[8];

    (void)state;
    mesh_story_kill(s, 'c');
    mesh_story_run_for(s, 8000);
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 2000);
    assert_int_equal(mesh_story_homes(s, 1, homes), 1);
    mesh_story_start(s, 'c');
    mesh_story_run_for(s, 3000);
    assert_int_equal(mesh_story_homes(s, 1, homes), 3);
    mesh_story_kill(s, 'a');
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] crash c\n"
                                             "[10000] start a split/0#0\n"
                                             "[10010] start a fit/0#0\n"
                                             "[10010] start b fit/1#0\n"
                                             "[10011] told a split/0#0 done\n"
                                             "[12001] start c fit/3#0\n"
                                             "[15000] crash a\n"
                                             "[15010] start b fit/2#0\n"
                                             "[17001] start c fit/4#0\n"
                                             "[17204] told c fit/1#0 done\n"
                                             "[20012] start b fit/0#0\n"
                                             "[20013] told c fit/2#0 done\n"
                                             "[22001] start c fit/5#0\n"
                                             "[22004] told c fit/4#0 done\n"
                                             "[22501] told c fit/3#0 done\n"
                                             "[25014] told c fit/0#0 done\n"
                                             "[27001] start c join/0#0\n"
                                             "[27003] told c fit/5#0 done\n"
                                             "[27013] told c join/0#0 done\n"
                                             "[27014] run c 1 ok\n");
    mesh_story_free(s);
}

static void every_node_restarts(void **state)
{
    struct mesh_story *s = begin(3, 2, "1000");

    (void)state;
    mesh_story_submit(s, 'b', fan);
    mesh_story_run_for(s, 1200);
    for (char c = 'a'; c <= 'c'; c++)
        mesh_story_kill(s, c);
    for (char c = 'a'; c <= 'c'; c++)
        mesh_story_start(s, c);
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start b split/0#0\n"
                                             "[ 2010] start b fit/0#0\n"
                                             "[ 2010] start b fit/3#0\n"
                                             "[ 2011] start a fit/1#0\n"
                                             "[ 2011] start a fit/4#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2011] start c fit/5#0\n"
                                             "[ 2012] told b split/0#0 done\n"
                                             "[ 3011] told b fit/0#0 done\n"
                                             "[ 3011] told b fit/3#0 done\n"
                                             "[ 3012] start b join/0#0\n"
                                             "[ 3013] told b fit/1#0 done\n"
                                             "[ 3013] told b fit/4#0 done\n"
                                             "[ 3013] told b fit/2#0 done\n"
                                             "[ 3013] told b fit/5#0 done\n"
                                             "[ 3023] told b join/0#0 done\n"
                                             "[ 3024] run b 1 ok\n"
                                             "[ 3200] crash a\n"
                                             "[ 3200] crash b\n"
                                             "[ 3200] crash c\n"
                                             "[ 4513] run b 1 ok\n");
    mesh_story_free(s);
}

static void a_bad_network_loses_nothing(void **state)
{
    struct mesh_story *s = begin(4, 2, "50");

    (void)state;
    mesh_story_network(s, 50, 50, 50);
    for (char c = 'a'; c <= 'd'; c++)
        mesh_story_submit(s, c, fan);
    mesh_story_run_for(s, 20000);
    mesh_story_network(s, 0, 0, 0);
    assert_true(mesh_story_run(s, 60000));
    mesh_story_free(s);
}

static void a_node_drains_and_leaves(void **state)
{
    struct mesh_story *s = begin(4, 1, "2000");
    char homes[8];

    (void)state;
    mesh_story_submit(s, 'a', fan);
    mesh_story_run_for(s, 500);
    mesh_story_drain(s, 'a');
    assert_false(mesh_story_may_leave(s, 'a'));
    for (unsigned i = 0; i < 100 && !mesh_story_may_leave(s, 'a'); i++)
        mesh_story_run_for(s, 200);
    assert_true(mesh_story_may_leave(s, 'a'));
    mesh_story_leave(s, 'a');
    mesh_story_run_for(s, 300);
    mesh_story_kill(s, 'a');
    if (mesh_story_homes(s, 1, homes))
        assert_null(strchr(homes, 'a'));
    assert_true(mesh_story_run(s, 60000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a split/0#0\n"
                                             "[ 2010] start a fit/0#0\n"
                                             "[ 2011] start b fit/1#0\n"
                                             "[ 2011] start c fit/2#0\n"
                                             "[ 2011] start d fit/3#0\n"
                                             "[ 2012] told a split/0#0 done\n"
                                             "[ 4011] start b fit/4#0\n"
                                             "[ 4011] start c fit/5#0\n"
                                             "[ 4012] told d fit/0#0 done\n"
                                             "[ 4013] told d fit/3#0 done\n"
                                             "[ 4014] told d fit/1#0 done\n"
                                             "[ 4014] told d fit/2#0 done\n"
                                             "[ 4400] crash a\n"
                                             "[ 6012] start d join/0#0\n"
                                             "[ 6013] told d fit/4#0 done\n"
                                             "[ 6013] told d fit/5#0 done\n"
                                             "[ 6023] told d join/0#0 done\n"
                                             "[ 6024] run d 1 ok\n");
    mesh_story_free(s);
}

/* ---- copies of what is kept ---- */

static const unsigned REPAIR_MS =
    20000; /* to be taken for dead, to be given up, to copy */

static struct mesh_story *begin_long(const char *join)
{
    struct mesh_story *s = mesh_story_new(5, 2, 11);

    mesh_story_show(s, "keep run crash");
    mesh_story_task(s, "fit", "30 blob 5000");
    mesh_story_task(s, "join", join);
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', fan);
    assert_true(mesh_story_run_until(s, "keep", 2000));
    mesh_story_run_for(s, 1000);
    assert_int_equal(mesh_story_copies(s), 2);
    (void)mesh_story_trace(s);
    return s;
}

/* Whoever goes, leader or not, what one of two had is on two again. */
static void a_copy_is_made_again_when_its_holder_dies(void **state)
{
    static const char gone[] = "bdc"; /* two of the homes among them */
    struct mesh_story *s = begin_long("120000");

    (void)state;
    for (const char *c = gone; *c; c++) {
        mesh_story_kill(s, *c);
        mesh_story_run_for(s, REPAIR_MS);
        assert_int_equal(mesh_story_copies(s), 2);
    }
    assert_true(mesh_story_run(s, 300000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    mesh_story_free(s);
}

static void a_new_leader_makes_the_copies_that_the_old_one_had(void **state)
{
    struct mesh_story *s = begin_long("60000");

    (void)state;
    mesh_story_kill(s, 'a');
    mesh_story_run_for(s, REPAIR_MS);
    assert_int_equal(mesh_story_copies(s), 2);
    assert_true(mesh_story_run(s, 300000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    mesh_story_free(s);
}

/* It is back in time with all that it had: nothing is copied. */
static void who_comes_back_has_its_copies(void **state)
{
    struct mesh_story *s = begin_long("40000");

    (void)state;
    mesh_story_kill(s, 'd');
    mesh_story_run_for(s, 6000);
    mesh_story_start(s, 'd');
    mesh_story_run_for(s, REPAIR_MS);
    assert_string_equal(mesh_story_trace(s), "[ 3040] crash d\n");
    assert_true(mesh_story_run(s, 300000));
    mesh_story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leader_dies),
        cmocka_unit_test(the_leader_dies_and_comes_back),
        cmocka_unit_test(a_worker_dies),
        cmocka_unit_test(a_worker_pauses),
        cmocka_unit_test(a_partition_heals),
        cmocka_unit_test(a_home_is_replaced),
        cmocka_unit_test(a_run_grows_to_three_homes),
        cmocka_unit_test(every_node_restarts),
        cmocka_unit_test(a_bad_network_loses_nothing),
        cmocka_unit_test(a_node_drains_and_leaves),
        cmocka_unit_test(a_copy_is_made_again_when_its_holder_dies),
        cmocka_unit_test(a_new_leader_makes_the_copies_that_the_old_one_had),
        cmocka_unit_test(who_comes_back_has_its_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
