/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/events.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "node/api/encode.h"
#include "node/api/exchange.h"
#include "node/api/nouns.h"
#include "node/api/sse.h"
#include "node/api/tokens.h"
#include "node/runtime_members.h"

enum {
    STALLED_BEATS_MAX = 1, /* one more without a byte taken: the client is dropped */
    STREAMS_PER_MS = 4,    /* writes a millisecond, of all streams */
};

struct event_stream {
    struct request *request;
    struct event_stream *next, **link;
    struct feed_subscriber *subscriber;
    bool is_of_run;
    unsigned types; /* 1 << enum feed_type, or-ed: those that are wanted */
    char *steps;    /* names with spaces between; NULL: all */
    uint64_t resumed_ms;
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
    uv_timer_t *heartbeat, *pause; /* while a stream is open */
    struct buffer text;            /* of the event that was told last, */
    uint64_t text_seq;             /* its number; 0: none */
    struct events_stats stats;
    uint64_t mark; /* of all numbers; 0: a node alone, or not looked at yet */
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

/* ---- numbers ---- */

/* FNV-1a over who this is, and in which life; never 0. */
static uint64_t make_mark(const struct member_note *self)
{
    uint64_t hash = 14695981039346656037u, life = self->incarnation >> 32;

    for (size_t i = 0; i < sizeof(self->id.bytes); i++)
        hash = (hash ^ self->id.bytes[i]) * 1099511628211u;
    for (int i = 0; i < 4; i++, life >>= 8)
        hash = (hash ^ (life & 0xff)) * 1099511628211u;
    return (hash >> 32) % 8191 + 1;
}

static uint64_t mark_of(struct events *e)
{
    struct member_view m;

    for (size_t i = 0; !e->mark && runtime_member_at(e->api->rt, i, &m); i++)
        if (m.is_self)
            e->mark = make_mark(m.note) << EVENTS_NUMBER_BITS;
    return e->mark;
}

uint64_t events_number(struct events *e, uint64_t seq)
{
    return seq | mark_of(e);
}

/* ---- one stream ---- */

static size_t queued(const struct event_stream *s)
{
    return s->queue.len - s->at;
}

/* The loop's clock is enough: nobody is sent to twice in a turn of it. */
static uint64_t now_ms(const struct events *e)
{
    return uv_now(runtime_loop(e->api->rt));
}

static void resume(struct events *e, struct event_stream *s)
{
    s->resumed_ms = now_ms(e);
    exchange_resume(s->request);
}

static void on_pause(uv_timer_t *timer)
{
    struct events *e = timer->data;

    for (struct event_stream *s = e->streams; s; s = s->next)
        if (queued(s))
            resume(e, s);
}

static uint64_t pause_ms(const struct events *e)
{
    uint64_t pause = EVENTS_PAUSE_MIN_MS + e->stats.n_streams / STREAMS_PER_MS;

    return pause < EVENTS_PAUSE_MAX_MS ? pause : EVENTS_PAUSE_MAX_MS;
}

static void resume_in_time(struct events *e, struct event_stream *s)
{
    if (now_ms(e) - s->resumed_ms >= pause_ms(e))
        resume(e, s);
    else if (!uv_is_active((uv_handle_t *)e->pause))
        uv_timer_start(e->pause, on_pause, pause_ms(e), 0);
}

static bool is_wanted(const struct event_stream *s, const struct feed_event *event)
{
    if (!(s->types & (1u << event->type)))
        return false;
    return !s->steps || !event->step || word_is_among(event->step, s->steps);
}

static int append_event(struct events *e, const struct feed_event *event,
                        struct buffer *queue)
{
    if (e->text_seq != event->seq) {
        struct feed_event marked = *event;

        marked.seq = events_number(e, event->seq);
        buffer_clear(&e->text);
        e->text_seq = sse_event(&marked, &e->text) < 0 ? 0 : event->seq;
        if (!e->text_seq)
            return -ENOMEM;
    }
    return buffer_append(queue, e->text.data, e->text.len);
}

static void on_event(void *arg, const struct feed_event *event)
{
    struct event_stream *s = arg;
    struct events *e = s->request->api->events;
    size_t before = s->queue.len;

    if (s->skipped || s->is_dropped || !is_wanted(s, event))
        return;
    /* An empty queue takes any event, however long its text became. */
    if ((queued(s) && queued(s) >= EVENTS_QUEUE_MAX)
        || append_event(e, event, &s->queue) < 0) {
        s->queue.len = before;
        s->queue.error = 0;
        s->skipped = event->seq;
        return;
    }
    resume_in_time(e, s);
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

static uv_timer_t *open_timer(struct events *e)
{
    uv_timer_t *timer = calloc(1, sizeof(*timer));

    if (!timer)
        return NULL;
    uv_timer_init(runtime_loop(e->api->rt), timer);
    timer->data = e;
    return timer;
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

static void close_timer(uv_timer_t *take_timer)
{
    if (take_timer)
        uv_close((uv_handle_t *)take_timer, free_timer);
}

static int start_timers(struct events *e)
{
    if (!e->pause)
        e->pause = open_timer(e);
    if (e->heartbeat || !e->pause)
        return e->pause ? 0 : -ENOMEM;
    e->heartbeat = open_timer(e);
    if (!e->heartbeat)
        return -ENOMEM;
    uv_timer_start(e->heartbeat, on_heartbeat, EVENTS_HEARTBEAT_MS,
                   EVENTS_HEARTBEAT_MS);
    return 0;
}

static void stop_timers(struct events *e)
{
    close_timer(TAKE(e->heartbeat));
    close_timer(TAKE(e->pause));
}

void events_free(struct events *e)
{
    if (!e)
        return;
    stop_timers(e);
    buffer_release(&e->text);
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
    free(s->steps);
    e->stats.n_streams--;
    e->stats.n_dropped += s->is_dropped;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    if (!e->streams)
        stop_timers(e);
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

/* Words with commas between become words with spaces between. */
static char *words_of(const char *list)
{
    char *words = strdup(list);

    for (char *c = words; c && *c; c++)
        if (*c == ',')
            *c = ' ';
    return words;
}

static bool read_types(struct request *r, unsigned *ret_types)
{
    const char *list = request_query(r, "types");
    CLEANUP(freep) char *words = words_of(list ? list : "");
    unsigned types = 0;
    char *rest = words, *word;

    while (list && rest && (word = strsep(&rest, " "))) {
        enum feed_type type = event_type(word);

        if (!type) {
            reply_error(r, MHD_HTTP_BAD_REQUEST,
                        "run_started, task_started, log, task_ended, run_ended, "
                        "run_suspended, run_unsuspended, run_numbered",
                        "there is no type of event '%.64s'", word);
            return false;
        }
        types |= 1u << type;
    }
    *ret_types = list ? types : UINT_MAX;
    return true;
}

/* Another node's number, or of another life of this one: all that is here is new. */
static int begin_anew(struct event_stream *s)
{
    struct events *e = s->request->api->events;

    sse_gap(events_number(e, feed_oldest(runtime_feed(e->api->rt))), &s->queue);
    return subscribe(s, FEED_SINCE_OLDEST);
}

/* Subscribe from `since`; `gap` first if some behind it are gone. A number from an
 * earlier life of the node, larger than any now, is a gap as well. */
static int begin_stream(struct event_stream *s, uint64_t since, bool is_given)
{
    struct feed *feed = runtime_feed(s->request->rt);
    uint64_t oldest = feed_oldest(feed), newest = feed_newest(feed);
    struct events *e = s->request->api->events;
    uint64_t mark = mark_of(e);

    if (!is_given)
        return subscribe(s, 0);
    /* One that was never told of an event begins with a small number. */
    if (mark && since > 1 && since >> EVENTS_NUMBER_BITS != mark >> EVENTS_NUMBER_BITS)
        return begin_anew(s);
    since = mark && since <= 1 ? 0 : since - mark;
    if (since > newest) {
        sse_gap(events_number(e, newest + 1), &s->queue);
        return subscribe(s, 0);
    }
    if (since + 1 < oldest)
        sse_gap(events_number(e, oldest), &s->queue);
    if (since == newest)
        return subscribe(s, 0);
    return subscribe(s, since + 1 < oldest || since == 0 ? FEED_SINCE_OLDEST : since);
}

int events_get(struct request *r)
{
    const char *run = request_query(r, "run"), *steps = request_query(r, "step");
    struct event_stream *s;
    uint64_t since;
    unsigned types;
    bool is_given;
    int error;

    if (!read_since(r, &since, &is_given) || !read_types(r, &types)
        || (run && !request_find_run(r, run)))
        return 0;
    s = request_data(r, sizeof(*s), stream_release);
    if (!s)
        return -ENOMEM;
    s->request = r;
    s->is_of_run = run != NULL;
    s->types = types;
    s->queue = BUFFER_INIT;
    stream_enlist(r->api->events, s);
    s->steps = steps ? words_of(steps) : NULL;
    if (steps && !s->steps)
        return -ENOMEM;
    /* The first byte tells the client that it is subscribed. */
    error = sse_heartbeat(&s->queue);
    if (error == 0)
        error = start_timers(r->api->events);
    if (error == 0)
        error = begin_stream(s, since, is_given);
    if (error < 0)
        return error;
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    r->reply.read = read_events;
    return reply_body(r, MHD_HTTP_OK, "text/event-stream");
}
