/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tally.h"

#include "tests/unit/store_fixture.h"
#include "tests/unit/unit.h"

static const struct run_id run = { .bytes = { 1, 2, 3 } };

/* An attempt of task `index` of a step that took so long, to be changed and kept. */
static struct attempt_record attempt_of(uint32_t step, uint64_t index, time_us span)
{
    return (
        struct attempt_record){ .run = run,
                                .task = { .step = step, .depth = 1, .path = { index } },
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .started_wall = TIME_S(1000) + index,
                                .ended_wall = TIME_S(1000) + index + span,
                                .cpu_us = 10 };
}

static void keep(struct fixture *f, const struct attempt_record *a)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct record_key key = attempt_key(&a->run, &a->task, a->attempt);
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len } };

    assert_int_equal(attempt_record_encode(a, &bytes), 0);
    write.value = (struct span){ bytes.data, bytes.len };
    assert_true(writer_put(f->writer, &write, 1, true) > 0);
}

static void keep_span(struct fixture *f, uint32_t step, uint64_t index, time_us span)
{
    struct attempt_record a = attempt_of(step, index, span);

    keep(f, &a);
}

static void keep_failed(struct fixture *f, uint64_t index, enum reason reason,
                        time_us ended, char *message)
{
    struct attempt_record a = attempt_of(1, index, TIME_MS(1));

    a.verdict = VERDICT_FAILED;
    a.reason = reason;
    a.ended_wall = ended;
    a.started_wall = ended - 1;
    a.message = message;
    keep(f, &a);
}

static void a_step_has_its_times(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tally_release) struct tally t = { .steps = NULL };

    keep_span(f, 0, 0, TIME_S(7));
    for (uint64_t i = 0; i < 5; i++)
        keep_span(f, 1, i, TIME_MS(5 - i));
    assert_int_equal(tally_run(f->writer, &run, 3, NULL, &t), 0);
    assert_int_equal(t.steps[0].median_us, TIME_S(7));
    assert_int_equal(t.steps[1].median_us, TIME_MS(3));
    assert_int_equal(t.steps[1].max_us, TIME_MS(5));
    assert_int_equal(t.steps[1].done, 5);
    assert_int_equal(t.steps[1].cpu_us, 50);
    assert_int_equal(t.steps[2].max_us, 0);
    assert_int_equal(t.summary.cpu_us, 60);
    assert_int_equal(t.summary.n_slowest, SUMMARY_TASKS_MAX);
    assert_int_equal(t.summary.slowest[0].task.step, 0);
    for (size_t i = 1; i < SUMMARY_TASKS_MAX; i++)
        assert_int_equal(t.summary.slowest[i].span_us, TIME_MS(6 - i));
}

/* By its last attempt; what the others used counts too. */
static void a_task_counts_once(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tally_release) struct tally t = { .steps = NULL };
    struct attempt_record a = attempt_of(0, 0, TIME_S(9));

    a.verdict = VERDICT_FAILED;
    a.reason = REASON_EXIT;
    keep(f, &a);
    a = attempt_of(0, 0, TIME_S(1));
    a.attempt = 1;
    keep(f, &a);
    assert_int_equal(tally_run(f->writer, &run, 1, NULL, &t), 0);
    assert_int_equal(t.n_attempts, 2);
    assert_int_equal(t.tasks.done, 1);
    assert_int_equal(t.tasks.failed, 0);
    assert_int_equal(t.steps[0].max_us, TIME_S(1));
    assert_int_equal(t.summary.cpu_us, 20);
    assert_int_equal(t.summary.n_failures, 0);
}

static void the_first_failures_are_named(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tally_release) struct tally t = { .steps = NULL };
    char why[] = "no such file";

    for (uint64_t i = 0; i < 8; i++)
        keep_failed(f, i, REASON_EXIT, TIME_S(2000 - i), i == 7 ? why : NULL);
    keep_failed(f, 8, REASON_CANCELLED, TIME_S(1000), NULL);
    assert_int_equal(tally_run(f->writer, &run, 2, NULL, &t), 0);
    assert_int_equal(t.tasks.failed, 9);
    assert_int_equal(t.summary.n_failures, SUMMARY_TASKS_MAX);
    assert_string_equal(t.summary.failures[0].message, why);
    for (uint64_t i = 0; i < SUMMARY_TASKS_MAX; i++)
        assert_int_equal(t.summary.failures[i].task.path[0], 7 - i);
}

static void what_was_adopted_took_no_time(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tally_release) struct tally t = { .steps = NULL };
    struct artifact made[] = { { .name = (char[]){ "x" },
                                 .type = (char[]){ "bytes" },
                                 .encoding = ENCODING_BYTES,
                                 .size = 100 },
                               { .name = (char[]){ "y" },
                                 .type = (char[]){ "bytes" },
                                 .encoding = ENCODING_BYTES,
                                 .size = 1000,
                                 .is_inherited = true } };
    struct attempt_record a = attempt_of(0, 0, TIME_S(9));

    a.outputs = made;
    a.n_outputs = 2;
    a.verdict = VERDICT_ADOPTED;
    a.has_origin = true;
    keep(f, &a);
    a.task.path[0] = 1;
    a.verdict = VERDICT_DONE;
    a.has_origin = false;
    a.started_wall = TIME_S(2000);
    a.ended_wall = a.started_wall + TIME_S(2);
    keep(f, &a);
    assert_int_equal(tally_run(f->writer, &run, 1, NULL, &t), 0);
    assert_int_equal(t.started_wall, TIME_S(2000));
    assert_int_equal(t.tasks.adopted, 1);
    assert_int_equal(t.steps[0].done, 2);
    assert_int_equal(t.steps[0].max_us, TIME_S(2));
    assert_int_equal(t.summary.n_artifacts, 1);
    assert_int_equal(t.summary.artifact_bytes, 100);
    assert_int_equal(t.summary.cpu_us, 10);
}

static void nothing_is_no_mistake(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tally_release) struct tally t = { .steps = NULL };
    atomic_bool is_stopping = true;

    assert_int_equal(tally_run(f->writer, &run, 2, NULL, &t), 0);
    assert_int_equal(t.n_attempts, 0);
    tally_release(&t);
    keep_span(f, 0, 0, TIME_S(1));
    assert_int_equal(tally_run(f->writer, &run, 2, &is_stopping, &t), -ECANCELED);
}

#define WITH_STORE(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_step_has_its_times),
        WITH_STORE(a_task_counts_once),
        WITH_STORE(the_first_failures_are_named),
        WITH_STORE(what_was_adopted_took_no_time),
        WITH_STORE(nothing_is_no_mistake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
