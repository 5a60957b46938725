/* SPDX-License-Identifier: Apache-2.0 */
/* test_corpus FOLDER - good files are accepted and written in every way; each bad one
 * gets exactly the errors that its first lines, or the file FILE.expect, say:
 *
 *     # expect: LINE:COLUMN: part of the message, with the hint in brackets behind it
 */
#include "flow/read.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { EXPECTED_MAX = DIAGNOSTICS_MAX + 1 };

static const char *corpus;

struct expected {
    char *lines[EXPECTED_MAX];
    size_t n;
};

static void read_file(const char *path, struct buffer *ret)
{
    FILE *file = fopen(path, "rb");
    size_t n = 1;

    assert_non_null(file);
    while (n) {
        char *room = buffer_reserve(ret, 1 << 14);

        assert_non_null(room);
        n = fread(room, 1, 1 << 14, file);
        ret->len += n;
    }
    fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_flow(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot && !strcmp(dot, ".mf");
}

static int each_file(const char *folder, int (*check)(const char *path))
{
    CLEANUP(freep) char *path = NULL;
    struct dirent **entries;
    int n, n_wrong = 0;

    assert_true(asprintf(&path, "%s/%s", corpus, folder) > 0);
    n = scandir(path, &entries, is_flow, by_name);
    assert_true(n > 20);
    for (int i = 0; i < n; i++) {
        CLEANUP(freep) char *file = NULL;

        assert_true(asprintf(&file, "%s/%s", path, entries[i]->d_name) > 0);
        n_wrong += check(file);
        free(entries[i]);
    }
    free(entries);
    return n_wrong;
}

/* ---- good ---- */

static int check_good(const char *path)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };

    read_file(path, &text);
    if (flow_read(buffer_text(&text), text.len, &flow, &d)) {
        diagnostics_print(&d, path, false, &out);
        print_error("%s", buffer_text(&out));
        return 1;
    }
    assert_int_equal(flow_write_dot(flow, &out), 0);
    assert_int_equal(flow_write_json(flow, &out), 0);
    assert_int_equal(flow_write_text(flow, &out), 0);
    return 0;
}

static void good_files_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(each_file("good", check_good), 0);
}

/* ---- bad ---- */

static void take_expected(struct buffer *text, struct expected *ret)
{
    static const char mark[] = "# expect: ";
    char *line = text->data;

    while (line && !strncmp(line, mark, sizeof(mark) - 1)) {
        assert_true(ret->n < EXPECTED_MAX);
        ret->lines[ret->n++] = line + sizeof(mark) - 1;
        line = strchr(line, '\n');
        if (line)
            *line++ = '\0';
    }
}

static void find_expected(const char *path, struct buffer *text, struct expected *ret)
{
    CLEANUP(freep) char *beside = NULL;
    FILE *file;

    assert_true(asprintf(&beside, "%s.expect", path) > 0);
    file = fopen(beside, "rb");
    if (file) {
        fclose(file);
        read_file(beside, text);
    } else {
        read_file(path, text);
    }
    assert_true(text->len > 0);
    take_expected(text, ret);
}

static bool is_as_expected(const struct diagnostic *x, const char *expected)
{
    CLEANUP(freep) char *said = NULL;
    unsigned line, column;
    int n = 0;

    if (sscanf(expected, "%u:%u: %n", &line, &column, &n) < 2 || !n)
        return false;
    assert_true(asprintf(&said, x->hint ? "%s (%s)" : "%s", x->message, x->hint) > 0);
    return line == x->line && column == x->column && strstr(said, expected + n);
}

static bool is_count_as_expected(const struct diagnostics *d, const struct expected *e)
{
    unsigned n = 0;

    if (!d->n_more)
        return d->n == e->n;
    return d->n + 1 == e->n && sscanf(e->lines[e->n - 1], "0:0: %u more", &n) == 1
           && n == d->n_more;
}

static int check_bad(const char *path)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer expectations = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct expected expected = { .n = 0 };
    struct flow *flow = NULL;
    bool is_right;
    int r;

    read_file(path, &text);
    find_expected(path, &expectations, &expected);
    r = flow_read(buffer_text(&text), text.len, &flow, &d);
    is_right = r == -EINVAL && !flow && is_count_as_expected(&d, &expected);
    for (size_t i = 0; i < d.n && is_right; i++)
        is_right = is_as_expected(&d.all[i], expected.lines[i]);
    if (is_right)
        return 0;
    flow_unref(flow);
    diagnostics_print(&d, path, false, &out);
    print_error("%s says:\n%s", path, buffer_text(&out));
    for (size_t i = 0; i < expected.n; i++)
        print_error("expected: %s\n", expected.lines[i]);
    return 1;
}

static void bad_files_are_told_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(each_file("bad", check_bad), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_accepted),
        cmocka_unit_test(bad_files_are_told_what_is_wrong),
    };

    if (argc != 2)
        return 2;
    corpus = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
