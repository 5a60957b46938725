/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of events. */
#include "tests/unit/api_kit.h"

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

static void a_follower_hears_only_what_it_asked_for(void **state)
{
    struct feed_event ended = { .type = FEED_TASK_ENDED,
                                .wall = 1,
                                .run = make_run(1),
                                .number = 1,
                                .step = "end" };
    int fd;

    (void)state;
    publish("fit says", 8);
    assert_int_equal(feed_publish(fake.feed, &ended, 0), 0);
    fd = follow("?since=0&types=task_ended,run_ended", "");
    receive(fd, "event: task_ended\n", &answer);
    assert_null(strstr(buffer_text(&answer), "fit says"));
    close(fd);
    fd = follow("?since=0&step=start,fit", "");
    receive(fd, "fit says", &answer);
    publish("again", 5);
    receive(fd, "again", &answer);
    assert_null(strstr(buffer_text(&answer), "task_ended"));
    close(fd);
    ask("GET /v1/events?types=log,nothing");
    expect_status(400);
    expect_text("there is no type of event 'nothing'");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(events_come_as_they_happen),
        CASE(a_follower_goes_on_where_it_was),
        CASE(a_follower_hears_only_what_it_asked_for),
        CASE(a_slow_follower_catches_up),
        CASE(a_follower_that_fell_behind_the_ring_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
