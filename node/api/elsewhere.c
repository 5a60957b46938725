/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/elsewhere.h"

#include <errno.h>
#include <microhttpd.h>

#include "node/runtime_members.h"
#include "store/tree.h"

static bool is_tree_here(struct blobs *b, const struct digest *id)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    uint64_t size;

    if (tree_get(b, id, &t) < 0)
        return false;
    for (size_t i = 0; i < t.n; i++)
        if (blobs_stat(b, &t.entries[i].id, &size) == -ENOENT)
            return false;
    return true;
}

bool elsewhere_want(struct request *r, const struct digest *id, bool is_tree)
{
    struct blobs *b = runtime_blobs(r->rt);
    struct elsewhere *e = &r->elsewhere;
    uint64_t size;

    if (!runtime_mesh(r->rt) || e->is_asked
        || (is_tree ? is_tree_here(b, id) : blobs_stat(b, id, &size) != -ENOENT))
        return false;
    e->is_wanted = true;
    e->id = *id;
    e->is_tree = is_tree;
    return true;
}

static void on_fetched(void *arg, int status)
{
    struct request *r = arg;

    r->elsewhere.fetch = 0;
    r->elsewhere.status = status;
    request_wake(r);
}

/* What cannot be had the work says in its own words. */
static int again(struct request *r)
{
    r->elsewhere.is_wanted = false;
    return REQUEST_WORK;
}

int elsewhere_end(struct request *r)
{
    struct elsewhere *e = &r->elsewhere;
    int error;

    if (e->is_asked)
        return e->fetch ? REQUEST_WAIT : again(r);
    e->is_asked = true;
    error = runtime_fetch(r->rt, &r->run, &e->id, e->is_tree, on_fetched, r, &e->fetch);
    if (error == 0)
        return REQUEST_WAIT;
    e->fetch = 0;
    return again(r);
}

void elsewhere_release(struct request *r)
{
    if (r->elsewhere.fetch)
        runtime_fetch_cancel(r->rt, r->elsewhere.fetch);
}
