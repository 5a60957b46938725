/* SPDX-License-Identifier: Apache-2.0 */
/* A new leader: what runs becomes leases again, what ended is taken if it is wanted. */
#include "tests/unit/unit.h"

#include <signal.h>

#include "tests/unit/crowd.h"

static void told(struct crowd *c, const char *expected)
{
    assert_string_equal(crowd_trace(c), expected);
}

static const char wide[] = "split foreach=?\n"
                           "fit: split\n"
                           "join: fit join=split\n";

static struct crowd *with_ready(uint32_t slots, uint64_t width)
{
    struct crowd *c = crowd_new(slots);

    crowd_submit(c, wide);
    crowd_ended_width(c, "split/0", width);
    crowd_trace(c);
    return c;
}

/* ---- late attempts ---- */

static void a_late_attempt_of_a_ready_task(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_late(c, "fit/1", REASON_OK);
    crowd_ended(c, "fit/0", REASON_OK);
    told(c, "fit/1#0 done\n"
            "fit/0#0 done\n"
            "start join/0#0 slot 0\n"
            "join/0#0 runs\n");
    crowd_free(c);
}

static void a_late_failure_is_charged_and_tried_again(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a\n"
                    "b retry=1 delay=1000\n");
    crowd_trace(c);
    crowd_late(c, "b/0", REASON_EXIT);
    told(c, "b/0#0 failed, exit\n");
    crowd_late(c, "b/0", REASON_OK); /* another one, while it waits */
    crowd_ended(c, "a/0", REASON_OK);
    told(c, "b/0#1 done\n"
            "a/0#0 done\n"
            "run 1 ok\n");
    crowd_free(c);
}

static void a_lease_elsewhere_counts_no_more(void **state)
{
    struct crowd *c = with_ready(1, 3);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_started(c, "fit/1");
    crowd_trace(c);
    crowd_late(c, "fit/1", REASON_OK);
    crowd_late(c, "fit/2", REASON_OK);
    told(c, "end fit/1#0 TERM, lost\n"
            "fit/1#0 done\n"
            "end fit/2#0 TERM, lost\n"
            "fit/2#0 done\n");
    crowd_ended(c, "fit/0", REASON_OK);
    crowd_ended(c, "join/0", REASON_OK);
    told(c, "fit/0#0 done\n"
            "start join/0#0 slot 0\n"
            "join/0#0 runs\n"
            "join/0#0 done\n"
            "run 1 ok\n");
    crowd_free(c);
}

/* It is killed, and the run waits until it is gone, but nothing is written of it. */
static void what_runs_here_counts_no_more(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a\n");
    crowd_trace(c);
    crowd_late(c, "a/0", REASON_OK);
    told(c, "kill a/0#0 TERM, lost\n"
            "a/0#0 done\n");
    crowd_at(c, 1000);
    told(c, "kill a/0#0 KILL, lost\n");
    crowd_ended(c, "a/0", REASON_LOST);
    told(c, "run 1 ok\n");
    crowd_free(c);
}

static void a_late_failure_ends_nothing_that_runs(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    crowd_trace(c);
    crowd_late(c, "fit/0", REASON_EXIT);
    crowd_late(c, "fit/1", REASON_EXIT);
    told(c, "");
    crowd_free(c);
}

static void what_does_not_count_is_ignored(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_late(c, "split/0", REASON_OK); /* done */
    crowd_late(c, "join/0", REASON_OK);  /* not known yet */
    crowd_late(c, "fit/7", REASON_OK);   /* beyond the width */
    crowd_late(c, "fit/1~1", REASON_OK); /* of another iteration */
    crowd_late(c, "fit/1", REASON_LOST); /* ended from outside */
    crowd_late(c, "fit/1", REASON_CANCELLED);
    told(c, "");
    crowd_ended(c, "fit/0", REASON_EXIT);
    crowd_trace(c);
    crowd_free(c);
}

/* ---- leases that a new leader finds ---- */

static void a_new_leader_starts_nothing_twice(void **state)
{
    struct crowd *c = with_ready(1, 5);

    (void)state;
    crowd_take_over(c, 1,
                    (const char *[]){ "fit/1 at 1", "fit/3 waits at 2", "fit/9 at 2",
                                      "split/0 at 2", NULL });
    told(c, "leased fit/1#0 to 1\n"
            "fit/1#0 runs\n"
            "leased fit/3#0 to 2\n"
            "start fit/0#0 slot 0\n"
            "fit/0#0 runs\n");
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    told(c, "lease fit/2#0 to 1\n");
    crowd_ended(c, "fit/1", REASON_OK);
    crowd_started(c, "fit/3");
    crowd_gone(c, 2);
    told(c, "fit/1#0 done\n"
            "lease fit/4#0 to 1\n"
            "fit/3#0 runs\n"
            "fit/3#0 lost, lost\n");
    crowd_free(c);
}

/* Of others it took over more than the user may have: nothing more until that ended. */
static void a_new_leader_keeps_to_caps(void **state)
{
    struct sharing sharing = { .otherwise = { .max_cpu_milli = 1000 } };
    struct crowd *c = crowd_new_shared(4, &sharing);

    (void)state;
    crowd_submit(c, wide);
    crowd_ended_width(c, "split/0", 5);
    crowd_take_over(c, 4, (const char *[]){ "fit/0 at 1", "fit/1 at 2", NULL });
    crowd_trace(c);
    crowd_ended(c, "fit/0", REASON_OK);
    told(c, "fit/0#0 done\n");
    crowd_ended(c, "fit/1", REASON_OK);
    told(c, "fit/1#0 done\n"
            "start fit/2#0 slot 0\n"
            "fit/2#0 runs\n");
    crowd_free(c);
}

static void held_tasks_of_a_suspended_run_come_back(void **state)
{
    struct crowd *c = with_ready(1, 3);
    const char *none[] = { NULL };

    (void)state;
    crowd_take_over(c, 0, none);
    crowd_run_event(c, 1, EVENT_SUSPEND);
    crowd_trace(c);
    crowd_held(c, "fit/0 at 1");
    crowd_held(c, "fit/1 waits at 1");
    told(c, "leased fit/0#0 to 1\n"
            "fit/0#0 runs\n"
            "leased fit/1#0 to 1\n"
            "recall fit/1#0\n");
    crowd_free(c);
}

static void one_that_reports_late_keeps_what_is_ready(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_held(c, "fit/1 at 4");
    told(c, "leased fit/1#0 to 4\n"
            "fit/1#0 runs\n");
    crowd_held(c, "fit/1 at 5"); /* leased to another */
    crowd_held(c, "fit/0 at 5"); /* runs here */
    told(c, "");
    crowd_free(c);
}

static void a_hook_that_runs_is_not_started_again(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a\n"
                    "bye hook=success\n");
    crowd_ended(c, "a/0", REASON_OK);
    crowd_trace(c);
    crowd_take_over(c, 1, (const char *[]){ "bye/0 at 1", NULL });
    told(c, "leased bye/0#0 to 1\n"
            "bye/0#0 runs\n");
    crowd_ended(c, "bye/0", REASON_OK);
    told(c, "bye/0#0 done\n"
            "run 1 ok\n");
    crowd_free(c);
}

/* ---- copies ---- */

static void a_good_end_waits_for_copies(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "flow timeout=60000\n"
                    "a\n");
    crowd_keeping(c, 1, 2);
    crowd_ended(c, "a/0", REASON_OK);
    crowd_keeping(c, 1, -1);
    crowd_at(c, 100000);
    told(c, "start a/0#0 slot 0\n"
            "a/0#0 runs\n"
            "a/0#0 done\n");
    crowd_keeping(c, 1, -1);
    told(c, "run 1 ok\n");
    crowd_free(c);
}

static void a_failed_end_waits_for_none(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a\n");
    crowd_keeping(c, 1, 2);
    crowd_trace(c);
    crowd_ended(c, "a/0", REASON_EXIT);
    told(c, "a/0#0 failed, exit\n"
            "run 1 failed\n");
    crowd_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_attempt_of_a_ready_task),
        cmocka_unit_test(a_late_failure_is_charged_and_tried_again),
        cmocka_unit_test(a_lease_elsewhere_counts_no_more),
        cmocka_unit_test(what_runs_here_counts_no_more),
        cmocka_unit_test(a_late_failure_ends_nothing_that_runs),
        cmocka_unit_test(what_does_not_count_is_ignored),
        cmocka_unit_test(a_new_leader_starts_nothing_twice),
        cmocka_unit_test(a_new_leader_keeps_to_caps),
        cmocka_unit_test(held_tasks_of_a_suspended_run_come_back),
        cmocka_unit_test(one_that_reports_late_keeps_what_is_ready),
        cmocka_unit_test(a_hook_that_runs_is_not_started_again),
        cmocka_unit_test(a_good_end_waits_for_copies),
        cmocka_unit_test(a_failed_end_waits_for_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
