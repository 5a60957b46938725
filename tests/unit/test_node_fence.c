/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of steps with `effect: exclusive` at a node alone. */
#include "tests/unit/story.h"
#include "tests/unit/unit.h"

static void a_task_waits_for_its_fence(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n"
                    "b: a exclusive\n"
                    "c: b\n");
    story_run(s);
    assert_string_equal(story_trace(s), "[    0] start a/0#0 slot 0\n"
                                        "[   10] a/0#0 done\n"
                                        "[   11] start b/0#0 slot 0 fence 1\n"
                                        "[   21] b/0#0 done\n"
                                        "[   21] start c/0#0 slot 0\n"
                                        "[   31] c/0#0 done\n"
                                        "[   31] run ok\n");
    story_free(s);
}

static void fences_grow_with_tries_and_restarts(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0#0", "5 exit 1");
    story_task(s, "a/0#1", "1000");
    story_submit(s, "a exclusive retry=2 delay=20\n");
    story_run_until(s, 100);
    story_crash(s, true);
    story_run(s);
    assert_string_equal(story_trace(s), "[    1] start a/0#0 slot 0 fence 1\n"
                                        "[    6] a/0#0 failed, exit, again in 20 ms\n"
                                        "[   27] start a/0#1 slot 0 fence 2\n"
                                        "[  100] crash\n"
                                        "[  100] a/0#1 lost, lost, again in 0 ms\n"
                                        "[  101] start a/0#2 slot 0 fence 3\n"
                                        "[  111] a/0#2 done\n"
                                        "[  111] run ok\n");
    story_free(s);
}

/* Before it started: nothing was lost, and the number is not used again. */
static void a_node_dies_before_the_start(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a exclusive\n");
    story_crash(s, false);
    story_run(s);
    assert_string_equal(story_trace(s), "[    0] crash\n"
                                        "[    1] start a/0#0 slot 0 fence 2\n"
                                        "[   11] a/0#0 done\n"
                                        "[   11] run ok\n");
    story_free(s);
}

static void what_is_not_wanted_any_more_does_not_start(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a exclusive\n");
    story_suspend(s, 1);
    story_run(s);
    story_unsuspend(s, 1);
    story_cancel(s, 1);
    story_run(s);
    assert_string_equal(story_trace(s), "[    0] suspend\n"
                                        "[    1] unsuspend\n"
                                        "[    1] cancel\n"
                                        "[    2] run cancelled\n");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_waits_for_its_fence),
        cmocka_unit_test(fences_grow_with_tries_and_restarts),
        cmocka_unit_test(a_node_dies_before_the_start),
        cmocka_unit_test(what_is_not_wanted_any_more_does_not_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
