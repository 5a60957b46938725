/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as mesh.conf: read, or complained about. */
#include "node/conf.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(conf_unrefp) struct conf *c = conf_new();
    int r = conf_read(c, (const char *)data, size, &d);

    assert((r == -EINVAL) == (diagnostics_errors(&d) > 0));
    assert(c->n_custom <= RESOURCES_CUSTOM_MAX);
    for (size_t i = 0; i < c->sharing.n_users; i++)
        assert(c->sharing.users[i].name);
    if (r == 0)
        assert(sharing_of(&c->sharing, "ann"));
    diagnostics_print(&d, "mesh.conf", false, &out);
    return 0;
}
