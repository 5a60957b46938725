/* SPDX-License-Identifier: Apache-2.0 */
/* What policy: of mesh.conf forbids, and what is wrong with one. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "flow/read.h"
#include "node/conf.h"

static struct conf *read_conf(const char *text)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct conf *c = conf_new();

    assert_non_null(c);
    assert_int_equal(conf_read(c, text, strlen(text), &d), 0);
    return c;
}

static void list(const struct diagnostics *d, struct buffer *out)
{
    for (size_t i = 0; i < d->n; i++)
        buffer_printf(out, "%u %s; %s\n", d->all[i].line, d->all[i].message,
                      d->all[i].hint ? d->all[i].hint : "");
}

/* A flow is held against a policy: what is forbidden, a line each. */
struct asked {
    const char *policy, *flow, *user;
    bool is_remote;
};

static void gives(const struct asked *a, enum refusal first, const char *expected)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(diagnostics_release) struct diagnostics of_flow = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(conf_unrefp) struct conf *c = read_conf(a->policy);
    struct policy_question q = { .user = a->user, .is_remote = a->is_remote };
    struct flow *flow = NULL;

    flow_read(a->flow, strlen(a->flow), &flow, &of_flow);
    list(&of_flow, &out);
    assert_string_equal(buffer_text(&out), "");
    assert_non_null(flow);
    q.flow = flow;
    assert_int_equal(policy_check(&c->policy, "mesh.conf", &q, &d), first);
    assert_int_equal(policy_check(&c->policy, NULL, &q, NULL), first);
    list(&d, &out);
    assert_string_equal(buffer_text(&out), expected);
    flow_unref(flow);
}

#define STEP(keys) "mesh: 1\nflow: F\nsteps:\n  start: {run: 'true', " keys "}\n"
#define PLAIN "mesh: 1\nflow: F\nsteps:\n  start: {run: 'true'}\n"

static void no_policy_forbids_nothing(void **state UNUSED)
{
    gives(&(struct asked){ "slots: 1\n",
                           STEP("environment: {LD_PRELOAD: x}, resources: {cpu: 900},"
                                " outputs: {x: /etc/passwd}"),
                           "zoe", true },
          REFUSAL_NONE, "");
    gives(&(struct asked){ "policy: {}\n", PLAIN, NULL, true }, REFUSAL_NONE, "");
}

static void users_are_those_named(void **state UNUSED)
{
    const char *policy = "slots: 1\npolicy:\n  users: [ann, ben]\n";

    gives(&(struct asked){ policy, PLAIN, "ben", false }, REFUSAL_NONE, "");
    gives(&(struct asked){ policy, PLAIN, "be", false }, REFUSAL_USERS,
          "0 runs of 'be' are not taken here; policy.users in mesh.conf:3 allows ann, "
          "ben\n");
    gives(&(struct asked){ policy, PLAIN, NULL, false }, REFUSAL_USERS,
          "0 runs of '' are not taken here; policy.users in mesh.conf:3 allows ann, "
          "ben\n");
    gives(&(struct asked){ "policy: {users: []}\n", PLAIN, "ann", false },
          REFUSAL_USERS,
          "0 runs of 'ann' are not taken here; policy.users in mesh.conf:1 allows "
          "none\n");
}

static void what_comes_by_a_token(void **state UNUSED)
{
    gives(&(struct asked){ "policy: {remote: no}\n", PLAIN, "ann", false },
          REFUSAL_NONE, "");
    gives(&(struct asked){ "policy: {remote: yes}\n", PLAIN, "ann", true },
          REFUSAL_NONE, "");
    gives(&(struct asked){ "policy: {remote: no}\n", PLAIN, "ann", true },
          REFUSAL_REMOTE,
          "0 runs that come by a token are not taken here; policy.remote in "
          "mesh.conf:1 says no\n");
}

static void variables_by_name_and_front(void **state UNUSED)
{
    const char *policy = "policy:\n  environment: ['OMP_*', TZ]\n";

    gives(&(struct asked){ policy, STEP("environment: {OMP_NUM_THREADS: '2', TZ: UTC}"),
                           "ann", false },
          REFUSAL_NONE, "");
    gives(&(struct asked){ policy, STEP("environment: {LD_PRELOAD: x, TZX: y, OMP: z}"),
                           "ann", false },
          REFUSAL_ENVIRONMENT,
          "4 step 'start' may not set the variable 'LD_PRELOAD'; policy.environment in "
          "mesh.conf:2 allows OMP_*, TZ\n"
          "4 step 'start' may not set the variable 'TZX'; policy.environment in "
          "mesh.conf:2 allows OMP_*, TZ\n"
          "4 step 'start' may not set the variable 'OMP'; policy.environment in "
          "mesh.conf:2 allows OMP_*, TZ\n");
    gives(&(struct asked){ policy,
                           "mesh: 1\nflow: F\nenvironment: {PATH: /x}\nsteps:\n"
                           "  start: {run: 'true'}\n",
                           "ann", false },
          REFUSAL_ENVIRONMENT,
          "0 a flow may not set the variable 'PATH'; policy.environment in mesh.conf:2 "
          "allows OMP_*, TZ\n");
    gives(&(struct asked){ "policy: {environment: ['*']}\n",
                           STEP("environment: {LD_PRELOAD: x}"), "ann", false },
          REFUSAL_NONE, "");
}

static void paths_below_folders(void **state UNUSED)
{
    const char *policy = "policy:\n  paths: [/data/, /scratch/ann]\n";
    static const char *const good[] = { "/data", "/data/x", "/scratch/ann/y..z" };
    static const char *const bad[] = { "/database", "/etc/passwd", "/data/../etc",
                                       "/scratch", "/data/x/.." };
    char flow[200], expected[300];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        snprintf(flow, sizeof(flow), STEP("outputs: {x: %s}"), good[i]);
        gives(&(struct asked){ policy, flow, "ann", false }, REFUSAL_NONE, "");
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        snprintf(expected, sizeof(expected),
                 "4 step 'start' may not name '%s'; policy.paths in mesh.conf:2 allows "
                 "/data/, /scratch/ann\n",
                 bad[i]);
        snprintf(flow, sizeof(flow), STEP("outputs: {x: %s}"), bad[i]);
        gives(&(struct asked){ policy, flow, "ann", false }, REFUSAL_PATHS, expected);
        snprintf(flow, sizeof(flow), STEP("inputs: {x: {url: 'file://%s', as: x}}"),
                 bad[i]);
        gives(&(struct asked){ policy, flow, "ann", false }, REFUSAL_PATHS, expected);
    }
    /* Inside of the task's own folder. */
    gives(&(struct asked){ policy, STEP("outputs: {x: out/y}"), "ann", false },
          REFUSAL_NONE, "");
    gives(&(struct asked){ "policy: {paths: [/]}\n", STEP("outputs: {x: /etc/passwd}"),
                           "ann", false },
          REFUSAL_NONE, "");
}

static void what_a_task_asks_for(void **state UNUSED)
{
    const char *policy = "policy:\n  max_resources: {cpu: 2, memory: 4G, disk: 1G, "
                         "gpu: 0, licence: 1}\n";

    gives(
        &(struct asked){
            policy,
            STEP("resources: {cpu: 2, memory: 4G, custom: {licence: 1, tpu: 7}}"),
            "ann", false },
        REFUSAL_NONE, "");
    gives(&(struct asked){ policy,
                           STEP("resources: {cpu: 2.5, memory: 5G, disk: 2G, gpu: 1, "
                                "custom: {licence: 2}}"),
                           "ann", false },
          REFUSAL_RESOURCES,
          "4 step 'start' asks for 2.5 cpu; policy.max_resources in mesh.conf:2 allows "
          "2 of it\n"
          "4 step 'start' asks for 5120 MiB of memory; policy.max_resources in "
          "mesh.conf:2 allows 4096 of it\n"
          "4 step 'start' asks for 2048 MiB of disk; policy.max_resources in "
          "mesh.conf:2 allows 1024 of it\n"
          "4 step 'start' asks for 1 gpu; policy.max_resources in mesh.conf:2 allows 0 "
          "of it\n"
          "4 step 'start' asks for 2 licence; policy.max_resources in mesh.conf:2 "
          "allows 1 of it\n");
    /* Who asks for nothing gets a processor. */
    gives(&(struct asked){ "policy: {max_resources: {cpu: 0.5}}\n", PLAIN, "ann",
                           false },
          REFUSAL_RESOURCES,
          "4 step 'start' asks for 1 cpu; policy.max_resources in mesh.conf:1 allows "
          "0.5 of it\n");
}

static void complains(const char *text, const char *expected)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(conf_unrefp) struct conf *c = conf_new();

    assert_int_equal(conf_read(c, text, strlen(text), &d), -EINVAL);
    list(&d, &out);
    assert_string_equal(buffer_text(&out), expected);
}

static void a_bad_policy_is_told(void **state UNUSED)
{
    complains("policy:\n"
              "  user: [ann]\n"
              "  users: ann\n"
              "  remote: maybe\n"
              "  environment: ['A*B', 7]\n"
              "  paths: [data, /data/../etc]\n"
              "  max_resources: {cpu: x, 'a b': 1}\n"
              "  images: [x]\n",
              "2 unknown key 'user' in policy; did you mean 'users'?\n"
              "3 'users' in policy must be a list, not a text; \n"
              "4 'remote' must be yes or no; \n"
              "5 'A*B': a '*' is the last of a name; write NAME or FRONT_*\n"
              "5 an item of 'environment' in policy must be a text, not an "
              "integer; write it in quotes: '7'\n"
              "6 'data' is no absolute path; \n"
              "6 '/data/../etc' is no absolute path; \n"
              "7 'cpu' in max_resources must be a number, not a text; \n"
              "7 'a b' cannot be the name of a resource; \n"
              "8 'images' (containers) is not supported yet; \n");
    complains("policy: no\n", "1 policy must be a mapping, not a text; \n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_policy_forbids_nothing),
        cmocka_unit_test(users_are_those_named),
        cmocka_unit_test(what_comes_by_a_token),
        cmocka_unit_test(variables_by_name_and_front),
        cmocka_unit_test(paths_below_folders),
        cmocka_unit_test(what_a_task_asks_for),
        cmocka_unit_test(a_bad_policy_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
