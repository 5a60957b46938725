/* SPDX-License-Identifier: Apache-2.0 */
/* A run goes at once for who looks, its attempts a batch at a time, and nobody else's.
 */
#include "tests/unit/store_fixture.h"

#include "node/removal.h"

enum { ATTEMPTS = 5000 }; /* several batches */

static const struct run_id run = { { 7, 1 } }, other = { { 7, 2 } };

static void put(struct fixture *f, struct record_key key, struct buffer *value)
{
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len },
                                 .value = { value->data, value->len } };

    assert_int_not_equal(writer_put(f->writer, &write, 1, false), 0);
    buffer_release(value);
}

static void put_run(struct fixture *f, const struct run_id *id, uint64_t number,
                    uint64_t n_attempts)
{
    struct run_record record = {
        .run = *id, .number = number, .flow_text = (char *)"", .flow_name = (char *)"f"
    };
    struct run_end_record end = { .run = *id, .outcome = RUN_OK };
    struct attempt_record attempt = { .verdict = VERDICT_DONE, .reason = REASON_OK };
    struct task_id task = { .step = 1, .depth = 1 };
    struct buffer value = BUFFER_INIT;

    assert_int_equal(run_record_encode(&record, &value), 0);
    put(f, run_key(id), &value);
    assert_int_equal(run_end_record_encode(&end, &value), 0);
    put(f, run_end_key(id), &value);
    buffer_append(&value, id->bytes, RUN_ID_SIZE);
    put(f, number_key(number), &value);
    for (uint64_t i = 0; i < n_attempts; i++) {
        task.path[0] = i;
        assert_int_equal(attempt_record_encode(&attempt, &value), 0);
        put(f, attempt_key(id, &task, 0), &value);
    }
}

static bool has(struct fixture *f, struct record_key key)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;

    return writer_get(f->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                      &value)
           == 0;
}

static int count(void *arg, struct span key, struct span value)
{
    (void)key, (void)value;
    ++*(uint64_t *)arg;
    return 0;
}

static uint64_t n_attempts(struct fixture *f, const struct run_id *id)
{
    struct record_key prefix = attempts_of_run(id);
    uint64_t n = 0;

    assert_int_equal(writer_scan(f->writer, STORE_RECORDS,
                                 (struct span){ prefix.bytes, prefix.len },
                                 (struct span){ NULL, 0 }, count, &n),
                     0);
    return n;
}

static void all_of_it_goes_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    uint64_t ticket, n = 0;

    put_run(f, &run, 1, ATTEMPTS);
    put_run(f, &other, 2, 3);
    assert_int_equal(removal_begin(f->writer, &run, &ticket), 0);
    assert_int_equal(writer_wait(f->writer, ticket), 0);
    assert_false(has(f, run_key(&run)));
    assert_false(has(f, run_end_key(&run)));
    assert_false(has(f, number_key(1)));
    assert_true(removal_is_any(f->writer));
    assert_int_equal(removal_begin(f->writer, &run, &ticket), -ENOENT);

    assert_int_equal(removal_finish(f->writer, &run, NULL, &n), 0);
    assert_int_equal(n, ATTEMPTS);
    assert_int_equal(n_attempts(f, &run), 0);
    assert_false(removal_is_any(f->writer));
    assert_true(has(f, run_key(&other)) && has(f, run_end_key(&other)));
    assert_true(has(f, number_key(2)));
    assert_int_equal(n_attempts(f, &other), 3);
}

static void the_next_node_finishes_what_was_begun(void **state)
{
    struct fixture *f = *state;
    atomic_bool is_stopping = true;
    uint64_t ticket, n;

    put_run(f, &run, 1, ATTEMPTS);
    put_run(f, &other, 2, ATTEMPTS);
    assert_int_equal(removal_begin(f->writer, &run, &ticket), 0);
    assert_int_equal(removal_begin(f->writer, &other, &ticket), 0);
    assert_int_equal(removal_finish(f->writer, &run, &is_stopping, &n), -ECANCELED);
    assert_int_equal(removal_finish_all(f->writer, &is_stopping), -ECANCELED);
    assert_int_equal(writer_wait(f->writer, ticket), 0);
    fixture_reopen(f);
    assert_true(removal_is_any(f->writer));
    assert_int_equal(n_attempts(f, &other), ATTEMPTS);
    assert_int_equal(removal_finish_all(f->writer, NULL), 0);
    assert_false(removal_is_any(f->writer));
    assert_int_equal(n_attempts(f, &run) + n_attempts(f, &other), 0);
}

static void one_whose_record_is_damaged_goes_too(void **state)
{
    struct fixture *f = *state;
    struct buffer value = BUFFER_INIT;
    uint64_t ticket, n;

    buffer_puts(&value, "no record");
    put(f, run_key(&run), &value);
    assert_int_equal(removal_begin(f->writer, &run, &ticket), 0);
    assert_int_equal(removal_finish(f->writer, &run, NULL, &n), 0);
    assert_int_equal(n, 0);
    assert_false(has(f, run_key(&run)));
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_of_it_goes_and_nothing_else),
        CASE(the_next_node_finishes_what_was_begun),
        CASE(one_whose_record_is_damaged_goes_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
