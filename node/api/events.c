/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/events.h"

#include <errno.h>
#include <string.h>

#include "node/api/exchange.h"
#include "node/api/nouns.h"
#include "node/api/sse.h"
#include "node/api/tokens.h"

/* One more than this in a row without a byte taken, and the client is dropped. */
enum { STALLED_BEATS_MAX = 1 };

struct event_stream {
    struct request *request;
    struct event_stream *next, **link;
    struct feed_subscriber *subscriber;
    bool is_of_run;
    struct buffer queue;
    size_t at;        /* in queue: the first byte not taken */
    uint64_t skipped; /* the first event that found the queue full; 0: none */
    bool has_moved;   /* since the last heartbeat */
    unsigned stalled; /* heartbeats without a move */
    bool is_dropped;
};

struct events {
    struct api *api;
    struct event_stream *streams;
    uv_timer_t *heartbeat; /* while a stream is open */
    struct events_stats stats;
};

struct events *events_new(struct api *api)
{
    struct events *e = calloc(1, sizeof(*e));

    if (e)
        e->api = api;
    return e;
}

struct events_stats events_stats(const struct events *e)
{
    return e->stats;
}

/* ---- one stream ---- */

static size_t queued(const struct event_stream *s)
{
    return s->queue.len - s->at;
}

static void on_event(void *arg, const struct feed_event *event)
{
    struct event_stream *s = arg;
    size_t before = s->queue.len;

    if (s->skipped || s->is_dropped)
        return;
    /* An empty queue takes any event, however long its text became. */
    if ((queued(s) && queued(s) >= EVENTS_QUEUE_MAX)
        || (sse_event(event, &s->queue) < 0)) {
        s->queue.len = before;
        s->queue.error = 0;
        s->skipped = event->seq;
        return;
    }
    exchange_resume(s->request);
}

static int subscribe(struct event_stream *s, uint64_t since)
{
    struct feed *feed = runtime_feed(s->request->rt);

    s->subscriber = feed_subscribe(feed, s->is_of_run ? &s->request->run : NULL, since,
                                   on_event, s);
    return s->subscriber ? 0 : -ENOMEM;
}

static void unsubscribe(struct event_stream *s)
{
    feed_unsubscribe(runtime_feed(s->request->rt), TAKE(s->subscriber));
}

/* The queue is empty: go on in the ring where it had been full. */
static int catch_up(struct event_stream *s)
{
    uint64_t skipped = s->skipped;

    if (skipped < feed_oldest(runtime_feed(s->request->rt)))
        return -ESTALE;
    s->skipped = 0;
    unsubscribe(s);
    return subscribe(s, skipped - 1);
}

static ssize_t read_events(struct request *r, char *buf, size_t max)
{
    struct event_stream *s = r->data;
    size_t n = min_size(max, queued(s));

    if (s->is_dropped)
        return READ_FAILED;
    memcpy(buf, buffer_text(&s->queue) + s->at, n);
    s->at += n;
    s->has_moved = true;
    r->api->events->stats.bytes += n;
    if (queued(s) == 0) {
        buffer_release(&s->queue); /* an idle stream holds nothing */
        s->queue = BUFFER_INIT;
        s->at = 0;
        s->is_dropped = s->skipped && catch_up(s) < 0;
        if (s->is_dropped)
            return n ? (ssize_t)n : READ_FAILED;
    }
    if (n == 0 && queued(s))
        return read_events(r, buf, max);
    return (ssize_t)n;
}

/* ---- the heartbeat ---- */

static void drop(struct event_stream *s)
{
    s->is_dropped = true;
    unsubscribe(s);
    exchange_drop(s->request);
}

static void beat(struct event_stream *s)
{
    if (tokens_is_expired(&s->request->token_used)) {
        drop(s);
        return;
    }
    if (queued(s) && !s->has_moved) {
        if (++s->stalled > STALLED_BEATS_MAX)
            drop(s);
        return;
    }
    s->has_moved = false;
    s->stalled = 0;
    if (!queued(s) && sse_heartbeat(&s->queue) == 0)
        exchange_resume(s->request);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct events *e = timer->data;

    for (struct event_stream *s = e->streams; s; s = s->next)
        if (!s->is_dropped)
            beat(s);
}

static int start_heartbeat(struct events *e)
{
    uv_timer_t *timer;

    if (e->heartbeat)
        return 0;
    timer = calloc(1, sizeof(*timer));
    if (!timer)
        return -ENOMEM;
    uv_timer_init(runtime_loop(e->api->rt), timer);
    timer->data = e;
    uv_timer_start(timer, on_heartbeat, EVENTS_HEARTBEAT_MS, EVENTS_HEARTBEAT_MS);
    e->heartbeat = timer;
    return 0;
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

static void stop_heartbeat(struct events *e)
{
    if (e->heartbeat)
        uv_close((uv_handle_t *)TAKE(e->heartbeat), free_timer);
}

void events_free(struct events *e)
{
    if (!e)
        return;
    stop_heartbeat(e);
    free(e);
}

/* ---- GET /v1/events ---- */

static void stream_release(void *data)
{
    struct event_stream *s = data;
    struct events *e;

    if (!s->link)
        return;
    e = s->request->api->events;
    unsubscribe(s);
    buffer_release(&s->queue);
    e->stats.n_streams--;
    e->stats.n_dropped += s->is_dropped;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    if (!e->streams)
        stop_heartbeat(e);
}

static void stream_enlist(struct events *e, struct event_stream *s)
{
    s->next = e->streams;
    s->link = &e->streams;
    if (s->next)
        s->next->link = &s->next;
    e->streams = s;
    e->stats.n_streams++;
}

/* Where the client wants to go on: behind what it saw last. */
static bool read_since(struct request *r, uint64_t *ret_since, bool *ret_given)
{
    const char *text = request_header(r, "Last-Event-ID");

    if (!text)
        text = request_query(r, "since");
    *ret_given = text != NULL;
    *ret_since = 0;
    if (!text || sse_since(text, ret_since) == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                "'since' and Last-Event-ID must be the number of an event");
    return false;
}

/* Subscribe from `since`; `gap` first if some behind it are gone. A number from an
 * earlier life of the node, larger than any now, is a gap as well. */
static int begin_stream(struct event_stream *s, uint64_t since, bool is_given)
{
    struct feed *feed = runtime_feed(s->request->rt);
    uint64_t oldest = feed_oldest(feed), newest = feed_newest(feed);

    if (!is_given)
        return subscribe(s, 0);
    if (since > newest) {
        sse_gap(newest + 1, &s->queue);
        return subscribe(s, 0);
    }
    if (since + 1 < oldest)
        sse_gap(oldest, &s->queue);
    if (since == newest)
        return subscribe(s, 0);
    return subscribe(s, since + 1 < oldest || since == 0 ? FEED_SINCE_OLDEST : since);
}

int events_get(struct request *r)
{
    const char *run = request_query(r, "run");
    struct event_stream *s;
    uint64_t since;
    bool is_given;
    int error;

    if (!read_since(r, &since, &is_given) || (run && !request_find_run(r, run)))
        return 0;
    s = request_data(r, sizeof(*s), stream_release);
    if (!s)
        return -ENOMEM;
    s->request = r;
    s->is_of_run = run != NULL;
    s->queue = BUFFER_INIT;
    stream_enlist(r->api->events, s);
    /* The first byte tells the client that it is subscribed. */
    error = sse_heartbeat(&s->queue);
    if (error == 0)
        error = start_heartbeat(r->api->events);
    if (error == 0)
        error = begin_stream(s, since, is_given);
    if (error < 0)
        return error;
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    r->reply.read = read_events;
    return reply_body(r, MHD_HTTP_OK, "text/event-stream");
}
