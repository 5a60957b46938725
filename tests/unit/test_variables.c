/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "node/variables.h"

static void test_they_are_set_found_and_taken_away(void **state)
{
    CLEANUP(variables_release) struct variables v = { .all = NULL };

    (void)state;
    assert_null(variables_find(&v, "A"));
    variables_unset(&v, "A");
    assert_int_equal(variables_set(&v, strdup("A=1")), 0);
    assert_int_equal(variables_printf(&v, "AB=%d", 2), 0);
    assert_int_equal(variables_printf(&v, "C=x=%s", "y"), 0);
    assert_int_equal(v.n, 3);
    assert_null(v.all[3]);
    assert_string_equal(variables_find(&v, "A"), "1");
    assert_string_equal(variables_find(&v, "C"), "x=y");
    assert_null(variables_find(&v, "B"));
    assert_int_equal(variables_set(&v, strdup("A=3")), 0);
    assert_int_equal(v.n, 3);
    assert_string_equal(variables_find(&v, "A"), "3");
    variables_unset(&v, "AB");
    assert_int_equal(v.n, 2);
    assert_null(v.all[2]);
    assert_string_equal(v.all[1], "C=x=y");
    assert_int_equal(variables_set(&v, NULL), -ENOMEM);
}

static void test_a_copy_is_its_own(void **state)
{
    CLEANUP(variables_release) struct variables v = { .all = NULL };
    CLEANUP(variables_release) struct variables copy = { .all = NULL };

    (void)state;
    assert_int_equal(variables_set(&v, strdup("A=1")), 0);
    assert_int_equal(variables_copy(&v, &copy), 0);
    assert_int_equal(variables_set(&copy, strdup("A=2")), 0);
    assert_string_equal(variables_find(&v, "A"), "1");
    assert_null(copy.all[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_are_set_found_and_taken_away),
        cmocka_unit_test(test_a_copy_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
