/* SPDX-License-Identifier: Apache-2.0 */
/* What is lost is made again, and nothing else. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

static struct story *quiet_story(uint32_t slots)
{
    return story_new(&(struct story_config){ .slots = slots, .is_quiet = true });
}

/* b consumed it and is done; c needs it once more, and waits. */
static void who_consumed_it_stays_done(void **state)
{
    struct story *s = quiet_story(1);

    (void)state;
    story_submit(s, "a\n"
                    "b: a\n"
                    "c: b\n"
                    "d: c\n");
    story_run_until(s, 25);
    story_lose(s, 1, "a/0");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] start c/0#0 slot 0\n"
            "[   25] lose a/0\n"
            "[   25] a/0#0 lost, output_lost, again in 0 ms\n"
            "[   30] start a/0#1 slot 0\n"
            "[   40] start d/0#0 slot 0\n"
            "[   50] run ok\n");
    story_free(s);
}

static void an_input_that_is_gone_is_waited_for(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "b", "gone");
    story_submit(s, "a\n"
                    "b: a\n");
    story_run_until(s, 60);
    story_task(s, "b", "10");
    story_lose(s, 1, "a/0");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   60] lose a/0\n"
            "[   60] a/0#0 lost, output_lost, again in 0 ms\n"
            "[   60] start a/0#1 slot 0\n"
            "[   70] start b/0#0 slot 0\n"
            "[   80] run ok\n");
    story_free(s);
}

static void an_input_that_comes_back_is_asked_for_again(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "b", "gone");
    story_submit(s, "a\n"
                    "b: a\n");
    story_run_until(s, 500);
    story_task(s, "b", "10");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[  110] start b/0#0 slot 0\n"
            "[  310] start b/0#0 slot 0\n"
            "[  710] start b/0#0 slot 0\n"
            "[  720] run ok\n");
    story_free(s);
}

/* Its split is over, and forgotten but for the join. */
static void an_item_of_a_split_that_is_over(void **state)
{
    struct story *s = quiet_story(3);

    (void)state;
    story_task(s, "z", "100");
    story_submit(s, "split foreach=3\n"
                    "fit: split\n"
                    "score: fit\n"
                    "join: score join=split\n"
                    "z: join\n");
    story_run_until(s, 60);
    story_lose(s, 1, "fit/1");
    story_lose(s, 1, "fit/2");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   10] start fit/2#0 slot 2\n"
            "[   20] start score/0#0 slot 0\n"
            "[   20] start score/1#0 slot 1\n"
            "[   20] start score/2#0 slot 2\n"
            "[   30] start join/0#0 slot 0\n"
            "[   40] start z/0#0 slot 0\n"
            "[   60] lose fit/1\n"
            "[   60] fit/1#0 lost, output_lost, again in 0 ms\n"
            "[   60] start fit/1#1 slot 1\n"
            "[   60] lose fit/2\n"
            "[   60] fit/2#0 lost, output_lost, again in 0 ms\n"
            "[   60] start fit/2#1 slot 2\n"
            "[  140] run ok\n");
    story_free(s);
}

static void who_opened_a_split_that_is_over(void **state)
{
    struct story *s = quiet_story(3);

    (void)state;
    story_task(s, "z", "100");
    story_task(s, "split", "width 3");
    story_submit(s, "split foreach=?\n"
                    "fit: split\n"
                    "join: fit join=split\n"
                    "z: join\n");
    story_run_until(s, 60);
    story_lose(s, 1, "split/0");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   10] start fit/2#0 slot 2\n"
            "[   20] start join/0#0 slot 0\n"
            "[   30] start z/0#0 slot 0\n"
            "[   60] lose split/0\n"
            "[   60] split/0#0 lost, output_lost, again in 0 ms\n"
            "[   60] start split/0#1 slot 1\n"
            "[  130] run ok\n");
    story_free(s);
}

static void lost_for_ever(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "b", "1000");
    story_submit(s, "a\n"
                    "b: a\n");
    for (unsigned i = 1; i <= 6; i++) {
        story_run_until(s, 50 * i);
        story_lose(s, 1, "a/0");
    }
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   50] lose a/0\n"
            "[   50] a/0#0 lost, output_lost, again in 0 ms\n"
            "[   50] start a/0#1 slot 1\n"
            "[  100] lose a/0\n"
            "[  100] a/0#1 lost, output_lost, again in 0 ms\n"
            "[  100] start a/0#2 slot 1\n"
            "[  150] lose a/0\n"
            "[  150] a/0#2 lost, output_lost, again in 0 ms\n"
            "[  150] start a/0#3 slot 1\n"
            "[  200] lose a/0\n"
            "[  200] a/0#3 lost, output_lost, again in 0 ms\n"
            "[  200] start a/0#4 slot 1\n"
            "[  250] lose a/0\n"
            "[  250] a/0#4 lost, output_lost, again in 0 ms\n"
            "[  250] start a/0#5 slot 1\n"
            "[  300] lose a/0\n"
            "[  300] a/0#5 failed, output_lost\n"
            "[ 1010] run failed: step 'a': output_lost, its output 'x' was lost, after "
            "6 attempts\n");
    story_free(s);
}

/* Who made its input has failed for good: what was lost behind it waits for nothing. */
static void lost_behind_what_is_lost_for_ever(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "b/0#1", "gone");
    story_task(s, "c", "1000");
    story_submit(s, "flow on_failure=finish\n"
                    "a\n"
                    "b: a\n"
                    "c: b\n");
    for (unsigned i = 1; i <= 6; i++) {
        story_run_until(s, 50 * i);
        (void)story_trace(s);
        if (i == 6)
            story_lose(s, 1, "b/0");
        story_lose(s, 1, "a/0");
    }
    story_run_until(s, 310);
    story_crash(s, false);
    story_run(s);
    told(s,
         "[  300] lose b/0\n"
         "[  300] b/0#0 lost, output_lost, again in 0 ms\n"
         "[  300] start b/0#1 slot 1\n"
         "[  300] lose a/0\n"
         "[  300] a/0#5 failed, output_lost\n"
         "[  300] run is to be read back\n"
         "[  300] start b/0#1 slot 1\n"
         "[  310] crash\n"
         "[  310] run failed: step 'a': output_lost, its output 'x' was lost; it was "
         "made 6 times, after 6 attempts\n");
    story_free(s);
}

/* What the next iteration consumes nobody has, and which of them it was made from more
 * than one record tells: it fails at once, also for who reads it back. */
static void an_iteration_that_is_over(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "a", "choose a");
    story_task(s, "a/0~2", "gone");
    story_task(s, "c", "100");
    story_submit(s, "flow on_failure=finish\n"
                    "a switch=a,b max=4\n"
                    "b: a\n"
                    "c\n");
    story_run_until(s, 60);
    story_lose(s, 1, "a/0");
    assert_int_equal(node_hash(story_node(s)), story_hash_restored(s));
    story_crash(s, false);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start c/0#0 slot 1\n"
            "[   10] start a/0~1#0 slot 0\n"
            "[   20] start a/0~2#0 slot 0\n"
            "[   20] start a/0~2#0 slot 0\n"
            "[   60] lose a/0\n"
            "[   60] a/0#0 failed, output_lost\n"
            "[   60] run is to be read back\n"
            "[   60] crash\n"
            "[   60] start c/0#0 slot 0\n"
            "[  160] run failed: step 'a': output_lost, its output 'x' was lost\n");
    story_free(s);
}

/* Lost at any moment, with crashes between: the end is that of a run in which nothing
 * was. */
static const char *const sketches[] = {
    "p\nq: p\nr: p\ns: q r\n",
    "split foreach=3\nfit: split\nscore: fit\njoin: score join=split\nend: join\n",
    "data\nouter foreach=2\ninner: outer foreach=2\nfit: inner data retry=2\n"
    "inner_join: fit join=inner\nouter_join: inner_join join=outer\nend: outer_join\n",
    "which switch=left,split\nleft: which\nsplit: which foreach=2\nfit: split\n"
    "join: fit join=split\nend: left join\n",
};
static const char *const victims[][4] = {
    { "p/0", "q/0", "s/0", "r/0" },
    { "split/0", "fit/1", "score/2", "join/0" },
    { "data/0", "outer/0", "inner/1", "fit/1.1" },
    { "which/0", "split/0", "fit/1", "join/0" },
};

static void lose_and_end(size_t i, size_t victim, unsigned after, bool is_crashed)
{
    struct story *s = quiet_story(2);
    const char *trace;

    story_task(s, "which", "choose split");
    story_submit(s, sketches[i]);
    for (unsigned n = 0; n < after; n++)
        if (!story_step(s))
            break;
    story_lose(s, 1, victims[i][victim]);
    if (is_crashed)
        story_crash(s, false);
    story_run(s);
    trace = story_trace(s);
    if (!strstr(trace, "run ok"))
        fail_msg("sketch %zu, %s lost after %u events%s:\n%s", i, victims[i][victim],
                 after, is_crashed ? ", with a crash" : "", trace);
    story_free(s);
}

static void at_any_moment(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sketches); i++)
        for (size_t victim = 0; victim < 4; victim++)
            for (unsigned after = 0; after < 24; after++) {
                lose_and_end(i, victim, after, false);
                lose_and_end(i, victim, after, true);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_consumed_it_stays_done),
        cmocka_unit_test(an_input_that_is_gone_is_waited_for),
        cmocka_unit_test(an_input_that_comes_back_is_asked_for_again),
        cmocka_unit_test(an_item_of_a_split_that_is_over),
        cmocka_unit_test(who_opened_a_split_that_is_over),
        cmocka_unit_test(lost_for_ever),
        cmocka_unit_test(lost_behind_what_is_lost_for_ever),
        cmocka_unit_test(an_iteration_that_is_over),
        cmocka_unit_test(at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
