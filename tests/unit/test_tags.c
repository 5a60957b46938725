/* SPDX-License-Identifier: Apache-2.0 */
/* What a change makes of a run's tags. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "node/api/tags.h"
#include "proto/record.h"

#define LIST(...)         \
    (char *[])            \
    {                     \
        __VA_ARGS__, NULL \
    }
static char a[] = "a", b[] = "b", c[] = "c", empty[] = "";
static char *now[] = { a, b };

static void expect(int expected, char *const *add, char *const *remove,
                   char *const *set, const char *joined)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(tags_release) struct tags t = { .n = 0 };
    struct error why = { .text = "" };

    assert_int_equal(tags_change(now, 2, add, remove, set, &t, &why), expected);
    assert_int_equal(why.text[0] != '\0', expected < 0);
    for (size_t i = 0; i < t.n; i++)
        buffer_puts(&text, t.all[i]);
    assert_string_equal(buffer_text(&text), joined);
}

static void they_are_added_and_removed(void **state)
{
    (void)state;
    expect(0, LIST(c), NULL, NULL, "abc");
    expect(0, LIST(b, c, c), NULL, NULL, "abc");
    expect(0, NULL, LIST(a), NULL, "b");
    expect(0, NULL, LIST(c), NULL, "ab");
    expect(0, LIST(a), LIST(a), NULL, "ba"); /* taken away, then added anew */
}

static void all_are_set(void **state)
{
    (void)state;
    expect(0, NULL, NULL, LIST(c, a, c), "ca");
    expect(0, NULL, NULL, LIST(NULL), "");
}

static void what_is_no_tag(void **state)
{
    char long_one[TAG_BYTES_MAX + 2], control[] = "a\nb";

    (void)state;
    memset(long_one, 'x', sizeof(long_one));
    long_one[TAG_BYTES_MAX + 1] = '\0';
    expect(-EINVAL, LIST(empty), NULL, NULL, "");
    expect(-EINVAL, NULL, NULL, LIST(control), "");
    expect(-EINVAL, LIST(long_one), NULL, NULL, "");
    long_one[TAG_BYTES_MAX] = '\0';
    expect(0, NULL, NULL, LIST(long_one), long_one);
}

static void there_are_not_too_many(void **state)
{
    static char texts[RECORD_TAGS_MAX - 1][8], *many[RECORD_TAGS_MAX];
    CLEANUP(tags_release) struct tags t = { .n = 0 };
    struct error why = { .text = "" };

    (void)state;
    for (int i = 0; i < RECORD_TAGS_MAX - 1; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%d", i);
        many[i] = texts[i];
    }
    assert_int_equal(tags_change(now, 2, many, NULL, NULL, &t, &why), -E2BIG);
    assert_int_equal(tags_change(now, 1, many, NULL, NULL, &t, &why), 0);
    assert_int_equal(t.n, RECORD_TAGS_MAX);
}

static void the_order_does_not_matter(void **state)
{
    (void)state;
    assert_true(tags_match(now, 2, LIST(b, a)));
    assert_false(tags_match(now, 2, LIST(a)));
    assert_false(tags_match(now, 2, LIST(a, b, c)));
    assert_false(tags_match(now, 1, LIST(b)));
    assert_true(tags_match(NULL, 0, LIST(NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_added_and_removed),
        cmocka_unit_test(all_are_set),
        cmocka_unit_test(what_is_no_tag),
        cmocka_unit_test(there_are_not_too_many),
        cmocka_unit_test(the_order_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
