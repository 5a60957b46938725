/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct flow *read_flow(const char *rest)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer said = BUFFER_INIT;
    struct flow *flow = NULL;

    buffer_printf(&text, "mesh: 1\nflow: F\n%s", rest);
    if (flow_read(text.data, text.len, &flow, &d)) {
        diagnostics_print(&d, "flow.mf", false, &said);
        fail_msg("%s", buffer_text(&said));
    }
    return flow;
}

static const struct step *step_of(const struct flow *f, const char *name)
{
    uint32_t i = flow_find_step(f, name);

    assert_int_not_equal(i, FLOW_NONE);
    return &f->steps[i];
}

static const char *kind_of(const struct flow *f, const char *from, const char *to)
{
    static const char *const words[] = { "", "same", "down", "close" };

    return words[flow_edge_kind(f, flow_find_step(f, from), flow_find_step(f, to))];
}

static void what_is_not_said_has_defaults(void **state)
{
    CLEANUP(flow_unrefp) struct flow *f = read_flow("steps: {a: {run: x}}\n");
    const struct step *a = &f->steps[0];

    (void)state;
    assert_int_equal(f->refs, 1);
    assert_int_equal(f->n_steps, 1);
    assert_int_equal(f->start, 0);
    assert_int_equal(f->end, 0);
    assert_int_equal(f->on_success, FLOW_NONE);
    assert_int_equal(f->priority, 4);
    assert_int_equal(f->max_log_bytes, 64 << 20);
    assert_int_equal(f->on_failure, ON_FAILURE_STOP);
    assert_int_equal(a->action, STEP_RUN_SHELL);
    assert_int_equal(a->shell, SHELL_SH);
    assert_int_equal(a->line, 3);
    assert_int_equal(a->column, 9);
    assert_int_equal(a->joins, FLOW_NONE);
    assert_int_equal(a->closes, FLOW_NONE);
    assert_int_equal(a->switch_default, FLOW_NONE);
    assert_int_equal(a->resources.cpu_milli, 1000);
    assert_int_equal(a->resources.memory_bytes, 0);
    assert_false(a->has_limits);
    assert_int_equal(a->retry.times, 0);
    assert_true(a->retry.backoff >= 1 && a->retry.backoff <= 1);
    assert_int_equal(a->retry.lost_max, 3);
    assert_int_equal(a->retry.when, 15);
    assert_null(a->retry.exit_codes);
    assert_null(a->catch_var);
    assert_int_equal(a->effect, EFFECT_PURE);
    assert_int_equal(a->priority, 4);
    assert_int_equal(a->foreach.kind, FOREACH_NONE);
}

static void defaults_are_merged(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow("defaults:\n"
                               "  shell: bash\n"
                               "  environment: {A: '1', B: '2'}\n"
                               "  resources: {cpu: 2, memory: 4G, custom: {lic: 1}}\n"
                               "  retry: {times: 2, delay: 10s}\n"
                               "  catch: true\n"
                               "steps:\n"
                               "  a: {run: x, next: b}\n"
                               "  b:\n"
                               "    run: [y, z]\n"
                               "    environment: {C: '3', B: '4'}\n"
                               "    resources: {cpu: 0.25, custom: {fpga: 1.5}}\n"
                               "    retry: {times: 7, backoff: 2}\n"
                               "    catch: false\n");
    const struct step *a = step_of(f, "a"), *b = step_of(f, "b");

    (void)state;
    assert_int_equal(a->n_environment, 2);
    assert_string_equal(a->environment[1].value, "2");
    assert_string_equal(a->catch_var, "failure");
    assert_true(a->has_limits);
    assert_int_equal(b->shell, SHELL_BASH);
    assert_int_equal(b->action, STEP_RUN_ARGV);
    assert_string_equal(b->argv[1], "z");
    assert_null(b->argv[2]);
    assert_int_equal(b->n_environment, 3);
    assert_string_equal(b->environment[1].value, "4");
    assert_string_equal(b->environment[2].name, "C");
    assert_int_equal(b->resources.cpu_milli, 250);
    assert_true(b->resources.memory_bytes == UINT64_C(4) << 30);
    assert_int_equal(b->resources.n_custom, 2);
    assert_string_equal(f->custom_names[b->resources.custom[1].name], "fpga");
    assert_int_equal(b->resources.custom[1].milli, 1500);
    assert_int_equal(b->retry.times, 7);
    assert_int_equal(b->retry.delay_us, TIME_S(10));
    assert_null(b->catch_var);
}

static void units_are_read(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow(
        "limits: {timeout: 1d, max_log_size: 5K}\nsteps:\n"
        "  a: {run: x, timeout: 90, resources: {memory: 512}, retry: true, next: b}\n"
        "  b: {run: x, timeout: 250ms, resources: {memory: '8GiB', cpu: 0.0001}, "
        "retry: {delay: 2m}}\n");
    const struct step *a = step_of(f, "a"), *b = step_of(f, "b");

    (void)state;
    assert_int_equal(f->timeout_us, TIME_S(86400));
    assert_int_equal(f->max_log_bytes, 5120);
    assert_int_equal(a->timeout_us, TIME_S(90));
    assert_int_equal(a->resources.memory_bytes, 512 << 20);
    assert_int_equal(a->retry.times, 3);
    assert_int_equal(b->timeout_us, TIME_MS(250));
    assert_true(b->resources.memory_bytes == UINT64_C(8) << 30);
    assert_int_equal(b->resources.cpu_milli, 1);
    assert_int_equal(b->retry.times, 3);
    assert_int_equal(b->retry.delay_us, TIME_S(120));
}

static void scopes_nest(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f =
        read_flow("steps:\n"
                  "  outer_join: {run: x, join: start, next: end}\n"
                  "  end: {run: x}\n"
                  "  start: {run: x, foreach: groups, next: group}\n"
                  "  group: {run: x, foreach: nums, next: fit}\n"
                  "  fit: {run: x, next: inner_join}\n"
                  "  inner_join: {run: x, join: group, next: outer_join}\n");
    const struct step *fit = step_of(f, "fit"), *outer = step_of(f, "outer_join");
    const struct scope *inner;

    (void)state;
    assert_int_equal(f->n_scopes, 3);
    assert_int_equal(step_of(f, "start")->scope, 0);
    assert_int_equal(step_of(f, "group")->scope, step_of(f, "start")->foreach.scope);
    assert_int_equal(fit->scope, step_of(f, "group")->foreach.scope);
    assert_int_equal(outer->scope, 0);
    assert_int_equal(outer->joins, flow_find_step(f, "start"));
    assert_int_equal(outer->closes, step_of(f, "start")->foreach.scope);
    inner = &f->scopes[fit->scope];
    assert_int_equal(inner->depth, 2);
    assert_int_equal(inner->parent, outer->closes);
    assert_int_equal(inner->opener, flow_find_step(f, "group"));
    assert_int_equal(inner->closer, flow_find_step(f, "inner_join"));
    assert_int_equal(inner->n_steps, 1);
    assert_int_equal(f->scopes[0].n_steps, 3);
    assert_int_equal(f->scopes[0].steps[2], flow_find_step(f, "start"));
    assert_string_equal(kind_of(f, "start", "group"), "down");
    assert_string_equal(kind_of(f, "fit", "inner_join"), "close");
    assert_string_equal(kind_of(f, "inner_join", "outer_join"), "close");
    assert_string_equal(kind_of(f, "outer_join", "end"), "same");
    assert_int_equal(f->start, flow_find_step(f, "start"));
    assert_int_equal(f->end, flow_find_step(f, "end"));
}

static void edges_go_both_ways(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow("steps:\n"
                               "  d: {run: x}\n"
                               "  a: {run: x, next: [c, b]}\n"
                               "  b: {run: x, next: d}\n"
                               "  c: {run: x, next: d}\n");
    const struct step *a = step_of(f, "a"), *d = step_of(f, "d");

    (void)state;
    assert_int_equal(a->n_after, 2);
    assert_string_equal(f->steps[a->after[0]].name, "c");
    assert_string_equal(f->steps[a->after[1]].name, "b");
    assert_int_equal(d->n_before, 2);
    assert_true(d->before[0] < d->before[1]);
    assert_false(f->is_needs);
}

static void needs_may_reach_out_of_a_foreach(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f =
        read_flow("steps:\n"
                  "  table: {run: x}\n"
                  "  list: {run: x, foreach: {range: 3}}\n"
                  "  work: {run: x, needs: [list, table], inputs: {rows: table.rows}}\n"
                  "  collect: {run: x, needs: [work, table], join: list}\n"
                  "  aside: {run: x, needs: table, inputs: {y: rows}}\n");

    (void)state;
    assert_true(f->is_needs);
    assert_int_equal(f->start, FLOW_NONE);
    assert_int_equal(f->end, FLOW_NONE);
    assert_string_equal(kind_of(f, "table", "work"), "down");
    assert_string_equal(kind_of(f, "list", "work"), "down");
    assert_string_equal(kind_of(f, "work", "collect"), "close");
    assert_string_equal(kind_of(f, "table", "collect"), "same");
    assert_int_equal(step_of(f, "work")->inputs[0].step, 0);
    assert_int_equal(step_of(f, "aside")->inputs[0].step, 0);
    assert_string_equal(step_of(f, "aside")->inputs[0].as, "y");
}

static void a_switch_has_edges_to_its_cases(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow(
        "steps:\n"
        "  start: {run: x, switch: {by: v, cases: {again: start, a: end, b: end}, "
        "default: other, max_iterations: 10}}\n"
        "  other: {run: x, next: end}\n"
        "  end: {run: x}\n");
    const struct step *s = step_of(f, "start");

    (void)state;
    assert_string_equal(s->switch_by, "v");
    assert_int_equal(s->n_cases, 3);
    assert_int_equal(s->cases[0].target, 0);
    assert_int_equal(s->switch_default, 1);
    assert_int_equal(s->iterations_max, 10);
    assert_int_equal(s->n_after, 2);
    assert_int_equal(s->n_before, 0);
    assert_int_equal(step_of(f, "end")->n_before, 2);
}

static void items_are_compact_json(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f =
        read_flow("steps:\n"
                  "  a: {run: x, foreach: {items: [1, two, {three: [4]}]}, next: b}\n"
                  "  b: {run: x, next: c}\n"
                  "  c: {run: x, join: a, foreach: {matrix: {p: [1, 2], q: [x, y, "
                  "z]}}, next: d}\n"
                  "  d: {run: x, next: e}\n"
                  "  e: {run: x, join: c}\n");
    const struct foreach *items = &step_of(f, "a")->foreach;
    const struct foreach *matrix = &step_of(f, "c")->foreach;

    (void)state;
    assert_int_equal(items->kind, FOREACH_ITEMS);
    assert_int_equal(items->width, 3);
    assert_string_equal(items->items[1], "\"two\"");
    assert_string_equal(items->items[2], "{\"three\":[4]}");
    assert_int_equal(matrix->kind, FOREACH_MATRIX);
    assert_int_equal(matrix->width, 6);
    assert_string_equal(matrix->items[0], "{\"p\":1,\"q\":\"x\"}");
    assert_string_equal(matrix->items[2], "{\"p\":1,\"q\":\"z\"}");
    assert_string_equal(matrix->items[5], "{\"p\":2,\"q\":\"z\"}");
}

static void glob_items_come_later(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow("steps:\n"
                               "  a: {run: x, foreach: {glob: 'data/*'}, next: b}\n"
                               "  b: {run: x, next: c}\n"
                               "  c: {run: x, join: a}\n");
    char *paths[] = { (char *)"data/a", (char *)"data/b \"q\"" };

    (void)state;
    assert_string_equal(f->steps[0].foreach.artifact, "data/*");
    assert_int_equal(flow_set_glob_items(f, 0, paths, 2), 0);
    assert_int_equal(f->steps[0].foreach.width, 2);
    assert_string_equal(f->steps[0].foreach.items[1], "\"data/b \\\"q\\\"\"");
}

static void hooks_stand_behind_the_steps(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f =
        read_flow("on_exit: {error: {run: [page, me]}, success: {run: ok}}\n"
                  "steps: {a: {run: x}}\n");

    (void)state;
    assert_int_equal(f->n_steps, 1);
    assert_int_equal(f->n_all_steps, 3);
    assert_int_equal(f->on_success, flow_find_step(f, "on_exit.success"));
    assert_int_equal(f->on_error, 2);
    assert_true(f->steps[2].is_hook);
    assert_false(f->steps[0].is_hook);
    assert_string_equal(f->steps[2].argv[0], "page");
}

static void writers_tell_all(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow(
        "parameters: {n: {type: int, default: 2, help: how many}}\n"
        "steps:\n"
        "  start: {run: x, foreach: {range: 2}, next: look}\n"
        "  look: {run: x, switch: {by: v, cases: {'a\"b': end, again: look}}}\n"
        "  end: {run: x, join: start}\n");
    CLEANUP(buffer_release) struct buffer dot = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    (void)state;
    assert_int_equal(flow_write_dot(f, &dot), 0);
    assert_string_equal(buffer_text(&dot),
                        "digraph \"F\" {\n"
                        "  rankdir=LR;\n"
                        "  \"start\" [shape=trapezium];\n"
                        "  \"look\" [shape=diamond];\n"
                        "  \"end\" [shape=invtrapezium];\n"
                        "  \"start\" -> \"look\" [label=\"foreach\"];\n"
                        "  \"look\" -> \"end\" [label=\"a\\\"b\"];\n"
                        "  \"look\" -> \"look\" [label=\"again\"];\n"
                        "}\n");
    assert_int_equal(flow_write_json(f, &json), 0);
    assert_non_null(
        strstr(buffer_text(&json),
               "\"parameters\":[{\"name\":\"n\",\"type\":\"int\",\"default\":\"2\","
               "\"separator\":null,\"help\":\"how many\",\"required\":false,"
               "\"secret\":false}],\"steps\""));
    assert_non_null(strstr(buffer_text(&json),
                           "\"edges\":[{\"from\":\"start\",\"to\":\"look\","
                           "\"kind\":\"down\"},{\"from\":\"look\",\"to\":\"end\","
                           "\"kind\":\"close\"}]}\n"));
    assert_int_equal(flow_write_text(f, &text), 0);
    assert_string_equal(buffer_text(&text),
                        "F\n\nsteps\n"
                        "  start; foreach, 2 tasks\n"
                        "    look after start; switch by v (a\"b: end, again: look)\n"
                        "  end after look; joins start\n"
                        "\nparameters\n"
                        "  --n int (2): how many\n");
}

static void a_credential_is_not_shown(void **state)
{
    static const char text[] =
        "mesh: 1\nflow: F\nsteps: {a: {run: AKIAIOSFODNN7EXAMPLE}}\n";
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct flow *flow = NULL;

    (void)state;
    assert_int_equal(flow_read(text, strlen(text), &flow, &d), -EINVAL);
    diagnostics_print(&d, "flow.mf", false, &out);
    assert_null(strstr(buffer_text(&out), "AKIA"));
    assert_non_null(strstr(buffer_text(&out), "flow.mf:3: error: "));
}

static void references_are_counted(void **state)
{
    struct flow *f = read_flow("steps: {a: {run: x}}\n");

    (void)state;
    assert_ptr_equal(flow_ref(f), f);
    flow_unref(f);
    assert_int_equal(flow_find_step(f, "a"), 0);
    assert_int_equal(flow_find_step(f, "b"), FLOW_NONE);
    flow_unref(f);
    flow_unref(NULL);
}

static void too_long_a_text_is_not_even_looked_at(void **state)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct flow *flow = NULL;

    (void)state;
    assert_int_equal(flow_read("", (size_t)FLOW_TEXT_MAX + 1, &flow, &d), -E2BIG);
    assert_int_equal(d.n, 0);
}

static void ten_thousand_steps_are_read(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;

    (void)state;
    buffer_puts(&text,
                "mesh: 1\nflow: F\nsteps:\n"
                "  s0: {run: x}\n  s1: {run: x}\n  s2: {run: x, needs: [s0, s1]}\n");
    for (int i = 3; i < 10000; i++)
        buffer_printf(&text,
                      "  s%d:\n    run: [echo, 'x']\n    needs: [s%d, s%d]\n"
                      "    inputs: {x: s%d.x, y: s%d.y}\n    retry: {times: 2}\n",
                      i, i - 1, i / 2, i - 1, i / 2);
    assert_int_equal(buffer_failed(&text), 0);
    assert_int_equal(flow_read(text.data, text.len, &flow, &d), 0);
    assert_int_equal(flow->n_steps, 10000);
}

/* ---- Python ---- */

static void a_function_is_read(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow("defaults: {warm: false, run: 'true'}\n"
                               "steps:\n"
                               "  a: {python: 'x/y.py:f', next: b}\n"
                               "  b: {next: c}\n"
                               "  c: {python: z.py:g, warm: true}\n");
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;
    const struct step *a = step_of(f, "a"), *b = step_of(f, "b");

    (void)state;
    assert_int_equal(a->action, STEP_PYTHON);
    assert_string_equal(a->python_file, "x/y.py");
    assert_string_equal(a->python_function, "f");
    assert_false(a->is_warm);
    assert_null(a->script);
    assert_int_equal(b->action, STEP_RUN_SHELL);
    assert_null(b->python_file);
    assert_true(step_of(f, "c")->is_warm);
    assert_int_equal(flow_write_text(f, &text), 0);
    assert_non_null(strstr(buffer_text(&text), "a; python x/y.py:f\n"));
    assert_int_equal(flow_write_json(f, &json), 0);
    assert_non_null(strstr(buffer_text(&json),
                           "\"python\":\"z.py\",\"function\":\"g\",\"warm\":true"));
}

static void assert_inputs(const struct flow *f, const char *step, bool has_inputs)
{
    if (step_of(f, step)->has_inputs != has_inputs)
        fail_msg("%s", step);
}

static void who_joins_has_inputs(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow("steps:\n"
                               "  start: {run: x, next: [l, r]}\n"
                               "  l: {run: x, next: both}\n"
                               "  r: {run: x, next: both}\n"
                               "  both: {run: x, foreach: {range: 2}, next: each}\n"
                               "  each: {run: x, next: all}\n"
                               "  all: {run: x, join: both, switch: {by: v, cases:\n"
                               "        {a: one, b: two}}}\n"
                               "  one: {run: x, next: end}\n"
                               "  two: {run: x, next: end}\n"
                               "  end: {run: x}\n");

    (void)state;
    assert_inputs(f, "start", false);
    assert_inputs(f, "l", false);
    assert_inputs(f, "both", true);
    assert_inputs(f, "each", false);
    assert_inputs(f, "all", true);
    assert_inputs(f, "one", false);
    assert_inputs(f, "end", false); /* one of the two was done */
}

static void who_needs_has_inputs(void **state)
{
    CLEANUP(flow_unrefp)
    struct flow *f = read_flow("steps:\n"
                               "  a: {run: x}\n"
                               "  b: {run: x, needs: a}\n");

    (void)state;
    assert_inputs(f, "a", false);
    assert_inputs(f, "b", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_defaults),
        cmocka_unit_test(a_function_is_read),
        cmocka_unit_test(who_joins_has_inputs),
        cmocka_unit_test(who_needs_has_inputs),
        cmocka_unit_test(defaults_are_merged),
        cmocka_unit_test(units_are_read),
        cmocka_unit_test(scopes_nest),
        cmocka_unit_test(edges_go_both_ways),
        cmocka_unit_test(needs_may_reach_out_of_a_foreach),
        cmocka_unit_test(a_switch_has_edges_to_its_cases),
        cmocka_unit_test(items_are_compact_json),
        cmocka_unit_test(glob_items_come_later),
        cmocka_unit_test(hooks_stand_behind_the_steps),
        cmocka_unit_test(writers_tell_all),
        cmocka_unit_test(a_credential_is_not_shown),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(too_long_a_text_is_not_even_looked_at),
        cmocka_unit_test(ten_thousand_steps_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
