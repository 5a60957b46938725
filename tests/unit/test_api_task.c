/* SPDX-License-Identifier: Apache-2.0 */
/* What a task asks. */
#include "tests/unit/api_kit.h"

static void a_task_reads_what_was_before_it(void **state)
{
    struct artifact x = { .name = (char *)"x",
                          .type = (char *)"json",
                          .encoding = ENCODING_JSON,
                          .size = 8,
                          .id = digest_memory("[1, \"a\"]", 8),
                          .inline_data = (uint8_t *)"[1, \"a\"]" };
    struct attempt_record a = { .run = make_run(1),
                                .task = { .step = 0 },
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .outputs = &x,
                                .n_outputs = 1,
                                .has_width = true,
                                .width = 2 };

    (void)state;
    make_task();
    put_attempt(&a);
    ask_task("GET /v1/task/artifacts/x", NULL);
    expect_status(200);
    assert_string_equal(body_of_answer(), "[1, \"a\"]");
    ask_task("GET /v1/task/artifacts/x?from=start", NULL);
    expect_status(200);
    ask_task("GET /v1/task/artifacts/x?from=nobody", NULL);
    expect_status(404);
    ask_task("GET /v1/task/artifacts/nothing", NULL);
    expect_status(404);
    ask_task("GET /v1/task/input", NULL);
    assert_string_equal(body_of_answer(), "bb");
    ask_task("GET /v1/task/foreach", NULL);
    assert_string_equal(body_of_answer(),
                        "[{\"index\":1,\"width\":2,\"item\":\"bb\"}]");
    ask_task("GET /v1/task/parameters/alpha", NULL);
    assert_string_equal(body_of_answer(), "0.5");
    ask_task("GET /v1/task/parameters/beta", NULL);
    expect_status(404);
    fake.task = (struct task_id){ .step = 2 };
    ask_task("GET /v1/task/input", NULL);
    expect_status(404);
    ask_task("GET /v1/task/inputs", NULL);
    expect_text(
        "{\"step\":\"fit\",\"index\":0,\"task\":\"0\",\"attempt\":1,\"ok\":true,"
        "\"artifacts\":{\"model\":{");
    ask_task("GET /v1/task/artifacts/model?from=fit&index=0", NULL);
    assert_string_equal(body_of_answer(), "hello");
}

static void a_task_puts_what_it_makes(void **state)
{
    char path[128], text[16] = "";
    int fd;

    (void)state;
    make_task();
    ask_task("PUT /v1/task/artifacts/y?type=json", "{\"a\": 1}");
    expect_status(204);
    assert_string_equal(fake.output_type, "y=json");
    snprintf(path, sizeof(path), "%s/y", fake.out_dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text)), 8);
    assert_string_equal(text, "{\"a\": 1}");
    close(fd);
    ask_task("PUT /v1/task/artifacts/empty", "");
    expect_status(204);
    ask_task("PUT /v1/task/artifacts/y?type=json", "{");
    expect_status(400);
    ask_task("PUT /v1/task/artifacts/y?type=A%20b", "{");
    expect_status(400);
    ask_task("PUT /v1/task/artifacts/..", "x");
    expect_status(400);
    ask_task("PUT /v1/task/artifacts/a%2fb", "x");
    expect_status(404);
}

static void a_task_chooses_its_branch(void **state)
{
    (void)state;
    make_task();
    ask_task("PUT /v1/task/next?case=good", "");
    expect_status(204);
    ask_task("PUT /v1/task/next?case=bad", "");
    expect_status(400);
    ask_task("PUT /v1/task/next", "");
    expect_status(400);
}

/* The head is believed, and then the token is nobody's any more. */
static void end_in_the_middle(const char *line)
{
    CLEANUP(buffer_release) struct buffer head = BUFFER_INIT;
    int fd = dial(task_path);

    make_task();
    buffer_printf(&head,
                  "%s HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n"
                  "Authorization: Bearer sesame\r\nExpect: 100-continue\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n",
                  line);
    send_text(fd, buffer_text(&head));
    buffer_clear(&answer);
    receive(fd, "100 Continue", &answer);
    strcpy(fake.token, "another");
    send_text(fd, "0\r\n\r\n");
    buffer_clear(&answer);
    receive(fd, NULL, &answer);
    close(fd);
}

static void a_request_does_not_outlive_its_attempt(void **state)
{
    (void)state;
    end_in_the_middle("PUT /v1/task/next?case=good");
    expect_status(403);
    assert_string_equal(fake.chosen, "");
    end_in_the_middle("GET /v1/task/parameters/alpha");
    expect_status(403);
    end_in_the_middle("PUT /v1/task/artifacts/late");
    expect_status(403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_task_reads_what_was_before_it),
        CASE(a_task_puts_what_it_makes),
        CASE(a_task_chooses_its_branch),
        CASE(a_request_does_not_outlive_its_attempt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
