/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/google_text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "cloud/encode.h"
#include "tests/unit/unit.h"

static int read_text(const char *text, struct google_file *file, struct error *error)
{
    return google_file_read(text, strlen(text), "f.json", file, error);
}

static void test_bad_files(void **state UNUSED)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        { "", "no JSON" },
        { "{\"type\": 1}", "no JSON with a type" },
        { "{\"type\": \"gdch_service_account\"}", "gdch_service_account" },
        { "{\"type\": \"service_account\", \"client_email\": \"m\"}", "'private_key'" },
        { "{\"type\": \"service_account\", \"client_email\": \"m\", \"private_key\": "
          "\"SECRET\", \"token_uri\": \"http://evil.org/\"}",
          "not https://" },
        { "{\"type\": \"external_account\", \"audience\": \"a\", "
          "\"subject_token_type\": \"t\", \"token_url\": \"https://h\", "
          "\"credential_source\": {\"environment_id\": \"aws1\"}}",
          "AWS" },
        { "{\"type\": \"external_account\", \"audience\": \"a\", "
          "\"subject_token_type\": \"t\", \"token_url\": \"https://h\"}",
          "a file or a url" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct google_file file;
        struct error error;

        assert_int_equal(read_text(cases[i].text, &file, &error), -EINVAL);
        if (!strstr(error.text, cases[i].said) || strstr(error.text, "SECRET"))
            fail_msg("%s\n", error.text);
    }
}

static void test_forms(void **state UNUSED)
{
    static const char user[] =
        "{\"type\": \"authorized_user\", \"client_id\": \"i\", \"client_secret\": "
        "\"s+\", \"refresh_token\": \"1//r\"}";
    CLEANUP(google_file_release) struct google_file file = { .token_uri = NULL };
    CLEANUP(buffer_release) struct buffer form = BUFFER_INIT;

    assert_int_equal(read_text(user, &file, NULL), 0);
    assert_string_equal(file.token_uri, "https://oauth2.googleapis.com/token");
    assert_int_equal(google_token_form(&file, "x", 1, NULL, &form, NULL), 0);
    assert_string_equal(buffer_text(&form),
                        "grant_type=refresh_token&client_id=i&client_secret=s%2B"
                        "&refresh_token=1%2F%2Fr");
}

/* ---- assertions ---- */

static char *pem_of(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text, *copy;
    long n;

    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    n = BIO_get_mem_data(bio, &text);
    copy = strndup(text, (size_t)n);
    BIO_free(bio);
    return copy;
}

static void decode_url(struct buffer *out, const char *text, size_t len)
{
    CLEANUP(buffer_release) struct buffer plain = BUFFER_INIT;

    for (size_t i = 0; i < len; i++)
        buffer_putc(&plain, text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    while (plain.len % 4)
        buffer_putc(&plain, '=');
    assert_int_equal(decode_base64(out, plain.data, plain.len), 0);
}

static void test_assertion(void **state UNUSED)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    struct google_file file = { .kind = GOOGLE_SERVICE_ACCOUNT,
                                .email = strdup("m@p"),
                                .key_id = strdup("k1"),
                                .token_uri = strdup("https://t"),
                                .private_key = pem_of(key) };
    CLEANUP(buffer_release) struct buffer jwt = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer claims = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer signature = BUFFER_INIT;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    const char *first, *second;

    assert_int_equal(google_assertion(&file, "scope", 1000, &jwt, NULL), 0);
    first = strchr(jwt.data, '.');
    second = strchr(first + 1, '.');
    decode_url(&claims, first + 1, (size_t)(second - first - 1));
    assert_string_equal(buffer_text(&claims),
                        "{\"iss\":\"m@p\",\"scope\":\"scope\",\"aud\":\"https://t\","
                        "\"iat\":1000,\"exp\":4600}");
    decode_url(&signature, second + 1, strlen(second + 1));
    assert_int_equal(EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(digest, (uint8_t *)signature.data, signature.len,
                                      (uint8_t *)jwt.data, (size_t)(second - jwt.data)),
                     1);
    EVP_MD_CTX_free(digest);
    EVP_PKEY_free(key);
    google_file_release(&file);
}

static void test_bad_key(void **state UNUSED)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct google_file file = { .kind = GOOGLE_SERVICE_ACCOUNT,
                                .email = strdup("m@p"),
                                .key_id = strdup(""),
                                .token_uri = strdup("https://t"),
                                .private_key = strdup("-----BEGIN x") };
    CLEANUP(buffer_release) struct buffer jwt = BUFFER_INIT;
    struct error error;

    assert_int_equal(google_assertion(&file, "s", 1, &jwt, &error), -EINVAL);
    assert_non_null(strstr(error.text, "no RSA key"));
    free(file.private_key);
    file.private_key = pem_of(key);
    assert_int_equal(google_assertion(&file, "s", 1, &jwt, &error), -EINVAL);
    EVP_PKEY_free(key);
    google_file_release(&file);
}

/* ---- answers ---- */

static void test_tokens(void **state UNUSED)
{
    static const char good[] = "{\"access_token\": \"t\", \"expires_in\": 3599}";
    static const char other[] =
        "{\"accessToken\": \"u\", \"expireTime\": \"2026-01-02T03:04:05Z\"}";
    static const char *const bad[] = {
        "",
        "{}",
        "{\"access_token\": \"t\"}",
        "{\"access_token\": \"t\\r\\nX: y\", \"expires_in\": 1}",
        "{\"access_token\": \"t\", \"expires_in\": -1}",
        "{\"access_token\": \"t\", \"expires_in\": 9223372036854775807}",
        "{\"accessToken\": \"u\", \"expireTime\": \"soon\"}",
    };
    struct google_token token;

    assert_int_equal(google_token_read(good, strlen(good), 100, &token, NULL), 0);
    assert_string_equal(token.text, "t");
    assert_true(token.expires_s == 3699);
    assert_int_equal(google_token_read(other, strlen(other), 100, &token, NULL), 0);
    assert_true(token.expires_s == 1767323045);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(google_token_read(bad[i], strlen(bad[i]), 1, &token, NULL),
                         -EPROTO);
}

static void test_boto(void **state UNUSED)
{
    static const char good[] = "[Boto]\ngs_access_key_id = no\n[Credentials]\n"
                               "# a comment\ngs_access_key_id=GOOG1\r\n"
                               "gs_secret_access_key : abc=\n";
    static const char half[] = "[Credentials]\ngs_access_key_id=GOOG1\n";
    CLEANUP(buffer_release) struct buffer id = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer secret = BUFFER_INIT;

    assert_true(google_boto_read(good, strlen(good), &id, &secret));
    assert_string_equal(buffer_text(&id), "GOOG1");
    assert_string_equal(buffer_text(&secret), "abc=");
    buffer_clear(&id);
    buffer_clear(&secret);
    assert_false(google_boto_read(half, strlen(half), &id, &secret));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files), cmocka_unit_test(test_forms),
        cmocka_unit_test(test_assertion), cmocka_unit_test(test_bad_key),
        cmocka_unit_test(test_tokens),    cmocka_unit_test(test_boto),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
