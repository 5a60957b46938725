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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    assert_string_equal(mesh_story_trace(s), "");
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
