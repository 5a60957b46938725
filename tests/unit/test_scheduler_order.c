/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that sharing is made of: the heap, shares of a contest, GPUs. */
#include "tests/unit/unit.h"

#include "base/macros.h"
#include "base/prng.h"
#include "scheduler/gpus.h"
#include "scheduler/heap.h"
#include "scheduler/share.h"

/* ---- the heap ---- */

struct thing {
    struct heap_item item;
    uint64_t key;
};

enum { THINGS = 200, MOVES = 20000 };

static bool is_before(const struct heap_item *a, const struct heap_item *b)
{
    return CONTAINER_OF(a, struct thing, item)->key
           < CONTAINER_OF(b, struct thing, item)->key;
}

static uint64_t least_of(const struct thing *things)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < THINGS; i++)
        if (things[i].item.place && things[i].key < least)
            least = things[i].key;
    return least;
}

static void the_first_is_the_least(void **state UNUSED)
{
    static struct thing things[THINGS];
    CLEANUP(heap_release) struct heap h = { .all = NULL };
    struct prng p;

    prng_init(&p, 7);
    assert_int_equal(heap_reserve(&h, THINGS), 0);
    for (int i = 0; i < MOVES; i++) {
        struct thing *t = &things[prng_below(&p, THINGS)];

        if (!t->item.place) {
            t->key = prng_below(&p, 1000);
            heap_add(&h, &t->item, is_before);
        } else if (prng_below(&p, 3)) {
            t->key = prng_below(&p, 1000);
            heap_move(&h, &t->item, is_before);
        } else {
            heap_remove(&h, &t->item, is_before);
        }
        assert_true(least_of(things)
                    == (heap_first(&h)
                            ? CONTAINER_OF(heap_first(&h), struct thing, item)->key
                            : UINT64_MAX));
    }
}

/* ---- shares ---- */

static void service_is_time_by_weight(void **state UNUSED)
{
    struct contest c = { .n_waiting = 0 };
    struct share a, b;

    share_init(&a, &c, 1, 0);
    share_init(&b, &c, 4, 1);
    share_wait(&a, 1000);
    share_wait(&b, 1000);
    assert_true(share_is_before(&a, &b)); /* the older */
    share_take(&a, SHARE_NODE / 2, 1, 1000);
    assert_true(share_is_before(&b, &a));
    share_take(&b, SHARE_NODE / 2, 2, 1000);
    share_give(&a, SHARE_NODE / 2, 1000 + 80);
    share_give(&b, SHARE_NODE / 2, 1000 + 320);
    share_renew(&a, 2000);
    assert_true(a.key == b.key); /* four times the time for four times the weight */
    assert_true(share_is_before(&a, &b)); /* served longer ago */
}

/* A clock that is set back is as if no time had passed. */
static void time_never_runs_back(void **state UNUSED)
{
    struct contest c = { .n_waiting = 0 };
    struct share a;
    uint64_t before;

    share_init(&a, &c, 1, 0);
    share_wait(&a, 5000);
    share_take(&a, 1000, 1, 5000);
    share_renew(&a, 6000);
    before = a.key;
    assert_false(share_renew(&a, 10));
    assert_true(a.key == before);
    share_give(&a, 1000, 20);
    share_unwait(&a, 20);
    assert_int_equal(c.weight, 0);
    assert_int_equal(c.rate, 0);
}

/* The order holds when service runs over. */
static void service_may_wrap(void **state UNUSED)
{
    struct contest c = { .virtual = UINT64_MAX - 10 };
    struct share a, b;

    share_init(&a, &c, 1, 0);
    share_init(&b, &c, 1, 1);
    a.service = b.service = c.virtual;
    share_wait(&a, 0);
    share_wait(&b, 0);
    share_take(&a, SHARE_NODE, 1, 0);
    share_give(&a, SHARE_NODE, 1000);
    assert_true(a.service < UINT64_MAX / 2); /* it did */
    assert_true(share_is_before(&b, &a));
}

/* ---- GPUs ---- */

static void no_gpu_is_given_twice(void **state UNUSED)
{
    enum { TASKS = 12 };
    struct gpus g = { .n = 5 };
    struct gpu_grant grants[TASKS];
    uint64_t asks[TASKS] = { 0 };
    struct prng p;

    prng_init(&p, 11);
    for (int i = 0; i < MOVES; i++) {
        size_t t = (size_t)prng_below(&p, TASKS);
        uint64_t used = 0, sum = 0;

        if (asks[t]) {
            gpus_give(&g, &grants[t]);
            asks[t] = 0;
        } else {
            uint64_t milli = 100 * (1 + prng_below(&p, 25));

            if (!gpus_fit(&g, milli))
                continue;
            grants[t] = gpus_take(&g, milli);
            asks[t] = milli;
            assert_int_equal(__builtin_popcountll(grants[t].indexes),
                             (milli + 999) / 1000);
            assert_true(grants[t].indexes >> g.n == 0);
        }
        for (uint32_t k = 0; k < g.n; k++) {
            assert_true(g.used[k] <= GPU_MILLI);
            used += g.used[k];
        }
        for (size_t k = 0; k < TASKS; k++)
            sum += asks[k];
        assert_true(used == sum);
    }
}

static void gpus_are_written_as_a_list(void **state UNUSED)
{
    char text[GPUS_TEXT_SIZE];

    gpus_text(0, text);
    assert_string_equal(text, "");
    gpus_text(1 | 1 << 2 | 1ULL << 10 | 1ULL << 63, text);
    assert_string_equal(text, "0,2,10,63");
    gpus_text(UINT64_MAX, text); /* it has room */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_the_least),
        cmocka_unit_test(service_is_time_by_weight),
        cmocka_unit_test(time_never_runs_back),
        cmocka_unit_test(service_may_wrap),
        cmocka_unit_test(no_gpu_is_given_twice),
        cmocka_unit_test(gpus_are_written_as_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
