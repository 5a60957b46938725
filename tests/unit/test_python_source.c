/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "base/macros.h"
#include "flow/python_source.h"

static const char source[] = "#!/usr/bin/env python3\n"
                             "\"\"\"def quoted(): no, but who can tell\"\"\"\n"
                             "from tools import (  # several\n"
                             "    one,\n"
                             "    two as deux,\n"
                             ")\n"
                             "import numpy as np, os\n"
                             "import_me = 1\n"
                             "first = second = lambda self: 1\n"
                             "typed: Callable[..., None] = first\n"
                             "left, right = 1, 2\n"
                             "if sys.version_info > (3, 12):\n"
                             "    def branched(self):\n"
                             "        return 1\n"
                             "\r\n"
                             "@decorated\n"
                             "def train(self):\n"
                             "    inner = 1\n"
                             "    def nested():\n"
                             "        pass\n"
                             "async  def waits(self): ...\n"
                             "def generic[T](self): ...\n"
                             "class Model:\n"
                             "    def method(self): ...\n"
                             "def stra\xc3\x9f(self): ...\n"
                             "value == compared\n"
                             "print(shown)";

static bool has(const char *name)
{
    return python_source_may_define(source, sizeof(source) - 1, name);
}

static void test_names_of_the_module_are_found(void **state)
{
    static const char *const names[] = {
        "one",     "deux",  "np",       "os",           "import_me", "first",
        "second",  "typed", "left",     "right",        "train",     "waits",
        "generic", "Model", "branched", "stra\xc3\x9f",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!has(names[i]))
            fail_msg("%s was not found", names[i]);
}

static void test_other_names_are_not(void **state)
{
    static const char *const names[] = { "inner",  "nested", "method", "shown",
                                         "self",   "trai",   "trains", "compared",
                                         "quoted", "gr" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (has(names[i]))
            fail_msg("%s was found", names[i]);
}

static void test_what_cannot_be_seen_is_believed(void **state)
{
    static const char *const texts[] = { "from steps import *\n",
                                         "globals()['f'] = g\n",
                                         "exec(open('x').read())",
                                         "def __getattr__(name): ...\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_true(python_source_may_define(texts[i], strlen(texts[i]), "f"));
    assert_false(python_source_may_define("", 0, "f"));
    assert_false(python_source_may_define("\n\n f = 1\n", 8, "f"));
}

static void test_the_nearest_function_is_named(void **state)
{
    char name[PYTHON_NAME_SIZE];

    (void)state;
    assert_true(python_source_nearest(source, sizeof(source) - 1, "tarin", name));
    assert_string_equal(name, "train");
    assert_true(python_source_nearest(source, sizeof(source) - 1, "branchd", name));
    assert_string_equal(name, "branched");
    assert_false(python_source_nearest(source, sizeof(source) - 1, "zzz", name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_the_module_are_found),
        cmocka_unit_test(test_other_names_are_not),
        cmocka_unit_test(test_what_cannot_be_seen_is_believed),
        cmocka_unit_test(test_the_nearest_function_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
