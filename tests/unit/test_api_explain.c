/* SPDX-License-Identifier: Apache-2.0 */
/* explain, diff, advise. */
#include "tests/unit/api_kit.h"

#include "store/tree.h"

/* ---- two runs ---- */

static struct digest put_package(const char *content)
{
    struct tree_entry entry = { .path = (char *)"fit.sh",
                                .mode = 0644,
                                .size = strlen(content) };
    struct tree t = { .entries = &entry, .n = 1, .bytes = strlen(content) };
    struct digest id;

    assert_int_equal(blobs_put(fake.fixture->blobs, content, strlen(content),
                               &entry.id),
                     0);
    assert_int_equal(tree_put(fake.fixture->blobs, &t, &id), 0);
    return id;
}

static void put_run_of(uint64_t number, const char *package, const char *alpha,
                       uint64_t origin)
{
    struct run_record record = make_record(number, "Demo");
    struct record_parameter parameter = { .name = (char *)"alpha",
                                          .value = (char *)alpha };
    struct buffer value = BUFFER_INIT;

    record.package = put_package(package);
    record.parameters = &parameter;
    record.n_parameters = 1;
    record.has_origin = origin != 0;
    record.origin = make_run(origin);
    assert_int_equal(run_record_encode(&record, &value), 0);
    put_record(run_key(&record.run), &value);
    buffer_append(&value, record.run.bytes, RUN_ID_SIZE);
    put_record(number_key(number), &value);
}

static void put_task(uint64_t number, struct task_id task, enum verdict verdict,
                     enum reason reason, const char *made)
{
    struct artifact artifact = { .name = (char *)"made",
                                 .type = (char *)"text",
                                 .encoding = ENCODING_BYTES,
                                 .size = strlen(made),
                                 .id = digest_memory(made, strlen(made)),
                                 .inline_data = (uint8_t *)made };
    struct attempt_record a = { .run = make_run(number),
                                .task = task,
                                .verdict = verdict,
                                .reason = reason,
                                .exit_code = reason == REASON_OK ? 0 : 3,
                                .started_wall = 1000000,
                                .ended_wall = 3000000,
                                .cpu_us = 1000000,
                                .max_rss_bytes = 100 << 20,
                                .memory_peak_bytes = (uint64_t)300 << 20,
                                .outputs = &artifact,
                                .n_outputs = *made != '\0' };

    put_attempt(&a);
}

static const struct task_id start = { .step = 0 }, end = { .step = 2 };

/* Run 2 did start and fit/0, and failed at fit/1. Run 3 goes on from it with other
 * code: it takes over start and fit/0, runs fit/1 and end. */
static void put_runs(void)
{
    put_run_of(2, "echo 1", "0.3", 0);
    put_run_of(3, "echo 2", "0.3", 2);
    put_task(2, start, VERDICT_DONE, REASON_OK, "s");
    put_task(2, fit(0), VERDICT_DONE, REASON_OK, "f0");
    put_task(2, fit(1), VERDICT_FAILED, REASON_EXIT, "");
    put_task(3, start, VERDICT_ADOPTED, REASON_OK, "s");
    put_task(3, fit(0), VERDICT_ADOPTED, REASON_OK, "f0");
    put_task(3, fit(1), VERDICT_DONE, REASON_OK, "f1");
    put_task(3, end, VERDICT_DONE, REASON_OK, "");
}

/* ---- one task ---- */

static void a_task_says_why_it_failed(void **state)
{
    (void)state;
    put_runs();
    ask("GET /v1/runs/2/explain/fit/1");
    expect_status(200);
    expect_text("\"state\":\"failed\",\"waits\":null,\"against\":null");
    expect_text("\"why\":{\"cause\":\"new_run\"");
    expect_text("\"failure\":{\"reason\":\"exit\"");
    expect_text("\"attempts\":[{\"step\":\"fit\",\"task\":\"1\",\"attempt\":0");
    ask("GET /v1/runs/2/explain/end/0");
    expect_text("\"state\":\"not_started\",\"waits\":\"interrupted: ");
    expect_text("\"why\":null");
    put_end(2);
    ask("GET /v1/runs/2/explain/end/0");
    expect_text("\"waits\":\"skipped: ");
}

static void a_resumed_task_says_what_changed(void **state)
{
    (void)state;
    put_runs();
    ask("GET /v1/runs/3/explain/fit/1");
    expect_text("\"number\":2},\"why\":{\"cause\":\"failed\"");
    expect_text("{\"kind\":\"code\",\"name\":\"fit.sh\",\"change\":\"changed\"");
    expect_text("\"n_changes\":1,\"failure\":null,\"log_tail\":[]");
    ask("GET /v1/runs/3/explain/fit/0");
    expect_text("\"state\":\"adopted\"");
    expect_text("\"why\":{\"cause\":\"adopted\"");
    ask("GET /v1/runs/3/explain/end/0");
    expect_text("\"why\":{\"cause\":\"not_done\"");
    /* fit/1 was not there before: nothing to compare. */
    expect_text("\"n_changes\":1,");
}

static void inputs_are_compared_by_content(void **state)
{
    (void)state;
    put_runs();
    put_run_of(4, "echo 1", "0.5", 0);
    put_task(4, start, VERDICT_DONE, REASON_OK, "t");
    put_task(4, fit(0), VERDICT_DONE, REASON_OK, "g0");
    ask("GET /v1/runs/4/explain/fit/0?against=2");
    expect_text("{\"kind\":\"parameter\",\"name\":\"alpha\",\"change\":\"changed\","
                "\"before\":\"0.3\",\"after\":\"0.5\",\"own\":false}");
    expect_text("{\"kind\":\"input\",\"name\":\"start/0 made\",\"change\":\"changed\"");
    expect_text("\"n_changes\":2,");
    ask("GET /v1/runs/4/explain/end/0?against=2");
    expect_text("{\"kind\":\"input\",\"name\":\"fit/0 made\"");
    ask("GET /v1/runs/4/explain/fit/0?against=9");
    expect_status(404);
}

static void a_step_asked_for_and_those_behind_it(void **state)
{
    (void)state;
    put_runs();
    put_run_of(4, "echo 2", "0.3", 3);
    put_task(4, start, VERDICT_ADOPTED, REASON_OK, "s");
    put_task(4, fit(0), VERDICT_DONE, REASON_OK, "f0");
    put_task(4, end, VERDICT_DONE, REASON_OK, "");
    ask("GET /v1/runs/4/explain/fit/0");
    expect_text("\"why\":{\"cause\":\"asked\"");
    expect_text("\"n_changes\":0,");
    ask("GET /v1/runs/4/explain/end/0");
    expect_text("\"why\":{\"cause\":\"upstream\",\"sentence\":\"'fit', which");
}

static void what_runs_and_what_waits(void **state)
{
    (void)state;
    make_task();
    ask("GET /v1/runs/1/explain/fit/1");
    expect_text("\"state\":\"running\",\"waits\":null");
    ask("GET /v1/runs/1/explain/fit/2");
    expect_text(
        "\"state\":\"waiting\",\"waits\":\"upstream: it waits for 'start', task 0\"");
    put_task(1, start, VERDICT_DONE, REASON_OK, "s");
    ask("GET /v1/runs/1/explain/fit/2");
    expect_text("\"state\":\"waiting\",\"waits\":\"it waits\"");
    ask("GET /v1/runs/1/explain/end/0");
    expect_text("\"state\":\"waiting\",\"waits\":\"upstream: ");
    ask("GET /v1/runs/1/explain/fit/0");
    expect_text("\"state\":\"done\"");
    ask("GET /v1/runs/1/explain/fot/0");
    expect_status(404);
    ask("GET /v1/runs/1/explain/end/3");
    expect_status(404);
}

/* ---- the end of a log ---- */

static void put_log(const char *lines, int times, bool is_blob)
{
    struct buffer log = BUFFER_INIT;
    struct attempt_record a = { .run = make_run(1),
                                .task = fit(1),
                                .verdict = VERDICT_FAILED,
                                .reason = REASON_EXIT,
                                .exit_code = 1 };

    for (int i = 0; i < times; i++)
        log_piece_encode(i % 2 ? LOG_STDERR : LOG_STDOUT, 1, lines, strlen(lines),
                         &log);
    a.log.size = (uint64_t)times * strlen(lines);
    if (is_blob) {
        a.log.has_blob = true;
        assert_int_equal(blobs_put(fake.fixture->blobs, log.data, log.len, &a.log.blob),
                         0);
    } else {
        a.log.inline_data = (uint8_t *)log.data;
        a.log.inline_len = log.len;
    }
    put_attempt(&a);
    buffer_release(&log);
}

static void the_last_lines_are_told(void **state)
{
    (void)state;
    put_log("one\ntwo\r\nthree", 1, false);
    ask("GET /v1/runs/1/explain/fit/1");
    expect_text("\"log_tail\":[\"one\",\"two\",\"three\"]");
    put_log("a\n", 15, false);
    ask("GET /v1/runs/1/explain/fit/1");
    expect_text(
        "\"log_tail\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]");
    put_log("\n\n", 1, false);
    ask("GET /v1/runs/1/explain/fit/1");
    expect_text("\"log_tail\":[]");
}

static void a_long_log_is_read_to_its_end(void **state)
{
    char line[1001];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[999] = '\n';
    line[1000] = '\0';
    put_log(line, 3000, true);
    ask("GET /v1/runs/1/explain/fit/1");
    expect_status(200);
    expect_text("\"log_tail\":[\"xxx");
    assert_true(answer.len > 10 * 990);
    assert_true(answer.len < 12 * 1000);
    /* One line that never ends is cut. */
    memset(line, 'y', 1000);
    put_log(line, 3000, true);
    ask("GET /v1/runs/1/explain/fit/1");
    expect_text("\"log_tail\":[\"yyy");
    assert_true(answer.len < 40000);
}

static void a_log_that_is_gone_is_none(void **state)
{
    struct attempt_record a = {
        .run = make_run(1),
        .task = fit(1),
        .verdict = VERDICT_FAILED,
        .reason = REASON_EXIT,
        .exit_code = 1,
        .log = { .has_blob = true, .blob = { { 1, 2, 3 } }, .size = 70000 }
    };

    (void)state;
    put_attempt(&a);
    ask("GET /v1/runs/1/explain/fit/1");
    expect_status(200);
    expect_text("\"failure\":{\"reason\":\"exit\"");
    expect_text("\"log_tail\":[]");
}

/* ---- a whole run ---- */

static void a_run_says_what_each_step_did(void **state)
{
    (void)state;
    put_runs();
    ask("GET /v1/runs/3/explain");
    expect_status(200);
    expect_text(
        "{\"step\":\"start\",\"ran\":0,\"adopted\":1,\"failed\":0,\"waits\":null,"
        "\"why\":{\"cause\":\"adopted\"");
    expect_text("{\"step\":\"fit\",\"ran\":1,\"adopted\":1,\"failed\":0,\"waits\":null,"
                "\"why\":{\"cause\":\"failed\"");
    expect_text("{\"step\":\"end\",\"ran\":1,\"adopted\":0,\"failed\":0,\"waits\":null,"
                "\"why\":{\"cause\":\"not_done\"");
    expect_text("\"failures\":[],\"n_failed\":0}");
}

static void alike_failures_are_told_once(void **state)
{
    (void)state;
    put_runs();
    for (uint64_t i = 2; i < 60; i++)
        put_task(2, fit(i), VERDICT_FAILED, i < 50 ? REASON_EXIT : REASON_TIMEOUT, "");
    ask("GET /v1/runs/2/explain");
    expect_text("\"failures\":[{\"step\":\"fit\",\"task\":\"1\",\"attempt\":0,"
                "\"tasks\":49,\"failure\":{\"reason\":\"exit\"");
    expect_text("{\"step\":\"fit\",\"task\":\"50\",\"attempt\":0,\"tasks\":10,"
                "\"failure\":{\"reason\":\"timeout\"");
    expect_text("\"n_failed\":59}");
    make_active(2);
    ask("GET /v1/runs/2/explain");
    expect_text("\"state\":\"running\"");
    expect_text("\"waits\":\"it waits\"");
}

/* ---- diff ---- */

static void two_runs_are_compared(void **state)
{
    (void)state;
    put_runs();
    put_run_of(4, "echo 1", "0.5", 0);
    put_task(4, start, VERDICT_DONE, REASON_OK, "s");
    put_task(4, fit(0), VERDICT_DONE, REASON_OK, "g0");
    put_task(4, fit(2), VERDICT_DONE, REASON_OK, "g2");
    ask("GET /v1/runs/2/diff/4?values=true");
    expect_status(200);
    expect_text("\"changes\":[{\"kind\":\"parameter\",\"name\":\"alpha\"");
    expect_text("\"n_changes\":1,");
    expect_text(
        "{\"step\":\"fit\",\"task\":\"0\",\"name\":\"made\",\"change\":\"changed\"");
    expect_text("\"value\":\"f0\"},\"after\":{");
    expect_text(
        "{\"step\":\"fit\",\"task\":\"2\",\"name\":\"made\",\"change\":\"added\","
        "\"before\":null");
    expect_text("\"n_artifacts\":{\"same\":1,\"changed\":1,\"added\":1,\"removed\":0,"
                "\"listed\":2}");
    expect_text("{\"step\":\"fit\",\"keys\":[],\"artifacts\":2,\"before\":{\"tasks\":1,"
                "\"adopted\":0,\"failed_attempts\":1,\"took_us\":2000000");
    expect_text("\"is_same\":false}");
    ask("GET /v1/runs/2/diff/4?limit=1");
    expect_text("\"listed\":1}");
    assert_null(strstr(body_of_answer(), "value"));
    ask("GET /v1/runs/2/diff/2?same=true");
    expect_text("\"change\":\"same\"");
    expect_text("\"is_same\":true}");
    ask("GET /v1/runs/2/diff/9");
    expect_status(404);
    ask("GET /v1/runs/2/diff/4?same=1");
    expect_status(400);
}

static void a_wide_step_is_compared_over_many_batches(void **state)
{
    (void)state;
    put_run_of(2, "echo 1", "0.3", 0);
    put_run_of(3, "echo 1", "0.3", 0);
    for (uint64_t i = 0; i < 300; i++) {
        if (i % 3)
            put_task(2, fit(i), VERDICT_DONE, REASON_OK, "same");
        if (i % 2)
            put_task(3, fit(i), VERDICT_DONE, REASON_OK, i < 290 ? "same" : "other");
    }
    ask("GET /v1/runs/2/diff/3");
    expect_text(
        "\"n_artifacts\":{\"same\":97,\"changed\":3,\"added\":50,\"removed\":100,"
        "\"listed\":153}");
}

/* ---- advise ---- */

static void what_was_used_becomes_advice(void **state)
{
    (void)state;
    put_runs();
    ask("GET /v1/runs/3/advise");
    expect_status(200);
    expect_text("{\"step\":\"start\",\"attempts\":0,\"adopted\":1");
    expect_text("{\"step\":\"fit\",\"attempts\":1,\"adopted\":1,\"short\":0");
    expect_text("\"memory_bytes\":{\"median\":314572800,\"p95\":314572800,"
                "\"max\":314572800}");
    expect_text("\"lines\":[\"resources: {cpu: 0.5, memory: 384M}\"]");
    ask("GET /v1/runs/9/advise");
    expect_status(404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_task_says_why_it_failed),
        CASE(a_resumed_task_says_what_changed),
        CASE(inputs_are_compared_by_content),
        CASE(a_step_asked_for_and_those_behind_it),
        CASE(what_runs_and_what_waits),
        CASE(the_last_lines_are_told),
        CASE(a_long_log_is_read_to_its_end),
        CASE(a_log_that_is_gone_is_none),
        CASE(a_run_says_what_each_step_did),
        CASE(alike_failures_are_told_once),
        CASE(two_runs_are_compared),
        CASE(a_wide_step_is_compared_over_many_batches),
        CASE(what_was_used_becomes_advice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
