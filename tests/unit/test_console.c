/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/console.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node/cli/terminal.h"
#include "tests/unit/unit.h"

/* What the console wrote, and a clock for its events. */
struct stage {
    struct console *console;
    int fd;
    time_us wall;
};

static void stage_begin(struct stage *s, struct console_config config)
{
    s->fd = memfd_create("console", MFD_CLOEXEC);
    assert_true(s->fd >= 0);
    config.fd = s->fd;
    s->console = console_new(&config);
    assert_non_null(s->console);
    s->wall = TIME_S(1000);
}

static void stage_end(struct stage *s, const char *wanted)
{
    CLEANUP(buffer_release) struct buffer got = BUFFER_INIT;
    char piece[4096];
    ssize_t n;

    console_free(s->console);
    lseek(s->fd, 0, SEEK_SET);
    while ((n = read(s->fd, piece, sizeof(piece))) > 0)
        buffer_append(&got, piece, (size_t)n);
    close(s->fd);
    assert_string_equal(buffer_text(&got), wanted);
}

static struct feed_event event(struct stage *s, enum feed_type type, const char *step,
                               uint32_t pid)
{
    s->wall += TIME_MS(100);
    return (struct feed_event){ .type = type,
                                .number = 40,
                                .step = step,
                                .pid = pid,
                                .wall = s->wall,
                                .started_wall = TIME_S(1000),
                                .task = { .depth = 1, .path = { pid % 10 } } };
}

static void tell(struct stage *s, enum feed_type type, const char *step, uint32_t pid)
{
    struct feed_event e = event(s, type, step, pid);

    e.verdict = VERDICT_DONE;
    e.reason = REASON_OK;
    e.outcome = RUN_OK;
    console_event(s->console, &e);
}

static void print(struct stage *s, uint32_t pid, enum log_stream stream,
                  const char *text)
{
    struct feed_event e = event(s, FEED_LOG, "fit", pid);

    e.stream = stream;
    e.data = text;
    e.len = strlen(text);
    console_event(s->console, &e);
}

static void end_badly(struct stage *s, uint32_t pid, enum verdict verdict,
                      enum reason reason, bool is_retried)
{
    struct feed_event e = event(s, FEED_TASK_ENDED, "fit", pid);

    e.verdict = verdict;
    e.reason = reason;
    e.exit_code = 3;
    e.signal = 11;
    e.is_retried = is_retried;
    e.retry_in_us = TIME_S(2);
    console_event(s->console, &e);
}

static void end_run(struct stage *s, enum run_outcome outcome, const char *message)
{
    struct feed_event e = event(s, FEED_RUN_ENDED, NULL, 0);

    e.outcome = outcome;
    e.message = message;
    console_event(s->console, &e);
}

static void a_run_reads_like_this(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, (struct console_config){ .fd = 0 });
    tell(&s, FEED_RUN_STARTED, NULL, 0);
    tell(&s, FEED_TASK_STARTED, "start", 52970);
    print(&s, 52970, LOG_STDOUT, "Mesh says: Hi!\n");
    tell(&s, FEED_TASK_ENDED, "start", 52970);
    end_run(&s, RUN_OK, NULL);
    stage_end(&s, "Workflow starting (run-id 40):\n"
                  "[40/start/0 (pid 52970)] Task is starting.\n"
                  "[40/fit/0 (pid 52970)] Mesh says: Hi!\n"
                  "[40/start/0 (pid 52970)] Task finished successfully.\n"
                  "Workflow ended: OK in 500 ms, 1 task.\n");
}

static void lines_wait_for_their_end(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, (struct console_config){ .fd = 0 });
    print(&s, 1, LOG_STDOUT, "one\ntw");
    print(&s, 2, LOG_STDOUT, "other");
    print(&s, 1, LOG_STDERR, "warn");
    print(&s, 1, LOG_STDOUT, "o\r\n\nthr");
    print(&s, 2, LOG_STDOUT, " task\n");
    tell(&s, FEED_TASK_ENDED, "fit", 1);
    stage_end(&s, "[40/fit/1 (pid 1)] one\n"
                  "[40/fit/1 (pid 1)] two\n"
                  "[40/fit/1 (pid 1)] \n"
                  "[40/fit/2 (pid 2)] other task\n"
                  "[40/fit/1 (pid 1)] warn\n"
                  "[40/fit/1 (pid 1)] thr\n"
                  "[40/fit/1 (pid 1)] Task finished successfully.\n");
}

static void what_could_harm_a_terminal_is_escaped(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "plain\ttab", "plain\ttab" },
        { "\033[31mred\033[0m", "\033[31mred\033[0m" },
        { "\033[2Jcleared", "\\x1b[2Jcleared" },
        { "\033]0;title\007", "\\x1b]0;title\\x07" },
        { "a\rb", "a\\x0db" },
        { "\033[31", "\\x1b[31" },
        { "gr\303\274n \342\202\254", "gr\303\274n \342\202\254" },
        { "\302\233"
          "2J",
          "\\xc2\\x9b2J" },
        { "\233"
          "2J \377",
          "\\x9b2J \\xff" },
        { "cut \342\202", "cut \\xe2\\x82" },
        { "\177", "\\x7f" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

        terminal_escape(cases[i].text, strlen(cases[i].text), &out);
        assert_string_equal(buffer_text(&out), cases[i].shown);
    }
}

static void a_failure_is_summed_up(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, (struct console_config){ .fd = 0 });
    print(&s, 3, LOG_STDOUT, "working\n");
    print(&s, 4, LOG_STDOUT, "not mine\n");
    print(&s, 3, LOG_STDERR, "no such file");
    end_badly(&s, 3, VERDICT_FAILED, REASON_EXIT, false);
    end_badly(&s, 4, VERDICT_FAILED, REASON_SIGNAL, false);
    end_run(&s, RUN_FAILED, "first");
    stage_end(&s, "[40/fit/3 (pid 3)] working\n"
                  "[40/fit/4 (pid 4)] not mine\n"
                  "[40/fit/3 (pid 3)] no such file\n"
                  "[40/fit/3 (pid 3)] Task failed: exit code 3.\n"
                  "[40/fit/4 (pid 4)] Task failed: killed by SIGSEGV (signal 11).\n"
                  "Workflow ended: FAILED in 600 ms, 0 tasks done, 2 failed.\n"
                  "  The first failure: 40/fit/3, exit code 3. It printed last:\n"
                  "    working\n"
                  "    no such file\n"
                  "  All it printed:    mesh logs 40/fit/3\n"
                  "  What to do:        mesh explain 40/fit/3\n"
                  "  To go on from here: mesh resume 40\n");
}

static void quiet_tells_only_what_matters(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, (struct console_config){ .is_quiet = true });
    tell(&s, FEED_RUN_STARTED, NULL, 0);
    tell(&s, FEED_TASK_STARTED, "fit", 3);
    print(&s, 3, LOG_STDOUT, "why\n");
    end_badly(&s, 3, VERDICT_FAILED, REASON_EXIT, true);
    tell(&s, FEED_TASK_ENDED, "fit", 5);
    end_badly(&s, 6, VERDICT_CAUGHT, REASON_TIMEOUT, false);
    end_run(&s, RUN_CANCELLED, NULL);
    stage_end(&s, "Workflow starting (run-id 40):\n"
                  "[40/fit/3 (pid 3)] Task failed: exit code 3.\n"
                  "[40/fit/3 (pid 3)] Task is retried in 2.0 s (attempt 1).\n"
                  "[40/fit/6 (pid 6)] Task failed: it took longer than its timeout.\n"
                  "[40/fit/6 (pid 6)] The failure is caught: the flow goes on.\n"
                  "Workflow ended: CANCELLED in 700 ms, 2 tasks done.\n"
                  "  To go on from here: mesh resume 40\n");
}

static void times_and_colours_when_asked(void **state)
{
    struct stage s;

    (void)state;
    setenv("TZ", "UTC", 1);
    stage_begin(&s,
                (struct console_config){ .has_timestamps = true, .has_colour = true });
    print(&s, 3, LOG_STDOUT, "\033[1mbold\n");
    stage_end(&s, "1970-01-01 00:16:40.100 \033[2m[40/fit/3 (pid 3)] \033[0m\033[1mbold"
                  "\033[0m\n");
}

static void long_lines_are_cut(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer wanted = BUFFER_INIT;
    struct stage s;

    (void)state;
    for (int i = 0; i < CONSOLE_LINE_MAX; i++)
        buffer_putc(&text, 'x');
    buffer_printf(&wanted, "[40/fit/3 (pid 3)] %s\n[40/fit/3 (pid 3)] yz\n",
                  buffer_text(&text));
    stage_begin(&s, (struct console_config){ .fd = 0 });
    print(&s, 3, LOG_STDOUT, buffer_text(&text));
    print(&s, 3, LOG_STDOUT, "yz\n");
    stage_end(&s, buffer_text(&wanted));
}

/* A failure must be found among much else, and what is long gone must not be read. */
static void the_past_is_bounded(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, (struct console_config){ .is_quiet = true });
    print(&s, 3, LOG_STDOUT, "long ago\n");
    for (int i = 0; i < 10000; i++)
        print(&s, 4, LOG_STDOUT, "something that somebody else has to say\n");
    print(&s, 3, LOG_STDOUT, "of late\n");
    end_badly(&s, 3, VERDICT_FAILED, REASON_OOM, false);
    s.wall = TIME_S(1060);
    end_run(&s, RUN_FAILED, NULL);
    stage_end(&s,
              "[40/fit/3 (pid 3)] Task failed: killed at its memory limit.\n"
              "Workflow ended: FAILED in 1 min 00 s, 0 tasks done, 1 failed.\n"
              "  The first failure: 40/fit/3, killed at its memory limit. It printed "
              "last:\n"
              "    of late\n"
              "  All it printed:    mesh logs 40/fit/3\n"
              "  What to do:        mesh explain 40/fit/3\n"
              "  To go on from here: mesh resume 40\n");
}

static void tables_fit(void **state)
{
    CLEANUP(table_release)
    struct table t = { .n_columns = 3, .elastic = 1, .is_right = { true } };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    (void)state;
    table_add(&t, NULL, "RUN");
    table_add(&t, NULL, "FLOW");
    table_add(&t, NULL, "STATE");
    table_add(&t, NULL, "7");
    table_add(&t, NULL, "gr\303\274n and much longer");
    table_add(&t, COLOUR_RED, "bad\n");
    table_add(&t, NULL, "8");
    table_add(&t, NULL, "short");
    table_add(&t, NULL, "");
    assert_int_equal(table_write(&t, 0, false, &out), 0);
    assert_string_equal(buffer_text(&out),
                        "RUN  FLOW                  STATE\n"
                        "  7  gr\303\274n and much longer  bad\\x0a\n"
                        "  8  short\n");
    buffer_clear(&out);
    assert_int_equal(table_write(&t, 26, true, &out), 0);
    assert_string_equal(buffer_text(&out),
                        "RUN  FLOW          STATE\n"
                        "  7  gr\303\274n and mu\342\200\246  \033[31mbad\\x0a\033[0m\n"
                        "  8  short\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_reads_like_this),
        cmocka_unit_test(lines_wait_for_their_end),
        cmocka_unit_test(what_could_harm_a_terminal_is_escaped),
        cmocka_unit_test(a_failure_is_summed_up),
        cmocka_unit_test(quiet_tells_only_what_matters),
        cmocka_unit_test(times_and_colours_when_asked),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(the_past_is_bounded),
        cmocka_unit_test(tables_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
