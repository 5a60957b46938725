/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "base/buffer.h"
#include "node/api/measure.h"
#include "node/api/usage.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct attempt_record used(uint64_t memory, uint64_t cpu_milli, time_us took)
{
    return (struct attempt_record){ .verdict = VERDICT_DONE,
                                    .reason = REASON_OK,
                                    .started_wall = TIME_S(5),
                                    .ended_wall = TIME_S(5) + took,
                                    .max_rss_bytes = memory,
                                    .cpu_us = took / 1000 * cpu_milli };
}

static void add(struct usage *u, struct attempt_record a)
{
    assert_int_equal(usage_add(u, &a), 0);
}

/* ---- as a person writes ---- */

static void expect_bytes(uint64_t bytes, const char *text)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    measure_bytes(measure_round_bytes(bytes), &out);
    assert_string_equal(buffer_text(&out), text);
    assert_true(measure_round_bytes(bytes) >= bytes);
}

static void expect_time(time_us time, const char *text)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    measure_time(measure_round_time(time), &out);
    assert_string_equal(buffer_text(&out), text);
}

static void sizes_are_rounded_up(void **state)
{
    (void)state;
    expect_bytes(1, "16M");
    expect_bytes(100 * MIB, "112M");
    expect_bytes(256 * MIB, "256M");
    expect_bytes(257 * MIB, "320M");
    expect_bytes(GIB, "1G");
    expect_bytes(GIB + 1, "1536M");
    expect_bytes(7 * GIB + 1, "7680M");
    expect_bytes(8 * GIB + 1, "9G");
    expect_bytes(65 * GIB, "72G");
    assert_int_equal(measure_round_bytes(UINT64_MAX), UINT64_MAX);
}

static void times_are_rounded_up(void **state)
{
    (void)state;
    expect_time(1, "30s");
    expect_time(TIME_S(31), "1m");
    expect_time(TIME_S(301), "10m");
    expect_time(TIME_S(3601), "90m");
    expect_time(TIME_S(7200), "2h");
    expect_time(TIME_S(86401), "25h");
    expect_time(TIME_S(2 * 86400), "2d");
}

static void processors_are_rounded_with_some_noise(void **state)
{
    (void)state;
    assert_int_equal(measure_round_cpu(3), 250);
    assert_int_equal(measure_round_cpu(251), 500);
    assert_int_equal(measure_round_cpu(980), 1000);
    assert_int_equal(measure_round_cpu(1080), 1000);
    assert_int_equal(measure_round_cpu(1200), 2000);
    assert_int_equal(measure_round_cpu(7900), 8000);
}

/* ---- spread ---- */

static void a_spread_is_of_values_that_were_seen(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    struct usage_spread s = usage_spread(&u.memory);

    (void)state;
    assert_int_equal(s.max, 0);
    for (uint64_t i = 100; i > 0; i--)
        add(&u, used(i, 1000, TIME_S(2)));
    s = usage_spread(&u.memory);
    assert_int_equal(s.median, 50);
    assert_int_equal(s.p95, 95);
    assert_int_equal(s.max, 100);
}

static void one_value_is_all_of_its_spread(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    struct usage_spread s;

    (void)state;
    add(&u, used(7, 1000, TIME_S(2)));
    s = usage_spread(&u.memory);
    assert_int_equal(s.median, 7);
    assert_int_equal(s.p95, 7);
    assert_int_equal(s.max, 7);
}

/* ---- advice ---- */

static void what_fits_is_left_alone(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    const struct step step = {
        .resources = { .cpu_milli = 1000, .memory_bytes = 640 * MIB },
        .timeout_us = TIME_S(60),
    };
    struct usage_advice a;

    (void)state;
    add(&u, used(500 * MIB, 990, TIME_S(20)));
    a = usage_advise(&u, &step);
    assert_int_equal(a.memory_bytes, 0);
    assert_int_equal(a.cpu_milli, 0);
    assert_int_equal(a.timeout_us, 0);
}

static void memory_gets_a_quarter_more_than_the_largest(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    struct step step = { .resources = { .cpu_milli = 1000 } };

    (void)state;
    for (int i = 0; i < 60; i++)
        add(&u, used(200 * MIB, 990, TIME_S(2)));
    add(&u, used(400 * MIB, 990, TIME_S(2)));
    assert_int_equal(usage_advise(&u, &step).memory_bytes, 512 * MIB);
    step.resources.memory_bytes = 8 * GIB;
    assert_int_equal(usage_advise(&u, &step).memory_bytes, 512 * MIB);
    step.resources.memory_bytes = 450 * MIB;
    assert_int_equal(usage_advise(&u, &step).memory_bytes, 512 * MIB);
}

static void a_task_killed_for_memory_doubles_it(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    const struct step step = { .resources = { .memory_bytes = 512 * MIB } };
    struct attempt_record a = used(500 * MIB, 990, TIME_S(2));

    (void)state;
    a.verdict = VERDICT_FAILED;
    a.reason = REASON_OOM;
    add(&u, a);
    assert_int_equal(usage_advise(&u, &step).memory_bytes, GIB);
}

static void processors_are_what_all_but_few_kept_busy(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    const struct step step = { .resources = { .cpu_milli = 1000 } };

    (void)state;
    for (int i = 0; i < 98; i++)
        add(&u, used(MIB, 1900, TIME_S(2)));
    add(&u, used(MIB, 7000, TIME_S(2)));
    assert_int_equal(usage_advise(&u, &step).cpu_milli, 2000);
}

static void short_tasks_say_nothing_of_processors(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    const struct step step = { .resources = { .cpu_milli = 4000 } };

    (void)state;
    add(&u, used(MIB, 100, TIME_MS(999)));
    assert_int_equal(usage_advise(&u, &step).cpu_milli, 0);
    assert_int_equal(usage_advise(&u, &step).timeout_us, 0);
    assert_int_equal(u.n_short, 1);
    add(&u, used(MIB, 100, TIME_S(1)));
    assert_int_equal(usage_advise(&u, &step).cpu_milli, 250);
}

static void a_timeout_has_room(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    struct step step = { .timeout_us = 0 };

    (void)state;
    add(&u, used(MIB, 100, TIME_S(100)));
    assert_int_equal(usage_advise(&u, &step).timeout_us, TIME_S(300));
    step.timeout_us = TIME_S(150); /* that is close */
    assert_int_equal(usage_advise(&u, &step).timeout_us, TIME_S(300));
    step.timeout_us = TIME_S(200);
    assert_int_equal(usage_advise(&u, &step).timeout_us, 0);
}

static void adopted_tasks_used_nothing_here(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    struct attempt_record a = used(MIB, 100, TIME_S(100));

    (void)state;
    a.verdict = VERDICT_ADOPTED;
    add(&u, a);
    assert_int_equal(u.n, 0);
    assert_int_equal(u.n_adopted, 1);
    assert_int_equal(u.memory.n, 0);
}

/* ---- as JSON ---- */

static void lines_keep_what_else_was_asked(void **state)
{
    CLEANUP(usage_release) struct usage u = { .n = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct emit e = { .out = &out };
    char *names[] = { (char *)"licence" };
    const struct flow flow = { .custom_names = names, .n_custom_names = 1 };
    const struct step step = {
        .name = (char *)"fit",
        .resources = { .cpu_milli = 1500,
                       .gpu_milli = 1000,
                       .disk_bytes = GIB,
                       .custom = { { .name = 0, .milli = 2000 } },
                       .n_custom = 1 },
    };

    (void)state;
    add(&u, used(300 * MIB, 3000, TIME_S(50)));
    usage_emit(&e, &u, &flow, &step);
    assert_non_null(strstr(buffer_text(&out),
                           "\"lines\":[\"resources: {cpu: 3, memory: 384M, disk: 1G, "
                           "gpu: 1, custom: {licence: 2}}\",\"timeout: 150s\"]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_rounded_up),
        cmocka_unit_test(times_are_rounded_up),
        cmocka_unit_test(processors_are_rounded_with_some_noise),
        cmocka_unit_test(a_spread_is_of_values_that_were_seen),
        cmocka_unit_test(one_value_is_all_of_its_spread),
        cmocka_unit_test(what_fits_is_left_alone),
        cmocka_unit_test(memory_gets_a_quarter_more_than_the_largest),
        cmocka_unit_test(a_task_killed_for_memory_doubles_it),
        cmocka_unit_test(processors_are_what_all_but_few_kept_busy),
        cmocka_unit_test(short_tasks_say_nothing_of_processors),
        cmocka_unit_test(a_timeout_has_room),
        cmocka_unit_test(adopted_tasks_used_nothing_here),
        cmocka_unit_test(lines_keep_what_else_was_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
