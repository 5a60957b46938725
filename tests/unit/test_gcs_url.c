/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/gcs_url.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static void test_addresses(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    assert_int_equal(gcs_url(&b, "https://h", "b-1", "a/../b c+%"), 0);
    gcs_url_add(&b, "alt", "media");
    gcs_url_add(&b, "none", NULL);
    gcs_url_add_number(&b, "n", UINT64_MAX);
    assert_string_equal(buffer_text(&b),
                        "https://h/storage/v1/b/b-1/o/a%2F..%2Fb%20c%2B%25"
                        "?alt=media&n=18446744073709551615");
    buffer_clear(&b);
    assert_int_equal(gcs_upload_url(&b, "https://h", "b-1"), 0);
    assert_string_equal(buffer_text(&b), "https://h/upload/storage/v1/b/b-1/o");
}

static void test_names(void **state UNUSED)
{
    char longest[1026];

    memset(longest, 'a', sizeof(longest));
    longest[1024] = '\0';
    assert_true(gcs_is_name(longest));
    longest[1024] = 'a';
    longest[1025] = '\0';
    assert_false(gcs_is_name(longest));
    assert_true(gcs_is_name("../a"));
    assert_false(gcs_is_name(".."));
    assert_false(gcs_is_name("."));
    assert_false(gcs_is_name(""));
    assert_false(gcs_is_name("a\r"));
    assert_false(gcs_is_name("\xc3"));
    assert_int_equal(gcs_check_bucket("a.b_c-1", NULL), 0);
    assert_int_equal(gcs_check_bucket("A-b", NULL), -EINVAL);
    assert_int_equal(gcs_check_bucket("a/b", NULL), -EINVAL);
    assert_int_equal(gcs_check_bucket(NULL, NULL), -EINVAL);
}

/* A token goes nowhere in the open but to this machine. */
static void test_endpoints(void **state UNUSED)
{
    static const struct {
        const char *given;
        bool has_credentials;
        const char *is; /* NULL: refused */
    } cases[] = {
        { "https://h/", true, "https://h" },
        { "https://h:1/p//", true, "https://h:1/p" },
        { "127.0.0.1:80", true, "http://127.0.0.1:80" },
        { "http://localhost:80", true, "http://localhost:80" },
        { "http://[::1]:80", true, "http://[::1]:80" },
        { "h:80", false, "http://h:80" },
        { "h:80", true, NULL },
        { "http://h", true, NULL },
        { "http://127.0.0.1.evil.org", true, NULL },
        { "http://localhost@evil.org", true, NULL },
        { "http://[::1].evil.org", true, NULL },
        { "ftp://h", false, NULL },
        { "https://h?a", false, NULL },
        { "https://", false, NULL },
        { "", false, NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(freep) char *endpoint = NULL;
        int r = gcs_endpoint(cases[i].given, cases[i].has_credentials, &endpoint, NULL);

        assert_int_equal(r, cases[i].is ? 0 : -EINVAL);
        if (cases[i].is)
            assert_string_equal(endpoint, cases[i].is);
    }
}

/* An upload goes to the endpoint, whatever host the service names. */
static void test_sessions(void **state UNUSED)
{
    assert_string_equal(gcs_session(
                            "https://other/x/upload/storage/v1/b/b/o?upload_id=1"),
                        "/upload/storage/v1/b/b/o?upload_id=1");
    assert_null(gcs_session("https://other/elsewhere"));
    assert_null(gcs_session("https://h/upload/a b"));
    assert_null(gcs_session("https://h/upload/../../x"));
    assert_null(gcs_session(NULL));
    assert_false(gcs_is_session("//h/upload/"));
    assert_false(gcs_is_session("/upload/\r\nX: y"));
}

static void test_generations(void **state UNUSED)
{
    uint64_t generation;

    assert_int_equal(gcs_generation("\"1700\"", &generation), 0);
    assert_true(generation == 1700);
    assert_int_equal(gcs_generation("1700", &generation), -EINVAL);
    assert_int_equal(gcs_generation("\"17a\"", &generation), -EINVAL);
    assert_int_equal(gcs_generation("\"\"", &generation), -EINVAL);
    assert_int_equal(gcs_generation("\"18446744073709551616\"", &generation), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_endpoints),   cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_generations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
