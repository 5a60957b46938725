/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated cluster itself: a seed is one history, and the checkers find whatever
 * is made wrong on purpose. */
#include "simulations/cluster.h"

#include <stdio.h>
#include <string.h>

#include "simulations/shrink.h"
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
        [CLUSTER_MUTANT_NO_VOTES] = " liveness bounded answer ",
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

static unsigned count(const bool *left_out, unsigned n)
{
    unsigned n_left = 0;

    for (unsigned i = 0; i < n; i++)
        n_left += !left_out[i];
    return n_left;
}

static uint64_t first_that_fails(struct cluster_config *config, const char *rule)
{
    struct cluster_result r;
    bool is_it;

    for (config->seed = 0; config->seed < 60; config->seed++) {
        assert_int_equal(cluster_run(config, &r), 0);
        is_it = strncmp(r.violation, rule, strlen(rule)) == 0 && r.n_strikes > 2
                && r.n_users > 1;
        cluster_result_release(&r);
        if (is_it)
            return config->seed;
    }
    fail_msg("no seed fails with %s", rule);
    return 0;
}

/* A node that believes in too many processors needs no storm, no third node and no
 * second user to be seen. */
static void test_what_fails_becomes_a_small_story(void **state)
{
    struct cluster_config config = { .mutant = CLUSTER_MUTANT_LOOSE_CPU,
                                     .n_nodes = 3,
                                     .faults = CLUSTER_FAULTS_ALL };
    struct cluster_result r;
    uint64_t lives, seed = first_that_fails(&config, "capacity:");

    (void)state;
    assert_int_equal(shrink(&config, "capacity", &lives), 0);
    assert_true(config.seed == seed && lives > 1);
    assert_int_equal(config.n_nodes, 2);
    assert_int_equal(config.faults, 0);
    assert_int_equal(count(config.has_no_user, CLUSTER_USERS_MAX), 1);
    assert_int_equal(count(config.has_no_strike, CLUSTER_STRIKES_MAX), 0);
    assert_true(config.has_no_clients);
    assert_int_equal(cluster_run(&config, &r), 0);
    assert_memory_equal(r.violation, "capacity:", 9);
    cluster_result_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_is_one_history),
        cmocka_unit_test(test_what_is_wrong_is_seen),
        cmocka_unit_test(test_what_fails_becomes_a_small_story),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
