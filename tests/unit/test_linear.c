/* SPDX-License-Identifier: Apache-2.0 */
/* Histories of one register that could have happened, and such that could not. An
 * operation is written with the moments of its begin and end. */
#include "simulations/linear.h"

#include <errno.h>

#include "base/macros.h"
#include "tests/unit/unit.h"

#define READ(from, to, v)                                                            \
    {                                                                                \
        .type = LINEAR_READ, .begin = from, .end = to, .has_found = true, .found = v \
    }
#define READ_NONE(from, to)                           \
    {                                                 \
        .type = LINEAR_READ, .begin = from, .end = to \
    }
#define ADD(from, to, by, sum)                                                  \
    {                                                                           \
        .type = LINEAR_ADD, .begin = from, .end = to, .value = by, .found = sum \
    }
#define SWAP(from, to, old, new)                                     \
    {                                                                \
        .type = LINEAR_SWAP, .begin = from, .end = to, .value = new, \
        .has_expected = true, .expected = old                        \
    }
#define PUT(from, to, new)                                          \
    {                                                               \
        .type = LINEAR_SWAP, .begin = from, .end = to, .value = new \
    }
#define REFUSED(from, to, old, new)                                  \
    {                                                                \
        .type = LINEAR_SWAP, .begin = from, .end = to, .value = new, \
        .has_expected = true, .expected = old, .is_refused = true    \
    }

#define CHECK(is, ...)                                            \
    do {                                                          \
        const struct linear_op ops[] = { __VA_ARGS__ };           \
        assert_int_equal(linear_check(ops, ARRAY_SIZE(ops)), is); \
    } while (0)

static void test_one_after_the_other(void **state)
{
    (void)state;
    CHECK(0, READ_NONE(1, 2), ADD(3, 4, 2, 2), ADD(5, 6, 3, 5), READ(7, 8, 5));
    CHECK(0, PUT(1, 2, 7), SWAP(3, 4, 7, 9), REFUSED(5, 6, 7, 8), READ(7, 8, 9));
    CHECK(-EILSEQ, ADD(1, 2, 2, 2), ADD(3, 4, 3, 3)); /* one is lost */
    CHECK(-EILSEQ, ADD(1, 2, 1, 1), ADD(3, 4, 1, 3)); /* one came twice */
    CHECK(-EILSEQ, ADD(1, 2, 2, 2), READ_NONE(3, 4)); /* an old value */
    CHECK(-EILSEQ, PUT(1, 2, 7), REFUSED(3, 4, 7, 8));
    CHECK(-EILSEQ, PUT(1, 2, 7), PUT(3, 4, 8));
}

static void test_at_once(void **state)
{
    (void)state;
    CHECK(0, ADD(1, 4, 1, 3), ADD(2, 3, 2, 2));
    CHECK(-EILSEQ, ADD(1, 4, 1, 1), ADD(2, 3, 2, 2));
    CHECK(0, PUT(1, 6, 7), READ_NONE(2, 3), READ(4, 5, 7));
    CHECK(-EILSEQ, PUT(1, 6, 7), READ(2, 3, 7), READ_NONE(4, 5));
    CHECK(-EILSEQ, PUT(1, 2, 7), SWAP(3, 5, 7, 8), SWAP(4, 6, 7, 9));
}

/* Carried out at any time later, or never; but once. */
static void test_without_an_answer(void **state)
{
    (void)state;
    CHECK(0, ADD(1, 0, 4, 0), READ_NONE(2, 3), READ(4, 5, 4));
    CHECK(0, ADD(1, 0, 4, 0), READ_NONE(2, 3));
    CHECK(-EILSEQ, ADD(1, 0, 4, 0), READ(2, 3, 8));
    CHECK(-EILSEQ, ADD(1, 0, 4, 0), READ(2, 3, 4), READ_NONE(4, 5));
    CHECK(-EILSEQ, READ(2, 3, 4), ADD(4, 0, 4, 0));
    CHECK(0, READ_NONE(1, 0), PUT(2, 0, 7), SWAP(3, 0, 7, 8), READ(4, 5, 8));
}

static void test_what_is_too_long(void **state)
{
    static const struct linear_op ops[LINEAR_OPS_MAX + 1];

    (void)state;
    assert_int_equal(linear_check(ops, LINEAR_OPS_MAX + 1), -E2BIG);
    assert_int_equal(linear_check(ops, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_without_an_answer),
        cmocka_unit_test(test_what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
