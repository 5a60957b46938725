/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "node/api/bodies.h"
#include "node/api/encode.h"
#include "node/api/number.h"
#include "node/api/range.h"
#include "node/api/router.h"
#include "node/api/sse.h"
/* Behind base/error.h: cmocka has a macro fail(). */
#include "tests/unit/unit.h"

static struct buffer out;
static struct emit e;

static int set_up(void **state)
{
    (void)state;
    buffer_release(&out);
    out = BUFFER_INIT;
    e = (struct emit){ .out = &out };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_release(&out);
    return 0;
}

static void expect(const char *text)
{
    assert_int_equal(buffer_failed(&out), 0);
    assert_string_equal(buffer_text(&out), text);
}

/* ---- emit ---- */

static void commas_stand_between_values_only(void **state)
{
    (void)state;
    emit_open(&e, NULL, '{');
    emit_u64(&e, "a", UINT64_MAX);
    emit_open(&e, "b", '[');
    emit_i64(&e, NULL, -1);
    emit_bool(&e, NULL, true);
    emit_open(&e, NULL, '{');
    emit_close(&e, '}');
    emit_close(&e, ']');
    emit_text(&e, "c", NULL);
    emit_raw(&e, "d", "[1]", 3);
    emit_close(&e, '}');
    expect("{\"a\":18446744073709551615,\"b\":[-1,true,{}],\"c\":null,\"d\":[1]}");
}

static void text_is_escaped(void **state)
{
    (void)state;
    emit_bytes(&e, NULL, "a\"\\\n\t\x0b\x7f\0z/", 10);
    expect("\"a\\\"\\\\\\n\\t\\u000b\\u007f\\u0000z/\"");
}

static void characters_pass_and_other_bytes_do_not(void **state)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        { "h\xc3\xa4", "\"h\xc3\xa4\"" },
        { "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
        { "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
        { "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"" },
        { "\xff", "\"\xef\xbf\xbd\"" },
        { "a\xc3", "\"a\xef\xbf\xbd\"" },
        { "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" }, /* overlong */
        { "\xe0\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* surrogate */
        { "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xe2\x82z", "\"\xef\xbf\xbd\xef\xbf\xbdz\"" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        set_up(state);
        emit_text(&e, NULL, table[i].in);
        expect(table[i].out);
    }
}

static void bytes_are_base64(void **state)
{
    (void)state;
    emit_open(&e, NULL, '[');
    for (size_t len = 0; len <= 4; len++)
        emit_base64(&e, NULL, "\xff\0ab", len);
    emit_close(&e, ']');
    assert_string_equal(buffer_text(&out),
                        "[\"\",\"/w==\",\"/wA=\",\"/wBh\",\"/wBhYg==\"]");
}

static void times_are_utc_with_microseconds(void **state)
{
    (void)state;
    emit_open(&e, NULL, '[');
    emit_time(&e, NULL, 1795269600000042);
    emit_time(&e, NULL, 0);
    emit_close(&e, ']');
    expect("[\"2026-11-21T14:00:00.000042Z\",null]");
}

/* ---- runs, attempts, diagnostics ---- */

static struct run_id some_run(void)
{
    struct run_id run = { .bytes = { 0 } };

    run.bytes[0] = 0xab;
    run.bytes[15] = 1;
    return run;
}

#define RUN_TEXT "ab000000000000000000000000000001"
#define ZERO_ID "0000000000000000000000000000000000000000000000000000000000000000"

static void a_run_says_all_of_itself(void **state)
{
    char *tags[] = { (char *)"nightly" };
    struct record_parameter parameters[] = {
        { .name = (char *)"alpha", .value = (char *)"0.3" },
        { .name = (char *)"key", .value = (char *)"", .is_secret = true },
    };
    struct run_record record = { .run = some_run(),
                                 .number = 42,
                                 .flow_name = (char *)"Train",
                                 .flow_path = (char *)"train.mf",
                                 .user = (char *)"ann",
                                 .tags = tags,
                                 .n_tags = 1,
                                 .parameters = parameters,
                                 .n_parameters = 2,
                                 .submitted_wall = 1000001 };
    struct run_end_record end = { .outcome = RUN_FAILED,
                                  .ended_wall = 3000000,
                                  .message = (char *)"step 'fit': exit code 2" };
    struct step_about step = { .name = "fit", .known = 3, .done = 1, .failed = 1 };
    struct run_about about = { .record = &record,
                               .end = &end,
                               .state = "ended",
                               .started = 2000000,
                               .attempts = 4,
                               .steps = &step,
                               .n_steps = 1,
                               .tasks = { .done = 1, .failed = 1 } };

    (void)state;
    encode_run(&e, &about);
    expect("{\"run\":\"" RUN_TEXT "\",\"number\":42,\"flow\":\"Train\","
           "\"state\":\"ended\",\"outcome\":\"failed\","
           "\"submitted\":\"1970-01-01T00:00:01.000001Z\","
           "\"started\":\"1970-01-01T00:00:02.000000Z\","
           "\"ended\":\"1970-01-01T00:00:03.000000Z\",\"user\":\"ann\",\"share\":1,"
           "\"suspended\":false,"
           "\"tags\":[\"nightly\"],\"parameters\":[{\"name\":\"alpha\","
           "\"value\":\"0.3\"},{\"name\":\"key\",\"value\":null,\"secret\":true}],"
           "\"origin\":null,\"package\":\"" ZERO_ID "\",\"path\":\"train.mf\","
           "\"message\":\"step 'fit': exit code 2\",\"tasks\":{\"done\":1,"
           "\"running\":0,\"failed\":1,\"waiting\":0,\"skipped\":0,\"adopted\":0},"
           "\"attempts\":4,\"steps\":[{\"name\":\"fit\",\"known\":3,\"done\":1,"
           "\"running\":0,\"failed\":1,\"ready\":0,\"skipped\":0,\"waits\":null}]}");
}

static void an_attempt_says_all_of_itself(void **state)
{
    struct artifact artifact = { .name = (char *)"model",
                                 .type = (char *)"bytes",
                                 .encoding = ENCODING_BYTES,
                                 .size = 7 };
    struct attempt_record a = {
        .task = { .step = 1, .depth = 2, .path = { 3, 1 }, .iteration = 2 },
        .attempt = 1,
        .verdict = VERDICT_FAILED,
        .reason = REASON_SIGNAL,
        .signal = 11,
        .pid = 77,
        .started_wall = 1000000,
        .ended_wall = 2000000,
        .outputs = &artifact,
        .n_outputs = 1,
        .width = 0,
        .has_width = true,
        .log = { .size = 9 }
    };

    (void)state;
    encode_attempt(&e, "fit", &a);
    expect("{\"step\":\"fit\",\"task\":\"3.1~2\",\"attempt\":1,"
           "\"verdict\":\"failed\",\"reason\":\"signal\",\"exit_code\":0,"
           "\"signal\":11,\"message\":null,"
           "\"started\":\"1970-01-01T00:00:01.000000Z\","
           "\"ended\":\"1970-01-01T00:00:02.000000Z\",\"pid\":77,"
           "\"max_rss_bytes\":0,\"cpu_us\":0,"
           "\"memory_peak_bytes\":null,\"cpu_peak_milli\":null,\"width\":0,\"choice\":"
           "null,\"gpus\":[],"
           "\"artifacts\":[{\"name\":\"model\",\"type\":\"bytes\","
           "\"encoding\":\"bytes\",\"size\":7,\"id\":\"" ZERO_ID "\"}],"
           "\"log_bytes\":9,\"log_truncated\":false,\"origin\":null}");
}

static void diagnostics_count_what_was_left_out(void **state)
{
    struct diagnostic d = { .severity = SEVERITY_NOTE,
                            .line = 3,
                            .column = 5,
                            .width = 2,
                            .message = (char *)"odd" };
    struct diagnostics all = { .all = &d, .n = 1, .n_more = 7 };

    (void)state;
    encode_diagnostics(&e, NULL, &all);
    expect("[{\"severity\":\"note\",\"line\":3,\"column\":5,\"width\":2,"
           "\"message\":\"odd\",\"hint\":null,\"excerpt\":null},"
           "{\"severity\":\"error\",\"line\":0,\"column\":0,\"width\":0,"
           "\"message\":\"7 more errors\",\"hint\":null,\"excerpt\":null}]");
}

/* ---- server-sent events ---- */

static void an_event_is_three_lines_and_an_empty_one(void **state)
{
    struct feed_event event = { .seq = 17,
                                .type = FEED_LOG,
                                .wall = 5,
                                .run = some_run(),
                                .number = 2,
                                .step = "start",
                                .pid = 9,
                                .stream = LOG_STDERR,
                                .data = "a\nb\xff",
                                .len = 4 };

    (void)state;
    assert_int_equal(sse_event(&event, &out), 0);
    expect("id: 17\nevent: log\ndata: {\"time\":\"1970-01-01T00:00:00.000005Z\","
           "\"run\":\"" RUN_TEXT "\",\"number\":2,\"step\":\"start\",\"task\":\"0\","
           "\"attempt\":0,\"pid\":9,\"stream\":\"stderr\","
           "\"text\":\"a\\nb\xef\xbf\xbd\"}\n\n");
}

static void the_end_of_a_task_says_what_comes_next(void **state)
{
    struct feed_event event = { .seq = 1,
                                .type = FEED_TASK_ENDED,
                                .wall = 5,
                                .run = some_run(),
                                .number = 2,
                                .step = "fit",
                                .verdict = VERDICT_FAILED,
                                .reason = REASON_EXIT,
                                .exit_code = 3,
                                .is_retried = true,
                                .retry_in_us = 2000000,
                                .message = "no" };

    (void)state;
    encode_event(&e, &event);
    expect("{\"time\":\"1970-01-01T00:00:00.000005Z\",\"run\":\"" RUN_TEXT "\","
           "\"number\":2,\"step\":\"fit\",\"task\":\"0\",\"attempt\":0,\"pid\":0,"
           "\"verdict\":\"failed\",\"reason\":\"exit\",\"exit_code\":3,\"signal\":0,"
           "\"message\":\"no\",\"started\":null,\"retried\":true,"
           "\"retry_in_us\":2000000}");
}

static void a_gap_and_a_heartbeat(void **state)
{
    (void)state;
    sse_gap(9, &out);
    sse_heartbeat(&out);
    expect("event: gap\ndata: {\"next\":9}\n\n:\n\n");
}

static void since_is_a_number(void **state)
{
    uint64_t seq = 0;

    (void)state;
    assert_int_equal(sse_since("12", &seq), 0);
    assert_int_equal(seq, 12);
    assert_int_equal(sse_since("", &seq), -EINVAL);
    assert_int_equal(sse_since("1 ", &seq), -EINVAL);
    assert_int_equal(sse_since("-1", &seq), -EINVAL);
    assert_int_equal(sse_since("18446744073709551615", &seq), -ERANGE);
    assert_int_equal(sse_since("99999999999999999999", &seq), -ERANGE);
}

/* ---- ranges ---- */

static void ranges(void **state)
{
    static const struct {
        const char *header;
        uint64_t size;
        int result;
        uint64_t offset, len;
    } table[] = {
        { NULL, 10, RANGE_WHOLE, 0, 10 },
        { "bytes=0-0", 10, RANGE_PART, 0, 1 },
        { "bytes=2-5", 10, RANGE_PART, 2, 4 },
        { "bytes=2-", 10, RANGE_PART, 2, 8 },
        { "bytes=2-99", 10, RANGE_PART, 2, 8 },
        { "bytes=9-99999999999999999999999", 10, RANGE_PART, 9, 1 },
        { "bytes=-3", 10, RANGE_PART, 7, 3 },
        { "bytes=-30", 10, RANGE_PART, 0, 10 },
        { "bytes=-0", 10, -ERANGE, 0, 0 },
        { "bytes=10-", 10, -ERANGE, 0, 0 },
        { "bytes=99999999999999999999999-", 10, -ERANGE, 0, 0 },
        { "bytes=0-", 0, -ERANGE, 0, 0 },
        { "bytes=-1", 0, -ERANGE, 0, 0 },
        { "bytes=5-2", 10, RANGE_WHOLE, 0, 10 },
        { "bytes=-", 10, RANGE_WHOLE, 0, 10 },
        { "bytes=", 10, RANGE_WHOLE, 0, 10 },
        { "bytes=a-b", 10, RANGE_WHOLE, 0, 10 },
        { "bytes=0-1,4-5", 10, RANGE_WHOLE, 0, 10 },
        { "bytes=1-2-3", 10, RANGE_WHOLE, 0, 10 },
        { "lines=0-1", 10, RANGE_WHOLE, 0, 10 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct range range = { .offset = 77 };

        assert_int_equal(range_parse(table[i].header, table[i].size, &range),
                         table[i].result);
        if (table[i].result < 0)
            continue;
        assert_int_equal(range.offset, table[i].offset);
        assert_int_equal(range.len, table[i].len);
    }
}

/* ---- the router ---- */

static const struct route routes[] = {
    { METHOD_GET, "/v1/runs", .query = "flow" },
    { METHOD_POST, "/v1/runs", .query = NULL },
    { METHOD_GET, "/v1/runs/RUN", .query = NULL },
    { METHOD_GET, "/v1/runs/RUN/logs/STEP/TASK", .query = NULL },
    { METHOD_POST, "/v1/blobs/missing", .query = NULL },
    { METHOD_GET, "/v1/blobs/ID", .query = NULL },
    { METHOD_PUT, "/v1/blobs/ID", .query = NULL },
};

static int find(enum method method, const char *path, struct route_match *m)
{
    return router_find(routes, ARRAY_SIZE(routes), method, path, m);
}

static void paths_are_matched_by_segment(void **state)
{
    struct route_match m;

    (void)state;
    assert_int_equal(find(METHOD_GET, "/v1/runs/42/logs/fit/3.1", &m), 0);
    assert_ptr_equal(m.route, &routes[3]);
    assert_int_equal(m.n_params, 3);
    assert_int_equal(m.params[2].len, 3);
    assert_memory_equal(m.params[2].data, "3.1", 3);
    assert_int_equal(find(METHOD_POST, "/v1/blobs/missing", &m), 0);
    assert_ptr_equal(m.route, &routes[4]);
    assert_int_equal(find(METHOD_GET, "/v1/blobs/missing", &m), -EOPNOTSUPP);
    assert_int_equal(m.allowed, 1u << METHOD_POST);
    assert_int_equal(find(METHOD_GET, "/v1/blobs/another", &m), 0);
    assert_ptr_equal(m.route, &routes[5]);
}

static void an_empty_or_missing_segment_is_no_parameter(void **state)
{
    struct route_match m;

    (void)state;
    assert_int_equal(find(METHOD_GET, "/v1/runs/", &m), -ENOENT);
    assert_int_equal(find(METHOD_GET, "/v1/runs/42/", &m), -ENOENT);
    assert_int_equal(find(METHOD_GET, "/v1/runs/42/logs//3", &m), -ENOENT);
    assert_int_equal(find(METHOD_GET, "", &m), -ENOENT);
    assert_int_equal(find(METHOD_GET, "v1/runs", &m), -ENOENT);
}

static void another_method_is_told_which_there_are(void **state)
{
    struct route_match m;

    (void)state;
    assert_int_equal(find(METHOD_PUT, "/v1/runs", &m), -EOPNOTSUPP);
    assert_int_equal(m.allowed, 1u << METHOD_GET | 1u << METHOD_POST);
    assert_int_equal(find((enum method)0, "/v1/runs/1", &m), -EOPNOTSUPP);
    assert_int_equal(m.allowed, 1u << METHOD_GET);
}

static void a_path_that_is_nearly_right_gets_a_hint(void **state)
{
    struct route_match m;

    (void)state;
    assert_int_equal(find(METHOD_GET, "/v1/run", &m), -ENOENT);
    assert_string_equal(m.nearest, "/v1/runs");
    assert_int_equal(find(METHOD_GET, "/v1/runs/42/log/fit/0", &m), -ENOENT);
    assert_string_equal(m.nearest, "/v1/runs/RUN/logs/STEP/TASK");
    assert_int_equal(find(METHOD_GET, "/favicon.ico/and/a/lot/more/of/it/all", &m),
                     -ENOENT);
    assert_null(m.nearest);
}

static void words(void **state)
{
    (void)state;
    assert_true(word_is_among("limit", "flow limit before"));
    assert_true(word_is_among("before", "flow limit before"));
    assert_false(word_is_among("lim", "flow limit before"));
    assert_false(word_is_among("flow limit", "flow limit before"));
    assert_false(word_is_among("x", NULL));
    assert_false(word_is_among("", "flow"));
}

/* ---- bodies ---- */

static struct error why;

static int read_submission(const char *text, struct submission_body *b)
{
    why.text[0] = '\0';
    return submission_body_read(text, strlen(text), b, &why);
}

static void refuse(const char *text, const char *sentence)
{
    struct submission_body b;

    assert_int_equal(read_submission(text, &b), -EINVAL);
    assert_string_equal(why.text, sentence);
}

static void a_submission_is_read(void **state)
{
    struct submission_body b;

    (void)state;
    assert_int_equal(
        read_submission(
            "{\"flow\": \"mesh: 1\", \"path\": \"a.mf\", \"package\": \"" ZERO_ID
            "\", \"parameters\": [{\"name\": \"x\", \"value\": "
            "\"1\"}], \"tags\": [\"t\", \"u\"], \"max_workers\": 4, "
            "\"on_failure\": \"kill\", \"clamp\": true, \"origin\": \"3\", "
            "\"step\": null}",
            &b),
        0);
    assert_string_equal(b.flow, "mesh: 1");
    assert_string_equal(b.path, "a.mf");
    assert_true(b.has_package);
    assert_int_equal(b.n_parameters, 1);
    assert_string_equal(b.parameters[0].value, "1");
    assert_string_equal(b.tags[1], "u");
    assert_null(b.tags[2]);
    assert_int_equal(b.max_workers, 4);
    assert_string_equal(b.on_failure, "kill");
    assert_true(b.clamp);
    assert_string_equal(b.origin, "3");
    assert_null(b.step);
    submission_body_release(&b);
}

static void a_bad_field_is_named(void **state)
{
    (void)state;
    refuse("{}", "field 'flow' is missing");
    refuse("{\"flow\": null}", "field 'flow' must be a string");
    refuse("{\"flow\": 1}", "field 'flow' must be a string");
    refuse("{\"flow\": \"\", \"flwo\": 1}", "there is no field 'flwo'");
    refuse("{\"flow\": \"\", \"clamp\": 1}", "field 'clamp' must be true or false");
    refuse("{\"flow\": \"\", \"max_workers\": -1}",
           "field 'max_workers' must be a number from 0 to 4294967295");
    refuse("{\"flow\": \"\", \"max_workers\": 4294967296}",
           "field 'max_workers' must be a number from 0 to 4294967295");
    refuse("{\"flow\": \"\", \"on_failure\": \"go\"}",
           "field 'on_failure' must be 'stop', 'finish' or 'kill'");
    refuse("{\"flow\": \"\", \"package\": \"abc\"}",
           "field 'package' must be an id of 64 hexadecimal digits");
    refuse("{\"flow\": \"\", \"tags\": [1]}", "field 'tags' must be a list of strings");
    refuse("{\"flow\": \"\", \"tags\": \"a\"}",
           "field 'tags' must be a list of at most 4096 strings");
    refuse("{\"flow\": \"\", \"parameters\": [{\"name\": \"x\"}]}",
           "field 'parameters': field 'value' is missing");
    refuse("{\"flow\": \"\", \"parameters\": [{\"name\": \"x\", \"value\": 1}]}",
           "field 'parameters': field 'value' must be a string");
    refuse("{\"flow\": \"\", \"parameters\": [3]}",
           "field 'parameters' must be a list of {\"name\": ..., \"value\": ...}");
    refuse("{\"flow\": \"\", \"step\": \"fit\"}",
           "field 'step' needs field 'origin': the run to resume");
    refuse("[]", "the body must be a JSON object");
}

static void what_is_no_json_is_refused(void **state)
{
    struct submission_body b;

    (void)state;
    assert_int_equal(read_submission("", &b), -EINVAL);
    assert_int_equal(read_submission("{\"flow\": \"a\"", &b), -EINVAL);
    assert_int_equal(read_submission("{\"flow\": \"a\", \"flow\": \"b\"}", &b),
                     -EINVAL);
    assert_int_equal(read_submission("{\"flow\": \"\xff\"}", &b), -EINVAL);
    assert_int_equal(read_submission("{\"flow\": \"a\\u0000b\"}", &b), -EINVAL);
    assert_int_equal(read_submission("{\"flow\": \"a\"} {}", &b), -EINVAL);
    assert_non_null(strstr(why.text, "the body is not JSON: line 1"));
}

static void ids_are_read(void **state)
{
    struct missing_body b;
    const char *good = "{\"ids\": [\"" ZERO_ID "\"]}", *bad = "{\"ids\": [\"00\"]}";

    (void)state;
    assert_int_equal(missing_body_read(good, strlen(good), &b, &why), 0);
    assert_int_equal(b.n, 1);
    missing_body_release(&b);
    assert_int_equal(missing_body_read(bad, strlen(bad), &b, &why), -EINVAL);
    assert_string_equal(why.text,
                        "field 'ids': entry 0 is no id of 64 hexadecimal digits");
}

static void some_bodies_may_be_absent(void **state)
{
    struct gc_body b = { .dry_run = true };

    (void)state;
    assert_int_equal(gc_body_read("", 0, &b, &why), 0);
    assert_false(b.dry_run);
    assert_int_equal(gc_body_read("{\"dry_run\": true}", 17, &b, &why), 0);
    assert_true(b.dry_run);
    assert_int_equal(gc_body_read("null", 4, &b, &why), -EINVAL);
    assert_int_equal(empty_body_read("", 0, &why), 0);
    assert_int_equal(empty_body_read("{}", 2, &why), 0);
    assert_int_equal(empty_body_read("{\"a\": 1}", 8, &why), -EINVAL);
    assert_string_equal(why.text, "there is no field 'a'");
}

static void a_flow_to_check_is_read(void **state)
{
    struct check_body b;

    (void)state;
    assert_int_equal(check_body_read("{\"flow\": \"x\"}", 13, &b, &why), 0);
    assert_string_equal(b.flow, "x");
    assert_null(b.path);
    check_body_release(&b);
    assert_int_equal(check_body_read("{\"path\": \"x\"}", 13, &b, &why), -EINVAL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(commas_stand_between_values_only),
        CASE(text_is_escaped),
        CASE(characters_pass_and_other_bytes_do_not),
        CASE(bytes_are_base64),
        CASE(times_are_utc_with_microseconds),
        CASE(a_run_says_all_of_itself),
        CASE(an_attempt_says_all_of_itself),
        CASE(diagnostics_count_what_was_left_out),
        CASE(an_event_is_three_lines_and_an_empty_one),
        CASE(the_end_of_a_task_says_what_comes_next),
        CASE(a_gap_and_a_heartbeat),
        CASE(since_is_a_number),
        CASE(ranges),
        CASE(paths_are_matched_by_segment),
        CASE(an_empty_or_missing_segment_is_no_parameter),
        CASE(another_method_is_told_which_there_are),
        CASE(a_path_that_is_nearly_right_gets_a_hint),
        CASE(words),
        CASE(a_submission_is_read),
        CASE(a_bad_field_is_named),
        CASE(what_is_no_json_is_refused),
        CASE(ids_are_read),
        CASE(some_bodies_may_be_absent),
        CASE(a_flow_to_check_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
