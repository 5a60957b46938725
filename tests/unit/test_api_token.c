/* SPDX-License-Identifier: Apache-2.0 */
/* What decides about strangers: names, pages, the file of tokens, addresses. */
#include <errno.h>
#include <string.h>

#include "node/address.h"
#include "node/api/bodies.h"
#include "node/api/exposition.h"
#include "node/api/host.h"
#include "node/api/token_list.h"
/* Behind base/error.h: cmocka has a macro fail(). */
#include "tests/unit/unit.h"

static void only_names_of_this_machine_are_ours(void **state)
{
    static const char at[] = "127.0.0.9:80";

    (void)state;
    assert_true(host_is_ours("localhost", at));
    assert_true(host_is_ours("LocalHost:8372", at));
    assert_true(host_is_ours("127.0.0.1:1", at));
    assert_true(host_is_ours("[::1]:1", at));
    assert_true(host_is_ours("127.0.0.9:80", at));
    assert_false(host_is_ours("127.0.0.8:80", at));
    assert_false(host_is_ours(NULL, at));
    assert_false(host_is_ours("", at));
    assert_false(host_is_ours("localhost.evil.example", at));
    assert_false(host_is_ours("evil.example:80", at));
    assert_false(host_is_ours("localhost:evil", at));
    assert_false(host_is_ours("[::1", at));
    assert_false(host_is_ours("[", at));
    assert_false(host_is_ours("127.0.0.1@evil.example", at));
}

static void only_our_own_pages_may_ask(void **state)
{
    (void)state;
    assert_true(origin_is_ours(NULL, "localhost:1", false));
    assert_true(origin_is_ours("http://localhost:1", "localhost:1", false));
    assert_false(origin_is_ours("http://localhost:2", "localhost:1", false));
    assert_false(origin_is_ours("null", "localhost:1", false));
    assert_false(origin_is_ours("https://localhost:1", "localhost:1", false));
    assert_false(origin_is_ours("", "localhost:1", false));
    assert_true(origin_is_ours("https://localhost:1", "localhost:1", true));
    assert_false(origin_is_ours("http://localhost:1", "localhost:1", true));
}

static void nothing_leaves_the_machine_as_it_is(void **state)
{
    static const char *const bad[] = { "127.0.0.1",
                                       ":1",
                                       "127.0.0.1:x",
                                       "127.0.0.1:65536",
                                       "",
                                       "127.0.0.1:",
                                       "localhost:-1",
                                       "http://10.0.0.1:1",
                                       "http://[2001:db8::1]:1",
                                       "https://" };
    static const struct {
        const char *text, *place;
        bool is_secure;
    } good[] = {
        { "127.3.2.1:0", "127.3.2.1:0", false },
        { "localhost:65535", "127.0.0.1:65535", false },
        { "http://localhost:80/", "127.0.0.1:80", false },
        { "[::1]:80", "[::1]:80", false },
        { "https://127.0.0.1:80", "127.0.0.1:80", true },
        { "0.0.0.0:1", "0.0.0.0:1", true },
        { "10.0.0.1:1", "10.0.0.1:1", true },
        { "[2001:db8::1]:1", "[2001:db8::1]:1", true },
    };
    struct error why = { .text = "" };
    char text[ADDRESS_TEXT_SIZE];
    struct address a;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(address_parse(bad[i], &a, &why), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(address_parse(good[i].text, &a, &why), 0);
        assert_int_equal(a.is_secure, good[i].is_secure);
        address_text(&a, text);
        assert_string_equal(text, good[i].place);
    }
}

static struct token make_token(const char *name, uint8_t first)
{
    struct token t = { .role = ROLE_SUBMITTER, .created = 5, .expires = 9 };
    uint8_t hash[TOKEN_HASH_SIZE] = { first, 0xab };

    strcpy(t.name, name);
    token_set_hash(&t, hash);
    return t;
}

static void tokens_come_back_as_they_were_written(void **state)
{
    struct token all[] = { make_token("a.b@c-d_E9", 1), make_token("ci", 2) };
    struct token_list l = { .all = all, .n = 2 }, again;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct error why = { .text = "" };
    uint8_t unknown[TOKEN_HASH_SIZE] = { 3 };

    (void)state;
    assert_string_equal(all[1].id, "02ab0000");
    assert_int_equal(token_list_write(&l, &text), 0);
    assert_int_equal(token_list_read(text.data, text.len, &again, &why), 0);
    assert_int_equal(again.n, 2);
    assert_memory_equal(again.all, all, sizeof(all));
    assert_ptr_equal(token_list_find(&again, all[1].hash), &again.all[1]);
    assert_null(token_list_find(&again, unknown));
    assert_false(token_is_expired(&all[0], 8));
    assert_true(token_is_expired(&all[0], 9));
    all[0].expires = 0;
    assert_false(token_is_expired(&all[0], UINT64_MAX));
    token_list_release(&again);
}

static void a_damaged_file_is_refused_with_the_reason(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"tokens\": [3]}",
        "{\"tokens\": [{\"name\": \"a\"}]}",
        "{\"tokens\": [{\"name\": \"a b\", \"role\": \"viewer\", \"created_us\": 1, "
        "\"expires_us\": 1, \"hash\": "
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}]}",
        "{\"tokens\": [{\"name\": \"a\", \"role\": \"king\", \"created_us\": 1, "
        "\"expires_us\": 1, \"hash\": "
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}]}",
        ("{\"tokens\": [{\"name\": \"a\", \"role\": \"viewer\", \"created_us\": 1, "
         "\"expires_us\": 1, \"hash\": \"00\"}]}"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct token_list l;
        struct error why = { .text = "" };

        assert_int_equal(token_list_read(bad[i], strlen(bad[i]), &l, &why), -EINVAL);
        assert_string_not_equal(why.text, "");
    }
}

static void a_request_for_a_token_says_all_of_it(void **state)
{
    static const char good[] =
        "{\"name\": \"ci\", \"role\": \"operator\", \"expires_in_s\": 60.0}";
    static const char *const bad[] = {
        "{\"name\": \"ci\", \"role\": \"operator\"}",
        "{\"name\": \"\", \"role\": \"operator\", \"expires_in_s\": 60}",
        "{\"name\": \"a/b\", \"role\": \"operator\", \"expires_in_s\": 60}",
        "{\"name\": \"ci\", \"role\": \"root\", \"expires_in_s\": 60}",
        "{\"name\": \"ci\", \"role\": 3, \"expires_in_s\": 60}",
        "{\"name\": \"ci\", \"role\": \"viewer\", \"expires_in_s\": -1}",
        "{\"name\": \"ci\", \"role\": \"viewer\", \"expires_in_s\": 1.5}",
        "{\"name\": \"ci\", \"role\": \"viewer\", \"expires_in_s\": 4294967296}",
    };
    struct error why = { .text = "" };
    struct token_body b;

    (void)state;
    assert_int_equal(token_body_read(good, strlen(good), &b, &why), 0);
    assert_string_equal(b.name, "ci");
    assert_int_equal(b.role, ROLE_OPERATOR);
    assert_int_equal(b.expires_in_s, 60);
    token_body_release(&b);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(token_body_read(bad[i], strlen(bad[i]), &b, &why), -EINVAL);
}

static void labels_are_escaped(void **state)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct exposition x = { .out = &out };
    const char *labels[] = { "a", "q\"b\\c\nd", "e", "", NULL };

    (void)state;
    exposition_gauge(&x, "m", "Help.");
    exposition_u64(&x, labels, 7);
    exposition_real(&x, NULL, 0.1);
    assert_string_equal(buffer_text(&out), "# HELP m Help.\n# TYPE m gauge\n"
                                           "m{a=\"q\\\"b\\\\c\\nd\",e=\"\"} 7\n"
                                           "m 0.1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_names_of_this_machine_are_ours),
        cmocka_unit_test(only_our_own_pages_may_ask),
        cmocka_unit_test(nothing_leaves_the_machine_as_it_is),
        cmocka_unit_test(tokens_come_back_as_they_were_written),
        cmocka_unit_test(a_damaged_file_is_refused_with_the_reason),
        cmocka_unit_test(a_request_for_a_token_says_all_of_it),
        cmocka_unit_test(labels_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
