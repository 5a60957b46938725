/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include <errno.h>

#include "node/merge.h"

static const char chain_flow[] = "mesh: 1\n"
                                 "flow: Chain\n"
                                 "steps:\n"
                                 "  a: {run: 'true', next: b}\n"
                                 "  b: {run: 'true', next: c}\n"
                                 "  c: {run: 'true'}\n";
static const char split_flow[] =
    "mesh: 1\n"
    "flow: Split\n"
    "steps:\n"
    "  start: {run: 'true', next: first}\n"
    "  first: {run: 'true', foreach: {range: 3}, next: x}\n"
    "  x: {run: 'true', next: x2}\n"
    "  x2: {run: 'true', next: join}\n"
    "  join: {run: 'true', join: first, merge: {}, next: "
    "second}\n"
    "  second: {run: 'true', foreach: {range: 3}, next: y}\n"
    "  y: {run: 'true', next: last}\n"
    "  last: {run: 'true', join: second, next: end}\n"
    "  end: {run: 'true'}\n";
static const char branch_flow[] = "mesh: 1\n"
                                  "flow: Branch\n"
                                  "steps:\n"
                                  "  a: {run: 'true', next: [l, r]}\n"
                                  "  l: {run: 'true', next: end}\n"
                                  "  r: {run: 'true', next: end}\n"
                                  "  end: {run: 'true', merge: {include: [v, w]}}\n";

static void assert_sees(struct kit *k, struct task_id task, const char *name,
                        const char *expected)
{
    CLEANUP(freep) char *text = kit_see(k, task, name);

    if (!expected) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void test_passes_down_a_line(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, chain_flow);
    kit_end(&k, kit_task(&k, "a", -1), 0, VERDICT_DONE, MADE("v=old", "w=far"));
    kit_end(&k, kit_task(&k, "b", -1), 0, VERDICT_DONE, MADE("v=new"));
    assert_sees(&k, kit_task(&k, "c", -1), "v", "new");
    assert_sees(&k, kit_task(&k, "c", -1), "w", "far");
    assert_sees(&k, kit_task(&k, "c", -1), "x", NULL);
    assert_sees(&k, kit_task(&k, "b", -1), "v", "old");
    kit_close(&k);
}

static void test_only_the_try_that_counts_is_seen(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, chain_flow);
    kit_end(&k, kit_task(&k, "a", -1), 0, VERDICT_FAILED, MADE("v=spoiled"));
    assert_sees(&k, kit_task(&k, "b", -1), "v", NULL);
    kit_end(&k, kit_task(&k, "a", -1), 1, VERDICT_LOST, NULL);
    kit_end(&k, kit_task(&k, "a", -1), 2, VERDICT_DONE, MADE("v=good"));
    assert_sees(&k, kit_task(&k, "b", -1), "v", "good");
    kit_close(&k);
}

static void test_passes_into_a_split_by_index(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "start", -1), 0, VERDICT_DONE, MADE("v=outer"));
    kit_end(&k, kit_task(&k, "first", -1), 0, VERDICT_DONE, NULL);
    kit_end(&k, kit_task(&k, "x", 1), 0, VERDICT_DONE, MADE("i=one"));
    kit_end(&k, kit_task(&k, "x", 2), 0, VERDICT_DONE, MADE("i=two"));
    assert_sees(&k, kit_task(&k, "x2", 1), "i", "one");
    assert_sees(&k, kit_task(&k, "x2", 2), "i", "two");
    assert_sees(&k, kit_task(&k, "x2", 2), "v", "outer");
    assert_sees(&k, kit_task(&k, "x2", 0), "i", NULL);
    kit_close(&k);
}

static void test_join_passes_nothing_by_itself(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "x2", 0), 0, VERDICT_DONE, MADE("v=inner"));
    assert_sees(&k, kit_task(&k, "join", -1), "v", NULL);
    kit_close(&k);
    kit_open(&k, branch_flow);
    kit_end(&k, kit_task(&k, "l", -1), 0, VERDICT_DONE, MADE("v=left"));
    kit_end(&k, kit_task(&k, "r", -1), 0, VERDICT_DONE, NULL);
    assert_sees(&k, kit_task(&k, "end", -1), "v", NULL);
    kit_close(&k);
}

static int find_from(struct kit *k, struct task_id task, const char *step,
                     const uint64_t *index, const char *name, const char *expected)
{
    CLEANUP(artifact_release) struct artifact a = { .name = NULL };
    struct task_id maker;
    int r = artifacts_find_from(&k->artifacts, k->flow, &k->run, &task,
                                flow_find_step(k->flow, step), index, name, &a, &maker);

    if (r == 0)
        assert_memory_equal(a.inline_data, expected, strlen(expected));
    return r;
}

static void test_other_steps_are_seen_where_they_are_certain(void **state)
{
    const uint64_t index = 2;
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "start", -1), 0, VERDICT_DONE, MADE("v=0"));
    for (int i = 0; i < 3; i++)
        kit_end(&k, kit_task(&k, "x", i), 0, VERDICT_DONE,
                MADE(i == 0   ? "v=x0"
                     : i == 1 ? "v=x1"
                              : "v=x2"));
    assert_int_equal(find_from(&k, kit_task(&k, "x2", 1), "x", NULL, "v", "x1"), 0);
    assert_int_equal(find_from(&k, kit_task(&k, "x2", 1), "start", NULL, "v", "0"), 0);
    assert_int_equal(find_from(&k, kit_task(&k, "join", -1), "x", &index, "v", "x2"),
                     0);
    /* The other foreach has the same indexes and nothing else in common. */
    assert_int_equal(find_from(&k, kit_task(&k, "y", 1), "x", NULL, "v", ""), -EINVAL);
    /* Not before it. */
    assert_int_equal(find_from(&k, kit_task(&k, "x", 1), "x2", NULL, "v", ""), -EINVAL);
    assert_int_equal(find_from(&k, kit_task(&k, "start", -1), "first", NULL, "v", ""),
                     -EINVAL);
    /* Of a split one has to be named, of the rest none can be. */
    assert_int_equal(find_from(&k, kit_task(&k, "join", -1), "x", NULL, "v", ""),
                     -EINVAL);
    assert_int_equal(find_from(&k, kit_task(&k, "x2", 1), "x", &index, "v", ""),
                     -EINVAL);
    kit_close(&k);
}

struct seen {
    uint64_t index[8];
    size_t n;
};

static int note(void *arg, const struct attempt_record *r)
{
    struct seen *s = arg;

    s->index[s->n++] = r->task.path[0];
    return 0;
}

static void test_inputs_come_in_split_order(void **state)
{
    struct task_id join;
    struct seen seen = { .n = 0 };
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    join = kit_task(&k, "join", -1);
    for (int i = 2; i >= 0; i--) {
        kit_end(&k, kit_task(&k, "x2", i), 0, VERDICT_FAILED, NULL);
        kit_end(&k, kit_task(&k, "x2", i), 1, VERDICT_DONE, NULL);
    }
    assert_int_equal(artifacts_inputs(&k.artifacts, k.flow, &k.run, &join, note, &seen),
                     0);
    assert_int_equal(seen.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(seen.index[i], i);
    kit_close(&k);
}

/* ---- merge ---- */

static int merge(struct kit *k, const char *step, struct attempt_record *r,
                 struct error *why)
{
    struct task_id task = kit_task(k, step, -1);

    return merge_branches(&k->artifacts, k->flow, &k->run, &task, r, why);
}

static void test_merge_passes_what_is_equal(void **state)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct error why = { .text = "" };
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "start", -1), 0, VERDICT_DONE, MADE("o=origin"));
    kit_end(&k, kit_task(&k, "first", -1), 0, VERDICT_DONE, NULL);
    for (int i = 0; i < 3; i++) {
        kit_end(&k, kit_task(&k, "x", i), 0, VERDICT_DONE,
                MADE(i ? "hidden=a" : "hidden=b", "s=same"));
        kit_end(&k, kit_task(&k, "x2", i), 0, VERDICT_DONE, MADE("hidden=nearer"));
    }
    assert_int_equal(merge(&k, "join", &r, &why), 0);
    assert_int_equal(r.n_outputs, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(r.outputs[i].is_inherited);
    kit_close(&k);
}

static void test_merge_names_what_differs(void **state)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct error why = { .text = "" };
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "first", -1), 0, VERDICT_DONE, MADE("v=before"));
    for (int i = 0; i < 3; i++) {
        kit_end(&k, kit_task(&k, "x", i), 0, VERDICT_DONE, NULL);
        kit_end(&k, kit_task(&k, "x2", i), 0, VERDICT_DONE,
                i == 1 ? MADE("v=changed") : NULL);
    }
    assert_int_equal(merge(&k, "join", &r, &why), -EINVAL);
    assert_non_null(strstr(why.text, "'v'"));
    assert_int_equal(r.n_outputs, 0);
    /* The step settles it. */
    r.outputs = calloc(1, sizeof(*r.outputs));
    r.outputs[r.n_outputs++] = kit_artifact("v", "mine");
    assert_int_equal(merge(&k, "join", &r, &why), 0);
    assert_int_equal(r.n_outputs, 1);
    kit_close(&k);
}

static void test_merge_include_may_be_made_by_the_step(void **state)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct error why = { .text = "" };
    struct kit k;

    (void)state;
    kit_open(&k, branch_flow);
    kit_end(&k, kit_task(&k, "l", -1), 0, VERDICT_DONE, MADE("v=1", "x=left out"));
    kit_end(&k, kit_task(&k, "r", -1), 0, VERDICT_DONE, MADE("v=1"));
    assert_int_equal(merge(&k, "end", &r, &why), -EINVAL);
    assert_non_null(strstr(why.text, "'w'"));
    r.outputs = calloc(1, sizeof(*r.outputs));
    r.outputs[r.n_outputs++] = kit_artifact("w", "mine");
    assert_int_equal(merge(&k, "end", &r, &why), 0);
    assert_int_equal(r.n_outputs, 2);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_down_a_line),
        cmocka_unit_test(test_only_the_try_that_counts_is_seen),
        cmocka_unit_test(test_passes_into_a_split_by_index),
        cmocka_unit_test(test_join_passes_nothing_by_itself),
        cmocka_unit_test(test_other_steps_are_seen_where_they_are_certain),
        cmocka_unit_test(test_inputs_come_in_split_order),
        cmocka_unit_test(test_merge_passes_what_is_equal),
        cmocka_unit_test(test_merge_names_what_differs),
        cmocka_unit_test(test_merge_include_may_be_made_by_the_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
