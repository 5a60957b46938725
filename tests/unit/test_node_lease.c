/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: where tasks go, and what becomes of them there. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>

#include "tests/unit/crowd.h"

static void told(struct crowd *c, const char *expected)
{
    assert_string_equal(crowd_trace(c), expected);
}

static const char wide[] = "split foreach=?\n"
                           "fit: split\n"
                           "join: fit join=split\n";

/* Its first step ran here: so many tasks are ready now. */
static struct crowd *with_ready(uint32_t slots, uint64_t width)
{
    struct crowd *c = crowd_new(slots);

    crowd_submit(c, wide);
    crowd_trace(c);
    crowd_ended_width(c, "split/0", width);
    return c;
}

static void a_lone_task_stays_here(void **state)
{
    struct crowd *c = crowd_new(2);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 8 });
    crowd_submit(c, "a\n"
                    "b: a\n");
    crowd_ended(c, "a/0", REASON_OK);
    crowd_ended(c, "b/0", REASON_OK);
    told(c, "start a/0#0 slot 0\n"
            "a/0#0 runs\n"
            "a/0#0 done\n"
            "start b/0#0 slot 0\n"
            "b/0#0 runs\n"
            "b/0#0 done\n"
            "run 1 ok\n");
    crowd_free(c);
}

/* Also beside others of which there are few. */
static void little_work_stays_here(void **state)
{
    struct crowd *c = crowd_new(4);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 8 });
    crowd_submit(c, "a\n"
                    "b\n"
                    "c\n");
    told(c, "start a/0#0 slot 0\n"
            "a/0#0 runs\n"
            "start b/0#0 slot 1\n"
            "b/0#0 runs\n"
            "lease c/0#0 to 1\n");
    crowd_free(c);
}

/* As much everywhere, by what each can run at once. */
static void work_is_spread_evenly(void **state)
{
    struct crowd *c = crowd_new(2);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 4 });
    crowd_worker(c, 2, &(struct crowd_worker){ .slots = 2 });
    crowd_submit(c, wide);
    crowd_trace(c);
    crowd_ended_width(c, "split/0", 6);
    told(c, "split/0#0 done\n"
            "start fit/0#0 slot 0\n"
            "fit/0#0 runs\n"
            "lease fit/1#0 to 1\n"
            "lease fit/2#0 to 2\n"
            "lease fit/3#0 to 1\n"
            "start fit/4#0 slot 1\n"
            "fit/4#0 runs\n"
            "lease fit/5#0 to 1\n");
    crowd_free(c);
}

/* A worker of two takes four: the two more wait for those that run. */
static void a_worker_is_overbooked(void **state)
{
    struct crowd *c = with_ready(1, 9);
    struct worker_view w;

    (void)state;
    crowd_trace(c);
    crowd_worker(c, 1,
                 &(struct crowd_worker){
                     .slots = 4, .ahead_percent = 200, .cpu_milli = 2000 });
    told(c, "lease fit/1#0 to 1\n"
            "lease fit/2#0 to 1\n"
            "lease fit/3#0 to 1\n"
            "lease fit/4#0 to 1\n");
    crowd_started(c, "fit/1");
    crowd_started(c, "fit/2");
    crowd_ended(c, "fit/1", REASON_OK);
    told(c, "fit/1#0 runs\n"
            "fit/2#0 runs\n"
            "fit/1#0 done\n"
            "lease fit/5#0 to 1\n");
    assert_true(node_worker(crowd_node(c), 1, &w));
    assert_int_equal(w.n_leases, 4);
    assert_int_equal(w.n_started, 1);
    crowd_free(c);
}

/* What waits at a worker does not run, and is not ready. */
static void what_is_shown(void **state)
{
    struct crowd *c = with_ready(1, 5);
    struct run_view run;
    struct step_view step;
    struct lease_view lease;
    struct run_id id;
    struct task_id task;
    uint32_t attempt, n_running = 0, n_leases = 0;

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 3, .ahead_percent = 300 });
    crowd_started(c, "fit/1");
    assert_true(node_run_at(crowd_node(c), 0, &run));
    assert_int_equal(run.n_running, 2);
    assert_int_equal(run.n_leased, 2);
    assert_int_equal(run.n_waiting, 4); /* two there, one here, and join */
    assert_true(node_step_of(crowd_node(c), &run.id, 1, &step));
    assert_int_equal(step.n_running, 2);
    assert_int_equal(step.n_leased, 2);
    assert_int_equal(step.n_ready, 1);
    for (uint32_t i = 0; i < node_slots_end(crowd_node(c)); i++) {
        n_running += node_runs_slot(crowd_node(c), i, &id, &task, &attempt);
        n_leases += node_lease(crowd_node(c), i, &lease) && lease.worker == 1;
    }
    assert_int_equal(n_running, 2);
    assert_int_equal(n_leases, 3);
    crowd_free(c);
}

static void why(struct crowd *c, size_t run_at, const char *expected)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct run_view run;

    assert_true(node_run_at(crowd_node(c), run_at, &run));
    assert_true(node_why_waiting(crowd_node(c), &run.id, 0, &text));
    assert_string_equal(buffer_text(&text), expected);
}

static void it_says_why_a_task_waits(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_drain(c, true);
    crowd_submit(c, "a\n");
    why(c, 0, "resources: this node drains and starts nothing");
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    why(c, 0, "leased: 1 task waits at other nodes for room");
    crowd_submit(c, "b\n");
    why(c, 1,
        "resources: this node drains and starts nothing, and no other node takes "
        "more");
    crowd_submit(c, "c gpu=1000\n");
    why(c, 2,
        "no node: none that is here has what it asks for; it fails in 300 s unless "
        "one comes");
    crowd_free(c);
}

/* Overbooked, it would have room for six of these; each takes all it has. */
static void a_task_fits_its_worker(void **state)
{
    struct crowd *c = crowd_new(0);

    (void)state;
    crowd_worker(c, 1,
                 &(struct crowd_worker){
                     .slots = 9, .ahead_percent = 300, .cpu_milli = 2000 });
    crowd_submit(c, "a cpu=2000\n"
                    "b cpu=2000\n"
                    "c cpu=2000\n"
                    "d cpu=2000\n"
                    "e cpu=3000 priority=9\n");
    told(c, "lease a/0#0 to 1\n"
            "lease b/0#0 to 1\n"
            "lease c/0#0 to 1\n");
    crowd_free(c);
}

static void caps_hold_everywhere(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 8 });
    crowd_submit(c, "flow max_workers=3\n"
                    "split foreach=6\n"
                    "fit: split concurrency=2\n"
                    "look: split\n"
                    "join: fit look join=split\n");
    crowd_trace(c);
    crowd_ended(c, "split/0", REASON_OK);
    told(c, "split/0#0 done\n"
            "start fit/0#0 slot 0\n"
            "fit/0#0 runs\n"
            "lease fit/1#0 to 1\n"
            "lease look/0#0 to 1\n");
    crowd_ended(c, "fit/1", REASON_OK);
    told(c, "fit/1#0 runs\n"
            "fit/1#0 done\n"
            "lease fit/2#0 to 1\n");
    crowd_free(c);
}

static void what_came_back_is_ready(void **state)
{
    struct crowd *c = with_ready(1, 3);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_trace(c);
    crowd_returned(c, "fit/1");
    told(c, "lease fit/1#0 to 1\n");
    crowd_free(c);
}

/* The same worker gets it again, but less and less often. */
static void a_worker_that_refuses_is_asked_less(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    crowd_returned(c, "fit/1");
    crowd_trace(c);
    crowd_returned(c, "fit/1");
    told(c, "look for fit/1#0\n");
    crowd_at(c, 99);
    told(c, "");
    crowd_at(c, 100);
    told(c, "lease fit/1#0 to 1\n");
    crowd_returned(c, "fit/1");
    told(c, "look for fit/1#0\n");
    crowd_at(c, 299);
    told(c, "");
    crowd_at(c, 300);
    told(c, "lease fit/1#0 to 1\n");
    crowd_free(c);
}

/* By its policy: it gets nothing more of that run, and all of another one. */
static void a_worker_may_not_run_it(void **state)
{
    struct crowd *c = with_ready(1, 4);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_worker(c, 2, &(struct crowd_worker){ .slots = 1 });
    crowd_trace(c);
    crowd_refused(c, 1, 1);
    crowd_returned(c, "fit/1");
    told(c, "");
    crowd_at(c, 200);
    told(c, "");
    crowd_ended(c, "fit/3", REASON_OK);
    told(c, "fit/3#0 runs\n"
            "fit/3#0 done\n"
            "lease fit/1#0 to 2\n");
    crowd_submit(c, "a\n"
                    "b\n");
    told(c, "lease 2:a/0#0 to 1\n");
    crowd_gone(c, 1); /* it may come back with another policy */
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 3 });
    told(c, "lease 2:a/0#0 to 1\n"
            "lease 2:b/0#0 to 1\n"
            "lease fit/2#0 to 1\n");
    crowd_free(c);
}

static void nobody_may_run_it(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_drain(c, true);
    crowd_submit(c, "a\n"
                    "b: a\n");
    crowd_refused(c, 1, 0);
    crowd_drain(c, false);
    told(c, "a/0#0 failed, start\n"
            "run 1 failed\n");
    crowd_members(c, true);
    crowd_drain(c, true);
    crowd_submit(c, "a\n");
    crowd_refused(c, 2, 0);
    crowd_drain(c, false);
    told(c, "");
    why(c, 0,
        "policy: 1 node, by its policy (users), does not carry the run out, and no "
        "other fits; it fails in 300 s unless one comes");
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    told(c, "lease 2:a/0#0 to 1\n");
    crowd_free(c);
}

static void a_worker_dies(void **state)
{
    struct crowd *c = with_ready(1, 4);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 3 });
    crowd_started(c, "fit/2");
    crowd_trace(c);
    crowd_gone(c, 1);
    told(c, "fit/2#0 lost, lost\n");
    crowd_worker(c, 2, &(struct crowd_worker){ .slots = 3 });
    told(c, "lease fit/1#0 to 2\n"
            "lease fit/2#1 to 2\n"
            "lease fit/3#0 to 2\n");
    crowd_free(c);
}

static void a_task_that_kills_its_nodes_fails(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_trace(c);
    for (uint32_t i = 1; i <= 3; i++) {
        crowd_worker(c, i, &(struct crowd_worker){ .slots = 1 });
        crowd_started(c, "fit/1");
        crowd_gone(c, i);
    }
    told(c, "lease fit/1#0 to 1\n"
            "fit/1#0 runs\n"
            "fit/1#0 lost, lost\n"
            "lease fit/1#1 to 2\n"
            "fit/1#1 runs\n"
            "fit/1#1 lost, lost\n"
            "lease fit/1#2 to 3\n"
            "fit/1#2 runs\n"
            "fit/1#2 failed, lost\n");
    crowd_free(c);
}

/* So fast that nobody heard that it had started. */
static void a_task_that_kills_its_nodes_at_once_fails(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_trace(c);
    for (uint32_t i = 1; i <= 5; i++) {
        crowd_worker(c, i, &(struct crowd_worker){ .slots = 1 });
        crowd_gone(c, i);
    }
    told(c, "lease fit/1#0 to 1\n"
            "lease fit/1#0 to 2\n"
            "lease fit/1#0 to 3\n"
            "fit/1#0 lost, lost\n"
            "lease fit/1#1 to 4\n"
            "fit/1#1 lost, lost\n"
            "lease fit/1#2 to 5\n"
            "fit/1#2 failed, lost\n");
    crowd_free(c);
}

static void a_run_that_stops_asks_for_what_waits(void **state)
{
    struct crowd *c = with_ready(1, 4);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 3 });
    crowd_started(c, "fit/1");
    crowd_trace(c);
    crowd_ended(c, "fit/0", REASON_EXIT);
    told(c, "fit/0#0 failed, exit\n"
            "recall fit/2#0\n"
            "recall fit/3#0\n");
    crowd_returned(c, "fit/2");
    crowd_ended(c, "fit/3", REASON_OK);
    crowd_ended(c, "fit/1", REASON_OK);
    told(c, "fit/3#0 runs\n"
            "fit/3#0 done\n"
            "fit/1#0 done\n"
            "run 1 failed\n");
    crowd_free(c);
}

static void cancel_ends_leases(void **state)
{
    struct crowd *c = with_ready(1, 3);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_started(c, "fit/1");
    crowd_trace(c);
    crowd_run_event(c, 1, EVENT_CANCEL);
    told(c, "kill fit/0#0 TERM, cancelled\n"
            "end fit/1#0 TERM, cancelled\n"
            "end fit/2#0 TERM, cancelled\n");
    crowd_returned(c, "fit/2");
    crowd_run_event(c, 1, EVENT_CANCEL);
    told(c, "kill fit/0#0 KILL, cancelled\n"
            "end fit/1#0 KILL, cancelled\n");
    crowd_ended(c, "fit/1", REASON_CANCELLED);
    crowd_ended(c, "fit/0", REASON_CANCELLED);
    told(c, "fit/1#0 failed, cancelled\n"
            "fit/0#0 failed, cancelled\n"
            "run 1 cancelled\n");
    crowd_free(c);
}

static void suspend_asks_for_what_waits(void **state)
{
    struct crowd *c = with_ready(1, 3);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_started(c, "fit/1");
    crowd_trace(c);
    crowd_run_event(c, 1, EVENT_SUSPEND);
    crowd_returned(c, "fit/2");
    told(c, "recall fit/2#0\n");
    crowd_run_event(c, 1, EVENT_UNSUSPEND);
    told(c, "lease fit/2#0 to 1\n");
    crowd_run_event(c, 1, EVENT_SUSPEND);
    crowd_returned(c, "fit/2");
    crowd_run_event(c, 1, EVENT_UNSUSPEND);
    told(c, "recall fit/2#0\n"
            "lease fit/2#0 to 1\n"); /* it was asked back: nobody is to blame */
    crowd_free(c);
}

/* Nobody of this run wanted it to end. */
static void a_worker_gives_up_a_task(void **state)
{
    struct crowd *c = with_ready(1, 2);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    crowd_started(c, "fit/1");
    crowd_trace(c);
    crowd_ended(c, "fit/1", REASON_CANCELLED);
    told(c, "fit/1#0 lost, lost\n"
            "lease fit/1#1 to 1\n");
    crowd_free(c);
}

/* Told to end a task, it says nothing. */
static void a_worker_that_does_not_answer(void **state)
{
    struct crowd *c = with_ready(1, 3);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 2 });
    crowd_started(c, "fit/1");
    crowd_ended(c, "fit/0", REASON_OK);
    crowd_trace(c);
    crowd_run_event(c, 1, EVENT_CANCEL);
    crowd_at(c, 60999);
    told(c, "end fit/1#0 TERM, cancelled\n"
            "end fit/2#0 TERM, cancelled\n"
            "end fit/1#0 KILL, cancelled\n"
            "end fit/2#0 KILL, cancelled\n");
    crowd_at(c, 61000);
    told(c, "end fit/1#0 KILL, lost\n"
            "fit/1#0 failed, cancelled\n"
            "end fit/2#0 KILL, lost\n"
            "run 1 cancelled\n");
    crowd_free(c);
}

static void the_worker_ends_what_takes_too_long(void **state)
{
    struct crowd *c = crowd_new(0);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
    crowd_submit(c, "a timeout=5000\n");
    crowd_at(c, 100000);
    crowd_started(c, "a/0");
    crowd_at(c, 165999);
    told(c, "lease a/0#0 to 1\n"
            "a/0#0 runs\n");
    crowd_at(c, 166000);
    told(c, "end a/0#0 KILL, lost\n"
            "a/0#0 failed, timeout\n"
            "run 1 failed\n");
    crowd_free(c);
}

static void slots_of_leases_are_used_again(void **state)
{
    struct crowd *c = with_ready(1, 5000);
    uint32_t end;

    (void)state;
    for (int i = 1; i < 4000; i++) {
        char name[32];

        crowd_worker(c, 1, &(struct crowd_worker){ .slots = 1 });
        (void)snprintf(name, sizeof(name), "fit/%d", i);
        crowd_ended(c, name, REASON_OK);
    }
    end = node_slots_end(crowd_node(c));
    assert_int_equal(end, 1 + 256);
    crowd_free(c);
}

/* ---- tasks that fit none ---- */

static void alone_it_fails_at_once(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_submit(c, "a gpu=1000\n");
    told(c, "a/0#0 failed, start\n"
            "run 1 failed\n");
    crowd_free(c);
}

static void with_others_it_waits_five_minutes(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_members(c, true);
    crowd_submit(c, "a gpu=1000\n");
    crowd_at(c, 299999);
    told(c, "");
    crowd_at(c, 300000);
    told(c, "a/0#0 failed, start\n"
            "run 1 failed\n");
    crowd_free(c);
}

static void one_comes_that_it_fits(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_members(c, true);
    crowd_submit(c, "a gpu=1000\n"
                    "b licence=2000\n");
    crowd_at(c, 200000);
    crowd_worker(c, 3, &(struct crowd_worker){ .slots = 1, .gpu_milli = 2000 });
    told(c, "lease a/0#0 to 3\n");
    crowd_worker(c, 4, &(struct crowd_worker){ .slots = 1, .licence_milli = 2000 });
    told(c, "lease b/0#0 to 4\n");
    crowd_gone(c, 4);
    crowd_at(c, 499999);
    told(c, "");
    crowd_at(c, 500000);
    told(c, "b/0#0 failed, start\n"
            "recall a/0#0\n"); /* the run stops */
    crowd_free(c);
}

static void others_left_lately(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_members(c, true);
    crowd_at(c, 1000);
    crowd_members(c, false);
    crowd_at(c, 200000);
    crowd_submit(c, "a gpu=1000\n");
    told(c, "");
    crowd_at(c, 500000);
    told(c, "a/0#0 failed, start\n"
            "run 1 failed\n");
    crowd_submit(c, "b gpu=1000\n");
    told(c, "2:b/0#0 failed, start\n"
            "run 2 failed\n");
    crowd_free(c);
}

/* ---- asking back ---- */

/* Six wait behind two; another worker comes that can run four. */
static void at_the_end_work_moves(void **state)
{
    struct crowd *c = with_ready(1, 9);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 8, .ahead_percent = 400 });
    crowd_started(c, "fit/1");
    crowd_started(c, "fit/2");
    crowd_trace(c);
    crowd_worker(c, 2, &(struct crowd_worker){ .slots = 4 });
    told(c, "recall fit/8#0\n"
            "recall fit/7#0\n"
            "recall fit/6#0\n");
    crowd_returned(c, "fit/7");
    told(c, "lease fit/7#0 to 2\n");
    crowd_started(c, "fit/6"); /* it had started when it was asked back */
    crowd_returned(c, "fit/8");
    told(c, "fit/6#0 runs\n"
            "lease fit/8#0 to 2\n"
            "recall fit/5#0\n"
            "recall fit/4#0\n");
    crowd_returned(c, "fit/5");
    told(c, "lease fit/5#0 to 2\n");
    crowd_free(c);
}

static void this_node_asks_too(void **state)
{
    struct crowd *c = with_ready(1, 5);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 4, .ahead_percent = 400 });
    crowd_started(c, "fit/1");
    crowd_trace(c);
    crowd_ended(c, "fit/0", REASON_OK);
    told(c, "fit/0#0 done\n"
            "recall fit/4#0\n");
    crowd_returned(c, "fit/4");
    told(c, "start fit/4#0 slot 0\n"
            "fit/4#0 runs\n");
    crowd_free(c);
}

/* What waits needs what the bin with room has not. */
static void nothing_moves_in_vain(void **state)
{
    struct crowd *c = crowd_new(1);

    (void)state;
    crowd_worker(c, 1,
                 &(struct crowd_worker){
                     .slots = 8, .ahead_percent = 400, .gpu_milli = 2000 });
    crowd_submit(c, "a gpu=1000\n"
                    "b gpu=1000\n"
                    "c gpu=1000\n"
                    "d gpu=1000\n");
    crowd_started(c, "a/0");
    crowd_started(c, "b/0");
    crowd_trace(c);
    crowd_worker(c, 2, &(struct crowd_worker){ .slots = 4 });
    told(c, "");
    crowd_worker(c, 3, &(struct crowd_worker){ .slots = 4, .gpu_milli = 1000 });
    told(c, "recall d/0#0\n");
    crowd_free(c);
}

/* Most that have room cannot run what waits. */
static void one_of_many_has_room_for_it(void **state)
{
    struct crowd *c = crowd_new(0);

    (void)state;
    crowd_worker(c, 1,
                 &(struct crowd_worker){
                     .slots = 8, .ahead_percent = 400, .gpu_milli = 2000 });
    crowd_submit(c, "a gpu=1000\n"
                    "b gpu=1000\n"
                    "c gpu=1000\n"
                    "d gpu=1000\n");
    crowd_started(c, "a/0");
    crowd_started(c, "b/0");
    for (uint32_t i = 2; i < 200; i++)
        crowd_worker(c, i, &(struct crowd_worker){ .slots = 4 });
    crowd_worker(c, 200, &(struct crowd_worker){ .slots = 4, .gpu_milli = 1000 });
    crowd_trace(c);
    for (int i = 0; i < 4; i++)
        crowd_members(c, true); /* any event */
    told(c, "recall d/0#0\n");
    crowd_free(c);
}

/* Nothing is ready and nothing waits longer than it must. */
static void what_can_run_where_it_is_stays(void **state)
{
    struct crowd *c = with_ready(1, 3);

    (void)state;
    crowd_worker(c, 1, &(struct crowd_worker){ .slots = 4, .ahead_percent = 200 });
    crowd_trace(c);
    crowd_worker(c, 2, &(struct crowd_worker){ .slots = 4 });
    told(c, "");
    crowd_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_task_stays_here),
        cmocka_unit_test(little_work_stays_here),
        cmocka_unit_test(work_is_spread_evenly),
        cmocka_unit_test(a_worker_is_overbooked),
        cmocka_unit_test(what_is_shown),
        cmocka_unit_test(it_says_why_a_task_waits),
        cmocka_unit_test(a_task_fits_its_worker),
        cmocka_unit_test(caps_hold_everywhere),
        cmocka_unit_test(what_came_back_is_ready),
        cmocka_unit_test(a_worker_that_refuses_is_asked_less),
        cmocka_unit_test(a_worker_may_not_run_it),
        cmocka_unit_test(nobody_may_run_it),
        cmocka_unit_test(a_worker_dies),
        cmocka_unit_test(a_task_that_kills_its_nodes_fails),
        cmocka_unit_test(a_task_that_kills_its_nodes_at_once_fails),
        cmocka_unit_test(a_run_that_stops_asks_for_what_waits),
        cmocka_unit_test(cancel_ends_leases),
        cmocka_unit_test(suspend_asks_for_what_waits),
        cmocka_unit_test(a_worker_gives_up_a_task),
        cmocka_unit_test(a_worker_that_does_not_answer),
        cmocka_unit_test(the_worker_ends_what_takes_too_long),
        cmocka_unit_test(slots_of_leases_are_used_again),
        cmocka_unit_test(alone_it_fails_at_once),
        cmocka_unit_test(with_others_it_waits_five_minutes),
        cmocka_unit_test(one_comes_that_it_fits),
        cmocka_unit_test(others_left_lately),
        cmocka_unit_test(at_the_end_work_moves),
        cmocka_unit_test(this_node_asks_too),
        cmocka_unit_test(nothing_moves_in_vain),
        cmocka_unit_test(one_of_many_has_room_for_it),
        cmocka_unit_test(what_can_run_where_it_is_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
