/* SPDX-License-Identifier: Apache-2.0 */
/* What a node carries out for other leaders. */
#include "tests/unit/unit.h"

#include <signal.h>

#include "tests/unit/crowd.h"

static void told(struct crowd *c, const char *expected)
{
    assert_string_equal(crowd_trace(c), expected);
}

static void guests_come_before_own_tasks(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a\n"
                    "b\n");
    crowd_guest(c, 7, "x\n", "x/0");
    crowd_guest(c, 8, "y timeout=500\n", "y/0");
    told(c, "start a/0#0 slot 0\n"
            "a/0#0 runs\n");
    crowd_ended(c, "a/0", REASON_OK);
    told(c, "a/0#0 done\n"
            "start 2:x/0#0 slot 0\n"
            "guest 7 started slot 0\n");
    crowd_ended(c, "2:x/0", REASON_OK);
    told(c, "guest 7 ended, ok\n"
            "start 3:y/0#0 slot 0\n"
            "guest 8 started slot 0\n");
    crowd_at(c, 500);
    crowd_at(c, 1500);
    crowd_ended(c, "3:y/0", REASON_TIMEOUT);
    told(c, "kill 3:y/0#0 TERM, timeout\n"
            "kill 3:y/0#0 KILL, timeout\n"
            "guest 8 ended, timeout\n"
            "start b/0#0 slot 0\n"
            "b/0#0 runs\n");
    crowd_free(c);
}

/* The first needs all there is; the small one behind it does not wait for that. */
static void small_guests_pass_large_ones(void **state)
{
    struct crowd *c = crowd_new(3);
    uint32_t n_waiting, n_running;

    (void)state;
    crowd_submit(c, "a cpu=600000\n");
    crowd_guest(c, 1, "x cpu=900000\n", "x/0");
    crowd_guest(c, 2, "y cpu=100000\n", "y/0");
    crowd_guest(c, 3, "z cpu=900000\n", "z/0");
    told(c, "start a/0#0 slot 0\n"
            "a/0#0 runs\n"
            "start 3:y/0#0 slot 1\n"
            "guest 2 started slot 1\n");
    node_guests(crowd_node(c), &n_waiting, &n_running);
    assert_int_equal(n_waiting, 2);
    assert_int_equal(n_running, 1);
    crowd_ended(c, "a/0", REASON_OK);
    told(c, "a/0#0 done\n"
            "start 2:x/0#0 slot 0\n"
            "guest 1 started slot 0\n"
            "run 1 ok\n");
    crowd_free(c);
}

static void who_came_first_is_first(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a\n");
    crowd_guest(c, 1, "x cpu=2000\n", "x/0");
    crowd_guest(c, 2, "y cpu=1000\n", "y/0");
    crowd_trace(c);
    crowd_ended(c, "a/0", REASON_OK);
    told(c, "a/0#0 done\n"
            "start 2:x/0#0 slot 0\n"
            "guest 1 started slot 0\n"
            "run 1 ok\n");
    crowd_free(c);
}

static void what_can_never_run_here_is_returned(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_guest(c, 1, "x gpu=1000\n", "x/0");
    crowd_guest(c, 2, "x licence=1000\n", "x/0");
    told(c, "guest 1 returned\n"
            "guest 2 returned\n");
    crowd_free(c);
}

static void its_leader_ends_a_guest(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_guest(c, 1, "x\n", "x/0");
    crowd_guest(c, 2, "y\n", "y/0");
    crowd_guest(c, 3, "z\n", "z/0");
    crowd_guest_end(c, 1, 0); /* it runs: it may go on */
    crowd_guest_end(c, 2, 0);
    crowd_guest_end(c, 3, SIGTERM);
    crowd_guest_end(c, 4, SIGTERM); /* who is that? */
    crowd_guest_end(c, 1, SIGTERM);
    crowd_ended(c, "x/0", REASON_CANCELLED);
    told(c, "start x/0#0 slot 0\n"
            "guest 1 started slot 0\n"
            "guest 2 returned\n"
            "guest 3 returned\n"
            "kill x/0#0 TERM, cancelled\n"
            "guest 1 ended, cancelled\n");
    crowd_free(c);
}

static void a_node_that_drains(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    crowd_guest(c, 1, "x\n", "x/0");
    crowd_guest(c, 2, "y\n", "y/0");
    crowd_trace(c);
    crowd_drain(c, true);
    told(c, "guest 2 returned\n");
    crowd_guest(c, 3, "z\n", "z/0");
    crowd_submit(c, "a\n"
                    "b\n");
    told(c, "guest 3 returned\n"
            "lease 4:a/0#0 to 1\n");
    crowd_ended(c, "x/0", REASON_OK);
    told(c, "guest 1 ended, ok\n");
    crowd_drain(c, false);
    told(c, "start 4:b/0#0 slot 0\n"
            "4:b/0#0 runs\n");
    crowd_free(c);
}

/* ---- a run that is led elsewhere now ---- */

static void a_dropped_run_goes_on_as_guests(void **state)
{
    struct crowd *c = crowd_new(2);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_submit(c, "a timeout=500\n"
                    "b\n"
                    "c\n"
                    "d\n"
                    "e\n");
    crowd_trace(c);
    crowd_run_event(c, 1, EVENT_DROP);
    told(c, "guest dropped 1 is slot 0\n"
            "guest dropped 2 is slot 1\n");
    assert_int_equal(node_runs(crowd_node(c)), 0);
    crowd_submit(c, "x\n"
                    "y\n"
                    "z\n");
    told(c, "lease 2:x/0#0 to 1\n"
            "lease 2:y/0#0 to 1\n");
    crowd_at(c, 500);
    crowd_slot_ended(c, 0, REASON_TIMEOUT);
    crowd_guest_end(c, GUEST_DROPPED | 2, SIGKILL);
    crowd_slot_ended(c, 1, REASON_CANCELLED);
    told(c, "kill a/0#0 TERM, timeout\n"
            "guest dropped 1 ended, timeout\n"
            "start 2:z/0#0 slot 0\n"
            "2:z/0#0 runs\n"
            "kill c/0#0 KILL, cancelled\n"
            "guest dropped 2 ended, cancelled\n");
    crowd_free(c);
}

/* A guest is nobody's: what its user may have is free for others. */
static void a_dropped_run_holds_no_share(void **state)
{
    struct crowd *c = crowd_new(2);
    struct user_view user;

    (void)state;
    crowd_submit(c, "a\n");
    crowd_submit(c, "b\n");
    crowd_run_event(c, 1, EVENT_DROP);
    assert_true(node_user_at(crowd_node(c), 0, &user));
    assert_int_equal(user.n_running, 1);
    assert_int_equal(user.cpu_milli, 1000);
    assert_int_equal(node_claims(crowd_node(c)).n_slots, 2);
    crowd_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guests_come_before_own_tasks),
        cmocka_unit_test(small_guests_pass_large_ones),
        cmocka_unit_test(who_came_first_is_first),
        cmocka_unit_test(what_can_never_run_here_is_returned),
        cmocka_unit_test(its_leader_ends_a_guest),
        cmocka_unit_test(a_node_that_drains),
        cmocka_unit_test(a_dropped_run_goes_on_as_guests),
        cmocka_unit_test(a_dropped_run_holds_no_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
