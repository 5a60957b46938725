/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of tasks with `effect: exclusive` among nodes that die, stop and lose each
 * other. */
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

/* At `a`, which leads, stands something else in the way. */
static struct mesh_story *begin(const char *takes)
{
    struct mesh_story *s = mesh_story_new(3, 1, 5);

    mesh_story_show(s, "start run crash guard told");
    mesh_story_task(s, "long", "60000");
    mesh_story_task(s, "only", takes);
    mesh_story_meet(s);
    mesh_story_submit(s, 'a',
                      "long\n"
                      "only exclusive\n");
    assert_true(mesh_story_run_until(s, "start b only", 5000));
    return s;
}

/* It is told at once that its worker is dead; the task waits all the same. */
static void a_worker_dies(void **state)
{
    struct mesh_story *s = begin("3000");

    (void)state;
    mesh_story_run_for(s, 1000);
    mesh_story_kill(s, 'b');
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a long/0#0\n"
                                             "[ 2253] start b only/0 fence 1\n"
                                             "[ 3253] crash b\n"
                                             "[ 6124] told a only/0#0 lost\n"
                                             "[21126] start c only/0 fence 2\n"
                                             "[24128] told a only/0#1 done\n"
                                             "[62001] told a long/0#0 done\n"
                                             "[62002] run a 1 ok\n");
    mesh_story_free(s);
}

/* Nobody can tell it so: it ends by itself, before another one starts. */
static void a_worker_is_cut_off(void **state)
{
    struct mesh_story *s = begin("50000");

    (void)state;
    mesh_story_run_for(s, 1000);
    mesh_story_task(s, "only", "10");
    mesh_story_cut(s, "b");
    mesh_story_run_for(s, 40000);
    mesh_story_cut(s, NULL);
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a long/0#0\n"
                                             "[ 2253] start b only/0 fence 1\n"
                                             "[ 7424] told a only/0#0 lost\n"
                                             "[ 9999] guard b only/0\n"
                                             "[18753] start b long/0#0\n"
                                             "[22426] start c only/0 fence 2\n"
                                             "[22438] told a only/0#1 done\n"
                                             "[62001] told a long/0#0 done\n"
                                             "[62002] run a 1 ok\n");
    mesh_story_free(s);
}

/* What its worker carries out goes on under the next one, with the same fence. */
static void the_leader_dies(void **state)
{
    struct mesh_story *s = begin("12000");

    (void)state;
    mesh_story_run_for(s, 1000);
    mesh_story_task(s, "long", "10");
    mesh_story_kill(s, 'a');
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a long/0#0\n"
                                             "[ 2253] start b only/0 fence 1\n"
                                             "[ 3253] crash a\n"
                                             "[ 6122] start c long/0#0\n"
                                             "[ 6134] told c long/0#0 done\n"
                                             "[14256] told c only/0#0 done\n"
                                             "[14257] run c 1 ok\n");
    mesh_story_free(s);
}

/* What it ran itself nobody can know to be dead before its permit has run out. */
static void the_leader_runs_it_and_stops(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 1, 5);

    (void)state;
    mesh_story_show(s, "start run crash guard told");
    mesh_story_task(s, "only", "30000");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', "only exclusive\n");
    assert_true(mesh_story_run_until(s, "start a only", 5000));
    mesh_story_run_for(s, 3000);
    mesh_story_task(s, "only", "10");
    mesh_story_cut(s, "a");
    mesh_story_run_for(s, 40000);
    mesh_story_cut(s, NULL);
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2253] start a only/0 fence 1\n"
                                             "[13000] guard a only/0\n"
                                             "[21622] start c only/0 fence 2\n"
                                             "[21634] told c only/0#0 done\n"
                                             "[21635] run c 1 ok\n");
    mesh_story_free(s);
}

/* An island goes on with the rest, and leaves this. */
static void nobody_starts_it_without_a_majority(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 2, 5);

    (void)state;
    mesh_story_show(s, "start run crash guard told");
    mesh_story_task(s, "first", "3000");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a',
                      "begin\n"
                      "first: begin\n"
                      "only: first exclusive\n"
                      "other: first\n");
    assert_true(mesh_story_run_until(s, "start a first", 5000));
    mesh_story_run_for(s, 1000);
    mesh_story_kill(s, 'a');
    mesh_story_kill(s, 'b');
    mesh_story_run_for(s, 60000);
    mesh_story_start(s, 'a');
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s),
                        "[ 2000] start a begin/0#0\n"
                        "[ 2010] start a first/0#0\n"
                        "[ 2012] told a begin/0#0 done\n"
                        "[ 3010] crash a\n"
                        "[ 3010] crash b\n"
                        "[18000] start c first/0#0\n"
                        "[21000] start c other/0#0\n"
                        "[21001] told c first/0#0 done, tentative\n"
                        "[21011] told c other/0#0 done, tentative\n"
                        "[64760] start a other/0#0\n"
                        "[64761] told c first/0#0 done\n"
                        "[64762] start c only/0 fence 1\n"
                        "[64773] told c other/0#0 done\n"
                        "[64773] told c only/0#0 done\n"
                        "[64774] run c 1 ok\n");
    mesh_story_free(s);
}

/* What it says comes not to its leader, so it is asked once more, with another fence:
 * what waits there for a permit with the first one is not it. */
static void a_worker_is_asked_again(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 1, 5);

    (void)state;
    mesh_story_show(s, "start run crash guard told");
    mesh_story_task(s, "long", "60000");
    mesh_story_task(s, "other", "60000");
    mesh_story_task(s, "short", "3000");
    mesh_story_meet(s);
    mesh_story_submit(s, 'a',
                      "long\n"
                      "short\n"
                      "other\n"
                      "only exclusive\n");
    mesh_story_run_for(s, 1000);
    mesh_story_deafen(s, "ba");
    mesh_story_run_for(s, 12000);
    mesh_story_deafen(s, NULL);
    assert_true(mesh_story_run(s, 90000));
    assert_string_equal(mesh_story_trace(s), "[ 2000] start a long/0#0\n"
                                             "[ 2000] start b short/0#0\n"
                                             "[ 2000] start c other/0#0\n"
                                             "[13001] told a short/0#0 lost\n"
                                             "[15003] start b only/0 fence 2\n"
                                             "[15016] told a only/0#0 done\n"
                                             "[18004] told a short/0#1 done\n"
                                             "[62001] told a long/0#0 done\n"
                                             "[62003] told a other/0#0 done\n"
                                             "[62004] run a 1 ok\n");
    mesh_story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_dies),
        cmocka_unit_test(a_worker_is_cut_off),
        cmocka_unit_test(the_leader_dies),
        cmocka_unit_test(the_leader_runs_it_and_stops),
        cmocka_unit_test(nobody_starts_it_without_a_majority),
        cmocka_unit_test(a_worker_is_asked_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
