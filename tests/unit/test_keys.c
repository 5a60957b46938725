/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "proto/record.h"
#include "tests/unit/unit.h"

static void test_keys(void **state UNUSED)
{
    static const struct run_id run = { { 0xaa, 0xbb } };
    static const struct task_id task = { .step = 300, .depth = 1, .path = { 5 } };
    struct record_key key = attempt_key(&run, &task, 2), prefix;
    struct run_id run_back;
    struct task_id task_back = { .step = 9 };
    uint32_t attempt = 99;

    assert_int_equal(key.len, 17 + 3 + 1 + 1 + 1 + 1);
    assert_int_equal(attempt_key_decode(key.bytes, key.len, &run_back, &task_back,
                                        &attempt),
                     0);
    assert_true(run_id_equal(&run, &run_back));
    assert_true(task_id_equal(&task, &task_back));
    assert_int_equal(attempt, 2);

    prefix = attempts_of_run(&run);
    assert_int_equal(prefix.len, 17);
    assert_memory_equal(prefix.bytes, key.bytes, prefix.len);
    prefix = attempts_of_step(&run, 300);
    assert_int_equal(prefix.len, 20);
    assert_memory_equal(prefix.bytes, key.bytes, prefix.len);
    prefix = attempts_of_task(&run, &task);
    assert_int_equal(prefix.len, key.len - 1);
    assert_memory_equal(prefix.bytes, key.bytes, prefix.len);
}

static void test_bytes_that_are_no_attempt_key(void **state UNUSED)
{
    static const struct run_id run = { { 1 } };
    static const struct task_id task = { .step = 1 };
    struct record_key key = attempt_key(&run, &task, 240);
    struct run_id run_back;
    struct task_id task_back;
    uint32_t attempt;

    for (size_t len = 0; len < key.len; len++)
        assert_int_equal(attempt_key_decode(key.bytes, len, &run_back, &task_back,
                                            &attempt),
                         -EBADMSG);
    key.bytes[key.len] = 0;
    assert_int_equal(attempt_key_decode(key.bytes, key.len + 1, &run_back, &task_back,
                                        &attempt),
                     -EBADMSG);
    /* An attempt of 33 bits. */
    memcpy(key.bytes + key.len - 2, "\xf4\x01\x00\x00\x00\x00", 6);
    assert_int_equal(attempt_key_decode(key.bytes, key.len + 4, &run_back, &task_back,
                                        &attempt),
                     -EBADMSG);
    key = attempt_key(&run, &task, 240);
    key.bytes[0] = 'r';
    assert_int_equal(attempt_key_decode(key.bytes, key.len, &run_back, &task_back,
                                        &attempt),
                     -EBADMSG);
}

/* Attempts sort by run, step, index and number: a scan reads them in this order. */
static void test_keys_sort(void **state UNUSED)
{
    static const struct run_id runs[] = { { { 1 } }, { { 2 } } };
    struct record_key last = attempts_of_run(&runs[0]);

    for (size_t r = 0; r < 2; r++)
        for (uint32_t step = 0; step < 600; step += 150)
            for (uint64_t i = 0; i < 100000; i += 9999)
                for (uint32_t attempt = 0; attempt < 500; attempt += 120) {
                    struct task_id task = { .step = step, .depth = 1, .path = { i } };
                    struct record_key key = attempt_key(&runs[r], &task, attempt);

                    assert_true(
                        memcmp(last.bytes, key.bytes, min_size(last.len, key.len)) < 0
                        || last.len == 17);
                    last = key;
                }
    assert_int_equal(number_key(7).len, 2);
    assert_true(memcmp(number_key(239).bytes, number_key(240).bytes, 2) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bytes_that_are_no_attempt_key),
        cmocka_unit_test(test_keys_sort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
