/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/s3_address.h"
#include "cloud/s3_errors.h"
#include "cloud/s3_xml.h"
#include "cloud/xml.h"
#include "tests/unit/unit.h"

/* ---- xml ---- */

static int note_element(void *arg, enum xml_event event, const char *path,
                        const char *text)
{
    struct buffer *b = arg;

    return buffer_printf(b, "%s%s%s%s;", event == XML_BEGIN ? "+" : "-", path,
                         text ? "=" : "", text ? text : "");
}

static int read_xml(const char *text)
{
    struct buffer b = BUFFER_INIT;
    int status = xml_read(text, strlen(text), note_element, &b);

    buffer_release(&b);
    return status;
}

static void test_xml(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    static const char text[] =
        " \n<?xml version=\"1.0\"?><s:a xmlns:s='x'><b c='d'>1&amp;2</b></s:a>\n";

    assert_int_equal(xml_read(text, strlen(text), note_element, &b), 0);
    assert_string_equal(buffer_text(&b), "+a;+a/b;-a/b=1&2;-a=;");
    assert_int_equal(read_xml(""), -EBADMSG);
    assert_int_equal(read_xml("<a>"), -EBADMSG);
    assert_int_equal(read_xml("<a/><b/>"), -EBADMSG);
    assert_int_equal(read_xml("<!DOCTYPE a [<!ENTITY e 'ha'>]><a>&e;</a>"), -EBADMSG);
}

static void test_xml_bounds(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    for (size_t i = 0; i <= XML_DEPTH_MAX; i++)
        buffer_puts(&b, "<a>");
    assert_int_equal(read_xml(buffer_text(&b)), -E2BIG);
    buffer_clear(&b);
    buffer_puts(&b, "<a>");
    for (size_t i = 0; i <= XML_TEXT_MAX; i++)
        buffer_putc(&b, 'x');
    buffer_puts(&b, "</a>");
    assert_int_equal(read_xml(buffer_text(&b)), -E2BIG);
}

/* ---- lists ---- */

static int read_listing(const char *text, const char *prefix, struct s3_listing *l)
{
    return s3_read_listing(text, strlen(text), prefix, l);
}

static void test_listing(void **state UNUSED)
{
    CLEANUP(s3_listing_release) struct s3_listing l = { .entries = NULL };
    static const char text[] =
        "<ListBucketResult><EncodingType>url</EncodingType>"
        "<IsTruncated>true</IsTruncated>"
        "<Contents><Key>p/z+z%2B%C3%A4</Key><Size>12</Size>"
        "<LastModified>2013-05-24T00:00:00.000Z</LastModified>"
        "<ETag>&quot;e&quot;</ETag><StorageClass>GLACIER</StorageClass></Contents>"
        "<Contents><Key>p/b</Key><Size>18446744073709551615</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        "<CommonPrefixes><Prefix>p/c/</Prefix></CommonPrefixes>"
        "<NextContinuationToken>t+/=</NextContinuationToken></ListBucketResult>";

    assert_int_equal(read_listing(text, "p/", &l), 0);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.entries[0].name, "b");
    assert_true(l.entries[0].about.size == UINT64_MAX);
    assert_string_equal(l.entries[0].about.tier, "");
    assert_string_equal(l.entries[1].name, "c/");
    assert_true(l.entries[1].is_prefix);
    assert_string_equal(l.entries[2].name, "z z+\xc3\xa4");
    assert_string_equal(l.entries[2].about.etag, "\"e\"");
    assert_string_equal(l.entries[2].about.tier, "GLACIER");
    assert_int_equal(l.entries[2].about.modified_s, 1369353600);
    assert_string_equal(l.next, "t+/=");
}

static void test_listings_that_are_none(void **state UNUSED)
{
    static const char *const texts[] = {
        "<Error><Code>NoSuchBucket</Code></Error>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>p/a</Key><Size>1x</Size></Contents>"
        "</ListBucketResult>",
        "<ListBucketResult><Contents><Key>p/a</Key>"
        "<Size>18446744073709551616</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>other</Key></Contents></ListBucketResult>",
        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>p/%00</Key>"
        "</Contents></ListBucketResult>",
        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>p/%4</Key>"
        "</Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    };
    struct s3_listing l;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (read_listing(texts[i], "p/", &l) != -EBADMSG)
            fail_msg("taken: %s", texts[i]);
    }
}

/* ---- parts ---- */

#define SUM "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

static int read_parts(const char *text, struct s3_parts *p)
{
    return s3_read_parts(text, strlen(text), p);
}

static void test_parts(void **state UNUSED)
{
    CLEANUP(s3_parts_release) struct s3_parts p = { .parts = NULL };
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    assert_int_equal(read_parts("<ListPartsResult><IsTruncated>true</IsTruncated>"
                                "<NextPartNumberMarker>2</NextPartNumberMarker>"
                                "<Part><PartNumber>2</PartNumber><ETag>&quot;a&quot;"
                                "</ETag><Size>5</Size><ChecksumSHA256>" SUM
                                "</ChecksumSHA256></Part></ListPartsResult>",
                                &p),
                     0);
    assert_int_equal(p.next, 2);
    assert_int_equal(s3_checksum_of_parts(p.parts, p.n, &b), 0);
    assert_string_equal(b.data, "T4tCwi3TcptRm6b2jS2nzFstYG0F2u1a1RKMwD5sY1g=-1");
    assert_int_equal(read_parts("<ListPartsResult><Part><PartNumber>3</PartNumber>"
                                "<ETag>b</ETag><Size>1</Size></Part></ListPartsResult>",
                                &p),
                     0);
    assert_int_equal(p.next, 0);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.parts[0].tag, "\"a\" " SUM);
    assert_string_equal(p.parts[1].tag, "b");
    assert_int_equal(p.parts[0].size, 5);
    assert_int_equal(s3_checksum_of_parts(p.parts, p.n, &b), -ENOENT);
    buffer_clear(&b);
    assert_int_equal(s3_write_parts(&b, p.parts, p.n), 0);
    assert_string_equal(
        b.data, "<CompleteMultipartUpload "
                "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><ETag>"
                "&quot;a&quot;</ETag><ChecksumSHA256>" SUM
                "</ChecksumSHA256><PartNumber>2</PartNumber></Part><Part><ETag>b"
                "</ETag><PartNumber>3</PartNumber></Part></CompleteMultipartUpload>");
}

static void test_parts_that_are_none(void **state UNUSED)
{
    CLEANUP(s3_parts_release) struct s3_parts p = { .next = 2 };

    assert_int_equal(read_parts("<a/>", &p), -EBADMSG);
    assert_int_equal(read_parts("<ListPartsResult><IsTruncated>true</IsTruncated>"
                                "<NextPartNumberMarker>2</NextPartNumberMarker>"
                                "</ListPartsResult>",
                                &p),
                     -EBADMSG);
    assert_int_equal(read_parts("<ListPartsResult><Part><PartNumber>10001</PartNumber>"
                                "<ETag>b</ETag></Part></ListPartsResult>",
                                &p),
                     -EBADMSG);
    assert_int_equal(read_parts("<ListPartsResult><Part><PartNumber>1</PartNumber>"
                                "<ETag>a b</ETag></Part></ListPartsResult>",
                                &p),
                     -EBADMSG);
    assert_int_equal(p.n, 0);
}

static void test_answers_of_one_text(void **state UNUSED)
{
    static const char begun[] =
        "<InitiateMultipartUploadResult><UploadId>u/1</UploadId>"
        "</InitiateMultipartUploadResult>";
    static const char failed[] = "<Error><Code>InternalError</Code></Error>";
    char upload[OBJECT_UPLOAD_MAX], etag[OBJECT_TAG_MAX];

    assert_int_equal(s3_read_upload(begun, strlen(begun), upload), 0);
    assert_string_equal(upload, "u/1");
    assert_int_equal(s3_read_finished(failed, strlen(failed), etag), -EBADMSG);
}

static void test_times(void **state UNUSED)
{
    assert_int_equal(s3_time("2009-10-12T17:50:30.000Z"), 1255369830);
    assert_int_equal(s3_time("Mon, 12 Oct 2009 17:50:30 GMT"), 1255369830);
    assert_int_equal(s3_time("yesterday"), 0);
}

/* ---- errors ---- */

static struct s3_fault fault_of(int http_code, const char *body)
{
    struct s3_fault f = { .http_code = http_code };

    assert_int_equal(s3_fault_read(body, strlen(body), &f), 0);
    return f;
}

static void test_faults(void **state UNUSED)
{
    static const struct {
        const char *code;
        int http_code, status;
        const char *advice;
    } cases[] = {
        { "NoSuchBucket", 404, -ENOENT, "make the bucket" },
        { "AccessDenied", 403, -EACCES, "mesh policy s3" },
        { "SignatureDoesNotMatch", 403, -EACCES, "secret is not that of this key" },
        { "RequestTimeTooSkewed", 403, -EACCES, "timedatectl" },
        { "InvalidAccessKeyId", 403, -EACCES, "check the key id" },
        { "ExpiredToken", 400, -EACCES, "sign in again" },
        { "InvalidTokenId", 403, -EACCES, "session token" },
        { "EntityTooSmall", 400, -EINVAL, "5 MiB" },
        { "PreconditionFailed", 412, -EEXIST, "there already" },
        { "ConditionalRequestConflict", 409, -EEXIST, "at the same time" },
        { "InvalidRange", 416, -ERANGE, "ends before" },
        { "QuotaExceeded", 403, -ENOSPC, "quota" },
        { "XMinioStorageFull", 507, -ENOSPC, "delete" },
        { "XAmzContentSHA256Mismatch", 400, -EBADMSG, "altered" },
        { "SlowDown", 503, -EIO, "try again later" },
        { "KMS.DisabledException", 400, -EACCES, "kms_key" },
        { "NeverHeardOf", 400, -EIO, "documentation" },
        { "NeverHeardOf", 403, -EACCES, "no right" },
    };
    const struct s3_asked asked = { .bucket = "b", .name = "n", .region = "r" };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct s3_fault f = { .http_code = cases[i].http_code };
        struct error error;

        snprintf(f.code, sizeof(f.code), "%s", cases[i].code);
        if (s3_fault_tell(&f, &asked, &error) != cases[i].status
            || !strstr(error.text, cases[i].advice)
            || !strstr(error.text, cases[i].code))
            fail_msg("%s: %s", cases[i].code, error.text);
    }
}

static void test_a_sentence(void **state UNUSED)
{
    const struct s3_fault f =
        fault_of(403, "<Error><Code>AccessDenied</Code><Message>No\177[31m\nway"
                      "</Message><RequestId>R1</RequestId></Error>");
    struct s3_asked asked = { .bucket = "b", .name = "n", .region = "r" };
    char name[1025];
    struct error error;

    assert_int_equal(s3_fault_tell(&f, &asked, &error), -EACCES);
    assert_string_equal(error.text,
                        "s3://b/n: AccessDenied (No [31m way): give the key the right "
                        "to do this: mesh policy s3 prints the rights it needs "
                        "(request R1)");
    /* The longest name leaves the advice and the request in the sentence. */
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    asked.name = name;
    s3_fault_tell(&f, &asked, &error);
    assert_non_null(strstr(error.text, "n...: AccessDenied"));
    assert_non_null(strstr(error.text, "(request R1)"));
}

static void test_faults_of_conditions_and_regions(void **state UNUSED)
{
    struct s3_asked asked = {
        .bucket = "b", .name = "n", .region = "us-east-1", .is_conditional_get = true
    };
    struct s3_fault f = { .http_code = 412, .code = "PreconditionFailed" };
    struct error error;

    assert_int_equal(s3_fault_tell(&f, &asked, &error), -EBADMSG);
    f = fault_of(400, "<Error><Code>AuthorizationHeaderMalformed</Code>"
                      "<Region>eu-west-1</Region></Error>");
    assert_int_equal(s3_fault_tell(&f, &asked, &error), -EACCES);
    assert_non_null(strstr(error.text, "set region: eu-west-1"));
    /* Without a body and its code the status tells. */
    f = fault_of(404, "");
    assert_int_equal(s3_fault_tell(&f, &asked, &error), -ENOENT);
    assert_non_null(strstr(error.text, "HTTP status 404"));
}

static void test_faults_that_are_none(void **state UNUSED)
{
    static const char *const texts[] = { "<html>", "<html><p/></html>", "Error",
                                         "<Error><Message>m</Message></Error>" };
    struct s3_fault f = { .http_code = 500 };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(s3_fault_read(texts[i], strlen(texts[i]), &f), -EBADMSG);
    assert_false(s3_fault_is_transient(&f));
    snprintf(f.code, sizeof(f.code), "SlowDownWrite");
    assert_true(s3_fault_is_transient(&f));
    assert_false(s3_fault_is_of_key(&f));
}

/* ---- addresses ---- */

static void check_url(const struct object_store_options *options, const char *region,
                      const char *name, const char *want)
{
    CLEANUP(s3_address_release) struct s3_address a = { .host = NULL };
    CLEANUP(s3_url_release) struct s3_url u = { .url = BUFFER_INIT };
    struct error error = { "" };

    if (s3_address_init(&a, options, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(s3_address_url(&a, region, name, NULL, &u), 0);
    assert_string_equal(buffer_text(&u.url), want);
    assert_int_equal(u.path_at + u.path_len, u.url.len);
    assert_int_equal(u.url.data[u.path_at], '/');
}

static void test_addresses(void **state UNUSED)
{
    struct object_store_options o = { .bucket = "data" };

    check_url(&o, "eu-west-1", "a b", "https://data.s3.eu-west-1.amazonaws.com/a%20b");
    check_url(&o, "cn-north-1", NULL, "https://data.s3.cn-north-1.amazonaws.com.cn/");
    o.is_path_style = true;
    check_url(&o, "eu-west-1", "a", "https://s3.eu-west-1.amazonaws.com/data/a");
    o = (struct object_store_options){ .bucket = "da.ta" };
    check_url(&o, "eu-west-1", "a", "https://s3.eu-west-1.amazonaws.com/da.ta/a");
    o = (struct object_store_options){ .bucket = "data",
                                       .endpoint = "http://h:9000/x/" };
    check_url(&o, "r", "a//../%+\xc3\xa4", "http://h:9000/x/data/a//../%25%2B%C3%A4");
    check_url(&o, "r", NULL, "http://h:9000/x/data");
    o.is_virtual_host = true;
    check_url(&o, "r", "a", "http://data.h:9000/x/a");
    /* Clients leave the usual port away from what they send as host. */
    o = (struct object_store_options){ .bucket = "data", .endpoint = "https://h:443" };
    check_url(&o, "r", "a", "https://h/data/a");
    o.endpoint = "http://h:80";
    check_url(&o, "r", "a", "http://h/data/a");
    o.endpoint = "http://[::1]:443";
    check_url(&o, "r", "a", "http://[::1]:443/data/a");
}

static void test_dialects(void **state UNUSED)
{
    static const struct {
        const char *endpoint;
        enum sigv4_dialect dialect;
    } cases[] = {
        { "https://storage.googleapis.com", SIGV4_GOOGLE },
        { "https://b.storage.googleapis.com:443/", SIGV4_GOOGLE },
        { "https://evilstorage.googleapis.com", SIGV4_AWS },
        { "https://storage.googleapis.com.example.com", SIGV4_AWS },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(s3_address_release) struct s3_address a = { .host = NULL };
        const struct object_store_options o = { .bucket = "data",
                                                .endpoint = cases[i].endpoint };

        assert_int_equal(s3_address_init(&a, &o, NULL), 0);
        assert_int_equal(a.dialect, cases[i].dialect);
    }
}

static void test_addresses_that_are_none(void **state UNUSED)
{
    static const struct object_store_options cases[] = {
        { .bucket = NULL },
        { .bucket = "" },
        { .bucket = "ab" },
        { .bucket = "a/b" },
        { .bucket = "abc..d" },
        { .bucket = ".abc" },
        { .bucket = "abc", .endpoint = "h:9000" },
        { .bucket = "abc", .endpoint = "ftp://h" },
        { .bucket = "abc", .endpoint = "https://" },
        { .bucket = "abc", .endpoint = "https://user@h" },
        { .bucket = "abc", .endpoint = "https://h?x" },
        { .bucket = "abc", .endpoint = "https://h/x y" },
        { .bucket = "abc", .is_virtual_host = true, .is_path_style = true },
    };
    struct s3_address a;
    struct error error;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        error.text[0] = '\0';
        assert_int_equal(s3_address_init(&a, &cases[i], &error), -EINVAL);
        assert_true(*error.text);
    }
}

static void test_names(void **state UNUSED)
{
    char name[OBJECT_NAME_MAX + 1];
    struct error error;

    memset(name, 'n', OBJECT_NAME_MAX);
    name[OBJECT_NAME_MAX] = '\0';
    assert_int_equal(s3_check_name("", name, &error), 0);
    assert_int_equal(s3_check_name("p", name, &error), -EINVAL);
    assert_int_equal(s3_check_name("p/", "", &error), -EINVAL);
    assert_int_equal(s3_check_name("", "\xc3", &error), -EINVAL);
    assert_int_equal(s3_check_name("", "../\xc3\xa4 //+%", &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml),
        cmocka_unit_test(test_xml_bounds),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_listings_that_are_none),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_that_are_none),
        cmocka_unit_test(test_answers_of_one_text),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_sentence),
        cmocka_unit_test(test_faults_of_conditions_and_regions),
        cmocka_unit_test(test_faults_that_are_none),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_dialects),
        cmocka_unit_test(test_addresses_that_are_none),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
