/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/crc32c.h"

#include <string.h>

#include "base/macros.h"
#include "tests/unit/unit.h"

/* The examples of RFC 3720, B.4, and the usual check word. */
static void test_vectors(void **state UNUSED)
{
    uint8_t data[32];

    memset(data, 0, sizeof(data));
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        data[i] = i;
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        data[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x113fdb5c);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_by_tables(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
}

/* Both ways agree at every length and alignment, and whatever the cut. */
static void test_parts(void **state UNUSED)
{
    uint8_t data[100];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t begin = 0; begin < 9; begin++)
        for (size_t end = begin; end <= sizeof(data); end++) {
            size_t cut = begin + (end - begin) / 3;
            uint32_t whole = crc32c(0, data + begin, end - begin);
            uint32_t first = crc32c(0, data + begin, cut - begin);
            uint32_t second = crc32c(0, data + cut, end - cut);

            assert_int_equal(whole, crc32c_by_tables(0, data + begin, end - begin));
            assert_int_equal(whole, crc32c(first, data + cut, end - cut));
            assert_int_equal(whole, crc32c_join(first, second, end - cut));
        }
}

/* Lengths beyond 32 bits: the parts of 8 GiB of zeros may be joined in any order. */
static void test_long_join(void **state UNUSED)
{
    const uint64_t gib = 1ull << 30;
    uint8_t zeros[1024] = { 0 };
    uint32_t one = crc32c(0, zeros, sizeof(zeros)), two, four, a = crc32c(0, "a", 1);

    for (uint64_t len = sizeof(zeros); len < gib; len *= 2)
        one = crc32c_join(one, one, len);
    two = crc32c_join(one, one, gib);
    four = crc32c_join(two, two, 2 * gib);
    assert_int_equal(crc32c_join(crc32c_join(a, four, 4 * gib), two, 2 * gib),
                     crc32c_join(a, crc32c_join(two, four, 4 * gib), 6 * gib));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_long_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
