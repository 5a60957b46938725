/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator itself: its disk loses what it should, a seed is one history, and the
 * checkers find whatever is made wrong on purpose. */
#include "simulations/world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "flow/read.h"
#include "simulations/disk.h"
#include "simulations/flows.h"
#include "simulations/oracle.h"
#include "tests/unit/unit.h"

/* ---- the disk ---- */

static int put(struct disk *d, const char *key, const char *value)
{
    struct store_write w = { .table = STORE_RECORDS,
                             .key = { key, strlen(key) },
                             .value = { value, strlen(value) } };

    return disk_write(d, &w, 1);
}

static bool has(struct disk *d, const char *key, const char *value)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct store *s = disk_store(d);

    return s->ops->get(s, STORE_RECORDS, (struct span){ key, strlen(key) }, &b) == 0
           && strcmp(buffer_text(&b), value) == 0;
}

static void test_a_crash_loses_a_suffix_of_what_was_not_synced(void **state)
{
    unsigned survivors[4] = { 0 };

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk_config config = { .seed = seed };
        CLEANUP(disk_freep) struct disk *d = disk_new(&config);
        unsigned n;

        assert_int_equal(put(d, "a", "synced"), 0);
        assert_int_equal(disk_sync(d), 0);
        assert_int_equal(put(d, "b", "1"), 0);
        assert_int_equal(put(d, "c", "2"), 0);
        assert_int_equal(put(d, "a", "3"), 0);
        assert_true(has(d, "a", "3"));
        assert_int_equal(disk_crash(d), 0);

        n = 0U + has(d, "b", "1") + has(d, "c", "2") + has(d, "a", "3");
        assert_true(has(d, "a", n == 3 ? "3" : "synced"));
        assert_true(n == 0 || has(d, "b", "1"));
        assert_true(n < 2 || has(d, "c", "2"));
        survivors[n]++;
    }
    for (unsigned n = 0; n < 4; n++)
        assert_true(survivors[n] > 0);
}

static void test_a_torn_record_is_marked_and_differs(void **state)
{
    unsigned n_torn = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk_config config = { .seed = seed, .may_tear = true };
        CLEANUP(disk_freep) struct disk *d = disk_new(&config);
        bool is_torn;

        assert_int_equal(put(d, "a", "value"), 0);
        assert_int_equal(disk_crash(d), 0);
        is_torn = disk_is_torn(d, (struct span){ "a", 1 });
        assert_false(is_torn && has(d, "a", "value"));
        n_torn += is_torn;
    }
    assert_in_range(n_torn, 10, 50);
}

static void test_a_full_disk_takes_nothing_and_a_failed_sync_is_final(void **state)
{
    struct disk_config config = { .seed = 1 };
    CLEANUP(disk_freep) struct disk *d = disk_new(&config);

    (void)state;
    disk_set_full(d, true);
    assert_int_equal(put(d, "a", "1"), -ENOSPC);
    assert_false(has(d, "a", "1"));
    disk_set_full(d, false);
    assert_int_equal(put(d, "a", "1"), 0);
    disk_fail_sync(d);
    assert_int_equal(disk_sync(d), -EIO);
    assert_int_equal(put(d, "b", "1"), -EIO);
    assert_int_equal(disk_sync(d), -EIO);
    assert_int_equal(disk_crash(d), 0);
    assert_int_equal(put(d, "b", "1"), 0);
}

static int join_keys(void *arg, struct span key, struct span value)
{
    (void)value;
    return buffer_append(arg, key.data, key.len);
}

static void test_a_scan_is_in_order_and_within_its_prefix(void **state)
{
    struct disk_config config = { .seed = 1 };
    CLEANUP(disk_freep) struct disk *d = disk_new(&config);
    CLEANUP(buffer_release) struct buffer keys = BUFFER_INIT;
    struct store *s = disk_store(d);

    (void)state;
    for (const char *const *k =
             (const char *const[]){ "b2", "a", "b", "c", "b1", NULL };
         *k; k++)
        assert_int_equal(put(d, *k, "v"), 0);
    s->ops->scan(s, STORE_RECORDS, (struct span){ "b", 1 }, (struct span){ NULL, 0 },
                 join_keys, &keys);
    assert_string_equal(buffer_text(&keys), "bb1b2");
    buffer_clear(&keys);
    s->ops->scan(s, STORE_RECORDS, (struct span){ "b", 1 }, (struct span){ "b1", 2 },
                 join_keys, &keys);
    assert_string_equal(buffer_text(&keys), "b1b2");
}

/* ---- flows and the oracle ---- */

static void test_every_flow_that_is_drawn_can_be_read(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
        CLEANUP(flow_unrefp) struct flow *f = NULL;
        struct diagnostics d = { .n = 0 };
        struct prng p;

        prng_init(&p, seed);
        assert_int_equal(flows_write(&p, &text), 0);
        if (flow_read(text.data, text.len, &f, &d) < 0)
            fail_msg("seed %u: %s\n%s", (unsigned)seed, d.all[0].message, text.data);
        diagnostics_release(&d);
    }
}

static void end_task(struct ledger_run *r, const char *step, uint64_t index,
                     enum reason reason, const char *choice)
{
    uint32_t n = flow_find_step(r->flow, step);
    struct attempt_record record = {
        .task = { .step = n, .depth = r->flow->scopes[r->flow->steps[n].scope].depth },
        .verdict = reason == REASON_OK     ? VERDICT_DONE
                   : reason == REASON_LOST ? VERDICT_LOST
                                           : VERDICT_FAILED,
        .reason = reason,
        .exit_code = reason == REASON_EXIT,
        .choice = (char *)choice,
    };
    struct ledger_task *t;

    record.task.path[0] = index;
    t = ledger_task(r, &record.task);
    record.attempt = (uint32_t)t->n_attempts;
    assert_non_null(ledger_add(r, &record));
}

static const char *state_of(const struct ledger_run *r, const char *step,
                            uint64_t index)
{
    uint32_t iteration;

    return oracle_state_name(
        oracle_state(r, flow_find_step(r->flow, step), &index, &iteration));
}

static struct ledger_run run_of(const char *text)
{
    struct ledger_run r = { .flow = NULL };
    struct diagnostics d = { .n = 0 };

    if (flow_read(text, strlen(text), &r.flow, &d) < 0)
        fail_msg("%s", d.all[0].message);
    diagnostics_release(&d);
    return r;
}

static void test_the_oracle_joins_a_foreach_when_all_are_done(void **state)
{
    CLEANUP(ledger_run_release)
    struct ledger_run r = run_of("mesh: 1\nflow: F\nsteps:\n"
                                 "  a: {run: [x], foreach: {range: 2}, next: b}\n"
                                 "  b: {run: [x], next: c, retry: 1}\n"
                                 "  c: {run: [x], join: a}\n");

    (void)state;
    assert_string_equal(state_of(&r, "a", 0), "ready");
    assert_string_equal(state_of(&r, "b", 0), "waiting");
    end_task(&r, "a", 0, REASON_OK, NULL);
    assert_string_equal(state_of(&r, "b", 1), "ready");
    end_task(&r, "b", 1, REASON_OK, NULL);
    assert_string_equal(state_of(&r, "c", 0), "waiting");
    end_task(&r, "b", 0, REASON_EXIT, NULL);
    assert_string_equal(state_of(&r, "b", 0), "ready");
    end_task(&r, "b", 0, REASON_LOST, NULL);
    assert_string_equal(state_of(&r, "b", 0), "ready");
    end_task(&r, "b", 0, REASON_EXIT, NULL);
    assert_string_equal(state_of(&r, "b", 0), "failed");
    assert_string_equal(state_of(&r, "c", 0), "waiting");
}

static void test_the_oracle_skips_what_was_not_chosen(void **state)
{
    CLEANUP(ledger_run_release)
    struct ledger_run r =
        run_of("mesh: 1\nflow: F\nsteps:\n"
               "  a: {run: [x], switch: {by: v, cases: {l: b, r: c}}}\n"
               "  b: {run: [x], next: d}\n"
               "  c: {run: [x], foreach: {range: 2}, next: e}\n"
               "  e: {run: [x], next: j}\n"
               "  j: {run: [x], join: c, next: d}\n"
               "  d: {run: [x]}\n");

    (void)state;
    end_task(&r, "a", 0, REASON_OK, "l");
    assert_string_equal(state_of(&r, "b", 0), "ready");
    assert_string_equal(state_of(&r, "c", 0), "skipped");
    assert_string_equal(state_of(&r, "j", 0), "skipped");
    assert_string_equal(state_of(&r, "d", 0), "waiting");
    end_task(&r, "b", 0, REASON_OK, NULL);
    assert_string_equal(state_of(&r, "d", 0), "ready");
}

/* ---- the world ---- */

static uint64_t hash_of(uint64_t seed, char ret_violation[ERROR_TEXT_MAX])
{
    struct world_config config = { .seed = seed, .faults = FAULTS_ALL };
    CLEANUP(world_result_release) struct world_result r;

    assert_int_equal(world_run(&config, &r), 0);
    memcpy(ret_violation, r.violation, ERROR_TEXT_MAX);
    return r.hash;
}

static void test_a_seed_is_one_history(void **state)
{
    char violation[ERROR_TEXT_MAX];
    uint64_t last = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        uint64_t hash = hash_of(seed, violation);

        assert_string_equal(violation, "");
        assert_true(hash == hash_of(seed, violation));
        assert_true(hash != last);
        last = hash;
    }
}

static void test_fault_names_are_read_and_written(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    unsigned faults;

    (void)state;
    assert_int_equal(faults_parse("torn,crash", &faults), 0);
    assert_int_equal(faults, FAULT_CRASH | FAULT_TORN);
    assert_int_equal(faults_text(faults, &text), 0);
    assert_string_equal(buffer_text(&text), "crash,torn");
    assert_int_equal(faults_parse("torn,", &faults), -EINVAL);
    assert_int_equal(faults_parse("", &faults), -EINVAL);
    assert_int_equal(faults_parse("all", &faults), 0);
    assert_int_equal(faults, FAULTS_ALL);
}

/* Which rule finds each mutant, at the latest after so many seeds. */
static const struct {
    enum mutant mutant;
    const char *rule;
} mutants[] = {
    { MUTANT_TELL_EARLY, "durable: " },
    { MUTANT_DROP_RECORD, "durable: " },
    { MUTANT_DISK_FORGETS, "lost: " },
    { MUTANT_DISK_FLIPS, "lost: " },
    { MUTANT_SKIP_ATTEMPT, "lost: " },
    { MUTANT_SWALLOW_END, "liveness: " },
    { MUTANT_NO_TICKS, "timeout: " },
    { MUTANT_LOOSE_CAPACITY, "resources: " },
    { MUTANT_LOOSE_SLOTS, "slots: " },
    { MUTANT_LOOSE_CONCURRENCY, "concurrency: " },
    { MUTANT_LOOSE_WORKERS, "max-workers: " },
    { MUTANT_LOOSE_RETRY, "retry: " },
    { MUTANT_LOOSE_DELAY, "retry-delay: " },
    { MUTANT_LOOSE_TIMEOUT, "timeout: " },
    { MUTANT_LOOSE_FAILURE, "on-failure: " },
    { MUTANT_OTHER_EDGES, "upstream: " },
    { MUTANT_OTHER_WIDTH, "upstream: " },
    { MUTANT_OTHER_HOOK, "hook: " },
    { MUTANT_LOOSE_RUN_TIMEOUT, "run-timeout: " },
    { MUTANT_SHORT_GRACE, "grace: " },
    { MUTANT_IGNORE_CANCEL, "cancel: " },
    { MUTANT_FORGET_END, "end-once: " },
    { MUTANT_WRONG_REASON, "verdict: " },
    { MUTANT_KEEP_TORN, "torn: " },
    { MUTANT_IGNORE_SUSPEND, "suspended: " },
    { MUTANT_IGNORE_UNSUSPEND, "liveness: " },
    { MUTANT_WAKE_SUSPENDED, "suspended: " },
    { MUTANT_INVENT_LOSS, "written: " },
    { MUTANT_LOOSE_CAPS, "user-cap: " },
    { MUTANT_SAME_GPU, "gpus: " },
};

enum { MUTANT_SEEDS = 300 };

static bool is_found(enum mutant mutant, const char *rule)
{
    struct world_config config = { .faults = FAULTS_ALL, .mutant = mutant };

    for (config.seed = 0; config.seed < MUTANT_SEEDS; config.seed++) {
        CLEANUP(world_result_release) struct world_result r;

        assert_int_equal(world_run(&config, &r), 0);
        if (strncmp(r.violation, rule, strlen(rule)) == 0)
            return true;
    }
    return false;
}

static void test_every_mutant_is_found_by_its_rule(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_SIZE(mutants), MUTANTS_END - 1);
    for (size_t i = 0; i < ARRAY_SIZE(mutants); i++)
        if (!is_found(mutants[i].mutant, mutants[i].rule))
            fail_msg("%s is not found by '%s'", mutant_name(mutants[i].mutant),
                     mutants[i].rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_loses_a_suffix_of_what_was_not_synced),
        cmocka_unit_test(test_a_torn_record_is_marked_and_differs),
        cmocka_unit_test(test_a_full_disk_takes_nothing_and_a_failed_sync_is_final),
        cmocka_unit_test(test_a_scan_is_in_order_and_within_its_prefix),
        cmocka_unit_test(test_every_flow_that_is_drawn_can_be_read),
        cmocka_unit_test(test_the_oracle_joins_a_foreach_when_all_are_done),
        cmocka_unit_test(test_the_oracle_skips_what_was_not_chosen),
        cmocka_unit_test(test_a_seed_is_one_history),
        cmocka_unit_test(test_fault_names_are_read_and_written),
        cmocka_unit_test(test_every_mutant_is_found_by_its_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
