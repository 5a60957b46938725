/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that answer at once, later, not at all or wrongly, in time that stands still
 * until a test moves it. */
#include "cloud/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/unit.h"

enum { START_S = 1000000, SOURCES = 2 };

static int64_t now_s = START_S;
static uint64_t loop_ms = 1000;

/* In place of the C library's and libuv's. */
time_t time(time_t *ret)
{
    if (ret)
        *ret = (time_t)now_s;
    return (time_t)now_s;
}

uint64_t uv_now(const uv_loop_t *loop UNUSED)
{
    return loop_ms;
}

static void pass_s(int64_t s)
{
    now_s += s;
    loop_ms += (uint64_t)s * 1000;
}

/* Says what is asked of it and tells what it was told, in one line. */
struct source {
    int status; /* of the next answer */
    const char *id;
    int64_t lives_s; /* 0: for ever */
    bool is_slow, is_static, is_silent;
    int n_fetches;
    bool is_freed;
    credentials_fetched_fn *fetched; /* while an answer is due */
    void *arg;
};

struct scene {
    struct source sources[SOURCES];
    struct credentials *c;
    char told[512];
};

static void answer(struct source *s)
{
    char id[32], secret[] = "hidden";
    struct credential key = { .id = id,
                              .secret = secret,
                              .expires_s = s->lives_s ? now_s + s->lives_s : 0,
                              .from = "a test",
                              .is_static = s->is_static };
    struct error error;
    credentials_fetched_fn *fetched = s->fetched;

    s->fetched = NULL;
    if (s->status < 0) {
        fail(&error, s->status, "%s%s", s->is_silent ? "" : s->id,
             s->is_silent ? "" : " has none");
        fetched(s->arg, s->status, NULL, &error);
        return;
    }
    snprintf(id, sizeof(id), "%s%d", s->id, s->n_fetches);
    fetched(s->arg, 0, &key, NULL);
    memset(id, 'x', sizeof(id)); /* it was copied */
}

static void source_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct source *s = self;

    assert_null(s->fetched);
    s->n_fetches++;
    s->fetched = fetched;
    s->arg = arg;
    if (!s->is_slow)
        answer(s);
}

static void source_free(void *self)
{
    struct source *s = self;

    s->is_freed = true;
}

static void got(void *arg, int status, const struct credential *key,
                const struct error *error)
{
    struct scene *s = arg;
    size_t len = strlen(s->told);

    assert_true((status == 0) == (key != NULL));
    assert_true((status == 0) == (error == NULL));
    snprintf(s->told + len, sizeof(s->told) - len, "%s%s", len ? " | " : "",
             key ? key->id : error->text);
}

static void scene_open(struct scene *s, size_t n)
{
    struct credentials_source sources[SOURCES];

    for (size_t i = 0; i < n; i++)
        sources[i] =
            (struct credentials_source){ i ? "second" : "first", &s->sources[i],
                                         source_fetch, source_free };
    assert_int_equal(credentials_new(NULL, sources, n, &s->c), 0);
}

static void scene_close(struct scene *s)
{
    credentials_free(s->c);
    assert_true(s->sources[0].is_freed);
}

static const char *ask(struct scene *s)
{
    s->told[0] = '\0';
    credentials_get(s->c, got, s);
    return s->told;
}

static void test_at_once(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a" } } };

    scene_open(&s, 1);
    assert_int_equal(s.sources[0].n_fetches, 0);
    assert_string_equal(ask(&s), "a1");
    pass_s(1000000);
    assert_string_equal(ask(&s), "a1");
    assert_int_equal(s.sources[0].n_fetches, 1);
    scene_close(&s);
}

static void test_many_wait_for_one_fetch(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .is_slow = true } } };

    scene_open(&s, 1);
    for (int i = 0; i < 3; i++)
        credentials_get(s.c, got, &s);
    assert_string_equal(s.told, "");
    answer(&s.sources[0]);
    assert_string_equal(s.told, "a1 | a1 | a1");
    assert_int_equal(s.sources[0].n_fetches, 1);
    scene_close(&s);
}

static void test_next_source(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .status = -ENOENT, .is_slow = true },
                                    { .id = "b", .lives_s = 3600 } } };

    scene_open(&s, 2);
    ask(&s);
    answer(&s.sources[0]);
    assert_string_equal(s.told, "b1");
    /* The one that had a key is asked again, the other is left alone. */
    pass_s(3400);
    assert_string_equal(ask(&s), "b2");
    assert_int_equal(s.sources[0].n_fetches, 1);
    /* All are asked once it has run out. */
    pass_s(3601);
    s.sources[0].status = 0;
    s.sources[0].is_slow = false;
    assert_string_equal(ask(&s), "a2");
    scene_close(&s);
    assert_true(s.sources[1].is_freed);
}

static void test_nobody_has_one(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .status = -ENOENT },
                                    { .id = "b", .status = -ENOENT } } };

    scene_open(&s, 2);
    assert_string_equal(ask(&s), "a has none; b has none");
    /* The error is held for a second, and is whole again after it. */
    assert_string_equal(ask(&s), "a has none; b has none");
    assert_int_equal(s.sources[0].n_fetches, 1);
    pass_s(1);
    assert_string_equal(ask(&s), "a has none; b has none");
    assert_int_equal(s.sources[0].n_fetches, 2);
    pass_s(1);
    s.sources[1].status = 0;
    assert_string_equal(ask(&s), "b3");
    scene_close(&s);
}

static void test_nobody_says_why(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .status = -ENOENT, .is_silent = true },
                                    { .id = "b", .status = -ENOENT } } };

    scene_open(&s, 2);
    assert_string_equal(ask(&s), "b has none");
    pass_s(1);
    s.sources[1].is_silent = true;
    assert_string_equal(ask(&s), "no place has a key");
    scene_close(&s);
}

/* Somebody else's identity is not taken because the first is broken. */
static void test_error_ends_the_chain(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .status = -EACCES }, { .id = "b" } } };

    scene_open(&s, 2);
    assert_string_equal(ask(&s), "a has none");
    assert_int_equal(s.sources[1].n_fetches, 0);
    scene_close(&s);
}

static void test_no_sources(void **state UNUSED)
{
    struct scene s = { .told = "" };

    assert_int_equal(credentials_new(NULL, NULL, 0, &s.c), 0);
    assert_string_equal(ask(&s), "no place is known where a key could be");
    credentials_free(s.c);
    credentials_free(NULL);
}

static void test_renewal(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .lives_s = 3600 } } };

    scene_open(&s, 1);
    assert_string_equal(ask(&s), "a1");
    s.sources[0].is_slow = true;
    pass_s(3299);
    assert_string_equal(ask(&s), "a1");
    assert_int_equal(s.sources[0].n_fetches, 1);
    pass_s(1);
    assert_string_equal(ask(&s), "a1"); /* while the new one is fetched */
    assert_string_equal(ask(&s), "a1");
    assert_int_equal(s.sources[0].n_fetches, 2);
    answer(&s.sources[0]);
    assert_string_equal(ask(&s), "a2");
    /* With less than a minute left they wait. */
    pass_s(3541);
    assert_string_equal(ask(&s), "");
    answer(&s.sources[0]);
    assert_string_equal(s.told, "a3");
    scene_close(&s);
}

static void test_renewal_fails(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .lives_s = 3600 } } };

    scene_open(&s, 1);
    ask(&s);
    s.sources[0].status = -ENOENT;
    pass_s(3400);
    assert_string_equal(ask(&s), "a1");
    assert_string_equal(ask(&s), "a1");
    assert_int_equal(s.sources[0].n_fetches, 2);
    pass_s(1);
    assert_string_equal(ask(&s), "a1");
    assert_int_equal(s.sources[0].n_fetches, 3);
    /* Better a key with little left than none. */
    pass_s(190);
    assert_string_equal(ask(&s), "a1");
    pass_s(10);
    assert_string_equal(ask(&s), "a has none");
    scene_close(&s);
}

/* A source that gives what lives shortly, or the same key again, is not asked with each
 * request. */
static void test_short_lives(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .lives_s = 200 } } };

    scene_open(&s, 1);
    assert_string_equal(ask(&s), "a1");
    pass_s(99);
    assert_string_equal(ask(&s), "a1");
    pass_s(1);
    assert_string_equal(ask(&s), "a2");
    s.sources[0].lives_s = 30;
    pass_s(200);
    assert_string_equal(ask(&s), "a3");
    assert_string_equal(ask(&s), "a3");
    pass_s(2);
    assert_string_equal(ask(&s), "a4");
    scene_close(&s);
}

static void test_expired_when_it_comes(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .lives_s = -7 }, { .id = "b" } } };

    scene_open(&s, 2);
    assert_string_equal(ask(&s), "the key of first expired 7 s ago: renew it there, or "
                                 "set this machine's clock");
    assert_int_equal(s.sources[1].n_fetches, 0);
    scene_close(&s);
}

static void test_refused(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .is_static = true } } };

    scene_open(&s, 1);
    ask(&s);
    assert_false(credentials_refused(s.c, "a1")); /* had a moment ago */
    pass_s(5);
    assert_true(credentials_refused(s.c, "a1"));
    assert_true(credentials_refused(s.c, "a1")); /* another request of the same time */
    assert_int_equal(s.sources[0].n_fetches, 1);
    assert_string_equal(ask(&s), "a2");
    assert_true(credentials_refused(s.c, "a1"));
    assert_false(credentials_refused(s.c, "a2"));
    scene_close(&s);
}

static void test_refused_while_it_is_renewed(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .lives_s = 3600 } } };

    scene_open(&s, 1);
    ask(&s);
    pass_s(3400);
    s.sources[0].is_slow = true;
    ask(&s);
    assert_true(credentials_refused(s.c, "a1"));
    assert_string_equal(ask(&s), "");
    answer(&s.sources[0]);
    assert_string_equal(s.told, "a2");
    assert_int_equal(s.sources[0].n_fetches, 2);
    scene_close(&s);
}

static void ask_again(void *arg, int status, const struct credential *key,
                      const struct error *error)
{
    struct scene *s = arg;

    got(s, status, key, error);
    credentials_get(s->c, got, s);
}

static void test_asked_by_an_answer(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .is_slow = true } } };

    scene_open(&s, 1);
    credentials_get(s.c, ask_again, &s);
    answer(&s.sources[0]);
    assert_string_equal(s.told, "a1 | a1");
    scene_close(&s);
}

static void test_freed_while_waiting(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .is_slow = true } } };

    scene_open(&s, 1);
    credentials_get(s.c, ask_again, &s);
    credentials_get(s.c, got, &s);
    credentials_free(s.c);
    assert_string_equal(
        s.told, "the store is closed | the store is closed | the store is closed");
    assert_int_equal(s.sources[0].n_fetches, 1);
}

static void test_waiting_is_bounded(void **state UNUSED)
{
    struct scene s = { .sources = { { .id = "a", .is_slow = true } } };

    scene_open(&s, 1);
    for (int i = 0; i < CREDENTIALS_WAITING_MAX; i++)
        credentials_get(s.c, got, &s);
    assert_string_equal(ask(&s), "too many requests wait for a key");
    scene_close(&s);
}

static void test_copy(void **state UNUSED)
{
    char id[] = "id", token[] = "token";
    const struct credential key = {
        .id = id, .token = token, .expires_s = 5, .from = "here"
    };
    CLEANUP(credential_release) struct credential copy = { .id = NULL };

    assert_int_equal(credential_copy(&key, &copy), 0);
    memset(id, 'x', 2);
    assert_string_equal(copy.id, "id");
    assert_string_equal(copy.token, "token");
    assert_null(copy.secret);
    assert_int_equal(copy.expires_s, 5);
    assert_string_equal(copy.from, "here");
    credential_release(&copy);
    assert_null(copy.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_many_wait_for_one_fetch),
        cmocka_unit_test(test_next_source),
        cmocka_unit_test(test_nobody_has_one),
        cmocka_unit_test(test_nobody_says_why),
        cmocka_unit_test(test_error_ends_the_chain),
        cmocka_unit_test(test_no_sources),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_renewal_fails),
        cmocka_unit_test(test_short_lives),
        cmocka_unit_test(test_expired_when_it_comes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_while_it_is_renewed),
        cmocka_unit_test(test_asked_by_an_answer),
        cmocka_unit_test(test_freed_while_waiting),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
