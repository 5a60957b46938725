/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of some nodes and their runs. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

static void a_flow_runs_over_three_nodes(void **state)
{
    struct mesh_story *s = mesh_story_new(3, 1, 1);
    char homes[8];

    (void)state;
    mesh_story_meet(s);
    mesh_story_submit(s, 'a', "split foreach=6\n"
                              "fit: split\n"
                              "join: fit join=split\n");
    assert_true(mesh_story_run_until(s, "start a split", 1000));
    assert_int_equal(mesh_story_homes(s, 1, homes), 3);
    assert_true(mesh_story_run(s, 20000));
    fputs(mesh_story_trace(s), stdout);
    assert_int_equal(mesh_story_outcome(s, 1), RUN_OK);
    assert_int_equal(mesh_story_starts(s), 8);
    assert_true(mesh_story_starts_of(s, 'b') > 0 && mesh_story_starts_of(s, 'c') > 0);
    mesh_story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_runs_over_three_nodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
