/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be of the mesh, as programs say it. */
#include "tests/unit/api_kit.h"

static void a_token_is_made(void **state)
{
    (void)state;
    post("POST /v1/mesh/invitations",
         "{\"roles\": [\"worker\", \"home\"], \"uses\": 3, \"expires_in_s\": 60}");
    expect_status(201);
    expect_text("\"token\":\"mesh1-");
    expect_text("\"roles\":[\"worker\",\"home\"],\"uses\":3,"
                "\"expires\":\"1970-01-01T00:01:00.000000Z\"");
    assert_int_equal(fake.invited.roles, ROLE_WORKER | ROLE_HOME);
    assert_int_equal(fake.invited.uses, 3);
    assert_int_equal(fake.invited.expires_in_s, 60);
}

static void what_is_no_invitation_is_refused(void **state)
{
    static const char *const bad[] = {
        "{\"roles\": [], \"uses\": 1, \"expires_in_s\": 1}",
        "{\"roles\": [\"king\"], \"uses\": 1, \"expires_in_s\": 1}",
        "{\"roles\": [\"home\", \"home\"], \"uses\": 1, \"expires_in_s\": 1}",
        "{\"roles\": \"home\", \"uses\": 1, \"expires_in_s\": 1}",
        "{\"roles\": [1], \"uses\": 1, \"expires_in_s\": 1}",
        "{\"roles\": [\"home\"], \"uses\": -1, \"expires_in_s\": 1}",
        "{\"roles\": [\"home\"], \"uses\": 1}",
        "{\"roles\": [\"home\"], \"uses\": 1, \"expires_in_s\": 1, \"x\": 1}",
        "[]",
        "{",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        post("POST /v1/mesh/invitations", bad[i]);
        expect_status(400);
    }
}

static void what_the_identity_refuses_is_told(void **state)
{
    static const struct {
        int error, status;
    } cases[] = { { -EINVAL, 400 }, { -EACCES, 403 }, { -ENOTSUP, 409 },
                  { -ENOSPC, 409 }, { -EEXIST, 409 }, { -EIO, 500 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        fake.identity_error = cases[i].error;
        post("POST /v1/mesh/invitations",
             "{\"roles\": [\"home\"], \"uses\": 1, \"expires_in_s\": 1}");
        expect_status(cases[i].status);
        expect_text("refused by the test");
        post("POST /v1/mesh/revocations",
             "{\"node\": \"000102030405060708090a0b0c0d0e0f\"}");
        expect_status(cases[i].status);
    }
}

static void what_the_mesh_refuses_is_told(void **state)
{
    (void)state;
    fake.invite_error = -EHOSTUNREACH;
    post("POST /v1/mesh/invitations",
         "{\"roles\": [\"home\"], \"uses\": 1, \"expires_in_s\": 1}");
    expect_status(503);
    expect_text("refused by the mesh");
}

static void a_node_is_shut_out(void **state)
{
    (void)state;
    post("POST /v1/mesh/revocations",
         "{\"node\": \"000102030405060708090a0b0c0d0e0f\"}");
    expect_status(201);
    expect_text("{\"node\":\"000102030405060708090a0b0c0d0e0f\"}");
    assert_int_equal(fake.revoked.bytes[15], 15);
    post("POST /v1/mesh/revocations", "{\"node\": \"nobody\"}");
    expect_status(404);
    post("POST /v1/mesh/revocations", "{\"node\": 7}");
    expect_status(400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_token_is_made),
        CASE(what_is_no_invitation_is_refused),
        CASE(what_the_identity_refuses_is_told),
        CASE(what_the_mesh_refuses_is_told),
        CASE(a_node_is_shut_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
