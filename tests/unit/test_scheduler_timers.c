/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of deadlines, and the small sets beside it. */
#include "tests/unit/unit.h"

#include "base/prng.h"
#include "scheduler/bitmap.h"
#include "scheduler/stretch.h"
#include "scheduler/timers.h"

enum { TIMERS = 200, NUMBERS = 5000 };

static void in_order_of_time(void **state)
{
    struct timers t = { .heap = NULL };
    struct timer all[TIMERS] = { { .at = 0 } }, *timer;
    struct prng p;
    time_us last = 0;
    size_t n = 0;

    (void)state;
    prng_init(&p, 1);
    for (size_t i = 0; i < TIMERS; i++)
        assert_int_equal(timers_set(&t, &all[i], prng_below(&p, 50)), 0);
    for (size_t i = 0; i < TIMERS; i += 3)
        timers_cancel(&t, &all[i]);
    for (size_t i = 1; i < TIMERS; i += 3)
        assert_int_equal(timers_set(&t, &all[i], prng_below(&p, 50)), 0);
    while ((timer = timers_pop(&t, 49))) {
        assert_true(timer->at >= last);
        assert_int_not_equal((timer - all) % 3, 0);
        last = timer->at;
        n++;
    }
    assert_int_equal(n, TIMERS - (TIMERS + 2) / 3);
    timers_release(&t);
}

static void of_one_moment_the_first_set(void **state)
{
    struct timers t = { .heap = NULL };
    struct timer all[10] = { { .at = 0 } };

    (void)state;
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(timers_set(&t, &all[i], 7), 0);
    assert_int_equal(timers_set(&t, &all[0], 7), 0); /* moved behind the others */
    for (size_t i = 1; i <= 10; i++)
        assert_ptr_equal(timers_pop(&t, 7), &all[i % 10]);
    timers_release(&t);
}

static void none_before_its_time(void **state)
{
    struct timers t = { .heap = NULL };
    struct timer a = { .at = 0 };

    (void)state;
    assert_true(timers_deadline(&t) == TIME_NEVER);
    timers_cancel(&t, &a);
    assert_int_equal(timers_set(&t, &a, 10), 0);
    assert_int_equal(timers_deadline(&t), 10);
    assert_null(timers_pop(&t, 9));
    assert_ptr_equal(timers_pop(&t, 10), &a);
    assert_true(timers_deadline(&t) == TIME_NEVER);
    timers_release(&t);
}

static void lowest_of_a_bitmap(void **state)
{
    struct bitmap b;
    uint32_t first;

    (void)state;
    assert_int_equal(bitmap_init(&b, NUMBERS), 0);
    assert_false(bitmap_first(&b, &first));
    for (uint32_t i = NUMBERS; i-- > 0;) {
        bitmap_set(&b, i);
        assert_true(bitmap_first(&b, &first));
        assert_int_equal(first, i);
    }
    for (uint32_t i = 0; i < NUMBERS; i++) {
        assert_true(bitmap_has(&b, i));
        assert_true(bitmap_first(&b, &first));
        assert_int_equal(first, i);
        bitmap_clear(&b, i);
        assert_false(bitmap_has(&b, i));
    }
    assert_false(bitmap_first(&b, &first));
    bitmap_release(&b);
}

static void stretches(void **state)
{
    struct iset s = { .all = NULL };
    uint64_t end;

    (void)state;
    assert_false(iset_stretch(&s, 0, &end));
    assert_true(end == UINT64_MAX);
    assert_int_equal(iset_add_range(&s, 2, 5), 0);
    assert_int_equal(iset_add_range(&s, 8, 9), 0);
    assert_false(iset_stretch(&s, 0, &end));
    assert_int_equal(end, 2);
    assert_true(iset_stretch(&s, 2, &end));
    assert_int_equal(end, 5);
    assert_true(iset_stretch(&s, 4, &end));
    assert_int_equal(end, 5);
    assert_false(iset_stretch(&s, 5, &end));
    assert_int_equal(end, 8);
    assert_false(iset_stretch(&s, 9, &end));
    assert_true(end == UINT64_MAX);
    iset_release(&s);
}

static void cuts(void **state)
{
    struct iset s = { .all = NULL };
    uint64_t index;

    (void)state;
    iset_cut(&s, 0);
    assert_int_equal(iset_add_range(&s, 2, 5), 0);
    assert_int_equal(iset_add_range(&s, 8, 9), 0);
    iset_cut(&s, 9);
    assert_int_equal(iset_count(&s), 4);
    iset_cut(&s, 4);
    assert_int_equal(iset_count(&s), 2);
    assert_true(iset_has(&s, 3));
    assert_false(iset_has(&s, 4));
    assert_true(iset_pop(&s, &index));
    iset_cut(&s, 0);
    assert_int_equal(iset_count(&s), 0);
    assert_int_equal(iset_add(&s, 1), 0);
    assert_true(iset_has(&s, 1));
    iset_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_of_time),
        cmocka_unit_test(of_one_moment_the_first_set),
        cmocka_unit_test(none_before_its_time),
        cmocka_unit_test(lowest_of_a_bitmap),
        cmocka_unit_test(stretches),
        cmocka_unit_test(cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
