/* SPDX-License-Identifier: Apache-2.0 */
/* Some thousand small objects put and got through a proxy that drops, refuses, cuts and
 * alters (tests/counterparts/faults.json): nothing is lost, and no byte that was told
 * to be right is wrong. */
#include "cloud/object_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/prng.h"
#include "cloud/credentials.h"
#include "cloud/http.h"
#include "tests/unit/unit.h"

enum { OBJECTS = 1500, AT_ONCE = 16, BYTES_MAX = 8192, ROUNDS_MAX = 20 };

struct stage;

struct object {
    struct stage *stage;
    char name[32];
    char *data;
    size_t len;
    bool is_put, is_right;
    int rounds;
    struct buffer got;
};

struct stage {
    uv_loop_t loop;
    struct http *http;
    struct credentials *credentials;
    struct object_store *store;
    struct object objects[OBJECTS];
    size_t n_begun, n_under_way, n_right, n_altered;
};

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        fail_msg("%s is not set: run by tests/counterparts/faulty.sh", name);
    return value;
}

static void fetch_key(void *self UNUSED, credentials_fetched_fn *fetched, void *arg)
{
    struct credential key = { .id = (char *)setting("MESH_TEST_S3_ID"),
                              .secret = (char *)setting("MESH_TEST_S3_SECRET"),
                              .is_static = true };

    fetched(arg, 0, &key, NULL);
}

static void free_key(void *self UNUSED)
{
}

static void next_step(struct object *o);

static int on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct object *o = arg;

    assert_int_equal(offset, o->got.len);
    return buffer_append(&o->got, data, len);
}

static void on_put(void *arg, int status, const struct object_about *about UNUSED,
                   const struct error *error)
{
    struct object *o = arg;

    /* What was altered on its way is refused, under one of two names. */
    if (status == -EBADMSG
        || (status < 0 && strstr(error->text, "XAmzContentSHA256Mismatch"))) {
        assert_true(o->rounds++ < ROUNDS_MAX);
        o->stage->n_altered++;
        next_step(o);
        return;
    }
    if (status < 0)
        fail_msg("put of %s: %s", o->name, error->text);
    o->is_put = true;
    next_step(o);
}

/* A bit that was flipped is noticed when its bytes were given on: it is asked again. */
static void on_got(void *arg, int status, const struct object_about *about UNUSED,
                   const struct error *error)
{
    struct object *o = arg;

    if (status == -EBADMSG) {
        assert_true(o->rounds++ < ROUNDS_MAX);
        o->stage->n_altered++;
        next_step(o);
        return;
    }
    if (status < 0)
        fail_msg("get of %s: %s", o->name, error->text);
    assert_int_equal(o->got.len, o->len);
    assert_memory_equal(o->got.data, o->data, o->len);
    o->is_right = true;
    next_step(o);
}

static void begin_next(struct stage *s)
{
    while (s->n_begun < OBJECTS && s->n_under_way < AT_ONCE) {
        s->n_under_way++;
        next_step(&s->objects[s->n_begun++]);
    }
}

static void next_step(struct object *o)
{
    struct object_store *store = o->stage->store;
    const struct object_put put = { .name = o->name,
                                    .body = { .data = o->data, .len = o->len } };
    const struct object_get get = { .name = o->name,
                                    .len = UINT64_MAX,
                                    .on_data = on_data };

    if (!o->is_put) {
        assert_int_equal(store->class->put(store, &put, on_put, o, NULL), 0);
    } else if (!o->is_right) {
        buffer_clear(&o->got);
        assert_int_equal(store->class->get(store, &get, on_got, o, NULL), 0);
    } else {
        o->stage->n_right++;
        o->stage->n_under_way--;
        begin_next(o->stage);
    }
}

static void make_objects(struct stage *s)
{
    struct prng prng;

    prng_init(&prng, 11);
    for (size_t i = 0; i < OBJECTS; i++) {
        struct object *o = &s->objects[i];

        o->stage = s;
        snprintf(o->name, sizeof(o->name), "small/%zu", i);
        o->len = 1 + prng_below(&prng, BYTES_MAX);
        o->data = malloc(o->len);
        assert_non_null(o->data);
        for (size_t at = 0; at < o->len; at++)
            o->data[at] = (char)prng_next(&prng);
    }
}

static void open_store(struct stage *s)
{
    const struct credentials_source source = { "test", NULL, fetch_key, free_key };
    const struct object_store_options options = {
        .bucket = "mesh-faults",
        .region = setting("MESH_TEST_S3_REGION"),
        .endpoint = setting("MESH_TEST_S3_ENDPOINT"),
    };
    struct error error;

    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(http_new(&s->loop, &(struct http_options){ .proxy = "" }, &s->http,
                              &error),
                     0);
    assert_int_equal(credentials_new(&s->loop, &source, 1, &s->credentials), 0);
    if (s3_open(s->http, s->credentials, &options, &s->store, &error) < 0)
        fail_msg("%s", error.text);
}

static void test_nothing_lost(void **state UNUSED)
{
    static struct stage s;
    struct http_counters counters[HTTP_STORES_MAX];

    make_objects(&s);
    open_store(&s);
    begin_next(&s);
    while (s.n_right < OBJECTS)
        uv_run(&s.loop, UV_RUN_ONCE);
    /* The proxy did its part. */
    assert_int_equal(http_count(s.http, counters), 1);
    assert_true(counters[0].retries > OBJECTS / 50);
    assert_true(s.n_altered > 0);
    print_message("%lu requests, %lu tried again, %zu altered bodies noticed\n",
                  counters[0].requests, counters[0].retries, s.n_altered);
    s.store->class->free(s.store);
    credentials_free(s.credentials);
    http_free(s.http);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s.loop), 0);
    for (size_t i = 0; i < OBJECTS; i++) {
        buffer_release(&s.objects[i].got);
        free(s.objects[i].data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_lost) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
