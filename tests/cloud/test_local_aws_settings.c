/* SPDX-License-Identifier: Apache-2.0 */
/* Where settings of AWS come from: the options, the environment, the files. */
#include "tests/cloud/aws_kit.h"

static const struct aws_options none, work = { .profile = "work" };

static const char *region_of(const struct aws_options *o)
{
    static char region[AWS_REGION_MAX];
    static struct error error;

    return aws_region(o, region, &error) == 0 ? region : error.text;
}

static void test_region(void **state)
{
    struct kit *k = *state;
    const struct aws_options own = { .region = "sa-east-1", .profile = "work" };

    assert_string_equal(
        region_of(&none),
        "no region is known: set AWS_REGION, or region in profile default");
    kit_write(k, "config",
              "[default]\nregion = eu-west-1\n[profile work]\nregion = "
              "eu-west-2\n[profile bad]\nregion = eu/west\n");
    assert_string_equal(region_of(&none), "eu-west-1");
    assert_string_equal(region_of(&work), "eu-west-2");
    kit_variable("AWS_PROFILE", "work");
    assert_string_equal(region_of(&none), "eu-west-2");
    kit_variable("AWS_PROFILE", "bad");
    assert_string_equal(region_of(&none), "'eu/west' is no region of AWS");
    kit_variable("AWS_DEFAULT_REGION", "us-west-1");
    assert_string_equal(region_of(&work), "us-west-1");
    kit_variable("AWS_REGION", "us-west-2");
    assert_string_equal(region_of(&work), "us-west-2");
    assert_string_equal(region_of(&own), "sa-east-1");
}

static void assert_endpoint(const struct aws_options *o, const char *service,
                            const char *expected)
{
    CLEANUP(freep) char *url = NULL;

    assert_int_equal(aws_endpoint(o, service, &url, NULL), 0);
    if (expected && url)
        assert_string_equal(url, expected);
    else
        assert_ptr_equal(url, expected);
}

static void test_endpoint(void **state)
{
    struct kit *k = *state;

    assert_endpoint(&none, "s3", NULL);
    kit_write(k, "config",
              "[profile work]\nendpoint_url = http://all\nservices = s\n"
              "[services s]\ns3 =\n  endpoint_url = http://s3\n"
              "[profile off]\nendpoint_url = http://all\n"
              "ignore_configured_endpoint_urls = true\n");
    assert_endpoint(&work, "s3", "http://s3");
    assert_endpoint(&work, "sts", "http://all");
    assert_endpoint(&(struct aws_options){ .profile = "off" }, "s3", NULL);
    kit_variable("AWS_ENDPOINT_URL", "http://here");
    assert_endpoint(&work, "s3", "http://here");
    kit_variable("AWS_ENDPOINT_URL_STS", "http://sts");
    assert_endpoint(&work, "sts", "http://sts");
    assert_endpoint(&work, "s3", "http://here");
}

static void test_setting(void **state)
{
    struct kit *k = *state;
    CLEANUP(freep) char *value = NULL;

    kit_write(k, "config", "[profile work]\ns3 =\n  addressing_style = virtual\n");
    assert_int_equal(aws_setting(&work, NULL, "s3.addressing_style", &value, NULL), 0);
    assert_string_equal(value, "virtual");
    freep(&value);
    kit_variable("AWS_REGION", "x");
    assert_int_equal(aws_setting(&work, "AWS_REGION", "region", &value, NULL), 0);
    assert_string_equal(value, "x");
}

/* A file that cannot be read is told with its line, and nothing of what stands there.
 */
static void test_bad_file(void **state)
{
    struct kit *k = *state;
    const char *why;

    kit_write(k, "credentials", "[default]\naws_access_key_id = k\nsecret\n");
    why = kit_ask(k, NULL);
    assert_int_equal(k->status, -EINVAL);
    assert_says(why, "/credentials:3: neither [section] nor KEY = VALUE");
    assert_null(strstr(why, "secret"));
}

static void test_order(void **state)
{
    struct kit *k = *state;

    kit_write(k, "credentials",
              "[default]\naws_access_key_id = file\naws_secret_access_key = s\n"
              "[work]\naws_access_key_id = work\naws_secret_access_key = s\n"
              "aws_session_token = t\n");
    assert_string_equal(kit_ask(k, NULL), "");
    assert_string_equal(k->key.id, "file");
    assert_string_equal(k->key.from, "profile default");
    assert_true(k->key.is_static);
    kit_variable("AWS_ACCESS_KEY_ID", "environment");
    assert_says(kit_ask(k, NULL), "AWS_SECRET_ACCESS_KEY is not: set or unset both");
    kit_variable("AWS_SECRET_ACCESS_KEY", "s");
    assert_string_equal(kit_ask(k, NULL), "");
    assert_string_equal(k->key.id, "environment");
    /* Who names a profile means it. */
    assert_string_equal(kit_ask(k, &work), "");
    assert_string_equal(k->key.id, "work");
    assert_false(k->key.is_static);
    assert_says(kit_ask(k, &(struct aws_options){ .profile = "nobody" }),
                "there is no profile 'nobody'");
    assert_int_equal(k->status, -EINVAL);
}

static void test_bad_region(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .region = "a.b/c" };

    assert_int_equal(aws_credentials_open(k->http, &k->loop, &o, &k->credentials,
                                          &k->error),
                     -EINVAL);
    assert_string_equal(k->error.text, "'a.b/c' is no region of AWS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_region, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_endpoint, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_setting, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_bad_file, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_order, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_bad_region, kit_open, kit_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
