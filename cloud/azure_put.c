/* SPDX-License-Identifier: Apache-2.0 */
/* What is written by one request, and what all writes have in common. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/azure_store.h"

/* The object's own metadata: its hash, and which write made it. */
#define META_SHA256 "x-ms-meta-sha256"
#define META_NONCE "x-ms-meta-meshput"

int azure_put_headers(struct object_call *c, const char *content_type,
                      bool is_if_absent, const char *if_match)
{
    const struct azure_store *s = c->store;

    azure_header(c, "x-ms-blob-content-type", "%s",
                 content_type ? content_type : "application/octet-stream");
    if (s->tier)
        azure_header(c, "x-ms-access-tier", "%s", s->tier);
    if (s->scope)
        azure_header(c, "x-ms-encryption-scope", "%s", s->scope);
    if (s->tags)
        azure_header(c, "x-ms-tags", "%s", s->tags);
    if (is_if_absent)
        azure_header(c, "If-None-Match", "*");
    else if (if_match)
        azure_header(c, "If-Match", "%s", if_match);
    return azure_header(c, META_NONCE, "%s", c->nonce);
}

/* ---- whose write it was ---- */

static void finish_write(struct object_call *c, int status, const struct error *error)
{
    if (c->step)
        azure_finish_uploaded(c, status,
                              &(struct object_uploaded){ .upload = c->upload,
                                                         .about = c->about },
                              error);
    else
        azure_finish_done(c, status, error);
}

static void on_whether_ours(struct object_call *c, int status,
                            const struct http_answer *a, const struct error *error)
{
    uint64_t size = c->about.size;
    const char *nonce = status == 0 ? http_answer_header(a, META_NONCE) : NULL;

    if (status < 0 && status != -ENOENT) {
        finish_write(c, status, error);
        return;
    }
    if (nonce && strcmp(nonce, c->nonce) == 0) {
        azure_about_read(a, &c->about);
        c->about.size = size;
        finish_write(c, 0, NULL);
        return;
    }
    finish_write(c, -EEXIST, &c->error);
}

int azure_ask_whether_ours(struct object_call *c, const struct error *error)
{
    c->error = *error;
    c->answered = on_whether_ours;
    c->body = (struct http_body){ .data = "" };
    azure_ask(c, "HEAD");
    return azure_send(c);
}

/* ---- put ---- */

static void on_put(struct object_call *c, int status, const struct http_answer *a,
                   const struct error *error)
{
    uint64_t size = c->body.len;

    if (status == -EEXIST && a->tries > 1) {
        c->about.size = size;
        if (azure_ask_whether_ours(c, error) == 0)
            return;
    }
    if (status == 0) {
        azure_about_read(a, &c->about);
        c->about.size = size;
        encode_hex(c->sha256, sizeof(c->sha256), c->about.sha256);
    }
    azure_finish_done(c, status, error);
}

static void put_hashed(struct object_call *c)
{
    CLEANUP(buffer_release) struct buffer md5 = BUFFER_INIT;
    char sha256[ENCODE_SHA256_HEX];
    int r = c->hash_status;

    if (r == 0) {
        encode_hex(c->sha256, sizeof(c->sha256), sha256);
        encode_base64(&md5, c->md5, sizeof(c->md5));
        azure_header(c, "Content-MD5", "%s", buffer_text(&md5));
        azure_header(c, META_SHA256, "%s", sha256);
        c->answered = on_put;
        r = azure_send(c);
    }
    if (r < 0) {
        fail(&c->error, r, "azure put: the bytes to send cannot be read: %s",
             strerror(-r));
        azure_finish_done(c, r, &c->error);
    }
}

static int start(struct object_call *c, const struct object_put *put)
{
    c->body = put->body;
    if (put->sha256) {
        memcpy(c->sha256, put->sha256, sizeof(c->sha256));
        c->has_sha256 = true;
    }
    azure_nonce(c->nonce);
    azure_ask(c, "PUT");
    azure_header(c, "x-ms-blob-type", "BlockBlob");
    if (azure_put_headers(c, put->content_type, put->is_if_absent, put->if_match) < 0)
        return -ENOMEM;
    return azure_hash_later(c, put_hashed);
}

int azure_put(struct object_store *base, const struct object_put *put,
              object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct azure_store *s = CONTAINER_OF(base, struct azure_store, base);
    struct object_call *c;
    int r = azure_call_new(s, "put", put->name, &c);

    if (r < 0)
        return r;
    c->done = done;
    c->arg = arg;
    r = start(c, put);
    if (r < 0) {
        azure_call_drop(c);
        return r;
    }
    *ret_call = c;
    return 0;
}
