/* SPDX-License-Identifier: Apache-2.0 */
/* How a run stops and ends. */
#include "tests/unit/unit.h"

#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

static void failure_stops(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 2 });

    (void)state;
    story_task(s, "a", "exit 1");
    story_task(s, "b", "50");
    story_submit(s, "a\n"
                    "b\n"
                    "c: a\n"
                    "d: b\n"
                    "e\n"
                    "f: e\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] a/0#0 failed, exit\n"
            "[   50] b/0#0 done\n"
            "[   50] run failed: step 'a': exit code 1\n");
    story_free(s);
}

static void failure_lets_finish(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 2 });

    (void)state;
    story_task(s, "a", "exit 1");
    story_task(s, "b", "50");
    story_submit(s, "flow on_failure=finish\n"
                    "a\n"
                    "b\n"
                    "c: a\n"
                    "d: b\n"
                    "e: c d\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] a/0#0 failed, exit\n"
            "[   50] b/0#0 done\n"
            "[   50] start d/0#0 slot 0\n"
            "[   60] d/0#0 done\n"
            "[   60] run failed: step 'a': exit code 1\n");
    story_free(s);
}

static void failure_kills(void **state)
{
    struct story *s =
        story_new(&(struct story_config){ .slots = 3, .grace_us = TIME_MS(200) });

    (void)state;
    story_task(s, "a", "exit 1");
    story_task(s, "b", "5000");
    story_task(s, "c", "5000 stubborn");
    story_submit(s, "flow on_failure=kill\n"
                    "a\n"
                    "b retry=3\n"
                    "c catch\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[    0] start c/0#0 slot 2\n"
            "[   10] a/0#0 failed, exit\n"
            "[   10] kill b/0#0 TERM, cancelled\n"
            "[   10] kill c/0#0 TERM, cancelled\n"
            "[   15] b/0#0 failed, cancelled\n"
            "[  210] kill c/0#0 KILL, cancelled\n"
            "[  210] c/0#0 failed, cancelled\n"
            "[  210] run failed: step 'a': exit code 1\n");
    story_free(s);
}

static void the_first_failure_is_told(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 3 });

    (void)state;
    story_task(s, "fit/1", "exit 2");
    story_task(s, "fit/2", "20 exit 7");
    story_submit(s, "flow on_failure=finish\n"
                    "split foreach=3\n"
                    "fit: split retry=2\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] split/0#0 done\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   10] start fit/2#0 slot 2\n"
            "[   20] fit/0#0 done\n"
            "[   20] fit/1#0 failed, exit, again in 0 ms\n"
            "[   20] start fit/1#1 slot 0\n"
            "[   30] fit/1#1 failed, exit, again in 0 ms\n"
            "[   30] start fit/1#2 slot 0\n"
            "[   30] fit/2#0 failed, exit, again in 0 ms\n"
            "[   30] start fit/2#1 slot 1\n"
            "[   40] fit/1#2 failed, exit\n"
            "[   50] fit/2#1 failed, exit, again in 0 ms\n"
            "[   50] start fit/2#2 slot 0\n"
            "[   70] fit/2#2 failed, exit\n"
            "[   70] run failed: step 'fit', task 1: exit code 2, after 3 attempts\n");
    story_free(s);
}

static void a_retry_does_not_outlive_the_run(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 1");
    story_task(s, "b", "20 exit 1");
    story_submit(s, "a retry=3 delay=1000\n"
                    "b\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] a/0#0 failed, exit, again in 1000 ms\n"
            "[   20] b/0#0 failed, exit\n"
            "[   20] run failed: step 'b': exit code 1\n");
    story_free(s);
}

static void success_hook(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n"
                    "bye hook=success\n"
                    "sorry hook=error\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start bye/0#0 slot 0\n"
            "[   20] bye/0#0 done\n"
            "[   20] run ok\n");
    story_free(s);
}

static void error_hook(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 1");
    story_submit(s, "a\n"
                    "b: a\n"
                    "bye hook=success\n"
                    "sorry hook=error\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit\n"
            "[   10] start sorry/0#0 slot 0\n"
            "[   20] sorry/0#0 done\n"
            "[   20] run failed: step 'a': exit code 1\n");
    story_free(s);
}

static void a_hook_that_fails_changes_nothing(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "bye", "exit 1");
    story_submit(s, "a\n"
                    "bye hook=success retry=1\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start bye/0#0 slot 0\n"
            "[   20] bye/0#0 failed, exit, again in 0 ms\n"
            "[   20] start bye/0#1 slot 0\n"
            "[   30] bye/0#1 failed, exit\n"
            "[   30] run ok\n");
    story_free(s);
}

static void cancel(void **state)
{
    struct story *s = story_new(&(struct story_config){ .grace_us = TIME_MS(300) });

    (void)state;
    story_task(s, "a", "5000");
    story_task(s, "b", "5000 stubborn");
    story_submit(s, "a retry=3\n"
                    "b catch\n"
                    "c\n"
                    "bye hook=success\n"
                    "sorry hook=error\n");
    story_run_until(s, 100);
    story_cancel(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[  100] cancel\n"
            "[  100] kill a/0#0 TERM, cancelled\n"
            "[  100] kill b/0#0 TERM, cancelled\n"
            "[  105] a/0#0 failed, cancelled\n"
            "[  400] kill b/0#0 KILL, cancelled\n"
            "[  400] b/0#0 failed, cancelled\n"
            "[  400] run cancelled\n");
    story_free(s);
}

/* The signal that came first says why. */
static void cancel_after_a_timeout(void **state)
{
    struct story *s = story_new(&(struct story_config){ .grace_us = TIME_MS(300) });

    (void)state;
    story_task(s, "a", "5000 stubborn");
    story_submit(s, "a timeout=100 retry=3\n");
    story_run_until(s, 200);
    story_cancel(s, 1);
    story_run_until(s, 250);
    story_cancel(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[  100] kill a/0#0 TERM, timeout\n"
            "[  200] cancel\n"
            "[  250] cancel\n"
            "[  250] kill a/0#0 KILL, timeout\n"
            "[  250] a/0#0 failed, timeout\n"
            "[  250] run cancelled: step 'a': timeout\n");
    story_free(s);
}

static void cancel_twice(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "5000 stubborn");
    story_submit(s, "a\n");
    story_run_until(s, 100);
    story_cancel(s, 1);
    story_run_until(s, 200);
    story_cancel(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[  100] cancel\n"
            "[  100] kill a/0#0 TERM, cancelled\n"
            "[  200] cancel\n"
            "[  200] kill a/0#0 KILL, cancelled\n"
            "[  200] a/0#0 failed, cancelled\n"
            "[  200] run cancelled\n");
    story_free(s);
}

static void cancel_while_nothing_runs(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 1");
    story_submit(s, "a retry=3 delay=5000\n");
    story_run_until(s, 100);
    story_cancel(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit, again in 5000 ms\n"
            "[  100] cancel\n"
            "[  100] run cancelled\n");
    story_free(s);
}

/* It was failing already. */
static void cancel_after_a_failure(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 1");
    story_task(s, "b", "5000");
    story_submit(s, "a\n"
                    "b\n");
    story_run_until(s, 100);
    story_cancel(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] a/0#0 failed, exit\n"
            "[  100] cancel\n"
            "[  100] kill b/0#0 TERM, cancelled\n"
            "[  105] b/0#0 failed, cancelled\n"
            "[  105] run failed: step 'a': exit code 1\n");
    story_free(s);
}

/* The run was done. */
static void cancel_of_a_hook(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "bye", "5000");
    story_submit(s, "a\n"
                    "bye hook=success\n");
    story_run_until(s, 100);
    story_cancel(s, 1);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start bye/0#0 slot 0\n"
            "[  100] cancel\n"
            "[  100] kill bye/0#0 TERM, cancelled\n"
            "[  105] bye/0#0 failed, cancelled\n"
            "[  105] run ok\n");
    story_free(s);
}

static void cancel_of_one_of_two(void **state)
{
    struct story *s = story_new(&(struct story_config){ .is_quiet = true });

    (void)state;
    story_task(s, "1:", "50");
    story_task(s, "2:", "50");
    story_submit(s, "a\n");
    story_submit(s, "b\n");
    story_run_until(s, 20);
    story_cancel(s, 2);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start 2:b/0#0 slot 1\n"
            "[   10] run 1 ok\n"
            "[   20] cancel\n"
            "[   20] kill 2:b/0#0 TERM, cancelled\n"
            "[   25] 2:b/0#0 failed, cancelled\n"
            "[   25] run 2 cancelled\n");
    story_free(s);
}

static void run_timeout(void **state)
{
    struct story *s = story_new(&(struct story_config){ .grace_us = TIME_MS(100) });

    (void)state;
    story_task(s, "a", "5000 stubborn");
    story_task(s, "b", "5000");
    story_submit(s, "flow timeout=1000\n"
                    "a\n"
                    "b retry=1\n"
                    "c: a\n"
                    "sorry hook=error\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[ 1000] kill a/0#0 TERM, timeout\n"
            "[ 1000] kill b/0#0 TERM, timeout\n"
            "[ 1005] b/0#0 failed, timeout\n"
            "[ 1100] kill a/0#0 KILL, timeout\n"
            "[ 1100] a/0#0 failed, timeout\n"
            "[ 1100] start sorry/0#0 slot 0\n"
            "[ 1110] sorry/0#0 done\n"
            "[ 1110] run failed: the run took longer than its timeout of 1 s\n");
    story_free(s);
}

static void run_timeout_is_neither_retried_nor_caught(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 3 });
    struct run_view view;

    (void)state;
    story_task(s, "", "5000");
    story_task(s, "a", "5000 stubborn");
    story_submit(s, "flow timeout=1000\n"
                    "a\n"
                    "b retry=1\n"
                    "c catch\n");
    story_run_until(s, 1100);
    assert_true(node_run(story_node(s), story_run_id(s, 1), &view));
    assert_int_equal(view.n_failed, 2);
    assert_int_equal(view.state, RUN_STATE_STOPPING);
    assert_true(view.is_failed);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[    0] start c/0#0 slot 2\n"
            "[ 1000] kill a/0#0 TERM, timeout\n"
            "[ 1000] kill b/0#0 TERM, timeout\n"
            "[ 1000] kill c/0#0 TERM, timeout\n"
            "[ 1005] b/0#0 failed, timeout\n"
            "[ 1005] c/0#0 failed, timeout\n"
            "[ 2000] kill a/0#0 KILL, timeout\n"
            "[ 2000] a/0#0 failed, timeout\n"
            "[ 2000] run failed: the run took longer than its timeout of 1 s\n");
    story_free(s);
}

static void run_timeout_that_does_not_come(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "flow timeout=1000\n"
                    "a\n"
                    "b: a\n"
                    "bye hook=success\n");
    story_task(s, "bye", "5000");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] b/0#0 done\n"
            "[   20] start bye/0#0 slot 0\n"
            "[ 5020] bye/0#0 done\n"
            "[ 5020] run ok\n");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_stops),
        cmocka_unit_test(failure_lets_finish),
        cmocka_unit_test(failure_kills),
        cmocka_unit_test(the_first_failure_is_told),
        cmocka_unit_test(a_retry_does_not_outlive_the_run),
        cmocka_unit_test(success_hook),
        cmocka_unit_test(error_hook),
        cmocka_unit_test(a_hook_that_fails_changes_nothing),
        cmocka_unit_test(cancel),
        cmocka_unit_test(cancel_after_a_timeout),
        cmocka_unit_test(cancel_twice),
        cmocka_unit_test(cancel_while_nothing_runs),
        cmocka_unit_test(cancel_after_a_failure),
        cmocka_unit_test(cancel_of_a_hook),
        cmocka_unit_test(cancel_of_one_of_two),
        cmocka_unit_test(run_timeout),
        cmocka_unit_test(run_timeout_is_neither_retried_nor_caught),
        cmocka_unit_test(run_timeout_that_does_not_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
