/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of runs, from the register that all nodes share. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

static const char one[] = "a\n";

static bool run_until_homes(struct mesh_story *s, unsigned n, unsigned ms_max)
{
    for (unsigned ms = 0; ms < ms_max; ms += 100) {
        if (mesh_story_mesh_homes(s) == n)
            return true;
        mesh_story_run_for(s, 100);
    }
    return false;
}

static void numbers_count_up_over_all_nodes(void **state)
{
    struct mesh_story *s = mesh_story_numbered(3, NULL, 1);

    (void)state;
    mesh_story_meet(s);
    assert_true(run_until_homes(s, 3, 5000));
    mesh_story_show(s, "number");
    mesh_story_submit(s, 'a', one);
    mesh_story_submit(s, 'b', one);
    mesh_story_run_for(s, 1000);
    mesh_story_submit(s, 'c', one);
    mesh_story_run_for(s, 1000);
    assert_string_equal(mesh_story_trace(s), "[ 2005] number a 1 is 1\n"
                                             "[ 2005] number b 2 is 2\n"
                                             "[ 3005] number c 3 is 3\n");
    mesh_story_free(s);
}

static void many_at_once_have_one_each(void **state)
{
    struct mesh_story *s = mesh_story_numbered(3, NULL, 2);
    uint64_t most = 0;

    (void)state;
    mesh_story_meet(s);
    for (unsigned i = 0; i < 30; i++)
        mesh_story_submit(s, (char)('a' + i % 3), one);
    assert_true(mesh_story_run(s, 60000));
    for (unsigned i = 1; i <= 30; i++) {
        uint64_t number = mesh_story_number(s, i);

        assert_true(number > 0);
        most = number > most ? number : most;
    }
    assert_int_equal(most, 30); /* nothing was lost: so there is no gap */
    mesh_story_free(s);
}

static void a_request_that_comes_twice_is_answered_once(void **state)
{
    struct mesh_story *s = mesh_story_numbered(3, NULL, 7);

    (void)state;
    mesh_story_meet(s);
    mesh_story_network(s, 0, 1000, 0); /* each message */
    for (unsigned i = 1; i <= 10; i++) {
        mesh_story_submit(s, (char)('a' + i % 3), one);
        mesh_story_run_for(s, 500);
        assert_int_equal(mesh_story_number(s, i), i);
    }
    mesh_story_free(s);
}

static void another_leader_goes_on_counting(void **state)
{
    struct mesh_story *s = mesh_story_numbered(3, NULL, 3);

    (void)state;
    mesh_story_meet(s);
    assert_true(run_until_homes(s, 3, 5000));
    mesh_story_submit(s, 'b', one);
    mesh_story_run_for(s, 1000);
    assert_int_equal(mesh_story_number(s, 1), 1);
    assert_int_equal(mesh_story_mesh_leader(s), 'a');
    mesh_story_kill(s, 'a');
    mesh_story_submit(s, 'b', one);
    mesh_story_submit(s, 'c', one);
    assert_true(mesh_story_run(s, 60000));
    assert_true(mesh_story_number(s, 2) > 1 && mesh_story_number(s, 3) > 1);
    mesh_story_free(s);
}

static void without_a_majority_the_number_comes_later(void **state)
{
    struct mesh_story *s = mesh_story_numbered(2, NULL, 4);

    (void)state;
    mesh_story_meet(s);
    assert_int_equal(mesh_story_mesh_homes(s), 1);
    mesh_story_kill(s, 'a');
    mesh_story_submit(s, 'b', one);
    assert_true(mesh_story_run_until(s, "run b 1 ok", 20000));
    mesh_story_run_for(s, 5000);
    assert_int_equal(mesh_story_number(s, 1), 0);
    mesh_story_start(s, 'a');
    mesh_story_run_for(s, 20000);
    assert_int_equal(mesh_story_number(s, 1), 1);
    mesh_story_free(s);
}

/* Its homes come back when all of it is in one's log: the end is decided with the rest,
 * and what asked for a number is gone. */
static void a_run_that_is_decided_with_its_end_has_a_number(void **state)
{
    unsigned n_ended = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mesh_story *s = mesh_story_numbered(3, NULL, seed);

        mesh_story_meet(s);
        assert_true(run_until_homes(s, 3, 5000));
        mesh_story_kill(s, 'a');
        mesh_story_kill(s, 'b');
        mesh_story_submit(s, 'c', one);
        mesh_story_run_for(s, 30000);
        mesh_story_start(s, 'a');
        mesh_story_start(s, 'b');
        if (mesh_story_run_until(s, "run c 1 ok", 60000)) {
            mesh_story_run_for(s, 20000);
            assert_true(mesh_story_number(s, 1) > 0);
            n_ended++;
        }
        mesh_story_free(s);
    }
    assert_true(n_ended > 0);
}

/* It began with one home, so the entry of its number is the first that has its record.
 */
static void a_run_that_has_got_more_homes_has_a_number(void **state)
{
    struct mesh_story *s = mesh_story_numbered(6, NULL, 6);
    char homes[HOMES_MAX + 1];

    (void)state;
    mesh_story_task(s, "work", "60000");
    mesh_story_meet(s);
    assert_true(run_until_homes(s, 5, 20000));
    mesh_story_kill(s, 'a');
    mesh_story_kill(s, 'b');
    mesh_story_kill(s, 'f');
    mesh_story_cut(s, "d");
    mesh_story_run_for(s, 10000);
    mesh_story_submit(s, 'c', "work\n");
    mesh_story_run_for(s, 5000);
    assert_int_equal(mesh_story_homes(s, 1, homes), 1);
    mesh_story_cut(s, NULL);
    mesh_story_run_for(s, 25000);
    assert_int_equal(mesh_story_homes(s, 1, homes), 3);
    assert_int_equal(mesh_story_number(s, 1), 1);
    assert_true(mesh_story_run(s, 90000));
    mesh_story_free(s);
}

static void old_numbers_stay_what_they_are(void **state)
{
    const uint64_t floors[] = { 7, 41, 0 };
    struct mesh_story *s = mesh_story_numbered(3, floors, 5);

    (void)state;
    mesh_story_meet(s);
    mesh_story_submit(s, 'b', one);
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_number(s, 1), 42);
    mesh_story_submit(s, 'a', one);
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_number(s, 2), 43);
    mesh_story_free(s);
}

static void the_group_grows_and_replaces_the_dead(void **state)
{
    struct mesh_story *s = mesh_story_numbered(6, NULL, 6);
    char leader;

    (void)state;
    assert_int_equal(mesh_story_mesh_homes(s), 0);
    mesh_story_meet(s);
    assert_true(run_until_homes(s, 5, 20000));
    mesh_story_kill(s, 'a');
    mesh_story_run_for(s, 40000);
    assert_int_equal(mesh_story_mesh_homes(s), 5);
    leader = mesh_story_mesh_leader(s);
    mesh_story_kill(s, leader);
    mesh_story_submit(s, leader == 'f' ? 'e' : 'f', one);
    mesh_story_run_for(s, 10000);
    assert_int_equal(mesh_story_number(s, 1), 1);
    mesh_story_free(s);
}

static void messages_that_are_lost_or_come_twice_give_no_number_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 30; seed++) {
        struct mesh_story *s = mesh_story_numbered(4, NULL, seed);

        mesh_story_meet(s);
        mesh_story_network(s, 100, 100, 100);
        for (unsigned i = 0; i < 20; i++) {
            mesh_story_submit(s, (char)('a' + i % 4), one);
            mesh_story_run_for(s, seed * 10);
        }
        mesh_story_network(s, 0, 0, 0);
        mesh_story_run_for(s, 30000);
        for (unsigned i = 1; i <= 20; i++)
            assert_true(mesh_story_number(s, i) > 0);
        mesh_story_free(s);
    }
}

/* ---- what the caller asks ---- */

static void who_swaps_first_has_it(void **state)
{
    struct mesh_story *s = mesh_story_numbered(3, NULL, 8);

    (void)state;
    mesh_story_meet(s);
    assert_true(run_until_homes(s, 3, 5000));
    mesh_story_show(s, "asked");
    mesh_story_read(s, 'b', "x");
    mesh_story_run_for(s, 100);
    mesh_story_swap(s, 'b', "x", NULL, "one");
    mesh_story_run_for(s, 100);
    mesh_story_swap(s, 'c', "x", NULL, "two");
    mesh_story_run_for(s, 100);
    mesh_story_swap(s, 'c', "x", "one", "two");
    mesh_story_run_for(s, 100);
    mesh_story_kill(s, 'a');
    mesh_story_read(s, 'b', "x");
    mesh_story_run_for(s, 4500);
    assert_string_equal(mesh_story_trace(s), "[ 2001] asked b reads: none\n"
                                             "[ 2101] asked b swaps: one\n"
                                             "[ 2201] asked c swaps: no\n"
                                             "[ 2301] asked c swaps: two\n"
                                             "[ 4401] asked b reads: two\n");
    mesh_story_free(s);
}

/* What is given up is in nobody's way: later questions, and numbers. */
static void a_question_that_nobody_answers_is_given_up(void **state)
{
    struct mesh_story *s = mesh_story_numbered(3, NULL, 9);

    (void)state;
    mesh_story_meet(s);
    assert_true(run_until_homes(s, 3, 5000));
    mesh_story_show(s, "asked");
    mesh_story_cut(s, "c");
    mesh_story_swap(s, 'c', "x", NULL, "one");
    mesh_story_read(s, 'c', "x");
    mesh_story_swap(s, 'a', "x", NULL, "other");
    mesh_story_run_for(s, 10000);
    mesh_story_cut(s, NULL);
    mesh_story_run_for(s, 20000);
    mesh_story_read(s, 'c', "x");
    mesh_story_run_for(s, 1000);
    assert_string_equal(mesh_story_trace(s), "[ 2001] asked a swaps: other\n"
                                             "[ 6000] asked c swaps: nobody\n"
                                             "[ 6000] asked c reads: nobody\n"
                                             "[32001] asked c reads: other\n");
    mesh_story_submit(s, 'c', one);
    mesh_story_run_for(s, 2000);
    assert_int_equal(mesh_story_number(s, 1), 1);
    mesh_story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_swaps_first_has_it),
        cmocka_unit_test(a_question_that_nobody_answers_is_given_up),
        cmocka_unit_test(numbers_count_up_over_all_nodes),
        cmocka_unit_test(many_at_once_have_one_each),
        cmocka_unit_test(a_request_that_comes_twice_is_answered_once),
        cmocka_unit_test(another_leader_goes_on_counting),
        cmocka_unit_test(without_a_majority_the_number_comes_later),
        cmocka_unit_test(a_run_that_is_decided_with_its_end_has_a_number),
        cmocka_unit_test(a_run_that_has_got_more_homes_has_a_number),
        cmocka_unit_test(old_numbers_stay_what_they_are),
        cmocka_unit_test(the_group_grows_and_replaces_the_dead),
        cmocka_unit_test(messages_that_are_lost_or_come_twice_give_no_number_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
