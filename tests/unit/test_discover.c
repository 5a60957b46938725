/* SPDX-License-Identifier: Apache-2.0 */
/* Contacts from the DNS: answers as servers send them, and as nobody should. */
#include "node/cli/discover.h"
#include "tests/unit/unit.h"

#include <string.h>

/* _mesh._tcp.x.  SRV 20 0 8370 b.x. and 10 0 8371 a.x., the names compressed. */
static const uint8_t srv[] = {
    0x12, 0x34, 0x81, 0x80, 0,   1,   0,   2,   0,    0,    0,    0,  5,   '_',  'm',
    'e',  's',  'h',  4,    '_', 't', 'c', 'p', 1,    'x',  0,    0,  33,  0,    1,
    0xc0, 12,   0,    33,   0,   1,   0,   0,   0,    60,   0,    11, 0,   20,   0,
    0,    0x20, 0xb2, 1,    'b', 1,   'x', 0,   0xc0, 12,   0,    33, 0,   1,    0,
    0,    0,    60,   0,    10,  0,   10,  0,   0,    0x20, 0xb3, 1,  'a', 0xc0, 23,
};

static const uint8_t txt[] = {
    0x12, 0x34, 0x81, 0x80, 0,   1,   0,    1,   0,   0,   0,   0,   1,   'a', 1,
    'x',  0,    0,    16,   0,   1,   0xc0, 12,  0,   16,  0,   1,   0,   0,   0,
    60,   0,    53,   3,    'v', '=', '1',  48,  'm', 'e', 's', 'h', '=', 'A', 'w',
    'A',  'A',  'A',  'A',  'A', 'A', 'A',  'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A',
    'A',  'A',  'A',  'A',  'A', 'A', 'A',  'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A',
    'A',  'A',  'A',  'A',  'A', 'A', 'A',  'A', 'A', 'A', 'A',
};

static void test_srv(void **state UNUSED)
{
    struct discovered found[4];

    assert_int_equal(discover_read_srv(srv, sizeof(srv), found, 4), 2);
    assert_string_equal(found[0].host, "a.x");
    assert_int_equal(found[0].port, 8371);
    assert_string_equal(found[1].host, "b.x");
    assert_int_equal(found[1].port, 8370);
    assert_int_equal(discover_read_srv(srv, sizeof(srv), found, 1), 1);
}

static void test_key(void **state UNUSED)
{
    uint8_t key[CURVE_KEY_SIZE];

    assert_true(discover_read_key(txt, sizeof(txt), key));
    assert_int_equal(key[0], 3);
    assert_false(discover_read_key(srv, sizeof(srv), key));
}

/* Cut anywhere, and with any byte changed: whatever is found, nothing is read beyond.
 */
static void test_damaged(void **state UNUSED)
{
    uint8_t key[CURVE_KEY_SIZE], copy[sizeof(srv) + sizeof(txt)];
    struct discovered found[4];

    for (size_t len = 0; len < sizeof(srv); len++)
        assert_true(discover_read_srv(srv, len, found, 4) < 2);
    for (size_t len = 0; len < sizeof(txt); len++)
        assert_false(discover_read_key(txt, len, key));
    for (size_t i = 0; i < sizeof(srv) * 8; i++) {
        memcpy(copy, srv, sizeof(srv));
        copy[i / 8] = (uint8_t)(copy[i / 8] ^ 1 << i % 8);
        assert_true(discover_read_srv(copy, sizeof(srv), found, 4) <= 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_srv),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
