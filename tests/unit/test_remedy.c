/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "node/api/remedy.h"

static struct buffer out;

/* What is said of an attempt, as JSON. */
static const char *said(const struct step *step, const struct attempt_record *a)
{
    struct emit e = { .out = &out };

    buffer_release(&out);
    out = BUFFER_INIT;
    remedy_emit(&e, NULL, step, a);
    assert_int_equal(buffer_failed(&out), 0);
    return buffer_text(&out);
}

static void expect(const char *text)
{
    if (!strstr(buffer_text(&out), text))
        fail_msg("expected %s in %s", text, buffer_text(&out));
}

static int tear_down(void **state)
{
    (void)state;
    buffer_release(&out);
    return 0;
}

static void every_reason_has_a_sentence_and_advice(void **state)
{
    const struct step step = { .name = (char *)"fit", .timeout_us = TIME_S(60) };

    (void)state;
    for (enum reason r = REASON_EXIT; r <= REASON_LAST; r++) {
        struct attempt_record a = { .reason = r, .exit_code = 1, .signal = SIGTERM };
        char reason[64];

        snprintf(reason, sizeof(reason), "{\"reason\":\"%s\",\"sentence\":\"",
                 reason_name(r));
        said(&step, &a);
        expect(reason);
        assert_null(strstr(buffer_text(&out), "\"sentence\":\"\""));
        assert_null(strstr(buffer_text(&out), "\"advice\":[]"));
    }
    assert_string_equal(said(&step, &(struct attempt_record){ .reason = REASON_OK }),
                        "null");
    assert_string_equal(said(&step, &(struct attempt_record){ .reason = 0 }), "null");
    assert_string_equal(said(&step, &(struct attempt_record){ .reason = 99 }), "null");
}

static void want_of_memory_says_how_much(void **state)
{
    const struct step step = { .name = (char *)"fit",
                               .has_limits = true,
                               .resources = { .memory_bytes = 512 << 20 } };
    const struct attempt_record a = { .reason = REASON_OOM,
                                      .signal = SIGKILL,
                                      .max_rss_bytes = 200 << 20,
                                      .memory_peak_bytes = 500 << 20 };

    (void)state;
    said(&step, &a);
    expect("at its memory limit of 512 MiB; it was seen with 500 MiB\"");
    expect("\"paste\":\"resources: {memory: 1G}\"");
}

static void a_timeout_is_doubled(void **state)
{
    const struct step step = { .name = (char *)"fit", .timeout_us = TIME_S(600) };
    const struct attempt_record a = { .reason = REASON_TIMEOUT,
                                      .started_wall = TIME_S(1),
                                      .ended_wall = TIME_S(602),
                                      .cpu_us = 1500000 };

    (void)state;
    said(&step, &a);
    expect("at its timeout, after 10 min 01 s");
    expect("\"paste\":\"timeout: 20m\"");
    expect("processor time 1500 ms");
}

static void exit_codes_are_told_apart(void **state)
{
    const struct step step = { .name = (char *)"fit" };
    static const struct {
        int code;
        const char *sentence;
    } table[] = {
        { 1, "it ended with exit code 1\"" },
        { 126, "a file could not be executed" },
        { 127, "a command was not found" },
        { 128, "it ended with exit code 128\"" },
        { 137, "ended by signal 9, SIGKILL (exit code 137)" },
        { 139, "ended by signal 11, SIGSEGV (exit code 139)" },
        { 202, "forbids another attempt" },
        { 255, "it ended with exit code 255\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        said(&step, &(struct attempt_record){ .reason = REASON_EXIT,
                                              .exit_code = table[i].code });
        expect(table[i].sentence);
    }
}

static void a_retry_is_advised_where_there_is_none(void **state)
{
    const struct attempt_record a = { .reason = REASON_EXIT, .exit_code = 1 };

    (void)state;
    said(&(struct step){ .name = (char *)"fit" }, &a);
    expect("retry: {times: 3");
    said(&(struct step){ .name = (char *)"fit", .retry = { .times = 1 } }, &a);
    assert_null(strstr(buffer_text(&out), "retry:"));
}

static void a_switch_lists_its_cases(void **state)
{
    struct switch_case cases[] = { { .name = (char *)"good" },
                                   { .name = (char *)"bad" } };
    const struct step step = { .name = (char *)"fit",
                               .switch_by = (char *)"verdict",
                               .cases = cases,
                               .n_cases = 2 };

    (void)state;
    said(&step,
         &(struct attempt_record){ .reason = REASON_CHOICE, .choice = (char *)"fair" });
    expect("(it said 'fair'); its cases are good, bad\"");
    expect("the artifact 'verdict'");
}

static void what_the_node_said_is_kept(void **state)
{
    const struct step step = { .name = (char *)"fit" };

    (void)state;
    said(&step, &(struct attempt_record){ .reason = REASON_OUTPUT,
                                          .message = (char *)"no \"model\"" });
    expect("\"sentence\":\"no \\\"model\\\"\"");
}

#define CASE(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_reason_has_a_sentence_and_advice),
        CASE(want_of_memory_says_how_much),
        CASE(a_timeout_is_doubled),
        CASE(exit_codes_are_told_apart),
        CASE(a_retry_is_advised_where_there_is_none),
        CASE(a_switch_lists_its_cases),
        CASE(what_the_node_said_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
