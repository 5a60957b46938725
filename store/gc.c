/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gc.h"

#include <errno.h>

#include "store/blobs_internal.h"
#include "store/digest_set.h"
#include "store/tree.h"

struct gc {
    struct blobs *blobs;
    struct digest_set marked, trees;
};

int gc_mark(struct gc *gc, const struct digest *id)
{
    int r = digest_set_add(&gc->marked, id);

    return r < 0 ? r : 0;
}

int gc_mark_tree(struct gc *gc, const struct digest *id)
{
    CLEANUP(tree_release) struct tree tree = { .n = 0 };
    int r = digest_set_add(&gc->trees, id);

    if (r == 1)
        r = gc_mark(gc, id);
    else
        return r;
    if (r == 0)
        r = tree_get(gc->blobs, id, &tree);
    if (r == -ENOENT)
        return 0;
    for (size_t i = 0; r == 0 && i < tree.n; i++)
        r = gc_mark(gc, &tree.entries[i].id);
    return r;
}

static bool is_marked(void *arg, const struct digest *id)
{
    const struct gc *gc = arg;

    return digest_set_has(&gc->marked, id);
}

static bool is_unmarked(void *arg, const struct digest *id)
{
    return !is_marked(arg, id);
}

static int begin(struct gc *gc, struct blobs *b, gc_mark_fn *mark, void *arg)
{
    int r = blob_watch(b);

    if (r < 0)
        return r;
    *gc = (struct gc){ .blobs = b, .marked.n_max = GC_MARKED_MAX };
    return mark(arg, gc);
}

static void end(struct gc *gc)
{
    if (!gc->blobs)
        return;
    blob_watch_end(gc->blobs);
    digest_set_release(&gc->marked);
    digest_set_release(&gc->trees);
}

int gc_run(struct blobs *b, gc_mark_fn *mark, void *arg, bool dry_run,
           struct gc_report *ret_report)
{
    struct gc gc = { .blobs = NULL };
    int r = begin(&gc, b, mark, arg);

    if (r == 0)
        r = blobs_sweep(b, is_marked, &gc, dry_run, ret_report);
    end(&gc);
    return r;
}

int gc_evict(struct blobs *b, gc_mark_fn *mark, void *arg, uint64_t target_bytes,
             uint64_t *ret_freed_bytes)
{
    struct gc gc = { .blobs = NULL };
    int r = begin(&gc, b, mark, arg);

    if (r == 0)
        r = blobs_evict(b, target_bytes, is_unmarked, &gc, ret_freed_bytes);
    end(&gc);
    return r;
}
