/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/encode.h"
#include "tests/unit/sigv4_vectors.h"
#include "tests/unit/unit.h"

enum { AT_2015_08_30 = 1440938160, AT_2013_05_24 = 1369353600 };

static const struct sigv4_key SUITE_KEY = {
    .dialect = SIGV4_AWS,
    .id = "AKIDEXAMPLE",
    .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "service",
};

static const struct sigv4_key S3_KEY = {
    .dialect = SIGV4_AWS,
    .id = "AKIAIOSFODNN7EXAMPLE",
    .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "s3",
};

static void hash_body(const char *body, char ret_hex[ENCODE_SHA256_HEX])
{
    uint8_t hash[ENCODE_SHA256];

    encode_sha256(body ? body : "", body ? strlen(body) : 0, hash);
    encode_hex(hash, sizeof(hash), ret_hex);
}

static struct sigv4_request request_of(const struct sigv4_vector *v)
{
    struct sigv4_request r = {
        .method = v->method,
        .path = v->path,
        .query = v->query,
        .headers = v->headers,
    };

    while (r.n_headers < ARRAY_SIZE(v->headers) && v->headers[r.n_headers].name)
        r.n_headers++;
    return r;
}

static void check_signed(const struct sigv4_vector *v, const struct sigv4_key *key,
                         const struct sigv4_request *r)
{
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    const char *signature;

    assert_int_equal(sigv4_sign(key, r, &s), 0);
    signature = strstr(buffer_text(&s.authorization), ", Signature=");
    assert_non_null(signature);
    if (strcmp(signature + 12, v->signature) != 0)
        fail_msg("%s: %s", v->name, buffer_text(&s.authorization));
}

static void check_presigned(const struct sigv4_vector *v, const struct sigv4_key *key,
                            const struct sigv4_request *r, uint32_t expires_s)
{
    CLEANUP(buffer_release) struct buffer query = BUFFER_INIT;
    const char *signature;

    assert_int_equal(sigv4_presign(key, r, expires_s, &query), 0);
    signature = strstr(buffer_text(&query), "&X-Amz-Signature=");
    assert_non_null(signature);
    if (strcmp(signature + 17, v->presigned) != 0)
        fail_msg("%s: %s", v->name, buffer_text(&query));
}

static void test_suite(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(SUITE); i++) {
        const struct sigv4_vector *v = &SUITE[i];
        struct sigv4_key key = SUITE_KEY;
        struct sigv4_request r = request_of(v);
        char payload[ENCODE_SHA256_HEX];

        hash_body(v->body, payload);
        key.token = v->token;
        r.host = "example.amazonaws.com";
        r.payload = payload;
        r.now_s = AT_2015_08_30;
        r.is_store = v->body != NULL;
        if (strchr(v->path, '%'))
            continue; /* the next test's */
        check_signed(v, &key, &r);
        check_presigned(v, &key, &r, 3600);
    }
}

/* These encode their path once, and have no header with the body's hash: what they
 * begin from is not encoded yet here, and signing does it. */
static void test_suite_of_odd_paths(void **state UNUSED)
{
    static const char *const plain[][2] = {
        { "get-space-normalized", "/example space/" },
        { "get-space-unnormalized", "/example space/" },
        { "get-utf8", "/\xe1\x88\xb4" },
    };
    size_t n_seen = 0;

    for (size_t i = 0; i < ARRAY_SIZE(SUITE); i++) {
        struct sigv4_request r = request_of(&SUITE[i]);
        char payload[ENCODE_SHA256_HEX];

        r.path = NULL;
        for (size_t j = 0; j < ARRAY_SIZE(plain); j++) {
            if (strcmp(plain[j][0], SUITE[i].name) == 0)
                r.path = plain[j][1];
        }
        if (!r.path)
            continue;
        hash_body(NULL, payload);
        r.host = "example.amazonaws.com";
        r.payload = payload;
        r.now_s = AT_2015_08_30;
        check_signed(&SUITE[i], &SUITE_KEY, &r);
        check_presigned(&SUITE[i], &SUITE_KEY, &r, 3600);
        n_seen++;
    }
    assert_int_equal(n_seen, ARRAY_SIZE(plain));
}

static void test_s3_examples(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(S3_EXAMPLES); i++) {
        const struct sigv4_vector *v = &S3_EXAMPLES[i];
        struct sigv4_request r = request_of(v);
        char payload[ENCODE_SHA256_HEX];

        hash_body(v->body, payload);
        r.host = "examplebucket.s3.amazonaws.com";
        r.payload = v->presigned ? SIGV4_UNSIGNED : payload;
        r.is_store = true;
        r.now_s = AT_2013_05_24;
        if (v->presigned)
            check_presigned(v, &S3_KEY, &r, 86400);
        else
            check_signed(v, &S3_KEY, &r);
    }
}

/* The whole of it, as it is sent. */
static void test_texts(void **state UNUSED)
{
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    CLEANUP(buffer_release) struct buffer query = BUFFER_INIT;
    struct sigv4_request r = { .method = "GET",
                               .host = "examplebucket.s3.amazonaws.com",
                               .path = "/test.txt",
                               .payload = SIGV4_UNSIGNED,
                               .is_store = true,
                               .now_s = AT_2013_05_24 };

    assert_int_equal(sigv4_presign(&S3_KEY, &r, 86400, &query), 0);
    assert_string_equal(
        buffer_text(&query),
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F"
        "20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&"
        "X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &s), 0);
    assert_string_equal(s.date, "20130524T000000Z");
    assert_non_null(strstr(s.authorization.data,
                           "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
                           "us-east-1/s3/aws4_request, SignedHeaders="
                           "host;x-amz-content-sha256;x-amz-date, Signature="));
}

/* Google's differs in its names alone: each of them is in the text. */
static void test_google(void **state UNUSED)
{
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    CLEANUP(buffer_release) struct buffer query = BUFFER_INIT;
    struct sigv4_key key = S3_KEY;
    struct sigv4_request r = { .method = "GET",
                               .host = "storage.googleapis.com",
                               .path = "/b/o",
                               .payload = SIGV4_UNSIGNED,
                               .is_store = true,
                               .now_s = AT_2013_05_24 };

    key.dialect = SIGV4_GOOGLE;
    key.service = "storage";
    key.region = "auto";
    assert_int_equal(sigv4_sign(&key, &r, &s), 0);
    assert_non_null(strstr(s.authorization.data,
                           "GOOG4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
                           "auto/storage/goog4_request, SignedHeaders="
                           "host;x-goog-content-sha256;x-goog-date, Signature="));
    assert_int_equal(sigv4_presign(&key, &r, 60, &query), 0);
    assert_non_null(strstr(query.data, "X-Goog-Algorithm=GOOG4-HMAC-SHA256&"));
    assert_non_null(strstr(query.data, "&X-Goog-Signature="));
}

/* A service that is no object store wants what is sent encoded once more: two requests
 * whose signed paths are the same text have the same signature. */
static void test_encoded_twice(void **state UNUSED)
{
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed a = { .authorization = BUFFER_INIT };
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed b = { .authorization = BUFFER_INIT };
    struct sigv4_request r = { .method = "GET",
                               .host = "batch.example.com",
                               .path = "/v1/arn%3Aaws",
                               .payload = SIGV4_UNSIGNED,
                               .now_s = AT_2013_05_24 };
    struct sigv4_header hash = { "x-amz-content-sha256", SIGV4_UNSIGNED };

    r.headers = &hash;
    r.n_headers = 1;
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &a), 0);
    r.path = "/v1/arn%253Aaws";
    r.n_headers = 0;
    r.is_store = true;
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &b), 0);
    assert_string_equal(a.authorization.data, b.authorization.data);
}

static void test_bounds(void **state UNUSED)
{
    struct sigv4_signed s;
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char secret[SIGV4_SECRET_MAX + 2];
    struct sigv4_key key = S3_KEY;
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request r = {
        .method = "GET", .host = "h", .path = "/", .payload = SIGV4_UNSIGNED
    };

    assert_int_equal(sigv4_presign(&S3_KEY, &r, 0, &b), -ERANGE);
    assert_int_equal(sigv4_presign(&S3_KEY, &r, SIGV4_EXPIRES_MAX_S + 1, &b), -ERANGE);
    r.now_s = -1;
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &s), -EINVAL);
    r.now_s = 253402300800;
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &s), -EINVAL);
    r.now_s = 0;
    memset(secret, 'x', sizeof(secret) - 1);
    secret[sizeof(secret) - 1] = '\0';
    key.secret = secret;
    assert_int_equal(sigv4_sign(&key, &r, &s), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        headers[i] = (struct sigv4_header){ "a", "b" };
    r.headers = headers;
    r.n_headers = ARRAY_SIZE(headers);
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &s), -E2BIG);
    r.n_headers = 0;
    for (size_t i = 0; i < SIGV4_PARAMS_MAX; i++)
        buffer_puts(&b, "a&");
    buffer_puts(&b, "a");
    r.query = b.data;
    assert_int_equal(sigv4_sign(&S3_KEY, &r, &s), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),       cmocka_unit_test(test_suite_of_odd_paths),
        cmocka_unit_test(test_s3_examples), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_google),      cmocka_unit_test(test_encoded_twice),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
