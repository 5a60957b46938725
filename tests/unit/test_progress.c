/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static const char *const names[] = { "start", "fit" };

static void begin(struct progress *p)
{
    *p = (struct progress){ .flow = NULL };
    assert_int_equal(progress_begin(p, "Train", 7, names, ARRAY_SIZE(names)), 0);
}

/* `fit` has done so many of 1,000, with two running. */
static void at(struct progress *p, time_us now, uint64_t done)
{
    progress_count(p, 1,
                   &(struct progress_counts){ .known = 1000,
                                              .done = done,
                                              .running = done < 1000 ? 2 : 0,
                                              .ready = done < 998 ? 998 - done : 0 });
    progress_sample(p, now);
}

static void assert_near(double got, double wanted)
{
    if (fabs(got - wanted) > wanted * 0.1)
        fail_msg("%g is not near %g", got, wanted);
}

static void a_steady_step_has_its_rate(void **state)
{
    struct progress p;

    (void)state;
    begin(&p);
    for (uint64_t i = 0; i <= 100; i++)
        at(&p, TIME_S(100) + i * TIME_MS(100), i * 5);
    assert_near(p.steps[1].rate, 50);
    assert_near(p.all.rate, 50);
    assert_near((double)progress_left(&p.steps[1]), 10e6);
    at(&p, TIME_S(120), 1000);
    assert_true(progress_left(&p.steps[1]) == TIME_NEVER);
    progress_release(&p);
}

static void a_new_rate_takes_over(void **state)
{
    struct progress p;
    uint64_t i;

    (void)state;
    begin(&p);
    for (i = 0; i <= 100; i++)
        at(&p, TIME_S(100) + i * TIME_MS(100), i * 5);
    for (i = 0; i <= 900; i++)
        at(&p, TIME_S(110) + i * TIME_MS(100), 500 + i / 10);
    assert_near(p.steps[1].rate, 1);
    progress_release(&p);
}

/* Tasks of a minute: the rate does not jump between two ends. */
static void slow_tasks_have_a_steady_rate(void **state)
{
    struct progress p;

    (void)state;
    begin(&p);
    for (uint64_t s = 0; s < 1200; s++) {
        at(&p, TIME_S(100 + s), s / 60);
        if (s > 300 && fabs(p.steps[1].rate * 60 - 1) > 0.3)
            fail_msg("%g in a minute, after %d s", p.steps[1].rate * 60, (int)s);
    }
    progress_release(&p);
}

/* Who comes late knows no rate before a second look. */
static void what_was_done_before_is_no_rate(void **state)
{
    struct progress p;

    (void)state;
    begin(&p);
    at(&p, TIME_S(100), 500);
    assert_true(p.steps[1].rate <= 0);
    assert_true(progress_left(&p.steps[1]) == TIME_NEVER);
    at(&p, TIME_S(101), 510);
    assert_near(p.steps[1].rate, 10);
    /* Waiting for others is not slowness. */
    for (uint64_t s = 0; s < 100; s++) {
        progress_count(&p, 1, &(struct progress_counts){ .known = 1000, .done = 510 });
        progress_sample(&p, TIME_S(102 + s));
    }
    assert_near(p.steps[1].rate, 10);
    progress_release(&p);
}

static void tell(struct progress *p, enum feed_type type, const char *task,
                 uint32_t pid)
{
    struct feed_event e = { .type = type, .step = "fit", .pid = pid, .wall = pid };

    progress_event(p, &e, task);
}

static void who_runs_is_known(void **state)
{
    struct progress p;

    (void)state;
    begin(&p);
    tell(&p, FEED_TASK_STARTED, "3", 33);
    tell(&p, FEED_TASK_STARTED, "1", 11);
    tell(&p, FEED_TASK_STARTED, "3", 34); /* again: it is the youngest now */
    tell(&p, FEED_TASK_ENDED, "9", 99);
    assert_non_null(progress_task(&p, "fit/1"));
    assert_null(progress_task(&p, "fit/9"));
    assert_string_equal(p.running->name, "fit/1");
    assert_int_equal(progress_task(&p, "fit/3")->pid, 34);
    assert_int_equal(p.running->step, 1);
    tell(&p, FEED_TASK_ENDED, "1", 11);
    assert_null(progress_task(&p, "fit/1"));
    progress_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_step_has_its_rate),
        cmocka_unit_test(a_new_rate_takes_over),
        cmocka_unit_test(slow_tasks_have_a_steady_rate),
        cmocka_unit_test(what_was_done_before_is_no_rate),
        cmocka_unit_test(who_runs_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
