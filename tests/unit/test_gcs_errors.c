/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/gcs_errors.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static int refused(int code, const char *name, const char *body, struct error *error)
{
    const struct gcs_refused what = {
        .verb = "write", .bucket = "b", .name = name, .code = code, .request_id = "AHx1"
    };
    struct gcs_refusal refusal;

    gcs_refusal_read(body, strlen(body), &refusal);
    return gcs_refused(&what, &refusal, error);
}

static void test_sentence(void **state UNUSED)
{
    struct error error;

    assert_int_equal(
        refused(
            403, "o",
            "{\"error\": {\"code\": 403, \"message\": \"m@p does not have\\naccess\","
            "\"errors\": [{\"reason\": \"forbidden\"}]}}",
            &error),
        -EACCES);
    assert_string_equal(error.text,
                        "cannot write gs://b/o: give the account the role Storage "
                        "Object User on the bucket, and look at VPC service controls "
                        "(403 forbidden, request AHx1: m@p does not have access)");
}

/* The reason that a person can act upon decides, wherever the service puts it. */
static void test_reasons(void **state UNUSED)
{
    static const struct {
        int code;
        const char *name, *body;
        int error;
        const char *help;
    } cases[] = {
        { 404, "o", "No such object: bucket/o", -ENOENT, "no such object" },
        { 404, "o",
          "{\"error\":{\"message\":\"The specified bucket does not exist.\"}}", -ENOENT,
          "no such bucket" },
        { 404, NULL, "Not Found", -ENOENT, "no such bucket" },
        { 404, "o", "<Error><Code>NoSuchBucket</Code></Error>", -ENOENT,
          "no such bucket" },
        { 401, "o", "", -EACCES, "clock" },
        { 403, "o", "{\"error\":{\"errors\":[{\"reason\":\"retentionPolicyNotMet\"}]}}",
          -EROFS, "retention policy" },
        { 403, "o", "{\"error\":{\"errors\":[{\"reason\":\"quotaExceeded\"}]}}",
          -ENOSPC, "quota" },
        { 403, "o",
          "{\"error\":{\"errors\":[{\"reason\":\"forbidden\"}],"
          "\"details\":[{\"reason\":\"BILLING_DISABLED\"}]}}",
          -EACCES, "billing is disabled" },
        { 403, "o", "{\"error\":{\"errors\":[{\"reason\":\"accountDisabled\"}]}}",
          -EACCES, "billing is disabled" },
        { 412, "o", "{\"error\":{\"errors\":[{\"reason\":\"conditionNotMet\"}]}}",
          -EEXIST, "it is there" },
        { 416, "o", "", -ERANGE, "behind the end" },
        { 429, "o", "{\"error\":{\"errors\":[{\"reason\":\"rateLimitExceeded\"}]}}",
          -EIO, "ask less often" },
        { 503, "o", "<html>busy</html>", -EIO, "try later" },
        { 302, "o", "<html>log in</html>", -EPROTO, "proxies" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error error;

        assert_int_equal(refused(cases[i].code, cases[i].name, cases[i].body, &error),
                         cases[i].error);
        if (!strstr(error.text, cases[i].help))
            fail_msg("%s\n", error.text);
    }
}

static void test_transient(void **state UNUSED)
{
    struct gcs_refusal refusal = { .reason = "rateLimitExceeded" };

    assert_true(gcs_is_transient(403, &refusal));
    assert_false(gcs_is_transient(400, &refusal));
    strcpy(refusal.reason, "forbidden");
    assert_false(gcs_is_transient(403, &refusal));
}

/* A terminal is not written to by a service, and a character is not cut. */
static void test_hostile(void **state UNUSED)
{
    struct gcs_refusal refusal;
    char body[700];

    gcs_refusal_read("\x1b[2Jgone\nsecond", 14, &refusal);
    assert_string_equal(refusal.message, " [2Jgone");
    memset(body, 'a', sizeof(body));
    memcpy(body + GCS_MESSAGE_MAX - 2, "\xc3\xa4", 2);
    gcs_refusal_read(body, sizeof(body), &refusal);
    assert_int_equal(strlen(refusal.message), GCS_MESSAGE_MAX - 2);
    gcs_refusal_read("[1]", 3, &refusal);
    assert_string_equal(refusal.message, "");
}

static int token(int code, const char *body, struct error *error)
{
    struct gcs_refusal refusal;

    gcs_refusal_read(body, strlen(body), &refusal);
    return google_token_refused("the key of m@p", code, &refusal, error);
}

static void test_tokens(void **state UNUSED)
{
    struct error error;

    assert_int_equal(token(400,
                           "{\"error\": \"invalid_grant\","
                           "\"error_description\": \"Invalid JWT Signature.\"}",
                           &error),
                     -EACCES);
    assert_string_equal(error.text,
                        "the key of m@p is not accepted: its private key is "
                        "not, or no longer, one of the account's (400 "
                        "invalid_grant: Invalid JWT Signature.)");
    assert_int_equal(token(400,
                           "{\"error\": \"invalid_grant\", \"error_description\": "
                           "\"Invalid JWT: Token must be a short-lived token\"}",
                           &error),
                     -EACCES);
    assert_non_null(strstr(error.text, "clock"));
    assert_int_equal(token(503, "", &error), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence),  cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_transient), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
