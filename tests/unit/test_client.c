/* SPDX-License-Identifier: Apache-2.0 */
/* The client's readers: answers and events, as bytes that come in any pieces. */
#include "node/cli/reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "tests/unit/unit.h"

static int collect(void *arg, const char *data, size_t len)
{
    return buffer_append(arg, data, len);
}

/* The whole text in pieces of `step` bytes, then the end of the connection. */
static int read_reply(const char *text, size_t step, struct reply *r,
                      struct buffer *body)
{
    size_t len = strlen(text), used;
    struct error e = { .text = "" };
    int result = 0;

    reply_init(r, false);
    for (size_t at = 0; result == 0 && at < len && r->state != REPLY_DONE; at += used)
        result = reply_feed(r, text + at, min_size(step, len - at), collect, body,
                            &used, &e);
    if (result < 0)
        assert_true(e.text[0]);
    return result == 0 ? reply_end(r) : result;
}

static void bodies_come_in_three_ways(void **state)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nMesh-Type: json\r\n\r\nhello world",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nmesh-type:json \r\n\r\n"
        "5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nMesh-Type: json\r\n\r\nhello world",
        "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 200 OK\nContent-Length: 11\nMesh-Type: json\n\nhello world",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
        for (size_t step = 1; step < 120; step++) {
            CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
            struct reply r;

            assert_int_equal(read_reply(replies[i], step, &r, &body), 0);
            assert_int_equal(r.status, 200);
            assert_string_equal(buffer_text(&body), "hello world");
            assert_string_equal(r.artifact_type, "json");
            assert_int_equal(r.is_closing, i == 2);
            reply_release(&r);
        }
}

static void some_answers_have_no_body(void **state)
{
    CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
    struct error e = { .text = "" };
    struct reply r;
    size_t used;

    (void)state;
    assert_int_equal(read_reply("HTTP/1.1 204 No Content\r\n\r\n", 7, &r, &body), 0);
    assert_int_equal(r.state, REPLY_DONE);
    reply_release(&r);
    assert_int_equal(read_reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 7, &r,
                                &body),
                     0);
    reply_release(&r);

    reply_init(&r, true);
    assert_int_equal(reply_feed(&r, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 40,
                                collect, &body, &used, &e),
                     0);
    assert_int_equal(r.state, REPLY_DONE);
    assert_int_equal(body.len, 0);
    reply_release(&r);
}

static void what_follows_is_left_alone(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
    CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
    struct error e = { .text = "" };
    struct reply r;
    size_t used;

    (void)state;
    reply_init(&r, false);
    assert_int_equal(reply_feed(&r, text, strlen(text), collect, &body, &used, &e), 0);
    assert_int_equal(used, strlen(text) - strlen("HTTP/1.1"));
    assert_string_equal(buffer_text(&body), "ok");
    reply_release(&r);
}

static void what_is_no_reply_is_refused(void **state)
{
    static const char *const bad[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        for (size_t step = 1; step < 80; step += 13) {
            CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
            struct reply r;

            assert_int_equal(read_reply(bad[i], step, &r, &body), -EBADMSG);
            reply_release(&r);
        }
}

static void an_early_end_is_told(void **state)
{
    static const char *const cut[] = {
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
        CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
        struct reply r;

        assert_int_equal(read_reply(cut[i], 5, &r, &body), -ECONNRESET);
        reply_release(&r);
    }
}

static void a_head_has_a_bound(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer body = BUFFER_INIT;
    struct reply r;

    (void)state;
    buffer_puts(&text, "HTTP/1.1 200 OK\r\nX: ");
    while (text.len < 2 * REPLY_HEAD_MAX)
        buffer_puts(&text, "aaaaaaaaaaaaaaaa");
    assert_int_equal(read_reply(buffer_text(&text), 1000, &r, &body), -EBADMSG);
    reply_release(&r);
}

/* ---- events ---- */

static int trace(void *arg, uint64_t id, const char *name, const char *data, size_t len)
{
    assert_int_equal(strlen(data), len);
    buffer_printf(arg, "%d %s <%s>\n", (int)id, name, data);
    return strcmp(name, "stop") == 0 ? 7 : 0;
}

static void events_come_in_any_pieces(void **state)
{
    static const char text[] =
        ":\n\nid: 17\nevent: log\ndata: {\"a\": 1}\n\n"
        "data:one\ndata: two\r\n\r\n"
        "event: empty\n\n: comment\nunknown: x\nid:18\ndata: {}\n\n"
        "data: not whole";

    (void)state;
    for (size_t step = 1; step < sizeof(text); step++) {
        CLEANUP(event_lines_release) struct event_lines lines = { .id = 0 };
        CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

        for (size_t at = 0; at < strlen(text); at += step)
            assert_int_equal(event_lines_feed(&lines, text + at,
                                              min_size(step, strlen(text) - at), trace,
                                              &out),
                             0);
        assert_string_equal(buffer_text(&out), "17 log <{\"a\": 1}>\n"
                                               "0 message <one\ntwo>\n"
                                               "18 message <{}>\n");
    }
}

static void reading_events_can_be_stopped(void **state)
{
    static const char text[] = "event: stop\ndata: x\n\nevent: more\ndata: y\n\n";
    CLEANUP(event_lines_release) struct event_lines lines = { .id = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    (void)state;
    assert_int_equal(event_lines_feed(&lines, text, strlen(text), trace, &out), 7);
    assert_string_equal(buffer_text(&out), "0 stop <x>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_come_in_three_ways),
        cmocka_unit_test(some_answers_have_no_body),
        cmocka_unit_test(what_follows_is_left_alone),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(an_early_end_is_told),
        cmocka_unit_test(a_head_has_a_bound),
        cmocka_unit_test(events_come_in_any_pieces),
        cmocka_unit_test(reading_events_can_be_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
