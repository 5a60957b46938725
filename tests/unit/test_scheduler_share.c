/* SPDX-License-Identifier: Apache-2.0 */
/* Who is next when several want a node: users by weight, then the runs of a user. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/prng.h"
#include "scheduler/share.h"
#include "tests/unit/story.h"

enum { CONTESTANTS_MAX = 8, TAKES = 10, SEEDS = 50 };

static const char wide[] = "split foreach=4000\n"
                           "fit: split\n"
                           "join: fit join=split\n";

/* ---- who got how much ---- */

struct contestant {
    const char *user;
    uint32_t weight;          /* of the user, or with one user of the run */
    uint64_t takes_ms[TAKES]; /* by the first digit of the task; 0: as the first */
};

struct outcome {
    uint64_t starts[CONTESTANTS_MAX], ms[CONTESTANTS_MAX], n_starts, total_ms;
};

static uint64_t takes_of(const struct contestant *c, unsigned digit)
{
    return c->takes_ms[digit] ? c->takes_ms[digit] : c->takes_ms[0];
}

/* Rules go by the beginning of a name, so the first digit is the one that counts. */
static void enter(struct story *s, const struct contestant *c, unsigned run,
                  uint32_t share)
{
    for (unsigned digit = 0; digit < TAKES; digit++) {
        char prefix[24], takes[24];

        (void)snprintf(prefix, sizeof(prefix), "%u:fit/%u", run, digit);
        (void)snprintf(takes, sizeof(takes), "%u", (unsigned)takes_of(c, digit));
        story_task(s, prefix, takes);
    }
    story_submit_as(s, c->user, share, wide);
}

static void count(struct outcome *o, const char *trace, const struct contestant *all,
                  unsigned n)
{
    for (const char *line = trace; (line = strstr(line, "start ")); line++) {
        unsigned run = 0, index = 0;
        uint64_t takes;

        if (sscanf(line, "start %u:fit/%u#", &run, &index) != 2 || run < 1 || run > n)
            continue;
        while (index >= TAKES)
            index /= TAKES;
        takes = takes_of(&all[run - 1], index);
        o->n_starts++;
        o->starts[run - 1]++;
        o->ms[run - 1] += takes;
        o->total_ms += takes;
    }
}

/* Every contestant has more work than will be done; the first n_tasks starts count. */
static struct outcome contest(const struct contestant *all, unsigned n, uint32_t slots,
                              uint64_t n_tasks, bool is_by_run)
{
    struct user_limits limits[CONTESTANTS_MAX];
    struct sharing sharing = { .users = limits, .n_users = is_by_run ? 0 : n };
    struct story_config config = {
        .slots = slots, .cpu_milli = 1000 * slots, .sharing = &sharing, .is_quiet = true
    };
    struct outcome o = { .n_starts = 0 };
    struct story *s;

    for (unsigned i = 0; i < n; i++)
        limits[i] =
            (struct user_limits){ .name = all[i].user, .weight = all[i].weight };
    s = story_new(&config);
    for (unsigned i = 0; i < n; i++)
        enter(s, &all[i], i + 1, is_by_run ? all[i].weight : 0);
    while (o.n_starts < n_tasks && story_step(s))
        count(&o, story_trace(s), all, n);
    story_free(s);
    return o;
}

static void is_near(uint64_t got, uint64_t total, unsigned weight, unsigned weights)
{
    double share = (double)got / (double)total;
    double wanted = (double)weight / weights;

    if (share < 0.95 * wanted || share > 1.05 * wanted)
        fail_msg("a share of %.3f, wanted %.3f", share, wanted);
}

static void shares_are_by_weight(const struct contestant *all, unsigned n,
                                 uint64_t n_tasks, bool is_by_run)
{
    unsigned weights = 0;

    for (unsigned i = 0; i < n; i++)
        weights += all[i].weight;
    for (uint32_t slots = 1; slots <= 8; slots++) {
        struct outcome o = contest(all, n, slots, n_tasks, is_by_run);

        for (unsigned i = 0; i < n; i++)
            is_near(o.starts[i], o.n_starts, all[i].weight, weights);
    }
}

static void users_by_weight(void **state)
{
    (void)state;
    shares_are_by_weight((struct contestant[]){ { "ann", 1, { 10 } },
                                                { "ben", 2, { 10 } },
                                                { "eve", 1, { 10 } } },
                         3, 1000, false);
    shares_are_by_weight((struct contestant[]){ { "ann", 1, { 10 } },
                                                { "ben", 7, { 10 } } },
                         2, 3000, false);
}

static void runs_by_weight(void **state)
{
    (void)state;
    shares_are_by_weight((struct contestant[]){ { "me", 1, { 10 } },
                                                { "me", 2, { 10 } },
                                                { "me", 1, { 10 } } },
                         3, 1000, true);
}

/* A share is of the node's time, not of starts: long tasks do not crowd out short ones,
 * though nobody knows how long a task takes before it ends. */
static void time_counts(void **state)
{
    const struct contestant all[] = { { "ann", 1, { 1000 } }, { "ben", 1, { 10 } } };

    (void)state;
    for (uint32_t slots = 1; slots <= 4; slots *= 2) {
        struct outcome o = contest(all, 2, slots, 3000, false);

        is_near(o.ms[0], o.total_ms, 1, 2);
    }
}

/* Whatever weights, slots and lengths of tasks: shares come out, and nobody starves. */
static void by_seeds(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct contestant all[CONTESTANTS_MAX] = { 0 };
        unsigned n, weights = 0;
        uint32_t slots;
        struct prng p;
        struct outcome o;

        prng_init(&p, seed);
        n = 2 + (unsigned)prng_below(&p, 4);
        slots = 1 + (uint32_t)prng_below(&p, 8);
        for (unsigned i = 0; i < n; i++) {
            uint64_t longest = 1 + prng_below(&p, 60);

            all[i].user = names[i];
            all[i].weight = 1 + (uint32_t)prng_below(&p, 5);
            weights += all[i].weight;
            for (unsigned k = 0; k < TAKES; k++)
                all[i].takes_ms[k] = 1 + prng_below(&p, longest);
        }
        o = contest(all, n, slots, 2000, false);
        for (unsigned i = 0; i < n; i++) {
            double share = (double)o.ms[i] / (double)o.total_ms;
            double wanted = (double)all[i].weight / weights;

            if (share < 0.9 * wanted || share > 1.1 * wanted)
                fail_msg("seed %u: a share of %.3f, wanted %.3f", (unsigned)seed, share,
                         wanted);
        }
    }
}

/* Ten runs of one user are one user. */
static void many_runs_win_nothing(void **state)
{
    const struct contestant all[] = { { "ann", 1, { 10 } },
                                      { "ben", 1, { 10 } },
                                      { "ben", 1, { 10 } },
                                      { "ben", 1, { 10 } },
                                      { "ben", 1, { 10 } } };
    struct outcome o;

    (void)state;
    o = contest(all, 5, 3, 1000, false);
    is_near(o.starts[0], o.n_starts, 1, 2);
    for (unsigned i = 1; i < 5; i++)
        is_near(o.starts[i], o.n_starts, 1, 8);
}

/* ---- stories ---- */

static void told(struct story *s, const char *expected)
{
    assert_string_equal(story_trace(s), expected);
}

/* Ben comes late: half of the node is his at once, and not more for his absence. */
static void no_credit_for_the_past(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 2, .cpu_milli = 2000, .is_quiet = true });

    (void)state;
    story_submit_as(s, "ann", 0, wide);
    story_run_until(s, 1005);
    story_trace(s);
    story_submit_as(s, "ben", 0, wide);
    story_run_until(s, 1045);
    told(s, "[ 1010] start 2:split/0#0 slot 0\n"
            "[ 1010] start 1:fit/200#0 slot 1\n"
            "[ 1020] start 2:fit/0#0 slot 0\n"
            "[ 1020] start 1:fit/201#0 slot 1\n"
            "[ 1030] start 2:fit/1#0 slot 0\n"
            "[ 1030] start 1:fit/202#0 slot 1\n"
            "[ 1040] start 2:fit/2#0 slot 0\n"
            "[ 1040] start 1:fit/203#0 slot 1\n");
    story_free(s);
}

/* What ann had while she was alone is not held against her. */
static void no_debt_for_the_past(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 1, .cpu_milli = 1000, .is_quiet = true });

    (void)state;
    story_task(s, "a", "5000");
    story_submit_as(s, "ann", 0, "a\nb\nc\n");
    story_run_until(s, 4980);
    story_submit_as(s, "ben", 0, "d\ne\nf\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[ 5000] start 2:d/0#0 slot 0\n"
            "[ 5010] start 2:e/0#0 slot 0\n"
            "[ 5020] start 1:b/0#0 slot 0\n"
            "[ 5030] start 2:f/0#0 slot 0\n"
            "[ 5040] start 1:c/0#0 slot 0\n"
            "[ 5040] run 2 ok\n"
            "[ 5050] run 1 ok\n");
    story_free(s);
}

/* Ben waits for a second in vain and gives up. The contest was held up by him as if he
 * had been served half of the node; eve must not have that. */
static void who_gives_up_leaves_no_credit(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 2, .cpu_milli = 2000, .is_quiet = true });

    (void)state;
    story_submit_as(s, "ann", 0, wide);
    story_run_until(s, 15);
    story_submit_as(s, "ben", 0, "huge cpu=2000\n");
    story_run_until(s, 1005);
    story_cancel(s, 2);
    story_trace(s);
    story_submit_as(s, "eve", 0, wide);
    story_run_until(s, 1045);
    told(s, "[ 1010] start 3:split/0#0 slot 0\n"
            "[ 1010] start 1:fit/200#0 slot 1\n"
            "[ 1020] start 3:fit/0#0 slot 0\n"
            "[ 1020] start 1:fit/201#0 slot 1\n"
            "[ 1030] start 3:fit/1#0 slot 0\n"
            "[ 1030] start 1:fit/202#0 slot 1\n"
            "[ 1040] start 3:fit/2#0 slot 0\n"
            "[ 1040] start 1:fit/203#0 slot 1\n");
    story_free(s);
}

/* While her task runs ann goes on using the node: ben has the other half all along. */
static void what_runs_counts_before_it_ends(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 2, .cpu_milli = 2000, .is_quiet = true });

    (void)state;
    story_task(s, "2:a", "1000");
    story_submit_as(s, "ben", 0, wide);
    story_submit_as(s, "ann", 0, "a1\na2\n");
    story_run_until(s, 995);
    assert_null(strstr(story_trace(s), "start 2:a2"));
    story_free(s);
}

static void priority_is_within_a_user(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 1, .cpu_milli = 1000, .is_quiet = true });

    (void)state;
    story_submit_as(s, "ann", 0, "flow priority=4\na\nb\n");
    story_submit_as(s, "ben", 0, "flow priority=1\nc\nd\n");
    story_submit_as(s, "ann", 0, "flow priority=9\ne\nf\n");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[   10] start 2:c/0#0 slot 0\n"
            "[   20] start 3:e/0#0 slot 0\n"
            "[   30] start 2:d/0#0 slot 0\n"
            "[   40] start 3:f/0#0 slot 0\n"
            "[   40] run 2 ok\n"
            "[   50] start 1:b/0#0 slot 0\n"
            "[   50] run 3 ok\n"
            "[   60] run 1 ok\n");
    story_free(s);
}

/* Half of the memory is half of the node, however little cpu comes with it. */
static void the_scarcest_counts(void **state)
{
    struct story *s = story_new(&(struct story_config){
        .slots = 8, .cpu_milli = 8000, .memory_bytes = 80, .is_quiet = true });

    (void)state;
    story_submit_as(s, "ann", 0,
                    "split foreach=9\n"
                    "fit: split memory=40 cpu=1000\n"
                    "join: fit join=split\n");
    story_submit_as(s, "ben", 0,
                    "split foreach=9\n"
                    "fit: split cpu=1000\n"
                    "join: fit join=split\n");
    story_run_until(s, 15);
    told(s, "[    0] start split/0#0 slot 0\n"
            "[    0] start 2:split/0#0 slot 1\n"
            "[   10] start 1:fit/0#0 slot 0\n"
            "[   10] start 1:fit/1#0 slot 2\n"
            "[   10] start 2:fit/0#0 slot 1\n"
            "[   10] start 2:fit/1#0 slot 3\n"
            "[   10] start 2:fit/2#0 slot 4\n"
            "[   10] start 2:fit/3#0 slot 5\n"
            "[   10] start 2:fit/4#0 slot 6\n"
            "[   10] start 2:fit/5#0 slot 7\n");
    story_free(s);
}

/* ---- caps ---- */

static struct buffer why_of(struct story *s, unsigned run, uint32_t step)
{
    struct buffer why = BUFFER_INIT;

    node_why_waiting(story_node(s), story_run_id(s, run), step, &why);
    return why;
}

static void caps_hold_and_others_go_on(void **state)
{
    struct user_limits ann = { .name = "ann", .max_tasks = 1 };
    struct sharing sharing = { .users = &ann, .n_users = 1 };
    struct story *s = story_new(&(struct story_config){
        .slots = 3, .cpu_milli = 3000, .sharing = &sharing, .is_quiet = true });
    CLEANUP(buffer_release) struct buffer ann_why = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer ben_why = BUFFER_INIT;

    (void)state;
    story_submit_as(s, "ann", 0, "a\nb\n");
    story_submit_as(s, "ben", 0, "c\nd\ne\n");
    ann_why = why_of(s, 1, 1);
    ben_why = why_of(s, 2, 2);
    assert_string_equal(buffer_text(&ann_why),
                        "user cap: 1 tasks of ann run, which is its limit");
    assert_string_equal(buffer_text(&ben_why),
                        "other users' share: not enough cpu is free; 1 task of other "
                        "users runs");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start 2:c/0#0 slot 1\n"
            "[    0] start 2:d/0#0 slot 2\n"
            "[   10] start 1:b/0#0 slot 0\n"
            "[   10] start 2:e/0#0 slot 1\n"
            "[   20] run 1 ok\n"
            "[   20] run 2 ok\n");
    story_free(s);
}

static void caps_by_cpu(void **state)
{
    struct sharing sharing = { .otherwise = { .max_cpu_milli = 2500 } };
    struct story *s = story_new(&(struct story_config){
        .slots = 4, .cpu_milli = 4000, .sharing = &sharing, .is_quiet = true });
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;

    (void)state;
    story_submit_as(s, "ann", 0,
                    "a cpu=2000\n"
                    "b cpu=1000\n"
                    "c cpu=500\n");
    why = why_of(s, 1, 1);
    assert_string_equal(buffer_text(&why),
                        "user cap: ann may have 2.5 cpu at once and has 2.5");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0\n"
            "[    0] start c/0#0 slot 1\n"
            "[   10] start b/0#0 slot 0\n"
            "[   20] run ok\n");
    story_free(s);
}

static void what_a_cap_never_lets_through_fails(void **state)
{
    struct sharing sharing = { .otherwise = { .max_cpu_milli = 2500 } };
    struct story *s =
        story_new(&(struct story_config){ .cpu_milli = 4000, .sharing = &sharing });

    (void)state;
    story_submit_as(s, "ann", 0, "a cpu=3000\n");
    story_run(s);
    told(s, "[    0] a/0#0 failed, start\n"
            "[    0] run failed: step 'a': start, fits no node: it asks for 3 cpu, and "
            "ann may have 2.5\n");
    story_free(s);
}

/* ---- GPUs ---- */

static void gpus_are_told_apart(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 8, .gpu_milli = 3000, .is_quiet = true });
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;

    (void)state;
    story_task(s, "a", "5");
    story_submit(s, "a gpu=1000\n"
                    "b gpu=500\n"
                    "c gpu=500\n"
                    "d gpu=500\n"
                    "e gpu=1000\n"
                    "f gpu=1500\n"
                    "g\n");
    why = why_of(s, 1, 4);
    assert_string_equal(buffer_text(&why), "resources: not enough gpu is free");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0 gpus 1\n"
            "[    0] start b/0#0 slot 1 gpus 2\n"
            "[    0] start c/0#0 slot 2 gpus 2\n"
            "[    0] start d/0#0 slot 3 gpus 4\n"
            "[    0] start g/0#0 slot 4\n"
            "[    5] start e/0#0 slot 0 gpus 1\n"
            "[   10] start f/0#0 slot 1 gpus 6\n"
            "[   20] run ok\n");
    story_free(s);
}

/* Parts of three are free, more than one together, and no whole one. */
static void parts_are_no_whole(void **state)
{
    struct story *s = story_new(
        &(struct story_config){ .slots = 8, .gpu_milli = 3000, .is_quiet = true });
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;

    (void)state;
    story_task(s, "b", "4");
    story_submit(s, "a gpu=600\n"
                    "b gpu=600\n"
                    "c gpu=600\n"
                    "d gpu=1000\n"
                    "e gpu=100\n");
    why = why_of(s, 1, 3);
    assert_string_equal(buffer_text(&why), "resources: no gpu has so much free");
    story_run(s);
    told(s, "[    0] start a/0#0 slot 0 gpus 1\n"
            "[    0] start b/0#0 slot 1 gpus 2\n"
            "[    0] start c/0#0 slot 2 gpus 4\n"
            "[    0] start e/0#0 slot 3 gpus 1\n"
            "[    4] start d/0#0 slot 1 gpus 2\n"
            "[   14] run ok\n");
    story_free(s);
}

/* Of thousands of nodes, for days in which nobody else asked for anything. */
static void much_is_never_nothing(void **state)
{
    struct contest c = { .virtual = 0 };
    struct share large, small;
    uint64_t cost = UINT64_C(1) << 27;
    time_us days = UINT64_C(1) << 36;

    (void)state;
    share_init(&large, &c, 1, 0);
    share_init(&small, &c, 1, 1);
    share_wait(&large, 0);
    share_wait(&small, 0);
    share_take(&large, cost, 1, 0);
    share_renew(&large, days);
    share_renew(&small, days);
    assert_true(share_is_before(&small, &large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_is_never_nothing),
        cmocka_unit_test(users_by_weight),
        cmocka_unit_test(runs_by_weight),
        cmocka_unit_test(time_counts),
        cmocka_unit_test(by_seeds),
        cmocka_unit_test(many_runs_win_nothing),
        cmocka_unit_test(no_credit_for_the_past),
        cmocka_unit_test(no_debt_for_the_past),
        cmocka_unit_test(who_gives_up_leaves_no_credit),
        cmocka_unit_test(what_runs_counts_before_it_ends),
        cmocka_unit_test(priority_is_within_a_user),
        cmocka_unit_test(the_scarcest_counts),
        cmocka_unit_test(caps_hold_and_others_go_on),
        cmocka_unit_test(caps_by_cpu),
        cmocka_unit_test(what_a_cap_never_lets_through_fails),
        cmocka_unit_test(gpus_are_told_apart),
        cmocka_unit_test(parts_are_no_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
