/* SPDX-License-Identifier: Apache-2.0 */
/* What comes is checked and written in the pool; the loop keeps the books. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "node/exchange_internal.h"
#include "store/digest.h"
#include "store/store.h"

_Static_assert((int)FETCH_LEAF_BYTES == (int)STORE_CHUNK_MAX, "a leaf is a chunk");
_Static_assert((int)FETCH_GROUP_LEAVES == (int)DIGEST_GROUP_LEAVES,
               "groups are those of names");

/* One part that came. */
struct check {
    uv_work_t work;
    struct exchange *exchange;
    struct download *download;
    struct message message;
    struct digest expected; /* of a leaf, or of a group's digests */
    int status;             /* -EBADMSG: not what was asked for; another: ours */
    uint8_t *data;          /* of a top that was right: where its leaves go */
    char *path;
    int fd;
};

struct keep {
    uv_work_t work;
    struct exchange *exchange;
    struct download *download;
    int status;
};

struct download *download_find(const struct exchange *x, const struct digest *id)
{
    struct download *d;

    HASH_FIND(hh, x->downloads, id->bytes, DIGEST_SIZE, d);
    return d;
}

struct download *download_add(struct exchange *x, const struct digest *id)
{
    struct download *d =
        HASH_COUNT(x->downloads) < EXCHANGE_BLOBS_MAX ? calloc(1, sizeof(*d)) : NULL;

    if (!d)
        return NULL;
    d->id = *id;
    d->fd = -1;
    HASH_ADD(hh, x->downloads, id.bytes, DIGEST_SIZE, d);
    if (d->hh.tbl)
        return d;
    free(d);
    return NULL;
}

static void close_file(int fd, char *path)
{
    if (fd >= 0)
        close(fd);
    if (path)
        unlink(path);
    free(path);
}

static void free_download(struct download *d)
{
    close_file(d->fd, d->path);
    leaf_list_unref(d->leaves);
    free(d->data);
    free(d->top);
    free(d);
}

void download_drop(struct exchange *x, struct download *d)
{
    if (!d->is_dropped)
        HASH_DELETE(hh, x->downloads, d);
    if (d->is_waiting)
        DL_DELETE(x->waiting, d);
    d->is_waiting = false;
    d->is_dropped = true;
    if (d->n_jobs == 0)
        free_download(d);
}

/* ---- what is all here is kept ---- */

static void run_keep(uv_work_t *work)
{
    struct keep *k = CONTAINER_OF(work, struct keep, work);
    struct download *d = k->download;
    struct blobs *blobs = k->exchange->config.blobs;
    struct digest id;

    if (d->data) {
        k->status = blobs_put(blobs, d->data, d->size, &id);
        if (k->status == 0 && !digest_equal(&id, &d->id))
            k->status = -EIO;
        return;
    }
    k->status = blobs_adopt_file(blobs, d->path, d->size, &d->id);
}

static void after_keep(uv_work_t *work, int status UNUSED)
{
    struct keep *k = CONTAINER_OF(work, struct keep, work);
    struct exchange *x = k->exchange;
    struct download *d = k->download;
    int result = k->status;

    free(k);
    if (!d->is_dropped) {
        if (result == 0)
            leaf_cache_add(x, d->leaves);
        exchange_conclude(x, d, result);
    }
    download_unref(x, d);
    if (!exchange_end_job(x))
        exchange_apply(x);
}

/* Nothing is written any more. */
static void finish(struct exchange *x, struct download *d)
{
    struct keep *k;

    if (d->status < 0 || !d->size) {
        exchange_conclude(x, d, d->status);
        return;
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        exchange_conclude(x, d, -ENOMEM);
        return;
    }
    k->exchange = x;
    k->download = d;
    d->n_jobs++;
    d->is_kept = true;
    exchange_start(x, &k->work, run_keep, after_keep);
}

void download_unref(struct exchange *x, struct download *d)
{
    d->n_jobs--;
    if (d->n_jobs)
        return;
    if (d->is_dropped)
        free_download(d);
    else if (d->is_ended && !d->is_kept)
        finish(x, d);
}

static void end(struct exchange *x, struct download *d, int status)
{
    d->is_ended = true;
    d->status = status;
    /* Also whoever reads a part of it for others is waited for. */
    d->n_jobs++;
    download_unref(x, d);
}

void download_on_ended(struct exchange *x, const struct digest *id, int status)
{
    struct download *d = download_find(x, id);

    if (d && !d->is_ended)
        end(x, d, status);
}

/* ---- parts ---- */

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int check_first(struct check *c, const struct blob_data_message *m)
{
    struct digest id = digest_memory(m->data, m->data_len);

    if (!digest_equal(&id, &m->id))
        return -EBADMSG;
    return blobs_put(c->exchange->config.blobs, m->data, m->data_len, &id);
}

/* Small ones are written once, when they are whole. */
static int check_top(struct check *c, const struct blob_data_message *m)
{
    struct digest id = digest_top(m->size, (const struct digest *)(const void *)m->data,
                                  m->data_len / DIGEST_SIZE);
    char path[BLOB_FILE_PATH_MAX];
    int r;

    if (!digest_equal(&id, &m->id))
        return -EBADMSG;
    if (m->size <= BLOB_CHUNKED_MAX) {
        c->data = calloc(1, m->size);
        return c->data ? 0 : -ENOMEM;
    }
    r = blobs_make_file(c->exchange->config.blobs, m->size, path, &c->fd);
    if (r < 0)
        return r;
    c->path = strdup(path);
    return c->path ? 0 : -ENOMEM;
}

static int check_part(const struct check *c, const struct blob_data_message *m)
{
    struct digest got = digest_part(m->data, m->data_len);
    const struct download *d = c->download;

    if (!digest_equal(&got, &c->expected))
        return -EBADMSG;
    if (m->part == BLOB_GROUP || d->data)
        return 0;
    return write_at(d->fd, m->data, m->data_len, m->offset);
}

static void run_check(uv_work_t *work)
{
    struct check *c = CONTAINER_OF(work, struct check, work);
    const struct blob_data_message *m = &c->message.u.blob_data;

    c->status = m->part == BLOB_FIRST ? check_first(c, m)
                : m->part == BLOB_TOP ? check_top(c, m)
                                      : check_part(c, m);
}

static void free_check(struct check *c)
{
    close_file(c->fd, c->path);
    free(c->data);
    message_release(&c->message);
    free(c);
}

static int on_top(struct download *d, struct check *c,
                  const struct blob_data_message *m)
{
    d->top = malloc(m->data_len);
    d->leaves = leaf_list_new(&d->id, m->size);
    if (!d->top || !d->leaves)
        return -ENOMEM;
    memcpy(d->top, m->data, m->data_len);
    if (fetch_groups(m->size) == 1)
        memcpy(d->leaves->leaves, m->data, m->data_len);
    d->size = m->size;
    d->data = TAKE(c->data);
    d->path = TAKE(c->path);
    d->fd = c->fd;
    c->fd = -1;
    return 0;
}

/* The part was good: what follows from it. */
static int take_part(struct exchange *x, struct check *c)
{
    const struct blob_data_message *m = &c->message.u.blob_data;
    struct download *d = c->download;

    if (m->part == BLOB_TOP)
        return on_top(d, c, m);
    if (m->part == BLOB_GROUP) {
        memcpy(&d->leaves->leaves[m->offset / FETCH_LEAF_BYTES], m->data, m->data_len);
        return 0;
    }
    /* A part may come twice, and the second time while all is being stored. */
    if (d->data && memcmp(d->data + m->offset, m->data, m->data_len) != 0)
        memcpy(d->data + m->offset, m->data, m->data_len);
    x->counts.got_bytes += m->data_len;
    return 0;
}

static void judge(struct exchange *x, struct check *c)
{
    const struct blob_data_message *m = &c->message.u.blob_data;
    struct download *d = c->download;
    bool is_good = c->status == 0;

    if (is_good)
        c->status = take_part(x, c);
    if (c->status < 0 && c->status != -EBADMSG) {
        fetch_drop(x->fetch, &d->id);
        end(x, d, c->status);
        return;
    }
    x->counts.n_bad += !is_good;
    if (fetch_on_checked(x->fetch, m->request, m->part, m->size, is_good,
                         exchange_now(x), &x->out)
        < 0)
        x->error = -ENOMEM;
}

static void after_check(uv_work_t *work, int status UNUSED)
{
    struct check *c = CONTAINER_OF(work, struct check, work);
    struct exchange *x = c->exchange;
    struct download *d = c->download;

    if (!d->is_dropped && !d->is_ended)
        judge(x, c);
    free_check(c);
    download_unref(x, d);
    if (!exchange_end_job(x))
        exchange_apply(x);
}

static struct digest expected_of(const struct download *d,
                                 const struct blob_data_message *m)
{
    uint64_t leaf = m->offset / FETCH_LEAF_BYTES;

    if (m->part == BLOB_LEAF)
        return d->leaves->leaves[leaf];
    return m->part == BLOB_GROUP ? d->top[leaf / FETCH_GROUP_LEAVES] : d->id;
}

void download_on_data(struct exchange *x, const struct node_id *from, struct message *m)
{
    struct download *d = download_find(x, &m->u.blob_data.id);
    bool is_wanted;
    struct check *c;

    if (fetch_on_data(x->fetch, from, &m->u.blob_data, exchange_now(x), &is_wanted,
                      &x->out)
        < 0)
        x->error = -ENOMEM;
    if (!is_wanted)
        return;
    assert(d && !d->is_ended);
    c = calloc(1, sizeof(*c));
    if (!c) {
        x->error = -ENOMEM;
        return;
    }
    c->exchange = x;
    c->download = d;
    c->fd = -1;
    c->expected = expected_of(d, &m->u.blob_data);
    c->message = *m;
    memset(m, 0, sizeof(*m));
    d->n_jobs++;
    exchange_start(x, &c->work, run_check, after_check);
}
