/* SPDX-License-Identifier: Apache-2.0 */
#include "node/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "tests/unit/unit.h"

static void feed_freep(struct feed **f)
{
    feed_free(*f);
}

/* A follower that writes down what it hears; `act` is called after each event. */
struct follower {
    struct buffer heard;
    uint64_t last_seq, count;
    struct feed *feed;
    struct feed_subscriber *subscriber;
    void (*act)(struct follower *f, const struct feed_event *event);
    struct follower *other;
};

static void hear(void *arg, const struct feed_event *event)
{
    struct follower *f = arg;

    assert_true(event->seq > f->last_seq);
    f->last_seq = event->seq;
    f->count++;
    buffer_printf(&f->heard, "%" PRIu64 ":%s ", event->seq,
                  event->step ? event->step : "-");
    if (f->act)
        f->act(f, event);
}

static void follower_release(struct follower *f)
{
    buffer_release(&f->heard);
}

static void follow(struct follower *f, struct feed *feed, const struct run_id *run,
                   uint64_t since)
{
    f->feed = feed;
    f->subscriber = feed_subscribe(feed, run, since, hear, f);
    assert_non_null(f->subscriber);
}

static void publish(struct feed *feed, const char *step, uint64_t ticket)
{
    struct feed_event event = { .type = FEED_TASK_ENDED, .step = step };

    assert_int_equal(feed_publish(feed, &event, ticket), 0);
}

static void test_nothing_is_heard_before_it_is_durable(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(follower_release) struct follower f = { .feed = feed };

    follow(&f, feed, NULL, 0);
    publish(feed, "now", 0);
    publish(feed, "at-2", 2);
    publish(feed, "behind", 0); /* nothing to wait for, but its turn */
    publish(feed, "at-3", 3);
    assert_string_equal(buffer_text(&f.heard), "1:now ");
    assert_int_equal(feed_newest(feed), 1);
    feed_release(feed, 1);
    assert_string_equal(buffer_text(&f.heard), "1:now ");
    feed_release(feed, 2);
    assert_string_equal(buffer_text(&f.heard), "1:now 2:at-2 3:behind ");
    publish(feed, "again-2", 2);
    assert_string_equal(buffer_text(&f.heard), "1:now 2:at-2 3:behind ");
    feed_release(feed, 10);
    assert_string_equal(buffer_text(&f.heard),
                        "1:now 2:at-2 3:behind 4:at-3 5:again-2 ");
    feed_release(feed, 9); /* an older one takes nothing back */
    publish(feed, "durable", 10);
    assert_int_equal(f.last_seq, 6);
}

static struct feed_event seen;
static char seen_text[64];

static void keep(void *arg UNUSED, const struct feed_event *event)
{
    seen = *event;
    snprintf(seen_text, sizeof(seen_text), "%s|%.*s|%s|%s", event->step,
             (int)event->len, event->data, event->message, event->flow);
}

static void test_an_event_comes_as_it_was_published(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    char step[] = "fit", data[] = "line", message[] = "boo", flow[] = "train";
    struct feed_event event = { .type = FEED_LOG,
                                .wall = 5,
                                .run = { { 1 } },
                                .number = 42,
                                .task = { .step = 1, .depth = 1, .path = { 7 } },
                                .attempt = 2,
                                .pid = 99,
                                .step = step,
                                .stream = LOG_STDERR,
                                .data = data,
                                .len = 4,
                                .verdict = VERDICT_FAILED,
                                .reason = REASON_EXIT,
                                .exit_code = 3,
                                .is_retried = true,
                                .retry_in_us = 1000,
                                .message = message,
                                .outcome = RUN_FAILED,
                                .flow = flow };

    feed_subscribe(feed, NULL, 0, keep, NULL);
    assert_int_equal(feed_publish(feed, &event, 1), 0);
    memset(step, 'x', 3); /* the feed has copies */
    memset(data, 'x', 4);
    memset(message, 'x', 3);
    memset(flow, 'x', 5);
    feed_release(feed, 1);
    assert_string_equal(seen_text, "fit|line|boo|train");
    assert_int_equal(seen.seq, 1);
    assert_int_equal(seen.type, FEED_LOG);
    assert_int_equal(seen.wall, 5);
    assert_true(run_id_equal(&seen.run, &event.run));
    assert_int_equal(seen.number, 42);
    assert_true(task_id_equal(&seen.task, &event.task));
    assert_int_equal(seen.attempt, 2);
    assert_int_equal(seen.pid, 99);
    assert_int_equal(seen.stream, LOG_STDERR);
    assert_int_equal(seen.verdict, VERDICT_FAILED);
    assert_int_equal(seen.reason, REASON_EXIT);
    assert_int_equal(seen.exit_code, 3);
    assert_true(seen.is_retried);
    assert_int_equal(seen.retry_in_us, 1000);
    assert_int_equal(seen.outcome, RUN_FAILED);
}

static void test_a_follower_hears_its_run_only(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(follower_release) struct follower mine = { .count = 0 };
    CLEANUP(follower_release) struct follower later = { .count = 0 };
    static const struct run_id a = { { 1 } }, b = { { 2 } };
    struct feed_event event = { .type = FEED_RUN_STARTED };

    follow(&mine, feed, &b, 0);
    for (int i = 0; i < 6; i++) {
        event.run = i % 3 ? a : b;
        feed_publish(feed, &event, 0);
    }
    assert_string_equal(buffer_text(&mine.heard), "1:- 4:- ");
    follow(&later, feed, &b, FEED_SINCE_OLDEST);
    assert_string_equal(buffer_text(&later.heard), "1:- 4:- ");
}

static void test_going_on_behind_what_was_seen(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(follower_release) struct follower all = { .count = 0 };
    CLEANUP(follower_release) struct follower since = { .count = 0 };
    CLEANUP(follower_release) struct follower fresh = { .count = 0 };
    CLEANUP(follower_release) struct follower newest = { .count = 0 };
    CLEANUP(follower_release) struct follower foreign = { .count = 0 };

    publish(feed, "a", 0);
    publish(feed, "b", 0);
    publish(feed, "c", 0);
    publish(feed, "waits", 1);
    follow(&all, feed, NULL, FEED_SINCE_OLDEST);
    follow(&since, feed, NULL, 1);
    follow(&fresh, feed, NULL, 0);
    follow(&newest, feed, NULL, 3);
    follow(&foreign, feed, NULL, 1000); /* of another life of the node */
    assert_string_equal(buffer_text(&all.heard), "1:a 2:b 3:c ");
    assert_string_equal(buffer_text(&since.heard), "2:b 3:c ");
    feed_release(feed, 1);
    assert_string_equal(buffer_text(&since.heard), "2:b 3:c 4:waits ");
    assert_string_equal(buffer_text(&fresh.heard), "4:waits ");
    assert_string_equal(buffer_text(&newest.heard), "4:waits ");
    assert_string_equal(buffer_text(&foreign.heard), "4:waits ");
}

static void leave(struct follower *f, const struct feed_event *event UNUSED)
{
    feed_unsubscribe(f->feed, f->subscriber);
}

static void send_other_away(struct follower *f, const struct feed_event *event UNUSED)
{
    feed_unsubscribe(f->feed, f->other->subscriber);
    f->act = NULL;
}

static void test_leaving_within_a_callback(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(follower_release) struct follower once = { .act = leave };
    CLEANUP(follower_release) struct follower gone = { .count = 0 };
    CLEANUP(follower_release)
    struct follower rude = { .act = send_other_away, .other = &gone };
    CLEANUP(follower_release) struct follower stays = { .count = 0 };

    follow(&once, feed, NULL, 0);
    follow(&rude, feed, NULL, 0);
    follow(&gone, feed, NULL, 0);
    follow(&stays, feed, NULL, 0);
    publish(feed, "a", 1);
    publish(feed, "b", 1);
    feed_release(feed, 1);
    assert_string_equal(buffer_text(&once.heard), "1:a ");
    assert_string_equal(buffer_text(&rude.heard), "1:a 2:b ");
    assert_string_equal(buffer_text(&gone.heard), "");
    assert_string_equal(buffer_text(&stays.heard), "1:a 2:b ");
    feed_unsubscribe(feed, stays.subscriber);
    feed_unsubscribe(feed, NULL);
    publish(feed, "c", 0);
    assert_int_equal(stays.count, 2);
    assert_int_equal(rude.count, 3);
}

static void echo(struct follower *f, const struct feed_event *event UNUSED)
{
    if (f->count < 3)
        publish(f->feed, "echo", 0);
}

static void test_publishing_within_a_callback(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(follower_release) struct follower loud = { .act = echo };
    CLEANUP(follower_release) struct follower f = { .count = 0 };

    publish(feed, "first", 0);
    follow(&loud, feed, NULL, FEED_SINCE_OLDEST); /* echoes while it catches up */
    follow(&f, feed, NULL, FEED_SINCE_OLDEST);
    publish(feed, "last", 0);
    assert_string_equal(buffer_text(&loud.heard), "1:first 2:echo 3:echo 4:last ");
    assert_string_equal(buffer_text(&f.heard), "1:first 2:echo 3:echo 4:last ");
}

static void invite(struct follower *f, const struct feed_event *event UNUSED)
{
    if (!f->other->subscriber)
        follow(f->other, f->feed, NULL, FEED_SINCE_OLDEST);
}

/* The invited one catches up with the event that is just being handed out, once. */
static void test_subscribing_within_a_callback(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(follower_release) struct follower guest = { .count = 0 };
    CLEANUP(follower_release) struct follower host = { .act = invite, .other = &guest };

    publish(feed, "a", 0);
    follow(&host, feed, NULL, 0);
    publish(feed, "b", 0);
    publish(feed, "c", 0);
    assert_string_equal(buffer_text(&host.heard), "2:b 3:c ");
    assert_string_equal(buffer_text(&guest.heard), "1:a 2:b 3:c ");
}

struct assembly {
    struct buffer bytes;
    size_t longest, pieces;
};

static void assemble(void *arg, const struct feed_event *event)
{
    struct assembly *a = arg;

    buffer_append(&a->bytes, event->data, event->len);
    a->longest = event->len > a->longest ? event->len : a->longest;
    a->pieces++;
}

static void test_long_output_is_told_in_pieces(void **state UNUSED)
{
    static const size_t lens[] = { 0, 1, FEED_DATA_MAX, FEED_DATA_MAX + 1, 300000 };
    static char data[300000];
    struct prng p;

    prng_init(&p, 9);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)prng_next(&p);
    for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
        CLEANUP(feed_freep) struct feed *feed = feed_new();
        struct assembly a = { .pieces = 0 };
        struct feed_event event = { .type = FEED_LOG, .data = data, .len = lens[i] };

        feed_subscribe(feed, NULL, 0, assemble, &a);
        assert_int_equal(feed_publish(feed, &event, 0), 0);
        assert_int_equal(a.bytes.len, lens[i]);
        if (lens[i])
            assert_memory_equal(a.bytes.data, data, lens[i]);
        assert_int_equal(a.longest, min_size(lens[i], FEED_DATA_MAX));
        assert_int_equal(feed_newest(feed), a.pieces);
        assert_int_equal(a.pieces, lens[i] ? (lens[i] - 1) / FEED_DATA_MAX + 1 : 1);
        buffer_release(&a.bytes);
    }
}

static void keep_message(void *arg, const struct feed_event *event)
{
    buffer_puts(arg, event->message);
}

static void test_long_text_is_cut_between_characters(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    CLEANUP(buffer_release) struct buffer heard = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer message = BUFFER_INIT;
    struct feed_event event = { .type = FEED_RUN_ENDED };

    buffer_putc(&message, 'x');
    for (int i = 0; i < 3000; i++)
        buffer_puts(&message, "\xc3\xa9");
    event.message = buffer_text(&message);
    feed_subscribe(feed, NULL, 0, keep_message, &heard);
    assert_int_equal(feed_publish(feed, &event, 0), 0);
    assert_int_equal(heard.len, FEED_TEXT_MAX - 1);
    assert_memory_equal(heard.data, message.data, heard.len);
}

struct checker {
    uint64_t next;
};

/* Each event carries its number in `number` and a text that follows from it. */
static void check(void *arg, const struct feed_event *event)
{
    struct checker *c = arg;

    assert_int_equal(event->seq, c->next);
    assert_int_equal(event->number, c->next);
    assert_int_equal(event->len, c->next * 7919 % 20000);
    for (size_t i = 0; i < event->len; i += 997)
        assert_int_equal((uint8_t)event->data[i], c->next & 0xff);
    c->next++;
}

static void publish_numbered(struct feed *feed, uint64_t number, uint64_t ticket)
{
    static char data[20000];
    struct feed_event event = {
        .type = FEED_LOG, .data = data, .len = number * 7919 % 20000, .number = number
    };

    memset(data, (int)(number & 0xff), event.len);
    assert_int_equal(feed_publish(feed, &event, ticket), 0);
}

/* Whatever went through the ring, what is left in it is the newest, whole. */
static void test_the_ring_forgets_the_oldest(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    struct checker live = { .next = 1 };

    assert_int_equal(feed_oldest(feed), 1);
    assert_int_equal(feed_newest(feed), 0);
    feed_subscribe(feed, NULL, 0, check, &live);
    for (uint64_t i = 1; i <= 3000; i++) {
        publish_numbered(feed, i, 0);
        if (i % 100 == 0) {
            struct checker replayed = { .next = feed_oldest(feed) };

            feed_unsubscribe(feed, feed_subscribe(feed, NULL, FEED_SINCE_OLDEST, check,
                                                  &replayed));
            assert_int_equal(replayed.next, i + 1);
        }
    }
    assert_int_equal(live.next, 3001);
    assert_int_equal(feed_newest(feed), 3000);
    /* 4 MiB of 10 KB each. */
    assert_in_range(3000 - feed_oldest(feed), 370, 420);
}

/* The writer falls behind again and again; the queue grows, moves and shrinks. */
static void test_a_writer_that_falls_behind(void **state UNUSED)
{
    CLEANUP(feed_freep) struct feed *feed = feed_new();
    struct checker live = { .next = 1 };
    uint64_t published = 0, durable = 0;
    struct prng p;

    prng_init(&p, 31);
    feed_subscribe(feed, NULL, 0, check, &live);
    for (int i = 0; i < 300; i++) {
        uint64_t burst = prng_below(&p, 20);

        for (uint64_t j = 0; j < burst; j++) {
            published++;
            publish_numbered(feed, published, published);
        }
        if (prng_below(&p, 3))
            durable += prng_below(&p, published - durable + 1);
        feed_release(feed, durable);
        assert_int_equal(live.next, durable + 1);
    }
    feed_release(feed, UINT64_MAX);
    assert_int_equal(live.next, published + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_heard_before_it_is_durable),
        cmocka_unit_test(test_an_event_comes_as_it_was_published),
        cmocka_unit_test(test_a_follower_hears_its_run_only),
        cmocka_unit_test(test_going_on_behind_what_was_seen),
        cmocka_unit_test(test_leaving_within_a_callback),
        cmocka_unit_test(test_publishing_within_a_callback),
        cmocka_unit_test(test_subscribing_within_a_callback),
        cmocka_unit_test(test_long_output_is_told_in_pieces),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_the_ring_forgets_the_oldest),
        cmocka_unit_test(test_a_writer_that_falls_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
