/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of nodes that sign what they carried out, and of some that lie. */
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

static const char fan[] = "split foreach=4\n"
                          "fit: split\n"
                          "join: fit join=split\n";

static void tell(struct mesh_story *s, const char *trace)
{
    mesh_story_show(s, "told run refused");
    mesh_story_task(s, "fit", "300");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', fan);
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    assert_string_equal(mesh_story_trace(s), trace);
    mesh_story_free(s);
}

static void signed_attempts_count(void **state)
{
    (void)state;
    tell(mesh_story_signed(3, 0, 2, 5), "[ 2012] told a split/0#0 done\n"
                                        "[ 2311] told a fit/0#0 done\n"
                                        "[ 2311] told a fit/3#0 done\n"
                                        "[ 2313] told a fit/1#0 done\n"
                                        "[ 2313] told a fit/2#0 done\n"
                                        "[ 2323] told a join/0#0 done\n"
                                        "[ 2324] run a 1 ok\n");
}

/* A node of before does not say that it signs, so it need not. */
static void those_of_an_older_node_count_unsigned(void **state)
{
    (void)state;
    tell(mesh_story_signed(3, 1, 2, 5), "[ 2012] told a split/0#0 done\n"
                                        "[ 2311] told a fit/0#0 done\n"
                                        "[ 2311] told a fit/3#0 done\n"
                                        "[ 2313] told a fit/1#0 done\n"
                                        "[ 2313] told a fit/2#0 done\n"
                                        "[ 2323] told a join/0#0 done\n"
                                        "[ 2324] run a 1 ok\n");
}

/* It did not choose, so its leader says that it failed: what it signed is still its own
 * word, which mesh_story asserts. */
static void a_leader_may_judge_otherwise(void **state)
{
    struct mesh_story *s = mesh_story_signed(2, 0, 1, 5);

    (void)state;
    mesh_story_show(s, "told run refused");
    mesh_story_meet(s);
    mesh_story_task(s, "first", "300");
    mesh_story_submit(s, 'a',
                      "first\n"
                      "second foreach=?\n"
                      "third: second\n"
                      "join: third join=second\n");
    assert_true(mesh_story_run(s, 60000));
    assert_int_equal(mesh_story_outcome(s, 1), RUN_FAILED);
    assert_string_equal(mesh_story_trace(s), "[ 2012] told a second/0#0 failed\n"
                                             "[ 2301] told a first/0#0 done\n"
                                             "[ 2301] run a 1 failed\n");
    mesh_story_free(s);
}

/* What is refused is done again. */
static void a_changed_attempt_is_refused(void **state)
{
    struct mesh_story *s = mesh_story_signed(2, 0, 1, 5);

    (void)state;
    mesh_story_lie(s, 'b', "changed", 1);
    tell(s, "[ 2011] told a split/0#0 done\n"
            "[ 2311] told a fit/0#0 done\n"
            "[ 2311] refused a fit/1 of b: it was changed\n"
            "[ 2611] told a fit/3#0 done\n"
            "[ 2612] told a fit/2#0 done\n"
            "[ 2911] told a fit/1#0 done\n"
            "[ 2921] told a join/0#0 done\n"
            "[ 2921] run a 1 ok\n");
}

static void an_unsigned_attempt_is_refused(void **state)
{
    struct mesh_story *s = mesh_story_signed(2, 0, 1, 5);

    (void)state;
    mesh_story_lie(s, 'b', "unsigned", 1);
    tell(s, "[ 2011] told a split/0#0 done\n"
            "[ 2311] told a fit/0#0 done\n"
            "[ 2311] refused a fit/1 of b: it is not signed\n"
            "[ 2611] told a fit/3#0 done\n"
            "[ 2612] told a fit/2#0 done\n"
            "[ 2911] told a fit/1#0 done\n"
            "[ 2921] told a join/0#0 done\n"
            "[ 2921] run a 1 ok\n");
}

/* It is offered again, in its own name. */
static void an_attempt_in_anothers_name_is_refused(void **state)
{
    struct mesh_story *s = mesh_story_signed(2, 0, 1, 5);

    (void)state;
    mesh_story_lie(s, 'b', "renamed", 1);
    tell(s, "[ 2011] told a split/0#0 done\n"
            "[ 2311] told a fit/0#0 done\n"
            "[ 2311] refused a fit/1 of b: it is another's\n"
            "[ 2611] told a fit/3#0 done\n"
            "[ 2612] told a fit/2#0 done\n"
            "[ 7501] told a fit/1#0 done\n"
            "[ 7511] told a join/0#0 done\n"
            "[ 7511] run a 1 ok\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_attempts_count),
        cmocka_unit_test(those_of_an_older_node_count_unsigned),
        cmocka_unit_test(a_leader_may_judge_otherwise),
        cmocka_unit_test(a_changed_attempt_is_refused),
        cmocka_unit_test(an_unsigned_attempt_is_refused),
        cmocka_unit_test(an_attempt_in_anothers_name_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
