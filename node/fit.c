/* SPDX-License-Identifier: Apache-2.0 */
#include "node/fit.h"

#include <inttypes.h>
#include <string.h>

struct bound {
    uint64_t amount;
    const char *whose; /* for messages */
};

static struct bound bound_of(uint64_t has, uint64_t may)
{
    if (may && may < has)
        return (struct bound){ may, "its user may have" };
    return (struct bound){ has, "this node has" };
}

static void cut_cpu(struct step *s, struct bound b, struct diagnostics *d)
{
    uint64_t *asks = &s->resources.cpu_milli;

    if (*asks <= b.amount)
        return;
    diagnostics_add(d, SEVERITY_NOTE, s->line, s->column, 0, NULL,
                    "step '%s' asks for %g cpus, %s %g: it gets these", s->name,
                    (double)*asks / 1000, b.whose, (double)b.amount / 1000);
    *asks = b.amount;
}

static void cut_memory(struct step *s, struct bound b, struct diagnostics *d)
{
    uint64_t *asks = &s->resources.memory_bytes;

    if (*asks <= b.amount)
        return;
    diagnostics_add(d, SEVERITY_NOTE, s->line, s->column, 0, NULL,
                    "step '%s' asks for %" PRIu64 " MiB of memory, %s %" PRIu64
                    ": it gets these",
                    s->name, *asks >> 20, b.whose, b.amount >> 20);
    *asks = b.amount;
}

static void check_disk(const struct step *s, const struct resources *has,
                       struct diagnostics *d)
{
    if (s->resources.disk_bytes > has->disk_bytes)
        diagnostics_add(d, SEVERITY_ERROR, s->line, s->column, 0, NULL,
                        "step '%s' asks for %" PRIu64
                        " MiB of disk, this node has %" PRIu64,
                        s->name, s->resources.disk_bytes >> 20, has->disk_bytes >> 20);
}

static void check_gpu(const struct step *s, struct bound b, struct diagnostics *d)
{
    if (s->resources.gpu_milli > b.amount)
        diagnostics_add(d, SEVERITY_ERROR, s->line, s->column, 0, NULL,
                        "step '%s' asks for gpu: %g, and %s %g of them", s->name,
                        (double)s->resources.gpu_milli / 1000, b.whose,
                        (double)b.amount / 1000);
}

static uint64_t custom_of(const struct resources *has, char *const *names,
                          const char *name)
{
    for (uint32_t i = 0; i < has->n_custom; i++)
        if (strcmp(names[has->custom[i].name], name) == 0)
            return has->custom[i].milli;
    return 0;
}

static void check_custom(const struct flow *flow, const struct step *s,
                         const struct resources *has, char *const *names,
                         struct diagnostics *d)
{
    for (uint32_t i = 0; i < s->resources.n_custom; i++) {
        const char *name = flow->custom_names[s->resources.custom[i].name];
        uint64_t asks = s->resources.custom[i].milli;
        uint64_t there = custom_of(has, names, name);

        if (asks > there && !there)
            diagnostics_add(d, SEVERITY_ERROR, s->line, s->column, 0,
                            "a node has what mesh.conf or --resource NAME=N says",
                            "step '%s' asks for the custom resource '%s', and this "
                            "node has none",
                            s->name, name);
        else if (asks > there)
            diagnostics_add(d, SEVERITY_ERROR, s->line, s->column, 0, NULL,
                            "step '%s' asks for %g of the custom resource '%s', and "
                            "this node has %g",
                            s->name, (double)asks / 1000, name, (double)there / 1000);
    }
}

void fit_flow(struct flow *flow, const struct resources *has, char *const *custom_names,
              const struct user_limits *limits, struct diagnostics *d)
{
    for (uint32_t i = 0; i < flow->n_all_steps; i++) {
        struct step *s = &flow->steps[i];

        cut_cpu(s, bound_of(has->cpu_milli, limits->max_cpu_milli), d);
        cut_memory(s, bound_of(has->memory_bytes, limits->max_memory_bytes), d);
        check_disk(s, has, d);
        check_gpu(s, bound_of(has->gpu_milli, limits->max_gpu_milli), d);
        check_custom(flow, s, has, custom_names, d);
    }
}
