/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "base/buffer.h"
#include "flow/read.h"
#include "node/api/cause.h"

static struct flow *read_flow(const char *text)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };
    struct flow *flow = NULL;

    if (flow_read(text, strlen(text), &flow, &d) < 0)
        fail_msg("%s", d.n ? d.all[0].message : "?");
    return flow;
}

#define HEAD "mesh: 1\nflow: A\nsteps:\n"
#define STEP(name, rest) "  " name ":\n    run: 'true'\n" rest
#define LINE \
    HEAD STEP("start", "    next: mid\n") STEP("mid", "    next: end\n") STEP("end", "")

static void expect_cause(struct cause_facts f, const char *step, enum cause cause,
                         const char *sentence)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    f.step = flow_find_step(f.flow, step);
    f.number = 7;
    assert_string_equal(cause_name(cause_of(&f)), cause_name(cause));
    cause_say(&f, &out);
    assert_string_equal(buffer_text(&out), sentence);
}

static void each_cause_has_its_facts(void **state)
{
    struct flow *before = read_flow(LINE), *now = read_flow(LINE);
    struct cause_facts f = { .flow = now, .remade = FLOW_NONE };

    (void)state;
    expect_cause(f, "mid", CAUSE_NEW_RUN,
                 "its run is a new one, which takes nothing over");
    f.before = before;
    expect_cause(f, "mid", CAUSE_NOT_DONE, "run 7 ended before it was started");
    f.failed = REASON_OOM;
    expect_cause(f, "mid", CAUSE_FAILED, "it did not end well in run 7: oom");
    f.was_done = true;
    f.failed = 0;
    expect_cause(f, "mid", CAUSE_ASKED, "run 7 was resumed from 'mid' on");
    f.remade = 0;
    expect_cause(f, "mid", CAUSE_UPSTREAM, "'start', which it builds on, ran again");
    f.is_adopted = true;
    expect_cause(f, "mid", CAUSE_ADOPTED,
                 "it was done in run 7 and its results are used again");
    f.is_cached = true;
    expect_cause(
        f, "mid", CAUSE_CACHED,
        "an equal task was done, with the same command, parameters, inputs and "
        "files: its results are used again");
    f.equal = 5;
    f.before = NULL;
    expect_cause(f, "mid", CAUSE_CACHED,
                 "an equal task of run 5 was done, with the same command, parameters, "
                 "inputs and files: its results are used again");
    flow_unref(before);
    flow_unref(now);
}

static void expect_place(const char *before, const char *now, const char *step,
                         enum cause cause, const char *sentence)
{
    struct flow *f = read_flow(before), *g = read_flow(now);

    expect_cause((struct cause_facts){ .flow = g,
                                       .before = f,
                                       .was_done = true,
                                       .remade = FLOW_NONE },
                 step, cause, sentence);
    flow_unref(f);
    flow_unref(g);
}

static void a_step_that_moved_says_how(void **state)
{
    (void)state;
    expect_place(LINE,
                 HEAD STEP("start", "    next: new\n") STEP("new", "    next: mid\n")
                     STEP("mid", "    next: end\n") STEP("end", ""),
                 "new", CAUSE_NEW_STEP, "run 7 had no step 'new'");
    expect_place(LINE,
                 HEAD STEP("start", "    next: new\n") STEP("new", "    next: mid\n")
                     STEP("mid", "    next: end\n") STEP("end", ""),
                 "mid", CAUSE_MOVED,
                 "'mid' stands elsewhere in the flow than in run 7: it waits for 'new' "
                 "now");
    expect_place(LINE,
                 HEAD STEP("start", "    next: mid\n    foreach: {range: 2}\n")
                     STEP("mid", "    next: end\n") STEP("end", "    join: start\n"),
                 "mid", CAUSE_MOVED,
                 "'mid' stands elsewhere in the flow than in run 7: another foreach is "
                 "around it");
    expect_place(
        LINE,
        HEAD STEP("start", "    next: mid\n    foreach: {range: 2}\n")
            STEP("mid", "    next: end\n") STEP("end", "    join: start\n"),
        "start", CAUSE_MOVED,
        "'start' stands elsewhere in the flow than in run 7: its foreach is of "
        "another kind");
    expect_place(
        HEAD STEP("start", "    next: [a, mid]\n") STEP("a", "    next: end\n")
            STEP("mid", "    next: end\n") STEP("end", ""),
        LINE, "end", CAUSE_MOVED,
        "'end' stands elsewhere in the flow than in run 7: it waits for 'a' no "
        "longer");
    expect_place(LINE, LINE, "end", CAUSE_ASKED, "run 7 was resumed from 'end' on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cause_has_its_facts),
        cmocka_unit_test(a_step_that_moved_says_how),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
