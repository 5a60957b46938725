/* SPDX-License-Identifier: Apache-2.0 */
/* What a transfer does before and behind its parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud/transfer_internal.h"

enum { MIB = 1 << 20 };

/* ---- the state file, on a thread ---- */

static int read_state(struct transfer *t)
{
    return transfer_state_read(t->request.state_path, &t->state);
}

static int write_state(struct transfer *t)
{
    return transfer_state_write(t->request.state_path, &t->state);
}

static int remove_state(struct transfer *t)
{
    return unlink(t->request.state_path) < 0 && errno != ENOENT ? -errno : 0;
}

static void on_thread(uv_work_t *work)
{
    struct transfer *t = CONTAINER_OF(work, struct transfer, work);

    t->worked = t->run(t);
}

static void on_worked(uv_work_t *work, int status)
{
    struct transfer *t = CONTAINER_OF(work, struct transfer, work);
    struct transfers *e = t->e;

    t->is_working = false;
    if (t->step != TRANSFER_FAILING)
        t->then(t, status < 0 ? status : t->worked);
    transfers_pump(e);
}

static void work(struct transfer *t, int (*run)(struct transfer *t),
                 void (*then)(struct transfer *t, int status))
{
    int r;

    t->run = run;
    t->then = then;
    r = uv_queue_work(t->e->loop, &t->work, on_thread, on_worked);
    t->is_working = r == 0;
    if (r < 0)
        transfer_fail(t, r, NULL);
}

/* ---- steps of the upload ---- */

static void ask(struct transfer *t, const struct object_upload *upload,
                object_uploaded_fn *answered)
{
    struct object_store *to = t->request.to;
    struct object_upload u = *upload;
    int r;

    u.name = t->request.to_name;
    u.upload = t->upload;
    u.size = t->about.size;
    t->asked = to;
    r = to->class->upload(to, &u, answered, t, &t->call);
    if (r < 0)
        transfer_fail(t, r, NULL);
}

static void begin_parts(struct transfer *t)
{
    t->step = TRANSFER_PARTS;
}

static void on_state_written(struct transfer *t, int status)
{
    struct error error;

    if (status < 0)
        transfer_fail(t,
                      fail(&error, status, "%.300s cannot be written: %s",
                           t->request.state_path, strerror(-status)),
                      &error);
    else
        begin_parts(t);
}

static void on_begun(void *arg, int status, const struct object_uploaded *u,
                     const struct error *error)
{
    struct transfer *t = arg;
    struct transfers *e = t->e;

    t->call = NULL;
    if (status == 0) {
        t->upload = strdup(u->upload);
        status = t->upload ? 0 : -ENOMEM;
    }
    if (status < 0) {
        transfer_fail(t, status, error);
    } else if (t->step == TRANSFER_ASKING && t->request.state_path) {
        t->state = (struct transfer_state){ .size = t->about.size,
                                            .part_bytes = t->part_bytes };
        strcpy(t->state.etag, t->about.etag);
        strncpy(t->state.upload, t->upload, OBJECT_UPLOAD_MAX);
        work(t, write_state, on_state_written);
    } else if (t->step == TRANSFER_ASKING) {
        begin_parts(t);
    }
    transfers_pump(e);
}

static void begin(struct transfer *t)
{
    free(TAKE(t->upload));
    ask(t,
        &(struct object_upload){ .step = OBJECT_UPLOAD_BEGIN,
                                 .content_type = t->request.content_type,
                                 .is_if_absent = t->request.is_if_absent },
        on_begun);
}

/* ---- going on with an old one ---- */

static int take_part(struct transfer *t, const struct object_part *p)
{
    uint64_t offset, left;

    if (!p->number || p->number > t->n_parts || t->tags[p->number - 1])
        return 0;
    offset = (p->number - 1) * t->part_bytes;
    left = t->about.size - offset;
    if (p->size != (left < t->part_bytes ? left : t->part_bytes))
        return 0;
    t->tags[p->number - 1] = strdup(p->tag);
    if (!t->tags[p->number - 1])
        return -ENOMEM;
    t->n_done++;
    t->bytes_done += p->size;
    t->e->progress.bytes_done += p->size;
    return 0;
}

static int take_parts(struct transfer *t, const struct object_uploaded *u)
{
    int r = 0;

    for (size_t i = 0; i < u->n_parts && r == 0; i++)
        r = take_part(t, &u->parts[i]);
    while (t->n_in_order < t->n_parts && t->tags[t->n_in_order])
        t->n_in_order++;
    /* What is there already was looked at when it was put there. */
    if (t->n_done) {
        EVP_MD_CTX_free(t->hash);
        t->hash = NULL;
    }
    return r;
}

static void on_parts(void *arg, int status, const struct object_uploaded *u,
                     const struct error *error)
{
    struct transfer *t = arg;
    struct transfers *e = t->e;

    t->call = NULL;
    if (status == 0)
        status = take_parts(t, u);
    if (t->step == TRANSFER_ASKING) {
        if (status == -ENOENT)
            begin(t);
        else if (status < 0)
            transfer_fail(t, status, error);
        else
            begin_parts(t);
    }
    transfers_pump(e);
}

/* An upload of a source that is no more is given back before another begins. */
static void on_stale_gone(void *arg, int status, const struct object_uploaded *u UNUSED,
                          const struct error *error)
{
    struct transfer *t = arg;
    struct transfers *e = t->e;

    t->call = NULL;
    if (status < 0)
        transfer_fail(t, status, error);
    else if (t->step == TRANSFER_ASKING)
        begin(t);
    transfers_pump(e);
}

static void on_state(struct transfer *t, int status)
{
    const struct transfer_state *s = &t->state;
    bool is_same = status == 0 && *s->etag && strcmp(s->etag, t->about.etag) == 0
                   && s->size == t->about.size && s->part_bytes == t->part_bytes;

    if (status < 0) {
        begin(t);
        return;
    }
    t->upload = strdup(s->upload);
    if (!t->upload)
        transfer_fail(t, -ENOMEM, NULL);
    else if (is_same)
        ask(t, &(struct object_upload){ .step = OBJECT_UPLOAD_PARTS }, on_parts);
    else
        ask(t, &(struct object_upload){ .step = OBJECT_UPLOAD_ABORT }, on_stale_gone);
}

/* ---- what follows when the source is known ---- */

static uint64_t choose_part_bytes(const struct transfer *t)
{
    uint64_t least = t->e->options.part_bytes,
             needed = (t->about.size + OBJECT_PARTS_MAX - 1) / OBJECT_PARTS_MAX;

    return needed <= least ? least : (needed + MIB - 1) / MIB * MIB;
}

static int begin_hash(struct transfer *t)
{
    if (!t->about.sha256[0])
        return 0;
    t->hash = EVP_MD_CTX_new();
    return t->hash && EVP_DigestInit_ex(t->hash, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

void upload_prepare(struct transfer *t)
{
    t->part_bytes = choose_part_bytes(t);
    t->e->progress.bytes_total += t->about.size;
    if (begin_hash(t) < 0) {
        transfer_fail(t, -ENOMEM, NULL);
        return;
    }
    if (t->about.size <= TRANSFER_WHOLE_PARTS * t->part_bytes) {
        t->part_bytes = t->about.size;
        t->n_parts = 1;
        begin_parts(t);
        return;
    }
    t->n_parts = (uint32_t)((t->about.size + t->part_bytes - 1) / t->part_bytes);
    t->tags = calloc(t->n_parts, sizeof(*t->tags));
    if (!t->tags)
        transfer_fail(t, -ENOMEM, NULL);
    else if (t->request.state_path)
        work(t, read_state, on_state);
    else
        begin(t);
}

static void on_state_removed(struct transfer *t, int status UNUSED)
{
    transfer_end(t, &t->placed);
}

static void on_finished(void *arg, int status, const struct object_uploaded *u,
                        const struct error *error)
{
    struct transfer *t = arg;
    struct transfers *e = t->e;

    t->call = NULL;
    if (status < 0 || t->step != TRANSFER_FINISHING) {
        transfer_fail(t, status, error);
    } else {
        free(TAKE(t->upload));
        t->placed = u->about;
        if (!t->request.state_path)
            transfer_end(t, &t->placed);
        else
            work(t, remove_state, on_state_removed);
    }
    transfers_pump(e);
}

void upload_finish(struct transfer *t)
{
    t->step = TRANSFER_FINISHING;
    t->finish = calloc(t->n_parts, sizeof(*t->finish));
    if (!t->finish) {
        transfer_fail(t, -ENOMEM, NULL);
        return;
    }
    for (uint32_t i = 0; i < t->n_parts; i++) {
        uint64_t left = t->about.size - i * t->part_bytes;

        t->finish[i].number = i + 1;
        t->finish[i].size = left < t->part_bytes ? left : t->part_bytes;
        strcpy(t->finish[i].tag, t->tags[i]);
    }
    ask(t,
        &(struct object_upload){ .step = OBJECT_UPLOAD_FINISH,
                                 .parts = t->finish,
                                 .n_parts = t->n_parts,
                                 .is_if_absent = t->request.is_if_absent },
        on_finished);
}

/* ---- giving up ---- */

static bool is_unreachable(int status)
{
    return status == -ETIMEDOUT || status == -ECONNREFUSED || status == -EHOSTUNREACH
           || status == -EPIPE;
}

bool upload_must_go(const struct transfer *t)
{
    return t->upload && !(t->request.state_path && is_unreachable(t->status));
}

static void on_abort_noted(struct transfer *t, int status UNUSED)
{
    transfer_end(t, NULL);
}

static void on_aborted(void *arg, int status, const struct object_uploaded *u UNUSED,
                       const struct error *error UNUSED)
{
    struct transfer *t = arg;
    struct transfers *e = t->e;

    t->call = NULL;
    /* Where it is still there, the state file leads to it. */
    if (status < 0 || !t->request.state_path)
        transfer_end(t, NULL);
    else
        work(t, remove_state, on_abort_noted);
    transfers_pump(e);
}

void upload_abort(struct transfer *t)
{
    struct object_store *to = t->request.to;
    const struct object_upload u = { .step = OBJECT_UPLOAD_ABORT,
                                     .name = t->request.to_name,
                                     .upload = t->upload };

    t->step = TRANSFER_ABORTING;
    t->asked = to;
    if (to->class->upload(to, &u, on_aborted, t, &t->call) < 0)
        transfer_end(t, NULL);
}
