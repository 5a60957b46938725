/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/read.h"

#include "flow/check.h"

#include <errno.h>

static struct flow *flow_new(void)
{
    CLEANUP(flow_unrefp) struct flow *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->refs = 1;
    f->arena = arena_new();
    f->names = f->arena ? arena_alloc(f->arena, sizeof(*f->names)) : NULL;
    return f->names ? TAKE(f) : NULL;
}

static int read_document(struct check *c, const char *text, size_t len)
{
    int r = document_read(&c->doc, text, len, c->d);

    if (r < 0)
        return r;
    if (c->doc.root)
        check_flow(c);
    diagnostics_excerpts(c->d, c->doc.text, c->doc.len);
    return c->error;
}

static void check_release(struct check *c)
{
    names_release(&c->parameters);
    names_release(&c->custom);
    document_release(&c->doc);
}

int flow_read(const char *text, size_t len, struct flow **ret_flow,
              struct diagnostics *d)
{
    CLEANUP(flow_unrefp) struct flow *f = NULL;
    CLEANUP(check_release) struct check c = { .d = d };
    size_t errors = diagnostics_errors(d);
    int r;

    if (len > FLOW_TEXT_MAX)
        return -E2BIG;
    f = flow_new();
    if (!f)
        return -ENOMEM;
    c.flow = f;
    c.arena = f->arena;
    r = read_document(&c, text, len);
    if (r < 0)
        return r;
    diagnostics_sort(d);
    if (diagnostics_errors(d) > errors)
        return -EINVAL;
    *ret_flow = TAKE(f);
    return 0;
}
