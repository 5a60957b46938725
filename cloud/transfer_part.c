/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a transfer in memory: read, hashed in order, written. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/transfer_internal.h"

static uint64_t part_len(const struct transfer *t, uint32_t index)
{
    uint64_t offset = index * t->part_bytes, left = t->about.size - offset;

    return left < t->part_bytes ? left : t->part_bytes;
}

static void part_free(struct part *p)
{
    struct transfer *t = p->t;
    struct part **link = &t->live;

    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    t->e->n_parts--;
    t->e->progress.bytes_held -= p->len;
    free(p->room);
    free(p);
}

/* What no call and no thread has in its hands is of no use any more. */
void parts_cancel(struct transfer *t)
{
    struct part *next;

    for (struct part *p = t->live; p; p = next) {
        next = p->next;
        if (p->state == PART_READING)
            t->request.from->class->cancel(p->call);
        else if (p->state == PART_WRITING)
            t->request.to->class->cancel(p->call);
        else if (p->state != PART_HASHING)
            part_free(p);
    }
}

/* ---- writing ---- */

static void part_written(struct part *p, int status, const char *tag,
                         const struct error *error)
{
    struct transfer *t = p->t;
    struct transfers *e = t->e;
    uint32_t index = p->index;
    uint64_t len = p->len;

    part_free(p);
    if (status == 0 && t->tags) {
        t->tags[index] = strdup(tag);
        status = t->tags[index] ? 0 : -ENOMEM;
    }
    if (status < 0) {
        transfer_fail(t, status, error);
    } else {
        t->n_done++;
        t->n_in_order++;
        t->bytes_done += len;
        e->progress.bytes_done += len;
        if (t->step == TRANSFER_PARTS)
            parts_advance(t);
    }
    transfers_pump(e);
}

static void on_put(void *arg, int status, const struct object_about *about,
                   const struct error *error)
{
    struct part *p = arg;

    if (status == 0)
        p->t->placed = *about;
    part_written(p, status, NULL, error);
}

static void on_part(void *arg, int status, const struct object_uploaded *u,
                    const struct error *error)
{
    part_written(arg, status, u ? u->part.tag : NULL, error);
}

static int part_write(struct part *p)
{
    struct transfer *t = p->t;
    struct object_store *to = t->request.to;
    struct http_body body = { .data = p->data, .fd = -1, .len = p->len };
    const uint8_t *sha256 = to->class->wants_sha256 ? p->sha256 : NULL;
    const struct object_put put = { .name = t->request.to_name,
                                    .sha256 = sha256,
                                    .body = body,
                                    .is_if_absent = t->request.is_if_absent,
                                    .content_type = t->request.content_type };
    const struct object_upload upload = { .step = OBJECT_UPLOAD_PART,
                                          .name = t->request.to_name,
                                          .upload = t->upload,
                                          .size = t->about.size,
                                          .number = p->index + 1,
                                          .offset = p->offset,
                                          .body = body,
                                          .sha256 = sha256 };

    p->state = PART_WRITING;
    return t->tags ? to->class->upload(to, &upload, on_part, p, &p->call)
                   : to->class->put(to, &put, on_put, p, &p->call);
}

/* ---- hashing ---- */

static void check_hash(struct transfer *t)
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    char text[ENCODE_SHA256_HEX];
    struct error error;

    if (EVP_DigestFinal_ex(t->hash, sum, NULL) != 1) {
        transfer_fail(t, -ENOMEM, NULL);
        return;
    }
    encode_hex(sum, ENCODE_SHA256, text);
    if (strcasecmp(text, t->about.sha256) == 0)
        return;
    transfer_fail(t,
                  fail(&error, -EBADMSG,
                       "the bytes of '%.250s' are not those that were stored: SHA-256 "
                       "%.16s... in place of %.16s...",
                       t->request.from_name, text, t->about.sha256),
                  &error);
}

static void hash_part(uv_work_t *work)
{
    struct part *p = CONTAINER_OF(work, struct part, work);

    if (p->t->hash)
        EVP_DigestUpdate(p->t->hash, p->data, p->len);
    if (p->t->request.to->class->wants_sha256)
        encode_sha256(p->data, p->len, p->sha256);
}

static void on_hashed(uv_work_t *work, int status UNUSED)
{
    struct part *p = CONTAINER_OF(work, struct part, work);
    struct transfer *t = p->t;
    struct transfers *e = t->e;

    p->state = PART_HASHED;
    if (t->step != TRANSFER_PARTS) {
        part_free(p);
    } else {
        if (++t->n_hashed == t->n_parts && t->hash)
            check_hash(t);
        if (t->step == TRANSFER_PARTS)
            parts_advance(t);
    }
    transfers_pump(e);
}

/* A hash of the whole takes its parts in order, as some stores do. */
static int advance(struct part *p)
{
    struct transfer *t = p->t;
    bool is_in_order = t->request.to->class->is_in_order,
         is_hashed = t->hash || t->request.to->class->wants_sha256;

    if (p->state == PART_READ && !is_hashed)
        p->state = PART_HASHED;
    if (p->state == PART_READ && (!t->hash || p->index == t->n_hashed)) {
        p->state = PART_HASHING;
        return uv_queue_work(t->e->loop, &p->work, hash_part, on_hashed);
    }
    if (p->state == PART_HASHED && (!is_in_order || p->index == t->n_in_order))
        return part_write(p);
    return 0;
}

void parts_advance(struct transfer *t)
{
    for (struct part *p = t->live; p; p = p->next) {
        int r = advance(p);

        if (r < 0) {
            part_free(p);
            transfer_fail(t, r, NULL);
            return;
        }
    }
}

/* ---- reading ---- */

static int on_data(void *arg, uint64_t offset UNUSED, const void *data, size_t len)
{
    struct part *p = arg;

    if (len > p->len - p->got)
        return -EBADMSG;
    memcpy(p->room + p->got, data, len);
    p->got += len;
    return 0;
}

static void on_read(void *arg, int status, const struct object_about *about UNUSED,
                    const struct error *error)
{
    struct part *p = arg;
    struct transfer *t = p->t;
    struct transfers *e = t->e;
    struct error short_error = { .text = "" };

    p->call = NULL;
    p->state = PART_READ;
    if (status == 0 && p->got != p->len) {
        error = &short_error;
        status = fail(&short_error, -EBADMSG,
                      "'%.300s' gave %llu bytes in place of %llu", t->request.from_name,
                      (unsigned long long)p->got, (unsigned long long)p->len);
    }
    if (status < 0) {
        part_free(p);
        transfer_fail(t, status, error);
    } else if (t->step != TRANSFER_PARTS) {
        part_free(p);
    } else {
        parts_advance(t);
    }
    transfers_pump(e);
}

static int part_read(struct part *p)
{
    struct transfer *t = p->t;
    struct object_store *from = t->request.from;
    const struct object_get get = { .name = t->request.from_name,
                                    .offset = p->offset,
                                    .len = p->len,
                                    .if_match = t->about.etag[0] ? t->about.etag : NULL,
                                    .on_data = on_data };

    p->state = PART_READ;
    p->data = from || !p->len ? "" : (const char *)t->request.data + p->offset;
    if (!from || !p->len)
        return 0;
    p->room = malloc(p->len);
    p->data = p->room;
    if (!p->room)
        return -ENOMEM;
    p->state = PART_READING;
    return from->class->get(from, &get, on_read, p, &p->call);
}

static bool has_room(const struct transfers *e, uint64_t len)
{
    return e->n_parts < e->options.calls_max
           && (!e->n_parts || e->progress.bytes_held + len <= e->options.bytes_max);
}

static struct part *part_add(struct transfer *t)
{
    struct transfers *e = t->e;
    struct part *p = calloc(1, sizeof(*p)), **link = &t->live;

    if (!p)
        return NULL;
    while (*link)
        link = &(*link)->next;
    *link = p;
    p->t = t;
    p->index = t->n_next++;
    p->offset = p->index * t->part_bytes;
    p->len = part_len(t, p->index);
    e->n_parts++;
    e->progress.bytes_held += p->len;
    if (e->progress.bytes_held > e->progress.bytes_held_max)
        e->progress.bytes_held_max = e->progress.bytes_held;
    return p;
}

bool part_start(struct transfer *t)
{
    struct part *p;
    int r;

    while (t->n_next < t->n_parts && t->tags && t->tags[t->n_next])
        t->n_next++;
    if (t->n_next == t->n_parts || !has_room(t->e, part_len(t, t->n_next)))
        return false;
    p = part_add(t);
    r = p ? part_read(p) : -ENOMEM;
    if (r < 0) {
        if (p)
            part_free(p);
        transfer_fail(t, r, NULL);
        return false;
    }
    if (p->state == PART_READ)
        parts_advance(t);
    return true;
}
