/* SPDX-License-Identifier: Apache-2.0 */
/* The transfer engine against a server that does, in turn, what servers and networks do
 * to a client. */
#include "cloud/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cloud/scripted.h"
#include "tests/unit/unit.h"

enum { BODY = 300 * 1000 };

struct stage {
    uv_loop_t loop;
    struct http *http;
    struct scripted *server;
    char url[128];
};

/* What one call was told. */
struct told {
    struct stage *stage;
    struct http_call *call;
    int n_done, status, code;
    uint32_t tries;
    struct error error;
    struct buffer body;
    char header[64];
    uint64_t got;
    uint32_t n_begins; /* how often the body began */
    bool is_wrong;     /* a byte was */
    int data_status;   /* what on_data says at its end */
    bool is_canceling;
    int n_prepared;
    struct http_try *later;
};

static void stage_open(struct stage *s, const struct scripted_step *steps, size_t n,
                       bool is_tls, const struct http_options *options)
{
    struct error error = { .text = "" };
    struct http_options plain = { .proxy = "", .seed = 7 };

    uv_loop_init(&s->loop);
    s->server = scripted_start(steps, n, is_tls, false);
    snprintf(s->url, sizeof(s->url), "http%s://127.0.0.1:%d/a/../b%%20c?x=1",
             is_tls ? "s" : "", scripted_port(s->server));
    assert_int_equal(http_new(&s->loop, options ? options : &plain, &s->http, &error),
                     0);
}

static void stage_close(struct stage *s)
{
    http_free(s->http);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    scripted_stop(s->server);
}

static void on_done(void *arg, int status, const struct http_answer *answer,
                    const struct error *error)
{
    struct told *told = arg;
    const char *header = http_answer_header(answer, "x-request-ID");

    told->n_done++;
    told->status = status;
    told->code = answer->code;
    told->tries = answer->tries;
    told->error = *error;
    if (answer->body.len > 0)
        buffer_append(&told->body, answer->body.data, answer->body.len);
    snprintf(told->header, sizeof(told->header), "%s", header ? header : "");
}

static int on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct told *told = arg;

    if (offset == 0) {
        told->n_begins++;
        told->got = 0;
    }
    told->is_wrong |= offset != told->got;
    for (size_t i = 0; i < len; i++)
        told->is_wrong |= ((const char *)data)[i] != scripted_byte(offset + i);
    told->got += len;
    if (told->is_canceling)
        http_cancel(told->call);
    return told->data_status;
}

static struct http_request get_of(struct stage *s, struct told *told)
{
    *told = (struct told){ .stage = s };
    return (struct http_request){ .method = "GET",
                                  .url = s->url,
                                  .repeat = HTTP_REPEAT,
                                  .tries_max = 3,
                                  .store = "s3",
                                  .done = on_done,
                                  .arg = told };
}

static void await(struct stage *s, struct told *told)
{
    while (told->n_done == 0)
        uv_run(&s->loop, UV_RUN_ONCE);
    assert_int_equal(told->n_done, 1);
}

static void run(struct stage *s, const struct http_request *request, struct told *told)
{
    assert_int_equal(http_start(s->http, request, &told->call), 0);
    assert_int_equal(told->n_done, 0);
    await(s, told);
    buffer_release(&told->body);
}

/* ---- answers ---- */

static void test_answer(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, "X-Request-Id:  r 1 \r\n",
                                        1000 };
    struct scripted_request seen;
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    r.headers[0] = (struct http_header){ "x-first", "1" };
    r.headers[1] = (struct http_header){ "x-empty", "" };
    assert_int_equal(http_start(s.http, &r, NULL), 0);
    await(&s, &told);
    assert_int_equal(told.status, 0);
    assert_int_equal(told.code, 200);
    assert_int_equal(told.body.len, 1000);
    assert_int_equal(told.body.data[999], scripted_byte(999));
    assert_string_equal(told.header, "r 1");
    buffer_release(&told.body);
    seen = scripted_request(s.server, 0);
    assert_memory_equal(seen.head, "GET /a/../b%20c?x=1 HTTP/1.1\r\n", 30);
    assert_non_null(strstr(seen.head, "\r\nx-first: 1\r\n"));
    assert_non_null(strstr(seen.head, "\r\nx-empty:\r\n"));
    assert_non_null(strstr(seen.head, "\r\nUser-Agent: mesh\r\n"));
    stage_close(&s);
}

static void test_head(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 1 << 20 };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    for (int i = 0; i < 3; i++) {
        r = get_of(&s, &told);
        r.method = "HEAD";
        run(&s, &r, &told);
        assert_int_equal(told.code, 200);
    }
    assert_int_equal(scripted_connections(s.server), 1);
    stage_close(&s);
}

/* Each status, how often it is tried, and as what kind of request. */
static void test_codes(void **state UNUSED)
{
    static const struct {
        int code;
        enum http_repeat repeat;
        uint32_t tries;
    } rows[] = {
        { 200, HTTP_REPEAT, 1 }, { 301, HTTP_REPEAT, 1 }, { 403, HTTP_REPEAT, 1 },
        { 404, HTTP_REPEAT, 1 }, { 408, HTTP_REPEAT, 3 }, { 429, HTTP_REPEAT, 3 },
        { 500, HTTP_REPEAT, 3 }, { 501, HTTP_REPEAT, 1 }, { 502, HTTP_REPEAT, 3 },
        { 503, HTTP_REPEAT, 3 }, { 504, HTTP_REPEAT, 3 }, { 408, HTTP_ONCE, 1 },
        { 429, HTTP_ONCE, 3 },   { 500, HTTP_ONCE, 1 },   { 502, HTTP_ONCE, 1 },
        { 503, HTTP_ONCE, 3 },   { 504, HTTP_ONCE, 1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct scripted_step step = { SCRIPTED_ANSWER, rows[i].code,
                                            "Location: /other\r\n", 5 };
        struct stage s;
        struct told told;
        struct http_request r;

        stage_open(&s, &step, 1, false, NULL);
        r = get_of(&s, &told);
        r.repeat = rows[i].repeat;
        run(&s, &r, &told);
        assert_int_equal(told.status, 0);
        assert_int_equal(told.code, rows[i].code);
        assert_int_equal(told.tries, rows[i].tries);
        assert_int_equal(scripted_requests(s.server), rows[i].tries);
        stage_close(&s);
    }
}

static void test_again_goes_well(void **state UNUSED)
{
    const struct scripted_step steps[] = {
        { SCRIPTED_ANSWER, 503, "Retry-After: 0\r\n", 0 },
        { SCRIPTED_ANSWER, 200, NULL, BODY },
    };
    struct stage s;
    struct told told;
    struct http_request r;
    struct http_counters counters[HTTP_STORES_MAX];

    stage_open(&s, steps, 2, false, NULL);
    r = get_of(&s, &told);
    run(&s, &r, &told);
    assert_int_equal(told.code, 200);
    assert_string_equal(told.error.text, "");
    assert_int_equal(http_count(s.http, counters), 1);
    assert_string_equal(counters[0].store, "s3");
    assert_int_equal(counters[0].requests, 1);
    assert_int_equal(counters[0].retries, 1);
    assert_int_equal(counters[0].errors, 0);
    assert_int_equal(counters[0].down_bytes, BODY);
    stage_close(&s);
}

/* The service is obeyed: nothing comes before the second it asks for. */
static void test_retry_after(void **state UNUSED)
{
    const struct scripted_step steps[] = {
        { SCRIPTED_ANSWER, 429, "Retry-After: 1\r\n", 0 },
        { SCRIPTED_ANSWER, 200, NULL, 0 },
    };
    struct stage s;
    struct told told;
    struct http_request r;
    uint64_t begin_ns = uv_hrtime();

    stage_open(&s, steps, 2, false, NULL);
    r = get_of(&s, &told);
    run(&s, &r, &told);
    assert_int_equal(told.code, 200);
    assert_true(uv_hrtime() - begin_ns >= 1000000000u);
    stage_close(&s);
}

/* Who asks for more than is left is not waited for. */
static void test_retry_after_too_long(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 503, "Retry-After: 200\r\n",
                                        0 };
    const struct scripted_step never = { SCRIPTED_ANSWER, 503, "Retry-After: 9999\r\n",
                                         0 };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    r.deadline_ms = 60000;
    run(&s, &r, &told);
    assert_int_equal(told.code, 503);
    assert_int_equal(told.tries, 1);
    stage_close(&s);
    stage_open(&s, &never, 1, false, NULL);
    r = get_of(&s, &told);
    run(&s, &r, &told);
    assert_int_equal(told.code, 503);
    assert_int_equal(told.tries, 1);
    stage_close(&s);
}

static void test_too_long(void **state UNUSED)
{
    const struct scripted_step steps[] = {
        { SCRIPTED_ANSWER, 200, NULL, 1001 },
        { SCRIPTED_ANSWER, 403, NULL, 1 << 20 },
    };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, steps, 2, false, NULL);
    r = get_of(&s, &told);
    r.answer_max = 1000;
    run(&s, &r, &told);
    assert_int_equal(told.status, -EMSGSIZE);
    assert_int_equal(told.tries, 1);
    assert_non_null(strstr(told.error.text, "longer than 1000 bytes"));
    r = get_of(&s, &told);
    assert_int_equal(http_start(s.http, &r, NULL), 0);
    await(&s, &told);
    assert_int_equal(told.status, 0);
    assert_int_equal(told.code, 403);
    assert_int_equal(told.body.len, HTTP_ERROR_BODY_MAX);
    buffer_release(&told.body);
    stage_close(&s);
}

/* ---- broken connections ---- */

static const struct {
    enum scripted_act act;
    size_t body_bytes;
    int status;
} breaks[] = {
    { SCRIPTED_CLOSE, 0, -EPIPE },
    { SCRIPTED_RESET, 0, -EPIPE },
    { SCRIPTED_CUT, BODY, -EPIPE },
    { SCRIPTED_STALL, 0, -ETIMEDOUT },
    { SCRIPTED_STALL_BODY, BODY, -ETIMEDOUT },
};

static void test_breaks(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
        const struct scripted_step steps[] = {
            { breaks[i].act, 200, NULL, breaks[i].body_bytes },
            { SCRIPTED_ANSWER, 200, NULL, BODY },
        };
        struct stage s;
        struct told told;
        struct http_request r;

        stage_open(&s, steps, 2, false, NULL);
        r = get_of(&s, &told);
        r.stall_ms = 200;
        r.on_data = on_data;
        run(&s, &r, &told);
        assert_int_equal(told.status, 0);
        assert_int_equal(told.tries, 2);
        assert_int_equal(told.got, BODY);
        assert_false(told.is_wrong);
        assert_int_equal(told.n_begins, breaks[i].body_bytes ? 2 : 1);
        stage_close(&s);
    }
}

static void test_breaks_for_good(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
        const struct scripted_step step = { breaks[i].act, 200, NULL,
                                            breaks[i].body_bytes };
        struct stage s;
        struct told told;
        struct http_request r;

        stage_open(&s, &step, 1, false, NULL);
        r = get_of(&s, &told);
        r.stall_ms = 100;
        run(&s, &r, &told);
        assert_int_equal(told.status, breaks[i].status);
        assert_int_equal(told.code, 0);
        assert_int_equal(told.tries, 3);
        assert_non_null(strstr(told.error.text, "(3 tries)"));
        assert_null(strstr(told.error.text, "x=1"));
        stage_close(&s);
    }
}

/* What may have been acted upon is not sent a second time, not even by curl when a kept
 * connection is dead. */
static void test_once(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
        const struct scripted_step steps[] = {
            { SCRIPTED_ANSWER, 200, NULL, 0 },
            { breaks[i].act, 200, NULL, breaks[i].body_bytes },
            { SCRIPTED_ANSWER, 200, NULL, 0 },
        };
        struct stage s;
        struct told told;
        struct http_request r;

        stage_open(&s, steps, 3, false, NULL);
        r = get_of(&s, &told);
        run(&s, &r, &told);
        r = get_of(&s, &told);
        r.method = "POST";
        r.repeat = HTTP_ONCE;
        r.stall_ms = 100;
        run(&s, &r, &told);
        assert_int_equal(told.status, breaks[i].status);
        assert_int_equal(told.tries, 1);
        assert_int_equal(scripted_requests(s.server), 2);
        stage_close(&s);
    }
}

static void test_garbage(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_GARBAGE, 0, NULL, 0 };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    run(&s, &r, &told);
    assert_int_equal(told.status, -EPROTO);
    assert_int_equal(told.tries, 1);
    assert_non_null(strstr(told.error.text, "does not speak HTTP"));
    stage_close(&s);
}

static void test_nobody_there(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 0 };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    scripted_stop(s.server);
    r = get_of(&s, &told);
    r.repeat = HTTP_ONCE;
    run(&s, &r, &told);
    assert_int_equal(told.status, -ECONNREFUSED);
    assert_int_equal(told.tries, 3);
    assert_non_null(strstr(told.error.text, "does the service run"));
    s.server = scripted_start(&step, 1, false, false);
    stage_close(&s);
}

/* ---- time ---- */

static void test_deadline(void **state UNUSED)
{
    const struct scripted_step steps[] = { { SCRIPTED_ANSWER, 500, NULL, 0 },
                                           { SCRIPTED_STALL, 0, NULL, 0 } };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, steps, 2, false, NULL);
    r = get_of(&s, &told);
    r.deadline_ms = 1000;
    run(&s, &r, &told);
    assert_int_equal(told.status, -ETIMEDOUT);
    assert_int_equal(told.tries, 2);
    assert_non_null(strstr(told.error.text, "within 1000 ms"));
    stage_close(&s);
}

/* An upload that the other side does not take stalls too, and so does one that waits
 * for its turn until the deadline. */
static void test_unread(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_UNREAD, 0, NULL, 0 };
    const struct http_options one = { .calls_max = 1, .proxy = "" };
    char *body = calloc(1, 32 << 20);
    struct stage s;
    struct told told, second;
    struct http_request r, waiting;

    stage_open(&s, &step, 1, false, &one);
    r = get_of(&s, &told);
    r.method = "PUT";
    r.body = (struct http_body){ .data = body, .len = 32 << 20 };
    r.tries_max = 1;
    r.stall_ms = 2000;
    waiting = get_of(&s, &second);
    waiting.deadline_ms = 300;
    assert_int_equal(http_start(s.http, &r, NULL), 0);
    assert_int_equal(http_start(s.http, &waiting, NULL), 0);
    await(&s, &told);
    assert_int_equal(told.status, -ETIMEDOUT);
    assert_non_null(strstr(told.error.text, "stalled"));
    assert_int_equal(second.n_done, 1);
    assert_int_equal(second.status, -ETIMEDOUT);
    assert_int_equal(second.tries, 0);
    stage_close(&s);
    free(body);
}

/* ---- bodies ---- */

static int file_of(size_t len)
{
    FILE *file = tmpfile();
    int fd = dup(fileno(file));

    for (size_t i = 0; i < len; i++)
        fputc(scripted_byte(i), file);
    fclose(file);
    return fd;
}

static void test_uploads(void **state UNUSED)
{
    static const size_t sizes[] = { 0, 1, 1000, 64 << 10, (64 << 10) + 1, 5 << 20 };
    const struct scripted_step steps[] = { { SCRIPTED_ANSWER, 500, NULL, 0 },
                                           { SCRIPTED_ANSWER, 200, NULL, 0 } };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
        size_t len = sizes[i / 2];
        char *data = malloc(len + 1);
        int fd = file_of(len);
        struct scripted_request seen;
        struct stage s;
        struct told told;
        struct http_request r;

        for (size_t at = 0; at < len; at++)
            data[at] = scripted_byte(at);
        stage_open(&s, steps, 2, false, NULL);
        r = get_of(&s, &told);
        r.method = "PUT";
        r.body =
            (struct http_body){ .data = i % 2 ? data : NULL, .fd = fd, .len = len };
        run(&s, &r, &told);
        assert_int_equal(told.code, 200);
        seen = scripted_request(s.server, 1);
        assert_int_equal(seen.body_bytes, len);
        assert_true(seen.is_body_right);
        assert_non_null(strstr(seen.head, "\r\nContent-Length: "));
        assert_null(strstr(seen.head, "\r\nContent-Type:"));
        assert_int_equal(strstr(seen.head, "\r\nExpect:") != NULL, len > 1 << 20);
        stage_close(&s);
        close(fd);
        free(data);
    }
}

static void test_file_shrinks(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 0 };
    struct stage s;
    struct told told;
    struct http_request r;
    int fd = file_of(1000);

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    r.method = "PUT";
    r.body = (struct http_body){ .fd = fd, .offset = 500, .len = 501 };
    run(&s, &r, &told);
    assert_int_equal(told.status, -EIO);
    assert_int_equal(told.tries, 1);
    assert_non_null(strstr(told.error.text, "shorter than it was"));
    stage_close(&s);
    close(fd);
}

/* The refusal is told, not that the connection broke while the body was sent. */
static void test_early_answer(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_EARLY, 403, NULL, 20 };
    char *body = calloc(1, 8 << 20);
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    r.method = "PUT";
    r.body = (struct http_body){ .data = body, .len = 8 << 20 };
    run(&s, &r, &told);
    assert_int_equal(told.status, 0);
    assert_int_equal(told.code, 403);
    stage_close(&s);
    free(body);
}

/* ---- bounds ---- */

static void run_many(struct stage *s, struct told *told, size_t n)
{
    struct http_request r;

    for (size_t i = 0; i < n; i++) {
        r = get_of(s, &told[i]);
        r.on_data = on_data;
        assert_int_equal(http_start(s->http, &r, NULL), 0);
    }
    for (size_t i = 0; i < n; i++)
        await(s, &told[i]);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(told[i].status, 0);
        assert_false(told[i].is_wrong);
    }
}

static void test_many(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 10000 };
    const struct http_options few = { .calls_max = 8, .proxy = "" };
    const struct http_options fewer = { .calls_max_per_host = 3, .proxy = "" };
    static struct told told[500];
    struct stage s;

    stage_open(&s, &step, 1, false, &few);
    run_many(&s, told, ARRAY_SIZE(told));
    assert_int_equal(scripted_requests(s.server), ARRAY_SIZE(told));
    assert_true(scripted_connections(s.server) <= 8);
    assert_true(scripted_at_once(s.server) <= 8);
    stage_close(&s);
    stage_open(&s, &step, 1, false, &fewer);
    run_many(&s, told, 100);
    assert_true(scripted_at_once(s.server) <= 3);
    stage_close(&s);
}

static void test_queue_is_bounded(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_STALL, 0, NULL, 0 };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    for (int i = 0; i < HTTP_CALLS_MAX; i++)
        assert_int_equal(http_start(s.http, &r, NULL), 0);
    assert_int_equal(http_start(s.http, &r, NULL), -ENOBUFS);
    http_free(s.http);
    assert_int_equal(told.n_done, HTTP_CALLS_MAX);
    assert_int_equal(told.status, -ECANCELED);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s.loop), 0);
    scripted_stop(s.server);
}

/* 200 kB at 400 kB/s take at least 0.3 s, with what may be saved up for a burst. */
static void test_bandwidth(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 100000 };
    const struct http_options bound = { .up_bytes_per_s = 400000,
                                        .down_bytes_per_s = 400000,
                                        .proxy = "" };
    static char body[100000];
    struct stage s;
    struct told told[2];
    struct http_request r;

    stage_open(&s, &step, 1, false, &bound);
    for (int is_up = 0; is_up < 2; is_up++) {
        uint64_t begin_ns = uv_hrtime();

        for (int i = 0; i < 2; i++) {
            r = get_of(&s, &told[i]);
            r.on_data = on_data;
            r.stall_ms = 100;
            if (is_up) {
                r.method = "PUT";
                r.body = (struct http_body){ .data = body, .len = sizeof(body) };
            }
            assert_int_equal(http_start(s.http, &r, NULL), 0);
        }
        for (int i = 0; i < 2; i++) {
            await(&s, &told[i]);
            assert_int_equal(told[i].status, 0);
            assert_int_equal(told[i].tries, 1);
        }
        assert_true(uv_hrtime() - begin_ns >= 300000000u);
    }
    stage_close(&s);
}

/* ---- signing ---- */

static int on_prepare(void *arg, struct http_try *t, struct error *ret_error)
{
    struct told *told = arg;
    char value[16];

    (void)ret_error;
    snprintf(value, sizeof(value), "%d", ++told->n_prepared);
    assert_int_equal(http_try_header(t, "x-try", value), 0);
    assert_int_equal(http_try_header(t, "x-bad", "a\r\nb: c"), -EINVAL);
    return 0;
}

static int on_prepare_later(void *arg, struct http_try *t, struct error *ret_error)
{
    struct told *told = arg;

    on_prepare(arg, t, ret_error);
    told->later = t;
    return HTTP_LATER;
}

static int on_prepare_at_once(void *arg, struct http_try *t, struct error *ret_error)
{
    on_prepare(arg, t, ret_error);
    http_try_go(t, 0, NULL);
    return HTTP_LATER;
}

static int on_prepare_fails(void *arg, struct http_try *t, struct error *ret_error)
{
    (void)arg, (void)t;
    return fail(ret_error, -EACCES, "no key");
}

static void test_prepare(void **state UNUSED)
{
    const struct scripted_step steps[] = { { SCRIPTED_ANSWER, 500, NULL, 0 },
                                           { SCRIPTED_ANSWER, 200, NULL, 0 } };
    struct scripted_request seen;
    struct stage s;
    struct told told;
    struct http_request r;

    for (int i = 0; i < 2; i++) {
        stage_open(&s, steps, 2, false, NULL);
        r = get_of(&s, &told);
        r.prepare = i ? on_prepare_at_once : on_prepare;
        run(&s, &r, &told);
        assert_int_equal(told.code, 200);
        seen = scripted_request(s.server, 1);
        assert_non_null(strstr(seen.head, "\r\nx-try: 2\r\n"));
        assert_null(strstr(seen.head, "x-try: 1"));
        assert_null(strstr(seen.head, "x-bad"));
        stage_close(&s);
    }
    stage_open(&s, steps, 2, false, NULL);
    r = get_of(&s, &told);
    r.prepare = on_prepare_fails;
    run(&s, &r, &told);
    assert_int_equal(told.status, -EACCES);
    assert_string_equal(told.error.text, "no key");
    stage_close(&s);
}

/* Whoever waits for a key leaves the turn to the call that fetches it; what ends it
 * meanwhile is told when the wait is over. */
static void test_prepare_later(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 0 };
    const struct http_options one = { .calls_max = 1, .proxy = "" };
    struct stage s;
    struct told told[3], key;
    struct http_request r;

    stage_open(&s, &step, 1, false, &one);
    for (int i = 0; i < 3; i++) {
        r = get_of(&s, &told[i]);
        r.prepare = on_prepare_later;
        r.deadline_ms = i == 2 ? 1 : 0;
        assert_int_equal(http_start(s.http, &r, &told[i].call), 0);
    }
    r = get_of(&s, &key);
    run(&s, &r, &key);
    assert_int_equal(key.code, 200);
    http_cancel(told[1].call);
    r = get_of(&s, &key);
    run(&s, &r, &key);
    for (int i = 0; i < 3; i++)
        assert_int_equal(told[i].n_done, 0);
    for (int i = 0; i < 3; i++)
        http_try_go(told[i].later, 0, NULL);
    for (int i = 0; i < 3; i++)
        await(&s, &told[i]);
    assert_int_equal(told[0].code, 200);
    assert_int_equal(told[1].status, -ECANCELED);
    stage_close(&s);
}

static bool is_expired_key(void *arg, const struct http_answer *answer)
{
    (void)arg;
    return answer->code == 400 && answer->body.len == 7;
}

static void test_is_transient(void **state UNUSED)
{
    const struct scripted_step steps[] = { { SCRIPTED_ANSWER, 400, NULL, 7 },
                                           { SCRIPTED_ANSWER, 400, NULL, 8 } };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, steps, 2, false, NULL);
    r = get_of(&s, &told);
    r.repeat = HTTP_ONCE;
    r.is_transient = is_expired_key;
    run(&s, &r, &told);
    assert_int_equal(told.code, 400);
    assert_int_equal(told.tries, 2);
    stage_close(&s);
}

/* ---- ends ---- */

static void test_cancel(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_STALL, 0, NULL, 0 };
    const struct scripted_step busy = { SCRIPTED_ANSWER, 503, "Retry-After: 200\r\n",
                                        0 };
    const struct scripted_step data = { SCRIPTED_ANSWER, 200, NULL, BODY };
    struct stage s;
    struct told told;
    struct http_request r;

    for (int stage = 0; stage < 4; stage++) {
        stage_open(&s, stage == 2 ? &busy : stage == 3 ? &data : &step, 1, false, NULL);
        r = get_of(&s, &told);
        r.on_data = on_data;
        told.is_canceling = stage == 3;
        assert_int_equal(http_start(s.http, &r, &told.call), 0);
        while (stage > 0 && scripted_requests(s.server) == 0)
            uv_run(&s.loop, UV_RUN_NOWAIT);
        if (stage < 3) {
            http_cancel(told.call);
            assert_int_equal(told.n_done, 0);
        }
        await(&s, &told);
        assert_int_equal(told.status, -ECANCELED);
        stage_close(&s);
    }
}

static void test_on_data_fails(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, BODY };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &told);
    r.on_data = on_data;
    told.data_status = -ENOSPC;
    run(&s, &r, &told);
    assert_int_equal(told.status, -ENOSPC);
    assert_int_equal(told.tries, 1);
    stage_close(&s);
}

static void free_when_done(void *arg, int status, const struct http_answer *answer,
                           const struct error *error)
{
    struct told *told = arg;

    on_done(arg, status, answer, error);
    if (told->n_done == 1)
        http_free(TAKE(told->stage->http));
}

/* With calls under way, from the end of one of them, and while one waits for its key.
 */
static void test_freed_early(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 10 };
    struct stage s;
    struct told told, later;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    r = get_of(&s, &later);
    r.prepare = on_prepare_later;
    assert_int_equal(http_start(s.http, &r, NULL), 0);
    r = get_of(&s, &told);
    r.done = free_when_done;
    for (int i = 0; i < 20; i++)
        assert_int_equal(http_start(s.http, &r, NULL), 0);
    while (told.n_done == 0)
        uv_run(&s.loop, UV_RUN_ONCE);
    assert_int_equal(told.n_done, 20);
    assert_int_equal(later.n_done, 1);
    assert_int_equal(later.status, -ECANCELED);
    http_try_go(later.later, 0, NULL);
    buffer_release(&told.body);
    stage_close(&s);
}

/* ---- TLS and proxies ---- */

static void test_tls(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, BODY };
    struct http_options options = { .proxy = "" };
    struct scripted *server = scripted_start(&step, 1, true, false);
    struct error error;
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, true, NULL);
    r = get_of(&s, &told);
    run(&s, &r, &told);
    assert_int_equal(told.status, -EPROTO);
    assert_int_equal(told.tries, 1);
    assert_int_equal(scripted_requests(s.server), 0);
    assert_non_null(strstr(told.error.text, "is not trusted"));
    stage_close(&s);

    uv_loop_init(&s.loop);
    s.server = server;
    options.ca_file = scripted_ca_file(server);
    assert_int_equal(http_new(&s.loop, &options, &s.http, &error), 0);
    snprintf(s.url, sizeof(s.url), "https://127.0.0.1:%d/", scripted_port(server));
    for (int i = 0; i < 3; i++) {
        r = get_of(&s, &told);
        r.on_data = on_data;
        run(&s, &r, &told);
        assert_int_equal(told.status, 0);
        assert_int_equal(told.got, BODY);
        assert_false(told.is_wrong);
    }
    assert_int_equal(scripted_connections(server), 1);
    stage_close(&s);
    options.ca_file = "/nonexistent/ca.pem";
    assert_int_equal(http_new(&s.loop, &options, &s.http, &error), -ENOENT);
}

/* The server is the proxy, and what is behind it. */
static void test_proxy(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 3 };
    char proxy[64];
    struct http_options options = { .proxy = proxy };
    struct scripted *server = scripted_start(&step, 1, true, true);
    struct scripted_request seen;
    struct error error;
    struct stage s;
    struct told told;
    struct http_request r;

    uv_loop_init(&s.loop);
    s.server = server;
    options.ca_file = scripted_ca_file(server);
    snprintf(proxy, sizeof(proxy), "http://me:secret@127.0.0.1:%d",
             scripted_port(server));
    assert_int_equal(http_new(&s.loop, &options, &s.http, &error), 0);
    r = get_of(&s, &told);
    r.url = "http://nowhere.invalid/a";
    run(&s, &r, &told);
    assert_int_equal(told.code, 200);
    seen = scripted_request(server, 0);
    assert_memory_equal(seen.head, "GET http://nowhere.invalid/a HTTP/1.1\r\n", 39);
    assert_non_null(strstr(seen.head, "\r\nProxy-Authorization: Basic "));
    r = get_of(&s, &told);
    r.url = "https://127.0.0.1/b";
    run(&s, &r, &told);
    assert_int_equal(told.code, 200);
    seen = scripted_request(server, 1);
    assert_memory_equal(seen.head, "GET /b HTTP/1.1\r\n", 17);
    assert_null(strstr(seen.head, "Proxy-Authorization"));
    r = get_of(&s, &told);
    r.url = "http://127.0.0.1:1/c";
    r.is_direct = true;
    r.tries_max = 1;
    run(&s, &r, &told);
    assert_int_equal(told.status, -ECONNREFUSED);
    assert_int_equal(scripted_requests(server), 2);
    stage_close(&s);
}

static void test_proxy_refuses(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 407, NULL, 0 };
    char proxy[64];
    struct http_options options = { .proxy = proxy };
    struct error error;
    struct stage s;
    struct told told;
    struct http_request r;

    uv_loop_init(&s.loop);
    s.server = scripted_start(&step, 1, false, true);
    snprintf(proxy, sizeof(proxy), "http://me:secret@127.0.0.1:%d",
             scripted_port(s.server));
    assert_int_equal(http_new(&s.loop, &options, &s.http, &error), 0);
    r = get_of(&s, &told);
    r.url = "https://nowhere.invalid/";
    run(&s, &r, &told);
    assert_int_equal(told.status, -ECONNREFUSED);
    assert_int_equal(told.tries, 1);
    assert_non_null(strstr(told.error.text, "a user and password are wanted"));
    assert_null(strstr(told.error.text, "secret"));
    stage_close(&s);
}

static void test_bad_requests(void **state UNUSED)
{
    const struct scripted_step step = { SCRIPTED_ANSWER, 200, NULL, 0 };
    static const char *const urls[] = { "", "nothing", "http://", "http:///x",
                                        "http://user:pass@127.0.0.1/" };
    struct stage s;
    struct told told;
    struct http_request r;

    stage_open(&s, &step, 1, false, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        r = get_of(&s, &told);
        r.url = urls[i];
        assert_int_equal(http_start(s.http, &r, NULL), -EINVAL);
    }
    r = get_of(&s, &told);
    r.url = "ftp://127.0.0.1/";
    run(&s, &r, &told);
    assert_int_equal(told.status, -EPROTO);
    r = get_of(&s, &told);
    r.headers[0] = (struct http_header){ "x-a", "1\r\nx-b: 2" };
    run(&s, &r, &told);
    assert_int_equal(told.status, -EINVAL);
    assert_int_equal(scripted_requests(s.server), 0);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_again_goes_well),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_too_long),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_breaks),
        cmocka_unit_test(test_breaks_for_good),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_unread),
        cmocka_unit_test(test_uploads),
        cmocka_unit_test(test_file_shrinks),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_bandwidth),
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_prepare_later),
        cmocka_unit_test(test_is_transient),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_on_data_fails),
        cmocka_unit_test(test_freed_early),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_proxy_refuses),
        cmocka_unit_test(test_bad_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
