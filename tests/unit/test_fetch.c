/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of whom: stories in virtual time, one line for each question. */
#include "node/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/prng.h"
#include "tests/unit/unit.h"

enum { LEAF = FETCH_LEAF_BYTES, ASKED_MAX = 1024 };

struct story {
    struct fetch *fetch;
    struct fetch_outbox out;
    time_us now;
    struct buffer trace;
    struct fetch_action asked[ASKED_MAX]; /* and not answered */
    size_t n_asked;
};

static struct node_id node(char name)
{
    return (struct node_id){ { (uint8_t)name } };
}

static struct digest blob(char name)
{
    return (struct digest){ { (uint8_t)name } };
}

static const char *part_name(enum blob_part part)
{
    static const char *const names[] = { [BLOB_FIRST] = "first",
                                         [BLOB_LEAF] = "leaf",
                                         [BLOB_TOP] = "top",
                                         [BLOB_GROUP] = "group" };

    return names[part];
}

static void tell(struct story *s, const struct fetch_action *a)
{
    buffer_printf(&s->trace, "[%5u] ", (unsigned)(s->now / 1000));
    if (a->type == FETCH_GET && a->part == BLOB_FIRST)
        buffer_printf(&s->trace, "get %c of %c\n", a->id.bytes[0], a->peer.bytes[0]);
    else if (a->type == FETCH_GET)
        buffer_printf(&s->trace, "get %s %u of %c of %c\n", part_name(a->part),
                      (unsigned)(a->offset / LEAF), a->id.bytes[0], a->peer.bytes[0]);
    else if (a->type == FETCH_FIND)
        buffer_printf(&s->trace, "who has %c? to %c\n", a->id.bytes[0],
                      a->peer.bytes[0]);
    else
        buffer_printf(&s->trace, "%c ended: %d\n", a->id.bytes[0], a->status);
}

static void drain(struct story *s)
{
    for (size_t i = 0; i < s->out.n; i++) {
        tell(s, &s->out.actions[i]);
        if (s->out.actions[i].type != FETCH_GET)
            continue;
        assert_true(s->n_asked < ASKED_MAX);
        s->asked[s->n_asked++] = s->out.actions[i];
    }
    s->out.n = 0;
}

static void begin(struct story *s)
{
    struct node_id self = node('S');

    *s = (struct story){ .fetch = fetch_new(&self, 1) };
    assert_non_null(s->fetch);
}

static void end(struct story *s)
{
    fetch_free(s->fetch);
    fetch_outbox_release(&s->out);
    buffer_release(&s->trace);
}

/* The trace since the last look. */
static void expect(struct story *s, const char *trace)
{
    assert_string_equal(buffer_text(&s->trace), trace);
    buffer_clear(&s->trace);
}

static void want(struct story *s, char name, const char *hints)
{
    struct node_id nodes[8];
    struct digest id = blob(name);
    size_t n = strlen(hints);

    for (size_t i = 0; i < n; i++)
        nodes[i] = node(hints[i]);
    assert_int_equal(fetch_want(s->fetch, &id, nodes, n, s->now, &s->out), 0);
    drain(s);
}

static void pass(struct story *s, unsigned ms)
{
    time_us until = s->now + TIME_MS(ms);

    while (fetch_deadline(s->fetch) <= until) {
        s->now = fetch_deadline(s->fetch) > s->now ? fetch_deadline(s->fetch) : s->now;
        assert_int_equal(fetch_on_tick(s->fetch, s->now, &s->out), 0);
        drain(s);
    }
    s->now = until;
}

static void connect(struct story *s, const char *names)
{
    for (; *names; names++) {
        struct node_id peer = node(*names);

        assert_int_equal(fetch_on_connected(s->fetch, &peer, s->now, &s->out), 0);
    }
    drain(s);
}

static void disconnect(struct story *s, char name)
{
    struct node_id peer = node(name);

    assert_int_equal(fetch_on_disconnected(s->fetch, &peer, s->now, &s->out), 0);
    drain(s);
}

/* The message that answers a question as it should be; the bytes do not matter here. */
static struct blob_data_message good_answer(const struct fetch_action *a, uint64_t size)
{
    struct blob_data_message m = { .request = a->request,
                                   .id = a->id,
                                   .part = a->part,
                                   .offset = a->offset,
                                   .size = size };

    if (a->part == BLOB_FIRST && size > LEAF)
        m.part = BLOB_TOP;
    if (m.part == BLOB_TOP)
        m.data_len = fetch_top_digests(size) * DIGEST_SIZE;
    else if (m.part == BLOB_GROUP)
        m.data_len = fetch_group_leaves(size, a->offset / LEAF / FETCH_GROUP_LEAVES)
                     * DIGEST_SIZE;
    else
        m.data_len = fetch_leaf_bytes(size, a->offset / LEAF);
    return m;
}

static bool deliver(struct story *s, const struct node_id *from,
                    const struct blob_data_message *m)
{
    bool check;

    assert_int_equal(fetch_on_data(s->fetch, from, m, s->now, &check, &s->out), 0);
    drain(s);
    return check;
}

/* The first question that waits, or the first to that node. */
static struct fetch_action take(struct story *s, char name)
{
    for (size_t i = 0; i < s->n_asked; i++) {
        struct fetch_action a = s->asked[i];

        if (name && a.peer.bytes[0] != (uint8_t)name)
            continue;
        memmove(&s->asked[i], &s->asked[i + 1],
                (s->n_asked - i - 1) * sizeof(s->asked[0]));
        s->n_asked--;
        return a;
    }
    fail_msg("%c is asked for nothing", name);
    return (struct fetch_action){ .type = 0 };
}

static void answer(struct story *s, char name, uint64_t size, bool is_good)
{
    struct fetch_action a = take(s, name);
    struct blob_data_message m = good_answer(&a, size);

    assert_true(deliver(s, &a.peer, &m));
    assert_int_equal(fetch_on_checked(s->fetch, a.request, m.part, m.size, is_good,
                                      s->now, &s->out),
                     0);
    drain(s);
}

static void refuse(struct story *s, char name, int status)
{
    struct fetch_action a = take(s, name);
    struct blob_data_message m = { .request = a.request,
                                   .id = a.id,
                                   .part = a.part,
                                   .offset = a.offset,
                                   .status = status };

    assert_false(deliver(s, &a.peer, &m));
}

static void hold(struct story *s, char name, char blob_name, uint64_t size,
                 bool is_whole, const uint8_t *have, const char *others)
{
    struct node_id from = node(name), nodes[8];
    struct blob_holder h = { .id = blob(blob_name),
                             .is_whole = is_whole,
                             .size = size,
                             .have = (uint8_t *)have,
                             .have_len = have ? fetch_have_bytes(size) : 0,
                             .others = nodes,
                             .n_others = strlen(others) };
    struct blob_holders_message m = { .holders = &h, .n_holders = 1 };

    for (size_t i = 0; others[i]; i++)
        nodes[i] = node(others[i]);
    assert_int_equal(fetch_on_holders(s->fetch, &from, &m, s->now, &s->out), 0);
    drain(s);
}

/* ---- how a blob is cut ---- */

static void test_cuts(void **state UNUSED)
{
    static const struct {
        uint64_t size, leaves, groups, top, stretch;
        size_t have;
    } cases[] = {
        { 0, 1, 1, 1, 1, 1 },
        { 1, 1, 1, 1, 1, 1 },
        { LEAF, 1, 1, 1, 1, 1 },
        { LEAF + 1, 2, 1, 2, 1, 1 },
        { (uint64_t)LEAF * 1024, 1024, 1, 1024, 1, 128 },
        { (uint64_t)LEAF * 1024 + 1, 1025, 2, 2, 1, 129 },
        { (uint64_t)LEAF * 4096, 4096, 4, 4, 1, 512 },
        { (uint64_t)LEAF * 4097, 4097, 5, 5, 2, 257 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(fetch_leaves(cases[i].size), cases[i].leaves);
        assert_int_equal(fetch_groups(cases[i].size), cases[i].groups);
        assert_int_equal(fetch_top_digests(cases[i].size), cases[i].top);
        assert_int_equal(fetch_stretch(cases[i].size), cases[i].stretch);
        assert_int_equal(fetch_have_bytes(cases[i].size), cases[i].have);
    }
    assert_int_equal(fetch_leaf_bytes(LEAF + 7, 0), LEAF);
    assert_int_equal(fetch_leaf_bytes(LEAF + 7, 1), 7);
    assert_int_equal(fetch_group_leaves((uint64_t)LEAF * 1026, 1), 2);
}

/* ---- small ones ---- */

static void test_hint_has_it(void **state UNUSED)
{
    struct story s;

    begin(&s);
    want(&s, 'x', "AB");
    expect(&s, "[    0] get x of A\n");
    answer(&s, 'A', 100, true);
    expect(&s, "[    0] x ended: 0\n");
    assert_int_equal(fetch_blobs(s.fetch), 0);
    assert_int_equal(fetch_in_flight(s.fetch), 0);
    pass(&s, 200);
    assert_true(fetch_deadline(s.fetch) == TIME_NEVER);
    end(&s);
}

static void test_first_hint_lost_it(void **state UNUSED)
{
    struct story s;

    begin(&s);
    want(&s, 'x', "AB");
    refuse(&s, 'A', -ENOENT);
    answer(&s, 'B', 100, true);
    expect(&s, "[    0] get x of A\n"
               "[    0] get x of B\n"
               "[    0] x ended: 0\n");
    end(&s);
}

/* Who is busy is asked again; a hint that does not answer is left alone. */
static void test_busy_and_silent(void **state UNUSED)
{
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    refuse(&s, 'A', -EBUSY);
    expect(&s, "[    0] get x of A\n");
    pass(&s, 400);
    expect(&s, "[  200] get x of A\n");
    want(&s, 'x', "B");
    expect(&s, "");
    pass(&s, 3000);
    expect(&s, "[ 3200] get x of B\n");
    answer(&s, 'B', 100, true);
    expect(&s, "[ 3400] x ended: 0\n");
    end(&s);
}

static void test_no_hint(void **state UNUSED)
{
    struct story s;

    begin(&s);
    connect(&s, "ABC");
    want(&s, 'x', "");
    expect(&s, "[    0] who has x? to A\n"
               "[    0] who has x? to B\n"
               "[    0] who has x? to C\n");
    hold(&s, 'B', 'x', 100, true, NULL, "");
    expect(&s, "[    0] get x of B\n");
    answer(&s, 'B', 100, true);
    expect(&s, "[    0] x ended: 0\n");
    end(&s);
}

static void test_nobody_has_it(void **state UNUSED)
{
    struct story s;

    begin(&s);
    connect(&s, "A");
    want(&s, 'x', "A");
    refuse(&s, 'A', -ENOENT);
    pass(&s, 10000);
    expect(&s, "[    0] get x of A\n"
               "[  100] who has x? to A\n"
               "[ 1100] who has x? to A\n"
               "[ 2100] who has x? to A\n"
               "[ 3100] x ended: -2\n");
    end(&s);
}

/* Somebody has it, but nothing comes: in the end that is said too. */
static void test_given_up(void **state UNUSED)
{
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    pass(&s, 40000);
    expect(&s, "[    0] get x of A\n"
               "[ 5000] get x of A\n"
               "[12000] get x of A\n"
               "[23000] get x of A\n"
               "[30000] x ended: -110\n");
    end(&s);
}

/* Nobody is there to be asked: a few times, as it may be dialled. */
static void test_unreachable(void **state UNUSED)
{
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    for (int i = 0; i < 3; i++) {
        uint64_t request = take(&s, 'A').request;

        assert_int_equal(fetch_on_unsent(s.fetch, request, false, s.now, &s.out), 0);
        drain(&s);
        pass(&s, i < 2 ? 1000 : 10000);
    }
    expect(&s, "[    0] get x of A\n"
               "[  500] get x of A\n"
               "[ 2000] get x of A\n"
               "[ 5100] x ended: -2\n");
    end(&s);
}

static void test_full_queue(void **state UNUSED)
{
    struct node_id a = node('A');
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    assert_int_equal(fetch_on_unsent(s.fetch, take(&s, 'A').request, true, s.now,
                                     &s.out),
                     0);
    drain(&s);
    expect(&s, "[    0] get x of A\n");
    s.now = TIME_MS(1);
    assert_int_equal(fetch_on_writable(s.fetch, &a, s.now, &s.out), 0);
    drain(&s);
    expect(&s, "[    1] get x of A\n");
    assert_int_equal(fetch_on_unsent(s.fetch, take(&s, 'A').request, true, s.now,
                                     &s.out),
                     0);
    drain(&s);
    pass(&s, 200); /* nobody said that there is room */
    expect(&s, "[  100] get x of A\n");
    end(&s);
}

static void test_holder_goes(void **state UNUSED)
{
    struct story s;

    begin(&s);
    connect(&s, "AB");
    want(&s, 'x', "AB");
    expect(&s, "[    0] get x of A\n");
    disconnect(&s, 'A');
    expect(&s, "[    0] get x of B\n");
    end(&s);
}

/* ---- those that lie ---- */

static void test_bytes_are_not_it(void **state UNUSED)
{
    struct node_id a = node('A'), b = node('B');
    struct story s;

    begin(&s);
    want(&s, 'x', "AB");
    answer(&s, 'A', 100, false);
    expect(&s, "[    0] get x of A\n"
               "[    0] get x of B\n");
    answer(&s, 'B', 100, true);
    expect(&s, "[    0] x ended: 0\n");
    assert_true(fetch_avoids(s.fetch, &a, s.now));
    assert_false(fetch_avoids(s.fetch, &b, s.now));
    want(&s, 'y', "A"); /* nor is it asked for anything else */
    pass(&s, 30000);
    expect(&s, "[30000] y ended: -110\n");
    s.now = TIME_S(600) + 1;
    want(&s, 'z', "A");
    expect(&s, "[600000] get z of A\n");
    end(&s);
}

/* Each wrong shape is a lie, before anything is hashed. */
static void test_shapes(void **state UNUSED)
{
    for (int i = 0; i < 8; i++) {
        struct node_id a = node('A');
        struct blob_data_message m;
        struct fetch_action asked;
        struct story s;

        begin(&s);
        want(&s, 'x', "A");
        if (i >= 4)
            answer(&s, 'A', 3 * LEAF, true);
        asked = take(&s, 'A');
        m = good_answer(&asked, i >= 4 ? 3 * LEAF : 100);
        if (i == 0 || i == 4)
            m.id = blob('y');
        else if (i == 1 || i == 5)
            m.data_len--;
        else if (i == 2)
            m.size = UINT64_MAX;
        else if (i == 3)
            m.part = BLOB_LEAF;
        else if (i == 6)
            m.size = 4 * LEAF;
        else
            m.offset += LEAF;
        assert_false(deliver(&s, &a, &m));
        assert_true(fetch_avoids(s.fetch, &a, s.now));
        assert_int_equal(fetch_in_flight(s.fetch), 0);
        end(&s);
    }
}

static void test_answers_to_nothing(void **state UNUSED)
{
    struct node_id a = node('A'), b = node('B');
    struct blob_data_message m;
    struct fetch_action asked;
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    asked = take(&s, 'A');
    m = good_answer(&asked, 100);
    assert_false(deliver(&s, &b, &m)); /* another one's question */
    m.request = 99;
    assert_false(deliver(&s, &a, &m));
    m.request = 0;
    assert_false(deliver(&s, &a, &m));
    m.request = asked.request;
    assert_true(deliver(&s, &a, &m));
    assert_false(deliver(&s, &a, &m)); /* twice */
    assert_int_equal(fetch_in_flight(s.fetch), 1);
    end(&s);
}

/* ---- large ones ---- */

static void test_leaves_in_order_of_one(void **state UNUSED)
{
    uint64_t size = 0;
    struct story s;
    struct digest x = blob('x');

    begin(&s);
    want(&s, 'x', "A");
    answer(&s, 'A', 3 * LEAF + 1, true);
    assert_true(fetch_size(s.fetch, &x, &size));
    assert_int_equal(size, 3 * LEAF + 1);
    expect(&s, "[    0] get x of A\n"
               "[    0] get leaf 1 of x of A\n" /* from somewhere on */
               "[    0] get leaf 2 of x of A\n"
               "[    0] get leaf 3 of x of A\n"
               "[    0] get leaf 0 of x of A\n");
    answer(&s, 'A', size, true);
    assert_true(fetch_has_leaf(s.fetch, &x, 1));
    assert_false(fetch_has_leaf(s.fetch, &x, 0));
    for (int i = 0; i < 3; i++)
        answer(&s, 'A', size, true);
    expect(&s, "[    0] x ended: 0\n");
    end(&s);
}

static size_t count_asked(const struct story *s, char name)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_asked; i++)
        n += s->asked[i].peer.bytes[0] == (uint8_t)name;
    return n;
}

/* Of one node little is asked at first, and more as it comes; never more than a bound,
 * and of all never more than another. */
static void test_windows(void **state UNUSED)
{
    const uint64_t size = (uint64_t)LEAF * 1000;
    struct story s;

    begin(&s);
    want(&s, 'x', "ABCDEF");
    answer(&s, 'A', size, true);
    assert_true(fetch_in_flight(s.fetch)
                <= FETCH_SOURCES_MAX * (FETCH_OF_SEED_MAX + 1));
    for (int i = 0; i < 200; i++) {
        answer(&s, 0, size, true);
        assert_true(fetch_in_flight(s.fetch) <= FETCH_IN_FLIGHT_MAX);
        for (char name = 'A'; name <= 'F'; name++)
            assert_true(count_asked(&s, name) <= FETCH_OF_PEER_MAX);
    }
    assert_int_equal(fetch_in_flight(s.fetch), FETCH_IN_FLIGHT_MAX);
    buffer_clear(&s.trace);
    end(&s);
}

/* A small blob is not behind all of a large one. */
static void test_small_beside_large(void **state UNUSED)
{
    const uint64_t size = (uint64_t)LEAF * 1000;
    struct story s;

    begin(&s);
    want(&s, 'x', "ABCD");
    answer(&s, 'A', size, true);
    for (int i = 0; i < 200; i++)
        answer(&s, 0, size, true);
    buffer_clear(&s.trace);
    want(&s, 'y', "E");
    expect(&s, "");
    answer(&s, 0, size, true);
    expect(&s, "[    0] get y of E\n");
    end(&s);
}

/* What is still owed in the end is asked of somebody else too. */
static void test_end_game(void **state UNUSED)
{
    const uint64_t size = 4 * LEAF;
    struct story s;

    begin(&s);
    want(&s, 'x', "AB");
    answer(&s, 'A', size, true);
    while (count_asked(&s, 'B'))
        answer(&s, 'B', size, true);
    assert_int_equal(fetch_blobs(s.fetch), 0);
    assert_true(s.n_asked > 0); /* A never answered those */
    end(&s);
}

/* Groups of digests come before the leaves that they are for. */
static void test_groups(void **state UNUSED)
{
    const uint64_t size = (uint64_t)LEAF * 2050;
    struct fetch_action a;
    struct story s;
    unsigned n_groups = 0;

    begin(&s);
    want(&s, 'x', "A");
    answer(&s, 'A', size, true);
    for (size_t i = 0; i < s.n_asked; i++) {
        assert_int_equal(s.asked[i].part, BLOB_GROUP);
        n_groups++;
    }
    assert_int_equal(n_groups, 2); /* at a time */
    for (unsigned i = 0; i < 3 + 2050; i++) {
        a = s.asked[0];
        assert_int_equal(a.offset % LEAF, 0);
        answer(&s, 'A', size, true);
    }
    assert_int_equal(fetch_blobs(s.fetch), 0);
    end(&s);
}

static void test_part_of_others(void **state UNUSED)
{
    const uint64_t size = 3 * LEAF;
    const uint8_t have[1] = { 1 << 1 };
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    answer(&s, 'A', size, true);
    expect(&s, "[    0] get x of A\n"
               "[    0] get leaf 1 of x of A\n"
               "[    0] get leaf 2 of x of A\n"
               "[    0] get leaf 0 of x of A\n");
    hold(&s, 'A', 'x', size, true, NULL, "BS");
    expect(&s, "[    0] who has x? to B\n"); /* itself it does not ask */
    hold(&s, 'B', 'x', size, false, have, "");
    expect(&s, "[    0] get leaf 1 of x of B\n"); /* it is the end */
    end(&s);
}

/* What a holder says of its parts is checked for its length. */
static void test_have_of_a_wrong_length(void **state UNUSED)
{
    const uint64_t size = 100 * LEAF;
    uint8_t have[64] = { 0xff, 0xff };
    struct blob_holder h = {
        .id = blob('x'), .size = size, .have = have, .have_len = 2
    };
    struct blob_holders_message m = { .holders = &h, .n_holders = 1 };
    struct node_id b = node('B');
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    answer(&s, 'A', size, true);
    assert_int_equal(fetch_on_holders(s.fetch, &b, &m, s.now, &s.out), 0);
    h.have_len = 14;
    assert_int_equal(fetch_on_holders(s.fetch, &b, &m, s.now, &s.out), 0);
    h.have_len = 13;
    h.size = 101 * LEAF;
    assert_int_equal(fetch_on_holders(s.fetch, &b, &m, s.now, &s.out), 0);
    drain(&s);
    assert_int_equal(count_asked(&s, 'B'), 0);
    end(&s);
}

static void test_what_is_told_to_others(void **state UNUSED)
{
    uint8_t have[BLOB_HAVE_MAX];
    struct digest x = blob('x');
    uint64_t size;
    struct story s;
    size_t len;

    begin(&s);
    want(&s, 'x', "A");
    assert_false(fetch_have(s.fetch, &x, &size, have, &len));
    answer(&s, 'A', 3 * LEAF, true);
    assert_true(fetch_have(s.fetch, &x, &size, have, &len));
    assert_int_equal(len, 1);
    assert_int_equal(have[0] & 7, 0);
    answer(&s, 'A', 3 * LEAF, true);
    assert_true(fetch_have(s.fetch, &x, &size, have, &len));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(have[0] >> i & 1, fetch_has_leaf(s.fetch, &x, i));
    assert_int_equal(size, 3 * LEAF);
    end(&s);
}

static void test_dropped(void **state UNUSED)
{
    struct digest x = blob('x');
    struct fetch_action a;
    struct blob_data_message m;
    struct story s;

    begin(&s);
    want(&s, 'x', "A");
    a = take(&s, 'A');
    m = good_answer(&a, 100);
    fetch_drop(s.fetch, &x);
    fetch_drop(s.fetch, &x);
    assert_int_equal(fetch_in_flight(s.fetch), 0);
    assert_false(deliver(&s, &a.peer, &m));
    end(&s);
}

/* ---- chance ---- */

/* Whatever comes in whatever order, what is wanted comes in the end from the one who
 * has it, and nothing is counted wrong. */
static void answer_somehow(struct story *s, struct prng *prng, const uint64_t *sizes)
{
    size_t i = prng_below(prng, s->n_asked);
    struct fetch_action a = s->asked[i];
    uint64_t size = sizes[a.id.bytes[0] % 4];
    struct blob_data_message m = good_answer(&a, size);
    bool is_honest = a.peer.bytes[0] == 'A';
    unsigned chance = (unsigned)prng_below(prng, 10);
    struct node_id peer = a.peer;

    s->asked[i] = s->asked[--s->n_asked];
    if (chance == 0)
        return; /* lost */
    if (chance == 1 || (!is_honest && chance == 2)) {
        m.status = chance == 1 ? -EBUSY : -ENOENT;
        m.data_len = 0;
    }
    if (chance == 3 && !is_honest) {
        disconnect(s, (char)peer.bytes[0]);
        return;
    }
    if (deliver(s, &peer, &m)) {
        assert_int_equal(fetch_on_checked(s->fetch, m.request, m.part, m.size,
                                          is_honest || chance != 4, s->now, &s->out),
                         0);
        drain(s);
    }
}

static void test_chance(void **state UNUSED)
{
    static const uint64_t sizes[4] = { 100, LEAF + 1, 30 * (uint64_t)LEAF,
                                       1100 * (uint64_t)LEAF };

    for (uint64_t seed = 0; seed < 60; seed++) {
        struct prng prng;
        struct story s;

        begin(&s);
        prng_init(&prng, seed);
        connect(&s, "ABCD");
        for (char name = 'p'; name < 'p' + 4; name++)
            want(&s, name, "BCA");
        for (unsigned i = 0; fetch_blobs(s.fetch) && i < 100000; i++) {
            assert_true(fetch_in_flight(s.fetch) <= FETCH_IN_FLIGHT_MAX);
            if (s.n_asked && prng_below(&prng, 50))
                answer_somehow(&s, &prng, sizes);
            else
                pass(&s, 100);
            for (char name = 'p'; i % 500 == 0 && name < 'p' + 4; name++)
                hold(&s, 'A', name, sizes[(uint8_t)name % 4], true, NULL, "");
        }
        if (fetch_blobs(s.fetch) || strstr(buffer_text(&s.trace), "ended: -"))
            fail_msg("seed %u", (unsigned)seed);
        assert_int_equal(fetch_in_flight(s.fetch), 0);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_hint_has_it),
        cmocka_unit_test(test_first_hint_lost_it),
        cmocka_unit_test(test_busy_and_silent),
        cmocka_unit_test(test_no_hint),
        cmocka_unit_test(test_nobody_has_it),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_holder_goes),
        cmocka_unit_test(test_bytes_are_not_it),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_answers_to_nothing),
        cmocka_unit_test(test_leaves_in_order_of_one),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_small_beside_large),
        cmocka_unit_test(test_end_game),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_part_of_others),
        cmocka_unit_test(test_have_of_a_wrong_length),
        cmocka_unit_test(test_what_is_told_to_others),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
