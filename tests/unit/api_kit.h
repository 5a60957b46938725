/* SPDX-License-Identifier: Apache-2.0 */
/* api_kit - requests over real sockets to the whole interface, on a runtime of the
 * test's own, whose store has run 1 with an attempt that failed and one that made
 * `model`. Included by a test once; set_up() and tear_down() go around each case. */
#pragma once

#include "tests/unit/fake_runtime.h"

#include <netinet/in.h>
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
static int user_fd, task_fd, tcp_fd;
static char user_path[96], task_path[96], listened[32];

/* ---- the store's content ---- */

static inline void put_record(struct record_key key, struct buffer *value)
{
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len },
                                 .value = { value->data, value->len } };

    assert_int_not_equal(writer_put(fake.fixture->writer, &write, 1, true), 0);
    buffer_release(value);
}

static inline struct run_id make_run(uint64_t number)
{
    return (struct run_id){ .bytes = { 0xab, (uint8_t)number } };
}

static inline struct run_record make_record(uint64_t number, const char *flow)
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

static inline void put_run(uint64_t number, const char *flow)
{
    struct run_record record = make_record(number, flow);
    struct buffer value = BUFFER_INIT;

    assert_int_equal(run_record_encode(&record, &value), 0);
    put_record(run_key(&record.run), &value);
    buffer_append(&value, record.run.bytes, RUN_ID_SIZE);
    put_record(number_key(number), &value);
}

static inline void put_end(uint64_t number)
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

static inline void put_attempt(const struct attempt_record *a)
{
    struct buffer value = BUFFER_INIT;

    assert_int_equal(attempt_record_encode(a, &value), 0);
    put_record(attempt_key(&a->run, &a->task, a->attempt), &value);
}

static inline struct task_id fit(uint64_t index)
{
    return (struct task_id){ .step = 1, .depth = 1, .path = { index } };
}

/* Of run 1: fit/0 failed once, then made `model`, 5 bytes. */
static inline void put_fit(void)
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

static inline int listen_on(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* On a port that is free, which fake.config.listen names. */
static inline void listen_tcp(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);

    tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(tcp_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(tcp_fd, 16), 0);
    getsockname(tcp_fd, (struct sockaddr *)&address, &len);
    snprintf(listened, sizeof(listened), "127.0.0.1:%u", ntohs(address.sin_port));
    fake.config.listen = listened;
}

static inline int dial(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* One turn of the loop; waits for the client's socket a moment when nothing happens. */
static inline void turn(int fd, short events)
{
    struct pollfd p[] = { { .fd = fd, .events = events },
                          { .fd = uv_backend_fd(&fake.loop), .events = POLLIN } };

    uv_run(&fake.loop, UV_RUN_NOWAIT);
    poll(p, 2, 5);
}

static inline void send_all(int fd, const char *data, size_t len)
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
static inline void receive(int fd, const char *until, struct buffer *ret)
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

static inline const char *ask_at(const char *path, const char *line,
                                 const char *headers, const char *body, size_t len)
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

static inline const char *ask(const char *line)
{
    return ask_at(user_path, line, "", NULL, 0);
}

static inline const char *post(const char *line, const char *body)
{
    return ask_at(user_path, line, "", body, strlen(body));
}

static inline const char *ask_task(const char *line, const char *body)
{
    return ask_at(task_path, line, "Authorization: Bearer sesame\r\n", body,
                  body ? strlen(body) : 0);
}

static inline void expect_status(int status)
{
    int got = 0;

    sscanf(buffer_text(&answer), "HTTP/1.1 %d", &got);
    if (got != status)
        fail_msg("expected %d, got: %s", status, buffer_text(&answer));
}

static inline const char *body_of_answer(void)
{
    const char *end = strstr(buffer_text(&answer), "\r\n\r\n");

    return end ? end + 4 : "";
}

static inline void expect_text(const char *text)
{
    if (!strstr(buffer_text(&answer), text))
        fail_msg("expected %s in: %s", text, buffer_text(&answer));
}

static inline void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

/* ---- set up ---- */

static inline int set_up(void **state)
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
    listen_tcp();
    assert_int_equal(flow_read(flow_text, sizeof(flow_text) - 1, &fake.active_flow, &d),
                     0);
    diagnostics_release(&d);
    assert_int_equal(mesh_http_module.start(&fake,
                                            &(struct api_sockets){ user_fd, task_fd,
                                                                   tcp_fd },
                                            &api, &error),
                     0);
    put_run(1, "Demo");
    put_fit();
    return 0;
}

static inline int tear_down(void **state)
{
    mesh_http_module.stop(api);
    uv_run(&fake.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fake.loop), 0);
    close(user_fd);
    close(task_fd);
    close(tcp_fd);
    release_runtime(&fake);
    flow_unref(fake.active_flow);
    buffer_release(&answer);
    answer = BUFFER_INIT;
    return fixture_teardown(state);
}

static inline void make_active(uint64_t number)
{
    fake.has_active = true;
    fake.active = make_run(number);
    fake.active_record = make_record(number, "Demo");
}

static inline void make_task(void)
{
    make_active(1);
    strcpy(fake.token, "sesame");
    fake.task = fit(1);
}

/* ---- events ---- */

static inline void publish(const char *text, size_t len)
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

static inline int follow(const char *query, const char *header)
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
