/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "node/cgroup.h"

static const char hybrid[] =
    "21 27 0:20 / /proc rw,nosuid - proc proc rw\n"
    "30 27 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    "33 30 0:29 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"
    "34 30 0:30 / /sys/fs/cgroup/cpu rw shared:12 - cgroup cgroup rw,cpu,cpuacct\n";
static const char hybrid_own[] = "5:memory:/user.slice/me\n"
                                 "4:cpu,cpuacct:/\n"
                                 "1:name=systemd:/init.scope\n"
                                 "0::/user.slice/unit.service\n";

static void assert_folder(const char *mounts, const char *own, const char *controller,
                          const char *expected)
{
    char *folder = cgroup_own_folder(mounts, own, controller);

    if (expected)
        assert_string_equal(folder, expected);
    else
        assert_null(folder);
    free(folder);
}

static void test_both_versions_at_once(void **state)
{
    (void)state;
    assert_folder(hybrid, hybrid_own, NULL,
                  "/sys/fs/cgroup/unified/user.slice/unit.service");
    assert_folder(hybrid, hybrid_own, "memory", "/sys/fs/cgroup/memory/user.slice/me");
    assert_folder(hybrid, hybrid_own, "cpuacct", "/sys/fs/cgroup/cpu");
    assert_folder(hybrid, hybrid_own, "mem", NULL);
    assert_folder(hybrid, hybrid_own, "pids", NULL);
}

static void test_container_sees_its_own_part(void **state)
{
    static const char mounts[] =
        "33 30 0:29 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

    (void)state;
    assert_folder(mounts, "5:memory:/docker/ab\n", "memory", "/sys/fs/cgroup/memory");
    assert_folder(mounts, "5:memory:/docker/ab/x\n", "memory",
                  "/sys/fs/cgroup/memory/x");
    assert_folder(mounts, "5:memory:/other\n", "memory", NULL);
}

static void test_nonsense_is_nothing(void **state)
{
    (void)state;
    assert_folder("", "", NULL, NULL);
    assert_folder("x - \n - cgroup2\n\n", "0::/\n", NULL, NULL);
    assert_folder(hybrid, "0\n:\n0:\n", NULL, NULL);
}

static void test_slot_without_groups(void **state)
{
    struct cgroups none = { .v2 = NULL };
    struct cgroup_slot s;

    (void)state;
    cgroup_slot_open(&none, 7, &s);
    assert_false(cgroup_slot_is_populated(&s));
    assert_true(cgroup_slot_limit(&none, &s, 0));
    assert_false(cgroup_slot_limit(&none, &s, 1 << 20)); /* RLIMIT_AS has to serve */
    assert_false(cgroup_slot_had_oom(&s));
    cgroup_slot_kill(&s);
    cgroup_slot_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_versions_at_once),
        cmocka_unit_test(test_container_sees_its_own_part),
        cmocka_unit_test(test_nonsense_is_nothing),
        cmocka_unit_test(test_slot_without_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
