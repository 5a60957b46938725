/* SPDX-License-Identifier: Apache-2.0 */
/* Which tasks become ready, or are skipped, when others are done. */
#include "tests/unit/unit.h"

#include "base/buffer.h"
#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

/* Ends that are done are not told. */
static struct story *quiet_story(uint32_t slots)
{
    return story_new(&(struct story_config){ .slots = slots, .is_quiet = true });
}

static struct run_view view(struct story *s)
{
    struct run_view v;

    assert_true(node_run(story_node(s), story_run_id(s, 1), &v));
    return v;
}

static void linear(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n"
                    "b: a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] b/0#0 done\n"
            "[   20] run ok\n");
    story_free(s);
}

static void branches_meet(void **state)
{
    struct story *s = quiet_story(4);

    (void)state;
    story_task(s, "c", "30");
    story_submit(s, "a\n"
                    "b: a\n"
                    "c: a\n"
                    "d: b c\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   10] start c/0#0 slot 1\n"
            "[   40] start d/0#0 slot 0\n"
            "[   50] run ok\n");
    story_free(s);
}

static void several_sources_and_sinks(void **state)
{
    struct story *s = quiet_story(4);

    (void)state;
    story_submit(s, "a\n"
                    "b\n"
                    "c: a b\n"
                    "d: a\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] start d/0#0 slot 0\n"
            "[   10] start c/0#0 slot 1\n"
            "[   20] run ok\n");
    story_free(s);
}

static void foreach_closes(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "fit/0", "40");
    story_submit(s, "split foreach=3\n"
                    "fit: split\n"
                    "score: fit\n"
                    "join: score join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   20] start score/1#0 slot 1\n"
            "[   30] start fit/2#0 slot 1\n"
            "[   40] start score/2#0 slot 1\n"
            "[   50] start score/0#0 slot 0\n"
            "[   60] start join/0#0 slot 0\n"
            "[   70] run ok\n");
    story_free(s);
}

static void foreach_nests(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "inner/0", "width 2");
    story_task(s, "inner/1", "width 1");
    story_submit(s, "outer foreach=2\n"
                    "inner: outer foreach=?\n"
                    "fit: inner\n"
                    "inner_join: fit join=inner\n"
                    "outer_join: inner_join join=outer\n"
                    "end: outer_join\n");
    story_run(s);
    told(s, "[    0] start outer/0#0 slot 0\n"
            "[   10] start inner/0#0 slot 0\n"
            "[   10] start inner/1#0 slot 1\n"
            "[   20] start fit/0.0#0 slot 0\n"
            "[   20] start fit/0.1#0 slot 1\n"
            "[   30] start fit/1.0#0 slot 0\n"
            "[   30] start inner_join/0#0 slot 1\n"
            "[   40] start inner_join/1#0 slot 0\n"
            "[   50] start outer_join/0#0 slot 0\n"
            "[   60] start end/0#0 slot 0\n"
            "[   70] run ok\n");
    story_free(s);
}

static void empty_foreach_goes_to_its_join(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "inner/0", "width 0");
    story_task(s, "inner/1", "width 1");
    story_submit(s, "outer foreach=2\n"
                    "inner: outer foreach=?\n"
                    "fit: inner\n"
                    "inner_join: fit join=inner\n"
                    "outer_join: inner_join join=outer\n");
    story_run(s);
    told(s, "[    0] start outer/0#0 slot 0\n"
            "[   10] start inner/0#0 slot 0\n"
            "[   10] start inner/1#0 slot 1\n"
            "[   20] start inner_join/0#0 slot 0\n"
            "[   20] start fit/1.0#0 slot 1\n"
            "[   30] start inner_join/1#0 slot 0\n"
            "[   40] start outer_join/0#0 slot 0\n"
            "[   50] run ok\n");
    story_submit(s, "split foreach=0\n"
                    "fit: split\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[   50] start 2:split/0#0 slot 0\n"
            "[   60] start 2:join/0#0 slot 0\n"
            "[   70] run 2 ok\n");
    story_free(s);
}

/* The instance is there before all that it waits for is. */
static void scope_waits_for_a_step_above(void **state)
{
    struct story *s = quiet_story(4);

    (void)state;
    story_task(s, "data", "50");
    story_submit(s, "data\n"
                    "split foreach=2\n"
                    "warm: split\n"
                    "fit: warm data\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start data/0#0 slot 0\n"
            "[    0] start split/0#0 slot 1\n"
            "[   10] start warm/0#0 slot 1\n"
            "[   10] start warm/1#0 slot 2\n"
            "[   50] start fit/0#0 slot 0\n"
            "[   50] start fit/1#0 slot 1\n"
            "[   60] start join/0#0 slot 0\n"
            "[   70] run ok\n");
    story_free(s);
}

static void nested_scope_waits_for_steps_above(void **state)
{
    struct story *s = quiet_story(8);

    (void)state;
    story_task(s, "data", "50");
    story_task(s, "group/0", "60");
    story_submit(s, "data\n"
                    "outer foreach=2\n"
                    "group: outer\n"
                    "inner: outer foreach=2\n"
                    "fit: inner group data\n"
                    "inner_join: fit join=inner\n"
                    "outer_join: inner_join group join=outer\n");
    story_run(s);
    told(s, "[    0] start data/0#0 slot 0\n"
            "[    0] start outer/0#0 slot 1\n"
            "[   10] start group/0#0 slot 1\n"
            "[   10] start group/1#0 slot 2\n"
            "[   10] start inner/0#0 slot 3\n"
            "[   10] start inner/1#0 slot 4\n"
            "[   50] start fit/1.0#0 slot 0\n"
            "[   50] start fit/1.1#0 slot 2\n"
            "[   60] start inner_join/1#0 slot 0\n"
            "[   70] start fit/0.0#0 slot 0\n"
            "[   70] start fit/0.1#0 slot 1\n"
            "[   80] start inner_join/0#0 slot 0\n"
            "[   90] start outer_join/0#0 slot 0\n"
            "[  100] run ok\n");
    story_free(s);
}

static void join_waits_for_its_opener_too(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_submit(s, "split foreach=2\n"
                    "fit: split\n"
                    "other\n"
                    "join: split fit other join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[    0] start other/0#0 slot 1\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   20] start join/0#0 slot 0\n"
            "[   30] run ok\n");
    story_free(s);
}

static void two_steps_close_one_scope(void **state)
{
    struct story *s = quiet_story(4);

    (void)state;
    story_task(s, "b/1", "70");
    story_submit(s, "split foreach=2\n"
                    "a: split\n"
                    "b: split\n"
                    "join: a b join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start a/0#0 slot 0\n"
            "[   10] start a/1#0 slot 1\n"
            "[   10] start b/0#0 slot 2\n"
            "[   10] start b/1#0 slot 3\n"
            "[   80] start join/0#0 slot 0\n"
            "[   90] run ok\n");
    story_free(s);
}

static void switch_takes_one_way(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "which", "choose bad");
    story_submit(s, "which switch=good,bad\n"
                    "good: which\n"
                    "better: good\n"
                    "bad: which\n"
                    "end: better bad\n");
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] start bad/0#0 slot 0\n"
            "[   20] start end/0#0 slot 0\n"
            "[   30] run ok\n");
    story_free(s);
}

static void switch_takes_the_default(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "which", "choose nonsense");
    story_submit(s, "which switch=good,bad default=good\n"
                    "good: which\n"
                    "bad: which\n"
                    "end: good bad\n");
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] start good/0#0 slot 0\n"
            "[   20] start end/0#0 slot 0\n"
            "[   30] run ok\n");
    story_free(s);
}

static void switch_in_a_foreach(void **state)
{
    struct story *s = quiet_story(3);

    (void)state;
    story_task(s, "which/0", "choose good");
    story_task(s, "which/1", "choose bad");
    story_task(s, "which/2", "choose good");
    story_submit(s, "split foreach=3\n"
                    "which: split switch=good,bad\n"
                    "good: which\n"
                    "bad: which\n"
                    "meet: good bad\n"
                    "join: meet join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start which/0#0 slot 0\n"
            "[   10] start which/1#0 slot 1\n"
            "[   10] start which/2#0 slot 2\n"
            "[   20] start good/0#0 slot 0\n"
            "[   20] start bad/1#0 slot 1\n"
            "[   20] start good/2#0 slot 2\n"
            "[   30] start meet/0#0 slot 0\n"
            "[   30] start meet/1#0 slot 1\n"
            "[   30] start meet/2#0 slot 2\n"
            "[   40] start join/0#0 slot 0\n"
            "[   50] run ok\n");
    story_free(s);
}

/* The foreach on the way that was not taken is dead from its split to its join. */
static void dead_path_through_a_foreach(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "which", "choose short");
    story_submit(s, "which switch=short,split\n"
                    "short: which\n"
                    "split: which foreach=1000000\n"
                    "fit: split\n"
                    "join: fit join=split\n"
                    "after: join\n"
                    "end: short after\n");
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] start short/0#0 slot 0\n"
            "[   20] start end/0#0 slot 0\n"
            "[   30] run ok\n");
    story_free(s);
}

/* The split is done and not empty, but nothing that its join waits for is alive. */
static void dead_path_below_a_split(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "which", "choose rest");
    story_submit(s, "start\n"
                    "split: start foreach=2\n"
                    "which: split switch=fit,rest\n"
                    "fit: which\n"
                    "rest: which\n"
                    "join: fit join=split\n"
                    "end: start join\n");
    story_run(s);
    told(s, "[    0] start start/0#0 slot 0\n"
            "[   10] start split/0#0 slot 0\n"
            "[   20] start which/0#0 slot 0\n"
            "[   20] start which/1#0 slot 1\n"
            "[   30] start rest/0#0 slot 0\n"
            "[   30] start rest/1#0 slot 1\n"
            "[   40] start end/0#0 slot 0\n"
            "[   50] run ok\n");
    story_free(s);
}

static void switch_returns_to_itself(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "loop/0#", "choose again");
    story_task(s, "loop/0~1#", "choose again");
    story_task(s, "loop/0~2#", "choose end");
    story_submit(s, "start\n"
                    "loop: start switch=again,end max=3\n"
                    "end: loop\n");
    story_run(s);
    told(s, "[    0] start start/0#0 slot 0\n"
            "[   10] start loop/0#0 slot 0\n"
            "[   20] start loop/0~1#0 slot 0\n"
            "[   30] start loop/0~2#0 slot 0\n"
            "[   40] start end/0#0 slot 0\n"
            "[   50] run ok\n");
    story_free(s);
}

static void switch_returns_too_often(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "loop/0", "choose again");
    story_submit(s, "loop switch=again,end max=2\n"
                    "end: loop\n");
    story_run(s);
    told(s, "[    0] start loop/0#0 slot 0\n"
            "[   10] start loop/0~1#0 slot 0\n"
            "[   20] loop/0~1#0 failed, choice\n"
            "[   20] run failed: step 'loop', task 0~1: choice, it chose itself once "
            "more after 2 iterations\n");
    story_free(s);
}

static void switch_names_no_case(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "which", "choose nonsense");
    story_submit(s, "which switch=a,b\n"
                    "a: which\n"
                    "b: which\n");
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] which/0#0 failed, choice\n"
            "[   10] run failed: step 'which': choice, the switch has no case "
            "'nonsense'\n");
    story_free(s);
}

static void foreach_of_no_list(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_submit(s, "split foreach=?\n"
                    "fit: split\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] split/0#0 failed, width\n"
            "[   10] run failed: step 'split': width, 'items' is no list\n");
    story_free(s);
}

static char *chain_behind_a_switch(unsigned n)
{
    struct buffer out = BUFFER_INIT;

    buffer_puts(&out, "which switch=end,s0\n"
                      "s0: which\n");
    for (unsigned i = 1; i < n; i++)
        buffer_printf(&out, "s%u: s%u\n", i, i - 1);
    buffer_printf(&out, "end: which s%u\n", n - 1);
    return buffer_take(&out);
}

static void long_chain_of_dead_steps(void **state)
{
    struct story *s = quiet_story(2);
    char *sketch = chain_behind_a_switch(3000);

    (void)state;
    story_task(s, "which", "choose end");
    story_submit(s, sketch);
    free(sketch);
    story_run_until(s, 15);
    assert_int_equal(view(s).n_skipped, 3000);
    story_run(s);
    told(s, "[    0] start which/0#0 slot 0\n"
            "[   10] start end/0#0 slot 0\n"
            "[   20] run ok\n");
    story_free(s);
}

static void many_meet_in_one(void **state)
{
    struct story *s = quiet_story(16);
    struct buffer sketch = BUFFER_INIT;

    (void)state;
    buffer_puts(&sketch, "start\n");
    for (unsigned i = 0; i < 1000; i++)
        buffer_printf(&sketch, "s%u: start\n", i);
    buffer_puts(&sketch, "end:");
    for (unsigned i = 1000; i-- > 0;)
        buffer_printf(&sketch, " s%u", i);
    story_submit(s, sketch.data);
    buffer_release(&sketch);
    story_run_until(s, 10 + 62 * 10 + 5);
    assert_int_equal(view(s).n_done, 1 + 62 * 16);
    story_trace(s);
    story_run(s);
    told(s, "[  640] start end/0#0 slot 0\n"
            "[  650] run ok\n");
    story_free(s);
}

/* What was begun is finished before more is begun: few instances are alive. */
static void deeper_tasks_come_first(void **state)
{
    struct story *s = quiet_story(1);

    (void)state;
    story_submit(s, "outer foreach=2\n"
                    "inner: outer foreach=2\n"
                    "fit: inner\n"
                    "inner_join: fit join=inner\n"
                    "outer_join: inner_join join=outer\n");
    story_run(s);
    told(s, "[    0] start outer/0#0 slot 0\n"
            "[   10] start inner/0#0 slot 0\n"
            "[   20] start fit/0.0#0 slot 0\n"
            "[   30] start fit/0.1#0 slot 0\n"
            "[   40] start inner_join/0#0 slot 0\n"
            "[   50] start inner/1#0 slot 0\n"
            "[   60] start fit/1.0#0 slot 0\n"
            "[   70] start fit/1.1#0 slot 0\n"
            "[   80] start inner_join/1#0 slot 0\n"
            "[   90] start outer_join/0#0 slot 0\n"
            "[  100] run ok\n");
    story_free(s);
}

static void views_count(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 2 });
    struct step_view step;

    (void)state;
    story_submit(s, "split foreach=5\n"
                    "fit: split\n"
                    "join: fit join=split\n");
    assert_int_equal(view(s).n_waiting, 1); /* what is below the split is not known */
    story_run_until(s, 25);
    assert_int_equal(view(s).n_done, 3);
    assert_int_equal(view(s).n_running, 2);
    assert_int_equal(view(s).n_waiting, 2);
    assert_true(node_step_of(story_node(s), story_run_id(s, 1), 1, &step));
    assert_int_equal(step.n_known, 5);
    assert_int_equal(step.n_done, 2);
    assert_int_equal(step.n_running, 2);
    assert_int_equal(step.n_ready, 1);
    assert_false(node_step_of(story_node(s), story_run_id(s, 1), 3, &step));
    story_run(s);
    assert_int_equal(node_runs(story_node(s)), 0);
    story_free(s);
}

static void why_it_waits(struct story *s, uint32_t step, const char *expected)
{
    struct buffer why = BUFFER_INIT;

    assert_int_equal(node_why_waiting(story_node(s), story_run_id(s, 1), step, &why),
                     *expected != '\0');
    assert_string_equal(buffer_text(&why), expected);
    buffer_release(&why);
}

static void views_tell_why(void **state)
{
    struct story *s =
        story_new(&(struct story_config){ .slots = 3, .cpu_milli = 2000 });

    (void)state;
    story_submit(s, "a foreach=4\n"
                    "b: a concurrency=1\n"
                    "c: a cpu=2000\n"
                    "d: a retry=1 delay=1000\n"
                    "e: b c d join=a\n");
    story_task(s, "d/0#0", "1 exit 1");
    story_task(s, "b", "50");
    why_it_waits(s, 1, "upstream: it waits for 'a'");
    why_it_waits(s, 0, "");
    story_run_until(s, 15);
    why_it_waits(s, 1, "concurrency: 1 run, which is its limit");
    why_it_waits(s, 2, "resources: not enough cpu is free");
    story_run_until(s, 65);
    why_it_waits(s, 3, "retry: it waits for its next attempt");
    why_it_waits(s, 4, "upstream: it waits for 'b'");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(branches_meet),
        cmocka_unit_test(several_sources_and_sinks),
        cmocka_unit_test(foreach_closes),
        cmocka_unit_test(foreach_nests),
        cmocka_unit_test(empty_foreach_goes_to_its_join),
        cmocka_unit_test(scope_waits_for_a_step_above),
        cmocka_unit_test(nested_scope_waits_for_steps_above),
        cmocka_unit_test(join_waits_for_its_opener_too),
        cmocka_unit_test(two_steps_close_one_scope),
        cmocka_unit_test(switch_takes_one_way),
        cmocka_unit_test(switch_takes_the_default),
        cmocka_unit_test(switch_in_a_foreach),
        cmocka_unit_test(dead_path_through_a_foreach),
        cmocka_unit_test(dead_path_below_a_split),
        cmocka_unit_test(switch_returns_to_itself),
        cmocka_unit_test(switch_returns_too_often),
        cmocka_unit_test(switch_names_no_case),
        cmocka_unit_test(foreach_of_no_list),
        cmocka_unit_test(long_chain_of_dead_steps),
        cmocka_unit_test(many_meet_in_one),
        cmocka_unit_test(deeper_tasks_come_first),
        cmocka_unit_test(views_count),
        cmocka_unit_test(views_tell_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
