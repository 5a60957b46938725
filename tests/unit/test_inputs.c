/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include <errno.h>

#include "node/inputs.h"
#include "store/tree.h"

static const char flow[] = "mesh: 1\n"
                           "flow: F\n"
                           "steps:\n"
                           "  a: {run: 'true', next: b}\n"
                           "  b: {run: 'true', next: c}\n"
                           "  c:\n"
                           "    run: 'true'\n"
                           "    inputs:\n"
                           "      near: v\n"
                           "      far: a.v\n"
                           "      renamed: {from: a.v, as: file.txt}\n";
static const char flow_of_parameters[] = "mesh: 1\n"
                                         "flow: F\n"
                                         "parameters: {p: {}, v: {}}\n"
                                         "steps:\n"
                                         "  a: {run: 'true', next: c}\n"
                                         "  c: {run: 'true', inputs: {p: p, v: v}}\n";

static struct kit kit;
static struct slot slot;
static struct run_context context;
static struct error why;

static int set_up_flow(const char *text)
{
    char path[128];
    struct cgroups none = { .v2 = NULL };

    kit_open(&kit, text);
    snprintf(path, sizeof(path), "%s/slots", kit.dir);
    mkdir(path, 0700);
    why = (struct error){ .text = "" };
    assert_int_equal(slot_open(&slot, 0, kit.dir, &none, &why), 0);
    context = (struct run_context){ .id = kit.run };
    slot.run = &context;
    slot.flow = flow_ref(kit.flow);
    slot.task = kit_task(&kit, "c", -1);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_flow(flow);
}

static int set_up_parameters(void **state)
{
    (void)state;
    return set_up_flow(flow_of_parameters);
}

static int tear_down(void **state)
{
    (void)state;
    slot_release(&slot);
    kit_close(&kit);
    return 0;
}

static void assert_file(const char *name, const char *expected)
{
    char path[256], text[64] = "";
    int fd;

    snprintf(path, sizeof(path), "%s/%s", slot.in_path, name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    close(fd);
    assert_string_equal(text, expected);
}

static void test_laid_out_under_their_names(void **state)
{
    (void)state;
    kit_end(&kit, kit_task(&kit, "a", -1), 0, VERDICT_DONE, MADE("v=old"));
    kit_end(&kit, kit_task(&kit, "b", -1), 0, VERDICT_DONE, MADE("v=new"));
    assert_int_equal(inputs_lay_out(&kit.artifacts, &slot, true, &why), 0);
    assert_file("near", "new");
    assert_file("far", "old");
    assert_file("file.txt", "old");
    assert_int_equal(inputs_check(&kit.artifacts, &slot), 0);
    assert_int_equal(inputs_remove(&kit.artifacts, &slot), 0);
    assert_int_equal(access(slot.in_path, F_OK), -1);
}

static void test_missing_one_is_named(void **state)
{
    (void)state;
    kit_end(&kit, kit_task(&kit, "a", -1), 0, VERDICT_DONE, NULL);
    kit_end(&kit, kit_task(&kit, "b", -1), 0, VERDICT_DONE, MADE("v=new"));
    assert_int_equal(inputs_lay_out(&kit.artifacts, &slot, true, &why), -ENOENT);
    assert_non_null(strstr(why.text, "'far'"));
    assert_non_null(strstr(why.text, "'v'"));
}

static void test_parameter_is_one_unless_hidden(void **state)
{
    char *values[] = { (char[]){ "0.5" }, (char[]){ "hidden" }, NULL };

    (void)state;
    context.values = values;
    kit_end(&kit, kit_task(&kit, "a", -1), 0, VERDICT_DONE, MADE("v=made"));
    assert_int_equal(inputs_lay_out(&kit.artifacts, &slot, true, &why), 0);
    assert_file("p", "0.5");
    assert_file("v", "made");
}

/* A task that has no inputs may make the folder, which nobody cleans for it. */
static void test_folder_of_another_task_is_not_in_the_way(void **state)
{
    char path[256];

    (void)state;
    kit_end(&kit, kit_task(&kit, "a", -1), 0, VERDICT_DONE, MADE("v=old"));
    kit_end(&kit, kit_task(&kit, "b", -1), 0, VERDICT_DONE, NULL);
    assert_int_equal(mkdir(slot.in_path, 0), 0);
    snprintf(path, sizeof(path), "%s/near", slot.in_path);
    kit_write(path, "stale", 5);
    assert_int_equal(inputs_lay_out(&kit.artifacts, &slot, true, &why), 0);
    assert_file("near", "old");
}

/* a makes one large file. */
static void make_large(void)
{
    struct attempt_record r = { .run = kit.run,
                                .task = kit_task(&kit, "a", -1),
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK };
    char *data = malloc(BLOB_CHUNKED_MAX + 1);

    memset(data, 'x', BLOB_CHUNKED_MAX + 1);
    r.outputs = calloc(1, sizeof(*r.outputs));
    r.n_outputs = 1;
    r.outputs[0] = kit_artifact("v", "");
    free(TAKE(r.outputs[0].inline_data));
    r.outputs[0].size = BLOB_CHUNKED_MAX + 1;
    assert_int_equal(blobs_put(kit.blobs, data, BLOB_CHUNKED_MAX + 1, &r.outputs[0].id),
                     0);
    kit_put(&kit, &r);
    attempt_record_release(&r);
    free(data);
    kit_end(&kit, kit_task(&kit, "b", -1), 0, VERDICT_DONE, NULL);
}

static void test_large_one_is_shared_and_watched(void **state)
{
    char path[256];
    int fd;

    (void)state;
    make_large();
    assert_int_equal(inputs_lay_out(&kit.artifacts, &slot, true, &why), 0);
    if (slot.n_links == 0)
        skip(); /* the file system clones */
    assert_int_equal(slot.n_links, 3);
    assert_int_equal(inputs_check(&kit.artifacts, &slot), 0);
    snprintf(path, sizeof(path), "%s/near", slot.in_path);
    assert_int_equal(chmod(path, 0644), 0);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "spoiled", 7), 7);
    close(fd);
    assert_int_equal(inputs_check(&kit.artifacts, &slot), -ESTALE);
    assert_int_equal(inputs_remove(&kit.artifacts, &slot), 0);
    assert_int_equal(access(slot.in_path, F_OK), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_laid_out_under_their_names),
        TEST(test_missing_one_is_named),
        cmocka_unit_test_setup_teardown(test_parameter_is_one_unless_hidden,
                                        set_up_parameters, tear_down),
        TEST(test_folder_of_another_task_is_not_in_the_way),
        TEST(test_large_one_is_shared_and_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
