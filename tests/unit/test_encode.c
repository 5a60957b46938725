/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/encode.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static void test_percent(void **state UNUSED)
{
    static const char odd[] = "a/b c+d%e~\xc3\xa4=.._-";
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    assert_int_equal(encode_path(&b, odd, strlen(odd)), 0);
    assert_string_equal(buffer_text(&b), "a/b%20c%2Bd%25e~%C3%A4%3D.._-");
    buffer_clear(&b);
    assert_int_equal(encode_query(&b, "a/b\0c", 5), 0);
    assert_string_equal(buffer_text(&b), "a%2Fb%00c");
}

static void test_base64(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    assert_int_equal(encode_base64(&b, "\xff\xfe\xfd\xfc", 4), 0);
    assert_string_equal(buffer_text(&b), "//79/A==");
    buffer_clear(&b);
    assert_int_equal(encode_base64url(&b, "\xff\xfe\xfd\xfc", 4), 0);
    assert_string_equal(buffer_text(&b), "__79_A");
    buffer_clear(&b);
    assert_int_equal(decode_base64(&b, "//79/A==", 8), 0);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "\xff\xfe\xfd\xfc", 5);
    assert_int_equal(decode_base64(&b, "//7?", 4), -EINVAL);
}

/* RFC 4231, 4.3, and FIPS 180-4's "abc". */
static void test_hashes(void **state UNUSED)
{
    uint8_t hash[ENCODE_SHA256];
    char text[ENCODE_SHA256_HEX];

    encode_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, hash);
    encode_hex(hash, sizeof(hash), text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c7"
                              "5a003f089d2739839dec58b964ec3843");
    encode_sha256("abc", 3, hash);
    encode_hex(hash, sizeof(hash), text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223"
                              "b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
