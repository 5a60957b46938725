/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is restored from records knows what the one before it knew. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "tests/unit/story.h"

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

static struct story *quiet_story(uint32_t slots)
{
    return story_new(&(struct story_config){ .slots = slots, .is_quiet = true });
}

/* Flows in which every rule of readiness and of retry has a part. */
static const char *const sketches[] = {
    "p\nq: p\nr: p\ns: q r\n",
    "split foreach=3\nfit: split\nscore: fit\njoin: score join=split\nend: join\n",
    "data\nouter foreach=2\ninner: outer foreach=?\nfit: inner data retry=2\n"
    "inner_join: fit join=inner\nouter_join: inner_join join=outer\n",
    "which switch=left,split\nleft: which\nsplit: which foreach=2\nfit: split\n"
    "join: fit join=split\nend: left join\n",
    "split foreach=3\nw: split switch=good,bad\ngood: w\nbad: w\n"
    "meet: good bad\njoin: meet join=split\n",
    "loop switch=again,end max=4 retry=2\nend: loop\n",
    "flow on_failure=finish\na retry=2\nb\nc: a\nd: b catch\ne: c d\n",
    "flow on_failure=stop\na retry=1\nx: a\nc: x\nbye hook=success\nsorry hook=error\n",
    "flow max_workers=1\na foreach=0 retry=1\nb: a\nc: b join=a\nbye hook=success "
    "retry=1\n",
};

static void set_rules(struct story *s)
{
    story_task(s, "inner/0", "width 0");
    story_task(s, "inner/1", "width 3");
    story_task(s, "fit/1.1#0", "exit 1");
    story_task(s, "which", "choose split");
    story_task(s, "w/", "choose good");
    story_task(s, "w/1", "choose bad");
    story_task(s, "loop/0", "choose again");
    story_task(s, "loop/0~1#0", "exit 1");
    story_task(s, "loop/0~2", "choose end");
    story_task(s, "a/0#0", "15 exit 1");
    story_task(s, "d/0", "exit 4");
    story_task(s, "x/0", "exit 1");
    story_task(s, "bye/0#0", "exit 1");
}

static void restored_is_equal(struct story *s, const char *sketch, unsigned event)
{
    uint64_t hash = node_hash(story_node(s)), restored = story_hash_restored(s);

    if (hash != restored)
        fail_msg("after event %u of\n%s%s", event, sketch, story_trace(s));
}

static void equal_after_every_event(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sketches); i++) {
        struct story *s = quiet_story(2);
        unsigned n = 0;

        set_rules(s);
        story_submit(s, sketches[i]);
        do
            restored_is_equal(s, sketches[i], n++);
        while (story_step(s));
        story_free(s);
    }
}

static unsigned count_starts(struct story *s)
{
    unsigned n = 0;

    for (const char *at = story_trace(s); (at = strstr(at, "] start ")); at++)
        n++;
    return n;
}

static unsigned count_ends(struct story *s)
{
    unsigned n = 0;

    for (const char *at = story_trace(s); (at = strstr(at, "] run ")); at++)
        n++;
    return n;
}

/* However often the program is another one, each attempt is started once. */
static void restarts_start_nothing_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sketches); i++) {
        struct story *plain = story_new(&(struct story_config){ .slots = 2 });
        struct story *s = story_new(&(struct story_config){ .slots = 2 });

        set_rules(plain);
        story_submit(plain, sketches[i]);
        story_run(plain);
        set_rules(s);
        story_submit(s, sketches[i]);
        do
            story_restart(s);
        while (story_step(s));
        if (count_starts(s) != count_starts(plain)
            || count_ends(s) != count_ends(plain))
            fail_msg("%s\n%s\n%s", sketches[i], story_trace(plain), story_trace(s));
        story_free(plain);
        story_free(s);
    }
}

/* The line that tells how the run ended. */
static char *last_line(struct story *s)
{
    const char *end = strstr(story_trace(s), "] run ");

    assert_non_null(end);
    return strndup(end, strcspn(end, "\n"));
}

/* False when it was over before. */
static bool live_with_crash(const char *sketch, unsigned crash, char **ret_end)
{
    struct story *s = quiet_story(2);
    bool is_over = false;

    set_rules(s);
    story_submit(s, sketch);
    for (unsigned i = 0; i < crash && !is_over; i++)
        is_over = !story_step(s);
    if (crash)
        story_crash(s, crash % 2);
    story_run(s);
    *ret_end = last_line(s);
    story_free(s);
    return !is_over;
}

/* What an uncrashed life says at its end, one that crashed says too. */
static void same_end_after_every_crash(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sketches); i++) {
        char *expected, *end;
        unsigned crash = 1;
        bool goes_on;

        live_with_crash(sketches[i], 0, &expected);
        do {
            goes_on = live_with_crash(sketches[i], crash++, &end);
            assert_string_equal(end, expected);
            free(end);
        } while (goes_on);
        assert_true(crash > 2);
        free(expected);
    }
}

static void running_tasks_start_again(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_submit(s, "a\n"
                    "b: a\n"
                    "c: a\n");
    story_run_until(s, 15);
    story_crash(s, false);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start b/0#0 slot 0\n"
            "[   10] start c/0#0 slot 1\n"
            "[   15] crash\n"
            "[   15] start b/0#0 slot 0\n"
            "[   15] start c/0#0 slot 1\n"
            "[   25] b/0#0 done\n"
            "[   25] c/0#0 done\n"
            "[   25] run ok\n");
    story_free(s);
}

/* However often one node dies, its losses are those of one node. */
static void deaths_of_one_node_are_not_added_up(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "b", "1000");
    story_submit(s, "a\n"
                    "b: a\n");
    for (unsigned i = 1; i <= 3; i++) {
        story_run_until(s, 100 * i);
        story_crash(s, true);
    }
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start b/0#0 slot 0\n"
            "[  100] crash\n"
            "[  100] b/0#0 lost, lost, again in 0 ms\n"
            "[  100] start b/0#1 slot 0\n"
            "[  200] crash\n"
            "[  200] b/0#1 lost, lost, again in 0 ms\n"
            "[  200] start b/0#2 slot 0\n"
            "[  300] crash\n"
            "[  300] b/0#2 lost, lost, again in 0 ms\n"
            "[  300] start b/0#3 slot 0\n"
            "[ 1300] b/0#3 done\n"
            "[ 1300] run ok\n");
    story_free(s);
}

/* What it started from was not durable: it starts anew, and is charged nothing. */
static void lost_with_what_it_started_from(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "loop/0#", "choose again");
    story_task(s, "loop/0~1", "choose end");
    story_submit(s, "loop switch=again,end max=3\n"
                    "end: loop\n");
    story_run_until(s, 15);
    story_forget(s, 1);
    story_crash(s, true);
    story_run(s);
    told(s, "[    0] start loop/0#0 slot 0\n"
            "[   10] loop/0#0 done\n"
            "[   10] start loop/0~1#0 slot 0\n"
            "[   15] crash\n"
            "[   15] start loop/0#0 slot 0\n"
            "[   25] loop/0#0 done\n"
            "[   25] start loop/0~1#0 slot 0\n"
            "[   35] loop/0~1#0 done\n"
            "[   35] start end/0#0 slot 0\n"
            "[   45] end/0#0 done\n"
            "[   45] run ok\n");
    story_free(s);
}

static void a_retry_is_due_at_once(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "exit 1");
    story_submit(s, "a retry=1 delay=60000\n");
    story_run_until(s, 100);
    story_crash(s, false);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit, again in 60000 ms\n"
            "[  100] crash\n"
            "[  100] start a/0#1 slot 0\n"
            "[  110] a/0#1 failed, exit\n"
            "[  110] run failed: step 'a': exit code 1, after 2 attempts\n");
    story_free(s);
}

static void a_lost_hook_is_charged(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "bye", "1000");
    story_submit(s, "a\n"
                    "bye hook=success lost=1\n");
    story_run_until(s, 100);
    story_crash(s, true);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 done\n"
            "[   10] start bye/0#0 slot 0\n"
            "[  100] crash\n"
            "[  100] bye/0#0 failed, lost\n"
            "[  100] run ok\n");
    story_free(s);
}

static void an_end_that_was_not_written(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a", "exit 1");
    story_task(s, "sorry", "50");
    story_submit(s, "a\n"
                    "b: a\n"
                    "sorry hook=error\n");
    story_run_until(s, 30);
    story_crash(s, true);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] a/0#0 failed, exit\n"
            "[   10] start sorry/0#0 slot 0\n"
            "[   30] crash\n"
            "[   30] sorry/0#0 lost, lost, again in 0 ms\n"
            "[   30] start sorry/0#1 slot 0\n"
            "[   80] sorry/0#1 done\n"
            "[   80] run failed: step 'a': exit code 1\n");
    story_free(s);
}

/* Its hook has told the world that it failed. */
static void a_timeout_is_remembered_by_its_hook(void **state)
{
    struct story *s = story_new(NULL);

    (void)state;
    story_task(s, "a/0", "5000");
    story_task(s, "sorry/0#0", "10 exit 1");
    story_submit(s, "flow timeout=100\n"
                    "a retry=3\n"
                    "b: a\n"
                    "sorry hook=error retry=1 delay=1000\n");
    story_run_until(s, 200);
    story_crash(s, true);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[  100] kill a/0#0 TERM, timeout\n"
            "[  105] a/0#0 failed, timeout\n"
            "[  105] start sorry/0#0 slot 0\n"
            "[  115] sorry/0#0 failed, exit, again in 1000 ms\n"
            "[  200] crash\n"
            "[  200] start sorry/0#1 slot 0\n"
            "[  210] sorry/0#1 done\n"
            "[  210] run failed: it had failed when its node died\n");
    story_free(s);
}

static void several_runs(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_submit(s, "a\nb: a\n");
    story_submit(s, "c foreach=3\nd: c\ne: d join=c\n");
    story_submit(s, "f\n");
    story_run_until(s, 25);
    assert_int_equal(story_hash_restored(s), node_hash(story_node(s)));
    story_crash(s, false);
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start 2:c/0#0 slot 1\n"
            "[   10] start 3:f/0#0 slot 0\n"
            "[   10] start 1:b/0#0 slot 1\n"
            "[   20] start 2:d/0#0 slot 0\n"
            "[   20] run 3 ok\n"
            "[   20] start 2:d/1#0 slot 1\n"
            "[   20] run 1 ok\n"
            "[   25] crash\n"
            "[   25] start 2:d/0#0 slot 0\n"
            "[   25] start 2:d/1#0 slot 1\n"
            "[   35] start 2:d/2#0 slot 0\n"
            "[   45] start 2:e/0#0 slot 0\n"
            "[   55] run 2 ok\n");
    story_free(s);
}

static void adopted_tasks_do_not_run(void **state)
{
    struct story *s = quiet_story(2);
    struct run_view view;

    (void)state;
    story_submit_held(s, "start\n"
                         "split: start foreach=?\n"
                         "fit: split\n"
                         "join: fit join=split\n"
                         "end: join\n");
    /* In the order of their keys, which is not that of the graph. */
    story_adopt(s, 1, "fit/0", UINT64_MAX);
    story_adopt(s, 1, "fit/2", UINT64_MAX);
    story_adopt(s, 1, "split/0", 3);
    story_adopt(s, 1, "start/0", UINT64_MAX);
    story_adopt(s, 1, "start/0", UINT64_MAX); /* once is enough */
    assert_true(node_run(story_node(s), story_run_id(s, 1), &view));
    assert_int_equal(view.state, RUN_STATE_HELD);
    assert_int_equal(view.n_adopted, 4);
    assert_int_equal(story_records(s), 5);
    told(s, "");
    story_release(s, 1);
    assert_int_equal(story_hash_restored(s), node_hash(story_node(s)));
    story_crash(s, false);
    story_adopt(s, 1, "end/0", UINT64_MAX); /* too late */
    story_run(s);
    told(s, "[    0] start fit/1#0 slot 0\n"
            "[    0] crash\n"
            "[    0] start fit/1#0 slot 0\n"
            "[   10] start join/0#0 slot 0\n"
            "[   20] start end/0#0 slot 0\n"
            "[   30] run ok\n");
    story_free(s);
}

/* The split is not adopted and is not as wide as it was. */
static void adopted_tasks_beyond_the_width(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_task(s, "split", "width 2");
    story_submit_held(s, "split foreach=?\n"
                         "fit: split\n"
                         "join: fit join=split\n");
    story_adopt(s, 1, "fit/1", UINT64_MAX);
    story_adopt(s, 1, "fit/7", UINT64_MAX);
    story_release(s, 1);
    story_run(s);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[   10] start fit/0#0 slot 0\n"
            "[   20] start join/0#0 slot 0\n"
            "[   30] run ok\n");
    story_free(s);
}

/* More are adopted than the split is wide, and one that it needs is not. */
static void adopted_tasks_do_not_make_up_for_others(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_submit_held(s, "split foreach=?\n"
                         "fit: split\n"
                         "join: fit join=split\n");
    story_adopt(s, 1, "split/0", 2);
    story_adopt(s, 1, "fit/0", UINT64_MAX);
    story_adopt(s, 1, "fit/7", UINT64_MAX);
    story_adopt(s, 1, "fit/8", UINT64_MAX);
    story_release(s, 1);
    story_run(s);
    told(s, "[    0] start fit/1#0 slot 0\n"
            "[   10] start join/0#0 slot 0\n"
            "[   20] run ok\n");
    story_free(s);
}

static void all_adopted(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_submit_held(s, "a\nb: a\n");
    story_adopt(s, 1, "a/0", UINT64_MAX);
    story_adopt(s, 1, "b/0", UINT64_MAX);
    story_release(s, 1);
    told(s, "[    0] run ok\n");
    story_free(s);
}

static void held_run_is_cancelled(void **state)
{
    struct story *s = quiet_story(2);

    (void)state;
    story_submit_held(s, "a\n");
    story_run(s);
    told(s, "");
    story_cancel(s, 1);
    told(s, "[    0] cancel\n"
            "[    0] run cancelled\n");
    story_free(s);
}

static void many_are_adopted(void **state)
{
    struct story *s = quiet_story(2);
    char name[32];

    (void)state;
    story_submit_held(s, "split foreach=1000\n"
                         "fit: split\n"
                         "join: fit join=split\n");
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "fit/%u", i);
        story_adopt(s, 1, name, UINT64_MAX);
    }
    story_adopt(s, 1, "split/0", UINT64_MAX);
    story_release(s, 1);
    story_run(s);
    told(s, "[    0] start join/0#0 slot 0\n"
            "[   10] run ok\n");
    story_free(s);
}

static void paused_node_shows_and_ends_what_is_cancelled(void **state)
{
    struct node_config config = { .capacity = { .cpu_milli = 1000 },
                                  .slots_max = 1,
                                  .is_paused = true };
    CLEANUP(node_freep) struct node *n = node_new(&config);
    CLEANUP(outbox_release) struct outbox out = { .actions = NULL };
    struct story *s = quiet_story(1);
    struct run_record record = { .flow_name = (char[]){ "f" },
                                 .flow_path = (char[]){ "f" },
                                 .flow_text = (char[]){ "" },
                                 .user = (char[]){ "u" } };
    struct event event = { .type = EVENT_RESTORE_RUN };
    struct run_view view;

    (void)state;
    story_submit(s, "a\n");
    assert_true(node_run_at(story_node(s), 0, &view));
    record.run = event.run = view.id;
    event.u.submit.record = &record;
    event.u.submit.flow = flow_ref((struct flow *)(uintptr_t)view.flow);
    assert_int_equal(node_step(n, &event, &out), 0);
    assert_int_equal(node_step(n, &(struct event){ .type = EVENT_RESTORE_END }, &out),
                     0);
    assert_int_equal(out.n, 0);
    assert_int_equal(node_runs(n), 1);
    event.type = EVENT_CANCEL;
    assert_int_equal(node_step(n, &event, &out), 0);
    assert_int_equal(out.n,
                     2); /* the end is written and told, and nothing was started */
    assert_int_equal(out.actions[0].type, ACTION_PERSIST);
    assert_int_equal(out.actions[1].u.tell.outcome, RUN_CANCELLED);
    assert_int_equal(node_runs(n), 0);
    flow_unref(event.u.submit.flow);
    node_free(TAKE(n));
    story_free(s);
}

/* Any event in any state is answered. */
static void stray_events_change_nothing(void **state)
{
    struct story *s = quiet_story(2);
    CLEANUP(outbox_release) struct outbox out = { .actions = NULL };
    struct attempt_record record = { .reason = REASON_OK, .task = { .step = 77 } };
    struct event events[] = {
        { .type = EVENT_TASK_ENDED, .u.ended = { .slot = 1, .record = &record } },
        { .type = EVENT_TASK_ENDED, .u.ended = { .slot = 99, .record = &record } },
        { .type = EVENT_CANCEL },
        { .type = EVENT_RELEASE },
        { .type = EVENT_ADOPT, .u.attempt = &record },
        { .type = EVENT_RESTORE_ATTEMPT, .u.attempt = &record },
        { .type = EVENT_RESTORE_LOST },
        { .type = EVENT_RESTORE_END },
        { .type = EVENT_TICK },
    };
    uint64_t hash;

    (void)state;
    story_submit(s, "a\n");
    hash = node_hash(story_node(s));
    for (int with_run = 0; with_run < 2; with_run++)
        for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
            if (with_run && events[i].type == EVENT_CANCEL)
                continue;
            if (with_run)
                events[i].run = *story_run_id(s, 1);
            assert_int_equal(node_step(story_node(s), &events[i], &out), 0);
            assert_int_equal(out.n, 0);
            assert_int_equal(node_hash(story_node(s)), hash);
        }
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_after_every_event),
        cmocka_unit_test(restarts_start_nothing_again),
        cmocka_unit_test(same_end_after_every_crash),
        cmocka_unit_test(running_tasks_start_again),
        cmocka_unit_test(deaths_of_one_node_are_not_added_up),
        cmocka_unit_test(lost_with_what_it_started_from),
        cmocka_unit_test(a_retry_is_due_at_once),
        cmocka_unit_test(a_lost_hook_is_charged),
        cmocka_unit_test(an_end_that_was_not_written),
        cmocka_unit_test(a_timeout_is_remembered_by_its_hook),
        cmocka_unit_test(several_runs),
        cmocka_unit_test(adopted_tasks_do_not_run),
        cmocka_unit_test(adopted_tasks_beyond_the_width),
        cmocka_unit_test(adopted_tasks_do_not_make_up_for_others),
        cmocka_unit_test(all_adopted),
        cmocka_unit_test(held_run_is_cancelled),
        cmocka_unit_test(many_are_adopted),
        cmocka_unit_test(paused_node_shows_and_ends_what_is_cancelled),
        cmocka_unit_test(stray_events_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
