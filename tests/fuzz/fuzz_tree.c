/* SPDX-License-Identifier: Apache-2.0 */
/* What tree_decode() accepts is in its one form and keeps the rules. */
#include <assert.h>
#include <string.h>

#include "store/tree_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(tree_release) struct tree t = { .n = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    if (size && data[0] == '/')
        (void)tree_is_inside("a/b/link", (const char *)data + 1, size - 1);
    if (tree_decode((const char *)data, size, &t) < 0)
        return 0;
    for (size_t i = 0; i < t.n; i++)
        assert(tree_is_path(t.entries[i].path) && t.entries[i].path[0] != '/');
    assert(tree_encode(&t, &out) == 0);
    assert(out.len == size && memcmp(out.data, data, size) == 0);
    return 0;
}
