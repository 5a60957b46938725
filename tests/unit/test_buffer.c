/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static void test_empty_is_text(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char *text;

    assert_string_equal(buffer_text(&b), "");
    text = buffer_take(&b);
    assert_string_equal(text, "");
    free(text);
    buffer_clear(&b);
    assert_int_equal(buffer_append(&b, NULL, 0), 0);
    assert_string_equal(b.data, "");
}

static void test_grows_and_stays_terminated(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(buffer_putc(&b, (char)('a' + i % 26)), 0);
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 10000);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
}

static void test_printf_longer_than_the_room(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char wide[500];

    memset(wide, 'x', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    assert_int_equal(buffer_printf(&b, "%d|", 42), 0);
    assert_int_equal(buffer_printf(&b, "%s|%s", wide, "end"), 0);
    assert_int_equal(b.len, 3 + 499 + 4);
    assert_int_equal(b.len, strlen(b.data));
    assert_string_equal(b.data + b.len - 4, "|end");
}

/* The length at which printf needs exactly one byte more than there is. */
static void test_printf_at_the_edge(void **state UNUSED)
{
    for (int width = 50; width < 140; width++) {
        CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

        assert_int_equal(buffer_printf(&b, "%*d", width, 7), 0);
        assert_int_equal(b.len, width);
        assert_int_equal(strlen(b.data), width);
        assert_int_equal(b.data[width - 1], '7');
    }
}

static void test_bound_is_kept(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = { .bytes_max = 10 };

    assert_int_equal(buffer_puts(&b, "0123456789"), 0);
    assert_int_equal(buffer_putc(&b, 'x'), -E2BIG);
    assert_int_equal(buffer_failed(&b), -E2BIG);
    assert_string_equal(buffer_text(&b), "0123456789");
    assert_null(buffer_take(&b));
    buffer_clear(&b);
    assert_int_equal(buffer_failed(&b), 0);
    assert_int_equal(buffer_puts(&b, "again"), 0);
    assert_string_equal(buffer_text(&b), "again");
}

static void test_printf_within_the_bound(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = { .bytes_max = 10 };

    assert_int_equal(buffer_printf(&b, "%s", "0123456789"), 0);
    assert_string_equal(buffer_text(&b), "0123456789");
    assert_int_equal(buffer_printf(&b, "%s", ""), 0);
    assert_int_equal(buffer_printf(&b, "%d", 1), -E2BIG);
    assert_string_equal(buffer_text(&b), "0123456789");
    assert_int_equal(b.len, 10);
}

static void test_a_size_that_wraps_is_refused(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    assert_int_equal(buffer_puts(&b, "abc"), 0);
    assert_null(buffer_reserve(&b, SIZE_MAX));
    assert_null(buffer_reserve(&b, SIZE_MAX - 2));
    assert_int_equal(buffer_failed(&b), -E2BIG);
    assert_string_equal(buffer_text(&b), "abc");
}

static void test_take_leaves_it_empty(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char *text;

    buffer_puts(&b, "mine");
    text = buffer_take(&b);
    assert_string_equal(text, "mine");
    assert_int_equal(b.len, 0);
    assert_string_equal(buffer_text(&b), "");
    buffer_puts(&b, "next");
    assert_string_equal(text, "mine");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_is_text),
        cmocka_unit_test(test_grows_and_stays_terminated),
        cmocka_unit_test(test_printf_longer_than_the_room),
        cmocka_unit_test(test_printf_at_the_edge),
        cmocka_unit_test(test_bound_is_kept),
        cmocka_unit_test(test_printf_within_the_bound),
        cmocka_unit_test(test_a_size_that_wraps_is_refused),
        cmocka_unit_test(test_take_leaves_it_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
