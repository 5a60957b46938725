/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/paint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/cli/keys.h"
#include "tests/unit/unit.h"

enum { ROWS_MAX = 64, COLUMNS_MAX = 128 };

/* A terminal that knows what paint uses, and fails at anything else. Rows that scrolled
 * away stay in front: rows[0] is the oldest there is. */
struct screen {
    char rows[ROWS_MAX][COLUMNS_MAX + 1];
    size_t n, width, height; /* n: rows so far */
    size_t row, column;
    bool is_hidden, is_sync;
};

static void write_char(struct screen *s, char c)
{
    char *row;

    if (s->column == s->width) {
        s->column = 0;
        s->row++;
    }
    assert_true(s->row < ROWS_MAX);
    row = s->rows[s->row];
    while (strlen(row) < s->column)
        strcat(row, " ");
    if (!row[s->column])
        row[s->column + 1] = '\0';
    row[s->column++] = c;
}

static void erase_below(struct screen *s)
{
    s->rows[s->row][s->column] = '\0';
    for (size_t i = s->row + 1; i < ROWS_MAX; i++)
        s->rows[i][0] = '\0';
}

static void go_up(struct screen *s, size_t by)
{
    size_t top = s->n > s->height ? s->n - s->height : 0;

    s->row = s->row - top > by ? s->row - by : top;
}

static void on_mode(struct screen *s, const char *parameters, bool is_set)
{
    if (strcmp(parameters, "?2026") == 0)
        s->is_sync = is_set;
    else if (strcmp(parameters, "?25") == 0)
        s->is_hidden = !is_set;
    else
        fail_msg("mode %s", parameters);
}

static const char *on_sequence(struct screen *s, const char *at)
{
    char parameters[16] = "";
    size_t n = strspn(at, "?0123456789;");

    assert_true(n < sizeof(parameters));
    memcpy(parameters, at, n);
    if (at[n] == 'A')
        go_up(s, n ? strtoul(parameters, NULL, 10) : 1);
    else if (at[n] == 'J')
        erase_below(s);
    else if (at[n] == 'K')
        s->rows[s->row][s->column] = '\0';
    else if (at[n] == 'h' || at[n] == 'l')
        on_mode(s, parameters, at[n] == 'h');
    else
        fail_msg("a sequence that ends in %c", at[n]);
    return at + n + 1;
}

static void show(struct screen *s, const char *bytes)
{
    for (const char *at = bytes; *at;) {
        char c = *at++;

        if (c == '\033' && *at == '[')
            at = on_sequence(s, at + 1);
        else if (c == '\r')
            s->column = 0;
        else if (c == '\n')
            s->row++, s->column = 0;
        else
            write_char(s, c);
        s->n = s->row + 1 > s->n ? s->row + 1 : s->n;
    }
    assert_false(s->is_sync);
}

static void frame(struct screen *s, struct paint *p, const char *lines,
                  const char *block)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    paint_frame(p, lines, strlen(lines), block, s->width, &out);
    show(s, buffer_text(&out));
}

static void looks(const struct screen *s, const char *wanted)
{
    CLEANUP(buffer_release) struct buffer got = BUFFER_INIT;

    for (size_t i = 0; i < s->n; i++) {
        buffer_puts(&got, s->rows[i]);
        buffer_puts(&got, "|\n");
    }
    assert_string_equal(buffer_text(&got), wanted);
}

static void lines_stay_and_the_block_moves(void **state)
{
    struct screen s = { .n = 1, .width = 20, .height = 6 };
    struct paint p = { .n_rows = 0 };

    (void)state;
    frame(&s, &p, "$ mesh run\n", "title 1\nbar 1\nkeys\n");
    looks(&s, "$ mesh run|\ntitle 1|\nbar 1|\nkeys|\n");
    assert_true(s.is_hidden);
    frame(&s, &p, "a line\nanother\n", "title 2\nbar\nkeys\n");
    looks(&s, "$ mesh run|\na line|\nanother|\ntitle 2|\nbar|\nkeys|\n");
    frame(&s, &p, "", "t\nkeys\n");
    looks(&s, "$ mesh run|\na line|\nanother|\nt|\nkeys|\n|\n");
    frame(&s, &p, "x\ny\nz\n", "title\nbar\nmore\nkeys\n");
    looks(&s,
          "$ mesh run|\na line|\nanother|\nx|\ny|\nz|\ntitle|\nbar|\nmore|\nkeys|\n");
}

static void a_long_line_takes_several_rows(void **state)
{
    struct screen s = { .n = 1, .width = 10, .height = 5 };
    struct paint p = { .n_rows = 0 };

    (void)state;
    frame(&s, &p, "", "title\nkeys\n");
    frame(&s, &p, "0123456789abcdefghijABC\n", "title\nkeys\n");
    looks(&s, "0123456789|\nabcdefghij|\nABC|\ntitle|\nkeys|\n");
    frame(&s, &p,
          "exactly ten"
          "\n0123456789\n",
          "title\nkeys\n");
    looks(&s, "0123456789|\nabcdefghij|\nABC|\nexactly "
              "te|\nn|\n0123456789|\ntitle|\nkeys|\n");
}

/* The terminal wraps the rows of the block when it becomes narrower. */
static void a_narrower_terminal_is_reckoned_with(void **state)
{
    struct screen s = { .n = 1, .width = 20, .height = 10 };
    struct paint p = { .n_rows = 0 };

    (void)state;
    frame(&s, &p, "before\n", "a title of 18 long\nkeys\n");
    s = (struct screen){ .n = 4, .width = 10, .height = 10, .row = 3, .column = 4 };
    strcpy(s.rows[0], "before");
    strcpy(s.rows[1], "a title of");
    strcpy(s.rows[2], " 18 long");
    strcpy(s.rows[3], "keys");
    frame(&s, &p, "", "short\nkeys\n");
    looks(&s, "before|\nshort|\nkeys|\n|\n");
}

static void at_the_end_nothing_is_left(void **state)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct screen s = { .n = 1, .width = 20, .height = 10 };
    struct paint p = { .n_rows = 0 };

    (void)state;
    frame(&s, &p, "a line\n", "title\nkeys\n");
    paint_leave(&p, s.width, &out);
    buffer_puts(&out, "the end\n");
    show(&s, buffer_text(&out));
    looks(&s, "a line|\nthe end|\n|\n");
    assert_false(s.is_hidden);
    buffer_clear(&out);
    paint_leave(&p, s.width, &out);
    assert_string_equal(buffer_text(&out), "");
}

static void keys_are_read(void **state)
{
    static const struct {
        const char *bytes;
        int key;
        size_t len;
    } cases[] = {
        { "j", 'j', 1 },
        { "\033[A", KEY_UP, 3 },
        { "\033OB", KEY_DOWN, 3 },
        { "\033[1;5B", KEY_DOWN, 6 },
        { "\033[5~", KEY_PAGE_UP, 4 },
        { "\033", KEY_ESCAPE, 1 },
        { "\033q", KEY_ESCAPE, 1 },
        { "\r", KEY_ENTER, 1 },
        { "\033[200~c", KEY_NONE, 6 },
        { "\033[", KEY_NONE, 2 },
        { "\033[1", KEY_NONE, 3 },
        { "\xc3\xa9", KEY_NONE, 1 },
        { "\x01", KEY_NONE, 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t len = 0;

        assert_int_equal(key_read(cases[i].bytes, strlen(cases[i].bytes), &len),
                         cases[i].key);
        assert_int_equal(len, cases[i].len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_stay_and_the_block_moves),
        cmocka_unit_test(a_long_line_takes_several_rows),
        cmocka_unit_test(a_narrower_terminal_is_reckoned_with),
        cmocka_unit_test(at_the_end_nothing_is_left),
        cmocka_unit_test(keys_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
