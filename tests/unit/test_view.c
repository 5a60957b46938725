/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/view.h"

#include <stdlib.h>
#include <string.h>

#include "node/cli/terminal.h"
#include "tests/unit/unit.h"

/* A run of 80 columns by 24 lines, one minute old, without colours. */
struct stage {
    struct progress p;
    struct view v;
    time_us now;
};

static void begin(struct stage *s, const char *const *names, uint32_t n)
{
    *s = (struct stage){ .v = { .mode = VIEW_STEPS,
                                .selected = VIEW_NONE,
                                .width = 80,
                                .height = 24,
                                .has_unicode = true },
                         .now = TIME_S(1060) };
    assert_int_equal(progress_begin(&s->p, "Train", 42, names, n), 0);
    s->p.started = TIME_S(1000);
}

static void count(struct stage *s, uint32_t step, struct progress_counts counts)
{
    progress_count(&s->p, step, &counts);
}

static void start_task(struct stage *s, const char *step, const char *task, time_us at)
{
    struct feed_event e = {
        .type = FEED_TASK_STARTED, .step = step, .pid = 4711, .wall = at
    };

    progress_event(&s->p, &e, task);
}

/* What the block is, with its rows' widths held to the rule. */
static void shows(struct stage *s, const char *wanted)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    size_t lines = 0;

    progress_sample(&s->p, s->now);
    view_render(&s->v, &s->p, s->now, &out);
    if (wanted)
        assert_string_equal(buffer_text(&out), wanted);
    for (char *at = out.data, *line; at && *at; lines++) {
        line = strsep(&at, "\n");
        assert_true(terminal_columns(line) < s->v.width);
    }
    assert_true(lines < s->v.height);
}

static const char *const train[] = { "start", "fit", "join", "end" };

static void begin_train(struct stage *s)
{
    begin(s, train, ARRAY_SIZE(train));
    count(s, 0, (struct progress_counts){ .known = 1, .done = 1 });
    count(s, 1,
          (struct progress_counts){
              .known = 1000, .done = 400, .running = 4, .failed = 2, .ready = 594 });
    count(s, 2, (struct progress_counts){ .known = 1 });
    count(s, 3, (struct progress_counts){ .known = 1 });
    progress_waits(&s->p, 2, "upstream: it waits for 'fit'");
}

static void a_run_looks_like_this(void **state)
{
    struct stage s;

    (void)state;
    begin_train(&s);
    shows(&s,
          "Train, run 42, for 1 min 00 s: 401 done, 4 running, 2 failed, 596 waiting\n"
          " ✓ start  ━━━━━━━━━━━━━━        1/1\n"
          " ✗ fit    ━━━━━╸━───────  400/1,000  4 running  2 failed\n"
          "   join   ──────────────        0/1  it waits for 'fit'\n"
          "   end    ──────────────        0/1\n"
          "?: keys\n");
    progress_release(&s.p);
}

static void rate_and_time_left_come_with_the_second_look(void **state)
{
    struct stage s;

    (void)state;
    begin_train(&s);
    shows(&s, NULL);
    s.now += TIME_S(2);
    count(&s, 1,
          (struct progress_counts){
              .known = 1000, .done = 600, .running = 4, .ready = 396 });
    shows(&s, "Train, run 42, for 1 min 02 s: 601 done, 4 running, 398 waiting, 100/s\n"
              " ✓ start  ━━━━━━━━━━━━━━━━━━━━━━━━━        1/1\n"
              " • fit    ━━━━━━━━━━━━━━━──────────  600/1,000  4 running  100/s  4.0 "
              "s left\n"
              "   join   ─────────────────────────        0/1  it waits for 'fit'\n"
              "   end    ─────────────────────────        0/1\n"
              "?: keys\n");
    progress_release(&s.p);
}

static void a_selected_step_shows_its_oldest_tasks(void **state)
{
    struct stage s;

    (void)state;
    begin_train(&s);
    start_task(&s, "fit", "7", TIME_S(1000));
    start_task(&s, "end", "0", TIME_S(1001));
    start_task(&s, "fit", "9", TIME_S(1059));
    s.v.selected = 1;
    shows(&s,
          "Train, run 42, for 1 min 00 s: 401 done, 4 running, 2 failed, 596 waiting\n"
          " ✓ start  ━━━━━━━━━━━━━━        1/1\n"
          "›✗ fit    ━━━━━╸━───────  400/1,000  4 running  2 failed\n"
          "     fit/7 for 1 min 00 s (pid 4711)\n"
          "     fit/9 for 1.0 s (pid 4711)\n"
          "   join   ──────────────        0/1  it waits for 'fit'\n"
          "   end    ──────────────        0/1\n"
          "?: keys\n");
    s.v.followed = "fit/7";
    s.v.height = 3;
    shows(&s,
          "Train, run 42, for 1 min 00 s: 401 done, 4 running, 2 failed, 596 waiting\n"
          "only fit/7  f: all again, j k: another task, ?: all keys\n");
    progress_release(&s.p);
}

/* ASCII, and narrower than bars make sense. */
static void poor_terminals_get_what_they_can_show(void **state)
{
    struct stage s;

    (void)state;
    begin_train(&s);
    s.v.has_unicode = false;
    s.v.width = 60;
    shows(&s, "Train, run 42, for 1 min 00 s: 401 done, 4 running, 2 fail~\n"
              " + start  ########        1/1\n"
              " x fit    ###!----  400/1,000  4 running  2 failed\n"
              "   join   --------        0/1  it waits for 'fit'\n"
              "   end    --------        0/1\n"
              "?: keys\n");
    s.v.width = 30;
    shows(&s, "Train, run 42, for 1 min 00 s\n"
              " + start        1/1\n"
              " x fit    400/1,000  4 runni~\n"
              "   join         0/1  it wait~\n"
              "   end          0/1\n"
              "?: keys\n");
    progress_release(&s.p);
}

static void many_steps_are_folded(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    struct stage s;

    (void)state;
    begin(&s, names, ARRAY_SIZE(names));
    for (uint32_t i = 0; i < 8; i++)
        count(&s, i, (struct progress_counts){ .known = 1, .done = i < 3 });
    count(&s, 1, (struct progress_counts){ .known = 1, .failed = 1 });
    count(&s, 5, (struct progress_counts){ .known = 1, .running = 1 });
    s.v.height = 7;
    s.v.selected = 7;
    shows(&s, "Train, run 42, for 1 min 00 s: 2 done, 1 running, 1 failed, 4 waiting\n"
              " ✗ b     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  0/1  1 failed\n"
              " • f     ────────────────────────────────  0/1  1 running\n"
              "›  h     ────────────────────────────────  0/1\n"
              "   … 5 more steps: 3 waiting, 2 done\n"
              "?: keys\n");
    progress_release(&s.p);
}

/* Any size, any names: never too wide, never too tall (see shows()). */
static void every_size_fits(void **state)
{
    static const char *const names[] = {
        "start", "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97",
        "a\nb\033[2J\"'\t\xff", "e\xcc\x81t\xc3\xa9 \xf0\x9f\x8e\x89",
        "\xe2\x80\xae reversed"
    };
    CLEANUP(buffer_release) struct buffer longest = BUFFER_INIT;
    const char *all[6];
    struct stage s;

    (void)state;
    for (int i = 0; i < 1000; i++)
        buffer_putc(&longest, "abc\n\033"[i % 5]);
    memcpy(all, names, sizeof(names));
    all[5] = buffer_text(&longest);
    begin(&s, all, 6);
    for (uint32_t i = 0; i < 6; i++)
        count(&s, i,
              (struct progress_counts){ .known = 1000000000000,
                                        .done = i * 7,
                                        .running = 1,
                                        .failed = i % 2 });
    progress_waits(&s.p, 2, buffer_text(&longest));
    start_task(&s, all[5], "0", TIME_S(1));
    s.v.selected = 5;
    s.v.followed = buffer_text(&longest);
    for (s.v.width = 1; s.v.width < 130; s.v.width++)
        for (s.v.height = 1; s.v.height < 20; s.v.height++) {
            s.v.mode = (enum view_mode)(1 + s.v.width % 3);
            s.v.has_colour = s.v.height % 2;
            shows(&s, NULL);
        }
    progress_release(&s.p);
}

static void names_cannot_do_harm(void **state)
{
    static const char *const names[] = { "\033[2Jwipe\nout\t" };
    struct stage s;

    (void)state;
    begin(&s, names, 1);
    count(&s, 0, (struct progress_counts){ .known = 1, .running = 1 });
    shows(&s, "Train, run 42, for 1 min 00 s: 0 done, 1 running\n"
              " • \\x1b[2Jwipe\\x0aout\\x09  ──────────────  0/1  1 running\n"
              "?: keys\n");
    progress_release(&s.p);
}

static void selection_goes_round(void **state)
{
    static const char *const names[] = { "a", "hidden", "b" };
    struct stage s;

    (void)state;
    begin(&s, names, 3);
    assert_int_equal(view_next_step(&s.p, VIEW_NONE, 1), VIEW_NONE);
    count(&s, 0, (struct progress_counts){ .known = 1 });
    count(&s, 2, (struct progress_counts){ .known = 1 });
    assert_int_equal(view_next_step(&s.p, VIEW_NONE, 1), 0);
    assert_int_equal(view_next_step(&s.p, VIEW_NONE, -1), 2);
    assert_int_equal(view_next_step(&s.p, 0, 1), 2);
    assert_int_equal(view_next_step(&s.p, 2, 1), 0);
    assert_int_equal(view_next_step(&s.p, 2, -1), 0);
    progress_release(&s.p);
}

static void help_and_questions(void **state)
{
    struct stage s;

    (void)state;
    begin_train(&s);
    s.v.mode = VIEW_CANCEL;
    s.v.height = 3;
    shows(&s,
          "Train, run 42, for 1 min 00 s: 401 done, 4 running, 2 failed, 596 waiting\n"
          "Cancel run 42? y: yes; any other key: no\n");
    s.v.mode = VIEW_HELP;
    s.v.height = 24;
    s.v.can_detach = s.v.is_owner = true;
    shows(&s,
          "Train, run 42, for 1 min 00 s: 401 done, 4 running, 2 failed, 596 waiting\n"
          "  j k, arrows select a step; its oldest tasks are shown below it\n"
          "  f, Enter    only the lines of one task of that step; f: all again\n"
          "  p, Space    pause the lines above; the run goes on\n"
          "  s           suspend the run: it starts nothing more; s: go on\n"
          "  c           cancel the run, after a question\n"
          "  q           leave; the run goes on, and mesh follow comes back\n"
          "  Esc         back to all steps and lines\n"
          "  Ctrl-C      cancel the run and say how to resume it; twice kills\n"
          "  Ctrl-Z      stop watching for a while; fg comes back\n"
          "?: keys\n");
    progress_release(&s.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_looks_like_this),
        cmocka_unit_test(rate_and_time_left_come_with_the_second_look),
        cmocka_unit_test(a_selected_step_shows_its_oldest_tasks),
        cmocka_unit_test(poor_terminals_get_what_they_can_show),
        cmocka_unit_test(many_steps_are_folded),
        cmocka_unit_test(every_size_fits),
        cmocka_unit_test(names_cannot_do_harm),
        cmocka_unit_test(selection_goes_round),
        cmocka_unit_test(help_and_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
