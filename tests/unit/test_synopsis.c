/* SPDX-License-Identifier: Apache-2.0 */
/* What stands where in the lines of a verb's help. */
#include <string.h>

#include "node/cli/synopsis.h"
#include "tests/unit/unit.h"

static const char lines[] = "get RUN/STEP[/TASK] NAME [-o PATH]\n"
                            "list RUN[/STEP[/TASK]]\n"
                            "RUN add TAG ...\n"
                            "--dev [--data DIR]\n"
                            "--case NAME\n"
                            "[--role ROLE] FLOW|RUN [--PARAMETER VALUE ...] [STEP]";

static const char *line(size_t n)
{
    const char *at = lines;

    while (n--)
        at = synopsis_next(at);
    return at;
}

/* The word at the place behind these operands; "" for none. */
static const char *word(size_t n_line, size_t n, const char *const *before)
{
    static struct synopsis_word w;

    return synopsis_at(line(n_line), before, n, &w) ? w.text : "";
}

static void operands_are_found_by_place(void **state)
{
    const char *get[] = { "get", "42/fit", "model" };

    (void)state;
    assert_string_equal(word(0, 0, NULL), "get");
    assert_string_equal(word(0, 1, get), "RUN/STEP/TASK");
    assert_string_equal(word(0, 2, get), "NAME");
    assert_string_equal(word(0, 3, get), "");
    assert_string_equal(word(1, 1, (const char *[]){ "list" }), "RUN/STEP/TASK");
}

static void a_literal_word_must_have_been_written(void **state)
{
    struct synopsis_word w;

    (void)state;
    assert_string_equal(word(1, 1, (const char *[]){ "get" }), "");
    assert_true(synopsis_at(line(0), NULL, 0, &w) && w.is_literal);
    assert_true(synopsis_at(line(2), NULL, 0, &w) && !w.is_literal);
}

static void the_last_operand_may_come_again(void **state)
{
    const char *add[] = { "42", "add", "a", "b", "c" };

    (void)state;
    for (size_t n = 2; n <= 5; n++)
        assert_string_equal(word(2, n, add), "TAG");
}

static void options_are_no_operands(void **state)
{
    const char *run[] = { "x.mf", "fit" };

    (void)state;
    assert_string_equal(word(3, 0, NULL), "");
    assert_string_equal(word(4, 0, NULL), "");
    assert_string_equal(word(5, 0, NULL), "FLOW|RUN");
    assert_string_equal(word(5, 1, run), "STEP");
    assert_string_equal(word(5, 2, run), "");
    assert_null(synopsis_next(line(5)));
}

static void what_is_longer_than_any_word_is_cut(void **state)
{
    char text[400];
    struct synopsis_word w;

    (void)state;
    memset(text, 'A', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_true(synopsis_at(text, NULL, 0, &w));
    assert_int_equal(strlen(w.text), SYNOPSIS_WORD_MAX - 1);
    assert_false(synopsis_at("", NULL, 0, &w));
    assert_false(synopsis_at("[-o", NULL, 0, &w));
    assert_false(synopsis_at("...", NULL, 0, &w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_are_found_by_place),
        cmocka_unit_test(a_literal_word_must_have_been_written),
        cmocka_unit_test(the_last_operand_may_come_again),
        cmocka_unit_test(options_are_no_operands),
        cmocka_unit_test(what_is_longer_than_any_word_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
