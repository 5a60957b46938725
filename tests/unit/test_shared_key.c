/* SPDX-License-Identifier: Apache-2.0 */
/* Strings to sign are those that Azure's documentation shows. */
#include "cloud/shared_key.h"

#include <errno.h>
#include <string.h>

#include "cloud/azure_date.h"
#include "tests/unit/unit.h"

#define KEY "c2hhcmVkIGtleSBvZiBhIHRlc3Q=" /* "shared key of a test" */

static char *text_of(const struct shared_key_request *r)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(shared_key_text(r, &out), 0);
    return buffer_take(&out);
}

/* "Authorize with Shared Key": Get Container Metadata. */
static void test_documented_text(void **state UNUSED)
{
    static const struct shared_key_header headers[] = {
        { "x-ms-version", "2015-02-21" },
        { "x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT" },
    };
    const struct shared_key_request r = {
        .method = "GET",
        .account = "myaccount",
        .path = "/mycontainer",
        .query = "restype=container&comp=metadata&timeout=20",
        .headers = headers,
        .n_headers = 2,
    };
    CLEANUP(freep) char *text = text_of(&r);

    assert_string_equal(text, "GET\n\n\n\n\n\n\n\n\n\n\n\n"
                              "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
                              "x-ms-version:2015-02-21\n"
                              "/myaccount/mycontainer\n"
                              "comp:metadata\nrestype:container\ntimeout:20");
}

/* The same page: values of one name stand together, sorted; names are lower case. */
static void test_documented_resource(void **state UNUSED)
{
    const struct shared_key_request r = {
        .method = "GET",
        .account = "myaccount",
        .path = "/mycontainer",
        .query = "restype=container&Comp=list&include=snapshots&include=metadata"
                 "&include=uncommittedblobs&prefix=a%2Fb%20c%2B",
    };
    CLEANUP(freep) char *text = text_of(&r);

    assert_string_equal(strstr(text, "/myaccount"),
                        "/myaccount/mycontainer\ncomp:list\n"
                        "include:metadata,snapshots,uncommittedblobs\n"
                        "prefix:a/b c+\nrestype:container");
}

static void test_placed_headers(void **state UNUSED)
{
    static const struct shared_key_header headers[] = {
        { "X-MS-Meta-B", "  two words \t" },
        { "Content-MD5", "md5" },
        { "Date", "left out" },
        { "If-None-Match", "*" },
        { "x-ms-date", "now" },
        { "Content-Type", "text/plain" },
        { "Range", "bytes=0-1" },
        { "If-Match", "\"tag\"" },
        { "X-Other", "not signed" },
        { "x-ms-meta-a", "" },
    };
    const struct shared_key_request r = {
        .method = "PUT",
        .account = "devstoreaccount1",
        .path = "/devstoreaccount1/box/a%20b",
        .headers = headers,
        .n_headers = ARRAY_SIZE(headers),
        .content_length = 11,
    };
    CLEANUP(freep) char *text = text_of(&r);

    assert_string_equal(text, "PUT\n\n\n11\nmd5\ntext/plain\n\n\n\"tag\"\n*\n\n"
                              "bytes=0-1\nx-ms-date:now\nx-ms-meta-a:\n"
                              "x-ms-meta-b:two words\n"
                              "/devstoreaccount1/devstoreaccount1/box/a%20b");
}

/* Found by another implementation of HMAC, Python's. */
static void test_signature(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(shared_key_authorization("acc", KEY, "GET\n/acc/box", &out), 0);
    assert_string_equal(buffer_text(&out),
                        "SharedKey acc:5WEFZp6PCCGiR5ALRDYF8yLMM2OJE0OAKxj+Jys+BP4=");
    assert_int_equal(shared_key_sign("not base64!", "x", &out), -EINVAL);
    assert_int_equal(shared_key_sign("", "x", &out), -EINVAL);
}

static void test_too_many(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer query = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct shared_key_request r = { .method = "GET", .account = "a", .path = "/b" };

    for (int i = 0; i <= SHARED_KEY_PARAMS_MAX; i++)
        buffer_printf(&query, "p%d=1&", i);
    r.query = buffer_text(&query);
    assert_int_equal(shared_key_text(&r, &out), -E2BIG);
}

/* ---- SAS ---- */

/* The string of "Create a service SAS", version 2020-12-06; signed by Python's HMAC. */
static void test_sas_made(void **state UNUSED)
{
    const struct sas_grant blob = { .account = "acc",
                                    .container = "box",
                                    .blob = "a b/c",
                                    .permissions = "rw",
                                    .starts_s = 1376611200,
                                    .expires_s = 1376697600,
                                    .is_https_only = true };
    const struct sas_grant all = { .account = "acc",
                                   .container = "box",
                                   .permissions = "racwdl",
                                   .expires_s = 1376697600,
                                   .encryption_scope = "scope" };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(sas_make(&blob, KEY, &out), 0);
    assert_string_equal(buffer_text(&out),
                        "sv=2020-12-06&sp=rw&st=2013-08-16T00%3A00%3A00Z"
                        "&se=2013-08-17T00%3A00%3A00Z&spr=https&sr=b&sig="
                        "zfc6ZxNtVpgBAVlKdlABmMuq7jBR32WfQ7Ujvb9N9ao%3D");
    buffer_clear(&out);
    assert_int_equal(sas_make(&all, KEY, &out), 0);
    assert_string_equal(buffer_text(&out),
                        "sv=2020-12-06&sp=racwdl&se=2013-08-17T00%3A00%3A00Z&sr=c"
                        "&ses=scope&sig="
                        "hpaj7u%2FJs5TXUyv2WsN%2FUxkIUn2K02JG6Ct7NJVyGX0%3D");
}

static void test_sas_given(void **state UNUSED)
{
    struct error error = { .text = "" };
    struct sas sas;

    assert_int_equal(
        sas_read("?sv=2020-12-06&sp=rcw&st=2013-08-16&se=2013-08-17T00%3A00Z"
                 "&spr=https&sig=abc%3D",
                 &sas, &error),
        0);
    assert_string_equal(sas.permissions, "rcw");
    assert_int_equal(sas.starts_s, 1376611200);
    assert_int_equal(sas.expires_s, 1376697600);
    assert_true(sas.is_https_only);
    assert_int_equal(sas_read("sv=1&si=policy&sig=x", &sas, &error), 0);
    assert_int_equal(sas.expires_s, 0);
    assert_string_equal(sas.permissions, "");

    assert_int_equal(sas_read("sv=1&sp=r", &sas, &error), -EINVAL);
    assert_int_equal(sas_read("sv=1&sig=TOPSECRET&se=soon", &sas, &error), -EINVAL);
    assert_null(strstr(error.text, "TOPSECRET"));
    assert_int_equal(sas_read("sv=1&sig=a b", &sas, &error), -EINVAL);
    assert_int_equal(sas_read("sv=1&sig=a\r\nHost: x", &sas, &error), -EINVAL);

    assert_true(sas_is_one("sv=1&sig=x"));
    assert_true(sas_is_one("?sig=x&sv=1"));
    assert_false(sas_is_one("eyJ0eXAi.eyJhdWQi.c2lnPXg="));
}

static void test_dates(void **state UNUSED)
{
    char date[AZURE_DATE], iso[AZURE_ISO];
    int64_t at;

    azure_date_write(1435361952, date);
    assert_string_equal(date, "Fri, 26 Jun 2015 23:39:12 GMT");
    azure_iso_write(1435361952, iso);
    assert_string_equal(iso, "2015-06-26T23:39:12Z");
    assert_int_equal(azure_date_read(date, &at), 0);
    assert_int_equal(at, 1435361952);
    assert_int_equal(azure_iso_read("2015-06-26T23:39:12.1234567Z", &at), 0);
    assert_int_equal(at, 1435361952);
    assert_int_equal(azure_date_read("Fri, 26 Jon 2015 23:39:12 GMT", &at), -EINVAL);
    assert_int_equal(azure_iso_read("2015-06-26T23:39:12", &at), -EINVAL);
    assert_int_equal(azure_iso_read("2015-13-26", &at), -EINVAL);
    assert_int_equal(azure_iso_read("", &at), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documented_text),
        cmocka_unit_test(test_documented_resource),
        cmocka_unit_test(test_placed_headers),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_sas_made),
        cmocka_unit_test(test_sas_given),
        cmocka_unit_test(test_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
