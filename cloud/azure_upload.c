/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts: blocks, and the list that makes an object of them.
 *
 * There is no request that gives up blocks. They are gone when a list is put under the
 * object's name, whichever; when the object is deleted after that; or a week after the
 * last of them came, and until then they are paid for. So an upload that is given up
 * puts an empty list and deletes what that made, if nothing else is under the name: no
 * object, and no blocks of somebody else's upload, who could not finish any more. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/azure_block.h"
#include "cloud/azure_store.h"

/* ---- begin ---- */

static void begun(struct object_call *c)
{
    azure_finish_uploaded(c, 0, &(struct object_uploaded){ .upload = c->upload }, NULL);
}

/* There is nothing to ask: the thread pool hashes an empty body, and it is later. */
static int begin(struct object_call *c, const struct object_upload *u)
{
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    const char *type = u->content_type ? u->content_type : "application/octet-stream";

    if (!azure_is_content_type(type))
        return -EINVAL;
    azure_nonce(c->nonce);
    azure_upload_name(c->nonce, type, &name);
    c->upload = buffer_take(&name);
    return c->upload ? azure_hash_later(c, begun) : -ENOMEM;
}

/* ---- a part ---- */

static void on_part(struct object_call *c, int status,
                    const struct http_answer *a UNUSED, const struct error *error)
{
    struct object_uploaded u = { .upload = c->upload,
                                 .part = { .number = c->number, .size = c->body.len } };

    azure_block_id(c->nonce, c->number, u.part.tag);
    azure_finish_uploaded(c, status, &u, error);
}

static void part_hashed(struct object_call *c)
{
    CLEANUP(buffer_release) struct buffer md5 = BUFFER_INIT;
    int r = c->hash_status;

    if (r == 0) {
        encode_base64(&md5, c->md5, sizeof(c->md5));
        azure_header(c, "Content-MD5", "%s", buffer_text(&md5));
        c->answered = on_part;
        r = azure_send(c);
    }
    if (r < 0) {
        fail(&c->error, r, "azure put: the bytes to send cannot be read: %s",
             strerror(-r));
        azure_finish_failed(c, r, &c->error);
    }
}

static int send_part(struct object_call *c, const struct object_upload *u)
{
    char id[AZURE_BLOCK_ID + 1];

    if (u->number == 0 || u->number > OBJECT_PARTS_MAX || u->body.len == 0)
        return -EINVAL;
    c->number = u->number;
    c->body = u->body;
    c->has_sha256 = true; /* nobody keeps it of a part */
    azure_block_id(c->nonce, u->number, id);
    azure_ask(c, "PUT");
    azure_param(c, "comp", "block");
    azure_param(c, "blockid", id);
    if (c->store->scope)
        azure_header(c, "x-ms-encryption-scope", "%s", c->store->scope);
    return azure_hash_later(c, part_hashed);
}

/* ---- which parts are there ---- */

static int ask_blocks(struct object_call *c, const char *type)
{
    c->body = (struct http_body){ .data = "" };
    azure_ask(c, "GET");
    azure_param(c, "comp", "blocklist");
    azure_param(c, "blocklisttype", type);
    return azure_send(c);
}

static int compare_parts(const void *a, const void *b)
{
    const struct object_part *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* Those of this upload; a number beyond what we give is not ours. */
static size_t pick_parts(const struct object_call *c, const struct azure_blocks *blocks,
                         struct object_part *parts)
{
    size_t n = 0;

    for (size_t i = 0; i < blocks->n; i++) {
        const struct azure_block *block = &blocks->all[i];
        uint32_t number = azure_block_number(c->nonce, block->id);

        if (block->is_committed || number == 0 || number > OBJECT_PARTS_MAX)
            continue;
        parts[n] = (struct object_part){ .number = number, .size = block->size };
        snprintf(parts[n++].tag, OBJECT_TAG_MAX, "%s", block->id);
    }
    if (n > 0)
        qsort(parts, n, sizeof(*parts), compare_parts);
    return n;
}

static int finish_parts(struct object_call *c, const struct azure_blocks *blocks)
{
    CLEANUP(freep)
    struct object_part *parts = calloc(blocks->n ? blocks->n : 1, sizeof(*parts));
    struct object_uploaded u = { .upload = c->upload, .parts = parts };

    if (!parts)
        return -ENOMEM;
    u.n_parts = pick_parts(c, blocks, parts);
    if (u.n_parts == 0)
        return fail(
            &c->error, -ENOENT,
            "azure put: no part of this upload is there any more: begin it anew");
    azure_finish_uploaded(c, 0, &u, NULL);
    return 0;
}

static void on_parts(struct object_call *c, int status, const struct http_answer *a,
                     const struct error *error)
{
    CLEANUP(azure_blocks_release) struct azure_blocks blocks = { .n = 0 };

    if (status == 0) {
        status =
            azure_blocks_read(buffer_text(&a->body), a->body.len, &blocks, &c->error);
        if (status == 0)
            status = finish_parts(c, &blocks);
        error = &c->error;
    }
    if (status < 0)
        azure_finish_failed(c, status, error);
}

static int list_parts(struct object_call *c)
{
    c->answered = on_parts;
    return ask_blocks(c, "uncommitted");
}

/* ---- the whole ---- */

static void on_whole(struct object_call *c, int status, const struct http_answer *a,
                     const struct error *error)
{
    struct object_uploaded u = { .upload = c->upload };
    uint64_t size = c->about.size;

    if (status == -EEXIST && a->tries > 1 && azure_ask_whether_ours(c, error) == 0)
        return;
    if (status == 0) {
        azure_about_read(a, &u.about);
        u.about.size = size;
    }
    azure_finish_uploaded(c, status, &u, error);
}

/* "Latest" and not "Uncommitted": a list that is repeated, since its answer was lost,
 * finds blocks that are the object's already. */
static int write_block_list(struct object_call *c, const struct object_upload *u)
{
    struct buffer *out = &c->block_list;

    buffer_puts(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (size_t i = 0; i < u->n_parts; i++) {
        char id[AZURE_BLOCK_ID + 1];

        if (u->parts[i].number == 0 || u->parts[i].number > OBJECT_PARTS_MAX)
            return -EINVAL;
        azure_block_id(c->nonce, u->parts[i].number, id);
        buffer_printf(out, "<Latest>%s</Latest>", id);
        c->about.size += u->parts[i].size;
    }
    buffer_puts(out, "</BlockList>");
    return buffer_failed(out);
}

static int put_list(struct object_call *c, const char *content_type, bool is_if_absent)
{
    c->body =
        (struct http_body){ .data = c->block_list.data, .len = c->block_list.len };
    azure_ask(c, "PUT");
    azure_param(c, "comp", "blocklist");
    azure_header(c, "Content-Type", "application/xml");
    if (azure_put_headers(c, content_type, is_if_absent, NULL) < 0)
        return -ENOMEM;
    return azure_send(c);
}

static int finish(struct object_call *c, const struct object_upload *u,
                  const char *content_type)
{
    int r = u->n_parts > OBJECT_PARTS_MAX ? -EINVAL : write_block_list(c, u);

    if (r < 0)
        return r;
    c->answered = on_whole;
    return put_list(c, content_type, u->is_if_absent);
}

/* ---- given up ---- */

static void aborted(struct object_call *c, int status, const struct error *error)
{
    azure_finish_uploaded(c, status, &(struct object_uploaded){ .upload = c->upload },
                          error);
}

static void on_emptied_away(struct object_call *c, int status,
                            const struct http_answer *a UNUSED,
                            const struct error *error)
{
    aborted(c, status == -ENOENT || status == -EEXIST ? 0 : status, error);
}

/* What the empty list made is deleted if it is still that. */
static void on_emptied(struct object_call *c, int status, const struct http_answer *a,
                       const struct error *error)
{
    const char *etag = status == 0 ? http_answer_header(a, "ETag") : NULL;

    if (status < 0 || !etag) {
        aborted(c, status == -EEXIST ? 0 : status, error);
        return;
    }
    c->answered = on_emptied_away;
    c->body = (struct http_body){ .data = "" };
    azure_ask(c, "DELETE");
    azure_header(c, "If-Match", "%s", etag);
    status = azure_send(c);
    if (status < 0)
        aborted(c, status, error);
}

/* Whether the blocks that wait can be discarded and harm nobody. */
static bool is_all_ours(const struct object_call *c, const struct azure_blocks *blocks)
{
    for (size_t i = 0; i < blocks->n; i++)
        if (blocks->all[i].is_committed
            || azure_block_number(c->nonce, blocks->all[i].id) == 0)
            return false;
    return blocks->n > 0;
}

static void on_blocks(struct object_call *c, int status, const struct http_answer *a,
                      const struct error *error)
{
    CLEANUP(azure_blocks_release) struct azure_blocks blocks = { .n = 0 };

    if (status == 0) {
        status =
            azure_blocks_read(buffer_text(&a->body), a->body.len, &blocks, &c->error);
        error = &c->error;
    }
    if (status == 0 && is_all_ours(c, &blocks)) {
        buffer_puts(&c->block_list,
                    "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList />");
        c->answered = on_emptied;
        status = put_list(c, NULL, true);
        if (status == 0)
            return;
    }
    aborted(c, status == -ENOENT ? 0 : status, error);
}

static int give_up(struct object_call *c)
{
    c->answered = on_blocks;
    return ask_blocks(c, "all");
}

/* ---- any step ---- */

static int start(struct object_call *c, const struct object_upload *u)
{
    const char *type = NULL;
    int r;

    if (u->step == OBJECT_UPLOAD_BEGIN)
        return begin(c, u);
    if (!u->upload || azure_upload_read(u->upload, c->nonce, &type) < 0)
        return -EINVAL;
    c->upload = strdup(u->upload);
    if (!c->upload)
        return -ENOMEM;
    switch (u->step) {
    case OBJECT_UPLOAD_PART:
        r = send_part(c, u);
        break;
    case OBJECT_UPLOAD_PARTS:
        r = list_parts(c);
        break;
    case OBJECT_UPLOAD_FINISH:
        r = finish(c, u, type);
        break;
    case OBJECT_UPLOAD_ABORT:
        r = give_up(c);
        break;
    default:
        r = -EINVAL;
    }
    return r;
}

int azure_upload(struct object_store *base, const struct object_upload *u,
                 object_uploaded_fn *uploaded, void *arg, struct object_call **ret_call)
{
    struct azure_store *s = CONTAINER_OF(base, struct azure_store, base);
    struct object_call *c;
    int r = azure_call_new(s, "upload", u->name, &c);

    if (r < 0)
        return r;
    c->step = u->step;
    c->uploaded = uploaded;
    c->arg = arg;
    r = start(c, u);
    if (r < 0) {
        azure_call_drop(c);
        return r;
    }
    *ret_call = c;
    return 0;
}
