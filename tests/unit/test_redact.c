/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include "flow/read.h"
#include "node/redact.h"

static const char text[] = "mesh: 1\n"
                           "flow: F\n"
                           "parameters:\n"
                           "  open: {type: string}\n"
                           "  key: {type: string, secret: true}\n"
                           "  pin: {type: string, secret: true}\n"
                           "  none: {type: string, secret: true}\n"
                           "steps:\n"
                           "  start: {run: 'true'}\n";

static struct flow *flow;
static struct redact redact;

static int begin(void **state)
{
    char *values[] = { (char *)"shown", (char *)"first line\r\nab\nsecond",
                       (char *)"123", NULL };
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };

    (void)state;
    assert_int_equal(flow_read(text, strlen(text), &flow, &d), 0);
    assert_int_equal(redact_init(&redact, flow, values), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    redact_release(&redact);
    flow_unref(flow);
    return 0;
}

static void expect(const char *printed, const char *kept)
{
    CLEANUP(freep) char *data = strdup(printed);

    redact_bytes(&redact, data, strlen(data));
    assert_string_equal(data, kept);
}

static void lines_of_a_secret_are_hidden(void **state)
{
    (void)state;
    expect("<first line>", "<**********>");
    expect("secondsecond, second", "************, ******");
    expect("a first\nline", "a first\nline");
}

static void what_is_no_secret_or_short_stays(void **state)
{
    (void)state;
    expect("shown 123 ab", "shown 123 ab");
    expect("", "");
}

static void nothing_behind_the_bytes_is_touched(void **state)
{
    char data[] = "xxsecond";

    (void)state;
    redact_bytes(&redact, data, 7);
    assert_string_equal(data, "xxsecond");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_a_secret_are_hidden),
        cmocka_unit_test(what_is_no_secret_or_short_stays),
        cmocka_unit_test(nothing_behind_the_bytes_is_touched),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
