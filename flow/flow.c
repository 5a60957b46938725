/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include "flow/arena.h"
#include "flow/names.h"
#include "flow/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct flow *flow_ref(struct flow *f)
{
    f->refs++;
    return f;
}

void flow_unref(struct flow *f)
{
    if (!f)
        return;
    assert(f->refs > 0);
    if (--f->refs)
        return;
    if (f->names)
        names_release(f->names);
    arena_free(f->arena);
    free(f);
}

uint32_t flow_find_step(const struct flow *f, const char *name)
{
    return names_find(f->names, name);
}

enum edge_kind flow_edge_kind(const struct flow *f, uint32_t from, uint32_t to)
{
    const struct step *a = &f->steps[from], *b = &f->steps[to];
    uint32_t scope = a->foreach.kind ? a->foreach.scope : a->scope;

    if (b->closes != FLOW_NONE && scope == b->closes)
        return EDGE_CLOSE;
    return a->scope == b->scope ? EDGE_SAME : EDGE_DOWN;
}

int flow_set_glob_items(struct flow *f, uint32_t step, char *const *paths, size_t n)
{
    struct foreach *foreach = &f->steps[step].foreach;
    char **items;

    assert(foreach->kind == FOREACH_GLOB && !foreach->items);
    items = arena_array(f->arena, n + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;

        text_write_json(paths[i], strlen(paths[i]), &json);
        if (buffer_failed(&json))
            return buffer_failed(&json);
        items[i] = arena_text(f->arena, json.data, json.len);
        if (!items[i])
            return -ENOMEM;
    }
    foreach->items = items;
    foreach->width = n;
    return 0;
}
