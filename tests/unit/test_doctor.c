/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "node/cli/doctor.h"

/* A machine on which nothing is wrong. */
static struct facts good(void)
{
    static struct conf nothing;

    return (struct facts){ .version = "1.2.3",
                           .conf = &nothing,
                           .kernel = "6.1.0",
                           .kernel_major = 6,
                           .kernel_minor = 1,
                           .has_tree_groups = true,
                           .has_memory_groups = true,
                           .files_hard = 1 << 20,
                           .processes_max = UINT64_MAX,
                           .machine_cpu_milli = 8000,
                           .machine_memory_bytes = (uint64_t)16 << 30,
                           .wall = 1795269600000000,
                           .has_sync_state = true,
                           .is_synchronised = true,
                           .dir = (char *)"/home/ann/.local/state/mesh",
                           .probed = (char *)"/home/ann/.local/state/mesh",
                           .has_dir = true,
                           .is_writable = true,
                           .mode = 0700,
                           .owner = 1000,
                           .uid = 1000,
                           .umask = 022,
                           .socket_len = 40,
                           .disk_bytes = (uint64_t)100 << 30,
                           .disk_free_bytes = (uint64_t)50 << 30,
                           .sync_us = 900,
                           .has_store = true,
                           .python = (char *)"/usr/bin/python3",
                           .python_version = "3.11.2",
                           .warm = "warm",
                           .has_sh = true,
                           .has_bash = true,
                           .has_diff = true,
                           .has_module = true,
                           .user = "ann" };
}

static enum health judge(const char *name, const struct facts *f, const char *text)
{
    for (const struct doctor_check *c = doctor_checks; c->name; c++) {
        CLEANUP(finding_release) struct finding found = { .health = HEALTH_OK };

        if (strcmp(c->name, name) != 0)
            continue;
        c->judge(f, &found);
        assert_true(found.text.len > 0);
        assert_int_equal(found.todo.len > 0, found.health != HEALTH_OK);
        if (text && !strstr(buffer_text(&found.text), text)
            && !strstr(buffer_text(&found.todo), text))
            fail_msg("%s: '%s' is not in '%s', '%s'", name, text,
                     buffer_text(&found.text), buffer_text(&found.todo));
        return found.health;
    }
    fail_msg("there is no check %s", name);
    return 0;
}

static void a_good_machine_passes_each(void **state)
{
    struct facts f = good();

    (void)state;
    buffer_puts(&f.groups, "process trees by cgroup v2");
    for (const struct doctor_check *c = doctor_checks; c->name; c++)
        if (judge(c->name, &f, NULL) != HEALTH_OK)
            fail_msg("%s is not OK", c->name);
    buffer_release(&f.groups);
}

/* One fact is wrong: one check says so. */
#define EXPECT(fact, value, check, wanted, text)                    \
    do {                                                            \
        struct facts f_ = good();                                   \
                                                                    \
        f_.fact = value;                                            \
        buffer_puts(&f_.groups, "groups");                          \
        assert_int_equal(judge(check, &f_, text), HEALTH_##wanted); \
        buffer_release(&f_.groups);                                 \
    } while (0)

static void each_fact_that_is_wrong_is_found(void **state)
{
    (void)state;
    EXPECT(kernel_minor, 0, "kernel", OK, NULL);
    EXPECT(kernel_major, 4, "kernel", FAIL, "5.4 is the oldest");
    EXPECT(kernel_major, 5, "kernel", FAIL, "5.4 is the oldest");
    EXPECT(has_tree_groups, false, "cgroups", WARN, "Delegate=yes");
    EXPECT(has_memory_groups, false, "cgroups", WARN, "RLIMIT_AS");
    EXPECT(group_memory_bytes, (uint64_t)2 << 30, "memory", WARN, "--memory 1843M");
    EXPECT(group_memory_bytes, (uint64_t)32 << 30, "memory", OK, NULL);
    EXPECT(group_cpu_milli, 1500, "processors", WARN, "--cpu 1.5");
    EXPECT(files_hard, 4096, "open files", WARN, "raise the hard limit to 10752");
    EXPECT(files_hard, 256, "open files", FAIL, NULL);
    EXPECT(processes_max, 1000, "processes", WARN, "pids.max");
    EXPECT(processes_max, 100, "processes", FAIL, "ulimit -u");
    EXPECT(wall, 86400000000, "clock", FAIL, "before 2024");
    EXPECT(is_synchronised, false, "clock", WARN, "chrony");
    EXPECT(has_sync_state, false, "clock", OK, "plausible");
}

static void the_data_folder_is_looked_at(void **state)
{
    struct facts f = good();

    (void)state;
    EXPECT(dir, NULL, "data folder", FAIL, "MESH_HOME");
    EXPECT(is_writable, false, "data folder", FAIL, "cannot be written to by ann");
    EXPECT(owner, 0, "data folder", FAIL, "belongs to user 0");
    EXPECT(mode, 0750, "data folder", FAIL, "chmod 700");
    EXPECT(socket_len, 107, "data folder", OK, NULL);
    EXPECT(socket_len, 108, "data folder", FAIL, "108 characters");
    EXPECT(has_dir, false, "data folder", OK, "made by the first run");
    EXPECT(disk_free_bytes, 1 << 30, "disk space", WARN, "mesh gc");
    EXPECT(disk_free_bytes, 1 << 20, "disk space", FAIL, "mesh gc");
    EXPECT(disk_files_free, 100, "disk space", WARN, "100 more files");
    EXPECT(sync_us, 30000, "disk speed", WARN, "30 ms");
    EXPECT(sync_us, 300000, "disk speed", WARN, "another one");
    EXPECT(sync_us, 0, "disk speed", OK, "could not be measured");
    EXPECT(has_reflink, true, "reflinks", OK, "shared");
    strcpy(f.file_system, "tmpfs");
    assert_int_equal(judge("file system", &f, "reboot"), HEALTH_WARN);
    strcpy(f.file_system, "overlayfs");
    assert_int_equal(judge("file system", &f, "mount a volume"), HEALTH_WARN);
    strcpy(f.remote.text, "it is on NFS");
    assert_int_equal(judge("file system", &f, "it is on NFS"), HEALTH_FAIL);
}

static void the_store_and_its_node_are_looked_at(void **state)
{
    struct facts f = good();

    (void)state;
    EXPECT(has_store, false, "store", OK, "nothing is in it yet");
    f.store_bytes = 95;
    f.quota_bytes = 100;
    assert_int_equal(judge("store", &f, "95 B of 100 B"), HEALTH_WARN);
    f.quota_bytes = 1000;
    assert_int_equal(judge("store", &f, "opens"), HEALTH_OK);
    f.is_held = true;
    strcpy(f.node_version, "1.2.2");
    assert_int_equal(judge("store", &f, "mesh 1.2.2 and this is 1.2.3"), HEALTH_WARN);
    strcpy(f.node_version, "1.2.3");
    assert_int_equal(judge("store", &f, "held by a node"), HEALTH_OK);
    strcpy(f.store.text, "another version");
    assert_int_equal(judge("store", &f, "another version"), HEALTH_FAIL);

    f = good();
    f.n_leftovers = 2;
    f.leftovers[0] = 41;
    f.leftovers[1] = 42;
    assert_int_equal(judge("leftovers", &f, "2 processes of an earlier node: 41 42"),
                     HEALTH_WARN);
    f.is_held = true;
    assert_int_equal(judge("leftovers", &f, NULL), HEALTH_OK);
}

static void programs_and_trust_are_told(void **state)
{
    struct conf conf = { .path = NULL };
    struct facts f = good();

    (void)state;
    EXPECT(python, NULL, "python", WARN, "install python3");
    EXPECT(has_bash, false, "programs", WARN, "bash");
    EXPECT(has_diff, false, "programs", WARN, "mesh diff --code");
    EXPECT(has_sh, false, "programs", FAIL, "/bin/sh");
    EXPECT(has_module, false, "programs", FAIL, "mesh-http.so");
    EXPECT(umask, 0, "umask", WARN, "umask 022");
    EXPECT(umask, 077, "umask", OK, "600");
    assert_int_equal(judge("python", &f, "3.11.2"), HEALTH_OK);
    strcpy(f.warm, "Operation not permitted");
    assert_int_equal(judge("python", &f, "Operation not permitted"), HEALTH_WARN);
    f.warm[0] = '\0';
    assert_int_equal(judge("python", &f, "cannot import"), HEALTH_WARN);
    strcpy(f.python_version, "3.8.1");
    assert_int_equal(judge("python", &f, "3.9 or later"), HEALTH_WARN);
    strcpy(f.python_version, "2.7.18");
    assert_int_equal(judge("python", &f, "3.9 or later"), HEALTH_WARN);
    f.python_version[0] = '\0';
    assert_int_equal(judge("python", &f, "does it work"), HEALTH_WARN);
    assert_int_equal(judge("trust", &f, "one trust domain, that of ann"), HEALTH_OK);
    f.conf = NULL;
    assert_int_equal(judge("mesh.conf", &f, "mesh.conf is wrong"), HEALTH_FAIL);
    f.conf = &conf;
    assert_int_equal(judge("mesh.conf", &f, "all that the machine"), HEALTH_OK);
    assert_int_equal(judge("trust", &f, "this user and root"), HEALTH_OK);
    f.mode = 0711;
    assert_int_equal(judge("data folder", &f, "chmod 700"), HEALTH_FAIL);
    conf.is_shared = true;
    assert_int_equal(judge("data folder", &f, NULL), HEALTH_OK);
    assert_int_equal(judge("trust", &f, "all users of this machine"), HEALTH_OK);
    f.uid = 0;
    assert_int_equal(judge("trust", &f, "as root"), HEALTH_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_machine_passes_each),
        cmocka_unit_test(each_fact_that_is_wrong_is_found),
        cmocka_unit_test(the_data_folder_is_looked_at),
        cmocka_unit_test(the_store_and_its_node_are_looked_at),
        cmocka_unit_test(programs_and_trust_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
