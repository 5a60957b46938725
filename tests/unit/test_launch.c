/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include <errno.h>

#include "node/process.h"
#include "node/python.h"
#include "node/spawn.h"

static const char text[] =
    "mesh: 1\n"
    "flow: F\n"
    "parameters:\n"
    "  alpha: {type: float, default: 0.5}\n"
    "  long-name: {type: string, default: 'a b'}\n"
    "environment: {WIDE: 'flow ${{ params.alpha }}', BOTH: flow}\n"
    "steps:\n"
    "  start:\n"
    "    run: [env, '${{ params.long-name }}', '--a=${{ params.alpha }}']\n"
    "    environment: {BOTH: step, PATH: ''}\n"
    "    foreach: {items: [plain, 'two words', {k: v}]}\n"
    "    next: each\n"
    "  each: {run: 'echo $1', shell: bash, next: join}\n"
    "  join: {run: [./tool], join: start, next: end}\n"
    "  end: {run: 'true', workdir: sub}\n";

static struct kit kit;
static struct run_context *context;
static struct launch_scratch scratch;
static struct items items;
static struct slot slot;

static void make_context(void)
{
    struct launch_config config = { .data_dir = kit.dir,
                                    .task_socket = "/run/task.sock",
                                    .program_dir = "/opt/mesh" };
    char *tags[] = { (char *)"nightly", (char *)"a\"b" };
    struct run_record record = {
        .number = 12, .user = (char *)"ada", .tags = tags, .n_tags = 2
    };
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    char **values;

    record.run = kit.run;
    assert_int_equal(parameters_resolve(kit.flow, NULL, 0, &values, &d), 0);
    assert_int_equal(run_context_new(&config, &record, kit.flow, values, &context), 0);
}

static int set_up(void **state)
{
    char path[256];

    (void)state;
    setenv("MESH_SECRET", "of the node", 1);
    setenv("MESH_RUN", "another", 1);
    setenv("INHERITED", "yes", 1);
    kit_open(&kit, text);
    make_context();
    snprintf(path, sizeof(path), "%s/code", kit.dir);
    mkdir(path, 0700);
    mkdir(context->code_path, 0700);
    slot = (struct slot){ .run = context, .flow = kit.flow, .token = "token" };
    slot.out.path = strdup("/s/out");
    slot.tmp.path = strdup("/s/tmp");
    slot.in_path = strdup("/s/in");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(slot.out.path);
    free(slot.tmp.path);
    free(slot.in_path);
    items_release(&items);
    items = (struct items){ .clock = 0 };
    launch_scratch_release(&scratch);
    run_context_free(context);
    kit_close(&kit);
    return 0;
}

static char **environment_of(const char *step, int index)
{
    struct step_launch *l;
    struct error why = { .text = "" };
    char **envp;

    slot.task = kit_task(&kit, step, index);
    assert_int_equal(launch_step(context, slot.task.step, &l, &why), 0);
    assert_int_equal(launch_environment(&scratch, context, l, &slot, &items,
                                        &kit.artifacts, &envp),
                     0);
    return envp;
}

/* The first one, and there must be no second. */
static const char *value(char **envp, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;

    for (; *envp; envp++)
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            assert_null(found);
            found = *envp + len + 1;
        }
    return found;
}

static void test_task_gets_its_variables(void **state)
{
    static const struct {
        const char *name, *value;
    } expected[] = {
        { "MESH_RUN", "12" },
        { "MESH_STEP", "each" },
        { "MESH_TASK", "2" },
        { "MESH_ATTEMPT", "3" },
        { "MESH_INDEX", "2" },
        { "MESH_ITERATION", "0" },
        { "MESH_INPUT", "{\"k\":\"v\"}" },
        { "MESH_INPUTS", "[{\"k\":\"v\"}]" },
        { "MESH_OUT", "/s/out" },
        { "MESH_TEMPDIR", "/s/tmp" },
        { "MESH_IN", "/s/in" },
        { "MESH_TOKEN", "token" },
        { "MESH_CHANNEL", "/run/task.sock" },
        { "MESH_PARAM_ALPHA", "0.5" },
        { "MESH_PARAM_LONG_NAME", "a b" },
        { "WIDE", "flow 0.5" },
        { "BOTH", "flow" },
        { "INHERITED", "yes" },
    };
    char **envp;

    (void)state;
    slot.attempt = 3;
    envp = environment_of("each", 2);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const char *got = value(envp, expected[i].name);

        assert_non_null(got);
        assert_string_equal(got, expected[i].value);
    }
    assert_string_equal(value(envp, "MESH_CODE"), context->code_path);
    assert_string_equal(value(envp, "MESH_DATA"), kit.dir);
    assert_string_equal(value(envp, "MESH_RUN_ID"), context->id_text);
    assert_non_null(strstr(value(envp, "MESH_IDEMPOTENCY_KEY"), "/each/2"));
}

static void test_nothing_of_the_node_is_inherited(void **state)
{
    char **envp = environment_of("each", 0);
    char path[256];

    (void)state;
    assert_null(value(envp, "MESH_SECRET"));
    assert_string_equal(value(envp, "MESH_RUN"), "12");
    assert_string_equal(value(envp, "MESH_INPUT"), "plain");
    assert_string_equal(value(envp, "MESH_INPUTS"), "[\"plain\"]");
    snprintf(path, sizeof(path), "%s/sub", context->code_path);
    mkdir(path, 0700);
    assert_null(value(environment_of("end", -1), "MESH_INPUT"));
}

static void test_path_ends_in_our_folder(void **state)
{
    const char *path = getenv("PATH");
    const char *got = value(context->env.all, "PATH");

    (void)state;
    assert_non_null(strstr(got, ":/opt/mesh"));
    assert_true(strncmp(got, path, strlen(path)) == 0);
    run_context_free(context);
    setenv("PATH", "", 1);
    make_context();
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    assert_true(value(context->env.all, "PATH")[0] == '/');
}

static void test_arguments(void **state)
{
    struct error why = { .text = "" };
    char path[] = "/usr/bin:/bin";
    struct step_launch *l;

    (void)state;
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "each"), &l, &why),
                     0);
    assert_string_equal(l->path, "/bin/bash");
    assert_string_equal(l->argv[4], "echo $1");
    /* An empty PATH finds nothing; it is not the working folder. */
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "start"), &l, &why),
                     -ENOENT);
    assert_non_null(strstr(why.text, "'env'"));
    kit.flow->steps[0].environment[1].value = path;
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "start"), &l, &why),
                     0);
    assert_string_equal(l->argv[1], "a b");
    assert_string_equal(l->argv[2], "--a=0.5");
    assert_null(l->argv[3]);
    assert_string_equal(value(l->env.all, "BOTH"), "step");
}

static void test_what_cannot_be_run_is_named(void **state)
{
    struct error why = { .text = "" };
    struct step_launch *l;

    (void)state;
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "end"), &l, &why),
                     -ENOENT);
    assert_non_null(strstr(why.text, "'sub'"));
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "join"), &l, &why),
                     -ENOENT);
    assert_non_null(strstr(why.text, "'./tool'"));
}

static struct error explain(const char *tool, size_t len, mode_t mode)
{
    struct error why = { .text = "" };
    struct spawn s = {
        .self = getpid(), .stdio = { 0, 1, 2 }, .cgroup_dir = -1, .cgroup_procs = -1
    };
    const char *failed_in = "";
    char path[256];
    struct step_launch *l;
    int r, pidfd;
    pid_t pid;

    snprintf(path, sizeof(path), "%s/tool", context->code_path);
    kit_write(path, tool, len);
    chmod(path, mode);
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "join"), &l, &why),
                     0);
    s.path = l->path;
    s.argv = l->argv;
    s.envp = l->env.all;
    s.cwd = l->work_path;
    r = spawn_task(&s, &pid, &pidfd, &failed_in);
    assert_true(r < 0);
    assert_int_equal(launch_explain(l, l->env.all, failed_in, r, &why), r);
    return why;
}

static void test_failures_of_exec_are_explained(void **state)
{
    static const char missing[] = "#!/no/such/interpreter\n";
    char *large = malloc(VARIABLE_BYTES_MAX + 1);
    struct error why;

    (void)state;
    why = explain("hello", 5, 0700);
    assert_non_null(strstr(why.text, "'#!'"));
    why = explain(missing, sizeof(missing) - 1, 0700);
    assert_non_null(strstr(why.text, "interpreter"));
    memset(large, 'x', VARIABLE_BYTES_MAX);
    large[VARIABLE_BYTES_MAX] = '\0';
    memcpy(large, "MESH_PARAM_BIG=", 15);
    free(context->steps[flow_find_step(kit.flow, "join")].env.all[0]);
    context->steps[flow_find_step(kit.flow, "join")].env.all[0] = large;
    why = explain("#!/bin/sh\n", 10, 0700);
    assert_non_null(strstr(why.text, "MESH_PARAM_BIG has 131073 bytes"));
}

/* execve() counts the name and the NUL. */
static void test_item_that_fits_exactly(void **state)
{
    const size_t fits = VARIABLE_BYTES_MAX - strlen("MESH_INPUT=") - 1;
    CLEANUP(freep) char *item = malloc(fits + 4);
    const char *got;

    (void)state;
    kit.flow->steps[0].foreach.items[0] = item;
    memset(item, 'x', fits + 3);
    item[0] = item[fits + 1] = '"';
    item[fits + 2] = '\0';
    got = value(environment_of("each", 0), "MESH_INPUT");
    assert_non_null(got);
    assert_int_equal(strlen(got), fits);
    assert_null(value(environment_of("each", 0), "MESH_INPUTS"));
    item[fits + 1] = 'x';
    item[fits + 2] = '"';
    item[fits + 3] = '\0';
    assert_null(value(environment_of("each", 0), "MESH_INPUT"));
}

/* ---- Python ---- */

static const char python_text[] =
    "mesh: 1\n"
    "flow: P\n"
    "parameters:\n"
    "  rate: {type: float, default: 1}\n"
    "  whole: {type: int, default: 7}\n"
    "  is-on: {type: bool, default: true}\n"
    "  list: {separator: ',', default: 'a,b'}\n"
    "  deep: {type: json, default: {k: [1]}}\n"
    "  odd: {default: \"it's \\\"\\n\"}\n"
    "  none: {type: string}\n"
    "  token: {secret: true}\n"
    "steps:\n"
    "  start: {python: 'a.py:f', foreach: items, next: each}\n"
    "  each: {python: 'a/b.py:g', environment: {PYTHONPATH: /mine,\n"
    "         PYTHONUNBUFFERED: ''}, next: join}\n"
    "  join: {python: 'a.py:h', join: start, environment: {PATH: /none}}\n";

static int set_up_python(void **state)
{
    char path[256];

    (void)state;
    kit_open(&kit, python_text);
    make_context();
    snprintf(path, sizeof(path), "%s/code", kit.dir);
    mkdir(path, 0700);
    mkdir(context->code_path, 0700);
    return 0;
}

static int tear_down_python(void **state)
{
    (void)state;
    run_context_free(context);
    kit_close(&kit);
    return 0;
}

static struct step_launch *python_step(const char *name)
{
    struct step_launch *l = NULL;
    struct error why = { .text = "" };

    launch_step(context, flow_find_step(kit.flow, name), &l, &why);
    return l;
}

static void test_a_function_is_started_by_the_package(void **state)
{
    struct step_launch *l = python_step("start"), *each = python_step("each");

    (void)state;
    assert_non_null(l);
    assert_string_equal(l->argv[0], l->path);
    assert_string_equal(l->argv[1], "-c");
    assert_string_equal(l->argv[2], "from mesh._step import main; main()");
    assert_string_equal(value(l->env.all, "PYTHONPATH"),
                        "/opt/mesh/../lib/mesh/python");
    assert_string_equal(value(l->env.all, "PYTHONUNBUFFERED"), "1");
    assert_string_equal(value(each->env.all, "PYTHONPATH"),
                        "/opt/mesh/../lib/mesh/python:/mine");
    assert_string_equal(value(each->env.all, "PYTHONUNBUFFERED"), "");
}

static void test_it_is_told_what_the_flow_says(void **state)
{
    struct step_launch *l = python_step("start"), *each = python_step("each");

    (void)state;
    assert_string_equal(
        value(l->env.all, "MESH_PYTHON"),
        "{\"file\":\"a.py\",\"function\":\"f\",\"flow\":\"P\",\"user\":\"ada\","
        "\"tags\":[\"nightly\",\"a\\\"b\"],\"joins\":false,\"foreach\":\"items\","
        "\"switch\":null,\"parameters\":{\"rate\":1.0,\"whole\":7,\"is-on\":true,"
        "\"list\":[\"a\",\"b\"],\"deep\":{\"k\":[1]},\"odd\":\"it's \\\"\\n\"}}");
    assert_non_null(strstr(value(each->env.all, "MESH_PYTHON"),
                           "\"function\":\"g\",\"flow\":\"P\""));
}

static void test_a_missing_interpreter_is_named(void **state)
{
    struct step_launch *l;
    struct error why = { .text = "" };

    (void)state;
    assert_int_equal(launch_step(context, flow_find_step(kit.flow, "join"), &l, &why),
                     -ENOENT);
    assert_non_null(strstr(why.text, "cannot run 'python3'"));
}

static void make_program(const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", kit.dir, name);
    kit_write(path, "#!/bin/sh\n", 10);
    chmod(path, 0700);
}

static void test_the_first_interpreter_on_the_path_counts(void **state)
{
    char path[600], wanted[300];

    (void)state;
    snprintf(path, sizeof(path), "%s/one", kit.dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/two", kit.dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "/none::%s/one:%s/two", kit.dir, kit.dir);
    assert_null(python_find(path));
    make_program("two/python3");
    snprintf(wanted, sizeof(wanted), "%s/two/python3", kit.dir);
    CLEANUP(freep) char *second = python_find(path);
    assert_string_equal(second, wanted);
    make_program("one/python");
    snprintf(wanted, sizeof(wanted), "%s/one/python", kit.dir);
    CLEANUP(freep) char *first = python_find(path);
    assert_string_equal(first, wanted);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_task_gets_its_variables),
        TEST(test_nothing_of_the_node_is_inherited),
        TEST(test_path_ends_in_our_folder),
        TEST(test_arguments),
        TEST(test_what_cannot_be_run_is_named),
        TEST(test_failures_of_exec_are_explained),
        TEST(test_item_that_fits_exactly),
#define TEST_PYTHON(f) \
    cmocka_unit_test_setup_teardown(f, set_up_python, tear_down_python)
        TEST_PYTHON(test_a_function_is_started_by_the_package),
        TEST_PYTHON(test_it_is_told_what_the_flow_says),
        TEST_PYTHON(test_a_missing_interpreter_is_named),
        TEST_PYTHON(test_the_first_interpreter_on_the_path_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
