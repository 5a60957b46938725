/* SPDX-License-Identifier: Apache-2.0 */
#include "node/warm_group.h"

#include <errno.h>
#include <string.h>

#include "flow/names.h"
#include "flow/text.h"

enum { FILES_BYTES_MAX = 120 << 10 }; /* of MESH_WARM, which is one variable */

/* ---- its steps ---- */

bool warm_step(const struct step *s)
{
    return s->action == STEP_PYTHON && s->is_warm;
}

/* Nothing but the steps' own variables can differ within a run. */
static bool is_same_environment(const struct step *a, const struct step *b)
{
    if (a->n_environment != b->n_environment)
        return false;
    for (size_t i = 0; i < a->n_environment; i++)
        if (strcmp(a->environment[i].name, b->environment[i].name) != 0
            || strcmp(a->environment[i].value, b->environment[i].value) != 0)
            return false;
    return true;
}

bool warm_group_serves(const struct warm_group *g, const struct step *s)
{
    return warm_step(s) && is_same_environment(&g->run->flow->steps[g->step], s);
}

bool warm_is_worth(const struct flow *flow, const struct step *first)
{
    unsigned n = 0;

    for (uint32_t i = 0; n < 2 && i < flow->n_all_steps; i++) {
        const struct step *s = &flow->steps[i];

        if (warm_step(s) && is_same_environment(first, s))
            n += flow->scopes[s->scope].depth > 0 ? 2 : 1;
    }
    return n >= 2;
}

struct warm_group *warm_group_new(struct run_context *run, uint32_t step,
                                  uint32_t n_slots)
{
    struct warm_group *g = calloc(1, sizeof(*g));

    if (g)
        g->waiting = calloc(n_slots, sizeof(*g->waiting));
    if (!g || !g->waiting) {
        free(g);
        return NULL;
    }
    g->run = run;
    g->step = step;
    g->state = WARM_COLD;
    g->server = WARM_SERVER_NONE;
    g->beside = WARM_NO_SLOT;
    g->n_places = n_slots;
    return g;
}

void warm_group_free(struct warm_group *g)
{
    cgroup_slot_close(&g->server.cgroup);
    free(g->waiting);
    free(g);
}

/* ---- its server's variables ---- */

static int list_files(const struct warm_group *g, struct buffer *out)
{
    const struct flow *f = g->run->flow;
    CLEANUP(names_release) struct names names = { NULL };
    const char *comma = "";

    buffer_puts(out, "MESH_WARM=[");
    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        const char *file = f->steps[i].python_file;

        if (!warm_group_serves(g, &f->steps[i]) || names_add(&names, file, i) < 0)
            continue;
        buffer_puts(out, comma);
        text_write_json(file, strlen(file), out);
        comma = ",";
    }
    buffer_putc(out, ']');
    if (buffer_failed(out))
        return buffer_failed(out);
    return out->len > FILES_BYTES_MAX ? -E2BIG : 0;
}

/* The step's variables, without what differs from step to step. */
int warm_group_variables(const struct warm_group *g, const struct step_launch *l,
                         struct variables *ret)
{
    CLEANUP(buffer_release) struct buffer files = BUFFER_INIT;
    int r = list_files(g, &files);

    if (r == 0)
        r = variables_copy(&l->env, ret);
    if (r < 0)
        return r;
    variables_unset(ret, "MESH_STEP");
    variables_unset(ret, "MESH_PYTHON");
    r = variables_set(ret, buffer_take(&files));
    return r < 0 ? r : variables_printf(ret, "MESH_TOKEN=%s", g->server.token);
}

/* ---- the queue ---- */

static uint32_t *place(const struct warm_group *g, uint32_t i)
{
    return &g->waiting[(g->head + i) % g->n_places];
}

uint32_t warm_group_at(const struct warm_group *g, uint32_t i)
{
    return *place(g, i);
}

void warm_group_add(struct warm_group *g, uint32_t slot)
{
    *place(g, g->n++) = slot;
}

uint32_t warm_group_take(struct warm_group *g)
{
    uint32_t slot = *place(g, 0);

    g->head = (g->head + 1) % g->n_places;
    g->n--;
    if (g->n_sent)
        g->n_sent--;
    return slot;
}

void warm_group_remove(struct warm_group *g, uint32_t i)
{
    for (; i + 1 < g->n; i++)
        *place(g, i) = *place(g, i + 1);
    g->n--;
}
