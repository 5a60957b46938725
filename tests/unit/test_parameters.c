/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/parameters.h"
#include "flow/read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct flow *read_flow(const char *parameters)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer said = BUFFER_INIT;
    struct flow *flow = NULL;

    buffer_printf(&text, "mesh: 1\nflow: P\nparameters:\n%ssteps: {a: {run: x}}\n",
                  parameters);
    if (flow_read(text.data, text.len, &flow, &d)) {
        diagnostics_print(&d, "flow.mf", false, &said);
        fail_msg("%s", buffer_text(&said));
    }
    return flow;
}

/* Values as `name=value `, `-` for none; or errors, each as `message. `. */
static void assert_resolves(const char *parameters, const struct pair *given, size_t n,
                            const char *expected)
{
    CLEANUP(flow_unrefp) struct flow *flow = read_flow(parameters);
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    char **values = NULL;
    int r = parameters_resolve(flow, given, n, &values, &d);

    for (size_t i = 0; i < d.n; i++)
        buffer_printf(&out, "%s. ", d.all[i].message);
    assert_int_equal(r, d.n ? -EINVAL : 0);
    for (size_t i = 0; !r && i < flow->n_parameters; i++)
        buffer_printf(&out, "%s=%s ", flow->parameters[i].name,
                      values[i] ? values[i] : "-");
    if (!r)
        parameters_free(flow, values);
    assert_string_equal(buffer_text(&out), expected);
}

#define ASSERT_RESOLVES(parameters, expected, ...)                             \
    do {                                                                       \
        struct pair given_[] = { __VA_ARGS__ };                                \
        assert_resolves((parameters), given_, ARRAY_SIZE(given_), (expected)); \
    } while (0)

static const char several[] = "  text: {type: string, default: hello}\n"
                              "  count: {type: int, default: 3, min: 1, max: 9}\n"
                              "  rate: {type: float, choices: [0.5, 1, 2.0]}\n"
                              "  deep: {type: bool, default: false}\n"
                              "  must: {required: true}\n";

static void defaults_complete_what_was_given(void **state)
{
    (void)state;
    ASSERT_RESOLVES(several, "text=hello count=3 rate=- deep=false must=x ",
                    { "must", "x" });
    ASSERT_RESOLVES(several, "text= count=9 rate=1.00 deep=true must=x ",
                    { "deep", "1" }, { "rate", "1.00" }, { "count", "9" },
                    { "must", "x" }, { "text", "" });
}

static void all_errors_are_told(void **state)
{
    (void)state;
    ASSERT_RESOLVES(several,
                    "parameter 'count' must be at most 9. "
                    "parameter 'rate' must be one of: 0.5, 1, 2.0. "
                    "parameter 'deep' must be true or false. "
                    "the flow has no parameter 'txet'. "
                    "parameter 'must' is missing. ",
                    { "count", "10" }, { "rate", "3" }, { "deep", "maybe" },
                    { "txet", "x" });
    ASSERT_RESOLVES(several, "parameter 'must' is given twice. ", { "must", "x" },
                    { "must", "y" });
}

static void the_nearest_name_is_offered(void **state)
{
    CLEANUP(flow_unrefp) struct flow *flow = read_flow("  alpha: {}\n  beta: {}\n");
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    const struct pair given[] = { { (char *)"alhpa", (char *)"x" } };
    char **values;

    (void)state;
    assert_int_equal(parameters_resolve(flow, given, 1, &values, &d), -EINVAL);
    assert_string_equal(d.all[0].hint, "did you mean 'alpha'?");
}

static void assert_type(const char *type, const char *value, bool is_good)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    const struct pair given = { (char *)"x", (char *)value };
    char **values = NULL;
    int r;

    buffer_printf(&text, "  x: {type: %s}\n", type);
    flow = read_flow(buffer_text(&text));
    r = parameters_resolve(flow, &given, 1, &values, &d);
    if (!r)
        parameters_free(flow, values);
    if (!r != is_good)
        fail_msg("%s as %s: %d", value, type, r);
}

static void types_are_checked(void **state)
{
    static const struct {
        const char *type, *good[6], *bad[8];
    } cases[] = {
        { "int",
          { "0", "-5", "+7", "9223372036854775807" },
          { "", "5.0", " 5", "5 ", "0x10", "9223372036854775808", "five" } },
        { "float",
          { "0", "-.5", "1e-3" },
          { "", "nan", "inf", "1e999", "0x1p3", " 1" } },
        { "bool", { "true", "false", "0", "1" }, { "", "yes", "True", "2" } },
        { "json",
          { "1", "[1, {\"a\": null}]", "\"x\"" },
          { "", "[1,", "{a: 1}", "x" } },
        { "datetime",
          { "2024-02-29", "2000-02-29", "2024-01-31T08:00Z", "2024-01-31 08:00:00.25",
            "2024-01-31T08:00:00+05:30" },
          { "", "2023-02-29", "1900-02-29", "2024-13-01", "2024-1-1", "2024-01-31T",
            "2024-01-31T24:00", "2024-01-31T08:00:00+05x30" } },
        { "string", { "", "anything" }, { NULL } },
        { "file", { "", "any content" }, { NULL } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t k = 0; k < 6 && cases[i].good[k]; k++)
            assert_type(cases[i].type, cases[i].good[k], true);
        for (size_t k = 0; k < 8 && cases[i].bad[k]; k++)
            assert_type(cases[i].type, cases[i].bad[k], false);
    }
}

static void defaults_are_as_the_command_line_would_give_them(void **state)
{
    (void)state;
    ASSERT_RESOLVES("  a: {default: 7}\n  b: {default: 0.5}\n  c: {default: true}\n"
                    "  d: {default: [1, {x: y}]}\n  e: {type: float, default: 2}\n"
                    "  f: {default: on}\n  g: {type: json, default: text}\n"
                    "  none: {}\n",
                    "a=7 b=0.5 c=true d=[1,{\"x\":\"y\"}] e=2 f=on g=\"text\" none= ",
                    { "none", "" });
}

static void a_separator_makes_a_list(void **state)
{
    static const char list[] = "  x: {separator: '::', default: 'a'}\n";

    (void)state;
    ASSERT_RESOLVES(list, "x=[\"a\",\"b\\\"\",\"\"] ", { "x", "a::b\"::" });
    ASSERT_RESOLVES(list, "x=[] ", { "x", "" });
}

static void substitution_replaces_all(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *flow = read_flow(
        "  b: {default: 9}\n  a: {default: 1}\n  ab: {default: two}\n  none: {}\n");
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    char **values;
    CLEANUP(freep) char *text = NULL;

    (void)state;
    assert_int_equal(parameters_resolve(flow, NULL, 0, &values, &d), 0);
    text =
        parameters_substitute(flow, values,
                              "${{params.ab}}-${{ params.a }}${{\tparams.none }}.$x");
    assert_string_equal(text, "two-1.$x");
    parameters_free(flow, values);
}

static void a_variable_is_the_upper_case_name(void **state)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    (void)state;
    parameter_variable("max-depth_2", &out);
    assert_string_equal(buffer_text(&out), "MESH_PARAM_MAX_DEPTH_2");
}

static void values_are_written_by_their_type(void **state)
{
    static const struct {
        const char *type, *value, *json;
    } cases[] = {
        { "int", "+7", "7" },
        { "int", "-9223372036854775808", "-9223372036854775808" },
        { "float", "5", "5.0" },
        { "float", "-.5", "-0.5" },
        { "float", "1e300", "1.0000000000000001e+300" },
        { "float", "0.1", "0.10000000000000001" },
        { "bool", "1", "true" },
        { "json", "{\"a\": [1]}", "{\"a\": [1]}" },
        { "string", "it's \"so\"\n", "\"it's \\\"so\\\"\\n\"" },
        { "datetime", "2024-01-31", "\"2024-01-31\"" },
        { "string, separator: ','", "a,b", "[\"a\",\"b\"]" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
        CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;
        CLEANUP(flow_unrefp) struct flow *flow = NULL;
        CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
        const struct pair given = { (char *)"x", (char *)(uintptr_t)cases[i].value };
        char **values = NULL;

        buffer_printf(&text, "  x: {type: %s}\n", cases[i].type);
        flow = read_flow(buffer_text(&text));
        assert_int_equal(parameters_resolve(flow, &given, 1, &values, &d), 0);
        assert_int_equal(parameter_write_json(&flow->parameters[0], values[0], &json),
                         0);
        assert_string_equal(buffer_text(&json), cases[i].json);
        parameters_free(flow, values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_complete_what_was_given),
        cmocka_unit_test(all_errors_are_told),
        cmocka_unit_test(the_nearest_name_is_offered),
        cmocka_unit_test(types_are_checked),
        cmocka_unit_test(values_are_written_by_their_type),
        cmocka_unit_test(defaults_are_as_the_command_line_would_give_them),
        cmocka_unit_test(a_separator_makes_a_list),
        cmocka_unit_test(substitution_replaces_all),
        cmocka_unit_test(a_variable_is_the_upper_case_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
