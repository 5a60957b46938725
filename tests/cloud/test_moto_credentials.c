/* SPDX-License-Identifier: Apache-2.0 */
/* Roles by the STS of moto, which checks signatures, policies and who is trusted;
 * tests/counterparts/moto_server.py says who is there. */
#include "tests/cloud/aws_kit.h"

#include <time.h>

#include "cloud/aws_source.h"

#define ROLE(name) "arn:aws:iam::123456789012:role/" name

static void give_key(const char *secret)
{
    kit_variable("AWS_ENDPOINT_URL_STS", kit_given("MESH_TEST_AWS_ENDPOINT"));
    kit_variable("AWS_REGION", "eu-west-1");
    kit_variable("AWS_ACCESS_KEY_ID", kit_given("MESH_TEST_AWS_ID"));
    kit_variable("AWS_SECRET_ACCESS_KEY", secret);
}

static void whole(void *arg, int status, const struct http_answer *answer,
                  const struct error *error UNUSED)
{
    struct kit *k = arg;

    k->status = status < 0 ? status : answer->code;
    snprintf(k->error.text, sizeof(k->error.text), "%s",
             status < 0 ? "" : buffer_text(&answer->body));
    k->is_answered = true;
}

/* Who STS thinks has the key that was found. */
static void assert_is(struct kit *k, const char *arn)
{
    const struct aws_asked asked = {
        .method = "POST",
        .url = kit_given("MESH_TEST_AWS_ENDPOINT"),
        .headers = { { "Content-Type", "application/x-www-form-urlencoded" } },
        .body = "Action=GetCallerIdentity&Version=2011-06-15",
        .key = &k->key,
        .region = "eu-west-1",
        .service = "sts"
    };
    struct aws_ask *ask;

    k->is_answered = false;
    assert_int_equal(aws_ask_start(k->http, &asked, whole, k, &ask), 0);
    while (!k->is_answered)
        uv_run(&k->loop, UV_RUN_ONCE);
    assert_int_equal(k->status, 200);
    assert_says(k->error.text, arn);
}

static void test_environment(void **state)
{
    struct kit *k = *state;

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    assert_string_equal(kit_ask(k, NULL), "");
    assert_string_equal(k->key.from, "environment");
    assert_true(k->key.is_static);
    assert_is(k, ":user/mesh<");
}

static void test_role_of_options(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .role_arn = ROLE("middle"),
                                   .session_name = "night",
                                   .duration_s = 900 };

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    assert_string_equal(kit_ask(k, &o), "");
    assert_string_equal(k->key.from, "role " ROLE("middle"));
    assert_false(k->key.is_static);
    assert_non_null(k->key.token);
    /* A quarter of an hour, give or take how long this takes. */
    assert_in_range(k->key.expires_s, (uint64_t)time(NULL) + 600,
                    (uint64_t)time(NULL) + 900);
    assert_is(k, "assumed-role/middle/night");
}

static void test_denied(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .role_arn = ROLE("closed") };
    const char *why;

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    why = kit_ask(k, &o);
    assert_int_equal(k->status, -EACCES);
    assert_says(why, "role " ROLE("closed") ": STS says AccessDenied: ");
    assert_says(why, "the role's trust policy and the user's own must allow");
    assert_says(why, "request id ");
}

/* moto checks the one that is said; one that is missing it lets pass. */
static void test_external_id(void **state)
{
    struct kit *k = *state;
    struct aws_options o = { .role_arn = ROLE("guarded"),
                             .external_id = "open-sesame" };

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    assert_string_equal(kit_ask(k, &o), "");
    o.external_id = "open-barley";
    assert_says(kit_ask(k, &o), "AccessDenied");
}

static void test_wrong_secret(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .role_arn = ROLE("middle") };
    const char *why;

    give_key("not-the-secret");
    why = kit_ask(k, &o);
    assert_int_equal(k->status, -EACCES);
    assert_says(why, "SignatureDoesNotMatch");
    assert_says(why, "the secret key is not that of the key id");
    assert_null(strstr(why, "not-the-secret"));
}

static void test_unknown_key(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .role_arn = ROLE("middle") };

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    kit_variable("AWS_ACCESS_KEY_ID", "AKIANOBODYATALL00001");
    assert_says(kit_ask(k, &o), "InvalidClientTokenId");
    assert_int_equal(k->status, -EACCES);
}

/* The role far trusts only who has assumed middle, by the session's name that middle's
 * profile gives. */
static void write_chain(struct kit *k, const char *secret)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    buffer_printf(&b, "[people]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
                  kit_given("MESH_TEST_AWS_ID"), secret);
    kit_write(k, "credentials", buffer_text(&b));
    buffer_clear(&b);
    buffer_printf(
        &b,
        "[profile middle]\nrole_arn = " ROLE(
            "middle") "\nsource_profile = people\n"
                      "role_session_name = mesh\n"
                      "[profile far]\nrole_arn = " ROLE(
                          "far") "\nsource_profile = middle\n"
                                 "role_session_name = afar\n"
                                 "services = here\nregion = eu-west-1\n"
                                 "[services here]\nsts =\n  endpoint_url = %s\n",
        kit_given("MESH_TEST_AWS_ENDPOINT"));
    kit_write(k, "config", buffer_text(&b));
}

static void test_chained_profiles(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .profile = "far" };

    write_chain(k, kit_given("MESH_TEST_AWS_SECRET"));
    assert_string_equal(kit_ask(k, &o), "");
    assert_string_equal(k->key.from, "profile far");
    assert_is(k, "assumed-role/far/afar");
    /* So does the variable. */
    kit_variable("AWS_PROFILE", "far");
    assert_string_equal(kit_ask(k, NULL), "");
    assert_is(k, "assumed-role/far/afar");
}

static void test_broken_chain(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .profile = "far" };

    write_chain(k, "another");
    assert_says(kit_ask(k, &o),
                "role " ROLE("middle") ": STS says SignatureDoesNotMatch");
    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    kit_variable("AWS_PROFILE", "far");
    assert_string_equal(kit_ask(k, NULL), ""); /* the environment's key goes before */
    assert_is(k, ":user/mesh<");
}

static void on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void pause_ms(struct kit *k, uint64_t ms)
{
    bool is_over = false;
    uv_timer_t timer = { .data = &is_over };

    assert_int_equal(uv_timer_init(&k->loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, on_timer, ms, 0), 0);
    while (!is_over)
        uv_run(&k->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&k->loop, UV_RUN_NOWAIT);
}

/* Somebody puts another key in the file; nothing is started anew. */
static void test_replaced_key(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .profile = "people", .role_arn = ROLE("middle") };

    kit_variable("AWS_ENDPOINT_URL_STS", kit_given("MESH_TEST_AWS_ENDPOINT"));
    write_chain(k, "old");
    assert_says(kit_ask(k, &o), "SignatureDoesNotMatch");
    write_chain(k, kit_given("MESH_TEST_AWS_SECRET"));
    for (int i = 0; i < 600 && k->status != 0; i++) {
        pause_ms(k, 100);
        kit_ask_again(k);
    }
    assert_int_equal(k->status, 0);
}

static void test_web_identity(void **state)
{
    struct kit *k = *state;
    char path[128];

    kit_variable("AWS_ENDPOINT_URL", kit_given("MESH_TEST_AWS_ENDPOINT"));
    kit_path(k, "token", path);
    kit_write(k, "token", kit_given("MESH_TEST_AWS_WEB_TOKEN"));
    kit_variable("AWS_WEB_IDENTITY_TOKEN_FILE", path);
    assert_says(kit_ask(k, NULL), "AWS_ROLE_ARN is not");
    kit_variable("AWS_ROLE_ARN", ROLE("middle"));
    kit_variable("AWS_ROLE_SESSION_NAME", "pod");
    assert_string_equal(kit_ask(k, NULL), "");
    assert_string_equal(k->key.from, "web identity");
    assert_is(k, "assumed-role/middle/pod");
    kit_write(k, "token", "someone.elses.token\n");
    assert_says(kit_ask(k, NULL), "InvalidIdentityToken");
    assert_null(strstr(k->error.text, "someone"));
    kit_write(k, "token", "\n");
    assert_says(kit_ask(k, NULL), "is empty");
}

static void test_not_sts(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .role_arn = ROLE("middle") };
    char url[256];

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    snprintf(url, sizeof(url), "%s/moto-api/nothing",
             kit_given("MESH_TEST_AWS_ENDPOINT"));
    kit_variable("AWS_ENDPOINT_URL_STS", url);
    assert_says(kit_ask(k, &o), "AWS_ENDPOINT_URL_STS");
}

/* The engine still tells of a call whose asker is gone. */
static void test_freed_while_it_asks(void **state)
{
    struct kit *k = *state;
    const struct aws_options o = { .role_arn = ROLE("middle") };

    give_key(kit_given("MESH_TEST_AWS_SECRET"));
    assert_int_equal(aws_credentials_open(k->http, &k->loop, &o, &k->credentials,
                                          &k->error),
                     0);
    k->is_answered = false;
    credentials_get(k->credentials, kit_got, k);
    assert_false(k->is_answered);
    kit_drop(k);
    assert_true(k->is_answered);
    assert_int_equal(k->status, -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_environment, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_role_of_options, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_denied, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_external_id, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_wrong_secret, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_unknown_key, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_chained_profiles, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_broken_chain, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_replaced_key, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_web_identity, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_not_sts, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_freed_while_it_asks, kit_open, kit_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
