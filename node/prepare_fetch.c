/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/prepare_internal.h"

enum { TRIES_MAX = 8, DELAY_SHIFT_MAX = 6 };

static const time_us ANSWER_MAX = TIME_S(2), GIVE_UP = TIME_S(10);
static const time_us DELAY_MIN = TIME_MS(1);

static struct fetch **list_of(struct preparer *p, enum fetch_state state)
{
    switch (state) {
    case FETCH_QUEUED:
        return &p->queued;
    case FETCH_ASKED:
        return &p->asked;
    case FETCH_LATER:
        return &p->later;
    case FETCH_DONE:
        break;
    }
    return NULL;
}

static void move(struct preparer *p, struct fetch *f, enum fetch_state state)
{
    struct fetch **from = f->state ? list_of(p, f->state) : NULL;
    struct fetch **to = list_of(p, state);

    if (from)
        DL_DELETE(*from, f);
    p->n_asked -= f->state == FETCH_ASKED;
    f->state = state;
    p->n_asked += state == FETCH_ASKED;
    if (to)
        DL_APPEND(*to, f);
}

void fetch_free(struct preparer *p, struct fetch *f)
{
    struct fetch **list = list_of(p, f->state);

    if (list)
        DL_DELETE(*list, f);
    p->n_asked -= f->state == FETCH_ASKED;
    HASH_DELETE(hh, p->fetches, f);
    buffer_release(&f->from);
    witness_sum_release(&f->sum);
    free(f->waiters.all);
    free(f);
}

/* The oldest that nobody waits for goes: it is asked for again if it is needed. */
static void make_room(struct preparer *p)
{
    struct fetch *f, *next;

    if (HASH_COUNT(p->fetches) < PREPARE_RANGES_MAX)
        return;
    HASH_ITER (hh, p->fetches, f, next)
        if (f->state == FETCH_DONE) {
            fetch_free(p, f);
            return;
        }
}

static struct fetch *add(struct preparer *p, const struct fetch_order *order,
                         time_us now)
{
    struct fetch *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    make_room(p);
    f->prefix.len = order->prefix.len;
    memcpy(f->prefix.bytes, order->prefix.bytes, order->prefix.len);
    f->run = order->run;
    f->leader = order->leader;
    f->is_run = order->is_run;
    f->give_up = now + GIVE_UP;
    HASH_ADD(hh, p->fetches, prefix, sizeof(f->prefix), f);
    move(p, f, FETCH_QUEUED);
    return f;
}

int fetch_get(struct preparer *p, const struct fetch_order *order, time_us now,
              struct digest *ret_part)
{
    struct record_key prefix;
    struct fetch *f;

    memset(&prefix, 0, sizeof(prefix)); /* all of it is compared */
    prefix.len = order->prefix.len;
    memcpy(prefix.bytes, order->prefix.bytes, order->prefix.len);
    HASH_FIND(hh, p->fetches, &prefix, sizeof(prefix), f);
    if (f && f->state == FETCH_DONE) {
        *ret_part = f->part;
        return 1;
    }
    if (!f)
        f = add(p, order, now);
    return f ? waiters_add(&f->waiters, &order->waiter) : -ENOMEM;
}

/* It is out of the table first: whoever is told may ask for the same again. */
static int end(struct preparer *p, struct fetch *f, int status, time_us now)
{
    struct waiters w = f->waiters;
    int r = 0;

    f->waiters = (struct waiters){ .all = NULL };
    if (status < 0)
        fetch_free(p, f);
    else
        move(p, f, FETCH_DONE);
    for (size_t i = 0; r == 0 && i < w.n; i++)
        r = preparer_wake(p, &w.all[i], status, "the records of its run cannot be had",
                          now);
    free(w.all);
    return r;
}

/* ---- asking ---- */

/* The leader, then the homes in turn, with the leader between them. */
static struct node_id whom(const struct preparer *p, const struct fetch *f)
{
    struct node_id homes[HOMES_MAX];
    size_t n;

    if (f->n_tries % 2 == 0)
        return f->leader;
    n = p->ops.find_homes(p->ops.arg, &f->run, homes);
    return n ? homes[f->n_tries / 2 % n] : f->leader;
}

static int ask(struct preparer *p, struct fetch *f, time_us now)
{
    struct records_get_message get = { .request = ++p->last_request,
                                       .run = f->run,
                                       .from = (uint8_t *)f->from.data,
                                       .from_len = f->from.len,
                                       .prefix = f->prefix.bytes,
                                       .prefix_len = f->prefix.len,
                                       .bytes_max = PREPARE_PART_BYTES };

    for (; f->n_tries < TRIES_MAX && now < f->give_up; f->n_tries++) {
        f->asked = whom(p, f);
        if (p->ops.get_records(p->ops.arg, &f->asked, &get) < 0)
            continue;
        f->request = get.request;
        f->at = now + ANSWER_MAX;
        move(p, f, FETCH_ASKED);
        return 0;
    }
    return end(p, f, -EHOSTUNREACH, now);
}

int fetches_go(struct preparer *p, time_us now)
{
    int r = 0;

    while (r == 0 && p->queued && p->n_asked < PREPARE_ASKED_MAX)
        r = ask(p, p->queued, now);
    return r;
}

static int ask_another(struct preparer *p, struct fetch *f, time_us now)
{
    f->n_tries++;
    return ask(p, f, now);
}

/* ---- answers ---- */

/* What begins with another prefix is no answer to what was asked, and what is no record
 * would spoil the store for all that read it. */
static int add_records(struct fetch *f, const struct records_message *m)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_entries; i++) {
        const struct log_entry *e = &m->entries[i];

        if (e->is_delete || e->key_len < f->prefix.len || e->key_len > RECORD_KEY_MAX
            || memcmp(e->key, f->prefix.bytes, f->prefix.len) != 0)
            return -EBADMSG;
        if (!f->is_run)
            r = witness_sum_add(&f->sum, e->key, e->key_len, e->value, e->value_len);
    }
    return r;
}

static void begin_again(struct fetch *f)
{
    witness_sum_release(&f->sum);
    f->sum = (struct witness_sum){ .n = 0 };
    buffer_clear(&f->from);
}

/* Keys go on behind the last one: it with a zero byte. */
static int go_on(struct preparer *p, struct fetch *f, const struct records_message *m,
                 time_us now)
{
    const struct log_entry *last = &m->entries[m->n_entries - 1];

    buffer_clear(&f->from);
    buffer_append(&f->from, last->key, last->key_len);
    buffer_append(&f->from, "", 1);
    if (buffer_failed(&f->from))
        return buffer_failed(&f->from);
    f->n_tries = 0;
    f->give_up = now + GIVE_UP;
    return ask(p, f, now);
}

/* A moment later, and longer each time. */
static int delay(struct preparer *p, struct fetch *f, time_us now)
{
    unsigned shift = f->n_delays < DELAY_SHIFT_MAX ? f->n_delays : DELAY_SHIFT_MAX;

    begin_again(f);
    f->n_delays++;
    f->at = now + (DELAY_MIN << shift);
    move(p, f, FETCH_LATER);
    return 0;
}

static int take_run(struct preparer *p, struct fetch *f,
                    const struct records_message *m, time_us now)
{
    struct run_id run = f->run;

    if (m->n_entries == 0)
        return ask_another(p, f, now);
    fetch_free(p, f); /* nobody waits for it but the opening */
    return preparer_on_run_record(p, &run, &m->entries[0], now);
}

static int take(struct preparer *p, struct fetch *f, const struct records_message *m,
                time_us now)
{
    uint64_t n;
    int r = add_records(f, m);

    if (r == 0 && f->is_run)
        return take_run(p, f, m, now);
    if (r == 0 && m->n_entries)
        r = p->ops.keep(p->ops.arg, &f->run, m->entries, m->n_entries);
    if (r == -ENOMEM)
        return r;
    if (r == -EAGAIN)
        return delay(p, f, now);
    if (r < 0) {
        begin_again(f);
        return ask_another(p, f, now);
    }
    if (m->has_more && m->n_entries)
        return go_on(p, f, m, now);
    witness_sum_end(&f->sum, &f->part, &n);
    begin_again(f);
    return end(p, f, 0, now);
}

static struct fetch *find_asked(struct preparer *p, const struct node_id *from,
                                uint64_t request)
{
    struct fetch *f;

    DL_FOREACH(p->asked, f)
    if (f->request == request && node_id_equal(&f->asked, from))
        return f;
    return NULL;
}

int preparer_on_records(struct preparer *p, const struct node_id *from,
                        const struct records_message *m, time_us now)
{
    struct fetch *f = find_asked(p, from, m->request);
    int r;

    if (!f)
        return 0; /* it was asked for elsewhere since, or nobody wants it any more */
    if (m->status == 0)
        r = take(p, f, m, now);
    else {
        if (m->status == -EAGAIN && !node_id_is_none(&m->leader))
            f->leader = m->leader;
        begin_again(f);
        r = ask_another(p, f, now);
    }
    return r < 0 ? r : preparer_on_tick(p, now);
}

int preparer_on_gone(struct preparer *p, const struct node_id *peer, time_us now)
{
    struct fetch *f, *next;
    int r = 0;

    DL_FOREACH_SAFE(p->asked, f, next)
    if (r == 0 && node_id_equal(&f->asked, peer))
        r = ask_another(p, f, now);
    return r < 0 ? r : preparer_on_tick(p, now);
}

int fetches_on_tick(struct preparer *p, time_us now)
{
    struct fetch *f, *next;
    int r = 0;

    DL_FOREACH_SAFE(p->asked, f, next)
    if (r == 0 && f->at <= now)
        r = ask_another(p, f, now);
    DL_FOREACH_SAFE(p->later, f, next)
    if (r == 0 && f->at <= now)
        r = ask(p, f, now);
    return r < 0 ? r : fetches_go(p, now);
}

time_us preparer_deadline(const struct preparer *p)
{
    time_us at = TIME_NEVER;
    const struct fetch *f;

    DL_FOREACH(p->asked, f)
    at = f->at < at ? f->at : at;
    DL_FOREACH(p->later, f)
    at = f->at < at ? f->at : at;
    return at;
}
