/* SPDX-License-Identifier: Apache-2.0 */
/* Whole nodes' exchanges with real stores in one process, over a network that the test
 * is. Time passes only when nothing else can happen. */
#include "node/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "node/fetch.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/unit.h"

enum {
    NODES_MAX = 5,
    NO_HINT = NODES_MAX,
    LEAF = STORE_CHUNK_MAX,
    LARGE = BLOB_CHUNKED_MAX + 3 * LEAF + 77
};

enum { LINE_MAX_LETTERS = 4 }; /* that wait for one receiver, where there is a rate */

enum vice {
    VICE_NONE,
    VICE_MUTE,     /* takes questions, answers none */
    VICE_FLIP,     /* a bit of what it sends */
    VICE_SIZE,     /* says another size */
    VICE_SHORT,    /* sends less than it says */
    VICE_GONE,     /* cannot be reached */
    VICE_BUSY,     /* its queue is full, half of the time */
    VICE_CUTS_OFF, /* after some messages */
};

struct net;

struct place {
    struct net *net;
    struct node_id id;
    struct fixture store;
    struct exchange *exchange;
    enum vice vice;
    unsigned n_sent;
    time_us sends_until;
    unsigned n_served; /* leaves */
};

struct letter {
    struct place *from, *to;
    time_us at;
    bool is_bulk;
    struct buffer bytes;
    struct letter *next;
};

struct net {
    uv_loop_t loop;
    time_us now;
    struct prng prng;
    struct place places[NODES_MAX];
    size_t n;
    struct letter *first; /* in the order in which they arrive */
    unsigned loss_percent;
    unsigned bytes_per_us; /* that a node sends; 0: no end */
};

static time_us net_now(void *arg)
{
    return ((struct place *)arg)->net->now;
}

static struct place *find_place(struct net *net, const struct node_id *id)
{
    for (size_t i = 0; i < net->n; i++)
        if (node_id_equal(&net->places[i].id, id))
            return &net->places[i];
    return NULL;
}

/* What a faulty node does to what it sends; false: it sends nothing. */
static bool spoil(struct place *p, struct message *m)
{
    struct blob_data_message *d = &m->u.blob_data;

    if (m->type != MESSAGE_BLOB_DATA || d->status < 0)
        return true;
    p->n_served += d->part == BLOB_LEAF;
    if (p->vice == VICE_MUTE)
        return false;
    if (p->vice == VICE_FLIP && d->data_len)
        d->data[d->data_len / 2] ^= 1;
    if (p->vice == VICE_SIZE)
        d->size += 1;
    if (p->vice == VICE_SHORT && d->data_len)
        d->data_len -= 1;
    return true;
}

/* One letter after the other goes out of a node; those that are short pass the bulk. */
static void post(struct net *net, struct letter *l, bool is_bulk)
{
    struct letter **at = &net->first;
    struct place *from = l->from;

    if (from->sends_until < net->now)
        from->sends_until = net->now;
    if (is_bulk && net->bytes_per_us)
        from->sends_until += l->bytes.len / net->bytes_per_us;
    l->at = is_bulk ? from->sends_until : net->now;
    while (*at && (*at)->at <= l->at)
        at = &(*at)->next;
    l->next = *at;
    *at = l;
}

static size_t count_waiting(const struct place *from, const struct place *to)
{
    size_t n = 0;

    for (const struct letter *l = from->net->first; l; l = l->next)
        n += l->from == from && l->to == to && l->is_bulk;
    return n;
}

static int net_send(void *arg, const struct node_id *peer, const struct message *m,
                    bool is_bulk)
{
    struct place *from = arg;
    struct place *to = find_place(from->net, peer);
    struct message spoiled = *m;
    struct letter *l;

    assert_int_equal(is_bulk,
                     m->type == MESSAGE_BLOB_GET || m->type == MESSAGE_BLOB_DATA);
    if (!to || to->vice == VICE_GONE || from->vice == VICE_GONE)
        return -ENOTCONN;
    if (from->vice == VICE_BUSY && is_bulk && prng_below(&from->net->prng, 2))
        return -EAGAIN;
    if (from->vice == VICE_CUTS_OFF && from->n_sent++ == 12)
        from->vice = VICE_GONE;
    if (is_bulk && from->net->bytes_per_us
        && count_waiting(from, to) >= LINE_MAX_LETTERS)
        return -EAGAIN;
    if (!spoil(from, &spoiled)
        || prng_below(&from->net->prng, 100) < from->net->loss_percent)
        return 0;
    l = calloc(1, sizeof(*l));
    assert_non_null(l);
    l->from = from;
    l->to = to;
    l->is_bulk = is_bulk;
    assert_int_equal(message_encode(&spoiled, &l->bytes), 0);
    post(from->net, l, is_bulk);
    return 0;
}

static void deliver(struct net *net)
{
    struct letter *l = net->first;
    struct message m;

    net->first = l->next;
    net->now = l->at;
    if (l->to->vice != VICE_GONE && l->to->exchange) {
        assert_int_equal(message_decode(l->bytes.data, l->bytes.len, &m), 0);
        exchange_on_message(l->to->exchange, &l->from->id, &m);
        message_release(&m);
    }
    if (l->is_bulk && net->bytes_per_us && l->from->exchange)
        exchange_on_writable(l->from->exchange, &l->to->id);
    buffer_release(&l->bytes);
    free(l);
}

static time_us deadline(const struct net *net)
{
    time_us at = TIME_NEVER;

    for (size_t i = 0; i < net->n; i++)
        if (net->places[i].exchange && exchange_deadline(net->places[i].exchange) < at)
            at = exchange_deadline(net->places[i].exchange);
    return at;
}

static void tick(struct net *net)
{
    time_us at = deadline(net);

    assert_true(at != TIME_NEVER); /* else nothing would ever happen */
    net->now = at > net->now ? at : net->now + 1;
    for (size_t i = 0; i < net->n; i++)
        if (net->places[i].exchange)
            exchange_on_tick(net->places[i].exchange);
}

/* One thing happens. */
static void step(struct net *net)
{
    if (uv_loop_alive(&net->loop))
        uv_run(&net->loop, UV_RUN_ONCE);
    else if (net->first && net->first->at <= deadline(net))
        deliver(net);
    else
        tick(net);
    uv_run(&net->loop, UV_RUN_NOWAIT);
}

static void make_net(struct net *net, size_t n)
{
    *net = (struct net){ .n = n, .now = TIME_S(1) };
    prng_init(&net->prng, 7);
    uv_loop_init(&net->loop);
    for (size_t i = 0; i < n; i++) {
        struct place *p = &net->places[i];

        p->net = net;
        p->id.bytes[0] = (uint8_t)('A' + i);
        fixture_make_dir(p->store.dir);
        p->store.window_us = TIME_MS(1);
        fixture_open(&p->store);
        p->exchange = exchange_new(&(struct exchange_config){ .loop = &net->loop,
                                                              .blobs = p->store.blobs,
                                                              .self = p->id,
                                                              .seed = i,
                                                              .now = net_now,
                                                              .send = net_send,
                                                              .arg = p });
        assert_non_null(p->exchange);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (i != k)
                exchange_on_connected(net->places[i].exchange, &net->places[k].id);
}

static void end_net(struct net *net)
{
    for (size_t i = 0; i < net->n; i++)
        exchange_free(TAKE(net->places[i].exchange));
    while (net->first)
        deliver(net);
    uv_run(&net->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&net->loop), 0);
    for (size_t i = 0; i < net->n; i++) {
        fixture_close(&net->places[i].store);
        fixture_erase(net->places[i].store.dir);
    }
}

/* ---- what is wanted ---- */

struct outcome {
    unsigned n_told;
    int status;
    struct digest failed;
};

static void on_done(void *arg, int status, const struct digest *failed)
{
    struct outcome *o = arg;

    o->n_told++;
    o->status = status;
    o->failed = *failed;
}

static struct digest put(struct net *net, size_t at, size_t len, uint32_t seed)
{
    CLEANUP(freep) char *data = make_bytes(len, seed);
    struct digest id;

    assert_int_equal(blobs_put(net->places[at].store.blobs, data, len, &id), 0);
    return id;
}

static void assert_has(struct net *net, size_t at, const struct digest *id, size_t len,
                       uint32_t seed)
{
    CLEANUP(buffer_release) struct buffer got = BUFFER_INIT;
    CLEANUP(freep) char *data = make_bytes(len, seed);

    assert_int_equal(blobs_read(net->places[at].store.blobs, id, 0, len + 1, &got), 0);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data ? got.data : "", data, len);
}

static struct exchange_want *want(struct net *net, size_t at, const struct digest *ids,
                                  size_t n, size_t hint, struct outcome *o)
{
    const struct node_id none = { { 0 } };
    bool has_hint = hint < net->n;
    struct exchange_want *w = NULL;

    *o = (struct outcome){ .n_told = 0 };
    assert_int_equal(exchange_want(net->places[at].exchange, ids, n,
                                   has_hint ? &net->places[hint].id : &none, has_hint,
                                   on_done, o, &w),
                     0);
    return w;
}

static int fetch_one(struct net *net, size_t at, const struct digest *id, size_t hint)
{
    struct outcome o;

    want(net, at, id, 1, hint, &o);
    while (!o.n_told)
        step(net);
    assert_int_equal(o.n_told, 1);
    return o.status;
}

static struct exchange_counts counts(struct net *net, size_t at)
{
    struct exchange_counts c;

    exchange_count(net->places[at].exchange, &c);
    return c;
}

/* ---- tests ---- */

static void test_every_size(void **state UNUSED)
{
    static const size_t sizes[] = { 0,        1,        LEAF - 1,         LEAF,
                                    LEAF + 1, 3 * LEAF, BLOB_CHUNKED_MAX, LARGE };
    struct net net;

    make_net(&net, 2);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct digest id = put(&net, 0, sizes[i], (uint32_t)i);

        assert_int_equal(fetch_one(&net, 1, &id, 0), 0);
        assert_has(&net, 1, &id, sizes[i], (uint32_t)i);
        assert_int_equal(blobs_verify(net.places[1].store.blobs, &id, 1), 0);
    }
    assert_int_equal(counts(&net, 1).n_bad, 0);
    assert_int_equal(counts(&net, 1).n_getting, 0);
    assert_int_equal(counts(&net, 1).in_flight, 0);
    end_net(&net);
}

/* A short blob whose bytes are what is hashed for a long one. */
static void test_marked_blob(void **state UNUSED)
{
    struct digest id;
    struct net net;

    make_net(&net, 2);
    assert_int_equal(blobs_put(net.places[0].store.blobs, "mesh-blob and more", 18,
                               &id),
                     0);
    assert_int_equal(fetch_one(&net, 1, &id, 0), 0);
    assert_int_equal(blobs_verify(net.places[1].store.blobs, &id, 1), 0);
    end_net(&net);
}

static void test_many_at_once(void **state UNUSED)
{
    enum { N = FETCH_BLOBS_MAX + 100 }; /* some wait for others to be here */
    static struct digest ids[N];
    struct outcome o;
    struct net net;

    make_net(&net, 2);
    for (size_t i = 0; i < N; i++)
        ids[i] = put(&net, 0, 100 + i, (uint32_t)i);
    ids[7] = ids[8]; /* one twice */
    want(&net, 1, ids, N, 0, &o);
    while (!o.n_told)
        step(&net);
    assert_int_equal(o.status, 0);
    assert_has(&net, 1, &ids[N - 1], 100 + N - 1, N - 1);
    end_net(&net);
}

static void test_what_is_here(void **state UNUSED)
{
    struct exchange_want *w = NULL;
    struct outcome o = { .n_told = 0 };
    struct digest id;
    struct net net;

    make_net(&net, 2);
    id = put(&net, 0, 5000, 1);
    assert_int_equal(exchange_want(net.places[0].exchange, &id, 1, NULL, 0, on_done, &o,
                                   &w),
                     1);
    assert_int_equal(exchange_want(net.places[0].exchange, &id, 0, NULL, 0, on_done, &o,
                                   &w),
                     1);
    assert_int_equal(o.n_told, 0);
    end_net(&net);
}

/* Without a hint, or with one that has nothing, all are asked. */
static void test_found_by_asking(void **state UNUSED)
{
    struct digest id, other;
    struct net net;

    make_net(&net, 4);
    id = put(&net, 3, 5000, 1);
    other = put(&net, 3, LARGE, 2);
    assert_int_equal(fetch_one(&net, 0, &id, NO_HINT), 0);
    assert_has(&net, 0, &id, 5000, 1);
    assert_int_equal(fetch_one(&net, 0, &other, 1), 0);
    assert_has(&net, 0, &other, LARGE, 2);
    end_net(&net);
}

static void test_nobody_has_it(void **state UNUSED)
{
    struct digest ids[2] = { { { 1 } }, { { 2 } } };
    struct outcome o;
    struct net net;
    time_us began;

    make_net(&net, 3);
    ids[0] = put(&net, 2, 5000, 1);
    began = net.now;
    want(&net, 0, ids, 2, 2, &o);
    while (!o.n_told)
        step(&net);
    assert_int_equal(o.status, -ENOENT);
    assert_true(digest_equal(&o.failed, &ids[1]));
    assert_has(&net, 0, &ids[0], 5000, 1); /* the other one came */
    assert_true(net.now - began < TIME_S(6));
    end_net(&net);
}

static void test_several_holders_share(void **state UNUSED)
{
    enum { SIZE = 60 * LEAF + 5 };
    struct digest id;
    struct net net;

    make_net(&net, 4);
    for (size_t i = 0; i < 3; i++)
        id = put(&net, i, SIZE, 9);
    assert_int_equal(fetch_one(&net, 3, &id, NO_HINT), 0);
    assert_has(&net, 3, &id, SIZE, 9);
    for (size_t i = 0; i < 3; i++)
        assert_true(net.places[i].n_served >= 10);
    end_net(&net);
}

/* Four at once from one: it sends little more than one copy. */
static void test_swarm(void **state UNUSED)
{
    enum { LEAVES = 200, SIZE = LEAVES * LEAF };
    struct outcome o[4];
    struct digest id;
    struct net net;
    unsigned n_served = 0;
    time_us began;

    make_net(&net, 5);
    net.bytes_per_us = 100;
    id = put(&net, 0, SIZE, 3);
    began = net.now;
    for (size_t i = 0; i < 4; i++)
        want(&net, i + 1, &id, 1, 0, &o[i]);
    while (!(o[0].n_told && o[1].n_told && o[2].n_told && o[3].n_told))
        step(&net);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(o[i].status, 0);
        assert_int_equal(blobs_verify(net.places[i + 1].store.blobs, &id, 1), 0);
        n_served += net.places[i + 1].n_served;
    }
    print_message("of %d leaves to four the first sent %u, the four %u, in %u ms\n",
                  LEAVES, net.places[0].n_served, n_served,
                  (unsigned)((net.now - began) / 1000));
    assert_true(net.places[0].n_served < 2 * LEAVES);
    end_net(&net);
}

static void lie(enum vice vice, size_t size)
{
    struct digest id;
    struct net net;

    make_net(&net, 3);
    id = put(&net, 0, size, 4);
    put(&net, 1, size, 4);
    net.places[0].vice = vice;
    assert_int_equal(fetch_one(&net, 2, &id, 0), 0);
    assert_has(&net, 2, &id, size, 4);
    if (vice == VICE_FLIP)
        assert_true(counts(&net, 2).n_bad >= 1);
    end_net(&net);
}

static void test_peers_that_lie(void **state UNUSED)
{
    static const size_t sizes[] = { 5000, 3 * LEAF, LARGE };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        lie(VICE_FLIP, sizes[i]);
        lie(VICE_SIZE, sizes[i]);
        lie(VICE_SHORT, sizes[i]);
        lie(VICE_MUTE, sizes[i]);
        lie(VICE_GONE, sizes[i]);
        lie(VICE_BUSY, sizes[i]);
        lie(VICE_CUTS_OFF, sizes[i]);
    }
}

static void test_only_a_liar_has_it(void **state UNUSED)
{
    struct digest id;
    uint64_t size;
    struct net net;

    make_net(&net, 2);
    id = put(&net, 0, LARGE, 4);
    net.places[0].vice = VICE_FLIP;
    assert_int_equal(fetch_one(&net, 1, &id, 0), -ENOENT);
    assert_int_equal(blobs_stat(net.places[1].store.blobs, &id, &size), -ENOENT);
    assert_int_equal(counts(&net, 1).n_lost, 1);
    assert_int_equal(counts(&net, 1).n_bad, 1); /* and it is not asked again */
    end_net(&net);
}

static void test_loss(void **state UNUSED)
{
    struct digest id;
    struct net net;

    make_net(&net, 3);
    id = put(&net, 0, 40 * LEAF, 5);
    put(&net, 1, 40 * LEAF, 5);
    net.loss_percent = 10;
    assert_int_equal(fetch_one(&net, 2, &id, 0), 0);
    assert_has(&net, 2, &id, 40 * LEAF, 5);
    end_net(&net);
}

/* Bytes that rotted on the disk of a holder are not sent as its own. */
static void test_rotten_blob(void **state UNUSED)
{
    struct digest id;
    struct net net;
    uint64_t size;
    char path[256], hex[DIGEST_TEXT_SIZE];

    make_net(&net, 2);
    id = put(&net, 0, LARGE, 6);
    digest_text(&id, hex);
    snprintf(path, sizeof(path), "%s/blobs/%.2s/%s", net.places[0].store.dir, hex, hex);
    wait_durable(&net.places[0].store);
    assert_int_equal(chmod(path, 0600), 0);
    {
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "rot", 3, 1000), 3);
        close(fd);
    }
    assert_int_equal(fetch_one(&net, 1, &id, 0), -ENOENT);
    assert_int_equal(blobs_stat(net.places[0].store.blobs, &id, &size), -ENOENT);
    end_net(&net);
}

static void test_full_disk(void **state UNUSED)
{
    struct digest id;
    struct net net;

    make_net(&net, 2);
    id = put(&net, 0, LARGE, 6);
    fixture_close(&net.places[1].store);
    exchange_free(TAKE(net.places[1].exchange));
    net.places[1].store.quota_bytes = 1 << 20;
    fixture_open(&net.places[1].store);
    net.places[1].exchange =
        exchange_new(&(struct exchange_config){ .loop = &net.loop,
                                                .blobs = net.places[1].store.blobs,
                                                .self = net.places[1].id,
                                                .now = net_now,
                                                .send = net_send,
                                                .arg = &net.places[1] });
    assert_int_equal(fetch_one(&net, 1, &id, 0), -ENOSPC);
    end_net(&net);
}

static void test_cancel(void **state UNUSED)
{
    struct outcome one, two;
    struct exchange_want *w;
    struct digest ids[2];
    struct net net;

    make_net(&net, 2);
    ids[0] = put(&net, 0, LARGE, 1);
    ids[1] = put(&net, 0, LARGE, 2);
    w = want(&net, 1, ids, 2, 0, &one);
    want(&net, 1, &ids[1], 1, 0, &two);
    for (int i = 0; i < 20; i++)
        step(&net);
    exchange_cancel(net.places[1].exchange, w);
    while (!two.n_told)
        step(&net);
    assert_int_equal(one.n_told, 0);
    assert_int_equal(two.status, 0);
    assert_has(&net, 1, &ids[1], LARGE, 2);
    assert_int_equal(counts(&net, 1).n_getting, 0);
    end_net(&net);
}

/* It ends in the middle, with jobs in the pool. */
static void test_end_in_the_middle(void **state UNUSED)
{
    for (int n = 1; n < 60; n += 7) {
        struct outcome o;
        struct digest id;
        struct net net;

        make_net(&net, 2);
        id = put(&net, 0, LARGE, 1);
        want(&net, 1, &id, 1, 0, &o);
        for (int i = 0; i < n && !o.n_told; i++)
            step(&net);
        end_net(&net);
    }
}

/* ---- giving ---- */

static void ask(struct net *net, size_t from, size_t to, const struct digest *id,
                enum blob_part part, uint64_t offset)
{
    struct message m = { .type = MESSAGE_BLOB_GET };

    m.u.blob_get = (struct blob_get_message){
        .request = 1, .id = *id, .part = part, .offset = offset
    };
    exchange_on_message(net->places[to].exchange, &net->places[from].id, &m);
}

/* Questions that make no sense are answered by a refusal. */
static void test_odd_questions(void **state UNUSED)
{
    static const struct {
        enum blob_part part;
        uint64_t offset;
    } odd[] = {
        { BLOB_LEAF, 1 },          { BLOB_LEAF, 1000 * (uint64_t)LEAF },
        { BLOB_LEAF, UINT64_MAX }, { BLOB_GROUP, LEAF },
        { BLOB_GROUP, 1 },         { BLOB_GROUP, UINT64_MAX },
        { BLOB_FIRST, 7 },
    };
    struct digest id, unknown = { { 9 } };
    struct net net;

    make_net(&net, 2);
    id = put(&net, 0, 5000, 1);
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
        ask(&net, 1, 0, &id, odd[i].part, odd[i].offset);
    ask(&net, 1, 0, &unknown, BLOB_FIRST, 0);
    while (net.first || uv_loop_alive(&net.loop))
        step(&net);
    assert_int_equal(counts(&net, 0).given_bytes, 0);
    assert_int_equal(counts(&net, 0).n_queued, 0);
    end_net(&net);
}

static void test_queue_is_bounded(void **state UNUSED)
{
    struct digest id;
    struct net net;

    make_net(&net, 2);
    id = put(&net, 0, LARGE, 1);
    for (int i = 0; i < 10 * GIVE_OF_PEER_MAX; i++)
        ask(&net, 1, 0, &id, BLOB_LEAF, 0);
    assert_true(counts(&net, 0).n_queued <= GIVE_OF_PEER_MAX);
    while (net.first || uv_loop_alive(&net.loop))
        step(&net);
    assert_int_equal(counts(&net, 0).n_queued, 0);
    end_net(&net);
}

/* A peer that takes nothing does not keep others waiting, and is given up. */
static void test_peer_that_never_reads(void **state UNUSED)
{
    struct digest id;
    struct net net;

    make_net(&net, 3);
    id = put(&net, 0, LARGE, 1);
    net.places[0].vice = VICE_BUSY;
    assert_int_equal(fetch_one(&net, 1, &id, 0), 0);
    assert_int_equal(fetch_one(&net, 2, &id, 0), 0);
    end_net(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_marked_blob),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_what_is_here),
        cmocka_unit_test(test_found_by_asking),
        cmocka_unit_test(test_nobody_has_it),
        cmocka_unit_test(test_several_holders_share),
        cmocka_unit_test(test_swarm),
        cmocka_unit_test(test_peers_that_lie),
        cmocka_unit_test(test_only_a_liar_has_it),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_rotten_blob),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_end_in_the_middle),
        cmocka_unit_test(test_odd_questions),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_peer_that_never_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
