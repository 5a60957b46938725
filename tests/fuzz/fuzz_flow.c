/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a flow file: read, complained about, written, its parameters resolved.
 */
#include "flow/parameters.h"
#include "flow/read.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct flow *flow, struct diagnostics *d, struct buffer *out)
{
    char **values = NULL;

    flow_write_dot(flow, out);
    flow_write_json(flow, out);
    flow_write_text(flow, out);
    for (uint32_t i = 0; i < flow->n_steps; i++) {
        const struct step *step = &flow->steps[i];

        assert(flow_find_step(flow, step->name) == i);
        assert(step->scope < flow->n_scopes);
        for (uint32_t k = 0; k < step->n_before; k++) {
            assert(!k || step->before[k - 1] < step->before[k]);
            assert(flow_edge_kind(flow, step->before[k], i));
        }
    }
    for (uint32_t s = 1; s < flow->n_scopes; s++)
        assert(flow->scopes[s].closer < flow->n_steps);
    if (parameters_resolve(flow, NULL, 0, &values, d))
        return;
    for (size_t i = 0; i < flow->n_environment; i++)
        free(parameters_substitute(flow, values, flow->environment[i].value));
    parameters_free(flow, values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    int r = flow_read((const char *)data, size, &flow, &d);

    assert(!r == !!flow);
    assert(r != -EINVAL || diagnostics_errors(&d));
    if (flow)
        use(flow, &d, &out);
    diagnostics_print(&d, "flow.mf", false, &out);
    diagnostics_print(&d, "flow.mf", true, &out);
    return 0;
}
