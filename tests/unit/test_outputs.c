/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/kit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "node/outputs.h"
#include "store/tree.h"

static const char flow[] = "mesh: 1\nflow: F\nsteps:\n  a: {run: 'true'}\n";

static struct kit kit;
static struct step step;
static char out[128], work[128];
static struct outputs_job job;
static struct artifact *kept;
static size_t n_kept;
static char *choice;
static struct error why;

static int set_up(void **state)
{
    (void)state;
    kit_open(&kit, flow);
    snprintf(out, sizeof(out), "%s/out", kit.dir);
    snprintf(work, sizeof(work), "%s/work", kit.dir);
    mkdir(out, 0700);
    mkdir(work, 0700);
    step = (struct step){ .name = "a" };
    job = (struct outputs_job){ .blobs = kit.blobs,
                                .step = &step,
                                .out_path = out,
                                .work_path = work,
                                .threads = 1 };
    kept = NULL;
    n_kept = 0;
    why = (struct error){ .text = "" };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    outputs_free(kept, n_kept);
    free(TAKE(choice));
    kit_close(&kit);
    return 0;
}

static const char *in(const char *folder, const char *name)
{
    static char path[4][600];
    static unsigned turn;
    char *at = path[turn++ % 4];

    snprintf(at, sizeof(path[0]), "%s/%s", folder, name);
    return at;
}

static void put(const char *folder, const char *name, const char *text)
{
    kit_write(in(folder, name), text, strlen(text));
}

static int keep(void)
{
    return outputs_keep(&job, &kept, &n_kept, &choice, &why);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void map(struct pair *pairs, size_t n)
{
    step.outputs = pairs;
    step.n_outputs = n;
}

static void test_files_become_artifacts_by_name(void **state)
{
    struct output_type t = { .name = "b", .type = "plot" };

    (void)state;
    job.types = &t;
    put(out, "b", "second");
    put(out, "a.json", "{}");
    put(out, "c.txt", "");
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 3);
    assert_string_equal(kept[0].name, "a.json");
    assert_int_equal(kept[0].encoding, ENCODING_JSON);
    assert_string_equal(kept[1].name, "b");
    assert_string_equal(kept[1].type, "plot");
    assert_int_equal(kept[1].size, 6);
    assert_memory_equal(kept[1].inline_data, "second", 6);
    assert_string_equal(kept[2].type, "text");
    assert_int_equal(kept[2].size, 0);
}

static void test_sizes_go_where_they_belong(void **state)
{
    const size_t sizes[] = { BLOB_INLINE_MAX, BLOB_INLINE_MAX + 1,
                             BLOB_CHUNKED_MAX + 1 };
    char *data = calloc(1, BLOB_CHUNKED_MAX + 1);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char name[] = { (char)('a' + i), '\0' };

        kit_write(in(out, name), data, sizes[i]);
    }
    assert_false(outputs_are_small(&job));
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 3);
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(buffer_release) struct buffer back = BUFFER_INIT;

        assert_int_equal(kept[i].size, sizes[i]);
        assert_int_equal(kept[i].inline_data != NULL, i == 0);
        assert_int_equal(artifacts_read(&kit.artifacts, &kept[i], 0, UINT64_MAX, &back),
                         0);
        assert_int_equal(back.len, sizes[i]);
    }
    assert_false(is_there(in(out, "c")));
    free(data);
}

static void test_folder_is_a_tree(void **state)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };

    (void)state;
    mkdir(in(out, "d"), 0700);
    put(out, "d/x", "12345");
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 1);
    assert_int_equal(kept[0].encoding, ENCODING_TREE);
    assert_string_equal(kept[0].type, "folder");
    assert_int_equal(kept[0].size, 5);
    assert_int_equal(tree_get(kit.blobs, &kept[0].id, &t), 0);
    assert_int_equal(t.n, 1);
}

/* A file of the working folder is there for other tasks too. */
static void test_mapped_file_elsewhere_stays(void **state)
{
    char large[128];
    char *data = calloc(1, BLOB_CHUNKED_MAX + 1);
    struct pair pairs[] = { { "m", "model" }, { "abs", large }, { "o", "./own" } };

    (void)state;
    snprintf(large, sizeof(large), "%s/large", kit.dir);
    kit_write(large, data, BLOB_CHUNKED_MAX + 1);
    put(work, "model", "weights");
    put(out, "own", "mine");
    map(pairs, 3);
    assert_false(outputs_are_small(&job));
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 3);
    assert_string_equal(kept[0].name, "abs");
    assert_string_equal(kept[1].name, "m");
    assert_string_equal(kept[2].name, "o");
    assert_true(is_there(in(work, "model")));
    assert_true(is_there(large));
    free(data);
}

static void test_mapped_folder_is_kept_once(void **state)
{
    struct pair pairs[] = { { "results", "d/" }, { "twice", "f" }, { "again", "f" } };

    (void)state;
    mkdir(in(out, "d"), 0700);
    put(out, "d/x", "1");
    put(out, "f", "2");
    map(pairs, 3);
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 3);
    assert_string_equal(kept[0].name, "again");
    assert_string_equal(kept[1].name, "results");
    assert_string_equal(kept[2].name, "twice");
}

static void test_missing_mapped_output_is_named(void **state)
{
    struct pair pairs[] = { { "m", "nowhere" } };

    (void)state;
    map(pairs, 1);
    assert_int_equal(keep(), -ENOENT);
    assert_non_null(strstr(why.text, "'m'"));
    assert_non_null(strstr(why.text, "'nowhere'"));
}

static void test_odd_names(void **state)
{
    static const struct {
        const char *name, *shown;
    } odd[] = {
        { "a\nb", "'a\\x0ab'" },
        { "\xff", "'\\xff'" },
        { "\x1b[0m", "'\\x1b[0m'" },
    };
    char longest[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        why.text[0] = '\0';
        put(out, odd[i].name, "x");
        assert_int_equal(keep(), -EINVAL);
        assert_non_null(strstr(why.text, odd[i].shown));
        unlink(in(out, odd[i].name));
    }
    memset(longest, 'x', 255);
    longest[255] = '\0';
    put(out, longest, "x");
    put(out, "gr\xc3\xbc\xc3\x9f", "x");
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 2);
}

static void test_what_is_no_file_is_refused(void **state)
{
    static const char *const expected[] = { "a link", "a pipe", "a socket" };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    for (int i = 0; i < 3; i++) {
        why.text[0] = '\0';
        if (i == 0)
            assert_int_equal(symlink("/etc/passwd", in(out, "it")), 0);
        else if (i == 1)
            assert_int_equal(mkfifo(in(out, "it"), 0600), 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", in(out, "it"));
        if (i == 2)
            assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_false(outputs_are_small(&job));
        assert_int_equal(keep(), -EINVAL);
        assert_non_null(strstr(why.text, expected[i]));
        assert_int_equal(unlink(in(out, "it")), 0);
    }
    close(fd);
}

/* What a task put in place of its folder is not ours to take. */
static void test_link_in_place_of_the_folder_is_not_followed(void **state)
{
    char elsewhere[128];

    (void)state;
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", kit.dir);
    mkdir(elsewhere, 0700);
    put(elsewhere, "precious", "data");
    assert_int_equal(rmdir(out), 0);
    assert_int_equal(symlink(elsewhere, out), 0);
    assert_true(keep() < 0);
    assert_true(is_there(in(elsewhere, "precious")));
    assert_int_equal(unlink(out), 0);
    assert_int_equal(keep(), -ENOENT);
}

static void test_folder_without_rights_is_read(void **state)
{
    (void)state;
    put(out, "x", "1");
    chmod(out, 0);
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 1);
}

static void test_many_are_not_for_the_loop_and_too_many_refused(void **state)
{
    char name[16];

    (void)state;
    for (int i = 0; i <= OUTPUTS_MAX; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(out, name, "");
        if (i + 1 == OUTPUTS_SMALL_N)
            assert_true(outputs_are_small(&job));
    }
    assert_false(outputs_are_small(&job));
    assert_int_equal(keep(), -E2BIG);
    assert_non_null(strstr(why.text, "4096"));
}

static void test_failure_is_told_as_json(void **state)
{
    struct attempt_record r = { .reason = REASON_EXIT, .exit_code = 3, .attempt = 1 };

    (void)state;
    r.message = strdup("bad \xff byte");
    r.outputs = calloc(1, sizeof(*r.outputs));
    r.outputs[r.n_outputs++] = kit_artifact("made", "x");
    assert_int_equal(outputs_of_failure(&r, "why"), 0);
    assert_int_equal(r.n_outputs, 1);
    assert_string_equal(r.outputs[0].name, "why");
    assert_non_null(
        strstr((char *)r.outputs[0].inline_data,
               "\"exit\":3,\"signal\":0,\"message\":\"bad \xef\xbf\xbd byte\","
               "\"attempts\":2"));
    attempt_record_release(&r);
}

/* ---- declared ones ---- */

#define Y "{\"name\":\"y\",\"type\":\"int\",\"encoding\":\"json\",\"size\":2}\n49\n"
#define MODEL \
    "{\"name\":\"model\",\"type\":\"SVC\",\"encoding\":\"pickle\",\"file\":true}\n"

static void test_declared_ones_are_kept(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    (void)state;
    buffer_puts(&text, Y MODEL "{\"choice\":\"good\"}\n");
    buffer_printf(&text,
                  "{\"name\":\"long\",\"type\":\"str\",\"encoding\":\"json\","
                  "\"size\":%d}\n%0*d\n",
                  BLOB_INLINE_MAX + 1, BLOB_INLINE_MAX + 1, 7);
    put(out, ".mesh", buffer_text(&text));
    put(out, "model", "\x80");
    put(out, "beside", "a file");
    assert_true(outputs_are_small(&job));
    assert_int_equal(keep(), 0);
    assert_int_equal(n_kept, 4);
    assert_string_equal(choice, "good");
    assert_string_equal(kept[0].name, "beside");
    assert_string_equal(kept[1].name, "long");
    assert_null(kept[1].inline_data);
    assert_int_equal(kept[1].size, BLOB_INLINE_MAX + 1);
    assert_string_equal(kept[2].name, "model");
    assert_string_equal(kept[2].type, "SVC");
    assert_int_equal(kept[2].encoding, ENCODING_PICKLE);
    assert_int_equal(kept[2].size, 1);
    assert_string_equal(kept[3].type, "int");
    assert_int_equal(kept[3].encoding, ENCODING_JSON);
    assert_memory_equal(kept[3].inline_data, "49", 2);
    assert_false(is_there(in(out, ".mesh")));
}

static void test_bad_declarations_keep_nothing(void **state)
{
    static const struct {
        const char *declared, *file, *told;
        int error;
    } bad[] = {
        { "y\n", NULL, "entry 1: this is no JSON object", -EINVAL },
        { MODEL, NULL, "output 'model': the file is not in $MESH_OUT", -ENOENT },
        { Y, "y", "output 'y': the task set it and wrote $MESH_OUT/y", -EEXIST },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        why = (struct error){ .text = "" };
        put(out, ".mesh", bad[i].declared);
        if (bad[i].file)
            put(out, bad[i].file, "x");
        assert_int_equal(keep(), bad[i].error);
        if (!strstr(why.text, bad[i].told))
            fail_msg("%s", why.text);
        assert_int_equal(n_kept, 0);
    }
}

static void test_a_declaration_must_be_a_plain_file(void **state)
{
    (void)state;
    put(work, "elsewhere", Y);
    assert_int_equal(symlink(in(work, "elsewhere"), in(out, ".mesh")), 0);
    assert_int_equal(keep(), -EINVAL);
    assert_non_null(strstr(why.text, "no plain file"));
    unlink(in(out, ".mesh"));
    mkdir(in(out, ".mesh"), 0700);
    assert_int_equal(keep(), -EINVAL);
    rmdir(in(out, ".mesh"));
    put(out, ".mesh", MODEL);
    mkdir(in(out, "model"), 0700);
    assert_int_equal(keep(), -EINVAL);
    assert_non_null(strstr(why.text, "it is no plain file"));
}

static void test_an_output_is_mapped_or_declared(void **state)
{
    struct pair pairs[] = { { (char *)"y", (char *)"total.txt" } };

    (void)state;
    map(pairs, 1);
    put(out, "total.txt", "x");
    put(out, ".mesh", Y);
    assert_int_equal(keep(), -EEXIST);
    assert_non_null(strstr(why.text, "`outputs` has it too"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_files_become_artifacts_by_name),
        TEST(test_sizes_go_where_they_belong),
        TEST(test_folder_is_a_tree),
        TEST(test_mapped_file_elsewhere_stays),
        TEST(test_mapped_folder_is_kept_once),
        TEST(test_missing_mapped_output_is_named),
        TEST(test_odd_names),
        TEST(test_what_is_no_file_is_refused),
        TEST(test_link_in_place_of_the_folder_is_not_followed),
        TEST(test_folder_without_rights_is_read),
        TEST(test_many_are_not_for_the_loop_and_too_many_refused),
        TEST(test_failure_is_told_as_json),
        TEST(test_declared_ones_are_kept),
        TEST(test_bad_declarations_keep_nothing),
        TEST(test_a_declaration_must_be_a_plain_file),
        TEST(test_an_output_is_mapped_or_declared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
