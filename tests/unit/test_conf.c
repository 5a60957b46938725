/* SPDX-License-Identifier: Apache-2.0 */
/* What mesh.conf says, what is wrong with it, and a flow cut to it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "flow/read.h"
#include "node/conf.h"
#include "node/fit.h"

static struct conf *read_good(const char *text)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct conf *c = conf_new();

    assert_non_null(c);
    assert_int_equal(conf_read(c, text, strlen(text), &d), 0);
    assert_int_equal(d.n, 0);
    return c;
}

/* The complaints, each `line:column message` and what was meant. */
static void complains(const char *text, const char *expected)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(conf_unrefp) struct conf *c = conf_new();

    assert_int_equal(conf_read(c, text, strlen(text), &d), -EINVAL);
    for (size_t i = 0; i < d.n; i++)
        buffer_printf(&out, "%u:%u %s%s%s\n", d.all[i].line, d.all[i].column,
                      d.all[i].message, d.all[i].hint ? "; " : "",
                      d.all[i].hint ? d.all[i].hint : "");
    assert_string_equal(buffer_text(&out), expected);
}

static void all_is_read(void **state UNUSED)
{
    CLEANUP(conf_unrefp)
    struct conf *c =
        read_good("resources: {cpu: 1.5, memory: 2G, gpu: 2, tpu: 0.5}\n"
                  "quota: 10G\n"
                  "slots: 7\n"
                  "shared_uid: yes\n"
                  "accounts: {ann: lab, ben: ben}\n"
                  "task_account: nobody\n"
                  "name: n7\n"
                  "zone: rack-3\n"
                  "peer_listen: 0.0.0.0:8400\n"
                  "contacts: [a, b]\n"
                  "default_user: {max_tasks: 9}\n"
                  "users:\n"
                  "  ann: {weight: 3, max_cpu: 2.5}\n"
                  "  '1001': {max_memory: 1G, max_gpu: 0.5}\n"
                  "datastore: {root: s3://lab/x, workers: 64, retries: 0,\n"
                  "  encryption: {mode: aws:kms, key: k}}\n");
    const struct user_limits *ann = sharing_of(&c->sharing, "ann");

    assert_string_equal(c->name.text, "n7");
    assert_string_equal(c->datastore.root, "s3://lab/x");
    assert_string_equal(c->datastore.encryption, "aws:kms");
    assert_string_equal(c->datastore.kms_key, "k");
    assert_int_equal(c->datastore.workers, 64);
    assert_true(c->datastore.has_retries);
    assert_string_equal(c->zone.text, "rack-3");
    assert_string_equal(c->peer_listen.text, "0.0.0.0:8400");
    assert_int_equal(c->peer_listen.place.line, 9);
    assert_null(c->advertise.text);
    assert_int_equal(c->n_contacts, 2);
    assert_string_equal(c->contacts[1].text, "b");
    assert_int_equal(c->cpu_milli, 1500);
    assert_true(c->memory_bytes == 2ULL << 30);
    assert_true(c->has_gpus);
    assert_int_equal(c->n_gpus, 2);
    assert_int_equal(c->n_custom, 1);
    assert_string_equal(c->custom[0].name, "tpu");
    assert_int_equal(c->custom[0].milli, 500);
    assert_true(c->quota_bytes == 10ULL << 30);
    assert_int_equal(c->slots, 7);
    assert_int_equal(c->n_accounts, 2);
    assert_string_equal(c->accounts[0].user, "ann");
    assert_string_equal(c->accounts[0].account, "lab");
    assert_string_equal(c->task_account, "nobody");
    assert_true(c->is_shared);
    assert_int_equal(c->place.slots.line, 3);
    assert_int_equal(c->user_places[1].line, 14);
    assert_int_equal(ann->weight, 3);
    assert_int_equal(ann->max_cpu_milli, 2500);
    assert_int_equal(ann->max_tasks, 0); /* who is named has nothing by default */
    assert_int_equal(sharing_of(&c->sharing, "1001")->max_gpu_milli, 500);
    assert_int_equal(sharing_of(&c->sharing, "eve")->max_tasks, 9);
}

static void nothing_is_said(void **state UNUSED)
{
    static const char *const texts[] = { "", "# nothing\n", "{}", "null" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(conf_unrefp) struct conf *c = read_good(texts[i]);

        assert_int_equal(c->cpu_milli, 0);
        assert_false(c->has_gpus);
        assert_false(c->is_shared);
        assert_int_equal(sharing_of(&c->sharing, "ann")->max_tasks, 0);
    }
}

static void all_errors_at_once(void **state UNUSED)
{
    complains("resources: {cpu: many, cpus: 4, memroy: 8G, disk: 1G, a b: 1}\n"
              "users:\n"
              "  ann: {weight: 0, max_task: 3, max_cpu: 0}\n"
              "default_user: 7\n"
              "shared_uid: perhaps\n"
              "slotz: 3\n",
              "1:18 'cpu' in resources must be a number, not a text\n"
              "1:24 unknown resource 'cpus'; did you mean 'cpu'?\n"
              "1:33 unknown resource 'memroy'; did you mean 'memory'?\n"
              "1:45 'disk' is measured: what is free where the store is; quota: says "
              "how large the store may become\n"
              "1:55 'a b' cannot be the name of a resource\n"
              "3:17 'weight' in user 'ann' must be from 1 to 1000\n"
              "3:20 unknown key 'max_task' in user 'ann'; did you mean 'max_tasks'?\n"
              "3:42 'max_cpu' in user 'ann' must be more than 0\n"
              "4:15 default_user must be a mapping, not an integer\n"
              "5:13 'shared_uid' must be yes or no\n"
              "6:1 unknown key 'slotz' in the configuration; did you mean 'slots'?\n");
    complains("users:\n  a: {weight: 2}\n  b: {weight: x}\nusers: {c: {weight: 3}}\n",
              "3:15 'weight' in user 'b' must be an integer, not a text\n"
              "4:1 the key 'users' is there twice; the first is on line 1\n");
    complains("[1, 2]", "1:1 the configuration must be a mapping, not a list\n");
    complains("resources: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1}",
              "1:49 more than 6 custom resources\n");
    complains("slots: 0\nquota: 5 cats\n",
              "1:8 'slots' in the configuration must be from 1 to 1024\n"
              "2:8 'quota' in the configuration must be a size; write MiB, or a number "
              "with K, M, G or T: 512, 16G\n");
}

static void options_add_resources(void **state UNUSED)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "licence", "--resource must be NAME=N, as in licence=2, not 'licence'" },
        { "=2", "--resource must be NAME=N, as in licence=2, not '=2'" },
        { "licence=-1", "--resource must be NAME=N with a number from 0 to 1000000, "
                        "not 'licence=-1'" },
        { "licence=2x", "--resource must be NAME=N with a number from 0 to 1000000, "
                        "not 'licence=2x'" },
        { "cpu=2", "--resource is for what a node has besides cpu, memory and gpu; "
                   "did you mean --cpu?" },
        { "gpus=2", "--resource is for what a node has besides cpu, memory and gpu; "
                    "did you mean --gpus?" },
        { "disk=2", "--resource: the disk is measured; --quota says how large the "
                    "store may become" },
    };
    CLEANUP(conf_unrefp) struct conf *c = read_good("resources: {licence: 1}");
    struct error error = { .text = "" };

    assert_int_equal(conf_add_resource(c, "licence=2.5", "--resource", &error), 0);
    assert_int_equal(conf_add_resource(c, "tape=0", "--resource", &error), 0);
    assert_int_equal(c->n_custom, 2);
    assert_int_equal(c->custom[0].milli, 2500);
    assert_string_equal(c->custom[0].place.option, "--resource");
    assert_string_equal(c->custom[1].name, "tape");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(conf_add_resource(c, bad[i].text, "--resource", &error),
                         -EINVAL);
        assert_string_equal(error.text, bad[i].says);
    }
}

/* ---- fit ---- */

static void fits(const char *resources, const struct user_limits *limits,
                 const char *expected)
{
    static char licence[] = "licence";
    char *const names[] = { licence, NULL };
    const struct resources has = { .cpu_milli = 2000,
                                   .memory_bytes = 1ULL << 30,
                                   .disk_bytes = 1ULL << 30,
                                   .gpu_milli = 1000,
                                   .custom = { { .name = 0, .milli = 3000 } },
                                   .n_custom = 1 };
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(flow_unrefp) struct flow *flow = NULL;

    buffer_printf(&text,
                  "mesh: 1\nflow: F\nsteps: {a: {run: ['true'], resources: %s}}\n",
                  resources);
    assert_int_equal(flow_read(text.data, text.len, &flow, &d), 0);
    fit_flow(flow, &has, names, limits, &d);
    for (size_t i = 0; i < d.n; i++)
        buffer_printf(&out, "%s: %s\n",
                      d.all[i].severity == SEVERITY_NOTE ? "note" : "error",
                      d.all[i].message);
    assert_string_equal(buffer_text(&out), expected);
    if (limits->max_cpu_milli)
        assert_true(flow->steps[0].resources.cpu_milli <= limits->max_cpu_milli);
    assert_true(flow->steps[0].resources.cpu_milli <= has.cpu_milli);
    assert_true(flow->steps[0].resources.memory_bytes <= has.memory_bytes);
}

static void flows_are_cut_to_the_node(void **state UNUSED)
{
    static const struct user_limits all = { .weight = 1 };
    static const struct user_limits some = { .max_cpu_milli = 500,
                                             .max_memory_bytes = 64 << 20,
                                             .max_gpu_milli = 500 };

    fits("{cpu: 2, memory: 1G, gpu: 1, disk: 1G, custom: {licence: 3}}", &all, "");
    fits("{custom: {rig: 0}}", &all, "");
    fits("{cpu: 4, memory: 4G}", &all,
         "note: step 'a' asks for 4 cpus, this node has 2: it gets these\n"
         "note: step 'a' asks for 4096 MiB of memory, this node has 1024: it gets "
         "these\n");
    fits("{cpu: 1, memory: 4G, gpu: 1}", &some,
         "note: step 'a' asks for 1 cpus, its user may have 0.5: it gets these\n"
         "note: step 'a' asks for 4096 MiB of memory, its user may have 64: it gets "
         "these\n"
         "error: step 'a' asks for gpu: 1, and its user may have 0.5 of them\n");
    fits("{disk: 2G, gpu: 1.5, custom: {licence: 4, rig: 1}}", &all,
         "error: step 'a' asks for 2048 MiB of disk, this node has 1024\n"
         "error: step 'a' asks for gpu: 1.5, and this node has 1 of them\n"
         "error: step 'a' asks for 4 of the custom resource 'licence', and this node "
         "has 3\n"
         "error: step 'a' asks for the custom resource 'rig', and this node has "
         "none\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_read),
        cmocka_unit_test(nothing_is_said),
        cmocka_unit_test(all_errors_at_once),
        cmocka_unit_test(options_add_resources),
        cmocka_unit_test(flows_are_cut_to_the_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
