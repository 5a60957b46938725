/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "node/items.h"

static struct item_list parse(const char *text)
{
    struct item_list list = { .items = NULL };

    assert_int_equal(items_parse(text, strlen(text), &list, NULL), 0);
    return list;
}

static void test_numbers_stay_as_they_were(void **state)
{
    struct item_list l = parse("[0.1, 1, {\"lr\": [1e-3, 0.30000000000000004]}]");

    (void)state;
    assert_string_equal(l.items[0], "0.1");
    assert_string_equal(l.items[1], "1");
    assert_string_equal(l.items[2], "{\"lr\":[0.001,0.30000000000000004]}");
    item_list_release(&l);
}

static void test_array_gives_compact_json(void **state)
{
    struct item_list l = parse(" [1, \"a b\", {\"x\": [true]}, null]");

    (void)state;
    assert_int_equal(l.n, 4);
    assert_string_equal(l.items[0], "1");
    assert_string_equal(l.items[1], "\"a b\"");
    assert_string_equal(l.items[2], "{\"x\":[true]}");
    assert_string_equal(l.items[3], "null");
    item_list_release(&l);
}

static void test_text_gives_a_string_a_line(void **state)
{
    struct item_list l = parse("one\n\ntwo \"q\"\nlast");

    (void)state;
    assert_int_equal(l.n, 4);
    assert_string_equal(l.items[0], "\"one\"");
    assert_string_equal(l.items[1], "\"\"");
    assert_string_equal(l.items[2], "\"two \\\"q\\\"\"");
    assert_string_equal(l.items[3], "\"last\"");
    item_list_release(&l);
}

static void test_nothing_gives_no_items(void **state)
{
    struct item_list empty = parse(""), array = parse("[]");

    (void)state;
    assert_int_equal(empty.n, 0);
    assert_int_equal(array.n, 0);
    item_list_release(&empty);
    item_list_release(&array);
}

static void test_what_is_no_list_is_told(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "{\"a\": 1}", "no array" },
        { "[1, 2", "no valid JSON" },
        { "\xff\n", "no UTF-8" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct item_list l;
        struct error why = { .text = "" };

        assert_int_equal(items_parse(cases[i].text, strlen(cases[i].text), &l, &why),
                         -EINVAL);
        assert_non_null(strstr(why.text, cases[i].expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_gives_compact_json),
        cmocka_unit_test(test_numbers_stay_as_they_were),
        cmocka_unit_test(test_text_gives_a_string_a_line),
        cmocka_unit_test(test_nothing_gives_no_items),
        cmocka_unit_test(test_what_is_no_list_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
