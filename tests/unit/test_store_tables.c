/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold for every store: the one on disk and the one in memory. */
#include "store_fixture.h"

struct tables {
    char dir[64];
    struct store *store;
};

static int setup_memory(void **state)
{
    struct tables *t = calloc(1, sizeof(*t));

    assert_int_equal(store_open_memory(&t->store), 0);
    *state = t;
    return 0;
}

static int setup_lmdb(void **state)
{
    struct tables *t = calloc(1, sizeof(*t));

    fixture_make_dir(t->dir);
    assert_int_equal(store_open_lmdb(t->dir, &t->store, NULL, NULL), 0);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct tables *t = *state;

    store_close(t->store);
    if (t->dir[0])
        fixture_erase(t->dir);
    free(t);
    return 0;
}

static int commit(struct tables *t, struct store_write w)
{
    return t->store->ops->commit(t->store, &w, 1);
}

static void assert_value(struct tables *t, const char *key, const char *value)
{
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
    int r = t->store->ops->get(t->store, STORE_RECORDS, text_span(key), &found);

    assert_int_equal(r, value ? 0 : -ENOENT);
    if (value)
        assert_string_equal(buffer_text(&found), value);
}

static void test_put_get_delete(void **state)
{
    struct tables *t = *state;
    struct store_write gone = { .table = STORE_RECORDS,
                                .key = text_span("a"),
                                .is_delete = true };

    assert_value(t, "a", NULL);
    assert_int_equal(commit(t, gone), 0);
    assert_int_equal(commit(t, put_text(STORE_RECORDS, "a", "one")), 0);
    assert_value(t, "a", "one");
    assert_int_equal(commit(t, put_text(STORE_RECORDS, "a", "two, longer")), 0);
    assert_value(t, "a", "two, longer");
    assert_int_equal(commit(t, put_text(STORE_META, "a", "elsewhere")), 0);
    assert_value(t, "a", "two, longer");
    assert_int_equal(commit(t, gone), 0);
    assert_value(t, "a", NULL);
}

static void test_get_appends(void **state)
{
    struct tables *t = *state;
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;

    buffer_puts(&found, "<");
    assert_int_equal(commit(t, put_text(STORE_RECORDS, "k", "v")), 0);
    t->store->ops->get(t->store, STORE_RECORDS, text_span("k"), &found);
    t->store->ops->get(t->store, STORE_RECORDS, text_span("none"), &found);
    assert_string_equal(found.data, "<v");
}

/* In a group the last write to a key wins, and a bad write spoils all. */
static void test_group_is_whole(void **state)
{
    struct tables *t = *state;
    struct store_write group[] = {
        put_text(STORE_RECORDS, "x", "1"),
        put_text(STORE_RECORDS, "y", "1"),
        put_text(STORE_RECORDS, "x", "2"),
    };

    assert_int_equal(t->store->ops->commit(t->store, group, 3), 0);
    assert_value(t, "x", "2");
    group[1] = put_text(STORE_RECORDS, "", "no key");
    group[2] = put_text(STORE_RECORDS, "x", "3");
    assert_int_equal(t->store->ops->commit(t->store, group, 3), -EINVAL);
    assert_value(t, "x", "2");
    assert_value(t, "y", "1");
    assert_int_equal(commit(t, put_text(STORE_RECORDS, "x", "4")), 0);
    assert_value(t, "x", "4");
}

struct seen {
    char text[256];
    size_t n, n_max;
};

static int see(void *arg, struct span key, struct span value)
{
    struct seen *s = arg;
    size_t len = strlen(s->text);

    snprintf(s->text + len, sizeof(s->text) - len, "%.*s=%.*s ", (int)key.len,
             (const char *)key.data, (int)value.len, (const char *)value.data);
    return ++s->n == s->n_max ? 7 : 0;
}

static void assert_scan(struct tables *t, const char *prefix, const char *from,
                        size_t n_max, const char *expected)
{
    struct seen s = { .n_max = n_max };
    int r = t->store->ops->scan(t->store, STORE_RECORDS, text_span(prefix),
                                text_span(from), see, &s);

    assert_string_equal(s.text, expected);
    assert_int_equal(r, n_max && s.n == n_max ? 7 : 0);
}

static void test_scan(void **state)
{
    static const char *const keys[] = { "b2", "a", "b", "c", "b1", "b10" };
    struct tables *t = *state;

    assert_scan(t, "", "", 0, "");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        assert_int_equal(commit(t, put_text(STORE_RECORDS, keys[i], "v")), 0);
    assert_scan(t, "", "", 0, "a=v b=v b1=v b10=v b2=v c=v ");
    assert_scan(t, "b", "", 0, "b=v b1=v b10=v b2=v ");
    assert_scan(t, "b", "b10", 0, "b10=v b2=v ");
    assert_scan(t, "b", "b11", 0, "b2=v ");
    assert_scan(t, "b", "a", 0, "b=v b1=v b10=v b2=v ");
    assert_scan(t, "b", "c", 0, "");
    assert_scan(t, "b1", "b", 0, "b1=v b10=v ");
    assert_scan(t, "", "b2", 0, "b2=v c=v ");
    assert_scan(t, "b", "", 2, "b=v b1=v ");
    assert_scan(t, "z", "", 0, "");
}

struct nested {
    struct tables *tables;
    struct buffer found;
};

static int get_meanwhile(void *arg, struct span key, struct span value)
{
    struct nested *n = arg;

    (void)value;
    return n->tables->store->ops->get(n->tables->store, STORE_META, key, &n->found);
}

static void test_get_within_scan(void **state)
{
    struct nested n = { .tables = *state };
    struct span none = { .len = 0 };

    assert_int_equal(commit(n.tables, put_text(STORE_RECORDS, "k1", "-")), 0);
    assert_int_equal(commit(n.tables, put_text(STORE_META, "k1", "meta")), 0);
    assert_int_equal(n.tables->store->ops->scan(n.tables->store, STORE_RECORDS, none,
                                                none, get_meanwhile, &n),
                     0);
    assert_string_equal(buffer_text(&n.found), "meta");
    buffer_release(&n.found);
}

static void test_empty_value_and_usage(void **state)
{
    struct tables *t = *state;
    uint64_t used, left;

    assert_int_equal(commit(t, put_text(STORE_RECORDS, "k", "")), 0);
    assert_value(t, "k", "");
    assert_int_equal(t->store->ops->usage(t->store, &used, &left), 0);
    assert_true(used > 0 && left > 0);
}

#define BOTH(test)                                            \
    { "memory: " #test, test, setup_memory, teardown, NULL }, \
    {                                                         \
        "lmdb: " #test, test, setup_lmdb, teardown, NULL      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_put_get_delete),  BOTH(test_get_appends),
        BOTH(test_group_is_whole),  BOTH(test_scan),
        BOTH(test_get_within_scan), BOTH(test_empty_value_and_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
