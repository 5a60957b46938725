/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/prepare_internal.h"

enum { DELAY_SHIFT_MAX = 6 };

static const time_us ANSWER_MAX = TIME_S(2), GIVE_UP = TIME_S(10);
static const time_us DELAY_MIN = TIME_MS(1);

static struct range **list_of(struct preparer *p, enum range_state state)
{
    switch (state) {
    case RANGE_QUEUED:
        return &p->queued;
    case RANGE_ASKED:
        return &p->asked;
    case RANGE_LATER:
        return &p->later;
    case RANGE_DONE:
        break;
    }
    return NULL;
}

static void move(struct preparer *p, struct range *range, enum range_state state)
{
    struct range **from = range->state ? list_of(p, range->state) : NULL;
    struct range **to = list_of(p, state);

    if (from)
        DL_DELETE(*from, range);
    p->n_asked -= range->state == RANGE_ASKED;
    range->state = state;
    p->n_asked += state == RANGE_ASKED;
    if (to)
        DL_APPEND(*to, range);
}

void range_free(struct preparer *p, struct range *range)
{
    struct range **list = list_of(p, range->state);

    if (list)
        DL_DELETE(*list, range);
    p->n_asked -= range->state == RANGE_ASKED;
    HASH_DELETE(hh, p->ranges, range);
    buffer_release(&range->from);
    witness_sum_release(&range->sum);
    free(range->waiters.all);
    free(range);
}

/* The oldest that nobody waits for goes: it is asked for again if it is needed. */
static void make_room(struct preparer *p)
{
    struct range *range, *next;

    if (HASH_COUNT(p->ranges) < PREPARE_RANGES_MAX)
        return;
    HASH_ITER (hh, p->ranges, range, next)
        if (range->state == RANGE_DONE) {
            range_free(p, range);
            return;
        }
}

static struct range *add(struct preparer *p, const struct range_order *order,
                         time_us now)
{
    struct range *range = calloc(1, sizeof(*range));

    if (!range)
        return NULL;
    make_room(p);
    range->prefix.len = order->prefix.len;
    memcpy(range->prefix.bytes, order->prefix.bytes, order->prefix.len);
    range->run = order->run;
    range->leader = order->leader;
    range->is_run = order->is_run;
    range->give_up = now + GIVE_UP;
    HASH_ADD(hh, p->ranges, prefix, sizeof(range->prefix), range);
    move(p, range, RANGE_QUEUED);
    return range;
}

int range_get(struct preparer *p, const struct range_order *order, time_us now,
              struct digest *ret_part)
{
    struct record_key prefix;
    struct range *range;

    memset(&prefix, 0, sizeof(prefix)); /* all of it is compared */
    prefix.len = order->prefix.len;
    memcpy(prefix.bytes, order->prefix.bytes, order->prefix.len);
    HASH_FIND(hh, p->ranges, &prefix, sizeof(prefix), range);
    if (range && range->state == RANGE_DONE) {
        *ret_part = range->part;
        return 1;
    }
    if (!range)
        range = add(p, order, now);
    return range ? waiters_add(&range->waiters, &order->waiter) : -ENOMEM;
}

/* It is out of the table first: whoever is told may ask for the same again. */
static int end(struct preparer *p, struct range *range, int status, time_us now)
{
    struct waiters w = range->waiters;
    int r = 0;

    range->waiters = (struct waiters){ .all = NULL };
    if (status < 0)
        range_free(p, range);
    else
        move(p, range, RANGE_DONE);
    for (size_t i = 0; r == 0 && i < w.n; i++)
        r = preparer_wake(p, &w.all[i], status, "the records of its run cannot be had",
                          now);
    free(w.all);
    return r;
}

/* ---- asking ---- */

/* The leader, then the homes in turn, with the leader between them. */
static struct node_id whom(const struct preparer *p, const struct range *range)
{
    struct node_id homes[HOMES_MAX];
    size_t n;

    if (range->n_tries % 2 == 0)
        return range->leader;
    n = p->ops.find_homes(p->ops.arg, &range->run, homes);
    return n ? homes[range->n_tries / 2 % n] : range->leader;
}

static void begin_again(struct range *range)
{
    witness_sum_release(&range->sum);
    range->sum = (struct witness_sum){ .n = 0 };
    buffer_clear(&range->from);
}

/* A moment later, and longer each time: a home may be behind, a new run not decided
 * yet, and a leader be about to be another. */
static int delay(struct preparer *p, struct range *range, time_us now)
{
    unsigned shift =
        range->n_delays < DELAY_SHIFT_MAX ? range->n_delays : DELAY_SHIFT_MAX;

    begin_again(range);
    if (now >= range->give_up)
        return end(p, range, -EHOSTUNREACH, now);
    range->n_delays++;
    range->at = now + (DELAY_MIN << shift);
    move(p, range, RANGE_LATER);
    return 0;
}

/* Two at once, the leader and a home, as long as nobody is there. */
static int ask(struct preparer *p, struct range *range, time_us now)
{
    struct records_get_message get = { .request = ++p->last_request,
                                       .run = range->run,
                                       .from = (uint8_t *)range->from.data,
                                       .from_len = range->from.len,
                                       .prefix = range->prefix.bytes,
                                       .prefix_len = range->prefix.len,
                                       .bytes_max = PREPARE_PART_BYTES };

    for (int i = 0; i < 2 && now < range->give_up; i++, range->n_tries++) {
        range->asked = whom(p, range);
        if (p->ops.get_records(p->ops.arg, &range->asked, &get) < 0)
            continue;
        range->request = get.request;
        range->at = now + ANSWER_MAX;
        move(p, range, RANGE_ASKED);
        return 0;
    }
    return delay(p, range, now);
}

int ranges_go(struct preparer *p, time_us now)
{
    int r = 0;

    while (r == 0 && p->queued && p->n_asked < PREPARE_ASKED_MAX)
        r = ask(p, p->queued, now);
    return r;
}

static int ask_another(struct preparer *p, struct range *range, time_us now)
{
    begin_again(range);
    return ++range->n_tries % 2 ? ask(p, range, now) : delay(p, range, now);
}

/* ---- answers ---- */

/* What begins with another prefix is no answer to what was asked, and what is no record
 * would spoil the store for all that read it. */
static int add_records(struct range *range, const struct records_message *m)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_entries; i++) {
        const struct log_entry *e = &m->entries[i];

        if (e->is_delete || e->key_len < range->prefix.len
            || e->key_len > RECORD_KEY_MAX
            || memcmp(e->key, range->prefix.bytes, range->prefix.len) != 0)
            return -EBADMSG;
        if (!range->is_run)
            r = witness_sum_add(&range->sum, e->key, e->key_len, e->value,
                                e->value_len);
    }
    return r;
}

/* Keys go on behind the last one: it with a zero byte. */
static int go_on(struct preparer *p, struct range *range,
                 const struct records_message *m, time_us now)
{
    const struct log_entry *last = &m->entries[m->n_entries - 1];

    buffer_clear(&range->from);
    buffer_append(&range->from, last->key, last->key_len);
    buffer_append(&range->from, "", 1);
    if (buffer_failed(&range->from))
        return buffer_failed(&range->from);
    range->n_tries = 0;
    range->give_up = now + GIVE_UP;
    return ask(p, range, now);
}

static int take_run(struct preparer *p, struct range *range,
                    const struct records_message *m, time_us now)
{
    struct run_id run = range->run;

    if (m->n_entries == 0)
        return delay(p, range, now);
    range_free(p, range); /* nobody waits for it but the opening */
    return preparer_on_run_record(p, &run, &m->entries[0], now);
}

static int take(struct preparer *p, struct range *range,
                const struct records_message *m, time_us now)
{
    uint64_t n;
    int r = add_records(range, m);

    if (r == 0 && range->is_run)
        return take_run(p, range, m, now);
    if (r == 0 && m->n_entries)
        r = p->ops.keep(p->ops.arg, &range->run, m->entries, m->n_entries);
    if (r == -ENOMEM)
        return r;
    if (r == -EAGAIN)
        return delay(p, range, now);
    if (r < 0)
        return ask_another(p, range, now);
    if (m->has_more && m->n_entries)
        return go_on(p, range, m, now);
    witness_sum_end(&range->sum, &range->part, &n);
    begin_again(range);
    return end(p, range, 0, now);
}

static struct range *find_asked(struct preparer *p, const struct node_id *from,
                                uint64_t request)
{
    struct range *range;

    DL_FOREACH(p->asked, range)
    if (range->request == request && node_id_equal(&range->asked, from))
        return range;
    return NULL;
}

int preparer_on_records(struct preparer *p, const struct node_id *from,
                        const struct records_message *m, time_us now)
{
    struct range *range = find_asked(p, from, m->request);
    int r;

    if (!range)
        return 0; /* it was asked for elsewhere since, or nobody wants it any more */
    if (m->status == 0)
        r = take(p, range, m, now);
    else {
        if (m->status == -EAGAIN && !node_id_is_none(&m->leader))
            range->leader = m->leader;
        r = ask_another(p, range, now);
    }
    return r < 0 ? r : preparer_on_tick(p, now);
}

int preparer_on_gone(struct preparer *p, const struct node_id *peer, time_us now)
{
    struct range *range, *next;
    int r = 0;

    DL_FOREACH_SAFE(p->asked, range, next)
    if (r == 0 && node_id_equal(&range->asked, peer))
        r = ask_another(p, range, now);
    return r < 0 ? r : preparer_on_tick(p, now);
}

int ranges_on_tick(struct preparer *p, time_us now)
{
    struct range *range, *next;
    int r = 0;

    DL_FOREACH_SAFE(p->asked, range, next)
    if (r == 0 && range->at <= now)
        r = ask_another(p, range, now);
    DL_FOREACH_SAFE(p->later, range, next)
    if (r == 0 && range->at <= now)
        r = ask(p, range, now);
    return r < 0 ? r : ranges_go(p, now);
}

time_us preparer_deadline(const struct preparer *p)
{
    time_us at = TIME_NEVER;
    const struct range *range;

    DL_FOREACH(p->asked, range)
    at = range->at < at ? range->at : at;
    DL_FOREACH(p->later, range)
    at = range->at < at ? range->at : at;
    return at;
}
