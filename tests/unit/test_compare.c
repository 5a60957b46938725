/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "base/buffer.h"
#include "flow/read.h"
#include "node/api/compare.h"

static struct buffer told;

static int set_up(void **state)
{
    (void)state;
    buffer_release(&told);
    told = BUFFER_INIT;
    return 0;
}

static int tear_down(void **state)
{
    return set_up(state);
}

static void expect(const char *text)
{
    assert_string_equal(buffer_text(&told), text);
}

static struct flow *read_flow(const char *text)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };
    struct flow *flow = NULL;

    if (flow_read(text, strlen(text), &flow, &d) < 0)
        fail_msg("%s", d.n ? d.all[0].message : "?");
    return flow;
}

/* ---- parameters ---- */

static int tell_parameter(void *arg, const struct record_parameter *before,
                          const struct record_parameter *after)
{
    (void)arg;
    return buffer_printf(&told, "%s %s->%s; ", before ? before->name : after->name,
                         before ? before->value : "", after ? after->value : "");
}

static void parameters_are_compared_by_name(void **state)
{
    struct record_parameter before[] = {
        { .name = (char *)"same", .value = (char *)"1" },
        { .name = (char *)"gone", .value = (char *)"2" },
        { .name = (char *)"other", .value = (char *)"3" },
        { .name = (char *)"key", .value = (char *)"", .is_secret = true },
    };
    struct record_parameter after[] = {
        { .name = (char *)"key", .value = (char *)"", .is_secret = true },
        { .name = (char *)"other", .value = (char *)"4" },
        { .name = (char *)"new", .value = (char *)"5" },
        { .name = (char *)"same", .value = (char *)"1" },
    };
    struct run_record a = { .parameters = before, .n_parameters = 4 };
    struct run_record b = { .parameters = after, .n_parameters = 4 };

    (void)state;
    assert_int_equal(compare_parameters(&a, &b, tell_parameter, NULL), 0);
    expect("gone 2->; other 3->4; new ->5; ");
    after[0].is_secret = false;
    set_up(state);
    compare_parameters(&a, &b, tell_parameter, NULL);
    expect("gone 2->; other 3->4; key ->; new ->5; ");
}

/* ---- files ---- */

static int tell_file(void *arg, const struct tree_entry *before,
                     const struct tree_entry *after)
{
    (void)arg;
    return buffer_printf(&told, "%c%s ",
                         !before  ? '+'
                         : !after ? '-'
                                  : '*',
                         before ? before->path : after->path);
}

static struct tree_entry file(const char *path, uint8_t content, unsigned mode)
{
    return (
        struct tree_entry){ .path = (char *)path, .mode = mode, .id = { { content } } };
}

static void trees_are_walked_side_by_side(void **state)
{
    struct tree_entry before[] = { file("a", 1, 0644), file("c", 1, 0644),
                                   file("d", 1, 0644), file("e", 1, 0644),
                                   file("z", 1, 0644) };
    struct tree_entry after[] = { file("b", 1, 0644), file("c", 1, 0644),
                                  file("d", 2, 0644), file("e", 1, 0755) };
    struct tree a = { .entries = before, .n = 5 }, b = { .entries = after, .n = 4 };
    struct tree none = { .n = 0 };

    (void)state;
    assert_int_equal(compare_trees(&a, &b, tell_file, NULL), 0);
    expect("-a +b *d *e -z ");
    set_up(state);
    compare_trees(&none, &b, tell_file, NULL);
    expect("+b +c +d +e ");
    set_up(state);
    compare_trees(&a, &a, tell_file, NULL);
    expect("");
}

/* ---- artifacts ---- */

static int tell_artifact(void *arg, const struct artifact *before,
                         const struct artifact *after)
{
    (void)arg;
    return buffer_printf(&told, "%c%s ",
                         !before                           ? '+'
                         : !after                          ? '-'
                         : artifact_is_same(before, after) ? '='
                                                           : '*',
                         before ? before->name : after->name);
}

static struct artifact made(const char *name, uint8_t content)
{
    return (struct artifact){ .name = (char *)name,
                              .encoding = ENCODING_BYTES,
                              .id = { { content } } };
}

static void artifacts_are_compared_whatever_their_order(void **state)
{
    struct artifact before[] = { made("y", 1), made("x", 1), made("old", 1) };
    struct artifact after[] = { made("x", 1), made("new", 1), made("y", 2),
                                made("passed", 1) };
    struct attempt_record a = { .outputs = before, .n_outputs = 3 };
    struct attempt_record b = { .outputs = after, .n_outputs = 4 };

    (void)state;
    after[3].is_inherited = true;
    assert_int_equal(compare_artifacts(&a, &b, tell_artifact, NULL), 0);
    expect("+new -old =x *y ");
    after[0].encoding = ENCODING_JSON;
    set_up(state);
    compare_artifacts(&a, &b, tell_artifact, NULL);
    expect("+new -old *x *y ");
}

/* ---- steps ---- */

static int tell_key(void *arg, const char *key)
{
    (void)arg;
    return buffer_printf(&told, "%s ", key);
}

static const char flow_before[] = "mesh: 1\n"
                                  "flow: A\n"
                                  "steps:\n"
                                  "  start:\n"
                                  "    run: 'true'\n"
                                  "    foreach: {range: 2}\n"
                                  "    next: work\n"
                                  "  work:\n"
                                  "    run: sh work.sh\n"
                                  "    next: end\n"
                                  "  end:\n"
                                  "    join: start\n"
                                  "    run: 'true'\n";

static void expect_keys(const char *text, const char *step, const char *keys)
{
    struct flow *f = read_flow(flow_before), *g = read_flow(text);

    set_up(NULL);
    assert_int_equal(compare_steps(f, flow_find_step(f, step), g,
                                   flow_find_step(g, step), tell_key, NULL),
                     0);
    expect(keys);
    flow_unref(f);
    flow_unref(g);
}

static void keys_of_a_step_that_differ_are_named(void **state)
{
    static const char changed[] = "mesh: 1\n"
                                  "flow: A\n"
                                  "environment: {A: b}\n"
                                  "steps:\n"
                                  "  start:\n"
                                  "    run: 'true'\n"
                                  "    foreach: {range: 3}\n"
                                  "    next: work\n"
                                  "  work:\n"
                                  "    run: [sh, work.sh]\n"
                                  "    workdir: below\n"
                                  "    outputs: {x: x}\n"
                                  "    inputs: {i: start.items}\n"
                                  "    resources: {cpu: 2}\n"
                                  "    next: end\n"
                                  "  end:\n"
                                  "    join: start\n"
                                  "    run: 'true'\n"
                                  "    environment: {A: b}\n";

    (void)state;
    expect_keys(flow_before, "work", "");
    expect_keys(changed, "start", "environment foreach ");
    expect_keys(changed, "work", "run workdir environment inputs outputs ");
}

static void a_step_names_its_files(void **state)
{
    char *argv[] = { (char *)"python3", (char *)"lib/train.py", NULL };
    struct step shell = { .script = (char *)"./a.sh | sh b/c.sh >out.txt" };
    struct step list = { .argv = argv, .workdir = (char *)"code/" };
    struct step python = { .python_file = (char *)"steps/fit.py" };

    (void)state;
    assert_true(step_names_file(&shell, "a.sh"));
    assert_true(step_names_file(&shell, "b/c.sh"));
    assert_false(step_names_file(&shell, "c.sh"));
    assert_false(step_names_file(&shell, "b/c.s"));
    assert_false(step_names_file(&shell, "out"));
    assert_false(step_names_file(&shell, ""));
    assert_true(step_names_file(&list, "code/lib/train.py"));
    assert_false(step_names_file(&list, "train.py"));
    assert_true(step_names_file(&python, "steps/fit.py"));
    assert_false(step_names_file(&python, "fit.py"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(parameters_are_compared_by_name),
        CASE(trees_are_walked_side_by_side),
        CASE(artifacts_are_compared_whatever_their_order),
        CASE(keys_of_a_step_that_differ_are_named),
        CASE(a_step_names_its_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
