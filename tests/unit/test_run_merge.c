/* SPDX-License-Identifier: Apache-2.0 */
/* One list from several. A page is written as " 5r 3e b3": runs by number and state,
 * and where it stopped. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "node/api/run_merge.h"

static void add(struct run_merge *m, const char *page)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    unsigned number, before = 0;
    char kind;
    int used;

    buffer_puts(&text, "{\"runs\":[");
    for (; sscanf(page, " %u%c%n", &number, &kind, &used) == 2; page += used)
        buffer_printf(&text,
                      "%s{\"run\":\"id%u\",\"number\":%u,\"state\":\"%s\","
                      "\"tasks\":{\"running\":%d}}",
                      text.data[text.len - 1] == '[' ? "" : ",", number,
                      kind == 'n' ? 0 : number,
                      kind == 'e'   ? "ended"
                      : kind == 'i' ? "interrupted"
                                    : "running",
                      kind == 'l');
    sscanf(page, " b%u", &before);
    if (before)
        buffer_printf(&text, "],\"before\":\"%u\"}", before);
    else
        buffer_puts(&text, "],\"before\":null}");
    assert_int_equal(run_merge_add(m, text.data, text.len), 0);
}

static void expect(struct run_merge *m, const char *wanted)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT, got = BUFFER_INIT;
    const char *at;
    unsigned number;

    assert_int_equal(run_merge_write(m, &text), 0);
    for (at = buffer_text(&text); (at = strstr(at, "{\"run\":\"id")); at++) {
        const char *state = strstr(at, "\"state\":\"");

        sscanf(at, "{\"run\":\"id%u", &number);
        buffer_printf(&got, " %u%c", number,
                      strstr(state, "\"running\":1") == strstr(state, "\"running\":")
                          ? 'l'
                          : state[9]);
    }
    at = strstr(buffer_text(&text), "\"before\":\"");
    if (at && sscanf(at, "\"before\":\"%u", &number) == 1)
        buffer_printf(&got, " b%u", number);
    assert_string_equal(buffer_text(&got), wanted);
    run_merge_free(m);
}

static void the_newest_come_first(void **state)
{
    struct run_merge *m = run_merge_new(10);

    (void)state;
    add(m, "5e 2e");
    add(m, "7e 3e 1e");
    expect(m, " 7e 5e 3e 2e 1e");
}

static void who_knows_best_is_believed(void **state)
{
    struct run_merge *m = run_merge_new(10);

    (void)state;
    add(m, "4i 3r 2r 1i");
    add(m, "4r 3e 2l 1i");
    expect(m, " 4r 3e 2l 1i");
}

static void a_page_is_full(void **state)
{
    struct run_merge *m = run_merge_new(2);

    (void)state;
    add(m, "5e 3e b3");
    add(m, "4e 1e");
    expect(m, " 5e 4e b4");
}

/* One node looked only as far as 4: below that it may have runs that would be missed.
 */
static void nothing_is_shown_beyond_where_one_stopped(void **state)
{
    struct run_merge *m = run_merge_new(10);

    (void)state;
    add(m, "9e 4e b4");
    add(m, "8e 3e 2e");
    expect(m, " 9e 8e 4e b4");
}

static void a_run_without_a_number_is_the_newest(void **state)
{
    struct run_merge *m = run_merge_new(10);

    (void)state;
    add(m, "9e");
    add(m, "77n");
    expect(m, " 77r 9e");
}

static void what_is_no_list_changes_nothing(void **state)
{
    static const char *const bad[] = { "", "[]", "{\"runs\":3}", "{\"runs\":[{}]}",
                                       "{\"runs\":[{\"run\":1,\"number\":1}]}" };
    struct run_merge *m = run_merge_new(10);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(run_merge_add(m, bad[i], strlen(bad[i])), -EBADMSG);
    add(m, "1e");
    expect(m, " 1e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_come_first),
        cmocka_unit_test(who_knows_best_is_believed),
        cmocka_unit_test(a_page_is_full),
        cmocka_unit_test(nothing_is_shown_beyond_where_one_stopped),
        cmocka_unit_test(a_run_without_a_number_is_the_newest),
        cmocka_unit_test(what_is_no_list_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
