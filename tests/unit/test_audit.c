/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: what is written comes back, and what is not what was written is
 * found. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/audit_log.h"

/* ---- a file, as text ---- */

struct trace {
    struct buffer text;
    size_t n_faults;
};

static int each(void *arg, const struct audit_entry *e, enum audit_fault fault)
{
    struct trace *t = arg;

    t->n_faults += fault != AUDIT_GOOD;
    if (fault)
        buffer_printf(&t->text, "%" PRIu64 " %s\n", e->number,
                      audit_fault_sentence(fault));
    else
        buffer_printf(&t->text, "%" PRIu64 " %s %s %s\n", e->number, e->user, e->verb,
                      e->about);
    return 0;
}

static void add_line(struct audit_chain *chain, struct buffer *out, const char *verb)
{
    struct audit_entry e = { .wall = 7,
                             .verdict = AUDIT_DONE,
                             .way = AUDIT_BY_SOCKET,
                             .verb = verb,
                             .user = "ann",
                             .about = "run \"1\"\n" };

    assert_int_equal(audit_write(chain, &e, out), 0);
}

/* Four entries behind a head. */
static struct buffer make_file(struct audit_chain *ret)
{
    static const char *const verbs[] = { "submit", "cancel", "tag", "rm" };
    struct buffer file = BUFFER_INIT;

    audit_write_head(ret, &file);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        add_line(ret, &file, verbs[i]);
    return file;
}

static void assert_reads(const struct buffer *file, const char *wanted)
{
    struct audit_chain chain = { .number = 0 };
    struct trace t = { .text = BUFFER_INIT };

    assert_int_equal(audit_read(file->data, file->len, &chain, each, &t), 0);
    assert_string_equal(buffer_text(&t.text), wanted);
    buffer_release(&t.text);
}

static char *line_of(struct buffer *file, int n)
{
    char *at = file->data;

    while (n--)
        at = strchr(at, '\n') + 1;
    return at;
}

static void cut_line(struct buffer *file, int n)
{
    char *at = line_of(file, n), *next = strchr(at, '\n') + 1;

    memmove(at, next, file->len - (size_t)(next - file->data) + 1);
    file->len -= (size_t)(next - at);
}

static void test_comes_back(void **state)
{
    struct audit_chain chain = { .number = 0 };
    struct buffer file = make_file(&chain);

    (void)state;
    assert_reads(&file, "1 ann submit run \"1\"\n\n2 ann cancel run \"1\"\n\n"
                        "3 ann tag run \"1\"\n\n4 ann rm run \"1\"\n\n");
    assert_int_equal(chain.number, 4);
    buffer_release(&file);
}

static void test_changed_line(void **state)
{
    struct audit_chain chain = { .number = 0 };
    struct buffer file = make_file(&chain);

    (void)state;
    memcpy(strstr(file.data, "cancel"), "caNcel", 6);
    assert_reads(&file, "1 ann submit run \"1\"\n\n"
                        "2 it was changed, or what stood before it\n"
                        "3 ann tag run \"1\"\n\n4 ann rm run \"1\"\n\n");
    buffer_release(&file);
}

static void test_removed_line(void **state)
{
    struct audit_chain chain = { .number = 0 };
    struct buffer file = make_file(&chain);

    (void)state;
    cut_line(&file, 2);
    assert_reads(&file, "1 ann submit run \"1\"\n\n"
                        "2 entries before it are missing\n"
                        "4 ann rm run \"1\"\n\n");
    buffer_release(&file);
}

/* Whoever has the algorithm can make one line right, but not the ones behind it. */
static void test_forged_line(void **state)
{
    struct audit_chain chain = { .number = 0 }, forged = { .number = 0 };
    struct buffer file = make_file(&chain), other = BUFFER_INIT;
    struct buffer whole = BUFFER_INIT;

    (void)state;
    audit_write_head(&forged, &other);
    add_line(&forged, &other, "submit");
    add_line(&forged, &other, "forged");
    buffer_append(&whole, other.data, other.len);
    buffer_puts(&whole, line_of(&file, 3));
    assert_reads(&whole, "1 ann submit run \"1\"\n\n2 ann forged run \"1\"\n\n"
                         "3 it was changed, or what stood before it\n"
                         "4 ann rm run \"1\"\n\n");
    buffer_release(&file);
    buffer_release(&other);
    buffer_release(&whole);
}

static void test_each_bit(void **state)
{
    struct audit_chain end = { .number = 0 };
    struct buffer file = make_file(&end);

    (void)state;
    for (size_t i = 0; i < 8 * file.len; i++) {
        struct audit_chain chain = { .number = 0 };
        struct trace t = { .text = BUFFER_INIT };

        file.data[i / 8] = (char)(file.data[i / 8] ^ 1 << i % 8);
        assert_int_equal(audit_read(file.data, file.len, &chain, each, &t), 0);
        assert_true(t.n_faults > 0);
        file.data[i / 8] = (char)(file.data[i / 8] ^ 1 << i % 8);
        buffer_release(&t.text);
    }
    buffer_release(&file);
}

static void test_long_texts(void **state)
{
    struct audit_chain chain = { .number = 0 };
    struct buffer file = BUFFER_INIT;
    struct trace t = { .text = BUFFER_INIT };
    char text[4 * AUDIT_TEXT_MAX];
    struct audit_entry e = { .verdict = AUDIT_REFUSED,
                             .way = AUDIT_BY_TOKEN,
                             .verb = "submit",
                             .user = text,
                             .from = text,
                             .about = text,
                             .why = text };

    (void)state;
    memset(text, 1, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    audit_write_head(&chain, &file);
    assert_int_equal(audit_write(&chain, &e, &file), 0);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(audit_write(&chain, &e, &file), 0);
    chain = (struct audit_chain){ .number = 0 };
    assert_int_equal(audit_read(file.data, file.len, &chain, each, &t), 0);
    assert_int_equal(t.n_faults, 0);
    assert_int_equal(chain.number, 2);
    buffer_release(&t.text);
    buffer_release(&file);
}

/* ---- the gate ---- */

static void test_gate(void **state)
{
    struct audit_gate g = { .full_at = 0 };
    uint64_t unsaid = 99;
    time_us now = TIME_S(1000);
    int n = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        n += audit_gate_pass(&g, now, &unsaid);
    assert_int_equal(n, AUDIT_GATE_BURST);
    assert_int_equal(unsaid, 0);
    assert_true(audit_gate_pass(&g, now + TIME_S(1), &unsaid));
    assert_int_equal(unsaid, 1000 - AUDIT_GATE_BURST);
    assert_false(audit_gate_pass(&g, now + TIME_S(1), &unsaid));
}

/* ---- files ---- */

struct place {
    char dir[64], folder[80];
    struct audit_kept kept;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    strcpy(p->dir, "/tmp/mesh-audit.XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->folder, sizeof(p->folder), "%s/audit", p->dir);
    *state = p;
    return 0;
}

static int names_of(const struct place *p, char names[64][32])
{
    DIR *dir = opendir(p->folder);
    const struct dirent *d;
    int n = 0;

    while (dir && (d = readdir(dir)))
        if (d->d_name[0] != '.' && n < 64)
            snprintf(names[n++], 32, "%.31s", d->d_name);
    if (dir)
        closedir(dir);
    qsort(names, (size_t)n, 32, (int (*)(const void *, const void *))strcmp);
    return n;
}

static char *path_of(const struct place *p, int i)
{
    static char path[128];
    char names[64][32];

    assert_true(names_of(p, names) > i);
    snprintf(path, sizeof(path), "%s/%s", p->folder, names[i]);
    return path;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    char names[64][32];

    for (int n = names_of(p, names); n > 0; n--)
        unlink(path_of(p, 0));
    rmdir(p->folder);
    rmdir(p->dir);
    free(p);
    return 0;
}

static void add(struct audit_log *log, int n, const char *about)
{
    while (n--) {
        struct audit_entry e = { .wall = 1,
                                 .verdict = AUDIT_DONE,
                                 .way = AUDIT_BY_SOCKET,
                                 .verb = "submit",
                                 .about = about };

        assert_int_equal(audit_log_add(log, &e), 0);
    }
}

/* As a node that starts, writes some, syncs and ends. */
static void live(struct place *p, int n)
{
    struct audit_log *log = audit_log_new(p->dir, &p->kept);
    int fd;

    add(log, n, "");
    assert_int_equal(audit_log_fd(log, &fd, &p->kept), 0);
    close(fd);
    audit_log_free(log);
}

static size_t verify(const struct place *p, struct audit_report *ret)
{
    struct audit_log *log = audit_log_new(p->dir, &p->kept);

    assert_int_equal(audit_log_verify(log, ret), 0);
    audit_log_free(log);
    return ret->n_faults;
}

static void cut_file(const char *path, off_t by)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - by), 0);
}

static void test_lives(void **state)
{
    struct audit_report report;
    struct place *p = *state;

    for (int i = 0; i < 5; i++)
        live(p, 3);
    assert_int_equal(verify(p, &report), 0);
    assert_int_equal(report.n, 15);
    assert_int_equal(report.first, 1);
    assert_int_equal(report.last.number, 15);
    assert_int_equal(p->kept.last.number, 15);
}

/* The machine went down while a line was written that nobody was told of. */
static void test_torn_line(void **state)
{
    struct audit_report report;
    struct place *p = *state;
    struct audit_kept kept;

    live(p, 3);
    kept = p->kept;
    live(p, 1);
    p->kept = kept;
    cut_file(path_of(p, 0), 5);
    assert_int_equal(verify(p, &report), 0);
    live(p, 1);
    assert_int_equal(verify(p, &report), 0);
    assert_int_equal(report.n, 4);
}

static void test_cut_end(void **state)
{
    struct audit_report report;
    struct place *p = *state;

    live(p, 3);
    cut_file(path_of(p, 0), 100);
    assert_int_equal(verify(p, &report), 2);
    assert_string_equal(report.faults[0].text, "the end of its line is missing");
    assert_string_equal(report.faults[1].text, "entries before it are missing");
    live(p, 2); /* going on does not heal it */
    assert_int_equal(verify(p, &report), 2);
    assert_int_equal(report.last.number, 5);
}

static void test_all_gone(void **state)
{
    struct audit_report report;
    struct place *p = *state;

    live(p, 3);
    unlink(path_of(p, 0));
    assert_int_equal(verify(p, &report), 1);
    assert_string_equal(report.faults[0].text, "files before it are missing");
}

/* All was written anew, and is right in itself: the store knows better. */
static void test_written_anew(void **state)
{
    struct audit_report report;
    struct place *p = *state;
    struct audit_kept kept;

    live(p, 3);
    kept = p->kept;
    unlink(path_of(p, 0));
    p->kept = (struct audit_kept){ .first = 0 };
    {
        struct audit_log *log = audit_log_new(p->dir, &p->kept);

        add(log, 4, "forged");
        audit_log_free(log);
    }
    p->kept = kept;
    assert_int_equal(verify(p, &report), 1);
    assert_string_equal(report.faults[0].text,
                        "it is not the one that the store knows");
}

static void test_rotates(void **state)
{
    char text[AUDIT_TEXT_MAX], names[64][32];
    struct audit_report report;
    struct place *p = *state;
    struct audit_log *log = audit_log_new(p->dir, &p->kept);
    int fd;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    add(log, 70000, text);
    assert_in_range(names_of(p, names), AUDIT_FILES_MAX, AUDIT_FILES_MAX + 1);
    assert_int_equal(audit_log_verify(log, &report), 0);
    assert_int_equal(report.n_faults, 0);
    assert_true(report.first > 1);
    assert_int_equal(report.last.number, 70000);
    assert_int_equal(audit_log_fd(log, &fd, &p->kept), 0);
    close(fd);
    audit_log_free(log);
    assert_int_equal(verify(p, &report), 0);
    unlink(path_of(p, 2));
    assert_int_equal(verify(p, &report), 1);
}

static void test_not_readable_by_others(void **state)
{
    struct place *p = *state;
    struct stat st;

    live(p, 1);
    assert_int_equal(stat(p->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(path_of(p, 0), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_changed_line),
        cmocka_unit_test(test_removed_line),
        cmocka_unit_test(test_forged_line),
        cmocka_unit_test(test_each_bit),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_gate),
        cmocka_unit_test_setup_teardown(test_lives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_written_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rotates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_readable_by_others, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
