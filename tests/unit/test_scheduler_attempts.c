/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a task when an attempt ended. */
#include "tests/unit/unit.h"

#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

static void retries_with_backoff(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "exit 1");
    story_task(s, "a/0#3", "10");
    story_submit(s, "a retry=3 delay=100 backoff=2\n"
                    "b: a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit, again in 100 ms\n"
            "[  110] start a/0#1 slot 0\n"
            "[  120] a/0#1 failed, exit, again in 200 ms\n"
            "[  320] start a/0#2 slot 0\n"
            "[  330] a/0#2 failed, exit, again in 400 ms\n"
            "[  730] start a/0#3 slot 0\n"
            "[  740] a/0#3 done\n"
            "[  740] start b/0#0 slot 0\n"
            "[  750] b/0#0 done\n"
            "[  750] run ok\n");
    story_free(s);
}

static void retries_run_out(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 3");
    story_submit(s, "a retry=1\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit, again in 0 ms\n"
            "[   10] start a/0#1 slot 0\n"
            "[   20] a/0#1 failed, exit\n"
            "[   20] run failed: step 'a': exit code 3, after 2 attempts\n");
    story_free(s);
}

static void a_retry_leaves_its_siblings(void **state)
{
    struct story *s = story_new(&(struct story_config){ .is_quiet = true });

    (void)state;
    story_task(s, "fit/1#0", "exit 1");
    story_submit(s, "split foreach=3\n"
                    "fit: split retry=1\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   20] start fit/2#0 slot 0\n"
            "[   20] fit/1#0 failed, exit, again in 0 ms\n"
            "[   20] start fit/1#1 slot 1\n"
            "[   30] start join/0#0 slot 0\n"
            "[   40] run ok\n");
    story_free(s);
}

static void exit_202_is_never_retried(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 202");
    story_submit(s, "a retry=3\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit\n"
            "[   10] run failed: step 'a': exit code 202\n");
    story_free(s);
}

static void only_these_exit_codes(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0#0", "exit 75");
    story_task(s, "a/0#1", "exit 1");
    story_submit(s, "a retry=3 codes=75,76\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit, again in 0 ms\n"
            "[   10] start a/0#1 slot 0\n"
            "[   20] a/0#1 failed, exit\n"
            "[   20] run failed: step 'a': exit code 1, after 2 attempts\n");
    story_free(s);
}

static void only_these_reasons(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "signal 11");
    story_task(s, "b/0#0", "oom");
    story_submit(s, "flow on_failure=finish\n"
                    "a retry=3 when=o\n"
                    "b retry=3 when=o\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] a/0#0 failed, signal\n"
            "[   10] b/0#0 failed, oom, again in 0 ms\n"
            "[   10] start b/0#1 slot 0\n"
            "[   20] b/0#1 done\n"
            "[   20] run failed: step 'a': signal 11\n");
    story_free(s);
}

static void timeout_then_grace(void **state)
{
    struct story *s = story_new(&(struct story_config){ .grace_us = TIME_MS(300) });

    (void)state;
    story_task(s, "a/0", "5000 stubborn");
    story_submit(s, "a timeout=100\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[  100] kill a/0#0 TERM, timeout\n"
            "[  400] kill a/0#0 KILL, timeout\n"
            "[  400] a/0#0 failed, timeout\n"
            "[  400] run failed: step 'a': timeout\n");
    story_free(s);
}

static void timeout_is_heeded_and_retried(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0#0", "5000");
    story_submit(s, "a timeout=100 retry=1\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[  100] kill a/0#0 TERM, timeout\n"
            "[  105] a/0#0 failed, timeout, again in 0 ms\n"
            "[  105] start a/0#1 slot 0\n"
            "[  115] a/0#1 done\n"
            "[  115] run ok\n");
    story_free(s);
}

static void timeout_that_does_not_come(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0#0", "99");
    story_submit(s, "a timeout=100\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   99] a/0#0 done\n"
            "[   99] run ok\n");
    story_free(s);
}

static void done_in_spite_of_the_signal(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0#0", "5000 ok-on-term");
    story_submit(s, "a timeout=100\n"
                    "b: a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[  100] kill a/0#0 TERM, timeout\n"
            "[  105] a/0#0 done\n"
            "[  105] start b/0#0 slot 0\n"
            "[  115] b/0#0 done\n"
            "[  115] run ok\n");
    story_free(s);
}

static void caught(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "exit 1");
    story_submit(s, "a retry=1 catch\n"
                    "b: a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit, again in 0 ms\n"
            "[   10] start a/0#1 slot 0\n"
            "[   20] a/0#1 caught, exit\n"
            "[   20] start b/0#0 slot 0\n"
            "[   30] b/0#0 done\n"
            "[   30] run ok\n");
    story_free(s);
}

static void caught_foreach_is_empty(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "split", "exit 1 width 3");
    story_submit(s, "split foreach=? catch\n"
                    "fit: split\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] split/0#0 caught, exit\n"
            "[   10] start join/0#0 slot 0\n"
            "[   20] join/0#0 done\n"
            "[   20] run ok\n");
    story_free(s);
}

static void caught_switch_takes_the_default(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "which", "exit 1 choose a");
    story_submit(s, "which switch=a,b default=b catch\n"
                    "a: which\n"
                    "b: which\n");
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] which/0#0 caught, exit\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] b/0#0 done\n"
            "[   20] run ok\n");
    story_free(s);
}

static void caught_switch_without_a_default_takes_no_way(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "which", "exit 1 choose a");
    story_submit(s, "which switch=a,b catch\n"
                    "a: which\n"
                    "b: which\n");
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] which/0#0 caught, exit\n"
            "[   10] run ok\n");
    story_free(s);
}

static void a_loop_is_not_caught_for_ever(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "loop", "exit 1");
    story_submit(s, "loop switch=again,end default=again max=2 catch\n"
                    "end: loop\n");
    story_run(s);
    told(s, "[    0] start loop/0#0 slot 0\n"
            "[   10] loop/0#0 caught, exit\n"
            "[   10] start loop/0~1#0 slot 0\n"
            "[   20] loop/0~1#0 failed, exit\n"
            "[   20] run failed: step 'loop', task 0~1: exit code 1\n");
    story_free(s);
}

static void a_switch_is_tried_again_in_its_iteration(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "loop/0#", "choose again");
    story_task(s, "loop/0~1#0", "exit 1");
    story_task(s, "loop/0~1#1", "choose end");
    story_submit(s, "loop switch=again,end max=5 retry=1\n"
                    "end: loop\n");
    story_run(s);
    told(s, "[    0] start loop/0#0 slot 0\n"
            "[   10] loop/0#0 done\n"
            "[   10] start loop/0~1#0 slot 0\n"
            "[   20] loop/0~1#0 failed, exit, again in 0 ms\n"
            "[   20] start loop/0~1#1 slot 0\n"
            "[   30] loop/0~1#1 done\n"
            "[   30] start end/0#0 slot 0\n"
            "[   40] end/0#0 done\n"
            "[   40] run ok\n");
    story_free(s);
}

static void each_iteration_has_its_own_tries(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "loop/0#0", "exit 1");
    story_task(s, "loop/0#1", "choose again");
    story_task(s, "loop/0~1#0", "exit 1");
    story_task(s, "loop/0~1#1", "choose end");
    story_submit(s, "loop switch=again,end max=5 retry=1\n"
                    "end: loop\n");
    story_run(s);
    told(s, "[    0] start loop/0#0 slot 0\n"
            "[   10] loop/0#0 failed, exit, again in 0 ms\n"
            "[   10] start loop/0#1 slot 0\n"
            "[   20] loop/0#1 done\n"
            "[   20] start loop/0~1#0 slot 0\n"
            "[   30] loop/0~1#0 failed, exit, again in 0 ms\n"
            "[   30] start loop/0~1#1 slot 0\n"
            "[   40] loop/0~1#1 done\n"
            "[   40] start end/0#0 slot 0\n"
            "[   50] end/0#0 done\n"
            "[   50] run ok\n");
    story_free(s);
}

static void losses_are_not_charged(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "lost");
    story_task(s, "a/0#2", "10");
    story_submit(s, "a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 lost, lost, again in 0 ms\n"
            "[   10] start a/0#1 slot 0\n"
            "[   20] a/0#1 lost, lost, again in 0 ms\n"
            "[   20] start a/0#2 slot 0\n"
            "[   30] a/0#2 done\n"
            "[   30] run ok\n");
    story_free(s);
}

static void the_third_loss_fails(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "lost");
    story_submit(s, "a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 lost, lost, again in 0 ms\n"
            "[   10] start a/0#1 slot 0\n"
            "[   20] a/0#1 lost, lost, again in 0 ms\n"
            "[   20] start a/0#2 slot 0\n"
            "[   30] a/0#2 failed, lost\n"
            "[   30] run failed: step 'a': lost, after 3 attempts\n");
    story_free(s);
}

static void the_third_loss_may_be_retried(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "lost");
    story_task(s, "a/0#3", "10");
    story_submit(s, "a retry=1\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 lost, lost, again in 0 ms\n"
            "[   10] start a/0#1 slot 0\n"
            "[   20] a/0#1 lost, lost, again in 0 ms\n"
            "[   20] start a/0#2 slot 0\n"
            "[   30] a/0#2 failed, lost, again in 0 ms\n"
            "[   30] start a/0#3 slot 0\n"
            "[   40] a/0#3 done\n"
            "[   40] run ok\n");
    story_free(s);
}

static void losses_may_be_charged_at_once(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "lost");
    story_submit(s, "a lost=1\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, lost\n"
            "[   10] run failed: step 'a': lost\n");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_with_backoff),
        cmocka_unit_test(retries_run_out),
        cmocka_unit_test(a_retry_leaves_its_siblings),
        cmocka_unit_test(exit_202_is_never_retried),
        cmocka_unit_test(only_these_exit_codes),
        cmocka_unit_test(only_these_reasons),
        cmocka_unit_test(timeout_then_grace),
        cmocka_unit_test(timeout_is_heeded_and_retried),
        cmocka_unit_test(timeout_that_does_not_come),
        cmocka_unit_test(done_in_spite_of_the_signal),
        cmocka_unit_test(caught),
        cmocka_unit_test(caught_foreach_is_empty),
        cmocka_unit_test(caught_switch_takes_the_default),
        cmocka_unit_test(caught_switch_without_a_default_takes_no_way),
        cmocka_unit_test(a_loop_is_not_caught_for_ever),
        cmocka_unit_test(a_switch_is_tried_again_in_its_iteration),
        cmocka_unit_test(each_iteration_has_its_own_tries),
        cmocka_unit_test(losses_are_not_charged),
        cmocka_unit_test(the_third_loss_fails),
        cmocka_unit_test(the_third_loss_may_be_retried),
        cmocka_unit_test(losses_may_be_charged_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
