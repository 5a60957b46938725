/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include <errno.h>

#include "node/warm_group.h"

static const char text[] =
    "mesh: 1\n"
    "flow: F\n"
    "steps:\n"
    "  start: {python: 'a.py:f', foreach: {range: 3}, next: each}\n"
    "  each: {python: 'b.py:f', next: join, environment: {A: '1'}}\n"
    "  join: {python: 'a.py:g', join: start, next: other}\n"
    "  other: {python: 'c \"d\".py:g', next: alone}\n"
    "  alone: {python: 'a.py:f', environment: {A: '2'}, next: plain}\n"
    "  plain: {python: 'a.py:f', warm: false, next: end}\n"
    "  end: {run: 'true'}\n";

static struct kit kit;
static struct run_context *context;

static int set_up(void **state)
{
    struct launch_config config = { .data_dir = kit.dir,
                                    .task_socket = "/run/task.sock",
                                    .program_dir = "/opt/mesh" };
    struct run_record record = { .number = 1 };
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    char path[256];
    char **values;

    (void)state;
    kit_open(&kit, text);
    config.data_dir = kit.dir;
    assert_int_equal(parameters_resolve(kit.flow, NULL, 0, &values, &d), 0);
    assert_int_equal(run_context_new(&config, &record, kit.flow, values, &context), 0);
    snprintf(path, sizeof(path), "%s/code", kit.dir);
    mkdir(path, 0700);
    mkdir(context->code_path, 0700);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    run_context_free(context);
    kit_close(&kit);
    return 0;
}

static const struct step *step(const char *name)
{
    return &kit.flow->steps[flow_find_step(kit.flow, name)];
}

static void test_steps_of_one_environment_share_a_server(void **state)
{
    struct warm_group *g = warm_group_new(context, 0, 4);

    (void)state;
    assert_true(warm_group_serves(g, step("start")));
    assert_true(warm_group_serves(g, step("join")));
    assert_true(warm_group_serves(g, step("other")));
    assert_false(warm_group_serves(g, step("each")));
    assert_false(warm_group_serves(g, step("plain")));
    assert_false(warm_group_serves(g, step("end")));
    warm_group_free(g);
}

static void test_one_task_is_not_worth_a_server(void **state)
{
    (void)state;
    assert_true(warm_is_worth(kit.flow, step("start")));
    assert_true(warm_is_worth(kit.flow, step("each")));
    assert_false(warm_is_worth(kit.flow, step("alone")));
}

static void test_a_server_has_the_steps_variables(void **state)
{
    struct warm_group *g = warm_group_new(context, 0, 4);
    CLEANUP(variables_release) struct variables v = { .all = NULL };
    struct step_launch *l;
    struct error why = { .text = "" };

    (void)state;
    snprintf(g->server.token, sizeof(g->server.token), "%s", "token");
    assert_int_equal(launch_step(context, 0, &l, &why), 0);
    assert_int_equal(warm_group_variables(g, l, &v), 0);
    assert_string_equal(variables_find(&v, "MESH_WARM"),
                        "[\"a.py\",\"c \\\"d\\\".py\"]");
    assert_string_equal(variables_find(&v, "MESH_TOKEN"), "token");
    assert_null(variables_find(&v, "MESH_STEP"));
    assert_null(variables_find(&v, "MESH_PYTHON"));
    assert_non_null(variables_find(&v, "MESH_RUN_ID"));
    assert_non_null(variables_find(&l->env, "MESH_STEP"));
    warm_group_free(g);
}

static void test_slots_wait_in_turn(void **state)
{
    struct warm_group *g = warm_group_new(context, 0, 3);

    (void)state;
    for (uint32_t round = 0; round < 5; round++) { /* the ring goes round */
        warm_group_add(g, 10);
        warm_group_add(g, 11);
        warm_group_add(g, 12);
        g->n_sent = 2;
        assert_int_equal(warm_group_at(g, 1), 11);
        assert_int_equal(warm_group_take(g), 10);
        assert_int_equal(g->n_sent, 1);
        warm_group_remove(g, 0);
        assert_int_equal(g->n, 1);
        g->n_sent = 0;
        assert_int_equal(warm_group_take(g), 12);
        assert_int_equal(g->n_sent, 0);
        assert_int_equal(g->n, 0);
    }
    warm_group_free(g);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_steps_of_one_environment_share_a_server),
        TEST(test_one_task_is_not_worth_a_server),
        TEST(test_a_server_has_the_steps_variables),
        TEST(test_slots_wait_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
