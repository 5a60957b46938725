/* SPDX-License-Identifier: Apache-2.0 */
/* The map of members, its shape and sums; the rings; the queue of rumours. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "gossip/internal.h"
#include "gossip/pool.h"

enum { MANY = 3000 };

static struct node_id id_of(uint32_t i)
{
    struct prng p;
    struct node_id id;
    uint64_t words[2];

    prng_init(&p, i + 1);
    words[0] = prng_next(&p);
    words[1] = prng_next(&p);
    memcpy(id.bytes, words, sizeof(id.bytes));
    return id;
}

static struct twig *set(struct gossip_pool *p, struct twig *root, const struct fact *f)
{
    struct note *note = note_get(p, f);
    struct twig *made;

    assert_non_null(note);
    assert_int_equal(members_set(p, root, note, &made), 0);
    note_unref(p, note);
    twig_unref(p, root);
    return made;
}

static struct twig *hear(struct gossip_pool *p, struct twig *root, const struct fact *f)
{
    const struct note *old = members_find(root, &f->id);
    struct fact mine = { .id = f->id };

    if (old)
        mine = note_fact(old);
    return fact_join(&mine, f) ? set(p, root, &mine) : root;
}

static void shuffle(struct prng *p, struct fact *facts, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = prng_below(p, i);
        struct fact f = facts[i - 1];

        facts[i - 1] = facts[k];
        facts[k] = f;
    }
}

/* I11: joins commute, associate, and once is as good as twice. Equal maps are one, so
 * that two orders agree is that they end at the same pointer. */
static void any_order(void **state)
{
    struct gossip_pool *pool = gossip_pool_new();
    struct member_card cards[2] = { { .name = (char *)"a" }, { .name = (char *)"b" } };
    struct card *card[2] = { card_new(&cards[0]), card_new(&cards[1]) };
    struct fact facts[200];
    struct twig *first = NULL;
    struct prng p;

    (void)state;
    prng_init(&p, 1);
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
        uint64_t incarnation = 1 + prng_below(&p, 3);
        enum member_state s = (enum member_state)(MEMBER_ALIVE + prng_below(&p, 4));

        facts[i] = (struct fact){ .id = id_of((uint32_t)prng_below(&p, 30)),
                                  .incarnation = incarnation,
                                  .state = s };
        if (s == MEMBER_SUSPECT)
            facts[i].observers = (uint8_t)(1u << prng_below(&p, 8));
        if (s == MEMBER_ALIVE) {
            facts[i].card_incarnation = incarnation;
            facts[i].card = card[incarnation % 2];
        }
    }
    for (int round = 0; round < 200; round++) {
        struct twig *root = NULL;

        shuffle(&p, facts, ARRAY_SIZE(facts));
        for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
            root = hear(pool, root, &facts[i]);
            root = hear(pool, root, &facts[prng_below(&p, i + 1)]);
        }
        if (first)
            assert_ptr_equal(root, first);
        else
            first = twig_ref(root);
        twig_unref(pool, root);
    }
    twig_unref(pool, first);
    card_unref(card[0]);
    card_unref(card[1]);
    gossip_pool_unref(pool);
}

static void joins(void **state)
{
    struct fact a = { .incarnation = 5, .state = MEMBER_ALIVE };
    const struct fact blamed = { .incarnation = 5,
                                 .state = MEMBER_SUSPECT,
                                 .observers = 1 };
    const struct fact again = { .incarnation = 5,
                                .state = MEMBER_SUSPECT,
                                .observers = 4 };
    const struct fact dead = { .incarnation = 5, .state = MEMBER_DEAD };
    const struct fact older = { .incarnation = 4, .state = MEMBER_LEFT };
    const struct fact refuted = { .incarnation = 6, .state = MEMBER_ALIVE };

    (void)state;
    assert_false(fact_join(&a, &older));
    assert_true(fact_join(&a, &blamed));
    assert_true(fact_join(&a, &again));
    assert_int_equal(a.observers, 5);
    assert_false(fact_join(&a, &blamed));
    assert_true(fact_join(&a, &dead));
    assert_int_equal(a.observers, 0);
    assert_false(fact_join(&a, &again));
    assert_true(fact_join(&a, &refuted));
    assert_int_equal(a.state, MEMBER_ALIVE);
}

static int by_id(const void *a, const void *b)
{
    return node_id_compare(a, b);
}

static void check_map(const struct twig *root, struct node_id *ids, size_t n)
{
    uint64_t sums[MEMBERS_PARTS], total = 0;
    size_t live = 0, dead = 0;

    qsort(ids, n, sizeof(ids[0]), by_id);
    assert_int_equal(members_n(root), n);
    for (size_t i = 0; i < n; i++) {
        const struct note *note = members_find(root, &ids[i]);

        assert_non_null(note);
        assert_ptr_equal(members_at(root, i), note);
        assert_int_equal(members_rank(root, &ids[i]), i);
        if (note_is_live(note))
            assert_ptr_equal(members_live_at(root, live++), note);
        else
            assert_ptr_equal(members_dead_at(root, dead++), note);
        total += note->sum[0];
    }
    assert_int_equal(members_live(root), live);
    members_sums(root, sums);
    for (size_t i = 0; i < MEMBERS_PARTS; i++)
        total -= sums[i];
    assert_int_equal(total, 0);
}

/* Grown and cut down: what is left has the shape of a map that was never larger. */
static void the_shape_follows(void **state)
{
    struct gossip_pool *pool = gossip_pool_new();
    struct twig *root = NULL, *small = NULL;
    struct node_id ids[MANY];
    size_t n = MANY;

    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        struct fact f = { .id = id_of(i),
                          .incarnation = 1,
                          .state = i % 7 ? MEMBER_ALIVE : MEMBER_DEAD };

        ids[i] = f.id;
        root = set(pool, root, &f);
        if (i < 20)
            small = set(pool, small, &f);
    }
    check_map(root, ids, n);
    for (uint32_t i = MANY; i-- > 20;) {
        struct node_id id = id_of(i);
        struct twig *less;

        assert_int_equal(members_drop(pool, root, &id, &less), 0);
        assert_int_equal(members_drop(pool, less, &id, &less), -ENOENT);
        twig_unref(pool, root);
        root = less;
    }
    assert_ptr_equal(root, small);
    twig_unref(pool, root);
    twig_unref(pool, small);
    assert_int_equal(pool->n_twigs, 0);
    assert_int_equal(pool->n_notes, 0);
    gossip_pool_unref(pool);
}

/* A shared map stays what it was when another node's changes. */
static void persistent(void **state)
{
    struct gossip_pool *pool = gossip_pool_new();
    struct twig *root = NULL, *old;
    struct node_id ids[500];
    size_t before;

    (void)state;
    for (uint32_t i = 0; i < 500; i++) {
        struct fact f = { .id = ids[i] = id_of(i),
                          .incarnation = 1,
                          .state = MEMBER_ALIVE };

        root = set(pool, root, &f);
    }
    old = twig_ref(root);
    before = pool->n_twigs;
    for (uint32_t i = 0; i < 10; i++) {
        struct fact f = { .id = id_of(i), .incarnation = 2, .state = MEMBER_DEAD };

        root = set(pool, root, &f);
    }
    assert_int_equal(members_live(old), 500);
    assert_int_equal(members_live(root), 490);
    assert_in_range(pool->n_twigs - before, 1, 40);
    check_map(old, ids, 500);
    check_map(root, ids, 500);
    twig_unref(pool, old);
    twig_unref(pool, root);
    gossip_pool_unref(pool);
}

/* ---- rings ---- */

static const struct node_id *nearest_by_hand(const struct twig *root,
                                             const struct note *self, unsigned ring,
                                             unsigned side)
{
    uint64_t least = UINT64_MAX;
    const struct node_id *id = NULL;

    for (size_t i = 0; i < members_live(root); i++) {
        const struct note *n = members_live_at(root, i);
        uint64_t far = n->places[ring] - self->places[ring];

        if (side == SIDE_BEFORE)
            far = 0 - far;
        if (n == self || far >= least)
            continue;
        least = far;
        id = &n->member.id;
    }
    return id;
}

static void rings_follow(void **state)
{
    struct gossip_pool *pool = gossip_pool_new();
    struct fact f = { .id = id_of(0), .incarnation = 1, .state = MEMBER_ALIVE };
    struct node_id self = f.id;
    struct twig *root = set(pool, NULL, &f);
    struct rings rings;
    struct prng p;

    (void)state;
    prng_init(&p, 3);
    rings_init(&rings, members_find(root, &self)->places);
    for (int step = 0; step < 2000; step++) {
        const struct note *old, *note;

        f.id = id_of(1 + (uint32_t)prng_below(&p, 60));
        old = members_find(root, &f.id);
        f.incarnation = old ? old->member.incarnation + 1 : 1;
        f.state = old && note_is_live(old) ? MEMBER_DEAD : MEMBER_ALIVE;
        root = set(pool, root, &f);
        note = members_find(root, &f.id);
        if (note_is_live(note))
            rings_add(&rings, note);
        else
            rings_remove(&rings, note);
        rings_fill(&rings, root, &self);
        for (unsigned i = 0; i < GOSSIP_RINGS; i++)
            for (unsigned side = 0; side < RING_SIDES; side++) {
                const struct node_id *is = rings_nearest(&rings, i, side);
                const struct node_id *should =
                    nearest_by_hand(root, members_find(root, &self), i, side);

                assert_int_equal(is != NULL, should != NULL);
                if (is)
                    assert_true(node_id_equal(is, should));
            }
    }
    assert_in_range(rings_observers(root, members_find(root, &self)), 5, 8);
    twig_unref(pool, root);
    gossip_pool_unref(pool);
}

/* ---- rumours ---- */

static void least_sent_first(void **state)
{
    struct rumours r;
    struct node_id a = id_of(1), b = id_of(2), c = id_of(3), id;
    uint32_t sends;

    (void)state;
    rumours_init(&r);
    assert_false(rumours_pop(&r, id.bytes, &sends));
    assert_int_equal(rumours_add(&r, a.bytes, 0), 0);
    assert_int_equal(rumours_add(&r, b.bytes, 0), 0);
    assert_int_equal(rumours_add(&r, a.bytes, 2), 0); /* once only */
    assert_int_equal(rumours_add(&r, c.bytes, 1), 0);
    assert_int_equal(rumours_n(&r), 3);
    assert_true(rumours_pop(&r, id.bytes, &sends));
    assert_true(node_id_equal(&id, &b));
    assert_true(rumours_pop(&r, id.bytes, &sends));
    assert_true(node_id_equal(&id, &c));
    assert_int_equal(sends, 1);
    rumours_remove(&r, a.bytes);
    assert_int_equal(rumours_n(&r), 0);
    rumours_release(&r);
}

/* In a flood the news that most have heard make room. */
static void rumours_are_bounded(void **state)
{
    struct rumours r;
    struct node_id id, first = id_of(0);
    uint32_t sends;

    (void)state;
    rumours_init(&r);
    assert_int_equal(rumours_add(&r, first.bytes, 1), 0);
    for (uint32_t i = 1; i <= RUMOURS_MAX; i++) {
        id = id_of(i);
        assert_int_equal(rumours_add(&r, id.bytes, 0), 0);
    }
    assert_int_equal(rumours_n(&r), RUMOURS_MAX);
    while (rumours_pop(&r, id.bytes, &sends))
        assert_false(node_id_equal(&id, &first));
    rumours_release(&r);
}

static void tables_lose_nothing(void **state)
{
    struct row {
        struct node_id id;
        uint32_t number;
    } * row;
    struct table t = { .row_size = sizeof(struct row) };
    bool is_in[400] = { false };
    size_t n = 0;
    struct prng p;

    (void)state;
    prng_init(&p, 5);
    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)prng_below(&p, 400);
        struct node_id id = id_of(i);

        row = node_table_find(&t, id.bytes);
        assert_int_equal(row != NULL, is_in[i]);
        if (row) {
            assert_int_equal(row->number, i);
            node_table_remove(&t, id.bytes);
        } else {
            row = node_table_add(&t, id.bytes);
            assert_int_equal(row->number, 0);
            row->number = i;
        }
        is_in[i] = !is_in[i];
    }
    for (row = NULL; (row = node_table_next(&t, row));) {
        assert_true(is_in[row->number]);
        n++;
    }
    assert_int_equal(n, t.n);
    node_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),           cmocka_unit_test(joins),
        cmocka_unit_test(the_shape_follows),   cmocka_unit_test(persistent),
        cmocka_unit_test(rings_follow),        cmocka_unit_test(least_sent_first),
        cmocka_unit_test(rumours_are_bounded), cmocka_unit_test(tables_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
