/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/board.h"

#include <stdlib.h>
#include <string.h>

#include "node/cli/terminal.h"
#include "tests/unit/unit.h"

static const char *const names[] = { "start", "fit" };

static struct board_run *add_run(struct board *b, uint64_t number, const char *flow,
                                 struct progress_counts fit)
{
    const struct run_id run = { .bytes = { (uint8_t)(number >> 8), (uint8_t)number } };
    struct board_run *r = board_run(b, &run);

    assert_non_null(r);
    assert_int_equal(progress_begin(&r->p, flow, number, names, 2), 0);
    r->p.started = TIME_S(1000 + number);
    strcpy(r->state, "running");
    r->is_seen = true;
    progress_count(&r->p, 0, &(struct progress_counts){ .known = 1, .done = 1 });
    progress_count(&r->p, 1, &fit);
    progress_sample(&r->p, TIME_S(1060));
    return r;
}

static void begin(struct board *b)
{
    *b = (struct board){ .pid = 4711,
                         .slots = 8,
                         .n_running = 6,
                         .cpu_milli = 8000,
                         .memory_bytes = 32ull << 30,
                         .store_bytes = 3ull << 30,
                         .disk_free_bytes = 120ull << 30,
                         .dir = strdup("/home/me"),
                         .has_usage = true,
                         .used_milli = 4000,
                         .used_bytes = 1ull << 30,
                         .order = BOARD_BY_RUN,
                         .has_steps = true,
                         .has_unicode = true,
                         .width = 80,
                         .height = 24 };
    add_run(b, 41, "Train",
            (struct progress_counts){
                .known = 1000, .done = 411, .running = 2, .ready = 587 });
    add_run(b, 42, "Score",
            (struct progress_counts){ .known = 10, .running = 4, .failed = 1 });
}

static void shows(struct board *b, const char *wanted)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    size_t lines = 0;

    board_render(b, TIME_S(1062), "14:05:09", &out);
    if (wanted)
        assert_string_equal(buffer_text(&out), wanted);
    for (char *at = out.data, *line; at && *at; lines++) {
        line = strsep(&at, "\n");
        if (b->height && terminal_columns(line) >= b->width)
            fail_msg("%zu columns: %s", b->width, line);
    }
    assert_true(!b->height || lines < b->height || b->height == 1);
}

static void a_node_looks_like_this(void **state)
{
    struct board b;

    (void)state;
    begin(&b);
    progress_count(&b.runs[0].p, 1,
                   &(struct progress_counts){
                       .known = 1000, .done = 607, .running = 2, .ready = 391 });
    progress_sample(&b.runs[0].p, TIME_S(1062));
    shows(
        &b,
        "Node 4711 on /home/me                                                  "
        "14:05:09\n"
        "  tasks      ━━━━━━━━━━━━━━━━━━━━━━━━────────  6 of 8 slots, 2 runs, 98.0/s\n"
        "  processor  ━━━━━━━━━━━━━━━━────────────────  4.0 of 8\n"
        "  memory     ━───────────────────────────────  1.0 GiB of 32.0 GiB\n"
        "  store      3.0 GiB, 120.0 GiB free on the disk\n"
        "\n"
        "RUN  FLOW   STATE       FOR  DONE  RUNNING  FAILED  WAITING    RATE   LEFT\n"
        " 42  Score  running  20.0 s     1        4       1        5\n"
        "       fit                      -        4       1        5\n"
        " 41  Train  running  21.0 s   608        2       -      391  98.0/s\n"
        "       fit                    607        2       -      391  98.0/s  4.0 s\n");
    board_release(&b);
}

static void what_is_gone_is_dropped(void **state)
{
    struct board b;

    (void)state;
    begin(&b);
    b.runs[0].is_seen = false;
    board_drop_unseen(&b);
    assert_int_equal(b.n_runs, 1);
    assert_int_equal(b.runs[0].p.number, 42);
    board_drop_unseen(&b);
    assert_int_equal(b.n_runs, 0);
    board_release(&b);
}

static void first_of(struct board *b, enum board_order order, uint64_t number)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    b->order = order;
    board_render(b, TIME_S(1062), "", &out);
    assert_int_equal(b->runs[0].p.number, number);
}

static void it_is_sorted(void **state)
{
    struct board b;

    (void)state;
    begin(&b);
    first_of(&b, BOARD_BY_RUN, 42);
    first_of(&b, BOARD_BY_AGE, 41);
    first_of(&b, BOARD_BY_RUNNING, 42);
    b.runs[1].p.all.rate = 5;
    first_of(&b, BOARD_BY_RATE, 41);
    board_release(&b);
}

static void every_size_fits(void **state)
{
    struct board b;

    (void)state;
    begin(&b);
    add_run(&b, 43, "\xe6\xbc\xa2\xe5\xad\x97 and a name of some length\n\033[2J",
            (struct progress_counts){ .known = 1, .running = 1 });
    for (b.width = 20; b.width < 140; b.width++)
        for (b.height = 2; b.height < 20; b.height++) {
            b.has_colour = b.height % 2;
            b.has_help = b.width % 3 == 0;
            shows(&b, NULL);
        }
    board_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_looks_like_this),
        cmocka_unit_test(what_is_gone_is_dropped),
        cmocka_unit_test(it_is_sorted),
        cmocka_unit_test(every_size_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
