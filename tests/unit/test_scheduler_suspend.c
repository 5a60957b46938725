/* SPDX-License-Identifier: Apache-2.0 */
/* A run that starts nothing for a while. */
#include "tests/unit/unit.h"

#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

static void what_runs_goes_on_and_nothing_starts(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n"
                    "b: a\n");
    story_suspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 done\n");
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[   10] unsuspend\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] b/0#0 done\n"
            "[   20] run ok\n");
    story_free(s);
}

static void it_can_be_seen(void **state)
{
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;
    struct story *s = story_new(NULL);
    struct run_view view;

    (void)state;
    story_submit(s, "a\n"
                    "b: a\n");
    story_suspend(s, 1);
    story_run(s);
    assert_true(node_run(story_node(s), story_run_id(s, 1), &view));
    assert_int_equal(view.state, RUN_STATE_SUSPENDED);
    assert_true(view.is_suspended);
    assert_true(node_why_waiting(story_node(s), story_run_id(s, 1), 1, &why));
    assert_string_equal(buffer_text(&why),
                        "suspended: the run starts nothing until it is unsuspended");
    story_unsuspend(s, 1);
    assert_true(node_run(story_node(s), story_run_id(s, 1), &view));
    assert_int_equal(view.state, RUN_STATE_RUNNING);
    assert_false(view.is_suspended);
    story_free(s);
}

static void others_go_on(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 1 });

    (void)state;
    story_submit(s, "a\nb: a\n");
    story_submit(s, "c\nd: c\n");
    story_suspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] 1:a/0#0 done\n"
            "[   10] start 2:c/0#0 slot 0\n"
            "[   20] 2:c/0#0 done\n"
            "[   20] start 2:d/0#0 slot 0\n"
            "[   30] 2:d/0#0 done\n"
            "[   30] run 2 ok\n");
    story_free(s);
}

static void a_retry_waits_too(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0#0", "exit 1");
    story_submit(s, "a retry=1 delay=20\n");
    story_suspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 failed, exit, again in 20 ms\n");
    assert_int_equal(story_now_ms(s), 30); /* the delay went by */
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[   30] unsuspend\n"
            "[   30] start a/0#1 slot 0\n"
            "[   40] a/0#1 done\n"
            "[   40] run ok\n");
    story_free(s);
}

static void with_nothing_left_it_ends(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n");
    story_suspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 done\n"
            "[   10] run ok\n");
    story_free(s);
}

static void its_hook_waits(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 1");
    story_submit(s, "a\n"
                    "h hook=error\n");
    story_suspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 failed, exit\n");
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[   10] unsuspend\n"
            "[   10] start h/0#0 slot 0\n"
            "[   20] h/0#0 done\n"
            "[   20] run failed: step 'a': exit code 1\n");
    story_free(s);
}

static void a_cancel_ends_it(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n"
                    "b: a\n");
    story_suspend(s, 1);
    story_run(s);
    story_cancel(s, 1);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 done\n"
            "[   10] cancel\n"
            "[   10] run cancelled\n");
    story_free(s);
}

static void its_timeout_stands_still(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "b", "500");
    story_submit(s, "flow timeout=100\n"
                    "a\n"
                    "b: a\n");
    story_run_until(s, 5);
    story_suspend(s, 1);
    story_run_until(s, 1000);
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    5] suspend\n"
            "[   10] a/0#0 done\n"
            "[ 1000] unsuspend\n"
            "[ 1000] start b/0#0 slot 0\n"
            "[ 1095] kill b/0#0 TERM, timeout\n"
            "[ 1100] b/0#0 failed, timeout\n"
            "[ 1100] run failed: the run took longer than its timeout of 0.1 s\n");
    story_free(s);
}

static void an_attempt_s_timeout_does_not(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "500");
    story_submit(s, "a timeout=50\n");
    story_suspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   50] kill a/0#0 TERM, timeout\n"
            "[   55] a/0#0 failed, timeout\n"
            "[   55] run failed: step 'a': timeout\n");
    story_free(s);
}

static void a_crash_does_not_wake_it(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "flow timeout=100\n"
                    "a\n"
                    "b: a\n");
    story_suspend(s, 1);
    story_run_until(s, 50);
    story_crash(s, true);
    story_run_until(s, 500);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 done\n"
            "[   50] crash\n");
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[  500] unsuspend\n"
            "[  500] start b/0#0 slot 0\n"
            "[  510] b/0#0 done\n"
            "[  510] run ok\n");
    story_free(s);
}

static void twice_is_once(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "flow timeout=1000\n"
                    "a\n"
                    "b: a\n");
    story_suspend(s, 1);
    story_run_until(s, 20);
    story_suspend(s, 1);
    story_unsuspend(s, 1);
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] suspend\n"
            "[   10] a/0#0 done\n"
            "[   20] suspend\n"
            "[   20] unsuspend\n"
            "[   20] start b/0#0 slot 0\n"
            "[   20] unsuspend\n"
            "[   30] b/0#0 done\n"
            "[   30] run ok\n");
    story_free(s);
}

static void a_held_run_stays_suspended_when_it_is_released(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit_held(s, "a\n");
    story_suspend(s, 1);
    story_release(s, 1);
    story_run(s);
    told(s, "[    0] suspend\n");
    story_unsuspend(s, 1);
    story_run(s);
    told(s, "[    0] unsuspend\n"
            "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] run ok\n");
    story_free(s);
}

/* What was cancelled before a crash is not started again to be killed. */
static void a_cancel_before_a_crash_starts_nothing_after_it(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "100 stubborn");
    story_submit(s, "a\n"
                    "b\n");
    story_cancel(s, 1);
    story_crash(s, false);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[    0] cancel\n"
            "[    0] kill a/0#0 TERM, cancelled\n"
            "[    0] kill b/0#0 TERM, cancelled\n"
            "[    0] crash\n"
            "[    0] run cancelled\n");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_runs_goes_on_and_nothing_starts),
        cmocka_unit_test(it_can_be_seen),
        cmocka_unit_test(others_go_on),
        cmocka_unit_test(a_retry_waits_too),
        cmocka_unit_test(with_nothing_left_it_ends),
        cmocka_unit_test(its_hook_waits),
        cmocka_unit_test(a_cancel_ends_it),
        cmocka_unit_test(its_timeout_stands_still),
        cmocka_unit_test(an_attempt_s_timeout_does_not),
        cmocka_unit_test(a_crash_does_not_wake_it),
        cmocka_unit_test(twice_is_once),
        cmocka_unit_test(a_held_run_stays_suspended_when_it_is_released),
        cmocka_unit_test(a_cancel_before_a_crash_starts_nothing_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
