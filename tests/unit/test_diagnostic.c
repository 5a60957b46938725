/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/diagnostic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_prints(const struct diagnostics *d, const char *expected)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(diagnostics_print(d, "flow.mf", false, &out), 0);
    assert_string_equal(buffer_text(&out), expected);
}

static void an_error_points_at_its_place(void **state)
{
    static const char text[] = "a\n  next: jion\n";
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };

    (void)state;
    diagnostics_add(&d, SEVERITY_ERROR, 2, 9, 4, "did you mean 'join'?", "no '%s'",
                    "jion");
    diagnostics_add(&d, SEVERITY_NOTE, 1, 1, 1, NULL, "see here");
    diagnostics_add(&d, SEVERITY_ERROR, 0, 0, 0, "a hint", "no place");
    diagnostics_excerpts(&d, text, strlen(text));
    assert_prints(&d, "flow.mf:2:9: error: no 'jion'\n"
                      "    2 |   next: jion\n"
                      "      |         ^^^^ did you mean 'join'?\n"
                      "flow.mf:1:1: note: see here\n"
                      "    1 | a\n"
                      "      | ^\n"
                      "flow.mf: error: no place\n"
                      "      | a hint\n");
    assert_int_equal(diagnostics_errors(&d), 2);
}

static void control_characters_are_escaped(void **state)
{
    static const char text[] = "\x1b[2Jé\t'x'\n";
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };

    (void)state;
    diagnostics_add(&d, SEVERITY_ERROR, 1, 7, 3, NULL, "bad\x1b]0;title\a\n\u202e");
    diagnostics_excerpts(&d, text, strlen(text));
    assert_prints(&d, "flow.mf:1:7: error: bad\\x1b]0;title\\x07\\x0a\\xe2\\x80\\xae\n"
                      "    1 | \\x1b[2Jé 'x'\n"
                      "      |          ^^^\n");
}

static void more_than_twenty_are_counted(void **state)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    (void)state;
    for (int i = 0; i < 23; i++)
        diagnostics_add(&d, SEVERITY_ERROR, 0, 0, 0, NULL, "error %d", i);
    assert_int_equal(d.n, DIAGNOSTICS_MAX);
    assert_int_equal(d.n_more, 3);
    assert_int_equal(diagnostics_errors(&d), 23);
    diagnostics_print(&d, "f", false, &out);
    assert_non_null(
        strstr(buffer_text(&out), "f: error: error 19\nf: 3 more errors\n"));
}

static void colours_only_when_wanted(void **state)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    (void)state;
    diagnostics_add(&d, SEVERITY_ERROR, 0, 0, 0, NULL, "x");
    diagnostics_print(&d, "f", true, &out);
    assert_string_equal(buffer_text(&out),
                        "\033[1mf:\033[0m \033[1;31merror:\033[0m x\n");
}

/* A message is cut where a character begins, so that it stays UTF-8. */
static void long_messages_are_cut(void **state)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    char text[2001];
    size_t len;

    (void)state;
    for (size_t i = 0; i < 2000; i += 2)
        memcpy(text + i, "é", 2);
    text[2000] = '\0';
    diagnostics_add(&d, SEVERITY_ERROR, 0, 0, 0, text, "x%s", text);
    len = strlen(d.all[0].message);
    assert_in_range(len, 500, 700);
    assert_memory_equal(d.all[0].message + len - 2, "é", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_points_at_its_place),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(more_than_twenty_are_counted),
        cmocka_unit_test(colours_only_when_wanted),
        cmocka_unit_test(long_messages_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
