/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/runs/RUN/verify, POST /v1/gc */
#include "node/maintenance.h"

#include <errno.h>
#include <microhttpd.h>

#include "node/api/bodies.h"
#include "node/api/emit.h"
#include "node/api/nouns.h"
#include "node/api/server.h"
#include "node/api/source.h"
#include "node/api/uploads.h"

enum { DAMAGED_TOLD_MAX = 10000 };

static struct maintenance maintenance_of(struct request *r)
{
    return (struct maintenance){ .writer = runtime_writer(r->rt),
                                 .blobs = runtime_blobs(r->rt),
                                 .is_stopping = r->is_stopping };
}

/* Requests whose body may be absent or an empty object. */
static bool read_empty(struct request *r)
{
    struct error why = { .text = "" };

    if (empty_body_read(buffer_text(&r->body.memory), r->body.memory.len, &why) == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    return false;
}

/* ---- verify ---- */

struct damages {
    struct buffer text;
    struct emit e;
    size_t n;
};

static void damages_release(struct damages *d)
{
    buffer_release(&d->text);
}

static int add_damage(void *arg, const struct verify_damage *damage)
{
    struct damages *d = arg;
    struct emit *e = &d->e;

    if (d->n++ >= DAMAGED_TOLD_MAX)
        return 0;
    emit_open(e, NULL, '{');
    emit_text(e, "what", damage->what);
    emit_text(e, "step", damage->step);
    if (damage->step) {
        emit_task(e, "task", &damage->task);
        emit_u64(e, "attempt", damage->attempt);
    } else {
        emit_null(e, "task");
        emit_null(e, "attempt");
    }
    emit_text(e, "name", damage->name);
    if (damage->has_id)
        emit_digest(e, "id", &damage->id);
    else
        emit_null(e, "id");
    emit_text(e, "problem", damage->problem);
    emit_close(e, '}');
    return buffer_failed(&d->text);
}

int verify_post(struct request *r)
{
    return read_empty(r) ? source_begin(r) : 0;
}

int verify_post_work(struct request *r)
{
    CLEANUP(damages_release) struct damages d = { .text = BUFFER_INIT };
    struct maintenance m = maintenance_of(r);
    struct emit e = { .out = &r->reply.body };
    struct verify_report report;
    int error;

    d.e.out = &d.text;
    emit_open(&d.e, NULL, '[');
    error = verify_run(&m, &r->run, r->flow, add_damage, &d, &report);
    emit_close(&d.e, ']');
    if (error < 0)
        return reply_errno(r, error, "the run");
    emit_open(&e, NULL, '{');
    emit_u64(&e, "n_checked", report.n_checked);
    emit_u64(&e, "n_damaged", report.n_damaged);
    emit_u64(&e, "bytes", report.bytes);
    emit_raw(&e, "damaged", buffer_text(&d.text), d.text.len);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

/* ---- gc ---- */

int gc_post_work(struct request *r)
{
    struct maintenance m = maintenance_of(r);
    struct emit e = { .out = &r->reply.body };
    struct error why = { .text = "" };
    struct gc_report report;
    struct gc_body b;
    int error =
        gc_body_read(buffer_text(&r->body.memory), r->body.memory.len, &b, &why);

    if (error < 0)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    uploads_expire(r->api->uploads);
    error = gc_store(&m, b.dry_run, &report);
    if (error == -EALREADY)
        return reply_error(r, MHD_HTTP_CONFLICT, "wait until it has ended",
                           "a gc is running");
    if (error < 0)
        return reply_errno(r, error, "a record, or a folder it names");
    emit_open(&e, NULL, '{');
    emit_bool(&e, "dry_run", b.dry_run);
    emit_u64(&e, "n_kept", report.n_kept);
    emit_u64(&e, "n_freed", report.n_freed);
    emit_u64(&e, "bytes_kept", report.bytes_kept);
    emit_u64(&e, "bytes_freed", report.bytes_freed);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
