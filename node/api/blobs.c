/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/blobs and /v1/trees: how a client's code gets into the store. */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>

#include "node/api/elsewhere.h"
#include "node/api/bodies.h"
#include "node/api/emit.h"
#include "node/api/nouns.h"
#include "node/api/server.h"
#include "node/api/uploads.h"
#include "store/digest.h"
#include "store/tree.h"

enum {
    HASH_THREADS = 2,
    MISSING_TOLD_MAX = 100, /* of the blobs that a manifest names and nobody has */
};

/* ---- GET, HEAD /v1/blobs/ID ---- */

int blob_get_work(struct request *r)
{
    struct digest id;
    uint64_t size;
    int error;

    if (!request_digest(r, r->params[0], &id))
        return 0;
    if (elsewhere_want(r, &id, false))
        return REQUEST_NEXT;
    error = blobs_stat(runtime_blobs(r->rt), &id, &size);
    if (error < 0)
        return reply_errno(r, error, "this blob");
    if (reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL,
                     "private, max-age=31536000, immutable")
        < 0)
        return -ENOMEM;
    return reply_bytes(r, &id, NULL, size);
}

/* ---- PUT /v1/blobs/ID ---- */

/* The name of what was sent. */
static int digest_body(const struct body *b, struct digest *ret_id)
{
    if (b->path)
        return digest_file(b->fd, b->size, HASH_THREADS, ret_id);
    *ret_id = digest_memory(buffer_text(&b->memory), b->memory.len);
    return 0;
}

static int keep_body(struct request *r, const struct digest *id)
{
    struct blobs *blobs = runtime_blobs(r->rt);
    const struct body *b = &r->body;
    struct digest kept;

    if (b->path)
        return blobs_adopt_file(blobs, b->path, b->size, id);
    return blobs_put(blobs, buffer_text(&b->memory), b->memory.len, &kept);
}

int blob_put_work(struct request *r)
{
    struct emit e = { .out = &r->reply.body };
    struct digest wanted, id;
    uint64_t size;
    bool was_here;
    int error;

    if (!request_digest(r, r->params[0], &wanted))
        return 0;
    error = digest_body(&r->body, &id);
    if (error == 0 && !digest_equal(&id, &wanted)) {
        char text[DIGEST_TEXT_SIZE];

        digest_text(&id, text);
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "these bytes are %s, not what the path says", text);
    }
    /* Held first: a gc may pass between the two. */
    if (error == 0)
        error = uploads_hold(r->api->uploads, &id);
    was_here = error == 0 && blobs_stat(runtime_blobs(r->rt), &id, &size) == 0;
    if (error == 0 && !was_here)
        error = keep_body(r, &id);
    if (error < 0)
        return reply_errno(r, error, "the blob");
    emit_open(&e, NULL, '{');
    emit_digest(&e, "id", &id);
    emit_close(&e, '}');
    return reply_json(r, was_here ? MHD_HTTP_OK : MHD_HTTP_CREATED);
}

/* ---- POST /v1/blobs/missing ---- */

/* Blobs that are here are held as well: the client counts on them from now on. */
static int list_missing(struct request *r, const struct missing_body *b, struct emit *e)
{
    for (size_t i = 0; i < b->n; i++) {
        uint64_t size;
        int error = uploads_hold(r->api->uploads, &b->ids[i]);

        if (error == 0)
            error = blobs_stat(runtime_blobs(r->rt), &b->ids[i], &size);
        if (error == -ENOENT)
            emit_digest(e, NULL, &b->ids[i]);
        else if (error < 0)
            return error;
    }
    return 0;
}

int blobs_missing_work(struct request *r)
{
    CLEANUP(missing_body_release) struct missing_body b = { .ids = NULL };
    struct emit e = { .out = &r->reply.body };
    struct error why = { .text = "" };
    int error =
        missing_body_read(buffer_text(&r->body.memory), r->body.memory.len, &b, &why);

    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    if (error == 0) {
        emit_open(&e, NULL, '{');
        emit_open(&e, "missing", '[');
        error = list_missing(r, &b, &e);
        emit_close(&e, ']');
        emit_close(&e, '}');
    }
    return error < 0 ? reply_errno(r, error, "the blobs") : reply_json(r, MHD_HTTP_OK);
}

/* ---- PUT /v1/trees ---- */

/* Each blob of the tree must be here, with the size that the manifest says. */
static int check_entries(struct request *r, const struct tree *t, struct emit *missing,
                         size_t *ret_n_missing)
{
    size_t n_missing = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct tree_entry *entry = &t->entries[i];
        uint64_t size = 0;
        int error = uploads_hold(r->api->uploads, &entry->id);

        if (error == 0)
            error = blobs_stat(runtime_blobs(r->rt), &entry->id, &size);
        if (error == -ENOENT) {
            if (n_missing++ < MISSING_TOLD_MAX)
                emit_digest(missing, NULL, &entry->id);
            continue;
        }
        if (error < 0)
            return error;
        if (size != entry->size)
            return -EINVAL;
    }
    *ret_n_missing = n_missing;
    return 0;
}

static int reply_missing(struct request *r, size_t n_missing, const struct buffer *ids)
{
    struct emit e = { .out = &r->reply.body };
    char sentence[128];

    snprintf(sentence, sizeof(sentence), "%zu blobs of this tree are not here",
             n_missing);
    emit_open(&e, NULL, '{');
    emit_text(&e, "error", sentence);
    emit_text(&e, "hint", "PUT /v1/blobs/ID first; 'missing' lists up to 100 of them");
    emit_raw(&e, "missing", buffer_text(ids), ids->len);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_CONFLICT);
}

static int keep_tree(struct request *r, const struct tree *t, struct digest *ret_id)
{
    int error = tree_put(runtime_blobs(r->rt), t, ret_id);

    return error == 0 ? uploads_hold(r->api->uploads, ret_id) : error;
}

int trees_put_work(struct request *r)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    CLEANUP(buffer_release) struct buffer ids = BUFFER_INIT;
    struct emit e = { .out = &r->reply.body }, missing = { .out = &ids };
    size_t n_missing = 0;
    struct digest id;
    int error = tree_decode(buffer_text(&r->body.memory), r->body.memory.len, &t);

    if (error == -EBADMSG)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "the body is no manifest, or breaks one of its rules");
    emit_open(&missing, NULL, '[');
    if (error == 0)
        error = check_entries(r, &t, &missing, &n_missing);
    emit_close(&missing, ']');
    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "a size in the manifest is not that of the blob");
    if (error == 0 && n_missing)
        return reply_missing(r, n_missing, &ids);
    if (error == 0)
        error = keep_tree(r, &t, &id);
    if (error < 0)
        return reply_errno(r, error, "the tree");
    emit_open(&e, NULL, '{');
    emit_digest(&e, "id", &id);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_CREATED);
}
