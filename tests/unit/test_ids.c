/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ids.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "base/prng.h"
#include "tests/unit/unit.h"

static const struct {
    uint64_t value;
    const char *bytes;
    size_t len;
} varints[] = {
    { 0, "\x00", 1 },
    { 1, "\x01", 1 },
    { 0xef, "\xef", 1 },
    { 0xf0, "\xf0\xf0", 2 },
    { 0xff, "\xf0\xff", 2 },
    { 0x100, "\xf1\x01\x00", 3 },
    { 0xffff, "\xf1\xff\xff", 3 },
    { 0x10000, "\xf2\x01\x00\x00", 4 },
    { 0xffffffff, "\xf3\xff\xff\xff\xff", 5 },
    { 0x100000000, "\xf4\x01\x00\x00\x00\x00", 6 },
    { 0x10000000000, "\xf5\x01\x00\x00\x00\x00\x00", 7 },
    { 0x1000000000000, "\xf6\x01\x00\x00\x00\x00\x00\x00", 8 },
    { 0x100000000000000, "\xf7\x01\x00\x00\x00\x00\x00\x00\x00", 9 },
    { UINT64_MAX, "\xf7\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
};

static void test_varint_bytes(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(varints); i++) {
        uint8_t bytes[VARINT_SIZE_MAX];
        uint64_t value = 0;

        assert_int_equal(varint_encode(varints[i].value, bytes), varints[i].len);
        assert_memory_equal(bytes, varints[i].bytes, varints[i].len);
        assert_int_equal(varint_decode(bytes, varints[i].len, &value), varints[i].len);
        assert_true(value == varints[i].value);
        for (size_t len = 0; len < varints[i].len; len++)
            assert_int_equal(varint_decode(bytes, len, &value), 0);
    }
}

static void test_varint_has_one_form(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {
        { "\xf0\x00", 2 },
        { "\xf0\xef", 2 },
        { "\xf1\x00\xff", 3 },
        { "\xf7\x00\xff\xff\xff\xff\xff\xff\xff", 9 },
        { "\xf8\x01\x01\x01\x01\x01\x01\x01\x01\x01", 10 },
        { "\xff\x01\x01\x01\x01\x01\x01\x01\x01\x01", 10 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        uint64_t value = 77;

        assert_int_equal(varint_decode((const uint8_t *)wrong[i].bytes, wrong[i].len,
                                       &value),
                         0);
        assert_int_equal(value, 77);
    }
}

/* Of all magnitudes, with those at which the form changes. */
static uint64_t draw(struct prng *p)
{
    uint64_t value = prng_next(p) >> prng_below(p, 64);

    switch (prng_below(p, 4)) {
    case 0:
        return varints[prng_below(p, ARRAY_SIZE(varints))].value;
    case 1:
        return prng_below(p, 300);
    default:
        return value;
    }
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static int compare_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int order = memcmp(a, b, min_size(a_len, b_len));

    return order ? sign(order) : (a_len > b_len) - (a_len < b_len);
}

static void test_varint_keeps_order(void **state UNUSED)
{
    struct prng p;

    prng_init(&p, 11);
    for (int i = 0; i < 100000; i++) {
        uint64_t a = draw(&p), b = draw(&p);
        uint8_t a_bytes[VARINT_SIZE_MAX], b_bytes[VARINT_SIZE_MAX];
        size_t a_len = varint_encode(a, a_bytes), b_len = varint_encode(b, b_bytes);

        assert_int_equal(compare_bytes(a_bytes, a_len, b_bytes, b_len),
                         (a > b) - (a < b));
    }
}

static void test_task_id_bytes(void **state UNUSED)
{
    static const struct task_id root = { .step = 3 };
    static const struct task_id deep = {
        .step = 300, .depth = 2, .iteration = 5, .path = { 7, 70000 }
    };
    uint8_t bytes[TASK_ID_SIZE_MAX];

    assert_int_equal(task_id_encode(&root, bytes), 3);
    assert_memory_equal(bytes, "\x03\x00\x00", 3);
    assert_int_equal(task_id_encode(&deep, bytes), 10);
    assert_memory_equal(bytes, "\xf1\x01\x2c\x02\x07\xf2\x01\x11\x70\x05", 10);
}

static struct task_id draw_task(struct prng *p, uint32_t depth)
{
    struct task_id t = { .step = (uint32_t)prng_below(p, 3) * 200, .depth = depth };

    for (uint32_t i = 0; i < depth; i++)
        t.path[i] = prng_below(p, 4) ? prng_below(p, 3) : draw(p);
    t.iteration = (uint32_t)prng_below(p, 3) * 0x7f;
    return t;
}

static int compare_tasks(const struct task_id *a, const struct task_id *b)
{
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    for (uint32_t i = 0; i < a->depth; i++)
        if (a->path[i] != b->path[i])
            return a->path[i] < b->path[i] ? -1 : 1;
    return (a->iteration > b->iteration) - (a->iteration < b->iteration);
}

/* A step has one depth, so only ids of one depth are ever compared within a step. */
static void test_task_id_keeps_order(void **state UNUSED)
{
    struct prng p;

    prng_init(&p, 12);
    for (int i = 0; i < 50000; i++) {
        uint32_t depth = (uint32_t)prng_below(&p, 4);
        struct task_id a = draw_task(&p, depth), b = draw_task(&p, depth);
        uint8_t a_bytes[TASK_ID_SIZE_MAX], b_bytes[TASK_ID_SIZE_MAX];
        size_t a_len = task_id_encode(&a, a_bytes), b_len = task_id_encode(&b, b_bytes);

        assert_int_equal(compare_bytes(a_bytes, a_len, b_bytes, b_len),
                         compare_tasks(&a, &b));
        assert_int_equal(task_id_equal(&a, &b), compare_tasks(&a, &b) == 0);
    }
}

static void test_task_id_round_trip(void **state UNUSED)
{
    struct prng p;

    prng_init(&p, 13);
    for (int i = 0; i < 20000; i++) {
        struct task_id t = draw_task(&p, (uint32_t)prng_below(&p, SCOPE_DEPTH_MAX + 1));
        struct task_id back = { .step = 99 };
        uint8_t bytes[TASK_ID_SIZE_MAX];
        char text[TASK_TEXT_SIZE];
        size_t len;

        if (i % 10 == 0)
            t.step = t.iteration = UINT32_MAX;
        len = task_id_encode(&t, bytes);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(task_id_decode(bytes, cut, &back), 0);
        assert_int_equal(task_id_decode(bytes, len, &back), len);
        assert_true(task_id_equal(&t, &back));

        task_id_text(&t, text);
        assert_int_equal(task_id_parse(text, t.step, t.depth, &back), 0);
        assert_true(task_id_equal(&t, &back));
    }
}

static void test_task_id_at_its_widest(void **state UNUSED)
{
    struct task_id t = { .step = UINT32_MAX,
                         .depth = SCOPE_DEPTH_MAX,
                         .iteration = UINT32_MAX };
    uint8_t bytes[TASK_ID_SIZE_MAX];
    char text[TASK_TEXT_SIZE];
    struct task_id back;

    for (int i = 0; i < SCOPE_DEPTH_MAX; i++)
        t.path[i] = UINT64_MAX;
    assert_int_equal(task_id_encode(&t, bytes), 5 + 1 + 16 * 9 + 5);
    task_id_text(&t, text);
    assert_int_equal(strlen(text), 16 * 20 + 15 + 11);
    assert_int_equal(task_id_parse(text, t.step, t.depth, &back), 0);
    assert_true(task_id_equal(&t, &back));
}

static void test_bytes_that_are_no_task(void **state UNUSED)
{
    struct task_id t = { .step = 99 };

    /* 17 scopes; a step, then an iteration of 33 bits. */
    assert_int_equal(
        task_id_decode((const uint8_t *)"\x00\x11\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                        "\0\0\0\0\0\0",
                       20, &t),
        0);
    assert_int_equal(task_id_decode((const uint8_t *)"\xf4\x01\x00\x00\x00\x00\x00\x00",
                                    8, &t),
                     0);
    assert_int_equal(task_id_decode((const uint8_t *)"\x00\x00\xf4\x01\x00\x00\x00\x00",
                                    8, &t),
                     0);
    assert_int_equal(t.step, 99);
}

static void test_task_text(void **state UNUSED)
{
    static const struct {
        struct task_id task;
        const char *text;
    } all[] = {
        { { .depth = 0 }, "0" },
        { { .depth = 0, .iteration = 2 }, "0~2" },
        { { .depth = 1, .path = { 17 } }, "17" },
        { { .depth = 2, .path = { 3, 1 } }, "3.1" },
        { { .depth = 2, .path = { 3, 0 }, .iteration = 1 }, "3.0~1" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        char text[TASK_TEXT_SIZE];

        task_id_text(&all[i].task, text);
        assert_string_equal(text, all[i].text);
    }
}

static void test_text_that_is_no_task(void **state UNUSED)
{
    static const struct {
        uint32_t depth;
        const char *text;
    } wrong[] = {
        { 0, "" },     { 0, "1" },
        { 0, "00" },   { 0, "0.1" },
        { 0, "0~0" },  { 0, "0~" },
        { 0, "0~01" }, { 0, "0~4294967296" },
        { 1, "" },     { 1, "-1" },
        { 1, "+1" },   { 1, " 1" },
        { 1, "1 " },   { 1, "01" },
        { 1, "1.2" },  { 1, "1." },
        { 1, "0x10" }, { 2, "1" },
        { 2, "1..2" }, { 2, ".1" },
        { 1, "a" },    { 1, "18446744073709551616" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct task_id t = { .step = 99 };

        assert_int_equal(task_id_parse(wrong[i].text, 1, wrong[i].depth, &t), -EINVAL);
        assert_int_equal(t.step, 99);
    }
}

static void test_run_ids_sort_by_age(void **state UNUSED)
{
    uint8_t zeros[10] = { 0 }, ones[10];
    struct run_id old, young;
    char text[RUN_ID_TEXT_SIZE];

    memset(ones, 0xff, sizeof(ones));
    old = run_id_make(0x0123456789ab, ones);
    young = run_id_make(0x0123456789ac, zeros);
    assert_true(memcmp(old.bytes, young.bytes, RUN_ID_SIZE) < 0);
    run_id_text(&old, text);
    assert_string_equal(text, "0123456789abffffffffffffffffffff");
}

static void test_hexadecimal_is_strict(void **state UNUSED)
{
    static const char *const wrong[] = {
        "",
        "0123456789abffffffffffffffffffff0",
        "0123456789abfffffffffffffffffff",
        "0123456789ABffffffffffffffffffff",
        "0123456789abffffffffffffffffffg0",
        " 123456789abffffffffffffffffffff",
    };
    struct run_id id = { .bytes = { 9 } }, before = id;
    struct digest d, back;
    char text[DIGEST_TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(run_id_parse(wrong[i], &id), -EINVAL);
        assert_true(run_id_equal(&id, &before));
    }
    assert_int_equal(run_id_parse("0123456789abffffffffffffffffffff", &id), 0);
    assert_int_equal(id.bytes[5], 0xab);
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        d.bytes[i] = (uint8_t)(i * 8 + 1);
    digest_text(&d, text);
    assert_int_equal(digest_parse(text, &back), 0);
    assert_true(digest_equal(&d, &back));
    back.bytes[31] ^= 1;
    assert_false(digest_equal(&d, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_bytes),
        cmocka_unit_test(test_varint_has_one_form),
        cmocka_unit_test(test_varint_keeps_order),
        cmocka_unit_test(test_task_id_bytes),
        cmocka_unit_test(test_task_id_keeps_order),
        cmocka_unit_test(test_task_id_round_trip),
        cmocka_unit_test(test_task_id_at_its_widest),
        cmocka_unit_test(test_bytes_that_are_no_task),
        cmocka_unit_test(test_task_text),
        cmocka_unit_test(test_text_that_is_no_task),
        cmocka_unit_test(test_run_ids_sort_by_age),
        cmocka_unit_test(test_hexadecimal_is_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
