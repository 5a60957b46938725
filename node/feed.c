/* SPDX-License-Identifier: Apache-2.0 */
/* Events are copied into entries of one form: first into a queue until their ticket is
 * durable, then into the ring, where old ones make room.
 *
 *     ring   ..free..| entry | entry | entry |..free..
 *                    ^ head                  ^ tail
 *
 * head and tail only grow; their place is what is left modulo FEED_RING_BYTES. No entry
 * wraps around: a filler takes what remains at the end. */
#include "node/feed.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_KEEP_BYTES = 256 << 10 };

struct entry {
    uint32_t size;  /* of all of it, a multiple of 8 */
    bool is_filler; /* then nothing follows that can be read */
    /* Where the bytes are, counted from the entry, because entries move; 0: NULL. */
    uint32_t data_at, step_at, message_at, flow_at, node_at;
    uint64_t ticket;
    struct feed_event event;
};

enum { FILLER_SIZE_MIN = 8 };
static_assert(offsetof(struct entry, data_at) <= FILLER_SIZE_MIN, "a filler must fit");
static_assert(sizeof(struct entry) + FEED_DATA_MAX + 3 * (FEED_TEXT_MAX + 1)
                  < FEED_RING_BYTES / 8,
              "the ring must hold several of the largest entries");

struct feed_subscriber {
    struct feed_subscriber *next;
    void (*each)(void *arg, const struct feed_event *event); /* NULL: unsubscribed */
    void *arg;
    struct run_id run;
    bool is_of_run;
    uint64_t next_seq; /* the first one it has not seen */
};

struct feed {
    char *ring;
    uint64_t head, tail;
    uint64_t oldest, newest; /* sequence numbers in the ring */
    uint64_t published;      /* the last sequence number given */

    char *queue; /* entries that wait, at [queue_head, queue_tail) */
    size_t queue_head, queue_tail, queue_cap;
    uint64_t durable;

    struct feed_subscriber *subscribers; /* in the order they came */
    bool is_busy; /* callbacks run: neither ring nor list may move */
    bool has_unsubscribed;
};

struct feed *feed_new(void)
{
    struct feed *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->oldest = 1;
    f->ring = malloc(FEED_RING_BYTES);
    if (!f->ring) {
        free(f);
        return NULL;
    }
    return f;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    while (f->subscribers) {
        struct feed_subscriber *s = f->subscribers;

        f->subscribers = s->next;
        free(s);
    }
    free(f->ring);
    free(f->queue);
    free(f);
}

/* ---- entries ---- */

struct texts {
    size_t step, message, flow, node; /* lengths with the NUL; 0: NULL */
};

/* Cut in front of a character, not within it. */
static size_t text_size(const char *text)
{
    size_t len;

    if (!text)
        return 0;
    len = strnlen(text, FEED_TEXT_MAX);
    if (len == FEED_TEXT_MAX)
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    return len + 1;
}

static size_t entry_size(const struct texts *t, size_t data_len)
{
    size_t size =
        sizeof(struct entry) + data_len + t->step + t->message + t->flow + t->node;

    return (size + 7) & ~(size_t)7;
}

static uint32_t entry_put(struct entry *e, size_t *at, const char *bytes, size_t len)
{
    uint32_t here = (uint32_t)*at;

    memcpy((char *)e + here, bytes, len);
    *at += len;
    return here;
}

static uint32_t entry_put_text(struct entry *e, size_t *at, const char *text,
                               size_t size)
{
    uint32_t here;

    if (!text)
        return 0;
    here = entry_put(e, at, text, size - 1);
    ((char *)e)[(*at)++] = '\0';
    return here;
}

static void entry_fill(struct entry *e, const struct feed_event *event,
                       const struct texts *t, const char *data, size_t data_len)
{
    size_t at = sizeof(*e);

    e->size = (uint32_t)entry_size(t, data_len);
    e->is_filler = false;
    e->event = *event;
    e->event.len = data_len;
    e->data_at = data ? entry_put(e, &at, data, data_len) : 0;
    e->step_at = entry_put_text(e, &at, event->step, t->step);
    e->message_at = entry_put_text(e, &at, event->message, t->message);
    e->flow_at = entry_put_text(e, &at, event->flow, t->flow);
    e->node_at = entry_put_text(e, &at, event->node, t->node);
}

static struct feed_event entry_event(const struct entry *e)
{
    const char *base = (const char *)e;
    struct feed_event event = e->event;

    event.data = e->data_at ? base + e->data_at : NULL;
    event.step = e->step_at ? base + e->step_at : NULL;
    event.message = e->message_at ? base + e->message_at : NULL;
    event.flow = e->flow_at ? base + e->flow_at : NULL;
    event.node = e->node_at ? base + e->node_at : NULL;
    return event;
}

/* ---- the queue ---- */

static int queue_reserve(struct feed *f, size_t size)
{
    size_t used = f->queue_tail - f->queue_head, cap = f->queue_cap;
    char *queue;

    if (size <= cap - f->queue_tail)
        return 0;
    if (f->queue_head >= used && size <= cap - used) {
        memcpy(f->queue, f->queue + f->queue_head, used);
        f->queue_head = 0;
        f->queue_tail = used;
        return 0;
    }
    cap = cap ? cap : 16384;
    while (cap - f->queue_tail < size)
        cap *= 2;
    queue = realloc(f->queue, cap);
    if (!queue)
        return -ENOMEM;
    f->queue = queue;
    f->queue_cap = cap;
    return 0;
}

static void queue_pop(struct feed *f, size_t size)
{
    f->queue_head += size;
    if (f->queue_head < f->queue_tail)
        return;
    f->queue_head = f->queue_tail = 0;
    if (f->queue_cap > QUEUE_KEEP_BYTES) {
        free(TAKE(f->queue));
        f->queue_cap = 0;
    }
}

static void queue_push(struct feed *f, const struct feed_event *event,
                       const struct texts *t, const char *data, size_t len,
                       uint64_t ticket)
{
    struct entry *e = (struct entry *)(f->queue + f->queue_tail);

    entry_fill(e, event, t, data, len);
    e->ticket = ticket;
    e->event.seq = ++f->published;
    f->queue_tail += e->size;
}

/* ---- the ring ---- */

static struct entry *ring_at(const struct feed *f, uint64_t position)
{
    return (struct entry *)(f->ring + position % FEED_RING_BYTES);
}

/* Forget the oldest entries until `size` bytes are free. */
static void ring_forget(struct feed *f, size_t size)
{
    while (FEED_RING_BYTES - (f->tail - f->head) < size) {
        const struct entry *e = ring_at(f, f->head);

        if (!e->is_filler)
            f->oldest = e->event.seq + 1;
        f->head += e->size;
    }
}

static const struct entry *ring_push(struct feed *f, const struct entry *e)
{
    size_t rest = FEED_RING_BYTES - f->tail % FEED_RING_BYTES;
    struct entry *copy;

    if (rest < e->size) {
        ring_forget(f, rest);
        ring_at(f, f->tail)->size = (uint32_t)rest;
        ring_at(f, f->tail)->is_filler = true;
        f->tail += rest;
    }
    ring_forget(f, e->size);
    copy = ring_at(f, f->tail);
    memcpy(copy, e, e->size);
    f->tail += e->size;
    f->newest = e->event.seq;
    return copy;
}

/* ---- handing out ---- */

static void hand_to(struct feed_subscriber *s, const struct feed_event *event)
{
    if (!s->each || event->seq < s->next_seq)
        return;
    s->next_seq = event->seq + 1;
    if (!s->is_of_run || run_id_equal(&s->run, &event->run))
        s->each(s->arg, event);
}

static void forget_unsubscribed(struct feed *f)
{
    struct feed_subscriber **link = &f->subscribers;

    f->has_unsubscribed = false;
    while (*link) {
        struct feed_subscriber *s = *link;

        if (s->each) {
            link = &s->next;
        } else {
            *link = s->next;
            free(s);
        }
    }
}

static void hand_out(struct feed *f)
{
    if (f->is_busy)
        return;
    f->is_busy = true;
    while (f->queue_head < f->queue_tail) {
        const struct entry *e = (struct entry *)(f->queue + f->queue_head);
        struct feed_event event;

        if (e->ticket > f->durable)
            break;
        e = ring_push(f, e);
        queue_pop(f, e->size);
        if (!f->subscribers)
            continue;
        event = entry_event(e);
        for (struct feed_subscriber *s = f->subscribers; s; s = s->next)
            hand_to(s, &event);
    }
    f->is_busy = false;
    if (f->has_unsubscribed)
        forget_unsubscribed(f);
}

int feed_publish(struct feed *f, const struct feed_event *event, uint64_t ticket)
{
    struct texts t = { text_size(event->step), text_size(event->message),
                       text_size(event->flow), text_size(event->node) };
    size_t len = event->type == FEED_LOG ? event->len : 0;
    const char *data = len ? event->data : NULL;
    size_t whole = len / FEED_DATA_MAX, rest = len % FEED_DATA_MAX;
    int r;

    r = queue_reserve(f, whole * entry_size(&t, FEED_DATA_MAX) + entry_size(&t, rest));
    if (r < 0)
        return r;
    for (size_t i = 0; i < whole; i++)
        queue_push(f, event, &t, data + i * FEED_DATA_MAX, FEED_DATA_MAX, ticket);
    if (rest || !whole)
        queue_push(f, event, &t, data ? data + len - rest : NULL, rest, ticket);
    hand_out(f);
    return 0;
}

void feed_release(struct feed *f, uint64_t durable_ticket)
{
    if (durable_ticket > f->durable)
        f->durable = durable_ticket;
    hand_out(f);
}

/* ---- subscribers ---- */

/* What is in the ring and new to s. While callbacks run the ring stays as it is. */
static void replay(struct feed *f, struct feed_subscriber *s)
{
    for (uint64_t at = f->head; at < f->tail; at += ring_at(f, at)->size) {
        const struct entry *e = ring_at(f, at);
        struct feed_event event;

        if (e->is_filler || e->event.seq < s->next_seq)
            continue;
        event = entry_event(e);
        hand_to(s, &event);
    }
}

static uint64_t first_seq(const struct feed *f, uint64_t since)
{
    if (since == FEED_SINCE_OLDEST)
        return 1;
    return since == 0 || since > f->newest ? f->newest + 1 : since + 1;
}

struct feed_subscriber *
feed_subscribe(struct feed *f, const struct run_id *run, uint64_t since,
               void (*each)(void *arg, const struct feed_event *event), void *arg)
{
    struct feed_subscriber *s = calloc(1, sizeof(*s)), **link = &f->subscribers;
    bool was_busy = f->is_busy;

    if (!s)
        return NULL;
    s->each = each;
    s->arg = arg;
    s->is_of_run = run != NULL;
    if (run)
        s->run = *run;
    s->next_seq = first_seq(f, since);
    while (*link)
        link = &(*link)->next;
    *link = s;

    f->is_busy = true;
    replay(f, s);
    f->is_busy = was_busy;
    hand_out(f);
    return s;
}

void feed_unsubscribe(struct feed *f, struct feed_subscriber *s)
{
    if (!s)
        return;
    s->each = NULL;
    f->has_unsubscribed = true;
    if (!f->is_busy)
        forget_unsubscribed(f);
}

uint64_t feed_oldest(const struct feed *f)
{
    return f->oldest;
}

uint64_t feed_newest(const struct feed *f)
{
    return f->newest;
}
