/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask, what is malformed, and the end of the interface. */
#include "tests/unit/api_kit.h"

/* ---- who may ask ---- */

static void a_task_is_refused_on_the_users_socket(void **state)
{
    (void)state;
    fake.is_task_process = true;
    ask("GET /v1/node");
    expect_status(403);
    expect_text("a task may not");
}

static void the_task_socket_wants_a_token(void **state)
{
    (void)state;
    make_task();
    ask_at(task_path, "GET /v1/task/input", "", NULL, 0);
    expect_status(401);
    ask_at(task_path, "GET /v1/task/input", "Authorization: Bearer x\r\n", NULL, 0);
    expect_status(401);
    ask_task("GET /v1/task/input", NULL);
    expect_status(200);
    ask_task("POST /v1/runs", "{}");
    expect_status(403);
    expect_text("a task may not POST /v1/runs");
    ask("GET /v1/task/input");
    expect_status(403);
}

/* ---- bad requests ---- */

static void what_does_not_exist_gets_a_hint(void **state)
{
    (void)state;
    ask("GET /v1/rums");
    expect_status(404);
    expect_text("did you mean /v1/runs?");
    ask("PUT /v1/runs");
    expect_status(405);
    expect_text("Allow: GET, HEAD, POST");
    ask("DELETE /v1/runs");
    expect_status(405);
    ask("GET /v1/runs?limt=3");
    expect_status(400);
    expect_text("there is no '?limt' here");
    ask("GET /v1/runs?limit=x");
    expect_status(400);
    ask("GET /v1/runs/99");
    expect_status(404);
    ask("GET /v1/runs/dead");
    expect_status(400);
}

static void a_body_too_large_is_refused(void **state)
{
    enum { PART = 1 << 20 };
    char *part = calloc(1, PART);
    int fd;

    (void)state;
    /* Before it is sent, when its length is told. */
    fd = dial(user_path);
    send_text(fd,
              "POST /v1/check HTTP/1.1\r\nHost: m\r\nContent-Length: 20971521\r\n\r\n");
    receive(fd, "larger than 20971520", &answer);
    expect_status(413);
    close(fd);
    /* At its end, when it is not. */
    buffer_release(&answer);
    answer = BUFFER_INIT;
    fd = dial(user_path);
    send_text(fd, "POST /v1/check HTTP/1.1\r\nHost: m\r\nConnection: close\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 21; i++) {
        send_text(fd, "100000\r\n");
        send_all(fd, part, PART);
        send_text(fd, "\r\n");
    }
    send_text(fd, "0\r\n\r\n");
    receive(fd, NULL, &answer);
    expect_status(413);
    close(fd);
    post("GET /v1/node", "x");
    expect_status(413);
    free(part);
}

static void a_bad_body_names_its_field(void **state)
{
    (void)state;
    post("POST /v1/check", "{\"flow\": 3}");
    expect_status(400);
    assert_string_equal(body_of_answer(),
                        "{\"error\":\"field 'flow' must be a string\"}");
    post("POST /v1/check", "{");
    expect_status(400);
}

/* ---- the end ---- */

/* A stream, a request whose body is on its way, one that waits for its run to be
 * durable, and one that a thread works for. */
static void stopping_leaves_nobody_hanging(void **state)
{
    int follower = follow("", ""), half = dial(user_path), waiting = dial(user_path),
        worked = dial(user_path);

    (void)state;
    fake.holds_back_event = true;
    send_text(half, "POST /v1/check HTTP/1.1\r\nHost: m\r\nContent-Length: 9\r\n\r\n{");
    send_text(waiting,
              "POST /v1/runs HTTP/1.1\r\nHost: m\r\nContent-Length: 87\r\n\r\n");
    send_text(waiting,
              "{\"flow\": \"mesh: 1\\nflow: A\\nsteps:\\n  a:\\n    run: 'true'"
              "\\n\", \"path\":    \"demo.mf\"}    ");
    while (!fake.n_submitted)
        turn(waiting, POLLIN);
    send_text(worked, "GET /v1/runs HTTP/1.1\r\nHost: m\r\n\r\n");
    mesh_http_module.stop(TAKE(api));
    receive(follower, NULL, &answer);
    receive(half, NULL, &answer);
    receive(waiting, NULL, &answer);
    receive(worked, NULL, &answer);
    close(follower);
    close(half);
    close(waiting);
    close(worked);
}

static void an_idle_interface_has_no_timer(void **state)
{
    (void)state;
    ask("GET /v1/node");
    close(follow("", ""));
    /* The stream's end is seen at the next thing that is written to it. */
    publish("a", 1);
    while (mesh_http_module.clients(api))
        turn(user_fd, POLLIN);
    assert_int_equal(uv_backend_timeout(&fake.loop), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_task_is_refused_on_the_users_socket),
        CASE(the_task_socket_wants_a_token),
        CASE(what_does_not_exist_gets_a_hint),
        CASE(a_body_too_large_is_refused),
        CASE(a_bad_body_names_its_field),
        CASE(stopping_leaves_nobody_hanging),
        CASE(an_idle_interface_has_no_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
