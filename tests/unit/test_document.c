/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct reading {
    struct document doc;
    struct diagnostics d;
};

static void reading_release(struct reading *r)
{
    document_release(&r->doc);
    diagnostics_release(&r->d);
}

static struct reading read_bytes(const char *text, size_t len)
{
    struct reading r = { .d = { .all = NULL } };

    assert_int_equal(document_read(&r.doc, text, len, &r.d), 0);
    return r;
}

static struct reading read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

/* The tree as JSON, or the first error as `LINE:COLUMN message`. */
static void assert_reads(const char *text, const char *expected)
{
    CLEANUP(reading_release) struct reading r = read_text(text);
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    if (r.d.n)
        buffer_printf(&out, "%u:%u %s", r.d.all[0].line, r.d.all[0].column,
                      r.d.all[0].message);
    else
        value_write_json(r.doc.root, &out);
    assert_string_equal(buffer_text(&out), expected);
}

static void only_core_scalars_are_typed(void **state)
{
    (void)state;
    assert_reads("[true, True, FALSE, tRUE, yes, no, on, off, y]",
                 "[true,true,false,\"tRUE\",\"yes\",\"no\",\"on\",\"off\",\"y\"]");
    assert_reads("[null, ~, Null, NULL, nULL, 'null']",
                 "[null,null,null,null,\"nULL\",\"null\"]");
    assert_reads("[0, -7, +7, 007, 0o17, 0x1F, 0b1, 1_000, 12:30, '5']",
                 "[0,-7,7,7,15,31,\"0b1\",\"1_000\",\"12:30\",\"5\"]");
    assert_reads("[1.5, .5, 1., 1e3, -2E-2, 1e, ., 1.2.3, 2024-01-01]",
                 "[1.5,0.5,1.0,1000.0,-0.02,\"1e\",\".\",\"1.2.3\",\"2024-01-01\"]");
    assert_reads("[0.1, 1e300, 123456789012345680.0]",
                 "[0.1,1e+300,1.2345678901234568e+17]");
    assert_reads("[9223372036854775807, -9223372036854775808]",
                 "[9223372036854775807,-9223372036854775808]");
    assert_reads("- 9223372036854775808", "1:3 the number is out of range");
}

static void texts_are_kept_as_they_are(void **state)
{
    (void)state;
    assert_reads("a: |\n  x\n  y\nb: >\n  x\n  y\n",
                 "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}");
    assert_reads("\"\\t\\\"\\\\ \\u00e9 \\x7f\"", "\"\\t\\\"\\\\ é \\u007f\"");
    assert_reads("1: a\ntrue: b\n~: c\n", "{\"1\":\"a\",\"true\":\"b\",\"~\":\"c\"}");
}

static void json_is_read_alike(void **state)
{
    (void)state;
    assert_reads(
        " \n{\"a\": [1, -0.5, 1E3, true, null, \"x\\ud83d\\ude00\\/\"], \"b\": {}}",
        "{\"a\":[1,-0.5,1000.0,true,null,\"x😀/\"],\"b\":{}}");
    assert_reads("{\"a\": \"on\",\n \"a\": 1}", "2:2 the key 'a' is there twice");
    assert_reads("{\"a\": 1,}", "1:9 JSON: string or '}' expected near '}'");
    assert_reads("{\"a]}\": \"[[{\"}", "{\"a]}\":\"[[{\"}");
}

static void places_count_characters(void **state)
{
    CLEANUP(reading_release)
    struct reading r = read_text("é: x\nlist:\n  - {a: 'é', bc: \"long\"}\n");
    const struct value *map = value_get(r.doc.root, "list")->u.first;
    const struct value *bc = value_get(map, "bc");

    (void)state;
    assert_int_equal(r.doc.root->u.first->at.column, 4);
    assert_int_equal(map->at.line, 3);
    assert_int_equal(map->at.column, 5);
    assert_int_equal(bc->key->at.column, 14);
    assert_int_equal(bc->at.column, 18);
    assert_int_equal(bc->at.width, 6);
}

static void places_in_json_too(void **state)
{
    CLEANUP(reading_release)
    struct reading r = read_text("{\n\t\"é\": [\n    \"long\"\n]}");
    const struct value *list = value_get(r.doc.root, "é");

    (void)state;
    assert_int_equal(list->key->at.line, 2);
    assert_int_equal(list->key->at.column, 2);
    assert_int_equal(list->key->at.width, 3);
    assert_int_equal(list->u.first->at.line, 3);
    assert_int_equal(list->u.first->at.column, 5);
    assert_int_equal(list->u.first->at.width, 6);
}

static void what_is_no_text_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        uint32_t line, column;
    } cases[] = {
        { "a: b\0c\n", 7, 1, 5 },         { "a: 1\nb: \xff\n", 10, 2, 4 },
        { "é: \xed\xa0\x80\n", 8, 1, 4 }, { "a: \xf4\x90\x80\x80", 7, 1, 4 },
        { "a: \xc3", 4, 1, 4 },           { "a: x\x1b[2J", 8, 1, 5 },
        { "{\"a\": \"\xe9\"}", 9, 1, 8 }, { "{\"a\":\0 1}", 9, 1, 6 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(reading_release)
        struct reading r = read_bytes(cases[i].text, cases[i].len);

        assert_null(r.doc.root);
        assert_int_equal(r.d.n, 1);
        assert_int_equal(r.d.all[0].line, cases[i].line);
        assert_int_equal(r.d.all[0].column, cases[i].column);
    }
}

static double ms_since(const struct timespec *from)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) * 1e3
           + (double)(now.tv_nsec - from->tv_nsec) / 1e6;
}

static void assert_too_deep(const char *unit, size_t n)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct timespec from;

    for (size_t i = 0; i < n; i++)
        buffer_puts(&text, unit);
    clock_gettime(CLOCK_MONOTONIC, &from);
    {
        CLEANUP(reading_release) struct reading r = read_text(buffer_text(&text));

        assert_true(ms_since(&from) < 50);
        assert_null(r.doc.root);
        assert_non_null(strstr(r.d.all[0].message, "nested more than 64 levels"));
    }
}

static void deep_nesting_is_refused_fast(void **state)
{
    (void)state;
    assert_too_deep("[", 20000);
    assert_too_deep("{a: ", 20000);
    assert_too_deep("- ", 20000);
    assert_too_deep("[\n", 20000);
    assert_too_deep("{\"a\":", 20000);
}

static void the_deepest_allowed_is_read(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    (void)state;
    for (int i = 0; i < 64; i++)
        buffer_putc(&text, '[');
    for (int i = 0; i < 64; i++)
        buffer_putc(&text, ']');
    assert_reads(buffer_text(&text), buffer_text(&text));
}

static void an_alias_bomb_does_not_go_off(void **state)
{
    (void)state;
    assert_reads("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
                 "1:4 anchors are not supported");
    assert_reads("a: [*a]\n", "1:5 aliases are not supported");
    assert_reads("a: !!str x\n", "1:4 tags are not supported");
}

static void a_place_is_found_inside_a_block(void **state)
{
    CLEANUP(reading_release)
    struct reading r = read_text("a: X\nb: |\n  one\n  é X two X\n");
    struct place at = document_find(&r.doc, value_get(r.doc.root, "b"), "X", 1);

    (void)state;
    assert_int_equal(at.line, 4);
    assert_int_equal(at.column, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_core_scalars_are_typed),
        cmocka_unit_test(texts_are_kept_as_they_are),
        cmocka_unit_test(json_is_read_alike),
        cmocka_unit_test(places_count_characters),
        cmocka_unit_test(places_in_json_too),
        cmocka_unit_test(what_is_no_text_is_refused_with_its_place),
        cmocka_unit_test(deep_nesting_is_refused_fast),
        cmocka_unit_test(the_deepest_allowed_is_read),
        cmocka_unit_test(an_alias_bomb_does_not_go_off),
        cmocka_unit_test(a_place_is_found_inside_a_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
