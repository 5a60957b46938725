/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log.h"

#include <errno.h>
#include <string.h>

#include "base/prng.h"
#include "tests/unit/unit.h"

static void test_the_bytes_of_pieces(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(log_piece_encode(LOG_STDOUT, 7, "hi\n", 3, &out), 0);
    assert_int_equal(log_piece_encode(LOG_STDERR, 300, "", 0, &out), 0);
    assert_int_equal(out.len, 6 + 5);
    assert_memory_equal(out.data, "\x01\x07\x03hi\n\x02\xf1\x01\x2c\x00", 11);
}

static void test_pieces_come_back_in_order(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    static uint8_t noise[1000];
    struct log_piece piece;
    struct prng p;
    size_t at = 0;

    prng_init(&p, 5);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)prng_next(&p);
    for (size_t i = 0; i < sizeof(noise); i++)
        assert_int_equal(log_piece_encode(1 + i % 2, i * i * 1000, noise + i,
                                          sizeof(noise) - i, &out),
                         0);
    for (size_t i = 0; i < sizeof(noise); i++) {
        size_t n = log_piece_decode((uint8_t *)out.data + at, out.len - at, &piece);

        assert_true(n > 0);
        assert_int_equal(piece.stream, 1 + i % 2);
        assert_int_equal(piece.since_start, i * i * 1000);
        assert_int_equal(piece.len, sizeof(noise) - i);
        assert_memory_equal(piece.data, noise + i, piece.len);
        at += n;
    }
    assert_int_equal(at, out.len);
    assert_int_equal(log_piece_decode((uint8_t *)out.data + at, 0, &piece), 0);
}

static void test_half_a_piece_is_none(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct log_piece piece = { .len = 99 };

    log_piece_encode(LOG_STDERR, 100000, "some bytes", 10, &out);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *exact = malloc(len + 1); /* so that reading on is seen */

        memcpy(exact, out.data, len);
        assert_int_equal(log_piece_decode(exact, len, &piece), 0);
        free(exact);
    }
    assert_int_equal(piece.len, 99);
}

static void test_bytes_that_are_no_piece(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {
        { "\x00\x00\x00", 3 },                                   /* no stream */
        { "\x03\x00\x00", 3 },                                   /* nor this */
        { "\x01\xf0\x05\x00", 4 },                               /* not the shortest */
        { "\x01\x00\x02x", 4 },                                  /* too short */
        { "\x01\x00\xf7\xff\xff\xff\xff\xff\xff\xff\xffx", 12 }, /* wraps around */
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct log_piece piece = { .len = 99 };

        assert_int_equal(log_piece_decode((const uint8_t *)wrong[i].bytes, wrong[i].len,
                                          &piece),
                         0);
        assert_int_equal(piece.len, 99);
    }
}

static void test_a_full_buffer_takes_no_part_of_a_piece(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = { .bytes_max = 20 };

    assert_int_equal(log_piece_encode(LOG_STDOUT, 0, "0123456789", 10, &out), 0);
    assert_int_equal(log_piece_encode(LOG_STDOUT, 0, "01234", 5, &out), -E2BIG);
    assert_int_equal(out.len, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_of_pieces),
        cmocka_unit_test(test_pieces_come_back_in_order),
        cmocka_unit_test(test_half_a_piece_is_none),
        cmocka_unit_test(test_bytes_that_are_no_piece),
        cmocka_unit_test(test_a_full_buffer_takes_no_part_of_a_piece),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
