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
#include "node/runtime_identity.h"

enum { DAMAGED_TOLD_MAX = 10000 };

static struct maintenance maintenance_of(struct request *r)
{
    const struct identity *identity = runtime_identity(r->rt);

    return (struct maintenance){ .writer = runtime_writer(r->rt),
                                 .blobs = runtime_blobs(r->rt),
                                 .root = identity ? identity_root(identity) : NULL,
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
    struct buffer text, unsigned_text;
    struct emit e, unsigned_e;
    size_t n, n_unsigned;
};

static void damages_release(struct damages *d)
{
    buffer_release(&d->text);
    buffer_release(&d->unsigned_text);
}

static int add_unsigned(struct damages *d, const struct verify_damage *attempt)
{
    struct emit *e = &d->unsigned_e;

    if (d->n_unsigned++ >= DAMAGED_TOLD_MAX)
        return 0;
    emit_open(e, NULL, '{');
    emit_text(e, "step", attempt->step);
    emit_task(e, "task", &attempt->task);
    emit_u64(e, "attempt", attempt->attempt);
    emit_close(e, '}');
    return buffer_failed(&d->unsigned_text);
}

static int add_damage(void *arg, const struct verify_damage *damage)
{
    struct damages *d = arg;
    struct emit *e = &d->e;

    if (damage->is_unsigned)
        return add_unsigned(d, damage);
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

static void emit_signer(struct emit *e, const struct signer *s)
{
    const struct certificate *c = &s->certificate;
    char node[NODE_ID_TEXT_SIZE], key[2 * NODE_KEY_SIZE + 1];

    node_id_text(&s->node, node);
    emit_open(e, NULL, '{');
    emit_text(e, "node", node);
    emit_text(e, "name", s->has_certificate ? c->name : NULL);
    hex_text(c->node_key, NODE_KEY_SIZE, key);
    emit_text(e, "key", s->has_certificate ? key : NULL);
    emit_u64(e, "n_signed", s->n_signed);
    emit_u64(e, "n_bad", s->n_bad);
    emit_close(e, '}');
}

static void emit_signatures(struct emit *e, const struct signatures *s,
                            const struct damages *d)
{
    const struct signer *signer;

    emit_open(e, "signatures", '{');
    emit_u64(e, "n_signed", s->n_signed);
    emit_u64(e, "n_bad", s->n_bad);
    emit_u64(e, "n_unsigned", s->n_unsigned);
    emit_u64(e, "n_lost", s->n_lost);
    emit_u64(e, "n_adopted", s->n_adopted);
    emit_open(e, "signers", '[');
    for (signer = s->signers; signer; signer = signer->hh.next)
        emit_signer(e, signer);
    emit_close(e, ']');
    emit_raw(e, "unsigned", buffer_text(&d->unsigned_text), d->unsigned_text.len);
    emit_close(e, '}');
}

int verify_post(struct request *r)
{
    return read_empty(r) ? source_begin(r) : 0;
}

int verify_post_work(struct request *r)
{
    CLEANUP(damages_release) struct damages d = { .text = BUFFER_INIT };
    struct maintenance m = maintenance_of(r);
    CLEANUP(verify_report_release) struct verify_report report = { .n_checked = 0 };
    struct emit e = { .out = &r->reply.body };
    int error;

    d.e.out = &d.text;
    d.unsigned_e.out = &d.unsigned_text;
    emit_open(&d.e, NULL, '[');
    emit_open(&d.unsigned_e, NULL, '[');
    error = verify_run(&m, &r->run, r->flow, add_damage, &d, &report);
    emit_close(&d.e, ']');
    emit_close(&d.unsigned_e, ']');
    if (error < 0)
        return reply_errno(r, error, "the run");
    emit_open(&e, NULL, '{');
    emit_u64(&e, "n_checked", report.n_checked);
    emit_u64(&e, "n_damaged", report.n_damaged);
    emit_u64(&e, "bytes", report.bytes);
    emit_raw(&e, "damaged", buffer_text(&d.text), d.text.len);
    emit_signatures(&e, &report.signatures, &d);
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
