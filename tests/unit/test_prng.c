/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"

#include "base/macros.h"
#include "tests/unit/unit.h"

/* A recorded simulation names its seed: the stream of a seed must never change. */
static void test_the_stream_of_a_seed(void **state UNUSED)
{
    static const uint64_t expected[] = { 0x15780b2e0c2ec716, 0x6104d9866d113a7e,
                                         0xae17533239e499a1, 0xecb8ad4703b360a1 };
    struct prng p;

    prng_init(&p, 42);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(prng_next(&p) == expected[i]);
}

/* The reference vector of the authors: state 1, 2, 3, 4. */
static void test_the_reference_vector(void **state UNUSED)
{
    static const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };
    struct prng p = { .s = { 1, 2, 3, 4 } };

    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(prng_next(&p) == expected[i]);
}

static void test_below_its_bound(void **state UNUSED)
{
    struct prng p;
    unsigned hits[7] = { 0 };

    prng_init(&p, 1);
    for (int i = 0; i < 7000; i++)
        hits[prng_below(&p, 7)]++;
    for (size_t i = 0; i < ARRAY_SIZE(hits); i++)
        assert_in_range(hits[i], 850, 1150);
    assert_int_equal(prng_below(&p, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_stream_of_a_seed),
        cmocka_unit_test(test_the_reference_vector),
        cmocka_unit_test(test_below_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
