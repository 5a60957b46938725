/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over real sockets to the whole interface, on a runtime of the test's own. */
#include "tests/unit/fake_runtime.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "flow/read.h"
#include "node/api/events.h"
#include "store/tree.h"

extern const struct api_module mesh_http_module;

static const char flow_text[] = "mesh: 1\n"
                                "flow: Demo\n"
                                "steps:\n"
                                "  start:\n"
                                "    run: 'true'\n"
                                "    foreach: {items: [a, bb]}\n"
                                "    next: fit\n"
                                "  fit:\n"
                                "    run: 'true'\n"
                                "    next: end\n"
                                "  end:\n"
                                "    join: start\n"
                                "    run: 'true'\n";

static struct api *api;
static int user_fd, task_fd;
static char user_path[96], task_path[96];

/* ---- the store's content ---- */

static void put_record(struct record_key key, struct buffer *value)
{
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len },
                                 .value = { value->data, value->len } };

    assert_int_not_equal(writer_put(fake.fixture->writer, &write, 1, true), 0);
    buffer_release(value);
}

static struct run_id make_run(uint64_t number)
{
    return (struct run_id){ .bytes = { 0xab, (uint8_t)number } };
}

static struct run_record make_record(uint64_t number, const char *flow)
{
    return (struct run_record){ .run = make_run(number),
                                .number = number,
                                .flow_name = (char *)flow,
                                .flow_path = (char *)"demo.mf",
                                .flow_text = (char *)flow_text,
                                .flow_text_len = sizeof(flow_text) - 1,
                                .user = (char *)"ann",
                                .submitted_wall = 1 };
}

static void put_run(uint64_t number, const char *flow)
{
    struct run_record record = make_record(number, flow);
    struct buffer value = BUFFER_INIT;

    assert_int_equal(run_record_encode(&record, &value), 0);
    put_record(run_key(&record.run), &value);
    buffer_append(&value, record.run.bytes, RUN_ID_SIZE);
    put_record(number_key(number), &value);
}

static void put_end(uint64_t number)
{
    struct run_end_record end = { .run = make_run(number),
                                  .outcome = RUN_OK,
                                  .started_wall = 1,
                                  .ended_wall = 2,
                                  .n_done = 4,
                                  .n_attempts = 5 };
    struct buffer value = BUFFER_INIT;

    assert_int_equal(run_end_record_encode(&end, &value), 0);
    put_record(run_end_key(&end.run), &value);
}

static void put_attempt(const struct attempt_record *a)
{
    struct buffer value = BUFFER_INIT;

    assert_int_equal(attempt_record_encode(a, &value), 0);
    put_record(attempt_key(&a->run, &a->task, a->attempt), &value);
}

static struct task_id fit(uint64_t index)
{
    return (struct task_id){ .step = 1, .depth = 1, .path = { index } };
}

/* Of run 1: fit/0 failed once, then made `model`, 5 bytes. */
static void put_fit(void)
{
    struct artifact model = { .name = (char *)"model",
                              .type = (char *)"text",
                              .encoding = ENCODING_BYTES,
                              .size = 5,
                              .id = digest_memory("hello", 5),
                              .inline_data = (uint8_t *)"hello" };
    struct buffer log = BUFFER_INIT;
    struct attempt_record a = { .run = make_run(1),
                                .task = fit(0),
                                .verdict = VERDICT_FAILED,
                                .reason = REASON_EXIT,
                                .exit_code = 3,
                                .started_wall = 1000000,
                                .ended_wall = 2000000,
                                .pid = 9 };

    log_piece_encode(LOG_STDOUT, 1, "o\xc3", 2, &log);
    log_piece_encode(LOG_STDERR, 2, "E\n", 2, &log);
    log_piece_encode(LOG_STDOUT, 3, "\xa4\xff", 2, &log);
    a.log = (struct log_ref){ .inline_data = (uint8_t *)log.data,
                              .inline_len = log.len,
                              .size = 6 };
    put_attempt(&a);
    a.attempt = 1;
    a.verdict = VERDICT_DONE;
    a.reason = REASON_OK;
    a.exit_code = 0;
    a.log = (struct log_ref){ .size = 0 };
    a.outputs = &model;
    a.n_outputs = 1;
    put_attempt(&a);
    buffer_release(&log);
}

/* ---- the sockets ---- */

static int listen_on(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int dial(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* One turn of the loop; waits for the client's socket a moment when nothing happens. */
static void turn(int fd, short events)
{
    struct pollfd p[] = { { .fd = fd, .events = events },
                          { .fd = uv_backend_fd(&fake.loop), .events = POLLIN } };

    uv_run(&fake.loop, UV_RUN_NOWAIT);
    poll(p, 2, 5);
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return; /* refused while we sent: there is an answer to read */
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
        turn(fd, POLLOUT);
    }
}

/* Reads until the other end closes, or `until` has come. */
static void receive(int fd, const char *until, struct buffer *ret)
{
    for (int turns = 0; turns < 20000; turns++) {
        char part[65536];
        ssize_t n = recv(fd, part, sizeof(part), 0);

        if (n > 0)
            buffer_append(ret, part, (size_t)n);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return;
        if (until && memmem(buffer_text(ret), ret->len, until, strlen(until)))
            return;
        if (n < 0)
            turn(fd, POLLIN);
    }
    fail_msg("no answer: %s", buffer_text(ret));
}

static struct buffer answer;

static const char *ask_at(const char *path, const char *line, const char *headers,
                          const char *body, size_t len)
{
    struct buffer request = BUFFER_INIT;
    int fd = dial(path);

    buffer_release(&answer);
    answer = BUFFER_INIT;
    buffer_printf(&request, "%s HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n%s",
                  line, headers);
    if (body)
        buffer_printf(&request, "Content-Length: %zu\r\n", len);
    buffer_puts(&request, "\r\n");
    buffer_append(&request, body, len);
    send_all(fd, request.data, request.len);
    receive(fd, NULL, &answer);
    close(fd);
    buffer_release(&request);
    return buffer_text(&answer);
}

static const char *ask(const char *line)
{
    return ask_at(user_path, line, "", NULL, 0);
}

static const char *post(const char *line, const char *body)
{
    return ask_at(user_path, line, "", body, strlen(body));
}

static const char *ask_task(const char *line, const char *body)
{
    return ask_at(task_path, line, "Authorization: Bearer sesame\r\n", body,
                  body ? strlen(body) : 0);
}

static void expect_status(int status)
{
    int got = 0;

    sscanf(buffer_text(&answer), "HTTP/1.1 %d", &got);
    if (got != status)
        fail_msg("expected %d, got: %s", status, buffer_text(&answer));
}

static const char *body_of_answer(void)
{
    const char *end = strstr(buffer_text(&answer), "\r\n\r\n");

    return end ? end + 4 : "";
}

static void expect_text(const char *text)
{
    if (!strstr(buffer_text(&answer), text))
        fail_msg("expected %s in: %s", text, buffer_text(&answer));
}

/* ---- set up ---- */

static int set_up(void **state)
{
    struct error error = { "" };
    struct diagnostics d = { .n = 0 };

    memset(&fake, 0, sizeof(fake));
    assert_int_equal(fixture_setup(state), 0);
    fake.fixture = *state;
    fake.config = (struct runtime_config){ .dir = fake.fixture->dir, .slots_max = 4 };
    fake.artifacts = (struct artifacts){ .writer = fake.fixture->writer,
                                         .blobs = fake.fixture->blobs };
    fake.feed = feed_new();
    uv_loop_init(&fake.loop);
    snprintf(user_path, sizeof(user_path), "%s/user", fake.fixture->dir);
    snprintf(task_path, sizeof(task_path), "%s/task", fake.fixture->dir);
    snprintf(fake.out_dir, sizeof(fake.out_dir), "%s/out", fake.fixture->dir);
    mkdir(fake.out_dir, 0700);
    user_fd = listen_on(user_path);
    task_fd = listen_on(task_path);
    assert_int_equal(flow_read(flow_text, sizeof(flow_text) - 1, &fake.active_flow, &d),
                     0);
    diagnostics_release(&d);
    assert_int_equal(mesh_http_module.start(&fake, user_fd, task_fd, &api, &error), 0);
    put_run(1, "Demo");
    put_fit();
    return 0;
}

static int tear_down(void **state)
{
    mesh_http_module.stop(api);
    uv_run(&fake.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fake.loop), 0);
    close(user_fd);
    close(task_fd);
    feed_free(fake.feed);
    flow_unref(fake.active_flow);
    buffer_release(&answer);
    answer = BUFFER_INIT;
    return fixture_teardown(state);
}

static void make_active(uint64_t number)
{
    fake.has_active = true;
    fake.active = make_run(number);
    fake.active_record = make_record(number, "Demo");
}

static void make_task(void)
{
    make_active(1);
    strcpy(fake.token, "sesame");
    fake.task = fit(1);
}

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
    expect_status(403);
    ask_at(task_path, "GET /v1/task/input", "Authorization: Bearer x\r\n", NULL, 0);
    expect_status(403);
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
    ask("DELETE /v1/runs/1");
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

static void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
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

/* ---- runs ---- */

static void the_node_tells_about_itself(void **state)
{
    (void)state;
    make_active(1);
    ask("GET /v1/node");
    expect_status(200);
    expect_text("\"n_running\":2,\"n_runs\":1");
    ask("HEAD /v1/node");
    expect_status(200);
    assert_string_equal(body_of_answer(), "");
}

static void runs_are_listed_newest_first(void **state)
{
    (void)state;
    for (uint64_t i = 2; i <= 5; i++)
        put_run(i, i % 2 ? "Odd" : "Even");
    put_end(3);
    make_active(5);
    ask("GET /v1/runs?flow=Odd");
    expect_status(200);
    expect_text("\"number\":5,\"flow\":\"Demo\",\"state\":\"running\"");
    expect_text("\"number\":3,\"flow\":\"Odd\",\"state\":\"ended\",\"outcome\":\"ok\"");
    assert_true(strstr(body_of_answer(), "\"number\":5")
                < strstr(body_of_answer(), "\"number\":3"));
    assert_null(strstr(body_of_answer(), "\"number\":4"));
    ask("GET /v1/runs?limit=1&before=3");
    expect_text("\"number\":2,\"flow\":\"Even\",\"state\":\"interrupted\"");
    assert_null(strstr(body_of_answer(), "\"number\":1,"));
}

static void one_run_is_told_from_the_node_or_from_the_store(void **state)
{
    (void)state;
    ask("GET /v1/runs/1");
    expect_status(200);
    expect_text("\"state\":\"interrupted\"");
    expect_text("{\"name\":\"fit\",\"known\":1,\"done\":1,");
    expect_text("\"attempts\":2");
    put_end(1);
    ask("GET /v1/runs/1");
    expect_text("\"state\":\"ended\",\"outcome\":\"ok\"");
    expect_text("\"attempts\":5");
    make_active(1);
    ask("GET /v1/runs/1");
    expect_text("\"state\":\"running\"");
    expect_text("{\"name\":\"fit\",\"known\":2,");
    expect_text("\"waits\":\"it waits\"");
}

static void a_runs_file_and_graph(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/flow");
    assert_string_equal(body_of_answer(), flow_text);
    ask("GET /v1/runs/1/graph?format=dot");
    expect_text("digraph");
    ask("GET /v1/runs/1/graph");
    expect_text("Content-Type: application/json");
    ask("GET /v1/runs/1/graph?format=svg");
    expect_status(400);
}

static void a_run_is_cancelled(void **state)
{
    (void)state;
    post("POST /v1/runs/1/cancel", "");
    expect_status(409);
    make_active(1);
    post("POST /v1/runs/1/cancel", "{}");
    expect_status(202);
    assert_int_equal(fake.n_cancelled, 2);
}

/* ---- submitting ---- */

static const char submission[] =
    "{\"flow\": \"mesh: 1\\nflow: A\\nsteps:\\n  start:\\n    run: 'true'\\n    next: "
    "end\\n  end:\\n    run: 'true'\\n\", \"path\": \"demo.mf\"}";

static void a_submission_is_answered_once_durable(void **state)
{
    int fd = dial(user_path);
    char head[256];

    (void)state;
    fake.holds_back_event = true;
    snprintf(head, sizeof(head),
             "POST /v1/runs HTTP/1.1\r\nHost: m\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(submission));
    send_all(fd, head, strlen(head));
    send_all(fd, submission, strlen(submission));
    while (!fake.n_submitted)
        turn(fd, POLLIN);
    for (int i = 0; i < 3; i++)
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    assert_int_equal(recv(fd, head, sizeof(head), 0), -1); /* not yet */
    fake_tell_started(&fake);
    receive(fd, NULL, &answer);
    close(fd);
    expect_status(201);
    expect_text("\"number\":7,\"seq\":0,\"diagnostics\":[]");
}

static void a_bad_submission_tells_all_that_is_wrong(void **state)
{
    (void)state;
    post("POST /v1/runs", submission);
    expect_status(201);
    fake.submit_error = -EINVAL;
    post("POST /v1/runs", submission);
    expect_status(422);
    expect_text("\"message\":\"wrong\"");
    fake.submit_error = -ENOSPC;
    post("POST /v1/runs", submission);
    expect_status(507);
    post("POST /v1/runs", "{\"flow\": \"mesh: 1\\n\"}");
    expect_status(422);
    expect_text("\"severity\":\"error\"");
    post("POST /v1/check", "{\"flow\": \"mesh: 1\\n\"}");
    expect_status(200);
    expect_text("{\"ok\":false");
}

/* ---- tasks, logs, artifacts ---- */

static void attempts_come_in_pages(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/tasks?limit=1");
    expect_text("\"attempt\":0,\"verdict\":\"failed\"");
    expect_text("],\"after\":\"fit/0/0\"}");
    ask("GET /v1/runs/1/tasks?limit=1&after=fit/0/0");
    expect_text("\"attempt\":1,\"verdict\":\"done\"");
    expect_text("],\"after\":null}");
    ask("GET /v1/runs/1/tasks?step=fit&task=0&state=failed");
    expect_text("\"exit_code\":3");
    assert_null(strstr(body_of_answer(), "\"done\""));
    ask("GET /v1/runs/1/tasks?step=end");
    assert_string_equal(body_of_answer(), "{\"attempts\":[],\"after\":null}");
    ask("GET /v1/runs/1/tasks?step=fot");
    expect_status(404);
    ask("GET /v1/runs/1/tasks?after=fit/0");
    expect_status(400);
    make_task();
    ask("GET /v1/runs/1/tasks?state=running");
    expect_text("[{\"step\":\"fit\",\"task\":\"1\",\"attempt\":0,"
                "\"verdict\":\"running\",\"slot\":1}]");
}

static void a_character_cut_by_two_pieces_is_whole_again(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/logs");
    expect_status(200);
    expect_text("\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.000001Z\","
                "\"text\":\"o\"}\n");
    expect_text("\"text\":\"E\\n\"}\n");
    expect_text("\"text\":\"\xc3\xa4\xef\xbf\xbd\"}\n");
    ask("GET /v1/runs/1/logs?stream=stderr&step=fit");
    expect_text("\"text\":\"E\\n\"");
    assert_null(strstr(body_of_answer(), "stdout"));
    ask("GET /v1/runs/1/logs/fit/0?attempt=0&stream=stdout");
    expect_text("o\xc3\xa4\xff");
    ask("GET /v1/runs/1/logs/fit/0");
    expect_status(200);
    assert_null(strstr(body_of_answer(), "E"));
    ask("GET /v1/runs/1/logs/fit/1");
    expect_status(404);
}

static void a_long_log_is_read_in_parts(void **state)
{
    struct buffer log = BUFFER_INIT;
    struct attempt_record a = {
        .run = make_run(1), .task = fit(1), .verdict = VERDICT_DONE, .reason = REASON_OK
    };
    char line[1000];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 3000; i++)
        log_piece_encode(LOG_STDOUT, 1, line, sizeof(line), &log);
    a.log.has_blob = true;
    a.log.size = 3000 * sizeof(line);
    assert_int_equal(blobs_put(fake.fixture->blobs, log.data, log.len, &a.log.blob), 0);
    buffer_release(&log);
    put_attempt(&a);
    ask("GET /v1/runs/1/logs/fit/1");
    expect_status(200);
    assert_true(answer.len > 3000 * sizeof(line));
    expect_text("\r\n0\r\n\r\n");
}

static void artifacts_are_sent_whole_or_in_part(void **state)
{
    (void)state;
    ask("GET /v1/runs/1/artifacts/fit/0/model");
    expect_status(200);
    expect_text("Mesh-Type: text");
    expect_text("Mesh-Task: fit/0");
    assert_string_equal(body_of_answer(), "hello");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model", "Range: bytes=1-2\r\n",
           NULL, 0);
    expect_status(206);
    expect_text("Content-Range: bytes 1-2/5");
    assert_string_equal(body_of_answer(), "el");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model", "Range: bytes=9-\r\n",
           NULL, 0);
    expect_status(416);
    expect_text("Content-Range: bytes */5");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model",
           "Range: bytes=1-2\r\nIf-Range: \"other\"\r\n", NULL, 0);
    expect_status(200);
    ask("GET /v1/runs/1/artifacts/fit/0/nothing");
    expect_status(404);
}

/* ---- blobs ---- */

static void put_blob(const char *data, size_t len, const struct digest *id, int status)
{
    char text[DIGEST_TEXT_SIZE], line[128];

    digest_text(id, text);
    snprintf(line, sizeof(line), "PUT /v1/blobs/%s", text);
    ask_at(user_path, line, "", data, len);
    expect_status(status);
}

static void get_blob(const char *data, size_t len, const struct digest *id)
{
    char text[DIGEST_TEXT_SIZE], line[128];

    digest_text(id, text);
    snprintf(line, sizeof(line), "GET /v1/blobs/%s", text);
    ask(line);
    expect_status(200);
    assert_int_equal((size_t)(answer.data + answer.len - body_of_answer()), len);
    assert_memory_equal(body_of_answer(), data, len);
}

static void a_blob_of_each_class_comes_back(void **state)
{
    static const size_t sizes[] = { 0, 10, 300 << 10, 9 << 20 };

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char *data = make_bytes(sizes[i], i);
        struct digest_stream *stream = digest_stream_new();
        struct digest id;

        digest_stream_add(stream, data, sizes[i]);
        id = digest_stream_end(stream);
        digest_stream_free(stream);
        put_blob(data, sizes[i], &id, 201);
        put_blob(data, sizes[i], &id, 200);
        get_blob(data, sizes[i], &id);
        free(data);
    }
}

static void a_blob_must_be_what_its_name_says(void **state)
{
    struct digest id = digest_memory("a", 1);

    (void)state;
    put_blob("b", 1, &id, 400);
    ask("GET /v1/blobs/12");
    expect_status(400);
    ask("GET /v1/blobs/"
        "0000000000000000000000000000000000000000000000000000000000000000");
    expect_status(404);
}

static void a_tree_is_kept_when_all_of_it_is_here(void **state)
{
    struct digest id = digest_memory("hello", 5);
    char text[DIGEST_TEXT_SIZE], manifest[256], missing[128];

    (void)state;
    digest_text(&id, text);
    snprintf(manifest, sizeof(manifest), "mesh-tree 1\n644 5 %s a.txt\n", text);
    snprintf(missing, sizeof(missing), "{\"ids\": [\"%s\"]}", text);
    post("POST /v1/blobs/missing", missing);
    expect_text(text);
    post("PUT /v1/trees", manifest);
    expect_status(409);
    expect_text(text);
    put_blob("hello", 5, &id, 201);
    post("POST /v1/blobs/missing", missing);
    assert_string_equal(body_of_answer(), "{\"missing\":[]}");
    post("PUT /v1/trees", manifest);
    expect_status(201);
    post("PUT /v1/trees", "mesh-tree 1\n644 5 x ../a.txt\n");
    expect_status(400);
    manifest[16] = '6'; /* the size */
    post("PUT /v1/trees", manifest);
    expect_status(400);
}

static void uploads_are_held_against_gc(void **state)
{
    struct digest sent = digest_memory("sent", 4), forgotten;

    (void)state;
    put_blob("sent", 4, &sent, 201);
    assert_int_equal(blobs_put(fake.fixture->blobs, "old", 3, &forgotten), 0);
    post("POST /v1/gc", "{\"dry_run\": true}");
    expect_status(200);
    expect_text("\"n_kept\":1,\"n_freed\":1");
    post("POST /v1/gc", "");
    expect_text("\"dry_run\":false,\"n_kept\":1,\"n_freed\":1");
    post("POST /v1/gc", "");
    expect_text("\"n_kept\":1,\"n_freed\":0");
}

/* ---- verify ---- */

static void verify_names_what_is_damaged(void **state)
{
    struct artifact gone = { .name = (char *)"gone",
                             .type = (char *)"bytes",
                             .encoding = ENCODING_BYTES,
                             .size = 5000,
                             .id = digest_memory("x", 1) };
    struct attempt_record a = { .run = make_run(1),
                                .task = fit(1),
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .outputs = &gone,
                                .n_outputs = 1 };
    struct buffer junk = BUFFER_INIT;
    struct task_id torn = fit(7);

    (void)state;
    post("POST /v1/runs/1/verify", "");
    expect_status(200);
    expect_text("\"damaged\":[]");
    put_attempt(&a);
    buffer_puts(&junk, "junk");
    put_record(attempt_key(&a.run, &torn, 0), &junk);
    post("POST /v1/runs/1/verify", "");
    expect_text("\"n_damaged\":2");
    expect_text("{\"what\":\"artifact\",\"step\":\"fit\",\"task\":\"1\",\"attempt\":0,"
                "\"name\":\"gone\"");
    expect_text("\"problem\":\"it is not in the store\"");
    expect_text("{\"what\":\"record\",\"step\":\"fit\",\"task\":\"7\"");
    post("POST /v1/gc", "");
    expect_status(500); /* a record that cannot be read may name any blob */
}

/* ---- events ---- */

static void publish(const char *text, size_t len)
{
    struct feed_event event = { .type = FEED_LOG,
                                .wall = 1,
                                .run = make_run(1),
                                .number = 1,
                                .step = "fit",
                                .stream = LOG_STDOUT,
                                .data = text,
                                .len = len };

    assert_int_equal(feed_publish(fake.feed, &event, 0), 0);
}

static int follow(const char *query, const char *header)
{
    char request[256];
    int fd = dial(user_path);

    buffer_release(&answer);
    answer = BUFFER_INIT;
    snprintf(request, sizeof(request), "GET /v1/events%s HTTP/1.1\r\nHost: m\r\n%s\r\n",
             query, header);
    send_all(fd, request, strlen(request));
    receive(fd, ":\n\n", &answer);
    expect_status(200);
    return fd;
}

static void events_come_as_they_happen(void **state)
{
    int fd = follow("", "");

    (void)state;
    assert_int_equal(mesh_http_module.clients(api), 1);
    publish("one", 3);
    publish("two", 3);
    receive(fd, "\"text\":\"two\"", &answer);
    expect_text("id: 1\nevent: log\ndata: {");
    publish("three", 5);
    receive(fd, "\"text\":\"three\"", &answer);
    close(fd);
}

static void a_follower_goes_on_where_it_was(void **state)
{
    int fd;

    (void)state;
    publish("one", 3);
    publish("two", 3);
    publish("three", 5);
    fd = follow("", "Last-Event-ID: 1\r\n");
    receive(fd, "\"text\":\"three\"", &answer);
    expect_text("\"text\":\"two\"");
    assert_null(strstr(buffer_text(&answer), "\"text\":\"one\""));
    close(fd);
    fd = follow("?since=0&run=1", "");
    receive(fd, "\"text\":\"three\"", &answer);
    expect_text("\"text\":\"one\"");
    close(fd);
    fd = follow("?since=900", "");
    receive(fd, "event: gap\n", &answer);
    close(fd);
    ask("GET /v1/events?since=x");
    expect_status(400);
}

/* It has a full queue and a ring behind it, and no event is lost or told twice. */
static void a_slow_follower_catches_up(void **state)
{
    enum { EVENTS = 100, SIZE = 20000 };
    char *text = make_bytes(SIZE, 1);
    int fd = follow("", "");
    const char *at;
    int n = 0;

    (void)state;
    memset(text, 'y', SIZE);
    for (int i = 0; i < EVENTS; i++)
        publish(text, SIZE);
    publish("last", 4);
    receive(fd, "\"text\":\"last\"", &answer);
    for (at = buffer_text(&answer); (at = strstr(at, "\nevent: log")); at++)
        n++;
    assert_int_equal(n, EVENTS + 1);
    close(fd);
    free(text);
}

static void a_follower_that_fell_behind_the_ring_is_dropped(void **state)
{
    enum { SIZE = 60000 };
    char *text = make_bytes(SIZE, 1);
    int fd = follow("", ""), good = follow("", "");

    (void)state;
    memset(text, 'y', SIZE);
    for (size_t sent = 0; sent < 3 * FEED_RING_BYTES; sent += SIZE) {
        publish(text, SIZE);
        buffer_release(&answer);
        answer = BUFFER_INIT;
        receive(good, "\n\n", &answer);
    }
    receive(fd, NULL, &answer); /* up to its end */
    close(fd);
    publish("still here", 10);
    receive(good, "still here", &answer);
    close(good);
    free(text);
}

/* ---- the task channel ---- */

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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_task_is_refused_on_the_users_socket),
        CASE(the_task_socket_wants_a_token),
        CASE(what_does_not_exist_gets_a_hint),
        CASE(a_body_too_large_is_refused),
        CASE(a_bad_body_names_its_field),
        CASE(the_node_tells_about_itself),
        CASE(runs_are_listed_newest_first),
        CASE(one_run_is_told_from_the_node_or_from_the_store),
        CASE(a_runs_file_and_graph),
        CASE(a_run_is_cancelled),
        CASE(a_submission_is_answered_once_durable),
        CASE(a_bad_submission_tells_all_that_is_wrong),
        CASE(attempts_come_in_pages),
        CASE(a_character_cut_by_two_pieces_is_whole_again),
        CASE(a_long_log_is_read_in_parts),
        CASE(artifacts_are_sent_whole_or_in_part),
        CASE(a_blob_of_each_class_comes_back),
        CASE(a_blob_must_be_what_its_name_says),
        CASE(a_tree_is_kept_when_all_of_it_is_here),
        CASE(uploads_are_held_against_gc),
        CASE(verify_names_what_is_damaged),
        CASE(events_come_as_they_happen),
        CASE(a_follower_goes_on_where_it_was),
        CASE(a_slow_follower_catches_up),
        CASE(a_follower_that_fell_behind_the_ring_is_dropped),
        CASE(a_task_reads_what_was_before_it),
        CASE(a_task_puts_what_it_makes),
        CASE(a_task_chooses_its_branch),
        CASE(stopping_leaves_nobody_hanging),
        CASE(an_idle_interface_has_no_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
