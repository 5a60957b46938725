/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/aws_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

typedef int read_fn(const char *text, size_t len, struct aws_key *ret,
                    struct error *ret_error);

static void assert_says(read_fn *read, const char *text, const char *sentence)
{
    struct error error = { .text = "" };
    struct aws_key k;

    assert_int_equal(read(text, strlen(text), &k, &error), -EPROTO);
    assert_string_equal(error.text, sentence);
}

static void test_time(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t s;
    } good[] = { { "1970-01-01T00:00:00Z", 0 },
                 { "2000-02-29T12:00:00Z", 951825600 },
                 { "2026-11-22T04:05:06.789Z", 1795320306 },
                 { "2026-11-22T06:05:06+02:00", 1795320306 },
                 { "2026-11-21T23:35:06-04:30", 1795320306 } };
    static const char *const bad[] = { "",
                                       "now",
                                       "2026-11-22",
                                       "2026-13-22T04:05:06Z",
                                       "2026-11-22T24:05:06Z",
                                       "2026-11-22T04:05:06",
                                       "2026-11-22T04:05:06Zulu",
                                       "2026-11-22T04:05:06+0x:00",
                                       "2026-11-22T04:05:06+02:00 " };
    int64_t s;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(aws_time_read(good[i].text, &s), 0);
        assert_int_equal(s, good[i].s);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (aws_time_read(bad[i], &s) != -EINVAL)
            fail_msg("'%s' is a time", bad[i]);
}

static void test_process(void **state UNUSED)
{
    static const char text[] =
        "{\"Version\": 1, \"AccessKeyId\": \"id\", \"SecretAccessKey\": "
        "\"s\\/\\u00e9\","
        " \"SessionToken\": \"t\", \"Expiration\": \"1970-01-02T00:00:00Z\"}";
    CLEANUP(aws_key_release) struct aws_key k = { .text = BUFFER_INIT };

    assert_int_equal(aws_key_read_process(text, strlen(text), &k, NULL), 0);
    assert_string_equal(k.key.id, "id");
    assert_string_equal(k.key.secret, "s/\xc3\xa9");
    assert_string_equal(k.key.token, "t");
    assert_int_equal(k.key.expires_s, 86400);
    assert_says(aws_key_read_process, "secret",
                "credential_process gives something that is not a JSON object");
    assert_says(aws_key_read_process, "{\"AccessKeyId\": \"secret\"}",
                "credential_process gives another \"Version\" than 1");
    assert_says(aws_key_read_process,
                "{\"Version\": 1, \"SecretAccessKey\": \"secret\"}",
                "credential_process gives no AccessKeyId and SecretAccessKey");
    assert_says(aws_key_read_process,
                "{\"Version\": 1, \"AccessKeyId\": \"i\", \"SecretAccessKey\": \"s\","
                " \"Expiration\": \"soon\"}",
                "credential_process gives an Expiration that is no time");
}

static void test_metadata(void **state UNUSED)
{
    static const char text[] = "{\"Code\": \"Success\", \"AccessKeyId\": \"id\","
                               " \"SecretAccessKey\": \"s\", \"Token\": \"\"}",
                      refusal[] = "{\"code\": \"c\", \"message\": \"m\", \"x\": 1}";
    CLEANUP(aws_key_release) struct aws_key k = { .text = BUFFER_INIT };
    struct aws_fault fault;

    assert_int_equal(aws_key_read_metadata(text, strlen(text), &k, NULL), 0);
    assert_null(k.key.token);
    assert_int_equal(k.key.expires_s, 0);
    assert_says(aws_key_read_metadata,
                "{\"Code\": \"AssumeRoleUnauthorizedAccess\", \"Message\": \"EC2 may\\n"
                "not\"}",
                "the metadata service gives no AccessKeyId and SecretAccessKey: "
                "AssumeRoleUnauthorizedAccess: EC2 may not");
    aws_fault_read_json(refusal, strlen(refusal), &fault);
    assert_string_equal(fault.code, "c");
    assert_string_equal(fault.message, "m");
    aws_fault_read_json("[]", 2, &fault);
    assert_string_equal(fault.code, "");
}

static void test_sts(void **state UNUSED)
{
    static const char
        text[] =
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
            "<AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>"
            "<SecretAccessKey>a/&amp;b</SecretAccessKey>"
            "<SessionToken>t</SessionToken>"
            "<Expiration>1970-01-02T00:00:00Z</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>",
        no[] = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
               "<Message>no &lt;way&gt;</Message></Error><RequestId>r-1</RequestId>"
               "</ErrorResponse>",
        bomb[] =
            "<!DOCTYPE a [<!ENTITY x \"xx\">]><a><AccessKeyId>&x;</AccessKeyId></a>";
    CLEANUP(aws_key_release) struct aws_key k = { .text = BUFFER_INIT };
    struct aws_fault fault;

    assert_int_equal(aws_key_read_sts(text, strlen(text), &k, NULL), 0);
    assert_string_equal(k.key.id, "ASIA");
    assert_string_equal(k.key.secret, "a/&b");
    assert_string_equal(k.key.token, "t");
    assert_int_equal(k.key.expires_s, 86400);
    assert_says(aws_key_read_sts, bomb, "STS answers something that is not XML");
    aws_fault_read_xml(no, strlen(no), &fault);
    assert_string_equal(fault.code, "AccessDenied");
    assert_string_equal(fault.message, "no <way>");
    assert_string_equal(fault.request_id, "r-1");
    aws_fault_read_xml("<html>", 6, &fault);
    assert_string_equal(fault.code, "");
}

static void test_form(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    const struct aws_role role = { .arn = "arn:aws:iam::1:role/a+b",
                                   .external_id = "x y",
                                   .duration_s = 900 };

    assert_int_equal(aws_sts_form(&role, "host", NULL, &b), 0);
    assert_string_equal(buffer_text(&b),
                        "Action=AssumeRole&Version=2011-06-15"
                        "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb"
                        "&RoleSessionName=host&ExternalId=x%20y&DurationSeconds=900");
    buffer_clear(&b);
    assert_int_equal(aws_sts_form(&role, "host", "a.b&c", &b), 0);
    assert_string_equal(buffer_text(&b),
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                        "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb"
                        "&RoleSessionName=host&DurationSeconds=900"
                        "&WebIdentityToken=a.b%26c");
}

static void assert_endpoint(const char *region, bool is_legacy, const char *url,
                            const char *signed_for)
{
    char at[AWS_URL_MAX], in[AWS_REGION_MAX];

    assert_int_equal(aws_sts_endpoint(region, is_legacy, at, in), 0);
    assert_string_equal(at, url);
    assert_string_equal(in, signed_for);
}

static void test_endpoint(void **state UNUSED)
{
    char at[AWS_URL_MAX], in[AWS_REGION_MAX];

    assert_endpoint(NULL, false, "https://sts.amazonaws.com", "us-east-1");
    assert_endpoint("eu-west-1", false, "https://sts.eu-west-1.amazonaws.com",
                    "eu-west-1");
    assert_endpoint("eu-west-1", true, "https://sts.amazonaws.com", "us-east-1");
    assert_endpoint("me-south-1", true, "https://sts.me-south-1.amazonaws.com",
                    "me-south-1");
    assert_endpoint("cn-north-1", false, "https://sts.cn-north-1.amazonaws.com.cn",
                    "cn-north-1");
    assert_int_equal(aws_sts_endpoint("evil.example/", false, at, in), -EINVAL);
    assert_int_equal(aws_sts_endpoint("", false, at, in), -EINVAL);
}

static void test_container_url(void **state UNUSED)
{
    static const char *const good[] = { "http://169.254.170.2/v2/credentials/x",
                                        "http://169.254.170.23/v1/credentials",
                                        "http://[fd00:ec2::23]/v1/credentials",
                                        "http://localhost:1234/x",
                                        "http://127.9.8.7/",
                                        "http://[::1]:80/x",
                                        "https://keys.example/x" };
    static const char *const bad[] = { "http://169.254.169.254/x",
                                       "http://192.0.2.1/",
                                       "http://localhost.evil/x",
                                       "http://127.0.0.1.evil/",
                                       "http://127.0.0.1@evil/",
                                       "http://evil/127.0.0.1",
                                       "http://evil?@localhost",
                                       "http://[::2]/",
                                       "http://evil:80#localhost:1/",
                                       "http://localhost\\@evil/",
                                       "ftp://localhost/",
                                       "localhost",
                                       "http://localhost/x\r\nHost: y",
                                       "https:///x",
                                       "http://" };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (aws_container_url_check(good[i], NULL) != 0)
            fail_msg("%s is not allowed", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (aws_container_url_check(bad[i], NULL) != -EINVAL)
            fail_msg("%s is allowed", bad[i]);
}

static void assert_words(const char *line, const char *expected)
{
    CLEANUP(freep) char *room = malloc(strlen(line) + 2);
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char *words[AWS_WORDS_MAX + 1];

    assert_int_equal(aws_command_split(line, room, words), 0);
    for (size_t i = 0; words[i]; i++)
        buffer_printf(&b, "%s<%s>", i ? " " : "", words[i]);
    assert_string_equal(buffer_text(&b), expected);
}

static void test_command(void **state UNUSED)
{
    char room[512], *words[AWS_WORDS_MAX + 1], many[2 * AWS_WORDS_MAX + 3];

    assert_words("/bin/a  b\tc ", "</bin/a> <b> <c>");
    assert_words("a 'b c' \"d e\" f\\ g", "<a> <b c> <d e> <f g>");
    assert_words("a 'b\\' \"c\\\"d\\e\\\\\" ''", "<a> <b\\> <c\"d\\e\\> <>");
    assert_words("a$HOME `b`; c", "<a$HOME> <`b`;> <c>");
    assert_words("a\\", "<a\\>");
    assert_int_equal(aws_command_split("a 'b", room, words), -EINVAL);
    assert_int_equal(aws_command_split("  ", room, words), -EINVAL);
    memset(many, ' ', sizeof(many));
    for (size_t i = 0; i <= AWS_WORDS_MAX; i++)
        many[2 * i] = 'x';
    many[sizeof(many) - 1] = '\0';
    assert_int_equal(aws_command_split(many, room, words), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),          cmocka_unit_test(test_process),
        cmocka_unit_test(test_metadata),      cmocka_unit_test(test_sts),
        cmocka_unit_test(test_form),          cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_container_url), cmocka_unit_test(test_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
