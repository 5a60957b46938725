/* SPDX-License-Identifier: Apache-2.0 */
/* What users change of a run: cancel, suspend, unsuspend, tags; and its removal. */
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/auth.h"
#include "node/api/bodies.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/source.h"
#include "node/api/tags.h"
#include "node/removal.h"

static int reply_changed(struct request *r, unsigned status)
{
    struct emit e = { .out = &r->reply.body };

    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_close(&e, '}');
    return reply_json(r, status);
}

/* Who is no operator may change only runs of their own. */
static bool find_own_run(struct request *r)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int error;

    if (!request_find_run(r, r->params[0]))
        return false;
    if (r->role >= ROLE_OPERATOR)
        return true;
    error = source_record(r, &r->run, &record);
    if (error == 0)
        return auth_owner(r, record.user, "this run");
    reply_errno(r, error, "the run's record");
    return false;
}

static int reply_refused(struct request *r, int code)
{
    if (code == -EALREADY)
        return reply_error(r, MHD_HTTP_CONFLICT, NULL, "run %.64s has ended",
                           r->params[0]);
    return reply_errno(r, code, "the run");
}

/* ---- POST /v1/runs/RUN/cancel, /suspend, /unsuspend ---- */

int runs_cancel(struct request *r)
{
    int error;

    if (!find_own_run(r))
        return 0;
    error = runtime_cancel(r->rt, &r->run);
    return error < 0 ? reply_refused(r, error) : reply_changed(r, MHD_HTTP_ACCEPTED);
}

static int suspend(struct request *r, bool is_suspended)
{
    int error;

    if (!find_own_run(r))
        return 0;
    error = runtime_suspend(r->rt, &r->run, is_suspended);
    return error < 0 ? reply_refused(r, error) : reply_changed(r, MHD_HTTP_OK);
}

int runs_suspend(struct request *r)
{
    return suspend(r, true);
}

int runs_unsuspend(struct request *r)
{
    return suspend(r, false);
}

/* ---- DELETE /v1/runs/RUN ---- */

struct removing {
    uint64_t ticket;
};

int runs_delete(struct request *r)
{
    struct removing *removing = request_data(r, sizeof(*removing), NULL);
    struct run_view view;
    int error;

    if (!removing)
        return -ENOMEM;
    if (!find_own_run(r))
        return 0;
    error = runtime_remove(r->rt, &r->run, &removing->ticket);
    if (error == -EBUSY && node_run(runtime_node(r->rt), &r->run, &view))
        return reply_error(r, MHD_HTTP_CONFLICT,
                           "wait until it has ended, or cancel it first",
                           "run %" PRIu64 " is active", view.record->number);
    return error < 0 ? reply_errno(r, error, "the run") : REQUEST_NEXT;
}

/* When the node stops in between, the next one removes the rest. */
int runs_delete_work(struct request *r)
{
    const struct removing *removing = r->data;
    struct writer *w = runtime_writer(r->rt);
    struct emit e = { .out = &r->reply.body };
    uint64_t n_attempts = 0;
    int error = writer_wait(w, removing->ticket);

    if (error == 0)
        error = removal_finish(w, &r->run, r->is_stopping, &n_attempts);
    if (error < 0 && error != -ECANCELED)
        return reply_errno(r, error, "the run");
    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_u64(&e, "attempts", n_attempts);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

/* ---- PATCH /v1/runs/RUN/tags ---- */

struct tagging {
    struct tags_body body;
    struct run_record record;
    struct run_state_record state;
    struct tags tags;
    uint64_t ticket;
};

static void tagging_release(void *data)
{
    struct tagging *t = data;

    tags_release(&t->tags);
    run_state_record_release(&t->state);
    run_record_release(&t->record);
    tags_body_release(&t->body);
}

static int reply_other_tags(struct request *r, char *const *now, size_t n)
{
    CLEANUP(buffer_release) struct buffer hint = BUFFER_INIT;

    buffer_puts(&hint, n ? "they are:" : "it has none");
    for (size_t i = 0; i < n; i++)
        buffer_printf(&hint, "%s %s", i ? "," : "", now[i]);
    return reply_error(r, MHD_HTTP_CONFLICT, buffer_text(&hint),
                       "run %.64s has not the tags of 'if_match'", r->params[0]);
}

static int change_tags(struct request *r, struct tagging *t)
{
    bool is_changed = t->state.has_tags;
    char *const *now = is_changed ? t->state.tags : t->record.tags;
    size_t n = is_changed ? t->state.n_tags : t->record.n_tags;
    const struct tags_body *b = &t->body;
    struct error why = { .text = "" };
    int error;

    if (b->if_match && !tags_match(now, n, b->if_match))
        return reply_other_tags(r, now, n);
    error = tags_change(now, n, b->add, b->remove, b->set, &t->tags, &why);
    if (why.text[0])
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    if (error == 0)
        error = runtime_tag(r->rt, &r->run, t->tags.all, t->tags.n, &t->ticket);
    return error < 0 ? reply_errno(r, error, "the run") : REQUEST_NEXT;
}

/* On the loop, so that no two changes are made of the same tags. */
int tags_patch(struct request *r)
{
    struct tagging *t = request_data(r, sizeof(*t), tagging_release);
    struct error why = { .text = "" };
    int error;

    if (!t)
        return -ENOMEM;
    if (!find_own_run(r))
        return 0;
    error = tags_body_read(buffer_text(&r->body.memory), r->body.memory.len, &t->body,
                           &why);
    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    if (error == 0)
        error = source_record(r, &r->run, &t->record);
    if (error == 0) {
        error = source_state(r, &r->run, &t->state);
        error = error == -ENOENT || error == -EBADMSG ? 0 : error;
    }
    return error < 0 ? reply_errno(r, error, "the run's record") : change_tags(r, t);
}

int tags_patch_work(struct request *r)
{
    const struct tagging *t = r->data;
    struct emit e = { .out = &r->reply.body };
    int error = writer_wait(runtime_writer(r->rt), t->ticket);

    if (error < 0)
        return reply_errno(r, error, "the tags");
    emit_open(&e, NULL, '{');
    emit_run(&e, "run", &r->run);
    emit_open(&e, "tags", '[');
    for (size_t i = 0; i < t->tags.n; i++)
        emit_text(&e, NULL, t->tags.all[i]);
    emit_close(&e, ']');
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
