/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/ini.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct ini ini;

static void read_text(const char *text)
{
    struct error error = { .text = "" };

    ini_release(&ini);
    if (ini_read(text, strlen(text), "config", &ini, &error) < 0)
        fail_msg("%s", error.text);
}

static void assert_bad(const char *text, const char *sentence)
{
    struct error error = { .text = "" };
    struct ini none;

    assert_int_equal(ini_read(text, strlen(text), "config", &none, &error), -EINVAL);
    assert_string_equal(error.text, sentence);
}

static int close_ini(void **state UNUSED)
{
    ini_release(&ini);
    return 0;
}

static void test_sections(void **state UNUSED)
{
    read_text("\xef\xbb\xbf[default]\r\nregion = eu-west-1\r\n"
              "[ profile  \"my own\" ] # mine\n  REGION=us-east-1\n  output = json\n"
              "[default]\nregion=eu-west-2\n");
    assert_string_equal(ini_get(&ini, "default", "region"), "eu-west-2");
    assert_string_equal(ini_get(&ini, "profile my own", "region"), "us-east-1");
    assert_string_equal(ini_get(&ini, "profile my own", "output"), "json");
    assert_null(ini_get(&ini, "default", "output"));
    assert_true(ini_has(&ini, "profile my own"));
    assert_false(ini_has(&ini, "profile my"));
}

static void test_comments(void **state UNUSED)
{
    read_text("# first\n; second\n[a] ; third\nk = v # why\nl = v#1;2\n  ; within\n"
              "m = #\nn = a = b\n");
    assert_string_equal(ini_get(&ini, "a", "k"), "v");
    assert_string_equal(ini_get(&ini, "a", "l"), "v#1;2");
    assert_null(ini_get(&ini, "a", "m"));
    assert_string_equal(ini_get(&ini, "a", "n"), "a = b");
}

static void test_nested(void **state UNUSED)
{
    read_text("[default]\ns3 =\n  addressing_style = path\n\n  Max_Concurrent = 3\n"
              "region = x\nlong = one\n   two\n\tthree\nk = v\n"
              "[b]\n s3 =\n   a = b\n region = y\n");
    assert_string_equal(ini_get(&ini, "default", "s3.addressing_style"), "path");
    assert_string_equal(ini_get(&ini, "default", "s3.max_concurrent"), "3");
    assert_null(ini_get(&ini, "default", "addressing_style"));
    assert_string_equal(ini_get(&ini, "default", "region"), "x");
    assert_string_equal(ini_get(&ini, "default", "long"), "one\ntwo\nthree");
    assert_string_equal(ini_get(&ini, "default", "k"), "v");
    assert_string_equal(ini_get(&ini, "b", "s3.a"), "b");
    assert_string_equal(ini_get(&ini, "b", "region"), "y");
}

static void test_bad_lines(void **state UNUSED)
{
    struct error error;
    struct ini none;

    assert_bad("[a]\nk = v\nsecret\n", "config:3: neither [section] nor KEY = VALUE");
    assert_bad("\n= v\n", "config:2: a setting stands before the first [section]");
    assert_bad("[a]\n= v\n", "config:2: neither [section] nor KEY = VALUE");
    assert_bad("[a]\n\r= v\n", "config:2: neither [section] nor KEY = VALUE");
    assert_bad("[a\n", "config:1: a section ends with ]");
    assert_bad("[a] b\n", "config:1: something stands behind the section's ]");
    assert_bad("[ \"\" ]\n", "config:1: a section without a name");
    assert_bad("[a]\ns3 =\n  odd\n",
               "config:3: under a setting without a value: KEY = VALUE");
    assert_int_equal(ini_read("[a]\n\0", 5, "config", &none, &error), -EINVAL);
    assert_int_equal(ini_read("", INI_BYTES_MAX + 1, "config", &none, &error), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sections, close_ini),
        cmocka_unit_test_teardown(test_comments, close_ini),
        cmocka_unit_test_teardown(test_nested, close_ini),
        cmocka_unit_test(test_bad_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
