/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of an instance, of a container and of a process: a stand-in answers, which
 * tests/counterparts/metadata_server.py describes. */
#include "tests/cloud/aws_kit.h"

static void use_instance(const char *path)
{
    char url[256];

    kit_variable("AWS_EC2_METADATA_DISABLED", NULL);
    snprintf(url, sizeof(url), "%s%s", kit_given("MESH_TEST_METADATA_ENDPOINT"), path);
    kit_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
}

static void use_container(const char *path)
{
    char url[256];

    snprintf(url, sizeof(url), "%s%s", kit_given("MESH_TEST_METADATA_ENDPOINT"), path);
    kit_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
}

static void test_nowhere(void **state)
{
    struct kit *k = *state;
    const char *why = kit_ask(k, NULL);

    assert_int_equal(k->status, -ENOENT);
    assert_says(why, "no key of AWS: AWS_ACCESS_KEY_ID is not set; ");
    assert_says(why, "AWS_WEB_IDENTITY_TOKEN_FILE is not set; ");
    assert_says(why, "there is no profile 'default'");
    assert_says(why, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    assert_says(why, "AWS_EC2_METADATA_DISABLED is set");
}

static void test_instance(void **state)
{
    struct kit *k = *state;

    /* A proxy of the environment would not be this machine. */
    kit_variable("http_proxy", "http://127.0.0.1:9");
    use_instance("/instance/");
    assert_string_equal(kit_ask(k, NULL), "");
    kit_variable("http_proxy", NULL);
    assert_string_equal(k->key.from, "instance");
    assert_int_equal(strncmp(k->key.id, "ASIAINSTANCE", 12), 0);
    assert_non_null(k->key.token);
    assert_true(k->key.expires_s > 0);
    assert_false(k->key.is_static);
}

static void test_instance_without_role(void **state)
{
    struct kit *k = *state;

    use_instance("/bare");
    assert_says(kit_ask(k, NULL), "this instance has no role");
    assert_int_equal(k->status, -ENOENT);
    use_instance("/v1");
    assert_says(kit_ask(k, NULL), "there is no IMDSv2 here");
    use_instance("/denying");
    assert_says(kit_ask(k, NULL), "instance: it answers 403 when a token is asked for");
    assert_int_equal(k->status, -EACCES);
}

static void test_no_instance(void **state)
{
    struct kit *k = *state;

    kit_variable("AWS_EC2_METADATA_DISABLED", NULL);
    kit_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    assert_says(kit_ask(k, NULL), "no instance's metadata answers");
    assert_int_equal(k->status, -ENOENT);
}

static void test_container(void **state)
{
    struct kit *k = *state;
    char path[128];

    use_container("/container/keys");
    assert_says(kit_ask(k, NULL), "container: it answers 401 Unauthorized: say who");
    kit_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN",
                 kit_given("MESH_TEST_METADATA_TOKEN"));
    assert_string_equal(kit_ask(k, NULL), "");
    assert_string_equal(k->key.from, "container");
    assert_int_equal(strncmp(k->key.id, "ASIACONTAINER", 13), 0);
    /* The file goes before the variable. */
    kit_path(k, "token", path);
    kit_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path);
    assert_says(kit_ask(k, NULL), "cannot be read");
    assert_int_equal(k->status, -EACCES);
    kit_write(k, "token", "another");
    assert_says(kit_ask(k, NULL), "container: it answers 401");
    kit_write(k, "token", kit_given("MESH_TEST_METADATA_TOKEN"));
    assert_string_equal(kit_ask(k, NULL), "");
    kit_write(k, "token", "two\r\nX-Header: lines");
    assert_says(kit_ask(k, NULL), "is not one line");
}

static void test_container_refuses(void **state)
{
    struct kit *k = *state;

    kit_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN",
                 kit_given("MESH_TEST_METADATA_TOKEN"));
    use_container("/container/refusing");
    assert_says(kit_ask(k, NULL), "it answers 403 AccessDenied: no role is attached");
    use_container("/container/garbage");
    assert_says(kit_ask(k, NULL), "something that is not a JSON object");
    assert_null(strstr(k->error.text, "secret"));
    kit_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/keys");
    assert_says(kit_ask(k, NULL), "use https://");
    kit_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@192.0.2.1/keys");
    assert_says(kit_ask(k, NULL), "does not begin with /");
}

/* What lives shortly is given for want of a better one, and asked for again. */
static void test_short(void **state)
{
    struct kit *k = *state;

    kit_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN",
                 kit_given("MESH_TEST_METADATA_TOKEN"));
    use_container("/container/short");
    assert_string_equal(kit_ask(k, NULL), "");
    assert_int_equal(strncmp(k->key.id, "ASIASHORT", 9), 0);
}

static void test_credential_source(void **state)
{
    struct kit *k = *state;

    use_instance("/instance");
    kit_write(k, "config",
              "[default]\nrole_arn = arn:aws:iam::1:role/r\n"
              "credential_source = Ec2InstanceMetadata\nendpoint_url = "
              "http://127.0.0.1:1\n");
    /* The instance's key is there; STS is not. */
    assert_says(kit_ask(k, NULL), "role arn:aws:iam::1:role/r: STS: ");
    kit_write(k, "config",
              "[default]\nrole_arn = arn:aws:iam::1:role/r\n"
              "credential_source = EcsContainer\n");
    assert_says(kit_ask(k, NULL),
                "profile default: AWS_CONTAINER_CREDENTIALS_FULL_URI");
    assert_int_equal(k->status, -EACCES);
}

/* ---- a process ---- */

static void use_process(struct kit *k, const char *command)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    buffer_printf(&b, "[default]\ncredential_process = %s\n", command);
    kit_write(k, "config", buffer_text(&b));
}

static void test_process(void **state)
{
    struct kit *k = *state;

    use_process(k, "printf '{\"Version\": 1, \"AccessKeyId\": \"%s\", "
                   "\"SecretAccessKey\": \"s\"}' \"my id\"");
    assert_string_equal(kit_ask(k, NULL), "");
    assert_string_equal(k->key.id, "my id");
    assert_string_equal(k->key.from, "profile default");
    assert_false(k->key.is_static);
}

static void test_process_fails(void **state)
{
    struct kit *k = *state;

    use_process(k, "sh -c 'echo secret; exit 7'");
    assert_string_equal(kit_ask(k, NULL),
                        "profile default: credential_process ended with status 7");
    use_process(k, "sh -c 'kill -TERM $$'");
    assert_says(kit_ask(k, NULL), "ended with signal 15");
    use_process(k, "echo secret");
    assert_says(kit_ask(k, NULL), "gives something that is not a JSON object");
    assert_null(strstr(k->error.text, "secret"));
    use_process(k, "echo '{\"Version\": 2}'");
    assert_says(kit_ask(k, NULL), "another \"Version\" than 1");
    use_process(k, "head -c 70000 /dev/zero");
    assert_says(kit_ask(k, NULL), "prints more than 64 KiB");
    use_process(k, "/nowhere/at/all");
    assert_says(kit_ask(k, NULL), "'/nowhere/at/all' cannot be started");
    assert_int_equal(k->status, -EACCES);
    use_process(k, "echo 'open");
    assert_says(kit_ask(k, NULL), "a quote that does not end");
}

static void test_process_is_left(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .profile = "default" };

    use_process(k, "sleep 600");
    assert_int_equal(aws_credentials_open(k->http, &k->loop, &o, &k->credentials,
                                          &k->error),
                     0);
    credentials_get(k->credentials, kit_got, k);
    kit_drop(k);
    assert_int_equal(k->status, -ECANCELED);
    /* kit_close() waits for the loop: it ends, as the process was ended. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nowhere, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_instance, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_instance_without_role, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(test_no_instance, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_container, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_container_refuses, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_short, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_credential_source, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_process, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_process_fails, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_process_is_left, kit_open, kit_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
