/* SPDX-License-Identifier: Apache-2.0 */
/* Runs, what was submitted, attempts and logs. */
#include "tests/unit/api_kit.h"

/* ---- runs ---- */

static void the_node_tells_about_itself(void **state)
{
    (void)state;
    make_active(1);
    ask("GET /v1/node");
    expect_status(200);
    expect_text("\"n_running\":2,\"n_runs\":1");
    expect_text("\"users\":[{\"name\":\"ann\",\"weight\":1,\"n_runs\":1,"
                "\"n_running\":2,\"cpu_milli\":1500,\"memory_bytes\":0,"
                "\"gpu_milli\":0,\"max_tasks\":4,\"max_cpu_milli\":null,");
    ask("HEAD /v1/node");
    expect_status(200);
    assert_string_equal(body_of_answer(), "");
}

static void runs_are_listed_newest_first(void **state)
{
    (void)state;
    for (uint64_t i = 2; i <= 5; i++)
        put_run(i, i % 2 ? "Odd" : "Even");
    put_end(3);
    make_active(5);
    ask("GET /v1/runs?flow=Odd");
    expect_status(200);
    expect_text("\"number\":5,\"flow\":\"Demo\",\"state\":\"running\"");
    expect_text("\"number\":3,\"flow\":\"Odd\",\"state\":\"ended\",\"outcome\":\"ok\"");
    assert_true(strstr(body_of_answer(), "\"number\":5")
                < strstr(body_of_answer(), "\"number\":3"));
    assert_null(strstr(body_of_answer(), "\"number\":4"));
    ask("GET /v1/runs?limit=1&before=3");
    expect_text("\"number\":2,\"flow\":\"Even\",\"state\":\"interrupted\"");
    assert_null(strstr(body_of_answer(), "\"number\":1,"));
    expect_text("\"before\":\"2\"}");
    ask("GET /v1/runs?limit=3&before=2");
    expect_text("\"number\":1,");
    expect_text("\"before\":null}");
}

static void put_run_of(uint64_t number, const char *user, const char *tag)
{
    struct run_record record = make_record(number, "Demo");
    struct buffer value = BUFFER_INIT;
    char *tags[] = { (char *)"other", (char *)tag };

    record.user = (char *)user;
    record.tags = tags;
    record.n_tags = 2;
    assert_int_equal(run_record_encode(&record, &value), 0);
    put_record(run_key(&record.run), &value);
    buffer_append(&value, record.run.bytes, RUN_ID_SIZE);
    put_record(number_key(number), &value);
}

/* The numbers of the runs in the answer, in their order: " 5 3". */
static const char *numbers(void)
{
    static char text[256];
    const char *at = body_of_answer();

    text[0] = '\0';
    while ((at = strstr(at, "\"number\":")))
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %lu",
                 strtoul(at += strlen("\"number\":"), NULL, 10));
    return text;
}

static const char *list(const char *query)
{
    char line[256];

    snprintf(line, sizeof(line), "GET /v1/runs?%s", query);
    ask(line);
    expect_status(200);
    return numbers();
}

static void runs_are_found_by_what_they_are(void **state)
{
    (void)state;
    put_run_of(2, "ann", "night");
    put_run_of(3, "bob", "night");
    put_run_of(4, "bob", "day");
    put_run(5, "Other");
    put_end(2);
    put_end(4);
    make_active(3);
    assert_string_equal(list(""), " 5 4 3 2 1");
    assert_string_equal(list("flow=Demo"), " 4 3 2 1");
    assert_string_equal(list("flow=Dem"), "");
    assert_string_equal(list("user=bob"), " 4 3");
    assert_string_equal(list("tag=night"), " 3 2");
    assert_string_equal(list("tag=other&user=ann"), " 2");
    assert_string_equal(list("state=ended"), " 4 2");
    assert_string_equal(list("state=ok&tag=day"), " 4");
    assert_string_equal(list("state=failed"), "");
    assert_string_equal(list("state=running"), " 3");
    assert_string_equal(list("state=interrupted"), " 5 1");
    ask("GET /v1/runs?state=done");
    expect_status(400);
}

/* Those that have not ended are written between the others, with or without these. */
static void active_runs_stand_in_their_places(void **state)
{
    (void)state;
    for (uint64_t i = 2; i <= 6; i++)
        put_run(i, "Demo");
    make_active(4);
    for (uint64_t ended = 0; ended < 1 << 3; ended++) {
        for (uint64_t i = 0; i < 3; i++)
            if (ended & 1 << i)
                put_end(3 + i);
        ask("GET /v1/runs?limit=4&before=7");
        assert_string_equal(numbers(), " 6 5 4 3");
        assert_null(strstr(body_of_answer(), ",,"));
        assert_null(strstr(body_of_answer(), "[,"));
        assert_null(strstr(body_of_answer(), ",]"));
        assert_null(strstr(body_of_answer(), "}{"));
    }
}

static void pages_follow_each_other_over_runs_that_are_gone(void **state)
{
    (void)state;
    put_run(2, "Demo");
    put_run(9, "Demo");
    assert_string_equal(list("limit=1"), " 9");
    expect_text("\"before\":\"9\"");
    assert_string_equal(list("limit=1&before=7"), " 2");
    assert_string_equal(list("before=2"), " 1");
    assert_string_equal(list("before=1"), "");
    assert_string_equal(list("before=99999999999"), " 9 2 1");
    assert_string_equal(list("before=02"), " 1"); /* no number: a name to look up */
    assert_string_equal(list("limit=0"), "");
    expect_text("\"before\":null");
    ask("GET /v1/runs?before=ffff");
    expect_status(404);
}

static void one_run_is_told_from_the_node_or_from_the_store(void **state)
{
    (void)state;
    ask("GET /v1/runs/1");
    expect_status(200);
    expect_text("\"state\":\"interrupted\"");
    expect_text("{\"name\":\"fit\",\"known\":1,\"done\":1,");
    expect_text("\"attempts\":2");
    put_end(1);
    ask("GET /v1/runs/1");
    expect_text("\"state\":\"ended\",\"outcome\":\"ok\"");
    expect_text("\"attempts\":5");
    make_active(1);
    ask("GET /v1/runs/1");
    expect_text("\"state\":\"running\"");
    expect_text("{\"name\":\"fit\",\"known\":2,");
    expect_text("\"waits\":\"it waits\"");
}

static void a_runs_file_and_graph(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/flow");
    assert_string_equal(body_of_answer(), flow_text);
    ask("GET /v1/runs/1/graph?format=dot");
    expect_text("digraph");
    ask("GET /v1/runs/1/graph");
    expect_text("Content-Type: application/json");
    ask("GET /v1/runs/1/graph?format=svg");
    expect_status(400);
}

static void a_run_is_cancelled(void **state)
{
    (void)state;
    post("POST /v1/runs/1/cancel", "");
    expect_status(409);
    make_active(1);
    post("POST /v1/runs/1/cancel", "{}");
    expect_status(202);
    assert_int_equal(fake.n_cancelled, 2);
}

static void a_run_is_suspended(void **state)
{
    (void)state;
    post("POST /v1/runs/1/suspend", "");
    expect_status(409);
    expect_text("run 1 has ended");
    make_active(1);
    post("POST /v1/runs/1/suspend", "");
    expect_status(200);
    assert_true(fake.is_suspended);
    post("POST /v1/runs/1/unsuspend", "{}");
    expect_status(200);
    assert_false(fake.is_suspended);
    post("POST /v1/runs/4711/suspend", "");
    expect_status(404);
}

static void tags_are_changed(void **state)
{
    (void)state;
    post("PATCH /v1/runs/1/tags", "{\"add\": [\"b\", \"a\", \"b\"]}");
    expect_status(200);
    expect_text("\"tags\":[\"b\",\"a\"]");
    post("PATCH /v1/runs/1/tags",
         "{\"add\": [\"c\"], \"remove\": [\"b\"], \"if_match\": [\"a\", \"b\"]}");
    expect_text("\"tags\":[\"a\",\"c\"]");
    post("PATCH /v1/runs/1/tags", "{\"add\": [\"d\"], \"if_match\": [\"a\", \"b\"]}");
    expect_status(409);
    expect_text("they are: a, c");
    ask("GET /v1/runs/1");
    expect_text("\"tags\":[\"a\",\"c\"]");
    ask("GET /v1/runs?tag=c");
    expect_text("\"number\":1,");
    ask("GET /v1/runs?tag=b");
    assert_string_equal(body_of_answer(), "{\"runs\":[],\"before\":null}");
    post("PATCH /v1/runs/1/tags", "{\"set\": []}");
    expect_text("\"tags\":[]");
    post("PATCH /v1/runs/1/tags", "{\"set\": [\"\"]}");
    expect_status(400);
    post("PATCH /v1/runs/1/tags", "{}");
    expect_status(400);
    post("PATCH /v1/runs/1/tags", "{\"set\": [], \"add\": [\"x\"]}");
    expect_status(400);
    post("PATCH /v1/runs/4711/tags", "{\"set\": []}");
    expect_status(404);
}

static void a_run_is_removed(void **state)
{
    (void)state;
    make_active(1);
    ask("DELETE /v1/runs/1");
    expect_status(409);
    fake.has_active = false;
    ask("DELETE /v1/runs/1");
    expect_status(200);
    expect_text("\"attempts\":");
    ask("GET /v1/runs/1");
    expect_status(404);
    ask("DELETE /v1/runs/1");
    expect_status(404);
}

/* ---- submitting ---- */

static const char submission[] =
    "{\"flow\": \"mesh: 1\\nflow: A\\nsteps:\\n  start:\\n    run: 'true'\\n    next: "
    "end\\n  end:\\n    run: 'true'\\n\", \"path\": \"demo.mf\"}";

static void a_submission_is_answered_once_durable(void **state)
{
    int fd = dial(user_path);
    char head[256];

    (void)state;
    fake.holds_back_event = true;
    snprintf(head, sizeof(head),
             "POST /v1/runs HTTP/1.1\r\nHost: m\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(submission));
    send_all(fd, head, strlen(head));
    send_all(fd, submission, strlen(submission));
    while (!fake.n_submitted)
        turn(fd, POLLIN);
    for (int i = 0; i < 3; i++)
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    assert_int_equal(recv(fd, head, sizeof(head), 0), -1); /* not yet */
    fake_tell_started(&fake);
    receive(fd, NULL, &answer);
    close(fd);
    expect_status(201);
    expect_text("\"number\":7,\"seq\":0,\"diagnostics\":[]");
}

static void a_bad_submission_tells_all_that_is_wrong(void **state)
{
    (void)state;
    post("POST /v1/runs", submission);
    expect_status(201);
    fake.submit_error = -EINVAL;
    post("POST /v1/runs", submission);
    expect_status(422);
    expect_text("\"message\":\"wrong\"");
    fake.submit_error = -ENOSPC;
    post("POST /v1/runs", submission);
    expect_status(507);
    post("POST /v1/runs", "{\"flow\": \"mesh: 1\\n\"}");
    expect_status(422);
    expect_text("\"severity\":\"error\"");
    post("POST /v1/check", "{\"flow\": \"mesh: 1\\n\"}");
    expect_status(200);
    expect_text("{\"ok\":false");
}

/* ---- tasks, logs ---- */

static void attempts_come_in_pages(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/tasks?limit=1");
    expect_text("\"attempt\":0,\"verdict\":\"failed\"");
    expect_text("],\"after\":\"fit/0/0\"}");
    ask("GET /v1/runs/1/tasks?limit=1&after=fit/0/0");
    expect_text("\"attempt\":1,\"verdict\":\"done\"");
    expect_text("],\"after\":null}");
    ask("GET /v1/runs/1/tasks?step=fit&task=0&state=failed");
    expect_text("\"exit_code\":3");
    assert_null(strstr(body_of_answer(), "\"done\""));
    ask("GET /v1/runs/1/tasks?step=end");
    assert_string_equal(body_of_answer(), "{\"attempts\":[],\"after\":null}");
    ask("GET /v1/runs/1/tasks?step=fot");
    expect_status(404);
    ask("GET /v1/runs/1/tasks?after=fit/0");
    expect_status(400);
    make_task();
    ask("GET /v1/runs/1/tasks?state=running");
    expect_text("[{\"step\":\"fit\",\"task\":\"1\",\"attempt\":0,"
                "\"verdict\":\"running\",\"slot\":1,\"gpus\":[0,2],\"pid\":4711,");
    expect_text("\"memory_bytes\":1048576,\"memory_peak_bytes\":2097152,");
}

static void a_character_cut_by_two_pieces_is_whole_again(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/logs");
    expect_status(200);
    expect_text("\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.000001Z\","
                "\"text\":\"o\"}\n");
    expect_text("\"text\":\"E\\n\"}\n");
    expect_text("\"text\":\"\xc3\xa4\xef\xbf\xbd\"}\n");
    ask("GET /v1/runs/1/logs?stream=stderr&step=fit");
    expect_text("\"text\":\"E\\n\"");
    assert_null(strstr(body_of_answer(), "stdout"));
    ask("GET /v1/runs/1/logs/fit/0?attempt=0&stream=stdout");
    expect_text("o\xc3\xa4\xff");
    ask("GET /v1/runs/1/logs/fit/0");
    expect_status(200);
    assert_null(strstr(body_of_answer(), "E"));
    ask("GET /v1/runs/1/logs/fit/1");
    expect_status(404);
}

static void a_long_log_is_read_in_parts(void **state)
{
    struct buffer log = BUFFER_INIT;
    struct attempt_record a = {
        .run = make_run(1), .task = fit(1), .verdict = VERDICT_DONE, .reason = REASON_OK
    };
    char line[1000];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 3000; i++)
        log_piece_encode(LOG_STDOUT, 1, line, sizeof(line), &log);
    a.log.has_blob = true;
    a.log.size = 3000 * sizeof(line);
    assert_int_equal(blobs_put(fake.fixture->blobs, log.data, log.len, &a.log.blob), 0);
    buffer_release(&log);
    put_attempt(&a);
    ask("GET /v1/runs/1/logs/fit/1");
    expect_status(200);
    assert_true(answer.len > 3000 * sizeof(line));
    expect_text("\r\n0\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_node_tells_about_itself),
        CASE(runs_are_listed_newest_first),
        CASE(runs_are_found_by_what_they_are),
        CASE(active_runs_stand_in_their_places),
        CASE(pages_follow_each_other_over_runs_that_are_gone),
        CASE(one_run_is_told_from_the_node_or_from_the_store),
        CASE(a_runs_file_and_graph),
        CASE(a_run_is_cancelled),
        CASE(a_run_is_suspended),
        CASE(tags_are_changed),
        CASE(a_run_is_removed),
        CASE(a_submission_is_answered_once_durable),
        CASE(a_bad_submission_tells_all_that_is_wrong),
        CASE(attempts_come_in_pages),
        CASE(a_character_cut_by_two_pieces_is_whole_again),
        CASE(a_long_log_is_read_in_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
