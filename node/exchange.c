/* SPDX-License-Identifier: Apache-2.0 */
#include "node/exchange.h"

#include <errno.h>
#include <string.h>

#include "node/exchange_internal.h"

enum { FIND_IDS_MAX = 512 };

time_us exchange_now(const struct exchange *x)
{
    return x->config.now(x->config.arg);
}

int exchange_send(struct exchange *x, const struct node_id *peer,
                  const struct message *m, bool is_bulk)
{
    return x->config.send(x->config.arg, peer, m, is_bulk);
}

struct exchange *exchange_new(const struct exchange_config *config)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->config = *config;
    x->fetch = fetch_new(&config->self, config->seed);
    if (!x->fetch) {
        free(x);
        return NULL;
    }
    return x;
}

/* ---- wants ---- */

static void unlink_want(struct exchange *x, struct exchange_want *w)
{
    if (w->next)
        w->next->prev = w->prev;
    if (w->prev)
        w->prev->next = w->next;
    else if (x->wants == w)
        x->wants = w->next;
    w->next = w->prev = NULL;
}

static void free_want(struct exchange *x, struct exchange_want *w)
{
    for (size_t i = 0; i < w->n_pinned; i++)
        blobs_unpin(x->config.blobs, &w->ids[i]);
    unlink_want(x, w);
    free(w->ids);
    free(w->hints);
    free(w->refs);
    free(w);
}

static void release(struct exchange *x)
{
    give_release(x);
    fetch_outbox_release(&x->out);
    fetch_free(x->fetch);
    free(x);
}

void exchange_free(struct exchange *x)
{
    struct download *d, *next;

    if (!x)
        return;
    x->is_stopping = true;
    HASH_ITER (hh, x->downloads, d, next) {
        d->refs = NULL;
        download_drop(x, d);
    }
    while (x->wants)
        free_want(x, x->wants);
    if (x->n_jobs == 0)
        release(x);
}

void exchange_start(struct exchange *x, uv_work_t *work, uv_work_cb run,
                    uv_after_work_cb after)
{
    x->n_jobs++;
    uv_queue_work(x->config.loop, work, run, after);
}

bool exchange_end_job(struct exchange *x)
{
    x->n_jobs--;
    if (x->is_stopping && x->n_jobs == 0)
        release(x);
    else if (!x->is_stopping)
        return false;
    return true;
}

static void *copy_of(const void *items, size_t n, size_t size)
{
    void *copy = malloc(n * size + 1);

    if (copy && n)
        memcpy(copy, items, n * size);
    return copy;
}

static struct exchange_want *make_want(struct exchange *x, const struct digest *ids,
                                       size_t n, const struct node_id *hints,
                                       size_t n_hints)
{
    struct exchange_want *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->exchange = x;
    w->n_ids = n;
    w->n_hints = n_hints;
    w->ids = copy_of(ids, n, sizeof(*ids));
    w->hints = copy_of(hints, n_hints, sizeof(*hints));
    w->refs = calloc(n, sizeof(*w->refs));
    if (w->ids && w->hints && w->refs)
        return w;
    free_want(x, w);
    return NULL;
}

static void add_ref(struct download *d, struct exchange_want *w, size_t i)
{
    w->refs[i] = (struct want_ref){ .want = w, .download = d, .next = d->refs };
    d->refs = &w->refs[i];
    w->n_left++;
}

/* Take the want's references out of every download; those that nobody else wants end,
 * but what is all here is kept. */
static void leave(struct exchange *x, struct exchange_want *w)
{
    for (size_t i = 0; i < w->n_ids; i++) {
        struct download *d = w->refs[i].download;
        struct want_ref **at = d ? &d->refs : NULL;

        if (!d)
            continue;
        while (*at != &w->refs[i])
            at = &(*at)->next;
        *at = w->refs[i].next;
        if (d->refs || d->is_ended)
            continue;
        fetch_drop(x->fetch, &d->id);
        download_drop(x, d);
    }
}

static int hand_over(struct exchange *x, struct download *d,
                     const struct exchange_want *w)
{
    return fetch_want(x->fetch, &d->id, w->hints, w->n_hints, exchange_now(x), &x->out);
}

/* Those that wait are handed to the planner when it has room. */
static void admit(struct exchange *x)
{
    while (x->waiting && fetch_blobs(x->fetch) < FETCH_BLOBS_MAX) {
        struct download *d = x->waiting;

        DL_DELETE(x->waiting, d);
        d->is_waiting = false;
        if (hand_over(x, d, d->refs->want) < 0)
            x->error = -ENOMEM;
    }
}

static int want_one(struct exchange *x, struct exchange_want *w, size_t i)
{
    struct download *d = download_find(x, &w->ids[i]);
    int r;

    if (!d)
        d = download_add(x, &w->ids[i]);
    if (!d)
        return -ENOMEM;
    add_ref(d, w, i);
    if (d->is_ended || d->is_waiting)
        return 0;
    r = hand_over(x, d, w);
    if (r != -ENOSPC)
        return r;
    DL_APPEND(x->waiting, d);
    d->is_waiting = true;
    return 0;
}

static int want_all(struct exchange *x, struct exchange_want *w)
{
    for (size_t i = 0; i < w->n_ids; i++) {
        uint64_t size;
        int r = blobs_pin(x->config.blobs, &w->ids[i]);

        if (r < 0)
            return r;
        w->n_pinned++;
        if (blobs_stat(x->config.blobs, &w->ids[i], &size) == 0)
            continue;
        r = want_one(x, w, i);
        if (r < 0)
            return r;
    }
    return 0;
}

int exchange_want(struct exchange *x, const struct digest *ids, size_t n,
                  const struct node_id *hints, size_t n_hints,
                  void (*done)(void *arg, int status, const struct digest *failed),
                  void *arg, struct exchange_want **ret_want)
{
    struct exchange_want *w;
    int r;

    if (n == 0)
        return 1;
    w = make_want(x, ids, n, hints, n_hints);
    if (!w)
        return -ENOMEM;
    r = want_all(x, w);
    if (r < 0)
        leave(x, w);
    if (r < 0 || w->n_left == 0) {
        free_want(x, w);
        exchange_apply(x);
        return r < 0 ? r : 1;
    }
    w->done = done;
    w->arg = arg;
    w->next = x->wants;
    if (w->next)
        w->next->prev = w;
    x->wants = w;
    *ret_want = w;
    exchange_apply(x);
    return 0;
}

void exchange_cancel(struct exchange *x, struct exchange_want *want)
{
    leave(x, want);
    free_want(x, want);
    exchange_apply(x);
}

void exchange_conclude(struct exchange *x, struct download *d, int status)
{
    struct digest id = d->id;

    /* Who is told may want it again, or cancel what else waits for it. */
    d->is_ended = true;
    d->n_jobs++;
    download_drop(x, d);
    x->counts.n_lost += status < 0;
    while (d->refs && !x->is_stopping) {
        struct exchange_want *w = d->refs->want;
        struct want_ref *ref = d->refs;

        d->refs = ref->next;
        ref->download = NULL;
        if (status < 0 && w->status == 0) {
            w->status = status;
            w->failed = id;
        }
        if (--w->n_left > 0)
            continue;
        unlink_want(x, w);
        w->done(w->arg, w->status, &w->failed);
        free_want(x, w);
    }
    download_unref(x, d);
}

/* ---- what the planner wants ---- */

/* What one peer is asked whether it has goes in one message. */
static void send_find(struct exchange *x, struct fetch_action *actions, size_t n)
{
    struct digest ids[FIND_IDS_MAX];
    struct message m = { .type = MESSAGE_BLOB_FIND };
    struct node_id peer = actions[0].peer;

    m.u.blob_find.ids = ids;
    for (size_t i = 0; i < n && m.u.blob_find.n_ids < FIND_IDS_MAX; i++) {
        if (actions[i].type != FETCH_FIND || !node_id_equal(&actions[i].peer, &peer))
            continue;
        ids[m.u.blob_find.n_ids++] = actions[i].id;
        actions[i].type = 0;
    }
    (void)exchange_send(x, &peer, &m, false);
}

static void note(struct exchange *x, int r)
{
    if (r == -ENOMEM)
        x->error = r;
}

static void send_get(struct exchange *x, const struct fetch_action *a)
{
    struct message m = { .type = MESSAGE_BLOB_GET };
    int r;

    m.u.blob_get = (struct blob_get_message){
        .request = a->request, .id = a->id, .part = a->part, .offset = a->offset
    };
    r = exchange_send(x, &a->peer, &m, true);
    if (r < 0)
        note(x, fetch_on_unsent(x->fetch, a->request, r == -EAGAIN, exchange_now(x),
                                &x->out));
}

static void apply(struct exchange *x, struct fetch_action *actions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (actions[i].type == FETCH_GET)
            send_get(x, &actions[i]);
        else if (actions[i].type == FETCH_FIND)
            send_find(x, &actions[i], n - i);
        else if (actions[i].type == FETCH_ENDED)
            download_on_ended(x, &actions[i].id, actions[i].status);
    }
}

void exchange_apply(struct exchange *x)
{
    if (x->is_applying)
        return;
    x->is_applying = true;
    admit(x);
    while (x->out.n) {
        struct fetch_outbox batch = x->out;

        x->out = (struct fetch_outbox){ .actions = NULL };
        apply(x, batch.actions, batch.n);
        fetch_outbox_release(&batch);
        admit(x);
    }
    x->is_applying = false;
}

/* ---- events ---- */

void exchange_on_connected(struct exchange *x, const struct node_id *peer)
{
    note(x, fetch_on_connected(x->fetch, peer, exchange_now(x), &x->out));
    exchange_apply(x);
}

void exchange_on_disconnected(struct exchange *x, const struct node_id *peer)
{
    give_on_disconnected(x, peer);
    note(x, fetch_on_disconnected(x->fetch, peer, exchange_now(x), &x->out));
    exchange_apply(x);
}

void exchange_on_message(struct exchange *x, const struct node_id *from,
                         struct message *m)
{
    switch (m->type) {
    case MESSAGE_BLOB_FIND:
        give_on_find(x, from, &m->u.blob_find);
        break;
    case MESSAGE_BLOB_GET:
        give_on_get(x, from, &m->u.blob_get);
        break;
    case MESSAGE_BLOB_HOLDERS:
        note(x, fetch_on_holders(x->fetch, from, &m->u.blob_holders, exchange_now(x),
                                 &x->out));
        break;
    case MESSAGE_BLOB_DATA:
        download_on_data(x, from, m);
        break;
    default:
        return;
    }
    exchange_apply(x);
}

void exchange_on_writable(struct exchange *x, const struct node_id *peer)
{
    give_on_writable(x, peer);
    note(x, fetch_on_writable(x->fetch, peer, exchange_now(x), &x->out));
    exchange_apply(x);
}

void exchange_on_tick(struct exchange *x)
{
    note(x, fetch_on_tick(x->fetch, exchange_now(x), &x->out));
    give_next(x);
    exchange_apply(x);
}

time_us exchange_deadline(const struct exchange *x)
{
    time_us at = fetch_deadline(x->fetch);

    for (const struct give_peer *p = x->givers; p; p = p->hh.next)
        if (p->blocked_since && p->blocked_until < at)
            at = p->blocked_until;
    return at;
}

int exchange_error(const struct exchange *x)
{
    return x->error;
}

void exchange_count(const struct exchange *x, struct exchange_counts *ret)
{
    *ret = x->counts;
    ret->n_getting = HASH_COUNT(x->downloads);
    ret->in_flight = fetch_in_flight(x->fetch);
    ret->n_queued = x->n_queued;
}
