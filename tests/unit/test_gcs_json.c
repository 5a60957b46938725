/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/gcs_json.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

#define SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_object(void **state UNUSED)
{
    static const char text[] =
        "{\"kind\": \"storage#object\", \"name\": \"a\", \"size\": \"12345678901\","
        "\"generation\": \"1700000000000001\", \"crc32c\": \"4waSgw==\","
        "\"updated\": \"2026-01-02T03:04:05.678Z\", \"storageClass\": \"NEARLINE\","
        "\"metadata\": {\"mesh-sha256\": \"" SHA256 "\", \"mesh-writer\": \"ab\"}}";
    struct gcs_object o;

    assert_int_equal(gcs_json_object(text, strlen(text), &o, NULL), 0);
    assert_true(o.about.size == 12345678901);
    assert_string_equal(o.about.etag, "\"1700000000000001\"");
    assert_true(o.has_crc32c);
    assert_int_equal(o.crc32c, 0xe3069283);
    assert_true(o.about.modified_s == 1767323045);
    assert_string_equal(o.about.tier, "NEARLINE");
    assert_string_equal(o.about.sha256, SHA256);
    assert_string_equal(o.writer, "ab");
}

static void test_not_an_object(void **state UNUSED)
{
    static const char *const texts[] = {
        "",
        "<html>",
        "[]",
        "{\"size\": \"1\"}",
        "{\"size\": 1, \"generation\": \"1\"}",
        "{\"size\": \"-1\", \"generation\": \"1\"}",
        "{\"size\": \"18446744073709551616\", \"generation\": \"1\"}",
    };
    struct gcs_object o;
    struct error error;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(gcs_json_object(texts[i], strlen(texts[i]), &o, &error),
                         -EPROTO);
    assert_non_null(strstr(error.text, "not Google Cloud Storage"));
}

/* Objects and prefixes come in two lists and leave in one. */
static void test_page(void **state UNUSED)
{
    static const char text[] =
        "{\"nextPageToken\": \"CgE=\", \"prefixes\": [\"p/b/\"], \"items\": ["
        "{\"name\": \"p/a\", \"size\": \"1\", \"generation\": \"2\"},"
        "{\"name\": \"p/c\", \"size\": \"3\", \"generation\": \"4\"}]}";
    CLEANUP(gcs_page_freep) struct gcs_page *page = NULL;
    const struct object_entry *entries;
    size_t n;

    assert_int_equal(gcs_page_read(text, strlen(text), "p/", &page, NULL), 0);
    entries = gcs_page_entries(page, &n);
    assert_int_equal(n, 3);
    assert_string_equal(entries[0].name, "a");
    assert_string_equal(entries[1].name, "b/");
    assert_true(entries[1].is_prefix);
    assert_string_equal(entries[2].name, "c");
    assert_string_equal(entries[2].about.etag, "\"4\"");
    assert_string_equal(gcs_page_next(page), "CgE=");
}

static void test_bad_page(void **state UNUSED)
{
    static const char foreign[] =
        "{\"items\": [{\"name\": \"q/a\", \"size\": \"1\", \"generation\": \"2\"}]}";
    CLEANUP(gcs_page_freep) struct gcs_page *page = NULL;
    size_t n;

    assert_int_equal(gcs_page_read(foreign, strlen(foreign), "p/", &page, NULL),
                     -EPROTO);
    assert_int_equal(gcs_page_read("{}", 2, "p/", &page, NULL), 0);
    gcs_page_entries(page, &n);
    assert_int_equal(n, 0);
    assert_null(gcs_page_next(page));
}

static void test_new_object(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    const struct gcs_new_object object = { .name = "a\"\xc3\xa4",
                                           .content_type = "text/plain",
                                           .storage_class = "NEARLINE",
                                           .tags = "team=x&run=7",
                                           .writer = "w",
                                           .has_crc32c = true,
                                           .crc32c = 0xe3069283 };
    const struct gcs_new_object bad = { .name = "\xff", .content_type = "x" };
    const struct gcs_new_object no_key = { .name = "n",
                                           .content_type = "x",
                                           .tags = "=1" };

    assert_int_equal(gcs_json_new_object(&b, &object), 0);
    assert_string_equal(buffer_text(&b),
                        "{\"name\":\"a\\\"\xc3\xa4\",\"contentType\":\"text/plain\","
                        "\"storageClass\":\"NEARLINE\",\"crc32c\":\"4waSgw==\","
                        "\"metadata\":{\"team\":\"x\",\"run\":\"7\","
                        "\"mesh-writer\":\"w\"}}");
    assert_int_equal(gcs_json_new_object(&b, &bad), -EINVAL);
    assert_int_equal(gcs_json_new_object(&b, &no_key), -EINVAL);
}

static void test_headers(void **state UNUSED)
{
    uint32_t crc32c = 0;
    uint64_t held = 1;

    assert_true(gcs_hash_header("md5=AAAA,crc32c=4waSgw==", &crc32c));
    assert_int_equal(crc32c, 0xe3069283);
    assert_false(gcs_hash_header("md5=AAAA", &crc32c));
    assert_false(gcs_hash_header("crc32c=AA==", &crc32c));
    assert_false(gcs_hash_header(NULL, &crc32c));
    assert_int_equal(gcs_range_held(NULL, &held), 0);
    assert_true(held == 0);
    assert_int_equal(gcs_range_held("bytes=0-262143", &held), 0);
    assert_true(held == 262144);
    assert_int_equal(gcs_range_held("bytes=5-9", &held), -EPROTO);
    assert_int_equal(gcs_range_held("bytes=0-18446744073709551615", &held), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),     cmocka_unit_test(test_not_an_object),
        cmocka_unit_test(test_page),       cmocka_unit_test(test_bad_page),
        cmocka_unit_test(test_new_object), cmocka_unit_test(test_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
