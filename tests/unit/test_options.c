/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/options.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static const struct option_spec specs[] = {
    { "data", 'd', "DIR", "" }, { "follow", 'f', NULL, "" }, { "quiet", 'q', NULL, "" },
    { "limit", 'n', "N", "" },  { "memory", 0, "SIZE", "" }, { "cpu", 0, "N", "" },
    { NULL, 0, NULL, NULL },
};

static int parse(bool takes_parameters, struct options *o, struct error *e,
                 char *const *args)
{
    size_t n = 0;

    while (args[n])
        n++;
    e->text[0] = '\0';
    return options_parse(specs, takes_parameters, n, args, o, e);
}

#define PARSE(parameters, o, e, ...) \
    parse(parameters, o, e, (char *const[]){ __VA_ARGS__, NULL })

static void options_stand_anywhere(void **state)
{
    struct options o;
    struct error e;

    (void)state;
    assert_int_equal(PARSE(false, &o, &e, "--data", "x", "a", "-fq", "-n5", "-", "--",
                           "--b"),
                     0);
    assert_string_equal(options_text(&o, "data"), "x");
    assert_true(options_has(&o, "follow") && options_has(&o, "quiet"));
    assert_string_equal(options_text(&o, "limit"), "5");
    assert_null(options_text(&o, "memory"));
    assert_int_equal(o.n_operands, 3);
    assert_string_equal(o.operands[1], "-");
    assert_string_equal(o.operands[2], "--b");
    options_release(&o);
}

static void values_may_follow_an_equals_sign(void **state)
{
    struct options o;
    struct error e;

    (void)state;
    assert_int_equal(PARSE(false, &o, &e, "--data=a=b", "--limit", "-"), 0);
    assert_string_equal(options_text(&o, "data"), "a=b");
    assert_string_equal(options_text(&o, "limit"), "-");
    options_release(&o);
    assert_int_equal(PARSE(false, &o, &e, "--data="), 0);
    assert_string_equal(options_text(&o, "data"), "");
    options_release(&o);
}

static void bad_usage_is_explained(void **state)
{
    struct options o;
    struct error e;

    (void)state;
    assert_int_equal(PARSE(false, &o, &e, "--folow"), -EINVAL);
    assert_non_null(strstr(e.text, "'--follow'"));
    assert_int_equal(PARSE(false, &o, &e, "--follow=1"), -EINVAL);
    assert_int_equal(PARSE(false, &o, &e, "--data"), -EINVAL);
    assert_int_equal(PARSE(false, &o, &e, "--data", "--follow"), -EINVAL);
    assert_int_equal(PARSE(false, &o, &e, "-x"), -EINVAL);
    assert_int_equal(PARSE(false, &o, &e, "--data", "a", "--data", "b"), -EINVAL);
    assert_non_null(strstr(e.text, "twice"));
    assert_int_equal(PARSE(true, &o, &e, "--=3"), -EINVAL);
}

static void a_flow_names_options(void **state)
{
    struct options o;
    struct error e;

    (void)state;
    assert_int_equal(PARSE(true, &o, &e, "--alpha", "-0.3", "flow.mf", "--date=a b",
                           "--follow", "--key", "@secret"),
                     0);
    assert_int_equal(o.n_parameters, 3);
    assert_string_equal(o.parameters[0].name, "alpha");
    assert_string_equal(o.parameters[0].value, "-0.3");
    assert_string_equal(o.parameters[1].value, "a b");
    assert_string_equal(o.parameters[2].value, "@secret");
    assert_int_equal(o.n_operands, 1);
    assert_true(options_has(&o, "follow"));
    options_release(&o);
    assert_int_equal(PARSE(true, &o, &e, "flow.mf", "--alpha"), -EINVAL);
    assert_int_equal(PARSE(true, &o, &e, "--alpha", "--beta", "1"), -EINVAL);
}

static void numbers_have_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes; /* 0: refused */
    } cases[] = {
        { "512", 512ull << 20 },
        { "16G", 16ull << 30 },
        { "1.5GiB", 3ull << 29 },
        { "2k", 2048 },
        { "7B", 7 },
        { "1T", 1ull << 40 },
        { "", 0 },
        { "G", 0 },
        { "-1", 0 },
        { "1e3", 0 },
        { "0x10", 0 },
        { "inf", 0 },
        { "1 G", 0 },
        { "9999999999T", 0 },
    };
    struct options o;
    struct error e;
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(PARSE(false, &o, &e, "--memory", (char *)cases[i].text), 0);
        assert_int_equal(options_bytes(&o, "memory", &got, &e),
                         cases[i].bytes ? 0 : -EINVAL);
        assert_int_equal(got, cases[i].bytes);
        options_release(&o);
    }
}

static void whole_and_broken_numbers(void **state)
{
    struct options o;
    struct error e;
    uint64_t got;

    (void)state;
    assert_int_equal(PARSE(false, &o, &e, "--cpu", "1.5", "--limit", "100"), 0);
    assert_int_equal(options_milli(&o, "cpu", &got, &e), 0);
    assert_int_equal(got, 1500);
    assert_int_equal(options_number(&o, "limit", 100, &got, &e), 0);
    assert_int_equal(got, 100);
    assert_int_equal(options_number(&o, "limit", 99, &got, &e), -EINVAL);
    assert_int_equal(options_bytes(&o, "memory", &got, &e), 0);
    assert_int_equal(got, 0);
    options_release(&o);
    assert_int_equal(PARSE(false, &o, &e, "--limit", "5x", "--cpu", "0"), 0);
    assert_int_equal(options_number(&o, "limit", 100, &got, &e), -EINVAL);
    assert_int_equal(options_milli(&o, "cpu", &got, &e), -EINVAL);
    options_release(&o);
}

static void tasks_are_named(void **state)
{
    static const char *const bad[] = {
        "", "/", "42/", "42//3", "42/fit/", "42/fit/3/4"
    };
    struct task_name n;
    struct error e;

    (void)state;
    assert_int_equal(task_name_parse("42/fit/3.1~2", &n, &e), 0);
    assert_string_equal(n.run, "42");
    assert_string_equal(n.step, "fit");
    assert_string_equal(n.task, "3.1~2");
    task_name_release(&n);
    assert_int_equal(task_name_parse("42", &n, &e), 0);
    assert_null(n.step);
    task_name_release(&n);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(task_name_parse(bad[i], &n, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(values_may_follow_an_equals_sign),
        cmocka_unit_test(bad_usage_is_explained),
        cmocka_unit_test(a_flow_names_options),
        cmocka_unit_test(numbers_have_units),
        cmocka_unit_test(whole_and_broken_numbers),
        cmocka_unit_test(tasks_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
