/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated cluster itself: a seed is one history, and the checkers find whatever
 * is made wrong on purpose. */
#include "simulations/cluster.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static void live(uint64_t seed, enum cluster_mutant mutant, struct cluster_result *ret)
{
    struct cluster_config config = {
        .seed = seed, .mutant = mutant, .n_nodes = 4, .faults = CLUSTER_FAULTS_ALL
    };

    assert_int_equal(cluster_run(&config, ret), 0);
}

static void test_a_seed_is_one_history(void **state)
{
    struct cluster_result a, b;

    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        live(seed, CLUSTER_MUTANT_NONE, &a);
        live(seed, CLUSTER_MUTANT_NONE, &b);
        assert_true(a.hash == b.hash && a.n_events == b.n_events);
        assert_true(a.n_events > 1000 && a.n_starts);
        cluster_result_release(&a);
        cluster_result_release(&b);
    }
}

/* Some seed violates one of these rules, and none another before it. */
static void must_see(enum cluster_mutant mutant, const char *rules)
{
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct cluster_result r;
        char rule[32];
        bool is_seen;

        live(seed, mutant, &r);
        is_seen = *r.violation;
        (void)snprintf(rule, sizeof(rule), " %.*s ", (int)strcspn(r.violation, ":"),
                       r.violation);
        if (is_seen && !strstr(rules, rule))
            fail_msg("mutant %d: %s", (int)mutant, r.violation);
        cluster_result_release(&r);
        if (is_seen)
            return;
    }
    fail_msg("mutant %d was not seen", (int)mutant);
}

static void test_what_is_wrong_is_seen(void **state)
{
    static const char *const rules[CLUSTER_MUTANTS_END] = {
        [CLUSTER_MUTANT_NO_SYNC] = " durable ",
        [CLUSTER_MUTANT_FORGET] = " durable same history records once liveness counts ",
        [CLUSTER_MUTANT_FORGET_GROUP] = " durable same once liveness bounded counts ",
        [CLUSTER_MUTANT_NO_VOTES] = " liveness bounded ",
        [CLUSTER_MUTANT_OTHER_INPUT] = " history ",
        [CLUSTER_MUTANT_SWALLOW_END] = " liveness kill ",
        [CLUSTER_MUTANT_LOOSE_CPU] = " capacity ",
        [CLUSTER_MUTANT_OTHER_RECORD] = " records same ",
        [CLUSTER_MUTANT_NEW_REQUEST] = " linear ",
        [CLUSTER_MUTANT_NO_GUARD] = " exclusive ",
    };

    (void)state;
    for (int m = 1; m < CLUSTER_MUTANTS_END; m++)
        must_see((enum cluster_mutant)m, rules[m]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_is_one_history),
        cmocka_unit_test(test_what_is_wrong_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
