/* SPDX-License-Identifier: Apache-2.0 */
/* What the transfer engine computes: when it tries again, what it heard, how fast. */
#include <string.h>

#include "cloud/http.h"
#include "cloud/http_headers.h"
#include "cloud/http_rate.h"
#include "cloud/http_retry.h"
#include "cloud/http_stall.h"
#include "tests/unit/unit.h"

enum { NOW_S = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

static void test_retry_after(void **state UNUSED)
{
    static const struct {
        const char *value;
        uint64_t seconds;
    } rows[] = {
        { "0", 0 },
        { "120", 120 },
        { "99999999999", 9999999999 },
        { "Sun, 06 Nov 1994 08:49:47 GMT", 10 },
        { "Sunday, 06-Nov-94 08:49:47 GMT", 10 },
        { "Sun Nov  6 08:49:47 1994", 10 },
        { "Tue, 07 Nov 1995 08:49:37 GMT", 366 * 86400 },
        { "Sun, 06 Nov 1994 08:49:36 GMT", 0 },
        { "Fri, 01 Mar 1996 00:00:00 GMT", 41526623 },
        { "", 0 },
        { "soon", 0 },
        { "-1", 0 },
        { "1 2", 0 },
        { "Sun, 06 Foo 1994 08:49:47 GMT", 0 },
        { "Sun, 99 Nov 1994 08:49:47 GMT", 0 },
        { "Sun, 06 Nov 1994 24:49:47 GMT", 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(http_retry_after_s(rows[i].value, NOW_S), rows[i].seconds);
}

static void test_jitter(void **state UNUSED)
{
    struct prng prng;
    uint64_t most = 0;

    prng_init(&prng, 1);
    for (uint32_t tries = 1; tries < 100; tries++)
        for (int i = 0; i < 100; i++) {
            uint64_t ms = http_retry_wait_ms(&prng, tries, 7);

            assert_in_range(ms, 7, 7 + HTTP_BACKOFF_MAX_MS);
            if (tries == 1)
                assert_in_range(ms, 7, 7 + 2 * HTTP_BACKOFF_MIN_MS);
            most = ms > most ? ms : most;
        }
    assert_true(most > HTTP_BACKOFF_MAX_MS / 2);
}

static void add(struct http_headers *headers, const char *line)
{
    assert_int_equal(http_headers_add(headers, line, strlen(line)), 0);
}

static void test_headers(void **state UNUSED)
{
    CLEANUP(http_headers_release) struct http_headers h = HTTP_HEADERS_INIT;
    char long_line[5000];
    int r = 0;

    assert_null(http_headers_find(&h, "a"));
    add(&h, "HTTP/1.1 100 Continue\r\n");
    add(&h, "interim: 1\r\n");
    add(&h, "HTTP/1.1 200 OK\r\n");
    add(&h, "ETag: \"x: y\" \t\r\n");
    add(&h, "empty:\r\n");
    add(&h, "a: 1\r\n");
    add(&h, "A: 2\r\n");
    add(&h, " folded: no\r\n");
    add(&h, ": nameless\r\n");
    add(&h, "nothing\r\n");
    add(&h, "\r\n");
    assert_string_equal(http_headers_find(&h, "etag"), "\"x: y\"");
    assert_string_equal(http_headers_find(&h, "Empty"), "");
    assert_string_equal(http_headers_find(&h, "a"), "1");
    assert_null(http_headers_find(&h, "interim"));
    assert_null(http_headers_find(&h, "folded"));
    assert_null(http_headers_find(&h, ""));
    memset(long_line, 'x', sizeof(long_line));
    long_line[0] = 'n';
    long_line[1] = ':';
    for (int i = 0; i < 20 && r == 0; i++)
        r = http_headers_add(&h, long_line, sizeof(long_line));
    assert_true(r < 0);
}

static void test_rate(void **state UNUSED)
{
    struct http_rate free_of_bound = { .bytes_per_s = 0 };
    struct http_rate rate = { .bytes_per_s = 100000 };
    uint64_t taken = 0;

    assert_true(http_rate_is_open(&free_of_bound));
    http_rate_take(&free_of_bound, 1 << 30);
    assert_true(http_rate_is_open(&free_of_bound));
    for (uint64_t ms = 0; ms <= 10000; ms += HTTP_RATE_TICK_MS) {
        http_rate_fill(&rate, ms);
        while (http_rate_is_open(&rate)) {
            http_rate_take(&rate, 16384);
            taken += 16384;
        }
    }
    assert_in_range(taken, 980000, 1020000);
    /* A pause is not made up for. */
    http_rate_fill(&rate, 1000000);
    assert_in_range(rate.bytes, 1, 10001);
}

static void test_slow_rate(void **state UNUSED)
{
    struct http_rate rate = { .bytes_per_s = 10 };

    for (uint64_t ms = 0; ms <= 99; ms++)
        http_rate_fill(&rate, ms);
    assert_false(http_rate_is_open(&rate));
    http_rate_fill(&rate, 100);
    assert_true(http_rate_is_open(&rate));
}

static void test_stall(void **state UNUSED)
{
    struct http_stall moving = { .looks = 0 }, still = { .looks = 0 };

    for (int i = 0; i < 20; i++) {
        moving.bytes += 256;
        assert_false(http_stall_look(&moving, 1000));
    }
    /* A moment without a byte is none yet. */
    moving.bytes += 1024;
    for (int i = 0; i < HTTP_STALL_LOOKS; i++)
        assert_false(http_stall_look(&moving, 1000));
    assert_true(http_stall_look(&moving, 1000));
    for (int i = 0; i < HTTP_STALL_LOOKS - 1; i++)
        assert_false(http_stall_look(&still, 1000));
    assert_true(http_stall_look(&still, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_headers),     cmocka_unit_test(test_rate),
        cmocka_unit_test(test_slow_rate),   cmocka_unit_test(test_stall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
