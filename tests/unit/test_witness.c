/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include <errno.h>

#include "node/witness.h"

static const char split_flow[] =
    "mesh: 1\n"
    "flow: Split\n"
    "steps:\n"
    "  start: {run: 'true', next: first}\n"
    "  first: {run: 'true', foreach: {range: 3}, next: x}\n"
    "  x: {run: 'true', next: x2}\n"
    "  x2: {run: 'true', next: join}\n"
    "  join: {run: 'true', join: first, merge: {}, next: second}\n"
    "  second: {run: 'true', foreach: {range: 3}, next: y}\n"
    "  y: {run: 'true', next: last}\n"
    "  last: {run: 'true', join: second, next: end}\n"
    "  end: {run: 'true'}\n";
static const char loop_flow[] =
    "mesh: 1\n"
    "flow: Loop\n"
    "steps:\n"
    "  start: {run: 'true', next: again}\n"
    "  again: {run: 'true', switch: {by: more, cases: {y: again, n: end}}}\n"
    "  end: {run: 'true'}\n";

/* ---- which records ---- */

/* "x[1] x2[*]": of one task, or all of a step in a split; '~' with all iterations. */
static char *name_needs(struct kit *k, struct task_id task)
{
    CLEANUP(needs_release) struct needs needs = { .all = NULL };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    assert_int_equal(needs_of(k->flow, &k->run, &task, &needs), 0);
    for (size_t i = 0; i < needs.n; i++) {
        const struct need *n = &needs.all[i];
        const uint8_t *at = n->prefix.bytes + 1 + RUN_ID_SIZE;
        size_t left = n->prefix.len - 1 - RUN_ID_SIZE - 1; /* without the step */

        buffer_printf(&text, "%s%s%s", i ? " " : "", n->is_before ? "!" : "",
                      k->flow->steps[n->step].name);
        if (at[1] == 0 && left == 1) /* at the root */
            buffer_puts(&text, "~");
        else if (at[1] == 0 && at[2])
            buffer_printf(&text, "~%u", at[2]);
        else if (at[1] && left == 1)
            buffer_puts(&text, "[*]");
        else if (at[1])
            buffer_printf(&text, "[%u]", at[2]);
    }
    return buffer_take(&text);
}

static void assert_needs(struct kit *k, struct task_id task, const char *expected)
{
    CLEANUP(freep) char *text = name_needs(k, task);

    assert_string_equal(text ? text : "", expected);
}

static void test_needs_are_what_can_be_seen(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    assert_needs(&k, kit_task(&k, "start", -1), "");
    assert_needs(&k, kit_task(&k, "first", -1), "!start");
    assert_needs(&k, kit_task(&k, "x2", 1), "start first !x[1]");
    /* All of the split that it joins; of a split that was joined before nothing. */
    assert_needs(&k, kit_task(&k, "join", -1), "start first x[*] !x2[*]");
    assert_needs(&k, kit_task(&k, "y", 2), "start first join !second");
    assert_needs(&k, kit_task(&k, "last", -1), "start first join second !y[*]");
    kit_close(&k);
}

static void test_needs_of_a_loop(void **state)
{
    struct task_id third;
    struct kit k;

    (void)state;
    kit_open(&k, loop_flow);
    third = kit_task(&k, "again", -1);
    assert_needs(&k, third, "!start");
    third.iteration = 2;
    assert_needs(&k, third, "!start !again !again~1");
    assert_needs(&k, kit_task(&k, "end", -1), "start !again~");
    kit_close(&k);
}

/* ---- the digest ---- */

struct scan {
    witness_each_fn *each;
    void *arg;
};

static int each_record(void *arg, struct span key, struct span value)
{
    const struct scan *s = arg;

    return s->each(s->arg, key.data, key.len, value.data, value.len);
}

static int scan_store(void *arg, const struct record_key *prefix, witness_each_fn *each,
                      void *each_arg)
{
    const struct kit *k = arg;
    struct scan s = { each, each_arg };

    return writer_scan(k->writer, STORE_RECORDS,
                       (struct span){ prefix->bytes, prefix->len },
                       (struct span){ NULL, 0 }, each_record, &s);
}

static struct digest witness(struct kit *k, struct task_id task)
{
    struct witness_reader reader = { scan_store, k };
    struct digest d = { .bytes = { 0 } };

    assert_int_equal(witness_of(k->flow, &k->run, &task, &reader, &d), 0);
    return d;
}

static void assert_same(struct digest a, struct digest b)
{
    assert_true(digest_equal(&a, &b));
}

static void assert_other(struct digest a, struct digest b)
{
    assert_false(digest_equal(&a, &b));
}

static void test_tells_outputs_apart(void **state)
{
    struct digest before;
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "start", -1), 0, VERDICT_DONE, MADE("v=1"));
    before = witness(&k, kit_task(&k, "first", -1));
    /* The same bytes made again are the same. */
    kit_end(&k, kit_task(&k, "start", -1), 1, VERDICT_DONE, MADE("v=1"));
    assert_same(before, witness(&k, kit_task(&k, "first", -1)));
    /* What failed does not count, whatever it made. */
    kit_end(&k, kit_task(&k, "start", -1), 2, VERDICT_FAILED, MADE("v=2"));
    assert_same(before, witness(&k, kit_task(&k, "first", -1)));
    kit_end(&k, kit_task(&k, "start", -1), 3, VERDICT_DONE, MADE("v=2"));
    assert_other(before, witness(&k, kit_task(&k, "first", -1)));
    kit_end(&k, kit_task(&k, "start", -1), 4, VERDICT_DONE, MADE("w=1"));
    assert_other(before, witness(&k, kit_task(&k, "first", -1)));
    kit_close(&k);
}

static void test_sees_through_to_those_behind(void **state)
{
    struct digest before;
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    kit_end(&k, kit_task(&k, "start", -1), 0, VERDICT_DONE, MADE("v=1"));
    kit_end(&k, kit_task(&k, "first", -1), 0, VERDICT_DONE, NULL);
    kit_end(&k, kit_task(&k, "x", 1), 0, VERDICT_DONE, MADE("i=1"));
    before = witness(&k, kit_task(&k, "x2", 1));
    kit_end(&k, kit_task(&k, "x", 0), 0, VERDICT_DONE, MADE("i=0"));
    assert_same(before, witness(&k, kit_task(&k, "x2", 1)));
    kit_end(&k, kit_task(&k, "start", -1), 1, VERDICT_DONE, MADE("v=2"));
    assert_other(before, witness(&k, kit_task(&k, "x2", 1)));
    kit_close(&k);
}

static void test_a_join_consumes_all_of_its_split(void **state)
{
    struct digest before;
    struct kit k;

    (void)state;
    kit_open(&k, split_flow);
    for (int i = 0; i < 3; i++) {
        kit_end(&k, kit_task(&k, "x", i), 0, VERDICT_DONE, MADE("i=x"));
        kit_end(&k, kit_task(&k, "x2", i), 0, VERDICT_DONE, MADE("j=x"));
    }
    before = witness(&k, kit_task(&k, "join", -1));
    kit_end(&k, kit_task(&k, "x", 1), 1, VERDICT_DONE, MADE("i=y"));
    assert_other(before, witness(&k, kit_task(&k, "join", -1)));
    kit_end(&k, kit_task(&k, "x", 1), 2, VERDICT_DONE, MADE("i=x"));
    assert_same(before, witness(&k, kit_task(&k, "join", -1)));
    kit_end(&k, kit_task(&k, "x", 3), 0, VERDICT_DONE, MADE("i=x"));
    assert_other(before, witness(&k, kit_task(&k, "join", -1)));
    kit_close(&k);
}

static void test_only_the_last_iteration_counts(void **state)
{
    struct digest before;
    struct task_id t;
    struct kit k;

    (void)state;
    kit_open(&k, loop_flow);
    t = kit_task(&k, "again", -1);
    kit_end(&k, t, 0, VERDICT_DONE, MADE("v=1"));
    t.iteration = 1;
    kit_end(&k, t, 0, VERDICT_DONE, MADE("v=2"));
    before = witness(&k, kit_task(&k, "end", -1));
    t.iteration = 0;
    kit_end(&k, t, 1, VERDICT_DONE, MADE("v=3"));
    assert_same(before, witness(&k, kit_task(&k, "end", -1)));
    t.iteration = 1;
    kit_end(&k, t, 1, VERDICT_DONE, MADE("v=3"));
    assert_other(before, witness(&k, kit_task(&k, "end", -1)));
    kit_close(&k);
}

static void test_nothing_before_it_is_done(void **state)
{
    struct kit k;
    struct witness_reader reader = { scan_store, &k };
    struct task_id task;
    struct digest d;

    (void)state;
    kit_open(&k, split_flow);
    task = kit_task(&k, "first", -1);
    assert_int_equal(witness_of(k.flow, &k.run, &task, &reader, &d), -ENOENT);
    kit_end(&k, kit_task(&k, "start", -1), 0, VERDICT_LOST, NULL);
    assert_int_equal(witness_of(k.flow, &k.run, &task, &reader, &d), -ENOENT);
    task = kit_task(&k, "start", -1);
    assert_int_equal(witness_of(k.flow, &k.run, &task, &reader, &d), 0);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs_are_what_can_be_seen),
        cmocka_unit_test(test_needs_of_a_loop),
        cmocka_unit_test(test_tells_outputs_apart),
        cmocka_unit_test(test_sees_through_to_those_behind),
        cmocka_unit_test(test_a_join_consumes_all_of_its_split),
        cmocka_unit_test(test_only_the_last_iteration_counts),
        cmocka_unit_test(test_nothing_before_it_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
