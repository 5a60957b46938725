/* SPDX-License-Identifier: Apache-2.0 */
#include "node/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "node/ignore.h"
#include "tests/unit/unit.h"

static void patterns_match_as_in_git(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        { "*.o", "a.o", true },
        { "*.o", "a.oo", false },
        { "*.o", "b/a.o", false },
        { "?", "a", true },
        { "?", "/", false },
        { "?", "", false },
        { "[a-c]x", "bx", true },
        { "[a-c]x", "dx", false },
        { "[!a-c]x", "dx", true },
        { "[^a-c]x", "bx", false },
        { "[]]", "]", true },
        { "[", "[", true },
        { "[a", "[a", true },
        { "\\*", "*", true },
        { "\\*", "a", false },
        { "**/foo", "foo", true },
        { "**/foo", "a/b/foo", true },
        { "**/foo", "a/xfoo", false },
        { "a/**/b", "a/b", true },
        { "a/**/b", "a/x/y/b", true },
        { "a/**/b", "a/xb", false },
        { "a/**", "a/x/y", true },
        { "a/**", "a", false },
        { "a/*/c", "a/b/c", true },
        { "a/*/c", "a/b/b/c", false },
        { "*a*b*c", "xxaxxbxxbc", true },
        { "*a*b*c", "xxaxxcxxb", false },
        { "**/a*/b", "x/ay/z/ab/b", true },
        { "a**b", "axxb", true },
        { "a**b", "a/b", false },
        { "*", "", true },
        { "", "", true },
        { "**/*.mf", "deep/er/x.mf", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (ignore_glob(cases[i].pattern, cases[i].path) != cases[i].matches)
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].path);
}

static void hard_patterns_are_fast(void **state)
{
    char path[4096];

    (void)state;
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_false(ignore_glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path));
}

static void rules_decide_in_their_order(void **state)
{
    static const char top[] = "# comment\n\n*.log\n!keep.log\nbuild/\n/only-top\n"
                              "docs/*.pdf\n\\#odd\ntrailing   \r\n\\!bang\n";
    static const char nested[] = "!*.log\n/here\n";
    static const struct {
        const char *path;
        bool is_folder, is_ignored;
    } cases[] = {
        { "a.log", false, true },         { "x/a.log", false, true },
        { "keep.log", false, false },     { "build", true, true },
        { "build", false, false },        { "x/build", true, true },
        { "only-top", false, true },      { "x/only-top", false, false },
        { "docs/a.pdf", false, true },    { "docs/x/a.pdf", false, false },
        { "x/docs/a.pdf", false, false }, { "#odd", false, true },
        { "# comment", false, false },    { "trailing", false, true },
        { "!bang", false, true },         { "sub/a.log", false, false },
        { "sub/here", false, true },      { "sub/x/here", false, false },
        { "here", false, false },         { "subway/a.log", false, true },
    };
    CLEANUP(ignore_release) struct ignore g = { .n = 0 };
    size_t before;

    (void)state;
    assert_int_equal(ignore_read(&g, "", top, strlen(top)), 0);
    before = g.n;
    assert_int_equal(ignore_read(&g, "sub/", nested, strlen(nested)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (ignore_matches(&g, cases[i].path, cases[i].is_folder)
            != cases[i].is_ignored)
            fail_msg("%s", cases[i].path);
    ignore_cut(&g, before);
    assert_true(ignore_matches(&g, "sub/a.log", false));
}

static void secrets_are_known_by_name(void **state)
{
    static const char *const secret[] = {
        ".git/config",      "a/.env", ".env.local", "key.pem",       "x/id_rsa",
        ".aws/credentials", ".git",   "a/b/c.pem",  "id_ed25519.pub"
    };
    static const char *const open[] = { "git",       "env",        "pem",
                                        "a/pem.txt", ".gitignore", "valid_x" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
        if (!package_is_secret(secret[i]))
            fail_msg("%s", secret[i]);
    for (size_t i = 0; i < ARRAY_SIZE(open); i++)
        if (package_is_secret(open[i]))
            fail_msg("%s", open[i]);
}

static void links_stay_inside(void **state)
{
    (void)state;
    assert_true(package_link_is_inside("a", "b"));
    assert_true(package_link_is_inside("x/a", "../b"));
    assert_false(package_link_is_inside("a", "../b"));
    assert_false(package_link_is_inside("x/a", "../../b"));
    assert_false(package_link_is_inside("a", "/etc/passwd"));
    assert_false(package_link_is_inside("x/a", "y/../../../b"));
    assert_false(package_link_is_inside("a", ""));
}

/* ---- folders ---- */

static char folder[64];

static int begin(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mesh-unit.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void make(const char *path, const char *text)
{
    CLEANUP(freep) char *full = NULL;
    FILE *f;

    assert_true(asprintf(&full, "%s/%s", folder, path) > 0);
    for (char *slash = full + strlen(folder) + 1; (slash = strchr(slash, '/'));) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash++ = '/';
    }
    f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void make_link(const char *path, const char *target)
{
    CLEANUP(freep) char *full = NULL;

    assert_true(asprintf(&full, "%s/%s", folder, path) > 0);
    assert_int_equal(symlink(target, full), 0);
}

static void check(struct package_rules rules, const char *wanted, size_t n_links_out)
{
    CLEANUP(package_release) struct package p = { .n = 0 };
    CLEANUP(buffer_release) struct buffer got = BUFFER_INIT;
    struct error e = { .text = "" };

    rules.dir = folder;
    rules.flow_name = "flow.mf";
    assert_int_equal(package_collect(&rules, &p, &e), 0);
    for (size_t i = 0; i < p.n; i++)
        buffer_printf(&got, "%s ", p.files[i].path);
    assert_string_equal(buffer_text(&got), wanted);
    assert_int_equal(p.n_links_out, n_links_out);
}

static void a_folder_is_walked_by_its_rules(void **state)
{
    char *const exclude[] = { "*.csv", "sub/deep", NULL };
    char *const include[] = { "out", ".env", NULL };
    char data[80];

    (void)state;
    make("flow.mf", "mesh: 1\n");
    make("b.sh", "");
    make("a.csv", "");
    make(".gitignore", "out/\n*.tmp\n");
    make("x.tmp", "");
    make("out/big", "");
    make("out/more/big", "");
    make("sub/.meshignore", "!x.tmp\nnot-me\n");
    make("sub/x.tmp", "");
    make("sub/not-me", "");
    make("sub/deep/file", "");
    make("home/store/data", "");
    make(".env", "");
    make(".aws/credentials", "");
    make_link("link", "sub/x.tmp");
    make_link("leaves", "/etc/passwd");
    snprintf(data, sizeof(data), "%s/home", folder);

    check((struct package_rules){ .data_dir = data },
          ".gitignore a.csv b.sh flow.mf link sub/.meshignore sub/deep/file sub/x.tmp ",
          1);
    check((struct package_rules){ .data_dir = data, .exclude = exclude },
          ".gitignore b.sh flow.mf link sub/.meshignore sub/x.tmp ", 1);
    check(
        (struct package_rules){
            .data_dir = data, .exclude = exclude, .include = include },
        ".gitignore b.sh flow.mf link out/big out/more/big sub/.meshignore sub/x.tmp ",
        1);
    check((struct package_rules){ .data_dir = data,
                                  .exclude = (char *[]){ "*", NULL } },
          "flow.mf ", 0);
}

static void what_git_tracks_is_what_goes_along(void **state)
{
    char command[512];

    (void)state;
    make("flow.mf", "mesh: 1\n");
    make("tracked.sh", "");
    make("gone.sh", "");
    make("untracked.sh", "");
    make("id_rsa", "");
    snprintf(command, sizeof(command),
             "cd '%s' && git init -q . && git add flow.mf tracked.sh gone.sh id_rsa "
             "&& rm gone.sh",
             folder);
    if (system(command) != 0)
        skip(); /* there is no git here */
    check((struct package_rules){ .dir = NULL }, "flow.mf tracked.sh ", 0);
    check((struct package_rules){ .include = (char *[]){ "untracked.sh", NULL } },
          "flow.mf tracked.sh untracked.sh ", 0);
}

static void too_much_is_refused(void **state)
{
    CLEANUP(freep) char *path = NULL;
    struct package_rules rules = { .dir = folder, .flow_name = "flow.mf" };
    struct error e = { .text = "" };
    struct package p;

    (void)state;
    make("flow.mf", "mesh: 1\n");
    make("small", "x");
    make("huge", "");
    assert_true(asprintf(&path, "%s/huge", folder) > 0);
    assert_int_equal(truncate(path, PACKAGE_BYTES_MAX), 0);
    assert_int_equal(package_collect(&rules, &p, &e), -E2BIG);
    assert_non_null(strstr(e.text, "huge (50.0 MiB), flow.mf"));
    assert_non_null(strstr(e.text, "package: {exclude"));
    assert_int_equal(truncate(path, PACKAGE_BYTES_MAX - 9), 0);
    assert_int_equal(package_collect(&rules, &p, &e), 0);
    assert_non_null(package_find(&p, "huge"));
    assert_null(package_find(&p, "hug"));
    package_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_git),
        cmocka_unit_test(hard_patterns_are_fast),
        cmocka_unit_test(rules_decide_in_their_order),
        cmocka_unit_test(secrets_are_known_by_name),
        cmocka_unit_test(links_stay_inside),
        cmocka_unit_test_setup_teardown(a_folder_is_walked_by_its_rules, begin, end),
        cmocka_unit_test_setup_teardown(what_git_tracks_is_what_goes_along, begin, end),
        cmocka_unit_test_setup_teardown(too_much_is_refused, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
