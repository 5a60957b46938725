/* SPDX-License-Identifier: Apache-2.0 */
/* Reads in the pool what somebody asked for. A part of a long blob can be checked only
 * with the digests of its leaves, which the store does not keep: they are hashed when
 * they are first asked for, unless they came with the blob, and remembered. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "node/exchange_internal.h"
#include "store/digest.h"

enum { MEASURE_THREADS = 2 };

struct giving {
    uv_work_t work;
    struct exchange *exchange;
    struct node_id to;
    struct give *give;
    struct download *download; /* of which a part is here; or NULL */
    struct leaf_list *leaves;  /* known before, or found */
    bool is_measuring;
    struct give_answer answer;
};

/* ---- digests of leaves ---- */

struct leaf_list *leaf_list_new(const struct digest *id, uint64_t size)
{
    uint64_t n = fetch_leaves(size);
    struct leaf_list *l = calloc(1, sizeof(*l) + n * sizeof(l->leaves[0]));

    if (!l)
        return NULL;
    l->id = *id;
    l->size = size;
    l->n = n;
    l->n_refs = 1;
    return l;
}

struct leaf_list *leaf_list_ref(struct leaf_list *l)
{
    l->n_refs++;
    return l;
}

void leaf_list_unref(struct leaf_list *l)
{
    if (l && --l->n_refs == 0)
        free(l);
}

static size_t bytes_of(const struct leaf_list *l)
{
    return sizeof(*l) + l->n * sizeof(l->leaves[0]);
}

static void leave_cache(struct exchange *x, struct leaf_list *l)
{
    HASH_DELETE(hh, x->leaves, l);
    x->leaves_bytes -= bytes_of(l);
    leaf_list_unref(l);
}

struct leaf_list *leaf_cache_find(struct exchange *x, const struct digest *id)
{
    struct leaf_list *l;

    HASH_FIND(hh, x->leaves, id->bytes, DIGEST_SIZE, l);
    if (!l)
        return NULL;
    HASH_DELETE(hh, x->leaves, l);
    HASH_ADD(hh, x->leaves, id.bytes, DIGEST_SIZE, l);
    if (l->hh.tbl)
        return l;
    x->leaves_bytes -= bytes_of(l);
    leaf_list_unref(l);
    return NULL;
}

void leaf_cache_add(struct exchange *x, struct leaf_list *l)
{
    if (bytes_of(l) > LEAF_CACHE_BYTES_MAX || leaf_cache_find(x, &l->id))
        return;
    while (x->leaves_bytes + bytes_of(l) > LEAF_CACHE_BYTES_MAX)
        leave_cache(x, x->leaves);
    HASH_ADD(hh, x->leaves, id.bytes, DIGEST_SIZE, l);
    if (!l->hh.tbl)
        return;
    leaf_list_ref(l);
    x->leaves_bytes += bytes_of(l);
}

void leaf_cache_release(struct exchange *x)
{
    while (x->leaves)
        leave_cache(x, x->leaves);
}

/* Appends the digests that make the id. */
static int append_top(const struct leaf_list *l, struct buffer *out)
{
    if (fetch_groups(l->size) == 1)
        return buffer_append(out, l->leaves, l->n * DIGEST_SIZE);
    for (uint64_t g = 0; g < fetch_groups(l->size); g++) {
        struct digest group = digest_part(&l->leaves[g * FETCH_GROUP_LEAVES],
                                          fetch_group_leaves(l->size, g) * DIGEST_SIZE);

        buffer_append(out, group.bytes, DIGEST_SIZE);
    }
    return buffer_failed(out);
}

static int hash_chunks(struct blobs *blobs, struct leaf_list *l)
{
    CLEANUP(buffer_release) struct buffer data = BUFFER_INIT;
    int r = blobs_read(blobs, &l->id, 0, l->size, &data);

    if (r < 0)
        return r;
    if (data.len != l->size)
        return -EIO;
    for (uint64_t i = 0; i < l->n; i++)
        l->leaves[i] =
            digest_part(data.data + i * FETCH_LEAF_BYTES, fetch_leaf_bytes(l->size, i));
    return 0;
}

static int hash_leaves(struct blobs *blobs, struct leaf_list *l)
{
    int fd, r = blobs_open_file(blobs, &l->id, &fd);

    if (r == -ENOTSUP)
        return hash_chunks(blobs, l);
    if (r < 0)
        return r;
    r = digest_file_leaves(fd, l->size, MEASURE_THREADS, l->leaves);
    close(fd);
    return r;
}

/* What was hashed must make the name. If it does not the blob is rotten, and no use to
 * anybody here either. */
static int measure(struct giving *v)
{
    CLEANUP(buffer_release) struct buffer top = BUFFER_INIT;
    struct blobs *blobs = v->exchange->config.blobs;
    struct digest id;
    int r;

    v->leaves = leaf_list_new(&v->give->id, v->answer.size);
    if (!v->leaves)
        return -ENOMEM;
    r = hash_leaves(blobs, v->leaves);
    if (r == 0)
        r = append_top(v->leaves, &top);
    if (r == 0) {
        id = digest_top(v->answer.size, (struct digest *)(void *)top.data,
                        top.len / DIGEST_SIZE);
        if (!digest_equal(&id, &v->give->id))
            r = -EBADMSG;
    }
    if (r == -EBADMSG || r == -ESTALE)
        (void)blobs_quarantine(blobs, &v->give->id);
    return r;
}

/* ---- in the pool ---- */

static int read_digests(struct giving *v)
{
    const struct give *g = v->give;
    struct give_answer *a = &v->answer;
    uint64_t leaf = g->offset / FETCH_LEAF_BYTES, group = leaf / FETCH_GROUP_LEAVES;

    if (fetch_groups(a->size) > FETCH_GROUPS_MAX)
        return -EFBIG;
    if (!v->leaves) {
        int r = measure(v);

        if (r < 0)
            return r;
    }
    if (g->part != BLOB_GROUP) {
        a->part = BLOB_TOP;
        return v->download ? buffer_append(&a->data, v->download->top,
                                           fetch_top_digests(a->size) * DIGEST_SIZE)
                           : append_top(v->leaves, &a->data);
    }
    if (leaf % FETCH_GROUP_LEAVES || group >= fetch_groups(a->size))
        return -EINVAL;
    return buffer_append(&a->data, &v->leaves->leaves[leaf],
                         fetch_group_leaves(a->size, group) * DIGEST_SIZE);
}

static int read_whole(struct giving *v)
{
    const struct give *g = v->give;
    struct blobs *blobs = v->exchange->config.blobs;
    struct give_answer *a = &v->answer;
    int r = blobs_stat(blobs, &g->id, &a->size);

    a->part = g->part;
    if (r < 0)
        return r;
    if (g->part == BLOB_TOP || g->part == BLOB_GROUP
        || (g->part == BLOB_FIRST && a->size > FETCH_LEAF_BYTES))
        return read_digests(v);
    if (g->offset % FETCH_LEAF_BYTES || (g->offset && g->offset >= a->size))
        return -EINVAL;
    return blobs_read(blobs, &g->id, g->offset, FETCH_LEAF_BYTES, &a->data);
}

/* Of a leaf that was checked. */
static int read_part(struct giving *v)
{
    const struct give *g = v->give;
    const struct download *d = v->download;
    size_t len = fetch_leaf_bytes(d->size, g->offset / FETCH_LEAF_BYTES);
    struct give_answer *a = &v->answer;
    char *at = buffer_reserve(&a->data, len);
    ssize_t n = (ssize_t)len;

    a->size = d->size;
    a->part = g->part;
    if (!at)
        return -ENOMEM;
    if (d->data)
        memcpy(at, d->data + g->offset, len);
    else
        n = pread(d->fd, at, len, (off_t)g->offset);
    if (n != (ssize_t)len)
        return -EIO;
    a->data.len += len;
    return 0;
}

static void run_give(uv_work_t *work)
{
    struct giving *v = CONTAINER_OF(work, struct giving, work);

    v->answer.status = v->download && v->give->part == BLOB_LEAF ? read_part(v)
                       : v->download                             ? read_digests(v)
                                                                 : read_whole(v);
    if (v->answer.status < 0) {
        if (!v->download) /* so that it is not said again to be here */
            (void)blobs_recheck(v->exchange->config.blobs, &v->give->id);
        /* Whatever it was, it is not to be had here. */
        v->answer.status = -ENOENT;
        buffer_clear(&v->answer.data);
    }
}

/* ---- on the loop ---- */

static void end_measuring(struct exchange *x, const struct digest *id)
{
    for (size_t i = 0; i < x->n_measured; i++)
        if (digest_equal(&x->measured[i], id)) {
            x->measured[i] = x->measured[--x->n_measured];
            return;
        }
}

static void after_give(uv_work_t *work, int status UNUSED)
{
    struct giving *v = CONTAINER_OF(work, struct giving, work);
    struct exchange *x = v->exchange;

    x->n_giving--;
    if (v->is_measuring)
        end_measuring(x, &v->give->id);
    if (x->is_stopping) {
        free(v->give);
    } else {
        if (v->is_measuring && v->leaves && v->answer.status == 0)
            leaf_cache_add(x, v->leaves);
        give_on_read(x, &v->to, v->give, &v->answer);
    }
    leaf_list_unref(v->leaves);
    if (v->download)
        download_unref(x, v->download);
    buffer_release(&v->answer.data);
    free(v);
    if (exchange_end_job(x))
        return;
    give_next(x);
    exchange_apply(x);
}

/* A download that can answer: it has the leaf, or the digests. */
static struct download *find_part(struct exchange *x, const struct give *g)
{
    struct download *d = download_find(x, &g->id);
    uint64_t leaf = g->offset / FETCH_LEAF_BYTES;
    static const struct digest unknown; /* of a group that did not come yet */

    if (!d || !d->size || leaf >= d->leaves->n || g->offset % FETCH_LEAF_BYTES)
        return NULL;
    if (g->part == BLOB_LEAF)
        return fetch_has_leaf(x->fetch, &g->id, leaf) || (d->is_ended && d->status == 0)
                   ? d
                   : NULL;
    return g->part == BLOB_GROUP && digest_equal(&d->leaves->leaves[leaf], &unknown)
               ? NULL
               : d;
}

int give_start(struct exchange *x, const struct node_id *to, struct give *g)
{
    struct giving *v = calloc(1, sizeof(*v));
    struct leaf_list *known;

    if (!v)
        return -ENOMEM;
    v->exchange = x;
    v->to = *to;
    v->give = g;
    v->download = find_part(x, g);
    known = v->download ? v->download->leaves : leaf_cache_find(x, &g->id);
    if (known)
        v->leaves = leaf_list_ref(known);
    if (v->download) {
        v->download->n_jobs++;
        v->answer.size = v->download->size;
    }
    v->is_measuring = !known && g->part != BLOB_LEAF;
    if (v->is_measuring)
        x->measured[x->n_measured++] = g->id;
    x->n_giving++;
    exchange_start(x, &v->work, run_give, after_give);
    return 0;
}
