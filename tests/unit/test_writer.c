/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

/* A store that counts commits, can be made to wait in one, and to fail. */
struct fake {
    struct store store;
    struct store *memory;
    sem_t entered, gate, told;
    atomic_bool has_gate;
    int error;                 /* of the next commit */
    const char *expected_path; /* must exist when a commit comes */
    size_t n_commits, n_writes, n_told;
    uint64_t told_ticket;
    int told_error;
};

static int fake_commit(struct store *s, const struct store_write *writes, size_t n)
{
    struct fake *f = (struct fake *)s;

    if (f->has_gate) {
        sem_post(&f->entered);
        sem_wait(&f->gate);
    }
    if (f->error)
        return f->error;
    if (f->expected_path)
        assert_int_equal(access(f->expected_path, F_OK), 0);
    f->n_commits++;
    f->n_writes += n;
    return f->memory->ops->commit(f->memory, writes, n);
}

static int fake_get(struct store *s, enum store_table table, struct span key,
                    struct buffer *ret)
{
    struct fake *f = (struct fake *)s;

    return f->memory->ops->get(f->memory, table, key, ret);
}

static int fake_scan(struct store *s, enum store_table table, struct span prefix,
                     struct span from,
                     int (*each)(void *arg, struct span key, struct span value),
                     void *arg)
{
    struct fake *f = (struct fake *)s;

    return f->memory->ops->scan(f->memory, table, prefix, from, each, arg);
}

static const struct store_ops fake_ops = { .commit = fake_commit,
                                           .get = fake_get,
                                           .scan = fake_scan };

static void on_durable(void *arg, uint64_t ticket, int error)
{
    struct fake *f = arg;

    assert_true(ticket > f->told_ticket);
    f->n_told++;
    f->told_ticket = ticket;
    f->told_error = error;
    sem_post(&f->told);
}

struct test {
    struct fake fake;
    struct writer *writer;
};

static void start(struct test *t, time_us window_us, size_t queue_bytes_max)
{
    struct writer_config config = { .window_us = window_us,
                                    .queue_bytes_max = queue_bytes_max,
                                    .on_durable = on_durable,
                                    .arg = &t->fake };

    assert_int_equal(writer_start(&t->fake.store, &config, &t->writer), 0);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));

    fault_clear();
    t->fake.store.ops = &fake_ops;
    assert_int_equal(store_open_memory(&t->fake.memory), 0);
    sem_init(&t->fake.entered, 0, 0);
    sem_init(&t->fake.gate, 0, 0);
    sem_init(&t->fake.told, 0, 0);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    writer_stop(t->writer);
    store_close(t->fake.memory);
    free(t);
    return 0;
}

static uint64_t put(struct test *t, const char *key, const char *value, bool is_urgent)
{
    struct store_write w = put_text(STORE_RECORDS, key, value ? value : "");

    w.is_delete = !value;
    return writer_put(t->writer, &w, 1, is_urgent);
}

static void assert_value(struct test *t, const char *key, const char *value)
{
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
    int r = writer_get(t->writer, STORE_RECORDS, text_span(key), &found);

    assert_int_equal(r, value ? 0 : -ENOENT);
    if (value)
        assert_string_equal(buffer_text(&found), value);
}

static const time_us hour = TIME_S(3600);

/* A commit that comes would come now. */
static void assert_no_commit(struct test *t)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    assert_int_equal(sem_timedwait(&t->fake.told, &until), -1);
}

/* The first write is committed at once; the next ones wait for the window, which is
 * too long for this test, until somebody cannot wait. */
static void test_groups(void **state)
{
    struct test *t = *state;
    char key[16];

    start(t, hour, 64 << 20);
    put(t, "first", "1", false);
    sem_wait(&t->fake.told);
    assert_int_equal(t->fake.n_commits, 1);
    put(t, "second", "1", false);
    assert_no_commit(t);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put(t, key, "v", false);
    }
    put(t, "last", "1", true);
    sem_wait(&t->fake.told);
    assert_int_equal(t->fake.n_commits, 2);
    assert_int_equal(t->fake.n_writes, 1003);
    assert_int_equal(t->fake.told_ticket, 1003);
}

static void test_window_ends(void **state)
{
    struct test *t = *state;

    start(t, 1000, 64 << 20);
    for (int i = 0; i < 3; i++) {
        put(t, "k", "v", false);
        sem_wait(&t->fake.told);
    }
    assert_int_equal(t->fake.n_commits, 3);
}

static void test_hurry_and_wait(void **state)
{
    struct test *t = *state;
    uint64_t ticket;
    int error;

    start(t, hour, 64 << 20);
    put(t, "a", "1", false);
    sem_wait(&t->fake.told);
    writer_hurry(t->writer); /* nothing is queued */
    put(t, "b", "1", false);
    writer_hurry(t->writer);
    sem_wait(&t->fake.told);
    ticket = put(t, "c", "1", false);
    assert_int_equal(writer_durable(t->writer, &error), ticket - 1);
    assert_int_equal(writer_wait(t->writer, ticket), 0);
    assert_int_equal(writer_durable(t->writer, &error), ticket);
    assert_int_equal(error, 0);
    assert_int_equal(writer_wait(t->writer, ticket + 1), -EINVAL);
    assert_int_equal(t->fake.n_commits, 3);
}

static void test_half_full(void **state)
{
    struct test *t = *state;
    char key[16];

    start(t, hour, 10000);
    put(t, "first", "1", false);
    sem_wait(&t->fake.told);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put(t, key, "0123456789012345678901234567890123456789", false);
    }
    sem_wait(&t->fake.told);
    assert_int_equal(t->fake.told_error, 0);
}

/* While a commit takes its time, writes are taken, read, and bounded. */
static void test_overlay(void **state)
{
    struct test *t = *state;

    t->fake.has_gate = true;
    start(t, 0, 1000);
    put(t, "a", "1", true);
    sem_wait(&t->fake.entered);
    assert_value(t, "a", "1");
    put(t, "a", "2", false);
    put(t, "b", "2", false);
    assert_value(t, "a", "2");
    put(t, "a", NULL, false);
    assert_value(t, "a", NULL);
    assert_value(t, "none", NULL);
    assert_false(writer_is_full(t->writer));
    for (int i = 0; i < 20; i++)
        put(t, "b", "0123456789", false);
    assert_true(writer_is_full(t->writer));
    sem_post(&t->fake.gate);
    sem_wait(&t->fake.told);
    assert_value(t, "a", NULL);
    t->fake.has_gate = false;
    sem_post(&t->fake.gate);
    sem_wait(&t->fake.told);
    assert_value(t, "a", NULL);
    assert_value(t, "b", "0123456789");
    assert_false(writer_is_full(t->writer));
    assert_int_equal(t->fake.n_writes, 3);
}

static void test_many_keys(void **state)
{
    struct test *t = *state;
    char key[16], value[16];

    t->fake.has_gate = true;
    start(t, hour, 64 << 20);
    put(t, "first", "1", false);
    sem_wait(&t->fake.entered);
    for (int i = 0; i < 50000; i++) {
        snprintf(key, sizeof(key), "%d", i % 30000);
        snprintf(value, sizeof(value), "v%d", i);
        put(t, key, value, false);
    }
    for (int i = 20000; i < 50000; i += 7) {
        snprintf(key, sizeof(key), "%d", i % 30000);
        snprintf(value, sizeof(value), "v%d", i);
        assert_value(t, key, value);
    }
    t->fake.has_gate = false;
    sem_post(&t->fake.gate);
    sem_wait(&t->fake.told);
    assert_int_equal(writer_wait(t->writer, put(t, "last", "1", false)), 0);
    assert_int_equal(t->fake.n_writes, 30002);
    assert_value(t, "19999", "v49999");
}

/* Nothing is told after a failed commit, whatever comes. */
static void test_failure(void **state)
{
    struct test *t = *state;
    uint64_t ticket;
    int error;

    start(t, hour, 64 << 20);
    assert_int_equal(writer_wait(t->writer, put(t, "a", "1", true)), 0);
    sem_wait(&t->fake.told);
    t->fake.error = -ENOSPC;
    ticket = put(t, "b", "1", true);
    assert_int_equal(writer_wait(t->writer, ticket), -ENOSPC);
    sem_wait(&t->fake.told);
    assert_int_equal(t->fake.told_error, -ENOSPC);
    t->fake.error = 0;
    assert_true(put(t, "c", "1", true) > ticket);
    assert_int_equal(writer_wait(t->writer, ticket + 1), -ENOSPC);
    assert_int_equal(writer_durable(t->writer, &error), ticket - 1);
    assert_int_equal(error, -ENOSPC);
    assert_value(t, "b", "1");
    writer_stop(TAKE(t->writer));
    assert_int_equal(t->fake.n_commits, 1);
    assert_int_equal(t->fake.n_told, 2);
}

static void test_stop_commits(void **state)
{
    struct test *t = *state;

    start(t, hour, 64 << 20);
    assert_int_equal(writer_wait(t->writer, put(t, "a", "1", true)), 0);
    put(t, "b", "1", false);
    put(t, "c", "1", false);
    writer_stop(TAKE(t->writer));
    assert_int_equal(t->fake.n_writes, 3);
    assert_int_equal(t->fake.told_ticket, 3);
}

static int count_key(void *arg, struct span key, struct span value)
{
    (void)key;
    (void)value;
    ++*(int *)arg;
    return 0;
}

static void test_scan(void **state)
{
    struct test *t = *state;
    struct span none = { .len = 0 };
    int n = 0;

    start(t, hour, 64 << 20);
    assert_int_equal(writer_wait(t->writer, put(t, "ra", "1", true)), 0);
    put(t, "rb", "1", false);
    put(t, "s", "1", false);
    /* Nothing with this prefix is queued: no commit. */
    assert_int_equal(writer_scan(t->writer, STORE_RECORDS, text_span("x"), none,
                                 count_key, &n),
                     0);
    assert_int_equal(writer_scan(t->writer, STORE_META, text_span("r"), none, count_key,
                                 &n),
                     0);
    assert_int_equal(t->fake.n_commits, 1);
    assert_int_equal(writer_scan(t->writer, STORE_RECORDS, text_span("r"), none,
                                 count_key, &n),
                     0);
    assert_int_equal(n, 2);
    assert_int_equal(t->fake.n_commits, 2);
}

/* A file is in its place before a record that was queued behind it. */
static void test_sync_file(void **state)
{
    char dir[64], old[80], new[80];
    struct test *t = *state;
    int fd;

    fixture_make_dir(dir);
    snprintf(old, sizeof(old), "%s/old", dir);
    snprintf(new, sizeof(new), "%s/new", dir);
    write_file(old, "x", 1);
    t->fake.expected_path = new;
    start(t, 0, 64 << 20);
    fd = open(old, O_RDONLY | O_CLOEXEC);
    assert_int_equal(writer_sync_file(t->writer, fd, old, new), 1);
    assert_int_equal(writer_wait(t->writer, put(t, "a", "1", true)), 0);
    assert_int_equal(t->fake.n_commits, 1);
    assert_true(fcntl(fd, F_GETFD) < 0);
    fd = open(new, O_RDONLY | O_CLOEXEC);
    assert_int_equal(writer_wait(t->writer,
                                 writer_sync_file(t->writer, fd, NULL, NULL)),
                     0);
    assert_int_equal(t->fake.n_commits, 1);
    fixture_erase(dir);
}

static void test_sync_fails(void **state)
{
    struct test *t = *state;

    start(t, hour, 64 << 20);
    fault_set(FAULT_SYNC_EIO, 1);
    writer_sync_file(t->writer, open("/tmp", O_RDONLY | O_CLOEXEC), NULL, NULL);
    assert_int_equal(writer_wait(t->writer, put(t, "a", "1", true)), -EIO);
    assert_int_equal(t->fake.n_commits, 0);
}

struct worker {
    struct test *test;
    int number, n_bad;
};

static void *put_and_get(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 3000; i++) {
        CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
        char key[32], value[32];
        uint64_t ticket;

        snprintf(key, sizeof(key), "%d/%d", w->number, i % 50);
        snprintf(value, sizeof(value), "%d", i);
        ticket = put(w->test, key, value, i % 100 == 0);
        if (writer_get(w->test->writer, STORE_RECORDS, text_span(key), &found)
            || strcmp(buffer_text(&found), value) != 0)
            w->n_bad++;
        if (i % 500 == 0 && writer_wait(w->test->writer, ticket))
            w->n_bad++;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct test *t = *state;
    struct worker workers[4];
    pthread_t threads[4];

    start(t, 100, 64 << 20);
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){ .test = t, .number = i };
        pthread_create(&threads[i], NULL, put_and_get, &workers[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].n_bad, 0);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_groups),    TEST(test_window_ends),  TEST(test_hurry_and_wait),
        TEST(test_half_full), TEST(test_overlay),      TEST(test_many_keys),
        TEST(test_failure),   TEST(test_stop_commits), TEST(test_scan),
        TEST(test_sync_file), TEST(test_sync_fails),   TEST(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
