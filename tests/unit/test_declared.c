/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "node/declared.h"

static struct declared_list list;
static struct error why;

static int parse_bytes(const char *bytes, size_t len)
{
    why = (struct error){ .text = "" };
    declared_release(&list);
    return declared_parse(bytes, len, &list, &why);
}

static int parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static int tear_down(void **state)
{
    (void)state;
    declared_release(&list);
    return 0;
}

static void test_the_page_s_example_is_read(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"name\": \"y\", \"type\": \"int\", \"encoding\": "
                           "\"json\", \"size\": 2}\n"
                           "49\n"
                           "{\"name\": \"model\", \"type\": \"sklearn.svm.SVC\", "
                           "\"encoding\": \"pickle\", \"file\": true}\n"
                           "{\"choice\": \"good\"}\n"),
                     0);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.choice, "good");
    assert_string_equal(list.all[0].name, "model");
    assert_string_equal(list.all[0].type, "sklearn.svm.SVC");
    assert_int_equal(list.all[0].encoding, ENCODING_PICKLE);
    assert_true(list.all[0].is_file);
    assert_ptr_equal(declared_find(&list, "y"), &list.all[1]);
    assert_false(list.all[1].is_file);
    assert_int_equal(list.all[1].size, 2);
    assert_memory_equal(list.all[1].data, "49", 2);
    assert_null(declared_find(&list, "x"));
}

static void test_bytes_may_be_any(void **state)
{
    static const char bytes[] =
        "{\"name\":\"b\",\"type\":\"bytes\",\"encoding\":\"bytes\","
        "\"size\":5}\n\n\0{\"\n\n"
        "{\"name\":\"a\",\"type\":\"bytes\",\"encoding\":\"npy\","
        "\"size\":0}\n\n";

    (void)state;
    assert_int_equal(parse_bytes(bytes, sizeof(bytes) - 1), 0);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.all[0].size, 0);
    assert_memory_equal(list.all[1].data, "\n\0{\"\n", 5);
}

static void test_an_empty_file_declares_nothing(void **state)
{
    (void)state;
    assert_int_equal(parse(""), 0);
    assert_int_equal(list.n, 0);
    assert_null(list.choice);
    assert_null(declared_find(&list, "x"));
}

#define HEAD "\"type\":\"t\",\"encoding\":\"json\""

static void test_malformed_ones_are_refused_whole(void **state)
{
    static const struct {
        const char *text, *told;
    } bad[] = {
        { "\n", "entry 1: this is no JSON object" },
        { "[]\n", "entry 1: this is no JSON object" },
        { "{}\n", "entry 1: it must have name" },
        { "{\"choice\":\"a\"}", "entry 1: the last line has no end" },
        { "{\"choice\":\"a\"}\n{\"choice\":\"b\"}\n", "entry 2: 'choice' is one text" },
        { "{\"choice\":1}\n", "entry 1: 'choice' is one text" },
        { "{\"choice\":\"a\",\"name\":\"x\"}\n", "entry 1: 'choice' is one text" },
        { "{\"name\":\"x\"," HEAD "}\n", "entry 1: it must have either" },
        { "{\"name\":\"x\"," HEAD ",\"size\":0,\"file\":true}\n\n",
          "must have either" },
        { "{\"name\":\"x\"," HEAD ",\"file\":false}\n", "must have either" },
        { "{\"name\":\"x\"," HEAD ",\"file\":1}\n", "it must have name" },
        { "{\"name\":\"x\"," HEAD ",\"size\":\"1\"}\n1\n", "it must have name" },
        { "{\"name\":\"x\"," HEAD ",\"size\":1.0}\n1\n", "it must have name" },
        { "{\"name\":\"x\"," HEAD ",\"size\":1,\"more\":1}\n1\n", "it must have name" },
        { "{\"name\":\"x\",\"name\":\"y\"," HEAD ",\"size\":1}\n1\n",
          "no JSON object" },
        { "{\"name\":\"x\"," HEAD ",\"size\":-1}\n1\n", "fewer or more bytes" },
        { "{\"name\":\"x\"," HEAD ",\"size\":1}\n12\n", "fewer or more bytes" },
        { "{\"name\":\"x\"," HEAD ",\"size\":2}\n12", "fewer or more bytes" },
        { "{\"name\":\"x\"," HEAD ",\"size\":9223372036854775807}\n1\n",
          "fewer or more" },
        { "{\"name\":\"x\"," HEAD ",\"size\":99999999999999999999}\n1\n", "no JSON" },
        { "{\"name\":\"\"," HEAD ",\"file\":true}\n", "cannot be the name" },
        { "{\"name\":\".mesh\"," HEAD ",\"file\":true}\n", "cannot be the name" },
        { "{\"name\":\"..\"," HEAD ",\"file\":true}\n", "cannot be the name" },
        { "{\"name\":\"a/b\"," HEAD ",\"file\":true}\n", "cannot be the name" },
        { "{\"name\":\"a\\nb\"," HEAD ",\"file\":true}\n", "cannot be the name" },
        { "{\"name\":\"a\\u0000b\"," HEAD ",\"file\":true}\n", "no JSON object" },
        { "{\"name\":\"a\xff\"," HEAD ",\"file\":true}\n", "no JSON object" },
        { "{\"name\":\"x\",\"type\":\"\",\"encoding\":\"json\",\"file\":true}\n",
          "cannot be a type" },
        { "{\"name\":\"x\",\"type\":\"a\\tb\",\"encoding\":\"json\",\"file\":true}\n",
          "cannot be a type" },
        { "{\"name\":\"x\",\"type\":\"t\",\"encoding\":\"tree\",\"file\":true}\n",
          "no such encoding" },
        { "{\"name\":\"x\",\"type\":\"t\",\"encoding\":\"yaml\",\"file\":true}\n",
          "no such encoding" },
        { "{\"name\":\"x\"," HEAD ",\"file\":true}\n{\"name\":\"x\"," HEAD
          ",\"size\":1}\n1\n",
          "artifact 'x' twice" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(parse(bad[i].text), -EINVAL);
        if (!strstr(why.text, bad[i].told))
            fail_msg("%s: %s", bad[i].text, why.text);
        assert_int_equal(list.n, 0);
    }
}

static void test_sizes_are_bounded(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    (void)state;
    for (unsigned i = 0; i < DECLARED_MAX; i++)
        buffer_printf(&text, "{\"name\":\"n%u\"," HEAD ",\"file\":true}\n", i);
    assert_int_equal(parse(buffer_text(&text)), 0);
    assert_int_equal(list.n, DECLARED_MAX);
    assert_non_null(declared_find(&list, "n4095"));
    buffer_puts(&text, "{\"name\":\"one more\"," HEAD ",\"file\":true}\n");
    assert_int_equal(parse(buffer_text(&text)), -EINVAL);
    assert_non_null(strstr(why.text, "4096 artifacts at most"));
    buffer_clear(&text);
    buffer_printf(&text, "{\"name\":\"%0256d\"," HEAD ",\"file\":true}\n", 1);
    assert_int_equal(parse(buffer_text(&text)), -EINVAL);
    buffer_clear(&text);
    buffer_printf(&text, "{\"name\":\"x\"," HEAD ",\"file\":true%5000s}\n", "");
    assert_int_equal(parse(buffer_text(&text)), -EINVAL);
    assert_non_null(strstr(why.text, "the line is too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_page_s_example_is_read, tear_down),
        cmocka_unit_test_teardown(test_bytes_may_be_any, tear_down),
        cmocka_unit_test_teardown(test_an_empty_file_declares_nothing, tear_down),
        cmocka_unit_test_teardown(test_malformed_ones_are_refused_whole, tear_down),
        cmocka_unit_test_teardown(test_sizes_are_bounded, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
