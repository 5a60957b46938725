/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iset.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "base/prng.h"
#include "tests/unit/unit.h"

enum { MODEL_SIZE = 200 };

/* What the set should be: one flag for each index. */
struct model {
    bool has[MODEL_SIZE];
};

static void assert_same(const struct iset *s, const struct model *m)
{
    bool seen[MODEL_SIZE] = { false };
    uint64_t count = 0, last_hi = 0;

    for (size_t i = 0; i < iset_intervals(s); i++) {
        struct interval v = iset_interval(s, i);

        assert_true(v.lo < v.hi);
        assert_true(v.hi <= MODEL_SIZE);
        assert_true(i == 0 || v.lo > last_hi); /* sorted, and a hole between */
        last_hi = v.hi;
        memset(seen + v.lo, true, v.hi - v.lo);
    }
    assert_memory_equal(seen, m->has, sizeof(seen));
    for (uint64_t i = 0; i < MODEL_SIZE; i++) {
        assert_int_equal(iset_has(s, i), m->has[i]);
        count += m->has[i];
    }
    assert_int_equal(iset_count(s), count);
}

static void add_some(struct iset *s, struct model *m, struct prng *p)
{
    uint64_t lo = prng_below(p, MODEL_SIZE);
    uint64_t hi = lo + prng_below(p, prng_below(p, 8) ? 6 : 60);

    hi = hi > MODEL_SIZE ? MODEL_SIZE : hi;
    assert_int_equal(iset_add_range(s, lo, hi), 0);
    memset(m->has + lo, true, hi - lo);
}

static void remove_one(struct iset *s, struct model *m, struct prng *p)
{
    uint64_t i = prng_below(p, MODEL_SIZE);

    assert_int_equal(iset_remove(s, i), m->has[i] ? 0 : -ENOENT);
    m->has[i] = false;
}

static void pop_one(struct iset *s, struct model *m)
{
    uint64_t lowest = 0, got = UINT64_MAX;

    while (lowest < MODEL_SIZE && !m->has[lowest])
        lowest++;
    assert_int_equal(iset_pop(s, &got), lowest < MODEL_SIZE);
    if (lowest == MODEL_SIZE)
        return;
    assert_int_equal(got, lowest);
    m->has[lowest] = false;
}

static void test_like_a_bitmap(void **state UNUSED)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        CLEANUP(iset_release) struct iset s = { .n = 0 };
        struct model m = { .has = { false } };
        struct prng p;
        uint64_t taste;

        prng_init(&p, seed);
        taste = prng_below(&p, 10);
        for (int i = 0; i < 300; i++) {
            uint64_t draw = prng_below(&p, 12);

            if (draw > taste)
                add_some(&s, &m, &p);
            else if (draw % 3)
                remove_one(&s, &m, &p);
            else
                pop_one(&s, &m);
            assert_same(&s, &m);
        }
    }
}

static void test_the_empty_set(void **state UNUSED)
{
    CLEANUP(iset_release) struct iset s = { .n = 0 };
    uint64_t index = 7;

    assert_false(iset_has(&s, 0));
    assert_int_equal(iset_remove(&s, 0), -ENOENT);
    assert_false(iset_pop(&s, &index));
    assert_int_equal(index, 7);
    assert_int_equal(iset_add_range(&s, 5, 5), 0);
    assert_int_equal(iset_count(&s), 0);
    assert_int_equal(iset_intervals(&s), 0);
}

static void test_the_largest_indexes(void **state UNUSED)
{
    CLEANUP(iset_release) struct iset s = { .n = 0 };
    uint64_t top = UINT64_MAX - 1;

    assert_int_equal(iset_add_range(&s, 0, UINT64_MAX), 0);
    assert_int_equal(iset_count(&s), UINT64_MAX);
    assert_true(iset_has(&s, top));
    assert_int_equal(iset_remove(&s, top), 0);
    assert_false(iset_has(&s, top));
    assert_true(iset_has(&s, top - 1));
    /* An interval's end is one past its last index, so this one can never be in. */
    assert_false(iset_has(&s, UINT64_MAX));
    assert_int_equal(iset_remove(&s, UINT64_MAX), -ENOENT);
}

/* A million tasks done nearly in order are a few intervals. */
static void test_near_order_stays_small(void **state UNUSED)
{
    CLEANUP(iset_release) struct iset s = { .n = 0 };
    struct prng p;
    size_t widest = 0;

    prng_init(&p, 3);
    for (uint64_t block = 0; block < 100000; block += 8) {
        uint64_t first = prng_below(&p, 8);

        for (uint64_t i = 0; i < 8; i++)
            assert_int_equal(iset_add(&s, block + (first + 5 * i) % 8), 0);
        widest = iset_intervals(&s) > widest ? iset_intervals(&s) : widest;
    }
    assert_int_equal(iset_count(&s), 100000);
    assert_int_equal(iset_intervals(&s), 1);
    assert_true(s.cap <= 16);
}

/* Taking from the front of many intervals must not move the rest each time, and the
 * room it leaves is used again. */
static void test_every_second_index(void **state UNUSED)
{
    CLEANUP(iset_release) struct iset s = { .n = 0 };
    enum { N = 100000 };
    uint64_t index = 0;
    size_t cap;

    for (uint64_t i = 0; i < N; i++)
        assert_int_equal(iset_add(&s, 2 * i), 0);
    assert_int_equal(iset_intervals(&s), N);
    cap = s.cap;
    for (uint64_t i = 0; i < N - 10; i++) {
        assert_true(iset_pop(&s, &index));
        assert_int_equal(index, 2 * i);
    }
    for (uint64_t i = N; i < 2 * N - 10; i++)
        assert_int_equal(iset_add(&s, 2 * i), 0);
    assert_int_equal(s.cap, cap);
    assert_int_equal(iset_count(&s), N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_a_bitmap),
        cmocka_unit_test(test_the_empty_set),
        cmocka_unit_test(test_the_largest_indexes),
        cmocka_unit_test(test_near_order_stays_small),
        cmocka_unit_test(test_every_second_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
