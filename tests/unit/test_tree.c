/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "store/gc.h"
#include "store/tree_internal.h"

#define ID "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define LINE(mode, size, path) mode " " size " " ID " " path "\n"

static const char golden[] = "mesh-tree 1\n"
                             "755 6 " ID " bin/run\n"
                             "link 10 " ID " bin/z\n"
                             "644 0 " ID " lib/back\\\\slash\\nline\n"
                             "644 1234567890123 " ID " \xc3\xa4 b\n";

static void test_golden(void **state)
{
    CLEANUP(tree_release) struct tree t = { .n = 0 }, again = { .n = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct digest id;

    (void)state;
    assert_int_equal(digest_parse(ID, &id), 0);
    tree_add(&t, strdup("\xc3\xa4 b"), 0644, 1234567890123, &id);
    tree_add(&t, strdup("lib/back\\slash\nline"), 0644, 0, &id);
    tree_add(&t, strdup("bin/z"), 0, 10, &id);
    tree_add(&t, strdup("bin/run"), 0755, 6, &id);
    tree_sort(&t);
    assert_int_equal(tree_encode(&t, &out), 0);
    assert_string_equal(out.data, golden);
    assert_int_equal(tree_decode(golden, sizeof(golden) - 1, &again), 0);
    assert_int_equal(again.n, 4);
    assert_string_equal(again.entries[2].path, "lib/back\\slash\nline");
    assert_int_equal(again.entries[1].mode, 0);
    assert_int_equal(again.entries[0].mode, 0755);
    assert_true(again.entries[3].size == 1234567890123);
    assert_true(digest_equal(&again.entries[0].id, &id));
    out.len = 0;
    assert_int_equal(tree_encode(&again, &out), 0);
    assert_string_equal(out.data, golden);
}

static void test_refused_manifests(void **state)
{
    static const char *const bad[] = {
        "",
        "mesh-tree 1",
        "mesh-tree 2\n",
        LINE("644", "1", "no heading"),
        "mesh-tree 1\n644 1 " ID " no newline",
        "mesh-tree 1\n\n",
        "mesh-tree 1\n" LINE("644", "1", ""),
        "mesh-tree 1\n" LINE("644", "1", "/etc/passwd"),
        "mesh-tree 1\n" LINE("644", "1", "../x"),
        "mesh-tree 1\n" LINE("644", "1", "a/../../x"),
        "mesh-tree 1\n" LINE("644", "1", ".."),
        "mesh-tree 1\n" LINE("644", "1", "."),
        "mesh-tree 1\n" LINE("644", "1", "./a"),
        "mesh-tree 1\n" LINE("644", "1", "a//b"),
        "mesh-tree 1\n" LINE("644", "1", "a/"),
        "mesh-tree 1\n" LINE("644", "1", "a\\x"),
        "mesh-tree 1\n" LINE("644", "1", "a\\"),
        "mesh-tree 1\n" LINE("4755", "1", "a"),
        "mesh-tree 1\n" LINE("0644", "1", "a"),
        "mesh-tree 1\n" LINE("644", "01", "a"),
        "mesh-tree 1\n" LINE("644", "-1", "a"),
        "mesh-tree 1\n" LINE("644", "", "a"),
        "mesh-tree 1\n" LINE("644", "18446744073709551616", "a"),
        "mesh-tree 1\n" LINE("644", "18446744073709551615", "a") LINE("644", "1", "b"),
        "mesh-tree 1\n" LINE("link", "0", "a"),
        "mesh-tree 1\n" LINE("link", "5000", "a"),
        "mesh-tree 1\n644 1 5891 a\n",
        "mesh-tree 1\n644  1 " ID " a\n",
        "mesh-tree 1\n" LINE("644", "1", "b") LINE("644", "1", "a"),
        "mesh-tree 1\n" LINE("644", "1", "a") LINE("644", "1", "a"),
        "mesh-tree 1\n" LINE("link", "1", "a") LINE("644", "1", "a/b"),
        /* `a-` sorts between a and what lies below it */
        "mesh-tree 1\n" LINE("link", "1", "a") LINE("644", "1", "a-")
            LINE("644", "1", "a/b/c"),
        "mesh-tree 1\n" LINE("644", "1", "a/b") LINE("644", "1", "a/b/c"),
    };
    struct tree t = { .n = 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (tree_decode(bad[i], strlen(bad[i]), &t) != -EBADMSG)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(tree_decode("mesh-tree 1\n644 1 " ID " a\0b\n", 83, &t), -EBADMSG);
    assert_int_equal(t.n, 0);
}

static void test_good_manifests(void **state)
{
    static const char *const good[] = {
        "mesh-tree 1\n",
        "mesh-tree 1\n" LINE("644", "0", "..."),
        "mesh-tree 1\n" LINE("644", "1", "a") LINE("644", "1", "a-/b"),
        "mesh-tree 1\n" LINE("644", "1", "a/b") LINE("644", "1", "ab/c"),
        "mesh-tree 1\n" LINE("644", "1", " spaces in  it "),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CLEANUP(tree_release) struct tree t = { .n = 0 };
        CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

        assert_int_equal(tree_decode(good[i], strlen(good[i]), &t), 0);
        assert_int_equal(tree_encode(&t, &out), 0);
        assert_string_equal(out.data, good[i]);
    }
}

static void test_targets(void **state)
{
    static const struct {
        const char *path, *target;
        bool is_inside;
    } cases[] = {
        { "l", "a", true },           { "l", "a/b", true },
        { "l", ".", true },           { "l", "./a", true },
        { "l", "..", false },         { "d/l", "..", true },
        { "d/l", "../a", true },      { "d/l", "../../a", false },
        { "d/e/l", "../../a", true }, { "l", "/etc", false },
        { "l", "", false },           { "l", "a/..", false },
        { "l", "a/../../b", false },  { "d/l", "./../a", true },
        { "d/l", "..//../x", false }, { "l", "...", true },
        { "d/l", "a/..", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (tree_is_inside(cases[i].path, cases[i].target, strlen(cases[i].target))
            != cases[i].is_inside)
            fail_msg("%s -> %s", cases[i].path, cases[i].target);
}

/* ---- folders ---- */

static void make_file(const struct fixture *f, const char *name, const char *text,
                      mode_t mode)
{
    char path[PLACE_PATH_MAX], folder[PLACE_PATH_MAX];

    path_in(f, name, path);
    memcpy(folder, path, sizeof(folder));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(place_make(folder), 0);
    write_file(path, text, strlen(text));
    assert_int_equal(chmod(path, mode), 0);
}

static void make_link(const struct fixture *f, const char *name, const char *target)
{
    char path[PLACE_PATH_MAX];

    path_in(f, name, path);
    assert_int_equal(symlink(target, path), 0);
}

static void make_source(const struct fixture *f)
{
    make_file(f, "src/flow.mf", "steps\n", 0644);
    make_file(f, "src/bin/run", "#!/bin/sh\n", 0755);
    make_file(f, "src/lib/deep/er/x", "x", 0600);
    make_file(f, "src/empty", "", 0644);
    make_link(f, "src/bin/lib", "../lib");
}

static int keep(struct fixture *f, char *const *paths, size_t n, struct tree *t,
                struct error *error)
{
    char dir[PLACE_PATH_MAX];

    path_in(f, "src", dir);
    return tree_keep(f->blobs, dir, paths, n, false, 0, t, error);
}

static void assert_paths(const struct tree *t, const char *expected)
{
    CLEANUP(buffer_release) struct buffer all = BUFFER_INIT;

    for (size_t i = 0; i < t->n; i++)
        buffer_printf(&all, "%s:%o ", t->entries[i].path, t->entries[i].mode);
    assert_string_equal(buffer_text(&all), expected);
}

static int compare_folders(const struct fixture *f)
{
    char command[512];

    snprintf(command, sizeof(command), "diff -r --no-dereference %s/src %s/out", f->dir,
             f->dir);
    return system(command);
}

static void test_there_and_back(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t = { .n = 0 }, again = { .n = 0 };
    char *large = make_bytes(BLOB_CHUNKED_MAX + 1, 1), path[PLACE_PATH_MAX];
    struct error error = { "" };
    struct digest id;
    struct stat st;

    make_source(f);
    path_in(f, "src/large", path);
    write_file(path, large, BLOB_CHUNKED_MAX + 1);
    assert_int_equal(keep(f, NULL, 0, &t, &error), 0);
    assert_paths(&t, "bin/lib:0 bin/run:755 empty:644 flow.mf:644 large:644 "
                     "lib/deep/er/x:644 ");
    assert_int_equal(t.bytes, 6 + 10 + 6 + 0 + 1 + BLOB_CHUNKED_MAX + 1);
    assert_int_equal(tree_put(f->blobs, &t, &id), 0);
    fixture_reopen(f);
    assert_int_equal(tree_get(f->blobs, &id, &again), 0);
    path_in(f, "out", path);
    assert_int_equal(tree_lay_out(f->blobs, &again, path, true, &error), 0);
    assert_int_equal(compare_folders(f), 0);
    path_in(f, "out/bin/run", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    path_in(f, "out", path);
    assert_int_equal(tree_lay_out(f->blobs, &again, path, true, &error), -EEXIST);
    free(large);
}

static void test_chosen_paths(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t = { .n = 0 };
    char *good[] = { "lib", "flow.mf", "lib/deep/er/x" };
    char *bad[] = { "../src/flow.mf", "/etc/passwd", "bin/lib/deep/er/x", "none", "" };
    struct error error = { "" };

    make_source(f);
    assert_int_equal(keep(f, good, 3, &t, &error), 0);
    assert_paths(&t, "flow.mf:644 lib/deep/er/x:644 ");
    assert_int_equal(t.bytes, 7);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct tree none = { .n = 0 };

        error.text[0] = '\0';
        assert_true(keep(f, &bad[i], 1, &none, &error) < 0);
        assert_true(error.text[0]);
        assert_int_equal(none.n, 0);
    }
}

static void test_taking(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t = { .n = 0 };
    char *large = make_bytes(BLOB_CHUNKED_MAX + 1, 1), path[PLACE_PATH_MAX];
    struct error error = { "" };
    struct stat before, after;
    char blob[PLACE_PATH_MAX];

    make_file(f, "src/small", "small", 0644);
    path_in(f, "src/large", path);
    write_file(path, large, BLOB_CHUNKED_MAX + 1);
    assert_int_equal(stat(path, &before), 0);
    path_in(f, "src", path);
    assert_int_equal(tree_keep(f->blobs, path, NULL, 0, true, 0, &t, &error), 0);
    assert_paths(&t, "large:644 small:644 ");
    assert_int_equal(count_in(f, "src"), 0);
    blob_file(f, &t.entries[0].id, blob);
    assert_int_equal(stat(blob, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    free(large);
}

static void test_too_large(void **state)
{
    struct fixture *f = *state;
    struct tree t = { .n = 0 };
    struct error error = { "" };
    char path[PLACE_PATH_MAX];

    make_source(f);
    path_in(f, "src", path);
    assert_int_equal(tree_keep(f->blobs, path, NULL, 0, false, 22, &t, &error), -E2BIG);
    assert_non_null(
        strstr(error.text, "more than 22; the largest: bin/run (10 bytes)"));
    assert_int_equal(tree_keep(f->blobs, path, NULL, 0, false, 23, &t, &error), 0);
    tree_release(&t);
}

static void test_what_cannot_be_kept(void **state)
{
    static const char *const targets[] = { "/etc/passwd", "../../x", "a/../b" };
    struct fixture *f = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct tree t = { .n = 0 };
    char path[PLACE_PATH_MAX];
    struct error error = { "" };
    int fd;

    make_file(f, "src/a", "a", 0644);
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        make_link(f, "src/l", targets[i]);
        assert_int_equal(keep(f, NULL, 0, &t, &error), -EINVAL);
        assert_non_null(strstr(error.text, targets[i]));
        path_in(f, "src/l", path);
        unlink(path);
    }
    path_in(f, "src/s", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(keep(f, NULL, 0, &t, &error), -EINVAL);
    assert_non_null(strstr(error.text, "a pipe"));
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(keep(f, NULL, 0, &t, &error), -EINVAL);
    assert_non_null(strstr(error.text, "a socket"));
    close(fd);
}

/* A manifest from outside whose link leads out is not laid out, nor one that lies. */
static void test_hostile_lay_out(void **state)
{
    struct fixture *f = *state;
    struct digest out, missing = digest_memory("?", 1);
    struct error error = { "" };
    char path[PLACE_PATH_MAX];

    assert_int_equal(blobs_put(f->blobs, "../../etc", 9, &out), 0);
    path_in(f, "out", path);
    for (int i = 0; i < 4; i++) {
        CLEANUP(tree_release) struct tree t = { .n = 0 };

        tree_add(&t, strdup("a/l"), i == 2 ? 0644 : 0,
                 i == 1   ? 8
                 : i == 2 ? 10
                          : 9,
                 i == 3 ? &missing : &out);
        assert_int_equal(tree_lay_out(f->blobs, &t, path, false, &error),
                         i == 3 ? -ENOENT : -EBADMSG);
        assert_non_null(strstr(error.text, "a/l"));
        fixture_erase(path);
    }
}

static int mark_tree(void *arg, struct gc *gc)
{
    int r = gc_mark_tree(gc, arg);

    return r < 0 ? r : gc_mark_tree(gc, arg);
}

static void test_gc_keeps_what_a_tree_names(void **state)
{
    struct fixture *f = *state;
    CLEANUP(tree_release) struct tree t = { .n = 0 };
    struct error error = { "" };
    struct gc_report report;
    struct digest id, other;

    make_source(f);
    assert_int_equal(keep(f, NULL, 0, &t, &error), 0);
    assert_int_equal(tree_put(f->blobs, &t, &id), 0);
    assert_int_equal(blobs_put(f->blobs, "garbage", 7, &other), 0);
    assert_int_equal(gc_run(f->blobs, mark_tree, &id, false, &report), 0);
    assert_int_equal(report.n_kept, 6);
    assert_int_equal(report.n_freed, 1);
    for (size_t i = 0; i < t.n; i++)
        assert_int_equal(blobs_verify(f->blobs, &t.entries[i].id, 1), 0);
    /* What is no tree stops it, one that is lost does not. */
    assert_int_equal(gc_run(f->blobs, mark_tree, &t.entries[0].id, false, &report),
                     -EBADMSG);
    assert_int_equal(gc_run(f->blobs, mark_tree, &other, true, &report), 0);
    assert_int_equal(report.n_freed, 6);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_refused_manifests),
        cmocka_unit_test(test_good_manifests),
        cmocka_unit_test(test_targets),
        TEST(test_there_and_back),
        TEST(test_chosen_paths),
        TEST(test_taking),
        TEST(test_too_large),
        TEST(test_what_cannot_be_kept),
        TEST(test_hostile_lay_out),
        TEST(test_gc_keeps_what_a_tree_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
