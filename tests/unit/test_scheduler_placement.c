/* SPDX-License-Identifier: Apache-2.0 */
/* Which ready task is next, and in which slot. */
#include "tests/unit/unit.h"

#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

static void lowest_slot(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 3 });

    (void)state;
    story_task(s, "fit/1", "5");
    story_submit(s, "split foreach=5\n"
                    "fit: split\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] split/0#0 done\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   10] start fit/2#0 slot 2\n"
            "[   15] fit/1#0 done\n"
            "[   15] start fit/3#0 slot 1\n"
            "[   20] fit/0#0 done\n"
            "[   20] start fit/4#0 slot 0\n"
            "[   20] fit/2#0 done\n"
            "[   25] fit/3#0 done\n"
            "[   30] fit/4#0 done\n"
            "[   30] start join/0#0 slot 0\n"
            "[   40] join/0#0 done\n"
            "[   40] run ok\n");
    story_free(s);
}

static void concurrency(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 4, .is_quiet = true });

    (void)state;
    story_submit(s, "split foreach=3\n"
                    "fit: split concurrency=1\n"
                    "look: split\n"
                    "join: fit look join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start look/0#0 slot 1\n"
            "[   10] start look/1#0 slot 2\n"
            "[   10] start look/2#0 slot 3\n"
            "[   20] start fit/1#0 slot 0\n"
            "[   30] start fit/2#0 slot 0\n"
            "[   40] start join/0#0 slot 0\n"
            "[   50] run ok\n");
    story_free(s);
}

static void max_workers(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 4, .is_quiet = true });

    (void)state;
    story_submit(s, "flow max_workers=2\n"
                    "split foreach=4\n"
                    "fit: split\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   20] start fit/2#0 slot 0\n"
            "[   20] start fit/3#0 slot 1\n"
            "[   30] start join/0#0 slot 0\n"
            "[   40] run ok\n");
    story_free(s);
}

/* b has the cpu but not the memory; smaller ones go on. */
static void demands_are_vectors(void **state)
{
    struct story *s = story_new(&(struct story_config){
        .slots = 8, .cpu_milli = 4000, .memory_bytes = 100, .is_quiet = true });

    (void)state;
    story_submit(s, "a cpu=3000 memory=10\n"
                    "b cpu=1000 memory=95\n"
                    "c cpu=1000 memory=90\n"
                    "d memory=5\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start c/0#0 slot 1\n"
            "[   10] start d/0#0 slot 0\n"
            "[   10] start b/0#0 slot 1\n"
            "[   20] run ok\n");
    story_free(s);
}

static void cpu_is_one_if_not_asked(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 8, .cpu_milli = 2000, .is_quiet = true });

    (void)state;
    story_submit(s, "a\n"
                    "b\n"
                    "c\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start b/0#0 slot 1\n"
            "[   10] start c/0#0 slot 0\n"
            "[   20] run ok\n");
    story_free(s);
}

static void custom_resources(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 8, .licence_milli = 2000, .is_quiet = true });

    (void)state;
    story_submit(s, "split foreach=3\n"
                    "fit: split licence=1000\n"
                    "join: fit join=split\n");
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   10] start fit/1#0 slot 1\n"
            "[   20] start fit/2#0 slot 0\n"
            "[   30] start join/0#0 slot 0\n"
            "[   40] run ok\n");
    story_free(s);
}

static void fits_no_node(void **state)
{
    struct story *s = story_new(&(struct story_config){ .cpu_milli = 2000 });

    (void)state;
    story_submit(s, "flow on_failure=finish\n"
                    "a cpu=3000\n"
                    "b licence=500\n"
                    "c retry=1 cpu=3000 delay=100\n"
                    "d\n");
    story_run(s);
    told(s, "[    0] a/0#0 failed, start\n"
            "[    0] b/0#0 failed, start\n"
            "[    0] c/0#0 failed, start, again in 100 ms\n"
            "[    0] start d/0#0 slot 0\n"
            "[   10] d/0#0 done\n"
            "[  100] c/0#1 failed, start\n"
            "[  100] run failed: step 'a': start, fits no node: it asks for 3 cpu, "
            "this node has 2\n");
    story_free(s);
}

static void higher_priority_first(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 1, .is_quiet = true });

    (void)state;
    story_submit(s, "a priority=1\n"
                    "b priority=9\n"
                    "c priority=9\n"
                    "d priority=5\n");
    story_run(s);
    told(s, "[    0] start b/0#0 slot 0\n"
            "[   10] start c/0#0 slot 0\n"
            "[   20] start d/0#0 slot 0\n"
            "[   30] start a/0#0 slot 0\n"
            "[   40] run ok\n");
    story_free(s);
}

static void priority_of_the_run_comes_first(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 1, .is_quiet = true });

    (void)state;
    story_submit(s, "flow priority=4\n"
                    "a priority=9\n"
                    "b priority=9\n");
    story_submit(s, "flow priority=5\n"
                    "c priority=0\n"
                    "d: c priority=0\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start 2:c/0#0 slot 0\n"
            "[   20] start 2:d/0#0 slot 0\n"
            "[   30] start 1:b/0#0 slot 0\n"
            "[   30] run 2 ok\n"
            "[   40] run 1 ok\n");
    story_free(s);
}

static void runs_take_turns(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 1, .is_quiet = true });

    (void)state;
    story_submit(s, "a\n"
                    "b\n"
                    "c\n");
    story_submit(s, "d\n"
                    "e cpu=2000\n"
                    "f\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start 2:d/0#0 slot 0\n"
            "[   20] start 1:b/0#0 slot 0\n"
            "[   30] start 2:e/0#0 slot 0\n"
            "[   40] start 1:c/0#0 slot 0\n"
            "[   50] start 2:f/0#0 slot 0\n"
            "[   50] run 1 ok\n"
            "[   60] run 2 ok\n");
    story_free(s);
}

/* It has had nothing yet, the other one half of c since: x is next, and no more. */
static void a_new_run_has_no_credit(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 1, .is_quiet = true });

    (void)state;
    story_submit(s, "a\n"
                    "b\n"
                    "c\n"
                    "d\n"
                    "e\n");
    story_run_until(s, 25);
    story_submit(s, "x\n"
                    "y\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] start c/0#0 slot 0\n"
            "[   30] start 2:x/0#0 slot 0\n"
            "[   40] start 1:d/0#0 slot 0\n"
            "[   50] start 2:y/0#0 slot 0\n"
            "[   60] start 1:e/0#0 slot 0\n"
            "[   60] run 2 ok\n"
            "[   70] run 1 ok\n");
    story_free(s);
}

static void full_runs_leave_room(void **state)
{
    struct story *s = story_new(&(struct story_config){ .slots = 2, .is_quiet = true });

    (void)state;
    story_submit(s, "flow max_workers=1\n"
                    "a\n"
                    "b\n");
    story_submit(s, "c\n"
                    "d\n"
                    "e\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start 2:c/0#0 slot 1\n"
            "[   10] start 1:b/0#0 slot 0\n"
            "[   10] start 2:d/0#0 slot 1\n"
            "[   20] start 2:e/0#0 slot 0\n"
            "[   20] run 1 ok\n"
            "[   30] run 2 ok\n");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowest_slot),
        cmocka_unit_test(concurrency),
        cmocka_unit_test(max_workers),
        cmocka_unit_test(demands_are_vectors),
        cmocka_unit_test(cpu_is_one_if_not_asked),
        cmocka_unit_test(custom_resources),
        cmocka_unit_test(fits_no_node),
        cmocka_unit_test(higher_priority_first),
        cmocka_unit_test(priority_of_the_run_comes_first),
        cmocka_unit_test(runs_take_turns),
        cmocka_unit_test(a_new_run_has_no_credit),
        cmocka_unit_test(full_runs_leave_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
