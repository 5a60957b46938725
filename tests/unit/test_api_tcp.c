/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP door: names, pages of elsewhere, tokens and their roles, slow clients. */
#include "tests/unit/api_kit.h"

#include "node/api/auth.h"
#include "node/api/connection.h"
#include "node/api/tokens.h"

static int dial_tcp(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)atoi(strrchr(listened, ':') + 1));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* `headers` has the Host as well. */
static void ask_raw(const char *line, const char *headers, const char *body)
{
    struct buffer request = BUFFER_INIT;
    int fd = dial_tcp();

    buffer_release(&answer);
    answer = BUFFER_INIT;
    buffer_printf(&request, "%s HTTP/1.1\r\nConnection: close\r\n%s", line, headers);
    if (body)
        buffer_printf(&request, "Content-Length: %zu\r\n", strlen(body));
    buffer_printf(&request, "\r\n%s", body ? body : "");
    send_all(fd, request.data, request.len);
    receive(fd, NULL, &answer);
    close(fd);
    buffer_release(&request);
}

static void ask_as(const char *token, const char *line, const char *body)
{
    char headers[256];

    snprintf(headers, sizeof(headers), "Host: %s\r\nAuthorization: Bearer %s\r\n",
             listened, token);
    ask_raw(line, headers, body);
}

/* The text behind `"key":"` in the answer. */
static void text_of_answer(const char *key, char *ret, size_t size)
{
    char front[64];
    const char *at;

    snprintf(front, sizeof(front), "\"%s\":\"", key);
    at = strstr(body_of_answer(), front);
    assert_non_null(at);
    at += strlen(front);
    snprintf(ret, size, "%.*s", (int)strcspn(at, "\""), at);
}

static char made[TOKEN_TEXT_SIZE], made_id[TOKEN_ID_SIZE];

static const char *make_token(const char *name, const char *role)
{
    char body[128];

    snprintf(body, sizeof(body),
             "{\"name\": \"%s\", \"role\": \"%s\", \"expires_in_s\": 60}", name, role);
    post("POST /v1/tokens", body);
    expect_status(201);
    text_of_answer("token", made, sizeof(made));
    text_of_answer("id", made_id, sizeof(made_id));
    return made;
}

static void nothing_is_told_without_a_token(void **state)
{
    char host[64];

    (void)state;
    make_token("ci", "viewer");
    snprintf(host, sizeof(host), "Host: %s\r\n", listened);
    ask_raw("GET /v1/node", host, NULL);
    expect_status(401);
    expect_text("WWW-Authenticate: Bearer");
    ask_raw("GET /v1/nothing/of/the/kind", host, NULL);
    expect_status(401);
    ask_as("mesh_wrong", "GET /v1/node", NULL);
    expect_status(401);
    expect_text("none of this node's");
    made[10] ^= 1;
    ask_as(made, "GET /v1/node", NULL);
    expect_status(401);
    made[10] ^= 1;
    ask_as(made, "GET /v1/node", NULL);
    expect_status(200);
}

static void who_did_what_is_written_down(void **state)
{
    char host[64], expected[600], user[64];

    (void)state;
    buffer_clear(&fake.audited);
    make_token("ci", "viewer");
    auth_user_name(geteuid(), user, sizeof(user));
    ask_as(made, "GET /v1/node", NULL);
    ask_as(made, "GET /v1/runs", NULL);
    ask_as(made, "POST /v1/gc", "{}");
    expect_status(403);
    ask_as(made, "GET /v1/audit", NULL);
    expect_status(403);
    snprintf(host, sizeof(host), "Host: %s\r\n", listened);
    ask_raw("POST /v1/gc", host, "{}");
    expect_status(401);
    snprintf(expected, sizeof(expected),
             "%s socket token.create done %s for ci, viewer: \n"
             "ci token login done 127.0.0.1: \n"
             "ci token gc refused /v1/gc: this takes the role operator; token 'ci' is "
             "viewer\n"
             "ci token request refused /v1/audit: this takes the role operator; token "
             "'ci' is viewer\n"
             " token request refused : there is no 'Authorization: Bearer TOKEN'\n",
             user, made_id);
    assert_string_equal(buffer_text(&fake.audited), expected);
    make_token("op", "operator");
    ask_as(made, "GET /v1/audit?user=ci&verdict=refused", NULL);
    expect_status(200);
    expect_text("\"verb\":\"gc\"");
    expect_text("\"older\":false");
    assert_null(strstr(body_of_answer(), "token.create"));
    ask_as(made, "GET /v1/audit?limit=1", NULL);
    expect_text("\"older\":true");
    ask_as(made, "GET /v1/audit?verdict=perhaps", NULL);
    expect_status(400);
    ask_as(made, "GET /v1/audit?all=perhaps", NULL);
    expect_status(400);
    ask_as(made, "GET /v1/audit/verify", NULL);
    expect_text("\"intact\":true");
}

static void a_name_that_is_not_ours_is_refused(void **state)
{
    char headers[256];

    (void)state;
    make_token("ci", "operator");
    snprintf(headers, sizeof(headers),
             "Host: evil.example:80\r\nAuthorization: Bearer %s\r\n", made);
    ask_raw("GET /v1/node", headers, NULL);
    expect_status(421);
    snprintf(headers, sizeof(headers),
             "Host: localhost:1\r\nAuthorization: Bearer %s\r\n", made);
    ask_raw("GET /v1/node", headers, NULL);
    expect_status(200);
}

static void pages_of_elsewhere_are_refused(void **state)
{
    char headers[256];

    (void)state;
    make_token("ci", "operator");
    snprintf(headers, sizeof(headers),
             "Host: %s\r\nOrigin: http://evil.example\r\nAuthorization: Bearer %s\r\n",
             listened, made);
    ask_raw("GET /v1/node", headers, NULL);
    expect_status(403);
    assert_null(strstr(buffer_text(&answer), "Access-Control"));
    snprintf(headers, sizeof(headers),
             "Host: %s\r\nOrigin: http://%s\r\nAuthorization: Bearer %s\r\n", listened,
             listened, made);
    ask_raw("GET /v1/node", headers, NULL);
    expect_status(200);
}

static void each_role_may_do_its_part(void **state)
{
    static const struct {
        const char *role;
        int look, check, upload, submit, collect, make;
    } roles[] = {
        { "viewer", 200, 200, 403, 403, 403, 403 },
        { "submitter", 200, 200, 200, 422, 403, 403 },
        { "operator", 200, 200, 200, 422, 200, 201 },
    };
    static const char token[] =
        "{\"name\": \"a\", \"role\": \"viewer\", \"expires_in_s\": 0}";

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        make_token("ci", roles[i].role);
        ask_as(made, "GET /v1/runs", NULL);
        expect_status(roles[i].look);
        ask_as(made, "POST /v1/check", "{\"flow\": \"\"}");
        expect_status(roles[i].check);
        ask_as(made, "POST /v1/blobs/missing", "{\"ids\": []}");
        expect_status(roles[i].upload);
        ask_as(made, "POST /v1/runs", "{\"flow\": \"\"}");
        expect_status(roles[i].submit);
        ask_as(made, "POST /v1/gc", "");
        expect_status(roles[i].collect);
        ask_as(made, "POST /v1/tokens", token);
        expect_status(roles[i].make);
    }
    make_token("ci", "submitter");
    ask_as(made, "GET /v1/tokens", NULL);
    expect_status(403);
    expect_text("this takes the role operator; token 'ci' is submitter");
}

static void a_submitter_ends_only_its_own_runs(void **state)
{
    (void)state;
    make_active(1); /* of ann */
    make_token("bob", "submitter");
    ask_as(made, "POST /v1/runs/1/cancel", "");
    expect_status(403);
    expect_text("belongs to 'ann'");
    assert_int_equal(fake.n_cancelled, 0);
    make_token("ann", "submitter");
    ask_as(made, "POST /v1/runs/1/cancel", "");
    expect_status(202);
    make_token("bob", "operator");
    ask_as(made, "POST /v1/runs/1/cancel", "");
    expect_status(202);
}

static void what_was_begun_with_a_revoked_token_ends(void **state)
{
    char request[256], line[64];
    int fd = dial_tcp();

    (void)state;
    make_token("ci", "viewer");
    snprintf(request, sizeof(request),
             "GET /v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
             listened, made);
    send_text(fd, request);
    buffer_release(&answer);
    answer = BUFFER_INIT;
    receive(fd, ":\n\n", &answer);
    expect_status(200);
    snprintf(line, sizeof(line), "POST /v1/tokens/%s/revoke", made_id);
    post(line, "");
    expect_status(200);
    receive(fd, NULL, &answer); /* up to its end */
    close(fd);
    ask_as(made, "GET /v1/node", NULL);
    expect_status(401);
    post(line, "");
    expect_status(404);
    ask("GET /v1/tokens");
    expect_text("{\"tokens\":[]}");
}

static void restart(int expected)
{
    struct error error = { "" };
    struct api_sockets sockets = { user_fd, task_fd, tcp_fd };

    if (api)
        mesh_http_module.stop(TAKE(api));
    assert_int_equal(mesh_http_module.start(&fake, &sockets, &api, &error), expected);
}

/* ---- the tokens of a mesh ---- */

static void ask_until(int status)
{
    do
        ask_as(made, "GET /v1/node", NULL);
    while (atoi(buffer_text(&answer) + strlen("HTTP/1.1 ")) != status);
}

static void a_token_of_a_mesh_is_asked_for_at_the_mesh(void **state)
{
    struct buffer kept;

    (void)state;
    fake.has_registers = true;
    make_token("ci", "viewer");
    expect_text("\"scope\":\"mesh\"");
    assert_non_null(strstr(buffer_text(&fake.shared), made_id));
    assert_null(strstr(buffer_text(&fake.shared), made + 5));
    ask("GET /v1/tokens");
    expect_text(made_id);
    restart(0); /* as another node would, it knows nothing yet */
    ask_as(made, "GET /v1/node", NULL);
    expect_status(200);

    kept = fake.shared; /* another node revokes it */
    fake.shared = (struct buffer)BUFFER_INIT;
    buffer_puts(&fake.shared, "{\"tokens\": []}");
    ask_until(401);
    buffer_release(&fake.shared);
    fake.shared = kept;
    ask_until(200);
    fake.register_error = -ETIMEDOUT;
    ask_until(503);
    expect_text("does not reach a majority");
    ask("GET /v1/tokens");
    expect_status(503);
    post("POST /v1/tokens", "{\"name\": \"a\", \"role\": \"viewer\", "
                            "\"expires_in_s\": 0}");
    expect_status(503);
    fake.register_error = 0;
    ask_until(200);
}

static void what_was_begun_ends_with_a_token_of_a_mesh(void **state)
{
    char request[256], line[64];
    int fd = dial_tcp();

    (void)state;
    fake.has_registers = true;
    make_token("ci", "viewer");
    snprintf(request, sizeof(request),
             "GET /v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
             listened, made);
    send_text(fd, request);
    buffer_release(&answer);
    answer = BUFFER_INIT;
    receive(fd, ":\n\n", &answer);
    buffer_release(&fake.shared); /* revoked elsewhere */
    receive(fd, NULL, &answer);   /* up to its end */
    close(fd);
    snprintf(line, sizeof(line), "POST /v1/tokens/%s/revoke", made_id);
    post(line, "");
    expect_status(404);
}

static void a_token_of_before_the_mesh_holds_where_it_was_made(void **state)
{
    char line[64];

    (void)state;
    make_token("old", "viewer");
    fake.has_registers = true;
    ask_as(made, "GET /v1/node", NULL);
    expect_status(200);
    ask("GET /v1/tokens");
    expect_text("\"scope\":\"node\"");
    snprintf(line, sizeof(line), "POST /v1/tokens/%s/revoke", made_id);
    post(line, "");
    expect_status(200);
    ask_as(made, "GET /v1/node", NULL);
    expect_status(401);
}

static void tokens_are_kept_as_hashes_that_nobody_else_reads(void **state)
{
    char path[128], text[1024] = "";
    struct stat st;
    int fd;

    (void)state;
    make_token("ci", "viewer");
    snprintf(path, sizeof(path), "%s/tokens", fake.fixture->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_non_null(strstr(text, made_id));
    assert_null(strstr(text, made + 5));
    restart(0);
    ask_as(made, "GET /v1/node", NULL);
    expect_status(200);
    chmod(path, 0640);
    restart(-EACCES);
    chmod(path, 0600);
    restart(0);
}

static void an_expired_token_opens_nothing(void **state)
{
    char path[128], text[1024] = "", *at;
    ssize_t n;
    int fd;

    (void)state;
    make_token("ci", "viewer");
    snprintf(path, sizeof(path), "%s/tokens", fake.fixture->dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    n = read(fd, text, sizeof(text) - 1);
    at = strstr(text, "\"expires_us\":") + strlen("\"expires_us\":");
    at[strspn(at, "0123456789") - 1] = '1';
    *at = '1'; /* from the 2020s to the 2000s, at the same length */
    at[1] = '0';
    assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
    close(fd);
    restart(0);
    ask_as(made, "GET /v1/node", NULL);
    expect_status(401);
    expect_text("this token has expired");
}

static void who_keeps_us_waiting_is_too_slow(void **state)
{
    struct connection c = { .since = TIME_S(100) };
    const time_us head_end = TIME_S(100 + CONNECTION_HEAD_S);

    (void)state;
    assert_false(connection_is_too_slow(&c, head_end));
    assert_true(connection_is_too_slow(&c, head_end + 1));
    c.is_body = true;
    assert_false(connection_is_too_slow(&c, head_end + TIME_MS(999)));
    assert_true(connection_is_too_slow(&c, head_end + TIME_S(2)));
    c.body_bytes = 2 * CONNECTION_BODY_RATE;
    assert_false(connection_is_too_slow(&c, head_end + TIME_S(2)));
    assert_true(connection_is_too_slow(&c, head_end + TIME_S(3)));
    c.since = 0; /* we work for it */
    assert_false(connection_is_too_slow(&c, head_end + TIME_S(9999)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_told_without_a_token),
        CASE(who_did_what_is_written_down),
        CASE(a_name_that_is_not_ours_is_refused),
        CASE(pages_of_elsewhere_are_refused),
        CASE(each_role_may_do_its_part),
        CASE(a_submitter_ends_only_its_own_runs),
        CASE(what_was_begun_with_a_revoked_token_ends),
        CASE(a_token_of_a_mesh_is_asked_for_at_the_mesh),
        CASE(what_was_begun_ends_with_a_token_of_a_mesh),
        CASE(a_token_of_before_the_mesh_holds_where_it_was_made),
        CASE(tokens_are_kept_as_hashes_that_nobody_else_reads),
        CASE(an_expired_token_opens_nothing),
        CASE(who_keeps_us_waiting_is_too_slow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
