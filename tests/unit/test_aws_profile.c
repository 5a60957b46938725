/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/aws_profile.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "tests/unit/unit.h"

static struct aws_files files;
static struct aws_plan plan;
static struct error error;

static void read_files(const char *config, const char *credentials)
{
    aws_files_release(&files);
    if (ini_read(config, strlen(config), "config", &files.config, &error) < 0
        || ini_read(credentials, strlen(credentials), "credentials", &files.credentials,
                    &error)
               < 0)
        fail_msg("%s", error.text);
}

static int make(const char *profile)
{
    return aws_plan_make(&files, profile, &plan, &error);
}

static void assert_bad(const char *config, const char *profile, const char *sentence)
{
    read_files(config, "");
    assert_int_equal(make(profile), -EINVAL);
    assert_string_equal(error.text, sentence);
}

static int release(void **state UNUSED)
{
    aws_files_release(&files);
    return 0;
}

static void test_static(void **state UNUSED)
{
    read_files("[default]\naws_access_key_id = c\naws_secret_access_key = cs\n"
               "aws_session_token = ct\n[profile a]\naws_access_key_id = pc\n"
               "aws_secret_access_key = ps\naws_session_token = pt\n",
               "[a]\naws_access_key_id = k\naws_secret_access_key = s\n");
    assert_int_equal(make("default"), 0);
    assert_int_equal(plan.base, AWS_BASE_STATIC);
    assert_string_equal(plan.id, "c");
    assert_string_equal(plan.token, "ct");
    /* Of the credentials file alone: a token of the other would not fit. */
    assert_int_equal(make("a"), 0);
    assert_string_equal(plan.id, "k");
    assert_string_equal(plan.secret, "s");
    assert_null(plan.token);
    assert_int_equal(plan.n_roles, 0);
}

static void test_default_sections(void **state UNUSED)
{
    read_files("[default]\nregion = old\n[profile default]\nregion = new\n", "");
    assert_string_equal(aws_profile_get(&files, "default", "region"), "new");
    read_files("[a]\nregion = x\n", "[default]\nregion = y\n");
    assert_false(aws_profile_has(&files, "a"));
    assert_true(aws_profile_has(&files, "default"));
}

static void test_no_profile(void **state UNUSED)
{
    read_files("", "");
    assert_int_equal(make("default"), -ENOENT);
    assert_int_equal(make("work"), -EINVAL);
    assert_string_equal(
        error.text, "there is no profile 'work' in the config and credentials files");
    read_files("[default]\nregion = eu-west-1\n", "");
    assert_int_equal(make("default"), -ENOENT);
    assert_string_equal(error.text, "profile default holds no key");
}

static void test_chain(void **state UNUSED)
{
    read_files("[profile far]\nrole_arn = FAR\nsource_profile = middle\n"
               "duration_seconds = 3600\nregion = r\n"
               "[profile middle]\nrole_arn = MIDDLE\nsource_profile = people\n"
               "external_id = x\nrole_session_name = me\n",
               "[people]\naws_access_key_id = k\naws_secret_access_key = s\n");
    assert_int_equal(make("far"), 0);
    assert_int_equal(plan.base, AWS_BASE_STATIC);
    assert_int_equal(plan.n_roles, 2);
    assert_string_equal(plan.roles[0].arn, "MIDDLE");
    assert_string_equal(plan.roles[0].external_id, "x");
    assert_string_equal(plan.roles[0].session_name, "me");
    assert_string_equal(plan.roles[1].arn, "FAR");
    assert_int_equal(plan.roles[1].duration_s, 3600);
    assert_string_equal(plan.roles[1].region, "r");
    assert_null(plan.roles[1].external_id);
}

static void test_own_source(void **state UNUSED)
{
    read_files("[profile a]\nrole_arn = A\nsource_profile = a\n",
               "[a]\naws_access_key_id = k\naws_secret_access_key = s\n");
    assert_int_equal(make("a"), 0);
    assert_int_equal(plan.n_roles, 1);
    assert_string_equal(plan.id, "k");
}

static void test_other_bases(void **state UNUSED)
{
    read_files("[profile p]\ncredential_process = /bin/give \"a b\"\n"
               "[profile w]\nrole_arn = W\nweb_identity_token_file = /token\n"
               "[profile e]\nrole_arn = E\ncredential_source = Environment\n"
               "[profile c]\nrole_arn = C\ncredential_source = EcsContainer\n"
               "[profile i]\nrole_arn = I\ncredential_source = Ec2InstanceMetadata\n"
               "[profile u]\nrole_arn = U\nsource_profile = w\n",
               "");
    assert_int_equal(make("p"), 0);
    assert_string_equal(plan.command, "/bin/give \"a b\"");
    assert_int_equal(make("w"), 0);
    assert_int_equal(plan.base, AWS_BASE_WEB_IDENTITY);
    assert_string_equal(plan.token_file, "/token");
    assert_string_equal(plan.roles[0].arn, "W");
    assert_int_equal(make("u"), 0);
    assert_int_equal(plan.base, AWS_BASE_WEB_IDENTITY);
    assert_string_equal(plan.roles[0].arn, "W");
    assert_string_equal(plan.roles[1].arn, "U");
    assert_int_equal(make("e"), 0);
    assert_int_equal(plan.base, AWS_BASE_ENVIRONMENT);
    assert_int_equal(make("c"), 0);
    assert_int_equal(plan.base, AWS_BASE_CONTAINER);
    assert_int_equal(make("i"), 0);
    assert_int_equal(plan.base, AWS_BASE_INSTANCE);
}

static void test_what_cannot_be_followed(void **state UNUSED)
{
    assert_bad("[profile a]\naws_access_key_id = k\n", "a",
               "profile a has an aws_access_key_id without aws_secret_access_key");
    assert_bad("[profile a]\nrole_arn = A\n", "a",
               "profile a has a role_arn: say with what it is assumed, by "
               "source_profile or credential_source");
    assert_bad("[profile a]\nrole_arn = A\nsource_profile = b\n", "a",
               "profile a: there is no source_profile 'b'");
    assert_bad("[profile a]\nrole_arn = A\nsource_profile = b\n[profile b]\nregion=x\n",
               "a", "profile b is a source_profile and holds no key");
    assert_bad("[profile a]\nrole_arn = A\nsource_profile = b\n"
               "[profile b]\nrole_arn = B\nsource_profile = a\n",
               "a", "profile a is, by source_profile, its own source");
    assert_bad("[profile a]\nrole_arn = A\nsource_profile = a\ncredential_source = x\n",
               "a",
               "profile a has both source_profile and credential_source: keep one");
    assert_bad(
        "[profile a]\nrole_arn = A\ncredential_source = moon\n", "a",
        "profile a has a credential_source that is not Environment, EcsContainer "
        "or Ec2InstanceMetadata");
    assert_bad("[profile a]\nrole_arn = A\nsource_profile = a\nduration_seconds = 9h\n",
               "a", "profile a has a duration_seconds that is not 900 to 43200");
    assert_bad("[profile a]\nrole_arn = A\nsource_profile = a\nmfa_serial = m\n", "a",
               "profile a asks for a code of an MFA device, which a node cannot: use a "
               "role without mfa_serial");
    assert_bad("[profile a]\nsso_session = s\n", "a",
               "profile a signs in by a browser, which a node cannot: name a profile "
               "with 'credential_process = aws configure export-credentials --format "
               "process --profile <this one>'");
}

static void test_too_many_roles(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    for (int i = 0; i <= AWS_ROLES_MAX; i++)
        buffer_printf(&b, "[profile p%d]\nrole_arn = R\nsource_profile = p%d\n", i,
                      i + 1);
    buffer_printf(&b, "[profile p%d]\naws_access_key_id=k\naws_secret_access_key=s\n",
                  AWS_ROLES_MAX + 1);
    read_files(buffer_text(&b), "");
    assert_int_equal(make("p0"), -EINVAL);
    assert_non_null(strstr(error.text, "too many"));
    assert_int_equal(make("p1"), 0);
    assert_int_equal(plan.n_roles, AWS_ROLES_MAX);
}

static void test_endpoint(void **state UNUSED)
{
    read_files("[profile a]\nendpoint_url = U\nservices = mine\ns3 =\n"
               "  addressing_style = path\n"
               "[services mine]\ns3 =\n  endpoint_url = S\n",
               "");
    assert_string_equal(aws_profile_endpoint(&files, "a", "s3"), "S");
    assert_string_equal(aws_profile_endpoint(&files, "a", "sts"), "U");
    assert_null(aws_profile_endpoint(&files, "b", "sts"));
    assert_string_equal(aws_profile_get(&files, "a", "s3.addressing_style"), "path");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_static, release),
        cmocka_unit_test_teardown(test_default_sections, release),
        cmocka_unit_test_teardown(test_no_profile, release),
        cmocka_unit_test_teardown(test_chain, release),
        cmocka_unit_test_teardown(test_own_source, release),
        cmocka_unit_test_teardown(test_other_bases, release),
        cmocka_unit_test_teardown(test_what_cannot_be_followed, release),
        cmocka_unit_test_teardown(test_too_many_roles, release),
        cmocka_unit_test_teardown(test_endpoint, release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
